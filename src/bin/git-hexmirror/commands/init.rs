//! `init`

use std::io::IsTerminal;

use git_hexmirror::ops::{self, Initialised};

use super::hooks;
use crate::cli::Outcome;
use crate::output::{GOOD, styled};
use crate::report;
use crate::session::Session;

/// Make the mirror branch, or adopt the one that a remote has
///
/// Where a remote such as origin has the branch already, the local one is made from it; else it is made empty. Git asks the
/// remote only where nothing is known of its mirror, as in a clone of a single branch. Then git's hooks that keep it fresh are installed, beside those that are there. Repeating it changes nothing.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Install no hooks; `git hexmirror hooks install` does it later
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
            output.say(format!("the mirror branch {branch} is there, at {}", short(commit)));
        }
        Initialised::Adopted { remote, commit } => {
            output.say(styled(GOOD, "adopted") + format!(" {branch} from {remote}, at {}", short(commit)));
        }
        Initialised::Made { .. } => {
            output.say(
                styled(GOOD, "made") + format!(" the mirror branch {branch}; fill it with `git hexmirror update`"),
            );
        }
    }
    // A bare repository has nothing checked out, and is seldom pushed from.
    if !arguments.no_hooks && project.repository.worktree().is_some() {
        // The mirror is there; without hooks it only has to be thought of.
        if let Err(error) = hooks::install(output, &project) {
            report::warn(session, &error);
        }
    }
    Ok(0)
}

/// The first digits of a commit's id.
pub fn short(commit: git_hexmirror::store::ObjectId) -> String {
    commit.to_hex_with_len(10).to_string()
}
