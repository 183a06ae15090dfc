//! `hook`: called by the installed hooks, and from hooks of the user's own.

use std::io::{self, Read};
use std::path::PathBuf;

use git_hexmirror::config::{FILE, PostCheckout};
use git_hexmirror::hook::{Hook, pushed, run_chained};
use git_hexmirror::model::Remote;
use git_hexmirror::ops::{
    self, LockFile, OpError, Project, PushCheck, PushedLocks, RemoteAccess, Status, UpdateOptions,
};

use super::status::not_mirrored_line;
use super::{pull, push, run};
use crate::outcome::{CommandError, Outcome};
use crate::output::{BAD, BOLD, CHANGED, DIM, Output, styled};
use crate::report;
use crate::session::Session;

/// The largest input that a hook reads from git, in bytes: one line per ref.
const MAX_INPUT: u64 = 64 << 20;
/// How many missing dependencies a hook names before it only counts the rest.
const NAMED: usize = 3;

/// Do what an installed hook does, from a hook of your own
///
/// For hooks that `git hexmirror hooks install` must not change, such as tracked ones. `git hexmirror hooks status` prints the line
/// to add. Reads what git writes to the hook's standard input.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Run the hook that was there before the one in FILE was installed
    #[arg(long, value_name = "FILE", hide = true)]
    chained_to: Option<PathBuf>,
    /// Do nothing in a repository without a mirror
    #[arg(long, hide = true)]
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
    project: impl Fn() -> Result<Option<Project>, OpError>,
    arguments: &[String],
    input: &str,
) -> Outcome {
    let remote = &Remote::from(arguments.first().map_or("origin", String::as_str));
    let check = || -> Outcome {
        let Some(project) = project()? else { return Ok(0) };
        match ops::check_push(&project, remote, &pushed::parse(input))? {
            PushCheck::Nothing => Ok(0),
            PushCheck::Share { needed } => share(session, &project, remote, needed),
            PushCheck::Stale { refs } => Ok(stop(session, &project, refs, "")),
        }
    };
    check().or_else(|error| {
        let code = report::report(session, &error);
        advise(&session.output, "fix this and push again");
        Ok(code)
    })
}

/// Pushes the mirror, and checks that the remote then has everything that the pushed commits need.
fn share(session: &Session, project: &Project, remote: &Remote, needed: Vec<PushedLocks>) -> Outcome {
    let code = match push::share(session, project, remote) {
        // If the remote cannot be reached now, its mirror as last fetched is good enough.
        Err(error) if !needed.is_empty() && ops::remote_has(project, remote, &needed) => {
            report::warn(session, &error);
            let branch = &project.branch;
            session.output.always(format!(
                "git-hexmirror: when last fetched, {remote}'s {branch} had everything this push needs"
            ));
            return Ok(0);
        }
        code => code?,
    };
    if code != 0 {
        return Ok(code);
    }
    // The local mirror now follows the remote's, from which someone else may have pruned what this push needs.
    let lacking = ops::lacking(project, needed)?;
    if lacking.is_empty() {
        Ok(0)
    } else {
        Ok(stop(session, project, lacking, &format!(" after merging {remote}'s mirror")))
    }
}

/// Prints what the mirror lacks for the pushed commits, and what to do.
fn stop(session: &Session, project: &Project, refs: Vec<(PushedLocks, Status)>, since: &str) -> u8 {
    for (pushed, status) in &refs {
        say_stale(&session.output, project, &format!("the lock on {}{since}", pushed.branch()), status);
    }
    let locks: Vec<_> = refs.into_iter().flat_map(|(pushed, _)| pushed.locks).collect();
    advise(&session.output, &format!("{} and push again", remedy(project, &locks)));
    report::NOT_FRESH
}

fn advise(output: &Output, what: &str) {
    output.always(styled(BOLD, "hint:") + format!(" {what}, or push without the mirror with `git push --no-verify`"));
}

