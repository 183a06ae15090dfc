#!/usr/bin/env bash
# Measures `import`.
#
#   benches/import.sh [RELEASES…]     the numbers of synthetic releases (default: 32 2000)
#
# HEXMIRROR is the program to measure (default: a release build of this checkout). Times are medians of ROUNDS (11) rounds,
# in milliseconds. With HEXMIRROR_TEST_DATA, the real sample project is imported first.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

for tool in git awk /usr/bin/time; do
    command -v "$tool" >/dev/null || { echo "skipped: missing $tool (Debian: apt-get install git gawk time)" >&2; exit 0; }
done
. benches/measure.sh

project() { # LOCK: makes a project without a mirror
    project=$work/project
    rm -rf "$project"
    git init --quiet "$project"
    cp "$1" "$project/mix.lock"
}
imports() { # FOLDER…: imports into an empty mirror, and again
    for _ in $(seq "$rounds"); do
        git -C "$project" update-ref -d refs/heads/hexmirror
        measure "$hexmirror" -C "$project" --quiet import "$@"
        echo "$wall"
    done | middle >"$work/median"
    say 'import into an empty mirror: ms' "$(cat "$work/median")"
    git -C "$project" update-ref -d refs/heads/hexmirror
    measure "$hexmirror" -C "$project" --quiet import "$@"
    say '… CPU s, peak MB' "$cpu $peak"
    say 'import, everything is there: ms' "$(median "$hexmirror" -C "$project" --quiet import "$@")"
    say 'import --dry-run: ms' "$(median "$hexmirror" -C "$project" --quiet import --dry-run "$@")"
}

sample=${HEXMIRROR_TEST_DATA:-}/sample
if [ -d "$sample" ]; then
    echo "the sample project: 32 releases, 2 git repositories"
    project "$sample/mix.lock"
    imports "$sample/.hex_repo" "$sample/.git_repo"
fi
[ $# -gt 0 ] || set -- 32 2000
for releases in "$@"; do
    echo "$releases synthetic releases"
    world=$work/$releases
    "$bin/examples/synthetic_upstream" "$world" "$releases"
    export HEXMIRROR_PUBLIC_KEY=$world/upstream/public_key
    project "$world/mix.lock"
    imports "$world/upstream"
    rm -rf "$world"
done
