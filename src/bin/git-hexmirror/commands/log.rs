//! `log`

use git_hexmirror::model::{EntryChecksum, Revision, count};
use git_hexmirror::ops::{self, ComparedStates, LogOptions, LoggedCommit, MirrorLog, Project, ProjectCommit};
use git_hexmirror::plan::{MirrorChange, MirrorChangeKind};

use super::documents;
use super::init::short;
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{BAD, CHANGED, DIM, GOOD, Output, Text, styled};
use crate::report::NOT_FRESH;
use crate::session::Session;

/// How many changes of a commit are shown before the rest is only counted.
const SHOWN: usize = 20;

/// Show the mirror's history as a changelog: what each commit added, updated and removed
///
/// Each commit is shown with the commit of the project whose locks it was made for. If the mirror did not record one, that is the
/// newest commit of HEAD at that time. A merge shows what it brought in.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Packages (NAME or REPOSITORY/NAME) and git repositories to show; and REV..REV, a range of commits of the project or of
    /// the mirror branch
    #[arg(value_name = "PKG|REV..REV")]
    arguments: Vec<String>,
    /// Show at most N commits
    #[arg(short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.reading_project()?;
    let (ranges, packages): (Vec<_>, Vec<_>) =
        arguments.arguments.iter().cloned().partition(|argument| argument.contains(".."));
    let between = project.diff_arguments(&ranges, &[], false)?.between;
    let options =
        LogOptions { packages, limit: arguments.limit.map(|limit| limit as usize), between, max_read: None, skip: 0 };
    let log = ops::log(&project, &options)?;
    if arguments.json.json {
        let document = documents::log(&project.branch.to_string(), &log);
        session.output.json(&document).map_err(CommandError::Print)?;
    } else {
        print(session, &project, &log).map_err(CommandError::Print)?;
    }
    if log.commits.is_empty() {
        session.output.say(nothing(&options));
        return Ok(if options.packages.is_empty() { 0 } else { NOT_FRESH });
    }
    Ok(0)
}

/// Says that no commit is shown, and why.
fn nothing(LogOptions { packages, between, .. }: &LogOptions) -> String {
    let of = |between: &ComparedStates| format!(" from {} to {}", between.before.shown(), between.after.shown());
    let range = between.as_ref().map(of).unwrap_or_default();
    match packages.is_empty() {
        true => format!("the mirror did not change{range}"),
        false => format!("nothing changed in {}{range}", packages.join(", ")),
    }
}

fn print(session: &Session, project: &Project, log: &MirrorLog) -> std::io::Result<()> {
    for (index, logged) in log.commits.iter().enumerate() {
        if index > 0 {
            session.output.result("")?;
        }
        print_commit(&session.output, logged)?;
    }
    if log.is_cut {
        let remote =
            log.source.remote.as_ref().or(project.repository.default_remote().as_ref()).map(ToString::to_string);
        let remote = remote.unwrap_or_else(|| "REMOTE".to_owned());
        let branch = &project.branch;
        session.output.say(format!(
            "this clone is shallow: `git fetch --unshallow {remote} {branch}` fetches the commits before"
        ));
    }
    Ok(())
}

fn print_commit(output: &Output, logged: &LoggedCommit) -> std::io::Result<()> {
    let LoggedCommit { commit, changes, is_compacted, project } = logged;
    let heading = styled(CHANGED, short(commit.id)) + format!("  {}  {}", commit.day, commit.subject);
    output.result(heading)?;
    if let Some(project) = project {
        output.result(styled(DIM, format!("  {}", project_line(project))))?;
    }
    let Some(changes) = changes else {
        return output.result(styled(DIM, "  its changes are not known, because this clone lacks the commit before"));
    };
    if *is_compacted && !output.verbose {
        let stored = changes.contents.iter();
        let stored =
            stored.filter(|change| matches!(change, MirrorChange::Release { .. } | MirrorChange::Revision { .. }));
        let contents = count(stored.count(), "release or git revision", "releases and git revisions");
        return output.result(styled(DIM, format!("  begins with {contents}; --verbose lists them")));
    }
    let limit = if output.verbose { usize::MAX } else { SHOWN };
    for change in changes.contents.iter().take(limit) {
        output.result(change_line(change))?;
    }
    if changes.contents.len() > limit {
        output.result(styled(DIM, format!("  … and {} more; --verbose lists them", changes.contents.len() - limit)))?;
    }
    if !changes.entries.is_empty() {
        output
            .result(styled(DIM, format!("  {}", count(changes.entries.len(), "registry entry", "registry entries"))))?;
    }
    Ok(())
}

fn project_line(project: &ProjectCommit) -> String {
    let id = short(project.id);
    match (&project.known, project.is_recorded) {
        (Some(commit), true) => format!("for {id} {}", commit.subject),
        (Some(commit), false) => format!("nearest by date: {id} {}", commit.subject),
        (None, _) => format!("for {id}, which this clone does not have"),
    }
}

fn change_line(change: &MirrorChange) -> Text {
    let (name, from, to) = match change {
        MirrorChange::Release { package, from, to } => {
            (package.to_string(), from.as_ref().map(ToString::to_string), to.as_ref().map(ToString::to_string))
        }
        MirrorChange::Revision { address, from, to } => {
            (address.to_string(), from.as_ref().map(Revision::short), to.as_ref().map(Revision::short))
        }
        MirrorChange::Ref { address, name, from, to } => {
            (format!("{address} {name}"), from.as_ref().map(Revision::short), to.as_ref().map(Revision::short))
        }
        MirrorChange::Policy { policy, from, to } => {
            let short = |sum: &EntryChecksum| sum.to_string()[..10].to_owned();
            (format!("policy {policy}"), from.as_ref().map(short), to.as_ref().map(short))
        }
        MirrorChange::Index { repository, packages, .. } => {
            let packages = count(packages.len(), "package", "packages");
            (format!("pinned index of {repository}:"), None, Some(packages))
        }
    };
    let (sign, style) = match change.kind() {
        MirrorChangeKind::Added => ("+", GOOD),
        MirrorChangeKind::Updated => ("~", CHANGED),
        MirrorChangeKind::Removed => ("-", BAD),
    };
    let versions = match (from, to) {
        (Some(from), Some(to)) if from == to => format!("{to} (other content)"),
        (Some(from), Some(to)) => format!("{from} → {to}"),
        (from, to) => from.or(to).unwrap_or_default(),
    };
    Text::from("  ") + styled(style, sign) + format!(" {name} {versions}")
}
