//! `init`

use std::io::IsTerminal;

use git_hexmirror::ops::{self, Initialised, OpError, Project};
use git_hexmirror::plan::LeftOutLock;

use super::hooks;
use crate::outcome::Outcome;
use crate::output::{GOOD, Output, listed, styled};
use crate::report;
use crate::session::Session;

/// How many locks are named before the rest is only counted.
const SHOWN: usize = 5;

/// Create the mirror branch, or adopt a remote's, and install the hooks
///
/// If a remote such as origin already has the branch, the local one starts from it; otherwise it starts empty. The remote is
/// asked only if its mirror was never fetched, as in a single-branch clone. Then this command lists the locks that the mirror
/// follows and the files that are left out, and installs the git hooks that keep the mirror fresh; existing hooks keep running.
/// Running this again changes nothing.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Do not install hooks; `git hexmirror hooks install` installs them later
    #[arg(long)]
    no_hooks: bool,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let branch = &project.branch;
    let output = &session.output;
    let may_ask = output.interactive && std::io::stdin().is_terminal();
    match ops::init(&project, may_ask, session.progress().as_ref())? {
        Initialised::Present { commit } => {
            output.say(format!("the mirror branch {branch} already exists, at {}", short(commit)));
        }
        Initialised::Adopted { remote, commit } => {
            output.say(styled(GOOD, "adopted") + format!(" {branch} from {remote}, at {}", short(commit)));
        }
        Initialised::Made { .. } => {
            output.say(
                styled(GOOD, "created") + format!(" the mirror branch {branch}; run `git hexmirror update` to fill it"),
            );
        }
    }
    locks(output, &project)?;
    // A bare repository has no checkout, and pushes from it are rare.
    if !arguments.no_hooks && project.repository.worktree().is_some() {
        // Without hooks the mirror still works; the user only has to update it by hand.
        if let Err(error) = hooks::install(output, &project) {
            report::warn(session, &error);
        }
    }
    Ok(0)
}

/// Prints which locks the mirror follows, and which files look like locks but are left out.
fn locks(output: &Output, project: &Project) -> Result<(), OpError> {
    let locks = match project.present_locks() {
        Err(OpError::NoLock { .. }) => Vec::new(),
        locks => locks?.into_iter().map(|lock| lock.file).collect(),
    };
    if !locks.is_empty() {
        output.say(format!("the mirror follows {}", listed(&locks, SHOWN)));
    }
    let left_out = project.left_out_locks()?;
    let left_out: Vec<_> = left_out.iter().map(|LeftOutLock { file, reason }| format!("{file} ({reason})")).collect();
    if !left_out.is_empty() {
        output.say(format!("left out: {}; to follow these too, set `locks`", listed(&left_out, SHOWN)));
    }
    Ok(())
}

/// Returns the first digits of a commit's id.
pub fn short(commit: git_hexmirror::store::ObjectId) -> String {
    commit.to_hex_with_len(10).to_string()
}
