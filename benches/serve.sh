#!/usr/bin/env bash
# Compares the server with nginx on the same content: the requests per second for a small registry entry and a 330 KB tarball,
# and the processor time per request (which other load on the machine affects less).
# nginx runs twice, with access_log off and with Debian's defaults. Rounds alternate; prints medians.
#
#   benches/serve.sh FOLDER            a Hex repository as files: packages/NAME, tarballs/NAME-VERSION.tar
#   SERVER='URL PID' benches/serve.sh FOLDER     measures a running server with the same contents
#
# Environment variables: ROUNDS (5), SECONDS_EACH (2) and CONNECTIONS ("8 64").
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in nginx wrk awk; do
    command -v "$tool" >/dev/null || missing="${missing:-}$tool "
done
if [ -n "${missing:-}" ]; then
    echo "skipped: missing $missing(Debian: apt-get install nginx-light wrk gawk)" >&2
    exit 0
fi
source_folder=${1:-../shared/data/sample/.hex_repo}
rounds=${ROUNDS:-5} seconds=${SECONDS_EACH:-2}

work=$(mktemp -d)
chmod 755 "$work"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cp -r "$source_folder" "$work/www"
chmod -R u+w,a+rX "$work/www"
echo 0123456789012345678901234567890123456789 >"$work/www/tip"

free_port() { # from a separate range for each server, so that their ports do not collide
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}

start_nginx() { # NAME PORT ACCESS_LOG
    cat >"$work/$1.conf" <<CONF
daemon off; worker_processes auto; pid $work/$1.pid; error_log $work/$1.err;
events { worker_connections 768; }
http {
    sendfile on; tcp_nopush on; types_hash_max_size 2048; gzip on; default_type application/octet-stream;
    access_log $3;
    server { listen 127.0.0.1:$2; root $work/www; }
}
CONF
    nginx -c "$work/$1.conf" -e "$work/$1.err" &
    pids+=($!)
}

declare -A url pid
port=$(free_port 18100)
start_nginx quiet "$port" off
url[nginx-nolog]=http://127.0.0.1:$port pid[nginx-nolog]=${pids[-1]}
port=$(free_port 18200)
start_nginx default "$port" "$work/access.log"
url[nginx-default]=http://127.0.0.1:$port pid[nginx-default]=${pids[-1]}
if [ -n "${SERVER:-}" ]; then
    read -r "url[ours]" "pid[ours]" <<<"$SERVER"
else
    cargo build --quiet --release --example serve_folder
    port=$(free_port 18300)
    "${CARGO_TARGET_DIR:-target}/release/examples/serve_folder" "$work/www" "127.0.0.1:$port" >/dev/null &
    pids+=($!)
    url[ours]=http://127.0.0.1:$port pid[ours]=$!
fi

ticks() { # processor time of a process and its children, in clock ticks
    local total=0 process fields
    for process in "$1" $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
        read -ra fields <<<"$(sed 's/.*) //' "/proc/$process/stat")"
        total=$((total + fields[11] + fields[12]))
    done
    echo "$total"
}

for path in packages/phoenix tarballs/phoenix_live_view-0.16.4.tar; do
    for name in ours nginx-nolog nginx-default; do
        for _ in $(seq 50); do
            wrk -t1 -c1 -d1s "${url[$name]}/$path" >"$work/out" 2>&1 && ! grep -q Non-2xx "$work/out" && break
        done
    done
    for connections in ${CONNECTIONS:-8 64}; do
        for _ in $(seq "$rounds"); do
            for name in nginx-nolog ours nginx-default; do
                before=$(ticks "${pid[$name]}")
                wrk -t2 -c"$connections" -d"${seconds}s" "${url[$name]}/$path" >"$work/out"
                after=$(ticks "${pid[$name]}")
                if grep -q 'Non-2xx' "$work/out"; then cat "$work/out" >&2; exit 1; fi
                awk -v name="$name" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" '
                    /requests in/ { count = $1 } /Requests\/sec/ { rate = $2 }
                    END { print name, rate, ticks / hz * 1000000 / count }' "$work/out" >>"$work/$connections.rows"
            done
        done
        median() { awk -v name="$1" -v column="$2" '$1 == name { print $column }' "$work/$connections.rows" | sort -n |
            awk '{ row[NR] = $1 } END { print row[int((NR + 1) / 2)] }'; }
        echo "$path, $connections connections:"
        for name in ours nginx-nolog nginx-default; do
            awk -v name="$name" -v rate="$(median $name 2)" -v cost="$(median $name 3)" -v ours="$(median ours 2)" 'BEGIN {
                printf "  %-14s %8.0f requests/s  %6.1f us of processor a request  ours/this %.2f\n", name, rate, cost, ours / rate }'
        done
        rm "$work/$connections.rows"
    done
done
