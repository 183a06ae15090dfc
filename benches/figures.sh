#!/usr/bin/env bash
# Measures whole processes, and prints each figure next to a baseline that was measured in the same run.
#
#   benches/figures.sh [FOLDER]     FOLDER has a mix.lock and .hex_repo, a Hex repository as files (default: $HEXMIRROR_TEST_DATA/sample)
#
# Prints medians of ROUNDS (7) rounds. Requires git, curl, jq, hyperfine and GNU time, and for the server nginx and wrk.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

missing=
for tool in git curl jq hyperfine awk /usr/bin/time; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
if [ -n "$missing" ]; then
    echo "skipped: missing$missing (Debian: apt-get install git curl jq hyperfine gawk time)" >&2
    exit 0
fi
sample=$(realpath "${1:-${HEXMIRROR_TEST_DATA:-../shared/data}/sample}")
[ -d "$sample/.hex_repo" ] || { echo "skipped: $sample has no .hex_repo" >&2; exit 0; }
rounds=${ROUNDS:-7}

cargo build --quiet --release --locked --bins --examples
bin=$(realpath "${CARGO_TARGET_DIR:-target}/release")
hexmirror=$bin/git-hexmirror

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$work/home"
export HOME=$work/home HEX_HOME=$work/home/hex GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=Figures GIT_AUTHOR_EMAIL=figures@example.com GIT_COMMITTER_NAME=Figures GIT_COMMITTER_EMAIL=figures@example.com
export HEXMIRROR_PUBLIC_KEY=$sample/.hex_repo/public_key
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY HEX_MIRROR

