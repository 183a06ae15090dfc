#!/usr/bin/env bash
# Compares the server with nginx + fcgiwrap + git-http-backend, the usual way to serve git repositories: measures the clones per
# minute of the same repositories by 8 parallel clients, in one run. Rounds alternate; prints medians.
#
#   benches/clone.sh [FOLDER]     bare repositories, as FOLDER/OWNER/NAME.git
#
# Environment variables: ROUNDS (5), CLIENTS (8), CLONES per round (24) and PROTOCOL (2).
set -euo pipefail
cd "$(dirname "$0")/.."

backend=$(git --exec-path)/git-http-backend
for tool in nginx fcgiwrap git awk xargs; do
    command -v "$tool" >/dev/null || missing="${missing:-}$tool "
done
[ -x "$backend" ] || missing="${missing:-}git-http-backend "
if [ -n "${missing:-}" ]; then
    echo "skipped: missing $missing(Debian: apt-get install nginx-light fcgiwrap git gawk)" >&2
    exit 0
fi
source_folder=${1:-${HEXMIRROR_TEST_DATA:-../shared/data}/sample/.git_repo}
rounds=${ROUNDS:-5} clients=${CLIENTS:-8} clones=${CLONES:-24}
cargo build --quiet --release
program=$(realpath "${CARGO_TARGET_DIR:-target}/release/git-hexmirror")

work=$(mktemp -d)
chmod 755 "$work"
pids=()
# fcgiwrap does not stop the processes that it started, so this kills whole process groups.
set -m
trap 'for pid in "${pids[@]}"; do kill -- "-$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$work"' EXIT
export HOME=$work GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
git config --global safe.directory '*'
git config --global user.name Bench
git config --global user.email bench@example.org
git config --global protocol.version "${PROTOCOL:-2}"
git config --global advice.detachedHead false

# The packed repositories, and a mirror that contains exactly these packs.
mkdir -p "$work/git/example.org"
cp -r "$source_folder"/. "$work/git/example.org/"
chmod -R u+w,a+rX "$work/git"
git init --quiet "$work/project"
printf 'format = 1\n' >"$work/mirror.toml"
: >"$work/manifest"
paths=()
while read -r folder; do
    mkdir -p "$folder/refs"
    git -C "$folder" -c repack.writeBitmaps=false repack -a -d --quiet
    git -C "$folder" pack-refs --all
    git -C "$folder" update-server-info
    path=${folder#"$work/git/"}
    paths+=("$path")
    echo "git ${path%.git} $(git -C "$folder" rev-parse HEAD) full" >>"$work/manifest"
done < <(find "$work/git" -name '*.git' -type d | sort)
(
    cd "$work/project"
    stored() { # NAME FILE
        echo "100644 $(git hash-object -w "$2")	$1"
    }
    {
        stored mirror.toml "$work/mirror.toml"
        stored manifest "$work/manifest"
        for path in "${paths[@]}"; do
            for file in HEAD packed-refs info/refs objects/info/packs; do
                stored "git/$path/$file" "$work/git/$path/$file"
            done
            for file in "$work/git/$path"/objects/pack/*.{pack,idx}; do
                stored "git/$path/objects/pack/$(basename "$file")" "$file"
            done
        done
    } | git update-index --add --index-info
    git update-ref refs/heads/hexmirror "$(git commit-tree "$(git write-tree)" -m Mirror)"
    rm .git/index
)

free_port() {
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}

declare -A url
port=$(free_port 18400)
fcgiwrap -c "$clients" -s "unix:$work/fcgi.sock" >/dev/null 2>&1 &
pids+=($!)
while [ ! -S "$work/fcgi.sock" ]; do sleep 0.05; done
chmod 666 "$work/fcgi.sock"
cat >"$work/nginx.conf" <<CONF
daemon off; worker_processes auto; pid $work/nginx.pid; error_log $work/nginx.err;
events { worker_connections 768; }
http {
    access_log off; client_body_temp_path $work/body; fastcgi_temp_path $work/fastcgi;
    server {
        listen 127.0.0.1:$port;
        location ~ ^/git(/.*) {
            fastcgi_pass unix:$work/fcgi.sock;
            fastcgi_buffering off;
            fastcgi_param SCRIPT_FILENAME $backend;
            fastcgi_param GIT_PROJECT_ROOT $work/git;
            fastcgi_param GIT_HTTP_EXPORT_ALL "";
            fastcgi_param GIT_PROTOCOL \$http_git_protocol;
            fastcgi_param HTTP_CONTENT_ENCODING \$http_content_encoding;
            fastcgi_param PATH_INFO \$1;
            fastcgi_param QUERY_STRING \$query_string;
            fastcgi_param REQUEST_METHOD \$request_method;
            fastcgi_param CONTENT_TYPE \$content_type;
            fastcgi_param CONTENT_LENGTH \$content_length;
            fastcgi_param REMOTE_ADDR \$remote_addr;
            fastcgi_param HOME $work;
        }
    }
}
CONF
nginx -c "$work/nginx.conf" -e "$work/nginx.err" >/dev/null 2>&1 &
pids+=($!)
url[nginx]=http://127.0.0.1:$port/git

port=$(free_port 18500)
"$program" -C "$work/project" --quiet serve --listen "127.0.0.1:$port" >"$work/ours.out" &
pids+=($!)
url[ours]=http://127.0.0.1:$port/git

clone_all() { # NAME
    rm -rf "$work/clones"
    mkdir "$work/clones"
    for number in $(seq "$clones"); do
        echo "${url[$1]}/${paths[$((number % ${#paths[@]}))]} $work/clones/$number"
    done | xargs -P "$clients" -L 1 git clone --quiet --bare
}

for name in nginx ours; do
    for _ in $(seq 100); do
        git ls-remote "${url[$name]}/${paths[0]}" >/dev/null 2>&1 && break
        sleep 0.1
    done
    for path in "${paths[@]}"; do
        git clone --quiet --bare "${url[$name]}/$path" "$work/first-$name/$path"
        git -C "$work/first-$name/$path" fsck --strict 2>/dev/null
    done
done
for _ in $(seq "$rounds"); do
    for name in nginx ours; do
        begun=$(date +%s%N)
        clone_all "$name"
        ended=$(date +%s%N)
        awk -v name="$name" -v count="$clones" -v time=$((ended - begun)) \
            'BEGIN { print name, count / time * 60e9 }' >>"$work/rows"
    done
done
median() { awk -v name="$1" '$1 == name { print $2 }' "$work/rows" | sort -n |
    awk '{ row[NR] = $1 } END { print row[int((NR + 1) / 2)] }'; }
echo "$clients clients, ${#paths[@]} repositories, protocol ${PROTOCOL:-2}, medians of $rounds rounds of $clones clones:"
for name in ours nginx; do
    awk -v name="$name" -v rate="$(median "$name")" -v ours="$(median ours)" 'BEGIN {
        printf "  %-6s %7.0f clones a minute  ours/this %.2f\n", name, rate, ours / rate }'
done
