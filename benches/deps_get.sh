#!/usr/bin/env bash
# Compares `mix deps.get` through `git hexmirror run` with the same command over nginx, which serves the published files: the whole
# command, from an empty cache of Hex. Rounds alternate. Prints medians of ROUNDS (11) rounds, and the ratio (limit: 1.10).
#
#   benches/deps_get.sh [FOLDER]     FOLDER has a mix.lock and .hex_repo, a Hex repository as files (default: $HEXMIRROR_TEST_DATA/sample)
#
# Requires git, nginx, and mix with Hex (MIX_HOME).
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null
export PATH=$PATH:/usr/sbin

for tool in git nginx mix awk; do
    command -v "$tool" >/dev/null || missing="${missing:-}$tool "
done
mix hex.info >/dev/null 2>&1 || missing="${missing:-}Hex "
if [ -n "${missing:-}" ]; then
    echo "skipped: missing $missing" >&2
    exit 0
fi
sample=$(realpath "${1:-${HEXMIRROR_TEST_DATA:-../shared/data}/sample}")
rounds=${ROUNDS:-11}
limit=1.10

cargo build --quiet --release --locked --bins --example upstream
bin=$(realpath "${CARGO_TARGET_DIR:-target}/release")

work=$(mktemp -d)
chmod 755 "$work"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
MIX_HOME=${MIX_HOME:-$HOME/.mix}
export MIX_HOME HOME=$work/home GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null LC_ALL=C.UTF-8
export GIT_AUTHOR_NAME=Figures GIT_AUTHOR_EMAIL=figures@example.com GIT_COMMITTER_NAME=Figures GIT_COMMITTER_EMAIL=figures@example.com
export HEXMIRROR_PUBLIC_KEY=$sample/.hex_repo/public_key
mkdir "$HOME"
# Both verify entries with the same key.
HEX_HOME=$work/hex mix hex.repo set hexpm --public-key "$HEXMIRROR_PUBLIC_KEY" >/dev/null
cp -r "$sample/.hex_repo" "$work/www"
chmod -R u+w,a+rX "$work/www"

# A project that depends on everything in the lock but the git dependencies.
project=$work/project
git init --quiet "$project"
grep -v '{:git,' "$sample/mix.lock" >"$project/mix.lock"
{
    echo 'defmodule Figures.MixProject do'
    echo '  use Mix.Project'
    echo '  def project, do: [app: :figures, version: "0.1.0", deps: deps()]'
    echo '  defp deps, do: ['
    sed -nE 's/^ *"([a-z0-9_]+)": \{:hex, .*/    {:\1, ">= 0.0.0", override: true},/p' "$project/mix.lock" | sed '$s/,$//'
    echo '  ]'
    echo 'end'
} >"$project/mix.exs"
git -C "$project" add --all
git -C "$project" commit --quiet --message=Begin

mkfifo "$work/stdin"
"$bin/examples/upstream" "$work/www" 0 <"$work/stdin" >"$work/upstream.out" &
pids+=($!)
exec 9>"$work/stdin"
until [ -s "$work/upstream.out" ]; do :; done
HEXMIRROR_URL=$(head -1 "$work/upstream.out") "$bin/git-hexmirror" -C "$project" --quiet update --no-tools
exec 9>&-

port=18400
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
cat >"$work/nginx.conf" <<CONF
daemon off; worker_processes auto; pid $work/nginx.pid; error_log $work/nginx.err;
events { worker_connections 768; }
http {
    sendfile on; tcp_nopush on; default_type application/octet-stream; access_log off;
    server { listen 127.0.0.1:$port; root $work/www; }
}
CONF
nginx -c "$work/nginx.conf" -e "$work/nginx.err" &
pids+=($!)
until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done

get() { # NAME COMMAND…: prints the milliseconds of a `mix deps.get` from nothing
    local name=$1 start end
    shift
    rm -rf "$project/deps" "$project/_build" "$HOME/.hex" "$HOME/.cache" "$work/hex/packages" "$work/hex/cache.ets"
    start=$(date +%s%N)
    (cd "$project" && "$@" mix deps.get) >"$work/$name.out" 2>&1 || { cat "$work/$name.out" >&2; exit 1; }
    end=$(date +%s%N)
    echo "$(((end - start) / 1000000))" >>"$work/$name.rows"
    [ "$(find "$project/deps" -mindepth 1 -maxdepth 1 | wc -l)" = "$packages" ] || { cat "$work/$name.out" >&2; exit 1; }
}

packages=$(grep -c '{:hex,' "$project/mix.lock")
for _ in $(seq "$rounds"); do
    get nginx env HEX_HOME="$work/hex" HEX_MIRROR="http://127.0.0.1:$port"
    get ours "$bin/git-hexmirror" run --
done
median() { sort -n "$work/$1.rows" | awk '{ row[NR] = $1 } END { print row[int((NR + 1) / 2)] }'; }
echo "$(nproc) cores, $(git --version), $("$bin/git-hexmirror" --version | sed -n 1p), $(mix hex.info 2>/dev/null | sed -n 1p)"
awk -v ours="$(median ours)" -v nginx="$(median nginx)" -v packages="$packages" -v limit=$limit 'BEGIN {
    missed = ours / nginx > limit ? " MISSED" : ""
    printf "mix deps.get, %d packages: through run %d ms, nginx %d ms, ratio %.2f%s\n", packages, ours, nginx, ours / nginx, missed }'
