//! `hooks`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use git_hexmirror::hook::install::State;
use git_hexmirror::hook::{Hook, call};
use git_hexmirror::ops::{self, HookState, HooksOwner, InstalledHooks, OpError, Project, TemplateHooks};
use serde_json::json;

use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{CHANGED, DIM, GOOD, Output, Text, styled};
use crate::session::{Session, environment};

/// Install, uninstall or show the git hooks that keep the mirror fresh
///
/// The pre-push hook checks that the mirror has everything that the pushed commits need, and pushes the mirror too. The
/// post-checkout, post-merge and post-rewrite hooks report if the mirror lacks something for the locks that are checked out.
/// Existing hooks run first, with the same arguments and input; `uninstall` restores them. Hooks in a folder that the project tracks
/// are not changed: `install` prints the lines to add to them, and `status` recognises those lines, there and in the scripts of husky
/// and the configuration of lefthook.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Install the hooks; running this again changes nothing
    Install(Target),
    /// Uninstall the hooks and restore the previous ones
    Uninstall(Target),
    /// Show the state of each hook
    Status(Json),
}

#[derive(Debug, Clone, Copy, clap::Args)]
struct Target {
    /// For all repositories that are cloned later on this machine (git's init.templateDir); the hooks do nothing in repositories
    /// without a mirror
    #[arg(long)]
    template: bool,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let output = &session.output;
    match arguments.action {
        Action::Install(Target { template: true }) => {
            let TemplateHooks { folder, changed } = ops::install_template(&environment(), &binary()?)?;
            say(output, &folder, &changed, "installed");
        }
        Action::Uninstall(Target { template: true }) => {
            let TemplateHooks { folder, changed } = ops::uninstall_template(&environment(), &binary()?)?;
            say(output, &folder, &changed, "uninstalled");
        }
        Action::Install(_) => install(output, &session.project()?)?,
        Action::Uninstall(_) => {
            let project = session.project()?;
            let changed = ops::uninstall_hooks(&project, &binary()?)?;
            say(output, ops::hooks_dir(&project, &binary()?)?.folder(), &changed, "uninstalled");
        }
        Action::Status(json) => status(output, &session.project()?, json)?,
    }
    Ok(0)
}

/// Installs the hooks and prints what changed.
pub fn install(output: &Output, project: &Project) -> Result<(), CommandError> {
    let binary = binary()?;
    let InstalledHooks { changed, tracked } = ops::install_hooks(project, &binary)?;
    let folder = ops::hooks_dir(project, &binary)?.folder().to_owned();
    if tracked.is_empty() {
        say(output, &folder, &changed, "installed");
        if let Some(scripts) = husky_scripts(&folder).filter(|_| !changed.is_empty()) {
            output.say(
                "husky replaces the hooks in this folder when packages are installed; to keep them, add these lines:",
            );
            changed.into_iter().for_each(|hook| say_line(output, scripts, hook));
        }
    } else {
        output.say(styled(CHANGED, "not installed:") + TRACKED);
        tracked.into_iter().for_each(|hook| say_line(output, &folder, hook));
    }
    Ok(())
}

/// Returns the folder of the project's scripts if a folder of hooks is the one that husky writes (since its version 9).
fn husky_scripts(folder: &Path) -> Option<&Path> {
    folder.parent().filter(|_| folder.ends_with("_") && folder.join("h").is_file())
}

/// Why hooks are not installed.
const TRACKED: &str = " the project tracks its hooks, so everyone would get a change; add these lines to them";

/// Prints the line to add to a hook.
fn say_line(output: &Output, folder: &Path, hook: Hook) {
    say_lines(output, folder, hook, &call::line(hook));
}

fn say_lines(output: &Output, folder: &Path, hook: Hook, line: &str) {
    output.say(format!("{}:", folder.join(hook.name()).display()));
    output.say(format!("  {line}"));
}

fn say(output: &Output, folder: &Path, changed: &[Hook], verb: &str) {
    let names: Vec<&str> = changed.iter().map(|hook| hook.name()).collect();
    let folder = folder.display();
    match names[..] {
        [] => output.say(format!("the hooks in {folder} need no change")),
        _ => output.say(styled(GOOD, verb) + format!(" the hooks {} in {folder}", names.join(", "))),
    }
}

fn status(output: &Output, project: &Project, json: Json) -> Result<(), CommandError> {
    let states = ops::hook_states(project, &binary()?)?;
    let folder = ops::hooks_dir(project, &binary()?)?.folder().to_owned();
    if json.json {
        let hooks = states.iter().map(|HookState { hook, state, caller }| {
            let mut document =
                json!({ "hook": hook.name(), "state": caller.as_ref().map_or(word(*state), |_| "called") });
            if let Some(caller) = caller {
                document["caller"] = json!(caller);
            }
            document
        });
        let document = json!({ "folder": folder.display().to_string(), "hooks": hooks.collect::<Vec<_>>() });
        return output.json(&document).map_err(CommandError::Print);
    }
    let mut lacking = Vec::new();
    for HookState { hook, state, caller } in states {
        let is_good = caller.is_some() || state.is_good();
        lacking.extend((!is_good).then_some(hook));
        let shown = caller.map_or(word(state).to_owned(), |caller| format!("called by {caller}"));
        let line = Text::from(format!("{:14} ", hook.name())) + styled(if is_good { GOOD } else { CHANGED }, shown);
        output.result(line).map_err(CommandError::Print)?;
    }
    output.say(styled(DIM, format!("in {}", folder.display())));
    match ops::hooks_owner(project)? {
        HooksOwner::Clone => {}
        HooksOwner::Project => lacking.into_iter().for_each(|hook| say_line(output, &folder, hook)),
        HooksOwner::User => {
            lacking.into_iter().for_each(|hook| say_lines(output, &folder, hook, &call::shared_line(hook)))
        }
    }
    Ok(())
}

fn word(state: State) -> &'static str {
    match state {
        State::Absent => "absent",
        State::Foreign => "foreign",
        State::Installed => "installed",
        State::Chained => "installed beside another",
        State::FromTemplate => "installed from git's template",
        State::Outdated => "outdated",
    }
}

/// Returns the path of this program.
pub fn binary() -> Result<PathBuf, OpError> {
    let path = || std::env::args_os().next().unwrap_or_default().into();
    std::env::current_exe().map_err(|source| OpError::Machine {
        action: "find the executable of",
        path: path(),
        source,
    })
}
