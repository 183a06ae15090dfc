//! How to start an interactive shell so that its prompt shows that it uses the mirror. Nothing is written here.
//!
//! Shells read the user's startup files after they start, and those may replace the prompt and the variables. So the shell
//! reads a startup file of this program instead, which first reads the user's own, then sets the variables again, and
//! adds the mark. The user's files are neither changed nor left out.

use std::path::Path;

use crate::serve::environment::{Format, Variable, format};

/// The mark in front of the prompt.
const MARK: &str = "(hexmirror) ";

/// How to start a shell.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::ops) struct Start {
    /// The arguments.
    pub arguments: Vec<String>,
    /// The environment variables to set.
    pub variables: Vec<(&'static str, String)>,
    /// The files to write into the folder: their names and contents.
    pub files: Vec<(&'static str, String)>,
}

/// A shell, by the startup files that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Kind {
    Bash,
    Zsh,
    Fish,
    /// Any shell that reads the file in `ENV` when it is interactive, as POSIX demands.
    Posix,
}

impl Kind {
    /// Returns the kind of a program. `None` if its startup files are unknown, so that its prompt cannot have the mark.
    pub fn of(program: &str) -> Option<Self> {
        match Path::new(program).file_name()?.to_str()? {
            "bash" => Some(Self::Bash),
            "zsh" => Some(Self::Zsh),
            "fish" => Some(Self::Fish),
            "sh" | "dash" | "ash" | "ksh" | "ksh93" | "mksh" | "oksh" | "yash" => Some(Self::Posix),
            _ => None,
        }
    }

    /// Returns how to start the shell. `folder` is an empty folder for its startup files, `set` are the variables that
    /// direct clients to the server, and `existing` reads a variable that the shell would otherwise inherit.
    pub fn start(self, folder: &Path, set: &[Variable], existing: impl Fn(&str) -> Option<String>) -> Start {
        let folder = folder.to_string_lossy();
        let variables = format(set, if self == Self::Fish { Format::Fish } else { Format::Shell });
        match self {
            Self::Bash => Start {
                arguments: vec!["--rcfile".into(), format!("{folder}/bashrc")],
                files: vec![("bashrc", bash(&variables))],
                ..Start::default()
            },
            Self::Fish => Start {
                arguments: vec!["--init-command".into(), format!("source {}", quoted(&format!("{folder}/init.fish")))],
                files: vec![("init.fish", fish(&variables))],
                ..Start::default()
            },
            Self::Zsh => Start {
                variables: vec![("ZDOTDIR", folder.to_string())],
                files: vec![
                    (".zshenv", zshenv(&folder, existing("ZDOTDIR").as_deref())),
                    (".zshrc", zshrc(&folder, &variables)),
                ],
                ..Start::default()
            },
            Self::Posix => Start {
                variables: vec![("ENV", format!("{folder}/shrc"))],
                files: vec![("shrc", posix(&variables, existing("ENV").as_deref()))],
                ..Start::default()
            },
        }
    }
}

/// `PROMPT_COMMAND` runs before each prompt, and programs such as starship set the prompt there.
fn bash(variables: &str) -> String {
    format!(
        "if [ -f ~/.bashrc ]; then . ~/.bashrc; fi\n\
         {variables}\
         __hexmirror_mark() {{ case $PS1 in *'{MARK}'*) ;; *) PS1='{MARK}'$PS1 ;; esac; }}\n\
         PROMPT_COMMAND=\"${{PROMPT_COMMAND:+$PROMPT_COMMAND\n}}__hexmirror_mark\"\n"
    )
}

/// zsh reads its startup files from `ZDOTDIR`, which the user's own `.zshenv` may change.
fn zshenv(folder: &str, own: Option<&str>) -> String {
    let restored = own.map_or("unset ZDOTDIR\n".into(), |own| format!("export ZDOTDIR={}\n", quoted(own)));
    format!(
        "{restored}\
         if [[ -r ${{ZDOTDIR:-$HOME}}/.zshenv ]]; then . ${{ZDOTDIR:-$HOME}}/.zshenv; fi\n\
         __hexmirror_zdotdir=${{ZDOTDIR-}}\n\
         export ZDOTDIR={}\n",
        quoted(folder)
    )
}

fn zshrc(folder: &str, variables: &str) -> String {
    let folder = quoted(folder);
    format!(
        "if [[ -n $__hexmirror_zdotdir ]]; then export ZDOTDIR=$__hexmirror_zdotdir; else unset ZDOTDIR; fi\n\
         unset __hexmirror_zdotdir\n\
         if [[ ${{HISTFILE-}} == {folder}/* ]]; then HISTFILE=${{ZDOTDIR:-$HOME}}/.zsh_history; fi\n\
         if [[ -r ${{ZDOTDIR:-$HOME}}/.zshrc ]]; then . ${{ZDOTDIR:-$HOME}}/.zshrc; fi\n\
         {variables}\
         __hexmirror_mark() {{ [[ $PROMPT == *'{MARK}'* ]] || PROMPT='{MARK}'$PROMPT }}\n\
         autoload -Uz add-zsh-hook && add-zsh-hook precmd __hexmirror_mark\n"
    )
}

/// fish runs this after the user's configuration.
fn fish(variables: &str) -> String {
    format!(
        "{variables}\
         if functions --query fish_prompt\n    \
             functions --copy fish_prompt __hexmirror_prompt\n\
         else\n    \
             function __hexmirror_prompt; echo '> '; end\n\
         end\n\
         function fish_prompt; printf '%s' '{MARK}'; __hexmirror_prompt; end\n"
    )
}

fn posix(variables: &str, own: Option<&str>) -> String {
    let restored = own.map_or("unset ENV\n".into(), |own| {
        // The shell would expand variables in the value.
        format!("export ENV={}\neval \"__hexmirror_env=\\\"$ENV\\\"\"\nif [ -r \"$__hexmirror_env\" ]; then . \"$__hexmirror_env\"; fi\n", quoted(own))
    });
    format!("{restored}{variables}PS1='{MARK}'${{PS1-'$ '}}\n")
}

/// Quotes a text for a POSIX shell, zsh or fish.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
