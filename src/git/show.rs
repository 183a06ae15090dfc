//! Shows differences between trees to the user. Git itself prints them, with the user's pager and colours.

use std::io::{self, PipeWriter};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use super::{GitError, ProjectGit, Result};

/// The fixed options of every diff. The trees are untrusted, so no program that the user configured may run on their
/// content. User settings that would interfere are overridden.
const FIXED: &[&str] = &[
    "--no-ext-diff",
    "--no-textconv",
    "--no-relative",
    "--submodule=short",
    "--ignore-submodules=none",
    "-O/dev/null",
];

/// Two trees and the names to show as their top folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreePair {
    /// The ids of both, as hexadecimal digits.
    pub trees: [String; 2],
    /// Both names, or `None` if the paths in the trees are sufficient.
    pub names: Option<[String; 2]>,
}

/// How to show differences.
#[derive(Debug, Clone, Copy)]
pub struct Show<'a> {
    /// The git folder of a repository that contains the trees and the settings that apply.
    pub git_dir: &'a Path,
    /// An empty folder to be used as the worktree.
    pub worktree: &'a Path,
    /// Whether to show only a summary of the changes' sizes.
    pub stat: bool,
    /// Whether to use colours, or `None` to let git decide.
    pub color: Option<bool>,
    /// Whether standard output is a terminal.
    pub terminal: bool,
    /// The user's setting `pager.diff`.
    pub pager: Option<&'a str>,
}

impl ProjectGit {
    /// Prints differences to standard output, one after the other, through one pager if that is a terminal. It is not
    /// an error if the reader quits early.
    ///
    /// # Errors
    /// Fails if git cannot be run or fails. In the latter case git has printed the reason to standard error.
    pub fn show(&self, pairs: &[TreePair], show: &Show<'_>) -> Result<()> {
        let not_run = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => GitError::NotRun { program: "git".into(), source },
            _ => GitError::Process { command: "diff".into(), folder: show.git_dir.to_owned(), source },
        };
        // An interrupt is meant for the pager.
        let _interrupts = Interrupts::ignore().map_err(not_run)?;
        let mut pager = match pairs.len() {
            0 | 1 => None,
            _ => self.start_pager(show).map_err(not_run)?,
        };
        let mut shown = Ok(());
        for pair in pairs {
            let mut command = self.git.show(show.git_dir, show.worktree);
            if let Some((_, writer)) = &pager {
                command.env("GIT_PAGER_IN_USE", "true").stdout(writer.try_clone().map_err(not_run)?);
            }
            let status = compare(&mut command, pair, show).status().map_err(not_run)?;
            if has_had_enough(status) {
                break;
            }
            if !status.success() {
                let message = format!("it ended with {status}");
                let folder = show.git_dir.to_owned();
                shown = Err(GitError::Failed { action: "compare two trees", folder, message });
                break;
            }
        }
        if let Some((mut child, writer)) = pager.take() {
            drop(writer);
            child.wait().map_err(not_run)?;
        }
        shown
    }

    /// Makes git start the pager that it would use itself, if any.
    fn start_pager(&self, show: &Show<'_>) -> io::Result<Option<(Child, PipeWriter)>> {
        let refused = show.pager.is_some_and(|pager| matches!(pager, "false" | "no" | "off" | "0" | "never"));
        if !show.terminal || refused {
            return Ok(None);
        }
        let (reader, writer) = io::pipe()?;
        let mut command = self.git.show(show.git_dir, show.worktree);
        if let Some(pager) = show.pager.filter(|pager| !matches!(*pager, "" | "true" | "yes" | "on" | "1")) {
            command.args(["-c", &format!("core.pager={pager}")]);
        }
        command.args(["--paginate", "-c", "alias.hexmirror-pages=!cat", "hexmirror-pages"]);
        Ok(Some((command.stdin(Stdio::from(reader)).spawn()?, writer)))
    }
}

fn compare<'c>(command: &'c mut Command, pair: &TreePair, show: &Show<'_>) -> &'c mut Command {
    command.arg("diff").args(FIXED).stdin(Stdio::null());
    if show.stat {
        command.arg("--stat");
    } else {
        command.arg("--patch");
        // Output for another program must be complete: `git apply` accepts binary files only in this form.
        if !show.terminal {
            command.args(["--binary", "--full-index"]);
        }
    }
    match show.color {
        Some(true) => drop(command.arg("--color=always")),
        Some(false) => drop(command.arg("--color=never")),
        None => {}
    }
    if let Some([before, after]) = &pair.names {
        command.args([format!("--src-prefix=a/{before}/"), format!("--dst-prefix=b/{after}/")]);
    }
    command.args(["--end-of-options"]).args(&pair.trees).arg("--")
}

#[cfg(unix)]
fn has_had_enough(status: ExitStatus) -> bool {
    use rustix::process::Signal;
    use std::os::unix::process::ExitStatusExt;

    let enough = [Signal::PIPE, Signal::INT].map(Signal::as_raw);
    status.signal().is_some_and(|signal| enough.contains(&signal))
        || status.code().is_some_and(|code| enough.contains(&(code - 128)))
}

#[cfg(not(unix))]
fn has_had_enough(_: ExitStatus) -> bool {
    false
}

/// While this value is alive, an interrupt from the terminal ends the child processes but not this process, which waits
/// for them. Otherwise a pager would be left behind on the terminal.
struct Interrupts {
    #[cfg(unix)]
    _kept: (tokio::signal::unix::Signal, tokio::runtime::Runtime),
}

impl Interrupts {
    #[cfg(unix)]
    fn ignore() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let runtime = crate::runtime::current_thread()?;
        let entered = runtime.enter();
        let interrupt = signal(SignalKind::interrupt())?;
        drop(entered);
        Ok(Self { _kept: (interrupt, runtime) })
    }

    #[cfg(not(unix))]
    fn ignore() -> io::Result<Self> {
        Ok(Self {})
    }
}
