//! `hook`: called by the installed hooks, and from hooks of the user's own.

use std::io::{self, Read};
use std::path::PathBuf;

use git_hexmirror::config::FILE;
use git_hexmirror::hook::head_move::head_move;
use git_hexmirror::hook::{Hook, pushed, run_chained};
use git_hexmirror::model::{Remote, RepositoryName};
use git_hexmirror::ops::{
    self, CheckedOutMirror, Integration, OpError, PostCheckoutOutcome, PrePushOutcome, Project, StaleLocks, Status,
};
use git_hexmirror::plan::Comparison;

use super::status::{no_mirror, not_mirrored_line};
use super::{pull, push, run};
use crate::outcome::{CommandError, Outcome};
use crate::output::{BAD, BOLD, CHANGED, DIM, Output, styled};
use crate::report::{self, NOT_FRESH};
use crate::session::{Session, reading_line};

/// The largest input that a hook reads from git, in bytes: one line per ref.
const MAX_INPUT: u64 = 64 << 20;
/// How many missing dependencies a hook names before it only counts the rest.
const NAMED: usize = 3;

/// Run a hook of this program from your own hook script
///
/// For hooks that `git hexmirror hooks install` must not change, such as tracked ones. `git hexmirror hooks status` prints the line
/// to add. Reads what git writes to the hook's standard input.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Run the hook that was there before the one in FILE was installed
    #[arg(long, value_name = "FILE", hide = true)]
    chained_to: Option<PathBuf>,
    /// Do nothing in a repository without a mirror
    #[arg(long)]
    if_mirrored: bool,
    /// Name of the hook: pre-push, post-checkout, post-merge or post-rewrite
    #[arg(value_parser = |name: &str| Hook::named(name).ok_or("git-hexmirror has no such hook"))]
    hook: Hook,
    /// Arguments that git passes to the hook
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let Arguments { hook, chained_to, if_mirrored, arguments } = arguments;
    let takes_input = matches!(hook, Hook::PrePush | Hook::PostRewrite);
    let mut input = Vec::new();
    if takes_input {
        io::stdin().lock().take(MAX_INPUT).read_to_end(&mut input).map_err(CommandError::Print)?;
    }
    let failed = |source| OpError::Run { program: format!("your own {} hook", hook.name()), source };
    let chained = match chained_to {
        Some(path) => run_chained(path, arguments, takes_input.then_some(&input[..])).map_err(failed)?,
        None => None,
    };
    let code = chained.map_or(0, run::exit_code);
    let input = String::from_utf8_lossy(&input);
    let project = || project(session, *if_mirrored);
    if *hook == Hook::PrePush {
        return if code == 0 { pre_push(session, project, arguments, &input) } else { Ok(code) };
    }
    // The checkout is already done, so an error is only reported.
    if let Err(error) = after_checkout(session, project, *hook, arguments, &input) {
        report::report(session, &error);
    }
    Ok(code)
}

/// Opens the project. With `if_mirrored`, returns `None` unless it can be opened and has a mirror.
fn project(session: &Session, if_mirrored: bool) -> Result<Option<Project>, OpError> {
    match session.project() {
        project if if_mirrored => Ok(project.ok().filter(ops::is_mirrored)),
        project => project.map(Some),
    }
}

fn pre_push(
    session: &Session,
    project: impl FnOnce() -> Result<Option<Project>, OpError>,
    arguments: &[String],
    input: &str,
) -> Outcome {
    let remote = &Remote::from(arguments.first().map_or("origin", String::as_str));
    let push = || -> Outcome {
        let Some(project) = project()? else { return Ok(0) };
        let progress = session.progress();
        let outcome = ops::pre_push(&project, remote, &pushed::parse(input), progress.as_ref());
        drop(progress);
        say_pushed(session, &project, remote, outcome?)
    };
    push().or_else(|error| {
        let code = report::report(session, &error);
        advise(&session.output, "fix this and push again");
        Ok(code)
    })
}

/// Prints the outcome of `pre-push` and returns the exit code. git stops the push unless it is 0.
fn say_pushed(session: &Session, project: &Project, remote: &Remote, outcome: PrePushOutcome) -> Outcome {
    let (output, branch) = (&session.output, &project.branch);
    match outcome {
        PrePushOutcome::Nothing => Ok(0),
        PrePushOutcome::Stale(stale) => Ok(stop(output, project, &stale, "")),
        PrePushOutcome::Unshared => {
            output.always(format!("git-hexmirror: {remote} lacks parts of {branch} that the pushed locks need"));
            output.always(format!("hint: run `{}`, then push again", ops::push_command(project, remote)?));
            Ok(NOT_FRESH)
        }
        PrePushOutcome::Shared { pulled, pushed, stale } => {
            if let Some(pulled) = pulled {
                pull::say(output, &branch.to_string(), &pulled);
            }
            if pushed.pushed || pushed.integration != Integration::UpToDate {
                push::say(output, project, &pushed);
            }
            let since = format!(" after merging {remote}'s mirror");
            Ok(stale.map_or(0, |stale| stop(output, project, &stale, &since)))
        }
        PrePushOutcome::NotShared { error, had_all } => {
            output.always(format!("git-hexmirror: cannot push {branch} to {remote}"));
            if !had_all {
                return Err(error.into());
            }
            report::warn(session, &error.into());
            output.always(format!(
                "git-hexmirror: when last fetched, {remote}'s {branch} had everything this push needs"
            ));
            Ok(0)
        }
    }
}

