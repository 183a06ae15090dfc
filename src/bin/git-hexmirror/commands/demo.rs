//! `demo`

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use git_hexmirror::ops::{Demo, OpError};
use tempfile::TempDir;

use crate::options::Color;
use crate::outcome::{CommandError, Outcome};
use crate::output::{BOLD, DIM, GOOD, Output, styled};
use crate::session::Session;

const NEXT: &str = "
Next, in your own project with a mix.lock, rebar.lock or manifest.toml:
  git hexmirror init
  git hexmirror update
  git hexmirror run -- mix deps.get      (or rebar3 get-deps; works offline)
  git hexmirror --help                   (all commands)";

/// What works in the sample project after its upstream has stopped.
const OFFLINE: &str = "\
  git hexmirror list
  git hexmirror status --settings
  git hexmirror serve
  git log -p hexmirror";

/// The variables that the commands of the demonstration inherit.
const INHERITED: [&str; 8] = ["PATH", "TMPDIR", "LANG", "LC_ALL", "TERM", "COLORTERM", "COLUMNS", "NO_COLOR"];

/// Demonstrate all steps on a sample project, without network access and without touching your files
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Keep the sample project, in DIR if given, and print how to continue
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    keep: Option<Option<PathBuf>>,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let output = &session.output;
    let temporary = temporary_folder()?;
    let (project, is_kept) = match &arguments.keep {
        None => (temporary.path().join("project"), false),
        Some(None) => (temporary_folder()?.keep(), true),
        Some(Some(folder)) => (unused(session.path(folder))?, true),
    };
    let stage = Stage { output, home: temporary.path(), project: &project };
    stage.play_all()?;
    let finish = || {
        output.result(styled(GOOD, "All steps succeeded."))?;
        if is_kept {
            output.result("")?;
            output.result("The sample project's upstream has stopped. Without it you can still run, for example:")?;
            output.result(format!("  cd {}", project.display()))?;
            OFFLINE.lines().try_for_each(|line| output.result(line))?;
        }
        NEXT.lines().try_for_each(|line| output.result(line))
    };
    finish().map_err(CommandError::Print)?;
    Ok(0)
}

fn temporary_folder() -> Result<TempDir, OpError> {
    let not_made =
        |source| OpError::Machine { action: "create a temporary folder in", path: std::env::temp_dir(), source };
    tempfile::Builder::new().prefix("hexmirror-demo-").tempdir().map_err(not_made)
}

/// Returns the folder if it is empty or does not exist.
fn unused(folder: PathBuf) -> Result<PathBuf, CommandError> {
    let is_unused = match fs::read_dir(&folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    is_unused.then_some(folder.clone()).ok_or_else(|| CommandError::Usage {
        message: format!("cannot create the sample project in {}: it is not an empty folder", folder.display()),
        hint: "pass a folder that does not exist: git hexmirror demo --keep DIR",
    })
}

/// Where the demonstration takes place.
struct Stage<'a> {
    output: &'a Output,
    /// An empty home folder, so that the user's own settings have no effect.
    home: &'a Path,
    project: &'a Path,
}

impl Stage<'_> {
    fn play_all(&self) -> Result<(), CommandError> {
        let demo = Demo::create(self.project)?;
        self.say("A new project: its mix.lock pins two packages of a small Hex repository on this machine.")?;
        self.play(&["init"], 0)?;
        self.play(&["update"], 0)?;
        self.play(&["status"], 0)?;
        demo.update_greeting()?;
        self.say("The lock changes, as after `mix deps.update greeting`.")?;
        self.play(&["status"], 1)?;
        self.play(&["update"], 0)?;
        demo.stop_upstream()?;
        self.say("The Hex repository stops. From here on, everything comes from the mirror.")?;
        self.play(&["verify"], 0)?;
        self.play(&["list"], 0)?;
        self.say("mix, rebar3 and git fetch from the mirror when `run` starts them. This shows the address for mix:")?;
        self.play(&["run", "--", "printenv", "HEX_MIRROR"], 0)
    }

    fn say(&self, line: &str) -> Result<(), CommandError> {
        self.output.result(styled(DIM, format!("# {line}"))).map_err(CommandError::Print)
    }

    /// Runs this program in the sample project. Its output goes where the output of `demo` goes.
    fn play(&self, arguments: &[&str], expected: i32) -> Result<(), CommandError> {
        let line = format!("git hexmirror {}", arguments.join(" "));
        self.output.result(styled(BOLD, format!("$ {line}"))).map_err(CommandError::Print)?;
        let failed = |problem: String| OpError::Sample { problem: format!("`{line}` {problem}") };
        let program = std::env::current_exe().map_err(|error| failed(format!("cannot be run: {error}")))?;
        let mut command = Command::new(program);
        command.args(self.options()).args(arguments).current_dir(self.project).stdin(Stdio::null());
        command.env_clear().envs(inherited()).env("HOME", self.home).env("GIT_CONFIG_NOSYSTEM", "1");
        let status = command.status().map_err(|error| failed(format!("cannot be run: {error}")))?;
        if status.code() != Some(expected) {
            return Err(failed(format!("ended with {status}, expected {expected}")).into());
        }
        self.output.result("").map_err(CommandError::Print)
    }

    /// Returns the options for output that this process was started with.
    fn options(&self) -> impl Iterator<Item = &'static str> {
        let color = match self.output.choice {
            Color::Auto => None,
            Color::Always => Some("--color=always"),
            Color::Never => Some("--color=never"),
        };
        let quiet = self.output.quiet.then_some("--quiet");
        color.into_iter().chain(quiet).chain(self.output.verbose.then_some("--verbose"))
    }
}

fn inherited() -> impl Iterator<Item = (&'static str, OsString)> {
    INHERITED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)))
}
