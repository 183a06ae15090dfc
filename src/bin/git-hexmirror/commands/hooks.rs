//! `hooks`

use std::path::PathBuf;

use clap::Subcommand;
use git_hexmirror::hook::Hook;
use git_hexmirror::hook::install::State;
use git_hexmirror::ops::{self, OpError, Project};
use serde_json::json;

use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{CHANGED, DIM, GOOD, Output, Text, styled};
use crate::session::Session;

/// Install, uninstall or show the git hooks that keep the mirror fresh
///
/// The pre-push hook checks that the mirror has everything that the pushed commits need, and pushes the mirror too. The
/// post-checkout, post-merge and post-rewrite hooks report if the mirror lacks something for the locks that are checked out.
/// Existing hooks run first, with the same arguments and input; `uninstall` restores them.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Install the hooks; running this again changes nothing
    Install,
    /// Uninstall the hooks and restore the previous ones
    Uninstall,
    /// Show the state of each hook
    Status(Json),
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    match arguments.action {
        Action::Install => install(&session.output, &project)?,
        Action::Uninstall => {
            let changed = ops::uninstall_hooks(&project, &binary()?)?;
            say(&session.output, &project, &changed, "uninstalled")?;
        }
        Action::Status(json) => status(&session.output, &project, json)?,
    }
    Ok(0)
}

/// Installs the hooks and prints what changed.
pub fn install(output: &Output, project: &Project) -> Result<(), CommandError> {
    let changed = ops::install_hooks(project, &binary()?)?;
    say(output, project, &changed, "installed")
}

fn say(output: &Output, project: &Project, changed: &[Hook], verb: &str) -> Result<(), CommandError> {
    let names: Vec<&str> = changed.iter().map(|hook| hook.name()).collect();
    let folder = ops::hooks_dir(project, &binary()?)?.folder().display().to_string();
    match names[..] {
        [] => output.say(format!("the hooks in {folder} need no change")),
        _ => output.say(styled(GOOD, verb) + format!(" the hooks {} in {folder}", names.join(", "))),
    }
    Ok(())
}

fn status(output: &Output, project: &Project, json: Json) -> Result<(), CommandError> {
    let states = ops::hook_states(project, &binary()?)?;
    let folder = ops::hooks_dir(project, &binary()?)?.folder().display().to_string();
    if json.json {
        let hooks = states.iter().map(|(hook, state)| json!({ "hook": hook.name(), "state": word(*state) }));
        let document = json!({ "folder": folder, "hooks": hooks.collect::<Vec<_>>() });
        return output.json(&document).map_err(CommandError::Print);
    }
    for (hook, state) in states {
        let style = if matches!(state, State::Installed | State::Chained) { GOOD } else { CHANGED };
        let line = Text::from(format!("{:14} ", hook.name())) + styled(style, word(state));
        output.result(line).map_err(CommandError::Print)?;
    }
    output.say(styled(DIM, format!("in {folder}")));
    Ok(())
}

fn word(state: State) -> &'static str {
    match state {
        State::Absent => "absent",
        State::Foreign => "foreign",
        State::Installed => "installed",
        State::Chained => "installed beside another",
        State::Outdated => "outdated",
    }
}

fn binary() -> Result<PathBuf, OpError> {
    let path = || std::env::args_os().next().unwrap_or_default().into();
    std::env::current_exe().map_err(|source| OpError::Machine {
        action: "find the executable of",
        path: path(),
        source,
    })
}