/// Prints in a few lines what the mirror lacks for the locks that are checked out now, or updates the mirror if the user's
/// settings say so.
fn after_checkout(
    session: &Session,
    project: impl Fn() -> Result<Option<Project>, OpError>,
    hook: Hook,
    arguments: &[String],
    input: &str,
) -> Result<(), CommandError> {
    let argument = |index: usize| arguments.get(index).map(String::as_str);
    // The flag is 1 if a branch was switched, and 0 if files were checked out (githooks(5)).
    if hook == Hook::PostCheckout && argument(2) != Some("1") {
        return Ok(());
    }
    let Some(project) = project()? else { return Ok(()) };
    if project.config.post_checkout == PostCheckout::Off {
        return Ok(());
    }
    let (before, after) = match hook {
        Hook::PostCheckout => (argument(0).map(str::to_owned), argument(1).map(str::to_owned)),
        // A squash merge does not move HEAD, but changes files.
        Hook::PostMerge if argument(0) != Some("1") => {
            let (before, head) = (project.repository.commit_of("ORIG_HEAD")?, project.repository.head());
            (before.map(|id| id.to_string()), head.map(|id| id.to_string()))
        }
        // One line `OLD NEW [more]` per commit, the newest last.
        Hook::PostRewrite => {
            let mut words = input.lines().last().unwrap_or_default().split(' ').map(str::to_owned);
            (words.next(), words.next())
        }
        _ => (None, None),
    };
    if !ops::locks_changed(&project, before.as_deref(), after.as_deref())? {
        return Ok(());
    }
    match ops::check_checkout(&project)? {
        Some(status) => mend(session, &project, status),
        None => Ok(()),
    }
}

/// Prints what the mirror lacks, or pulls or updates it, depending on the user's settings.
fn mend(session: &Session, project: &Project, status: Status) -> Result<(), CommandError> {
    let mode = project.config.post_checkout;
    let unallowed = ops::unallowed_repositories(project, &status);
    let acts = mode != PostCheckout::Notify && unallowed.is_empty();
    let lacks = if acts { brought(session, project)? } else { Some(status) };
    let Some(status) = lacks else { return Ok(()) };
    if acts && mode == PostCheckout::Update {
        let progress = session.progress();
        let update = ops::update(project, UpdateOptions::default(), &progress)?;
        drop(progress);
        return super::update::summarise(&session.output, project, &update, false).map_err(CommandError::Print);
    }
    say_stale(&session.output, project, "the lock that is checked out", &status);
    let locks = project.present_locks()?;
    session.output.say(styled(BOLD, "hint:") + format!(" {}", remedy(project, &locks)));
    if !unallowed.is_empty() {
        let names = unallowed.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        session.output.say(
            styled(BOLD, "hint:")
                + format!(" only {FILE} describes {names}, so hooks do not fetch for this lock; `git hexmirror trust` shows the settings and allows them"),
        );
    }
    Ok(())
}

/// Pulls from a remote whose mirror, as last fetched, has everything; else from the default remote, if the user's settings say so.
/// Returns what the mirror lacks afterwards.
fn brought(session: &Session, project: &Project) -> Result<Option<Status>, CommandError> {
    let progress = session.progress();
    let known = ops::remote_with_all(project, &project.present_locks()?)?;
    let pulled = match known {
        Some(remote) => ops::pull_known(project, &remote, progress.as_ref())?,
        None if project.config.post_checkout == PostCheckout::Pull => {
            Some(ops::pull(project, RemoteAccess { remote: None, may_ask: false }, progress.as_ref())?)
        }
        None => None,
    };
    drop(progress);
    if let Some(pulled) = pulled {
        pull::say(&session.output, &project.branch.to_string(), &pulled);
    }
    Ok(ops::check_checkout(project)?)
}

/// Returns advice to run the command that fetches what the mirror lacks for some locks.
fn remedy(project: &Project, locks: &[LockFile]) -> String {
    match ops::remote_with_all(project, locks) {
        Ok(Some(remote)) => format!("run `git hexmirror pull {remote}`"),
        _ => "run `git hexmirror update`".to_owned(),
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
            + format!(" the mirror {} is ", project.branch)
            + styled(BAD, "not fresh")
            + format!(" for {whose}; it lacks ")
            + styled(CHANGED, named)
            + more,
    );
    if let Some(not_mirrored) = not_mirrored_line(comparison) {
        output.always(styled(DIM, not_mirrored));
    }
}
