#!/usr/bin/env bash
# Measures the pinned index.
#
#   benches/index.sh [RELEASES…]     the sizes of the mirrors (default: 105 2000)
#
# HEXMIRROR is the program to measure (default: a release build of this checkout). Times are medians of ROUNDS (11) rounds,
# in milliseconds. If mix with Hex is installed (MIX_HOME), `mix hex.registry build` runs over the same tarballs.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

for tool in git awk /usr/bin/time; do
    command -v "$tool" >/dev/null || { echo "skipped: missing $tool (Debian: apt-get install git gawk time)" >&2; exit 0; }
done
. benches/measure.sh

again() { # COMMAND…: the median wall time of a command that starts at the same tip each time
    local tip
    tip=$(git -C "$project" rev-parse hexmirror)
    for _ in $(seq "$rounds"); do
        git -C "$project" update-ref refs/heads/hexmirror "$tip"
        measure "$@"
        echo "$wall"
    done | middle
}

[ $# -gt 0 ] || set -- 105 2000
for releases in "$@"; do
    echo "$releases releases"
    synthetic "$releases"
    without=$(git -C "$project" rev-parse hexmirror)
    "$hexmirror" -C "$project" --quiet index --init
    key=$project/.git/hexmirror/index-key.pem
    indexed=$(git -C "$project" rev-parse hexmirror)
    git -C "$project" update-ref refs/heads/hexmirror "$without"
    say 'index, of everything: ms' "$(again "$hexmirror" -C "$project" --quiet index)"
    git -C "$project" update-ref refs/heads/hexmirror "$without"
    measure "$hexmirror" -C "$project" --quiet index
    say '… CPU s, peak MB' "$cpu $peak"
    git -C "$project" update-ref refs/heads/hexmirror "$indexed"
    say 'index, nothing to do: ms' "$(median "$hexmirror" -C "$project" --quiet index)"
    measure "$hexmirror" -C "$project" --quiet verify
    say 'verify: wall ms, CPU s, peak MB' "$wall $cpu $peak"
    cp -r "$world/next/." "$world/upstream/"
    cp "$world/next.lock" "$project/mix.lock"
    mv "$key" "$work/key.pem"
    "$hexmirror" -C "$project" --quiet update
    mv "$work/key.pem" "$key"
    say 'index, one new release: ms' "$(again "$hexmirror" -C "$project" --quiet index)"
    say '… pushed, bytes' "$(printf 'hexmirror\n^hexmirror~1\n' | git -C "$project" pack-objects --revs --thin --stdout --delta-base-offset --no-sparse -q | wc -c)"
    if mix hex.info >/dev/null 2>&1; then
        measure mix hex.registry build "$world/upstream" --name=hexpm --private-key="$key"
        say 'mix hex.registry build: wall ms, CPU s, peak MB' "$wall $cpu $peak"
    fi
    exec 9>&-
    rm -rf "$world"
done
