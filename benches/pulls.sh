#!/usr/bin/env bash
# Measures how the repositories of a team grow over many updates: one clone updates the mirror and pushes it, another one pulls
# it each time. Prints the sizes of their object databases, and those after `git gc`.
#
#   benches/pulls.sh [PACKAGES [UPDATES]]     the size of the mirror (100), and the number of updates of one package (300)
#
# HEXMIRROR is the program to measure (default: a release build of this checkout). Git's automatic maintenance runs as by default,
# but in the foreground, so that the result does not depend on timing. Requires git and awk.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

for tool in git awk; do
    command -v "$tool" >/dev/null || { echo "skipped: missing $tool (Debian: apt-get install git gawk)" >&2; exit 0; }
done
. benches/measure.sh
packages=${1:-100} updates=${2:-300}
limit=1.50

objects() { # REPOSITORY: kilobytes, packs and loose objects
    local folder
    folder=$(git -C "$1" rev-parse --git-path objects)
    (cd "$1" && find "$folder" -type f -printf '%s %p\n') | awk '
        { bytes += $1 }
        /\.pack$/ { packs++ }
        $2 ~ /\/[0-9a-f][0-9a-f]\/[0-9a-f]+$/ { loose++ }
        END { printf "%d KB, %d packs, %d loose objects", bytes / 1000, packs, loose }'
}
configure() { # REPOSITORY
    git -C "$1" config maintenance.autoDetach false
    git -C "$1" config gc.autoDetach false
}

world=$work/world project=$work/world/project
"$bin/examples/synthetic_upstream" "$world" "$packages"
export HEXMIRROR_PUBLIC_KEY=$world/upstream/public_key
upstream "$world/upstream"
git init --quiet "$project"
git init --quiet --bare "$world/remote.git"
configure "$project"
configure "$world/remote.git"
cp "$world/mix.lock" "$project/mix.lock"
git -C "$project" add mix.lock
git -C "$project" commit --quiet --message=Begin
git -C "$project" remote add origin "$world/remote.git"
git -C "$project" push --quiet origin HEAD
"$hexmirror" -C "$project" --quiet update
"$hexmirror" -C "$project" --quiet push >/dev/null
git clone --quiet "$world/remote.git" "$world/clone" 2>/dev/null
configure "$world/clone"
"$hexmirror" -C "$world/clone" --quiet pull >/dev/null

for update in $(seq 0 $((updates - 1))); do
    number=$((update % packages)) patch=$((update / packages))
    name=$(printf 'package_%05d' "$number") version=1.$((number % 7)).
    from=$version$((number % 11 + patch)) to=$version$((number % 11 + patch + 1))
    "$bin/examples/next_version" "$world/upstream" "$project/mix.lock" "$name" "$from" "$to" "$world/private_key"
    "$hexmirror" -C "$project" --quiet update
    "$hexmirror" -C "$project" --quiet push >/dev/null
    "$hexmirror" -C "$world/clone" --quiet pull >/dev/null
done

echo "$packages packages, $updates updates"
for repository in project clone remote.git; do
    cp -r "$world/$repository" "$world/collected"
    git -C "$world/collected" gc --quiet
    before=$(objects "$world/$repository") after=$(objects "$world/collected")
    rm -rf "$world/collected"
    ratio=$(awk -v before="${before%% *}" -v after="${after%% *}" 'BEGIN { printf "%.2f", before / after }')
    say "$repository" "$before"
    say '… after git gc' "$after"
    say "… ratio (limit of the clone: $limit)" "$ratio"
done
exec 9>&-
