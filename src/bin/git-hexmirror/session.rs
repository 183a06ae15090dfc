//! The state that all commands share: the global options, the environment, the project.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

use git_hexmirror::config::{FILE, Layer, Setting, UnknownKey};
use git_hexmirror::model::Remote;
use git_hexmirror::ops::{self, Environment, LockFile, LockText, MirrorSource, OpError, Project, Rebar3Key};
use git_hexmirror::progress::Progress;
use git_hexmirror::store::StoreError;

use crate::bars::Bars;
use crate::options::Global;
use crate::output::{CHANGED, Output, styled};

/// How many inactive settings a warning names before it only counts the rest.
const NAMED: usize = 3;

pub struct Session {
    pub output: Output,
    directory: PathBuf,
    flags: Layer,
    /// Whether the warning about inactive settings was printed.
    warned: Cell<bool>,
}

impl Session {
    pub fn new(global: &Global, output: Output) -> Self {
        let flags = Layer {
            branch: global.branch.clone(),
            locks: (!global.locks.is_empty()).then(|| global.locks.clone()),
            ..Layer::default()
        };
        let directory = global.directory.clone().unwrap_or_else(|| ".".into());
        // Error messages contain this path, where "." would not help the user.
        let directory = std::path::absolute(&directory).unwrap_or(directory);
        Self { output, directory, flags, warned: Cell::new(false) }
    }

    /// Opens the project of the current folder, or of the folder of `-C`. The first call warns about inactive settings of the
    /// tracked file, and about unknown ones.
    pub fn project(&self) -> Result<Project, OpError> {
        let project = self.quiet_project()?;
        if !self.warned.replace(true) {
            for line in inactive_line(&project).into_iter().chain(unknown_lines(&project)) {
                self.output.say(styled(CHANGED, "warning:") + format!(" {line}"));
            }
        }
        Ok(project)
    }

    /// Opens the project for a command that reads the mirror. Says which mirror that is, unless it is the local branch.
    pub fn reading_project(&self) -> Result<Project, OpError> {
        let project = self.project()?;
        let Some(MirrorSource { remote: Some(remote), .. }) = ops::mirror_source(&project)? else { return Ok(project) };
        self.output.say(reading_line(&project, &remote)?);
        Ok(project)
    }

    /// Opens the project without the warning, for a command that shows all settings.
    pub fn quiet_project(&self) -> Result<Project, OpError> {
        Project::open(&self.directory, self.flags.clone(), environment())
    }

    /// Returns the folder that the command runs in.
    pub fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// Resolves a path of the command line relative to the folder of `-C`.
    pub fn path(&self, path: &std::path::Path) -> PathBuf {
        self.directory.join(path)
    }

    /// Returns the project's locks; outside of a repository, those of the current folder or the folder of `-C`.
    pub fn locks(&self) -> Result<Vec<LockText>, OpError> {
        match self.project() {
            Ok(project) => {
                let text = |lock: LockFile| {
                    let bytes = lock.bytes(&project.repository)?.into_owned();
                    Ok(LockText { file: lock.file, bytes })
                };
                project.locks()?.into_iter().map(text).collect()
            }
            Err(OpError::Store(StoreError::NotARepository { .. })) => {
                ops::locks_in(&self.directory, self.flags.locks.as_deref())
            }
            Err(error) => Err(error),
        }
    }

    /// Returns a progress bar, which is hidden without a terminal.
    pub fn progress(&self) -> Arc<dyn Progress> {
        Arc::new(Bars::new(&self.output))
    }
}

/// Says which line rebar3's configuration lacks to accept the mirror. Commands go on if that cannot be found out.
pub fn say_rebar3_key(output: &Output, project: &Project) {
    if let Ok(Some(Rebar3Key { file, line })) = ops::lacking_rebar3_key(project) {
        output.say(format!(
            "git-hexmirror: rebar3 does not have the key that the settings give hexpm; add this line to {}:",
            file.display()
        ));
        output.say(format!("  {line}"));
    }
}

/// Says that a remote's mirror is read, as last fetched, and why.
///
/// # Errors
/// Fails if the local branch cannot be read.
pub fn reading_line(project: &Project, remote: &Remote) -> Result<String, OpError> {
    let branch = &project.branch;
    let why = match project.repository.tip(branch)? {
        None => String::new(),
        Some(_) => format!("; {}", behind_line(project, remote)),
    };
    Ok(format!("git-hexmirror: reading {remote}'s {branch}, as last fetched{why}"))
}

/// Describes a local mirror that is not read because a remote's, as last fetched, is better.
pub fn behind_line(project: &Project, remote: &Remote) -> String {
    let branch = &project.branch;
    if ops::has_dropped(project, remote).unwrap_or(false) {
        return format!("the local {branch} has dropped some of it: run `git hexmirror update`");
    }
    format!("the local {branch} is behind: run `git hexmirror pull {remote}`")
}

/// Names the keys in git's configuration that no setting has.
fn unknown_lines(project: &Project) -> impl Iterator<Item = String> {
    ops::unknown_settings(project).into_iter().map(|UnknownKey { key, nearest }| {
        let nearest = nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default();
        format!("no setting is called {key}, so it has no effect{nearest}")
    })
}

/// Returns one line that names the tracked settings that are inactive until the user allows them; `None` if there are none.
fn inactive_line(project: &Project) -> Option<String> {
    let names: Vec<String> = project.tracked.inactive().map(Setting::name).collect();
    let more = names.len().saturating_sub(NAMED);
    let named = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let verb = if names.len() == 1 { "is" } else { "are" };
    (!names.is_empty()).then(|| {
        format!("{named}{more} in {FILE} {verb} inactive until you allow them; run `git hexmirror trust` for details")
    })
}

/// Reads the environment for the library, which never does so itself.
pub fn environment() -> Environment {
    let pairs = std::env::vars_os();
    let variables = pairs.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Environment::new(variables.collect(), std::env::home_dir())
}
