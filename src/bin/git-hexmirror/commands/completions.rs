//! `completions`

use clap_complete::Shell;

use crate::outcome::{CommandError, Outcome};
use crate::session::Session;

const NAME: &str = "git-hexmirror";

/// Adds the names of packages and remotes to the generated completion for bash, `_hexmirror_words`.
const BASH_NAMES: &str = r#"
_hexmirror() {
    _hexmirror_words "$@"
    [[ $2 == -* ]] && return
    local word names=
    case $3 in
        --accept-older) names=packages ;;
        -C | --branch | --lock | --color | -n) return ;;
        *)
            for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
                case $word in
                    list | log | diff) names=packages && break ;;
                    push | pull) names=remotes && break ;;
                esac
            done
            ;;
    esac
    [[ -z $names ]] || COMPREPLY+=($(compgen -W "$(git hexmirror __complete "$names" 2>/dev/null)" -- "$2"))
}
"#;

/// Offers the names of packages and remotes in zsh.
const ZSH_NAMES: &str = r#"
_git_hexmirror_names() {
    local -a names
    names=(${(f)"$(git hexmirror __complete $1 2>/dev/null)"})
    compadd -a names
}
"#;

/// Offers the names of packages and remotes in fish.
const FISH_NAMES: &str = r#"
for command in list log diff
    complete -c git-hexmirror -n "__fish_git_hexmirror_using_subcommand $command" -f -a "(git hexmirror __complete packages 2>/dev/null)"
end
for command in push pull
    complete -c git-hexmirror -n "__fish_git_hexmirror_using_subcommand $command" -f -a "(git hexmirror __complete remotes 2>/dev/null)"
end
"#;

/// Completes `git hexmirror` in bash. git's own completion calls this function, with the words of the line in `words`, and with
/// `nospace` set.
const BASH: &str = r#"
_git_hexmirror() {
    local at
    for (( at = 1; at < cword; at++ )); do
        [[ ${words[at]} == hexmirror ]] && break
    done
    local COMP_WORDS=(git-hexmirror "${words[@]:at + 1}") COMP_CWORD=$(( cword - at ))
    compopt +o nospace 2>/dev/null
    _hexmirror git-hexmirror "$cur" "$prev"
}
"#;

/// Completes `git hexmirror` in fish with the completions of `git-hexmirror`.
const FISH: &str = r#"
function __fish_git_hexmirror_after_git
    set -l words (commandline -opc)
    set -e words[1]
    contains -- hexmirror $words
end

function __fish_git_hexmirror_below_git
    set -l words (commandline -opc)
    while set -q words[1]; and test "$words[1]" != hexmirror
        set -e words[1]
    end
    set -e words[1]
    complete -C "git-hexmirror $words "(commandline -ct)
end

complete -c git -n "not __fish_git_hexmirror_after_git; and __fish_use_subcommand" -f -a hexmirror -d "Store what the locks pin"
complete -c git -n __fish_git_hexmirror_after_git -f -a "(__fish_git_hexmirror_below_git)"
"#;

/// Print a completion script for a shell
///
/// The scripts for bash, zsh and fish also complete `git hexmirror`. For bash, save the script as
/// ~/.local/share/bash-completion/completions/git-hexmirror; for zsh, as _git-hexmirror in a folder of $fpath; for fish, add
/// `git hexmirror completions fish | source` to config.fish.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    shell: Shell,
}

pub fn run(session: &Session, arguments: &Arguments, program: &clap::Command) -> Outcome {
    let script = match arguments.shell {
        // The generator for bash mistakes a `-` in the program's name for a separator between subcommands.
        Shell::Bash => {
            let script =
                generated(program, Shell::Bash, "hexmirror").replacen("_hexmirror() {", "_hexmirror_words() {", 1);
            let (functions, registered) = script.split_at(script.rfind("\nif ").unwrap_or(script.len()));
            let registered = registered.replace("default hexmirror\n", "default git-hexmirror\n");
            format!("{functions}{BASH_NAMES}{registered}{BASH}")
        }
        Shell::Fish => generated(program, Shell::Fish, NAME) + FISH_NAMES + FISH,
        // git's completion for zsh shows this description beside the command.
        Shell::Zsh => with_names(&generated(program, Shell::Zsh, NAME)).replacen(
            '\n',
            &format!("\n#description store what the locks pin in this repository\n{ZSH_NAMES}"),
            1,
        ),
        shell => generated(program, shell, NAME),
    };
    session.output.raw(script.as_bytes()).map_err(CommandError::Print)?;
    Ok(0)
}

/// Offers names instead of files for the packages and remotes in a script for zsh.
fn with_names(script: &str) -> String {
    let line = |line: &str| {
        let names = [
            ("'*::packages -- ", "packages"),
            ("'*::arguments -- ", "packages"),
            ("'*--accept-older=[", "packages"),
            ("'::remote -- ", "remotes"),
        ];
        let named = names.into_iter().find(|(begin, _)| line.starts_with(begin));
        match named.zip(line.strip_suffix(":_default' \\")) {
            Some(((_, names), line)) => format!("{line}: _git_hexmirror_names {names}' \\\n"),
            None => format!("{line}\n"),
        }
    };
    script.lines().map(line).collect()
}

/// Returns the script for a program of this name, without hidden commands, which the generators would offer.
fn generated(program: &clap::Command, shell: Shell, name: &str) -> String {
    let shown = program.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let command = clap::Command::new(NAME).version(env!("CARGO_PKG_VERSION")).args(program.get_arguments().cloned());
    // `generate` panics if it cannot write, for example to a closed pager.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command.subcommands(shown), name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
