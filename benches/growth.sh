#!/usr/bin/env bash
# Measures how the costs of commands grow with the number of packages in the mirror.
#
#   benches/growth.sh [PACKAGES…]     the sizes of the mirrors (default: 100 1000 10000)
#
# HEXMIRROR is the program to measure (default: a release build of this checkout). Prints one block per size. After the cold
# update, measures a lock of 100 of the packages, and then the lock of all. Times are medians of ROUNDS (11) rounds, in
# milliseconds. Requires git, curl and GNU time.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

for tool in git curl awk /usr/bin/time; do
    command -v "$tool" >/dev/null || { echo "skipped: missing $tool (Debian: apt-get install git curl gawk time)" >&2; exit 0; }
done
. benches/measure.sh

objects() { git -C "$1" rev-list --objects hexmirror ^hexmirror~1 | wc -l; }
packs() { find "$1/.git/objects/pack" -type f -printf '%s\n' | awk '{ total += $1 } END { print total }'; }

first() { # NUMBER LOCK: the lock with its first entries only
    head -n "$(($1 + 1))" "$2"
    echo '}'
}
rows() { # NAME NEXT: measures the lock of the project, and the update of one package that the lock NEXT makes necessary
    echo "  $1"
    rm -f "$project/.git/hexmirror/fresh"
    say 'status, not remembered: ms' "$(median "$hexmirror" -C "$project" --quiet diff)"
    say 'status: ms' "$(median "$hexmirror" -C "$project" --quiet status)"
    say 'git rev-parse HEAD: ms' "$(median git -C "$project" rev-parse HEAD)"
    say 'run -- true: ms' "$(median "$hexmirror" -C "$project" --quiet run -- true)"
    for _ in $(seq "$rounds"); do
        "$hexmirror" -C "$project" --quiet serve --listen 127.0.0.1:0 >"$work/serve.out" 2>/dev/null &
        server=$!
        until [ -s "$work/serve.out" ]; do :; done
        curl --silent --fail --output /dev/null --write-out '%{time_starttransfer} %{time_connect}\n' "$(cat "$work/serve.out")/packages/package_00007"
        kill "$server"
        wait "$server" 2>/dev/null || true
        rm "$work/serve.out"
    done | awk '{ print ($1 - $2) * 1000 }' | middle >"$work/first"
    say 'first entry from serve: ms' "$(cat "$work/first")"

    cp -r "$world/next/." "$world/upstream/"
    cp "$2" "$project/mix.lock"
    git -C "$project" commit --quiet --all --message=Next
    local before tip
    before=$(packs "$project")
    tip=$(git -C "$project" rev-parse hexmirror)
    measure "$hexmirror" -C "$project" --quiet update
    say 'update of one package: CPU s, peak MB' "$cpu $peak"
    say '… local pack and index, bytes' "$(($(packs "$project") - before))"
    say '… new objects' "$(objects "$project")"
    say '… pushed, bytes' "$(printf 'hexmirror\n^hexmirror~1\n' | git -C "$project" pack-objects --revs --thin --stdout --delta-base-offset --no-sparse -q | wc -c)"
    for _ in $(seq "$rounds"); do
        git -C "$project" update-ref refs/heads/hexmirror "$tip"
        rm -rf "$project/.git/hexmirror/fresh"
        measure "$hexmirror" -C "$project" --quiet update
        echo "$wall"
    done | middle >"$work/update"
    say '… wall ms' "$(cat "$work/update")"
    git -C "$project" push --quiet origin HEAD
    measure "$hexmirror" -C "$project" --quiet push
    say 'push of it: wall ms, CPU s' "$wall $cpu"
    measure "$hexmirror" -C "$world/clone" --quiet pull
    say 'pull of it: wall ms, CPU s' "$wall $cpu"
}

[ $# -gt 0 ] || set -- 100 1000 10000
for packages in "$@"; do
    echo "$packages packages"
    world=$work/$packages project=$work/$packages/project
    "$bin/examples/synthetic_upstream" "$world" "$packages"
    export HEXMIRROR_PUBLIC_KEY=$world/upstream/public_key
    upstream "$world/upstream"
    git init --quiet "$project"
    cp "$world/mix.lock" "$project/mix.lock"
    git -C "$project" add mix.lock
    git -C "$project" commit --quiet --message=Begin
    git init --quiet --bare "$world/remote.git"
    git -C "$project" remote add origin "$world/remote.git"

    measure "$hexmirror" -C "$project" --quiet update
    say 'cold update: wall ms, CPU s, peak MB' "$wall $cpu $peak"
    git -C "$project" push --quiet origin HEAD
    "$hexmirror" -C "$project" --quiet push >/dev/null
    git clone --quiet "$world/remote.git" "$world/clone" 2>/dev/null
    "$hexmirror" -C "$world/clone" --quiet pull >/dev/null
    begun=$(git -C "$project" rev-parse hexmirror)
    if [ "$packages" -gt 100 ]; then
        first 100 "$world/mix.lock" >"$project/mix.lock"
        first 100 "$world/next.lock" >"$world/next-100.lock"
        git -C "$project" commit --quiet --all --message=Fewer
        rows 'lock of 100' "$world/next-100.lock"
        git -C "$project" update-ref refs/heads/hexmirror "$begun"
        git -C "$world/remote.git" update-ref refs/heads/hexmirror "$begun"
        git -C "$world/clone" update-ref refs/heads/hexmirror "$begun"
        git -C "$world/clone" update-ref refs/remotes/origin/hexmirror "$begun"
        git -C "$project" update-ref refs/remotes/origin/hexmirror "$begun"
        cp "$world/mix.lock" "$project/mix.lock"
        git -C "$project" commit --quiet --all --message='All again'
    fi
    rows "lock of $packages" "$world/next.lock"

    measure "$hexmirror" -C "$project" --quiet verify
    say 'verify: wall ms, CPU s, peak MB' "$wall $cpu $peak"
    for format in cyclonedx spdx; do
        measure "$hexmirror" -C "$project" --quiet sbom --format "$format"
        say "sbom --format $format: wall ms, CPU s, peak MB" "$wall $cpu $peak"
    done
    measure git -C "$project" fsck --strict --no-progress
    say 'git fsck --strict: wall ms, CPU s, peak MB' "$wall $cpu $peak"
    git -C "$project" config user.name Growth
    gone=$((packages < 100 ? (packages + 1) / 2 : 50)) # The lock's first line opens its map.
    sed -i "2,$((gone + 1))d" "$project/mix.lock"
    git -C "$project" commit --quiet --all --amend --message=Fewer
    git -C "$project" update-ref -d refs/remotes/origin/master 2>/dev/null || true
    git -C "$project" update-ref -d refs/remotes/origin/main 2>/dev/null || true
    measure "$hexmirror" -C "$project" --quiet prune --dry-run --keep-days 0
    say "prune --dry-run, $gone to go: wall ms, CPU s" "$wall $cpu"
    exec 9>&-
    rm -rf "$world"
done
