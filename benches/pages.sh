#!/usr/bin/env bash
# Measures the web pages: the time to the first byte and the weight of each kind, of a sample and of 10,000 packages, a difference of
# two versions of phoenix, and the memory of a server that 32 browsers read at once.
#
#   benches/pages.sh [FOLDER]     FOLDER has a mix.lock and .hex_repo, a Hex repository as files (default: $HEXMIRROR_TEST_DATA/sample)
#
# Prints medians of ROUNDS (21) requests. Requires git and curl. BIN (target/release) has the program, EXAMPLES ($BIN/examples) the
# examples upstream, next_version and synthetic_mirror; both are built unless BIN is set.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

for tool in git curl awk; do
    command -v "$tool" >/dev/null || { echo "skipped: missing $tool" >&2; exit 0; }
done
sample=$(realpath "${1:-${HEXMIRROR_TEST_DATA:-../shared/data}/sample}")
[ -d "$sample/.hex_repo" ] || { echo "skipped: $sample has no .hex_repo" >&2; exit 0; }
rounds=${ROUNDS:-21} browsers=${BROWSERS:-32} packages=${PACKAGES:-10000}
[ -n "${BIN:-}" ] || cargo build --quiet --release --locked --bins --examples
bin=$(realpath "${BIN:-target/release}")
examples=$(realpath "${EXAMPLES:-$bin/examples}")
hexmirror=$bin/git-hexmirror

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$work/home"
export HOME=$work/home HEX_HOME=$work/home/hex GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=Figures GIT_AUTHOR_EMAIL=figures@example.com GIT_COMMITTER_NAME=Figures GIT_COMMITTER_EMAIL=figures@example.com
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY HEX_MIRROR

update() { # REPOSITORY PROJECT: mirrors what the project's lock pins
    rm -f "$work/stdin" "$work/upstream.out"
    mkfifo "$work/stdin"
    "$examples/upstream" "$1" 0 <"$work/stdin" >"$work/upstream.out" &
    local pid=$!
    exec 9>"$work/stdin"
    until [ -s "$work/upstream.out" ]; do :; done
    HEXMIRROR_URL=$(head -1 "$work/upstream.out") HEXMIRROR_PUBLIC_KEY=$1/public_key "$hexmirror" -C "$2" --quiet update
    exec 9>&-
    wait "$pid"
}

serve() { # PROJECT: sets $url and $server
    "$hexmirror" -C "$1" serve --listen 127.0.0.1:0 >"$work/serve.out" 2>"$work/serve.err" &
    server=$!
    until url=$(grep -o 'http://127.0.0.1:[0-9]*' "$work/serve.out" | head -1) && [ -n "$url" ]; do
        kill -0 "$server" 2>/dev/null || { cat "$work/serve.err" >&2; exit 1; }
    done
}

browse() { # PATH: the time to the first byte in ms, the size in bytes, and the status
    curl --silent --output /dev/null --header 'Accept: text/html' --write-out '%{time_starttransfer} %{size_download} %{http_code}\n' \
        "$url$1" | awk '{ print $1 * 1000, $2, $3 }'
}

pages() { # LIMIT [PAUSE], then paths on standard input: a row for each. The server keeps a difference for a second.
    local path first
    while read -r path; do
        first=$(browse "$path")
        for _ in $(seq "$rounds"); do sleep "${2:-0}"; browse "$path"; done | sort -n | awk -v path="$path" -v first="${first%% *}" -v limit="$1" '
            { row[NR] = $1; size = $2; status = $3 }
            END { median = row[int((NR + 1) / 2)]
                  printf "  %7.1f ms, first %7.1f, highest %7.1f  %6d bytes  %s  %s%s\n", median, first, row[NR], size, status, path,
                      (median > limit || size > 60000 || status != 200) ? "  MISSED" : "" }'
    done
}

memory() { # KIND: the memory of the server in MB
    awk -v kind="$1:" '$1 == kind { printf "%.1f", $2 / 1024 }' "/proc/$server/status"
}

flood() { # paths on standard input: $browsers clients, each of which reads all pages
    local paths clients=()
    mapfile -t paths
    printf 'url = %s\noutput = /dev/null\n' "${paths[@]/#/$url}" >"$work/config"
    for _ in $(seq "$browsers"); do
        curl --silent --header 'Accept: text/html' --config "$work/config" &
        clients+=($!)
    done
    wait "${clients[@]}"
    echo "  $browsers browsers at once, ${#paths[@]} pages each: $(memory VmHWM) MB at most, $(memory VmRSS) MB after"
}

echo "$(nproc) cores, $("$hexmirror" --version)"
git init --quiet "$work/sample"
grep -v "{:git," "$sample/mix.lock" >"$work/sample/mix.lock"
git -C "$work/sample" add mix.lock
git -C "$work/sample" commit --quiet --message=Begin
# A copy that a key of this run signs, so that it can publish a version.
cp -r "$sample/.hex_repo" "$work/next"
chmod -R u+w "$work/next"
"$examples/next_version" "$work/next"
git -C "$work/sample" config hexmirror.hexpm.publicKey "$work/next/public_key"
update "$work/next" "$work/sample"
"$examples/next_version" "$work/next" "$work/sample/mix.lock" phoenix 1.6.0 1.6.1
git -C "$work/sample" commit --quiet --all --message=Next
update "$work/next" "$work/sample"

serve "$work/sample"
compared=/-/compare/hexpm/phoenix/1.6.0..1.6.1
cat >"$work/paths" <<PATHS
/
/-/packages
/-/packages?q=phoenix
/-/packages/hexpm/phoenix
/-/source/hexpm/phoenix/1.6.1
/-/source/hexpm/phoenix/1.6.1/lib/phoenix/router.ex
/-/git
/-/history
/-/history/HEAD~..HEAD
/-/stored
PATHS
echo "the sample (limit: 50 ms, 60 kB)"
pages 50 <"$work/paths"
echo "a difference of two versions (limit: 100 ms)"
printf '%s\n' "$compared" "$compared?view=split" "$compared/mix.exs" | rounds=5 pages 100 1.1
cat "$work/paths" - <<<"$compared" | flood
kill "$server"
wait "$server" 2>/dev/null || true

echo "$packages packages (limit: 150 ms, 60 kB)"
"$examples/synthetic_mirror" "$work/large" "$packages"
serve "$work/large"
until [ "$(curl --silent --header 'Accept: text/html' "$url/" | grep -c 'are being read')" = 0 ]; do :; done
name=$(git -C "$work/large" show hexmirror:manifest 2>/dev/null | awk '$1 == "hex" { print $3, $4; exit }' || true)
read -r name version <<<"${NAME_VERSION:-$name}"
cat >"$work/paths" <<PATHS
/
/-/packages
/-/packages?page=50
/-/packages?q=9
/-/packages?outdated=1
/-/git
/-/history
/-/stored
PATHS
[ -z "$name" ] || printf '%s\n' "/-/packages/hexpm/$name" "/-/source/hexpm/$name/$version" >>"$work/paths"
pages 150 <"$work/paths"
flood <"$work/paths"
kill "$server"
