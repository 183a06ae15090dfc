#!/usr/bin/env bash
# Builds every fuzz target, runs each for a number of seconds, and prints the total number of executions. Needs neither a
# nightly toolchain nor cargo-fuzz: RUSTFLAGS enable the instrumentation, as in cargo-fuzz. Only sanitizers would need nightly.
#
#   fuzz/run.sh SECONDS [TARGET …]     runs each of these targets for SECONDS; by default all targets
#
# The inputs found are kept in fuzz/corpus/TARGET, and the next run starts from them. A failing input is written to
# fuzz/artifacts/TARGET, and the exit code is then 1. On a shared machine, run this script under `nice -n 19`.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET …]}
shift
mapfile -t all < <(sed -n 's|^path = "fuzz_targets/\(.*\)\.rs"|\1|p' Cargo.toml)
targets=("${@:-${all[@]}}")
host=$(rustc -vV | sed -n 's/^host: //p')
build=${CARGO_TARGET_DIR:-../target}/fuzz

flags="--cfg fuzzing -Cpasses=sancov-module"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=" -Cllvm-args=-sanitizer-coverage-$option"
done
flags+=" -Ccodegen-units=16"
# Use the package's versions of crates that both depend on.
cp ../Cargo.lock Cargo.lock
RUSTFLAGS="$flags" cargo build --quiet --release --target "$host" --target-dir "$build"

seeds() {
    case $1 in
    tarball) echo seeds/tarball ../fixtures/tarballs ;;
    lock | term_elixir | term_erlang) echo "seeds/$1" ../fixtures/locks ;;
    *) echo "seeds/$1" ;;
    esac
}

total=0 failed=()
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    log="artifacts/$target/log"
    read -ra folders < <(seeds "$target")
    "$build/$host/release/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="artifacts/$target/" "corpus/$target" "${folders[@]}" >"$log" 2>&1 || failed+=("$target")
    count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
    printf '%-12s %12d executions\n' "$target" "${count:-0}"
    total=$((total + ${count:-0}))
done
printf '%-12s %12d executions\n' total "$total"
if [ ${#failed[@]} -gt 0 ]; then
    printf 'failed: %s (see fuzz/artifacts)\n' "${failed[*]}"
    exit 1
fi
