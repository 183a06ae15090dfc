#!/usr/bin/env bash
# Measures `publish` to a bucket of a real S3 server on this machine (moto), and to a folder.
#
#   benches/publish.sh [RELEASES…]     the sizes of the mirrors (default: 105 2000)
#
# HEXMIRROR is the program to measure (default: a release build of this checkout). Times are those of one run, in milliseconds: the
# server, which is written in Python, needs most of it.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

export PATH=$PATH:$PWD/target/moto/bin
for tool in git awk jq /usr/bin/time moto_server; do
    command -v "$tool" >/dev/null || { echo "skipped: missing $tool (Debian: apt-get install git gawk jq time; pip install 'moto[server]')" >&2; exit 0; }
done
. benches/measure.sh

export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-east-1 AWS_ALLOW_HTTP=true
moto_server -H 127.0.0.1 -p 0 >"$work/moto.log" 2>&1 &
until AWS_ENDPOINT_URL=$(grep --only-matching 'http://[0-9.:]*' "$work/moto.log"); do :; done
export AWS_ENDPOINT_URL

written() { # COMMAND…: how many files a dry run would write
    "$@" --dry-run --json | jq '.written | length'
}

[ $# -gt 0 ] || set -- 105 2000
for releases in "$@"; do
    echo "$releases releases"
    synthetic "$releases"
    curl --silent --fail --output /dev/null -X PUT "$AWS_ENDPOINT_URL/bench-$releases"
    bucket=("$hexmirror" -C "$project" --quiet publish "s3://bench-$releases/hex")
    folder=("$hexmirror" -C "$project" --quiet publish "file://$world/www")
    say 'files' "$(written "${bucket[@]}")"
    measure "${bucket[@]}"
    say 'publish, to a bucket: wall ms, CPU s, peak MB' "$wall $cpu $peak"
    measure "${bucket[@]}"
    say '… nothing to do: wall ms, CPU s, peak MB' "$wall $cpu $peak"
    measure "${folder[@]}"
    say 'publish, to a folder: wall ms, CPU s, peak MB' "$wall $cpu $peak"
    measure "${folder[@]}"
    say '… nothing to do: wall ms, CPU s, peak MB' "$wall $cpu $peak"
    cp -r "$world/next/." "$world/upstream/"
    cp "$world/next.lock" "$project/mix.lock"
    "$hexmirror" -C "$project" --quiet update
    say 'files, one new release' "$(written "${bucket[@]}")"
    measure "${bucket[@]}"
    say '… to a bucket: wall ms, CPU s, peak MB' "$wall $cpu $peak"
    measure "${folder[@]}"
    say '… to a folder: wall ms, CPU s, peak MB' "$wall $cpu $peak"
    exec 9>&-
    rm -rf "$world"
done