/// Prints what the mirror lacks for the pushed commits, and what to do.
fn stop(output: &Output, project: &Project, stale: &StaleLocks, since: &str) -> u8 {
    for (pushed, status) in &stale.branches {
        say_stale(output, project, &format!("the lock on {}{since}", pushed.branch()), status);
    }
    let lacks_only_pins = |status: &Status| status.comparison.as_ref().is_some_and(Comparison::lacks_only_pins);
    if stale.branches.iter().all(|(_, status)| lacks_only_pins(status)) {
        advise(output, "check out that branch, run `git hexmirror update`, commit hexmirror.lock, and push again");
        return NOT_FRESH;
    }
    let has_mirror = stale.branches.iter().any(|(_, status)| status.commit.is_some());
    advise(output, &format!("{} and push again", remedy(project, has_mirror, stale.pull_from.as_ref())));
    NOT_FRESH
}

fn advise(output: &Output, what: &str) {
    output.always(styled(BOLD, "hint:") + format!(" {what}, or push without the mirror with `git push --no-verify`"));
}

/// Prints what the mirror lacks for the locks that are checked out now, or what the hook did about it.
fn after_checkout(
    session: &Session,
    project: impl FnOnce() -> Result<Option<Project>, OpError>,
    hook: Hook,
    arguments: &[String],
    input: &str,
) -> Result<(), CommandError> {
    let Some(head_move) = head_move(hook, arguments, input) else { return Ok(()) };
    let Some(project) = project()? else { return Ok(()) };
    let progress = session.progress();
    let outcome = ops::post_checkout(&project, &head_move, &progress);
    drop(progress);
    let (output, PostCheckoutOutcome { pulled, mirror }) = (&session.output, outcome?);
    if let Some(pulled) = pulled {
        pull::say(output, &project.branch.to_string(), &pulled);
    }
    match mirror? {
        CheckedOutMirror::Fresh => {}
        CheckedOutMirror::Updated(update) => {
            super::update::summarise(output, &project, &update, false).map_err(CommandError::Print)?;
        }
        CheckedOutMirror::AtRemote(remote) => output.say(reading_line(&project, &remote)?),
        CheckedOutMirror::Stale { status, unallowed } => {
            say_stale(output, &project, "the lock that is checked out", &status);
            let remedy = remedy(&project, status.commit.is_some(), None);
            output.say(styled(BOLD, "hint:") + format!(" {remedy}"));
            say_unallowed(output, &unallowed);
        }
    }
    Ok(())
}

/// Prints why the hook did not act, if only the tracked settings describe some repositories.
fn say_unallowed(output: &Output, unallowed: &[RepositoryName]) {
    if !unallowed.is_empty() {
        let names = unallowed.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        output.say(
            styled(BOLD, "hint:")
                + format!(" only {FILE} describes {names}, so hooks do not fetch for this lock; `git hexmirror trust` shows the settings and allows them"),
        );
    }
}

/// Returns advice to run the command that fetches what the mirror lacks. Without a mirror, it is that of all other commands.
fn remedy(project: &Project, has_mirror: bool, pull_from: Option<&Remote>) -> String {
    match pull_from {
        Some(remote) => format!("run `git hexmirror pull {remote}`"),
        None if has_mirror => "run `git hexmirror update`".to_owned(),
        None => no_mirror(project),
    }
}

/// Prints that the mirror is not fresh, and the first few dependencies that it lacks.
fn say_stale(output: &Output, project: &Project, whose: &str, status: &Status) {
    let Some(comparison) = &status.comparison else { return };
    let lacking = comparison.lacking();
    let more = if lacking.len() > NAMED { format!(", and {} more", lacking.len() - NAMED) } else { String::new() };
    let named = lacking.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    output.always(
        styled(BOLD, "git-hexmirror:")
            + match &status.remote {
                None => format!(" the mirror {} is ", project.branch),
                Some(remote) => format!(" {remote}'s {}, as last fetched, is ", project.branch),
            }
            + styled(BAD, "not fresh")
            + format!(" for {whose}; it lacks ")
            + styled(CHANGED, named)
            + more,
    );
    if let Some(not_mirrored) = not_mirrored_line(comparison) {
        output.always(styled(DIM, not_mirrored));
    }
}
