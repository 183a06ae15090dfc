#!/usr/bin/env bash
# Measures each hook when it has nothing to do. Runs the hook as git does: the installed script starts the program. Also measures
# the program alone and, as the baseline, `git rev-parse HEAD` in the same run. Requires git and no network.
#
#   benches/hooks.sh [ENTRIES…]     the numbers of packages in the lock (default: 100 2000)
#
# With FILES=100000 LOCKS=50, the project is a monorepo: so many more tracked files, and so many more projects with the same lock.
# With PACKS=302, the repository has so many more packs of one object each, as after updates without git's maintenance.
# Prints medians of ROUNDS (200) rounds, in which the commands alternate.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

[ $# -gt 0 ] || set -- 100 2000
rounds=${ROUNDS:-200}
files=${FILES:-0}
locks=${LOCKS:-0}
packs=${PACKS:-0}
limit=3.00

cargo build --quiet --release --locked --bins --example synthetic_mirror --example take_turns
bin=$(realpath "${CARGO_TARGET_DIR:-target}/release")
hexmirror=$bin/git-hexmirror

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/home"
export HOME=$work/home GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=Figures GIT_AUTHOR_EMAIL=figures@example.com GIT_COMMITTER_NAME=Figures GIT_COMMITTER_EMAIL=figures@example.com

monorepo() { # FOLDER: adds $files files, ten in each folder, and $locks projects with the lock
    awk -v root="$1/apps" -v files="$files" -v per=10 'BEGIN {
        for (n = 0; n < files; n += per) print root "/" int(n / 1000) "/lib/" n }' | xargs -r mkdir -p
    awk -v root="$1/apps" -v files="$files" -v per=10 'BEGIN {
        for (n = 0; n < files; n++) {
            file = root "/" int(n / 1000) "/lib/" (n - n % per) "/" n ".ex"
            print n > file
            close(file)
        }
    }'
    for number in $(seq "$locks"); do
        mkdir -p "$1/apps/$number"
        cp "$1/mix.lock" "$1/apps/$number/mix.lock"
        touch "$1/apps/$number/mix.exs"
    done
}

packs() { # FOLDER: adds $packs packs
    for number in $(seq "$packs"); do
        echo "$number" | git -C "$1" hash-object -w --stdin | git -C "$1" pack-objects --quiet "$1/.git/objects/pack/pack" >/dev/null
    done
    git -C "$1" prune-packed
}

project() { # FOLDER ENTRIES: `main` with a lock that is mirrored, `code` with the same lock, `less` with a smaller one
    "$bin/examples/synthetic_mirror" "$1" "$2"
    monorepo "$1"
    git init --quiet --bare "$1.remote"
    git -C "$1" remote add origin "$1.remote"
    # Maintenance in the background would disturb the measurement.
    git -C "$1" config gc.auto 0
    git -C "$1" config maintenance.auto false
    git -C "$1" symbolic-ref HEAD refs/heads/less
    sed '3d' "$1/mix.lock" >"$1/less.lock"
    mv "$1/mix.lock" "$work/whole.lock"
    mv "$1/less.lock" "$1/mix.lock"
    git -C "$1" add --all
    git -C "$1" commit --quiet --message=Begin
    git -C "$1" switch --quiet --create main
    mv "$work/whole.lock" "$1/mix.lock"
    git -C "$1" commit --quiet --all --message=Lock
    git -C "$1" switch --quiet --create code
    git -C "$1" commit --quiet --allow-empty --message=Code
    git -C "$1" push --quiet origin less main hexmirror
    git -C "$1" gc --quiet
    packs "$1"
    "$hexmirror" -C "$1" --quiet hooks install
    "$hexmirror" -C "$1" --quiet status >/dev/null
}