median() { sort -n | awk '{ row[NR] = $1 } END { print row[int((NR + 1) / 2)] }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
say() { printf '\n%s\n' "$*"; }

upstream() { # FOLDER ROUND_TRIP_MS: sets HEXMIRROR_URL; stop_upstream stops it and sets $requests and $connections
    rm -f "$work/stdin" "$work/upstream.out"
    mkfifo "$work/stdin"
    "$bin/examples/upstream" "$1" "$2" <"$work/stdin" >"$work/upstream.out" &
    upstream_pid=$!
    exec 9>"$work/stdin"
    until [ -s "$work/upstream.out" ]; do :; done
    HEXMIRROR_URL=$(head -1 "$work/upstream.out")
    export HEXMIRROR_URL
}
stop_upstream() {
    exec 9>&-
    wait "$upstream_pid"
    read -r _ requests _ connections < <(tail -1 "$work/upstream.out")
}

project() { # NAME: a repository with the sample's lock
    rm -rf "${work:?}/$1"
    git init --quiet "$work/$1"
    # benches/clone.sh measures its git dependencies.
    grep -v "{:git," "$sample/mix.lock" >"$work/$1/mix.lock"
    git -C "$work/$1" add mix.lock
    git -C "$work/$1" commit --quiet --message=Begin
}

packages=$(find "$sample/.hex_repo/tarballs" -name '*.tar' | wc -l)
echo "$(nproc) cores, $(git --version), $("$hexmirror" --version)"

say "update: $packages packages from a loopback upstream into an empty mirror (limits: 0.6 s, 64 MB)"
upstream "$sample/.hex_repo" 0
for _ in $(seq "$rounds"); do
    project fresh
    /usr/bin/time -f '%e %M %U %S' -o "$work/time" "$hexmirror" -C "$work/fresh" --quiet update
    cat "$work/time" >>"$work/update.rows"
done
# The optimum: curl downloads the same files over 8 connections without processing them.
(cd "$sample/.hex_repo" && find packages tarballs -type f) | sed "s|.*|url = $HEXMIRROR_URL/&\noutput = /dev/null|" >"$work/urls"
for _ in $(seq "$rounds"); do
    /usr/bin/time -f '%e' -o "$work/time" curl --silent --fail --parallel --parallel-max 8 --config "$work/urls" 2>/dev/null
    cat "$work/time" >>"$work/curl.rows"
done
stop_upstream
wall=$(cut -d' ' -f1 "$work/update.rows" | median)
echo "  $wall s, $(cut -d' ' -f2 "$work/update.rows" | sort -n | tail -1 | awk '{ printf "%.1f MB at most", $1 / 1000 }'), processor time \
$(awk '{ print $3 + $4 }' "$work/update.rows" | median) s; curl fetches the same files in $(median <"$work/curl.rows") s"

compare() { # COMMAND…: prints the median in ms of many runs of each command, one per line; commands alternate, so that other load affects all equally
    rm -f "$work"/turn.*
    for turn in $(seq 10); do
        hyperfine --shell=none --style=none --warmup 3 --runs 25 --export-json "$work/turn.$turn" "$@" >/dev/null 2>&1
    done
    jq -rs '[range(.[0].results | length) as $i | [.[].results[$i].times[]] | sort | .[length / 2 | floor] * 1000] | .[]' "$work"/turn.*
}

say "nothing to do, against git rev-parse HEAD (limit: 3.00)"
git="git -C $work/fresh rev-parse HEAD"
{ read -r a; read -r b; read -r c; read -r d; } < <(compare "$git" "$hexmirror -C $work/fresh --quiet status" \
    "$hexmirror -C $work/fresh --quiet update" "$hexmirror --version")
printf '  git rev-parse HEAD %.2f ms; status %.2f ms, ratio %s; update %.2f ms, ratio %s; the bare start of the program %.2f ms\n' \
    "$a" "$b" "$(ratio "$b" "$a")" "$c" "$(ratio "$c" "$a")" "$d"

say "status with a mirror of 10,000 packages against one of 100 (limit: 1.50)"
"$bin/examples/synthetic_mirror" "$work/small" 100
"$bin/examples/synthetic_mirror" "$work/large" 10000 100
"$bin/examples/synthetic_mirror" "$work/whole" 10000
for folder in small large whole; do
    HEXMIRROR_URL='' "$hexmirror" -C "$work/$folder" --quiet status >/dev/null
done
{ read -r a; read -r b; read -r c; } < <(compare "$hexmirror -C $work/small status" "$hexmirror -C $work/large status" "$hexmirror -C $work/whole status")
printf '  %.2f ms with 100; %.2f ms with 10,000 and a lock of 100, ratio %s; %.2f ms with a lock of 10,000, ratio %s\n' \
    "$a" "$b" "$(ratio "$b" "$a")" "$c" "$(ratio "$c" "$a")"
{ read -r a; read -r b; read -r c; } < <(compare "$hexmirror -C $work/small diff" "$hexmirror -C $work/large diff" "$hexmirror -C $work/whole diff")
printf '  compared anew (diff): %.2f ms, %.2f ms, ratio %s; %.2f ms, ratio %s\n' "$a" "$b" "$(ratio "$b" "$a")" "$c" "$(ratio "$c" "$a")"

say "update through a link of 100 ms round trip with 8 connections, against an ideal client (limit: 1.50)"
for _ in 1 2 3; do
    upstream "$sample/.hex_repo" 100
    project slow
    /usr/bin/time -f '%e' -o "$work/time" "$hexmirror" -C "$work/slow" --quiet update --jobs 8
    cat "$work/time" >>"$work/slow.rows"
    stop_upstream
done
# Connecting takes one round trip. Each connection then completes one request per round trip.
ideal=$(awk -v n="$requests" 'BEGIN { printf "%.2f", (1 + int((n + 7) / 8)) * 0.1 }')
echo "  $(median <"$work/slow.rows") s for $requests requests over $connections connections; ideal $ideal s, ratio $(ratio "$(median <"$work/slow.rows")" "$ideal")"

size() { # bytes of a repository's objects
    git -C "$1" count-objects -v | awk '/^size(-pack)?:/ { total += $2 } END { print total }'
}
say "growth of the repository, against the same tarballs and entries committed as files"
project mirrored
project files
before=$(size "$work/files")
upstream "$sample/.hex_repo" 0
"$hexmirror" -C "$work/mirrored" --quiet update
stop_upstream
cp -r "$sample/.hex_repo" "$work/files/hex_repo"
git -C "$work/files" add hex_repo
git -C "$work/files" commit --quiet --message=Add
a=$(($(size "$work/mirrored") - before)) b=$(($(size "$work/files") - before))
echo "  as written: $a KiB, $b KiB as files, ratio $(ratio "$a" "$b")"
for folder in mirrored files; do git -C "$work/$folder" gc --quiet; done
a=$(size "$work/mirrored") b=$(size "$work/files")
echo "  after git gc: $a KiB, $b KiB as files, ratio $(ratio "$a" "$b")"

say "pushed when packages move to a made-up patch release (ten lines more in the largest source; limit 3.5 KB)"
cp -r "$sample/.hex_repo" "$work/next"
chmod -R u+w "$work/next"
"$bin/examples/next_version" "$work/next"
move() { # updates the mirror from the copy, which a key of this run signs
    upstream "$work/next" 0
    HEXMIRROR_PUBLIC_KEY=$work/next/public_key "$hexmirror" -C "$work/moved" --quiet update
    stop_upstream
}
project moved
move
pushed() { # FOLDER NEW OLD: bytes of the pack that git push sends
    printf '%s\n^%s\n' "$2" "$3" | git -C "$1" pack-objects --revs --thin --stdout --delta-base-offset --no-sparse -q | wc -c
}
while read -r name from to; do
    "$bin/examples/next_version" "$work/next" "$work/moved/mix.lock" "$name" "$from" "$to"
    move
    cp "$work/next/tarballs/$name-$to.tar" "$work/files/hex_repo/tarballs/"
    cp "$work/next/packages/$name" "$work/files/hex_repo/packages/"
    git -C "$work/files" rm --quiet "hex_repo/tarballs/$name-$from.tar"
    git -C "$work/files" add hex_repo
    git -C "$work/files" commit --quiet --message=Move
    a=$(pushed "$work/moved" hexmirror hexmirror^) b=$(pushed "$work/files" HEAD HEAD^)
    echo "  $name $from -> $to: $a bytes, $b bytes as files, ratio $(ratio "$a" "$b")"
done <<'ROWS'
plug 1.12.1 1.12.2
phoenix 1.6.0 1.6.99
jason 1.2.2 1.2.99
ROWS

if command -v wrk >/dev/null && PATH=$PATH:/usr/sbin command -v nginx >/dev/null; then
    say "serving, against nginx on the same bytes (limit: ours/this 1.00)"
    PATH=$PATH:/usr/sbin
    project served
    upstream "$sample/.hex_repo" 0
    "$hexmirror" -C "$work/served" --quiet update
    stop_upstream
    "$hexmirror" -C "$work/served" --quiet serve --listen 127.0.0.1:0 >"$work/serve.out" &
    server=$!
    until [ -s "$work/serve.out" ]; do :; done
    SERVER="$(cat "$work/serve.out") $server" ROUNDS=3 SECONDS_EACH=1 benches/serve.sh "$sample/.hex_repo" | sed 's/^/  /'
    kill "$server"
fi
