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
rounds=${ROUNDS:-11}
cargo build --quiet --release --locked --bins --examples
bin=$(realpath "${CARGO_TARGET_DIR:-target}/release")
hexmirror=$(realpath "${HEXMIRROR:-$bin/git-hexmirror}")

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$work/home"
export HOME=$work/home HEX_HOME=$work/home/hex GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=Growth GIT_AUTHOR_EMAIL=growth@example.com GIT_COMMITTER_NAME=Growth GIT_COMMITTER_EMAIL=growth@example.com
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY HEX_MIRROR

say() { printf '%-58s %s\n' "$1" "$2"; }
measure() { # COMMAND…: sets $wall (ms), $cpu (s) and $peak (MB)
    local start=$EPOCHREALTIME
    /usr/bin/time -f '%U %S %M' -o "$work/time" "$@" >"$work/out" 2>"$work/err" || { cat "$work/err" >&2; return 1; }
    wall=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", (b - a) * 1000 }')
    read -r user system kilobytes <"$work/time"
    cpu=$(awk -v a="$user" -v b="$system" 'BEGIN { printf "%.2f", a + b }')
    peak=$(awk -v a="$kilobytes" 'BEGIN { printf "%.0f", a / 1000 }')
}
median() { # COMMAND…: the median wall time of several runs
    for _ in $(seq "$rounds"); do
        measure "$@"
        echo "$wall"
    done | sort -n | awk '{ row[NR] = $1 } END { print row[int((NR + 1) / 2)] }'
}
upstream() { # FOLDER
    rm -f "$work/stdin" "$work/upstream.out"
    mkfifo "$work/stdin"
    "$bin/examples/upstream" "$1" 0 <"$work/stdin" >"$work/upstream.out" &
    exec 9>"$work/stdin"
    until [ -s "$work/upstream.out" ]; do :; done
    HEXMIRROR_URL=$(head -1 "$work/upstream.out")
    export HEXMIRROR_URL
}
again() { # COMMAND…: the median wall time of a command that starts at the same tip each time
    local tip
    tip=$(git -C "$project" rev-parse hexmirror)
    for _ in $(seq "$rounds"); do
        git -C "$project" update-ref refs/heads/hexmirror "$tip"
        measure "$@"
        echo "$wall"
    done | sort -n | awk '{ row[NR] = $1 } END { print row[int((NR + 1) / 2)] }'
}

[ $# -gt 0 ] || set -- 105 2000
for releases in "$@"; do
    echo "$releases releases"
    world=$work/$releases project=$work/$releases/project
    "$bin/examples/synthetic_upstream" "$world" "$releases"
    export HEXMIRROR_PUBLIC_KEY=$world/upstream/public_key
    upstream "$world/upstream"
    git init --quiet "$project"
    cp "$world/mix.lock" "$project/mix.lock"
    "$hexmirror" -C "$project" --quiet update
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