rows() { # FOLDER: prints a line for each hook: description, name, standard input, arguments
    local folder=$1 less main code zero=0000000000000000000000000000000000000000
    less=$(git -C "$folder" rev-parse less) main=$(git -C "$folder" rev-parse main) code=$(git -C "$folder" rev-parse code)
    git -C "$folder" update-ref ORIG_HEAD main
    echo "refs/heads/code $code refs/heads/main $main" >"$folder.same"
    # A remote whose mirror was fetched, and which has no branch with this lock. If pre-push pushed the mirror, it would contact the
    # remote.
    git -C "$folder" config hexmirror.prePush check
    echo "refs/heads/code $code refs/heads/less $less" >"$folder.lock"
    git -C "$folder" update-ref refs/remotes/other/less less
    git -C "$folder" update-ref refs/remotes/other/hexmirror hexmirror
    git -C "$folder" config remote.other.url "$folder.remote"
    echo "$main $code" >"$folder.rewritten"
    echo "$less $code" >"$folder.relocked"
    printf '%s\t%s\t%s\t%s\n' \
        "pre-push, no lock changed" pre-push "$folder.same" "origin $folder.remote" \
        "pre-push, only checks a lock the remote's has" pre-push "$folder.lock" "other $folder.remote" \
        "post-checkout, no lock changed" post-checkout /dev/null "$main $code 1" \
        "post-checkout, a lock that the mirror has" post-checkout /dev/null "$less $code 1" \
        "post-checkout, of files" post-checkout /dev/null "$main $code 0" \
        "post-checkout, a new worktree or clone" post-checkout /dev/null "$zero $code 1" \
        "post-merge, no lock changed" post-merge /dev/null "0" \
        "post-merge, a squash" post-merge /dev/null "1" \
        "post-rewrite, no lock changed" post-rewrite "$folder.rewritten" "rebase" \
        "post-rewrite, a lock that the mirror has" post-rewrite "$folder.relocked" "rebase"
}

echo "$(nproc) cores, $(git --version), $("$hexmirror" --version)"
for entries in "$@"; do
    folder=$work/$entries
    project "$folder" "$entries" 2>/dev/null
    rows "$folder" >"$work/rows"
    {
        printf '/dev/null\tgit\trev-parse\tHEAD\n'
        printf '/dev/null\t%s\t--version\n' "$hexmirror"
        printf '/dev/null\tsh\t-c\t:\n'
        printf '/dev/null\t%s\tstatus\n' "$hexmirror"
        while IFS=$'\t' read -r _ hook input arguments; do
            script=$folder/.git/hooks/$hook
            printf '%s\t%s\t%s\n' "$input" "$script" "${arguments// /$'\t'}"
            printf '%s\t%s\thook\t%s\t%s\n' "$input" "$hexmirror" "$hook" "${arguments// /$'\t'}"
        done <"$work/rows"
    } >"$work/commands"
    printf '\n%s entries in the lock, %s tracked files, %s locks (limit, for the hook as installed: %s)\n' \
        "$entries" "$(git -C "$folder" ls-files | wc -l)" "$((locks + 1))" "$limit"
    echo "  $(find "$folder/.git/objects/pack" -name '*.pack' | wc -l) packs"
    "$bin/examples/take_turns" "$rounds" "$folder" <"$work/commands" >"$work/times"
    {
        read -r git && read -r bare && read -r shell && read -r status
        echo "  git rev-parse HEAD $git ms; the bare start of the program $bare ms, of a shell $shell ms"
        awk -v git="$git" -v status="$status" -v limit="$limit" 'BEGIN {
            missed = status / git > limit ? " MISSED" : ""
            printf "  %-48s %.2f ms, ratio %.2f%s\n", "status", status, status / git, missed }'
        while IFS=$'\t' read -r what hook input arguments <&3; do
            read -r installed && read -r alone
            awk -v what="$what" -v git="$git" -v installed="$installed" -v alone="$alone" -v limit="$limit" 'BEGIN {
                missed = installed / git > limit ? " MISSED" : ""
                printf "  %-48s %.2f ms, ratio %.2f%s; the program alone %.2f ms, ratio %.2f\n",
                    what, installed, installed / git, missed, alone, alone / git }'
            printf '    $ .git/hooks/%s %s <%s\n' "$hook" "$arguments" "$(head -1 "$input")" |
                sed -E "s|$work/||g; s/([0-9a-f]{7})[0-9a-f]{33}/\1/g"
        done 3<"$work/rows"
    } <"$work/times"
done
