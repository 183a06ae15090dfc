//! Shows people the difference of trees: git itself does it, with their own pager and colours.

use std::io::{self, PipeWriter};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use super::{GitError, ProjectGit, Result};

/// What is fixed about every difference. The trees are others' work: no program of the user's is to run on what they hold.
/// What of the user's settings would be in the way is overruled.
const FIXED: &[&str] = &[
    "--no-ext-diff",
    "--no-textconv",
    "--no-relative",
    "--submodule=short",
    "--ignore-submodules=none",
    "-O/dev/null",
];

/// Two trees, with the names of their folders in what is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreePair {
    /// The ids of both, as hexadecimal digits.
    pub trees: [String; 2],
    /// The names of both; none, where the paths in the trees say enough.
    pub names: Option<[String; 2]>,
}

/// How differences are shown.
#[derive(Debug, Clone, Copy)]
pub struct Show<'a> {
    /// The git folder of a repository that has the trees, and the settings that count.
    pub git_dir: &'a Path,
    /// An empty folder that stands for the worktree.
    pub worktree: &'a Path,
    /// Whether only the sizes of the changes are wanted.
    pub stat: bool,
    /// Whether to colour; git decides, where `None`.
    pub color: Option<bool>,
    /// Whether standard output is a terminal.
    pub terminal: bool,
    /// The user's setting `pager.diff`.
    pub pager: Option<&'a str>,
}

impl ProjectGit {
    /// Prints differences on standard output, one after the other, through one pager where that is a terminal. That a reader
    /// has had enough is no error.
    ///
    /// # Errors
    /// Fails where git cannot be run, or fails; it has then said why on standard error.
    pub fn show(&self, pairs: &[TreePair], show: &Show<'_>) -> Result<()> {
        let not_run = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => GitError::NotRun { program: "git".into(), source },
            _ => GitError::Process { command: "diff".into(), folder: show.git_dir.to_owned(), source },
        };
        // Whoever interrupts the pager means the pager.
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

    /// Has git start the pager that it would use, where it would use one.
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
        // What is read by a program has to be all that there is: `git apply` takes binary files so only.
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

/// As long as this is kept, an interrupt from the terminal ends the programs that are run, and not this one, which waits
/// for them: else a pager would be left behind with the terminal.
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
