# Functions for benches that measure whole processes over a synthetic mirror. Sourced in the root of the checkout: builds the
# program, and creates the folder $work with a home of its own, which is removed at the end.
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
middle() { sort -n | awk '{ row[NR] = $1 } END { print row[int((NR + 1) / 2)] }'; } # the median of the numbers in the input
median() { # COMMAND…: the median wall time of several runs
    for _ in $(seq "$rounds"); do
        measure "$@"
        echo "$wall"
    done | middle
}
synthetic() { # RELEASES: sets $world and $project, a mirror of that many synthetic releases, with their upstream running
    world=$work/$1 project=$work/$1/project
    "$bin/examples/synthetic_upstream" "$world" "$1"
    export HEXMIRROR_PUBLIC_KEY=$world/upstream/public_key
    upstream "$world/upstream"
    git init --quiet "$project"
    cp "$world/mix.lock" "$project/mix.lock"
    "$hexmirror" -C "$project" --quiet update
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
