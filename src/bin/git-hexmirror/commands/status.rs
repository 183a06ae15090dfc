//! `status`

use std::collections::BTreeSet;

use git_hexmirror::hook::{Hook, call};
use git_hexmirror::model::{Revision, count, shortened};
use git_hexmirror::ops::{self, FlaggedPins, LackingHooks, OpError, Project, Relation, Status, Unpushed};
use git_hexmirror::plan::{Comparison, EntryAge, Extra, GitPin, Unmirrored};
use serde_json::json;

use super::documents;
use super::init::short;
use super::settings;
use crate::hints;
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{BAD, CHANGED, DIM, GOOD, Output, Text, listed, styled};
use crate::report::NOT_FRESH;
use crate::session::{Session, behind_line, say_rebar3_key};

/// How many lines of a list are shown before the rest is only counted.
const SHOWN: usize = 20;
/// How many locks are named.
const LOCKS: usize = 3;
/// How many dependencies that cannot be mirrored are named in a line.
const NAMED: usize = 5;

/// Show whether the mirror has everything that the locks pin
///
/// Exits with 0 if it does and with 1 if it does not. If `git hexmirror run` would refuse the mirror, because this clone lacks the key
/// that verifies it or has another one, names the setting to change and exits with 4.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// List all settings and where each one is set
    #[arg(long)]
    settings: bool,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    if arguments.settings {
        return settings::run(session, arguments.json.json);
    }
    let project = session.project()?.at_one_moment();
    let mut status = ops::status_with_flags(&project, arguments.json.json || session.output.verbose)?;
    // A cached status has only numbers, but the output names what is not mirrored.
    if status.comparison.is_none() && status.summary.unmirrored + status.summary.ignored > 0 {
        status = ops::status_with_flags(&project, true)?;
    }
    let notices = Notices::of(&project, &status)?;
    let refusal = ops::refusal(&project, &status);
    if arguments.json.json {
        let mut document = documents::status(&project.branch.to_string(), &status);
        document["fresh"] = json!(status.summary.fresh && refusal.is_none());
        document["refused"] = json!(refusal.as_ref().map(OpError::with_causes));
        document["unpushed"] = json!(notices.unpushed.as_ref().map(|unpushed| &unpushed.remote));
        document["lacks_hooks"] = json!(notices.lacking_hooks.is_some());
        document["retired"] = json!(status.summary.flagged.map(|flagged| flagged.retired));
        document["vulnerable"] = json!(status.summary.flagged.map(|flagged| flagged.vulnerable));
        document["refreshed"] = json!(status.summary.refreshed.map(|day| day.to_string()));
        document["entry_age_days"] = json!(notices.age.map(|age| age.days));
        session.output.json(&document).map_err(CommandError::Print)?;
    } else {
        print(&session.output, &project, &status, refusal.is_some()).map_err(CommandError::Print)?;
        notices.say(&session.output, &project);
        say_rebar3_key(&session.output, &project);
    }
    if let Some(error) = refusal {
        // What the locks pin is there, but no client gets it.
        return Err(error.into());
    }
    Ok(if status.summary.fresh { 0 } else { NOT_FRESH })
}

/// What the user can do besides an update.
struct Notices {
    /// The age of the registry entries.
    age: Option<EntryAge>,
    /// Whether that is more than the settings allow.
    is_old: bool,
    unpushed: Option<Unpushed>,
    lacking_hooks: Option<LackingHooks>,
}

impl Notices {
    fn of(project: &Project, status: &Status) -> Result<Self, OpError> {
        // `init` installs the hooks, so without a mirror they are not mentioned.
        let lacking_hooks = if status.commit.is_some() { ops::lacking_hooks(project)? } else { None };
        let age = ops::entry_age(project, status)?;
        let is_old = age.is_some_and(|age| age.exceeds(project.config.max_age));
        // If a remote's mirror is read, the local one gets something first. What it lacks is said with the status.
        let may_push = status.summary.fresh && status.remote.is_none();
        let unpushed = if may_push { ops::unpushed(project)? } else { None };
        Ok(Self { age, is_old, unpushed, lacking_hooks })
    }

    fn say(&self, output: &Output, project: &Project) {
        let branch = &project.branch;
        if let Some(EntryAge { days, at_least }) = self.age.filter(|_| self.is_old) {
            let at_least = if at_least { "at least " } else { "" };
            output.say(format!(
                "the registry entries were last refreshed {at_least}{days} days ago; run `git hexmirror update --refresh` for new retirements and advisories"
            ));
        }
        if let Some(Unpushed { remote, relation, command }) = &self.unpushed {
            let theirs = match relation {
                Relation::Absent => format!("{remote} has no {branch}, as far as this clone knows"),
                Relation::Replaced => {
                    format!("{remote}'s {branch}, as last fetched, has the history from before `git hexmirror compact`")
                }
                _ => format!("{remote}'s {branch}, as last fetched, is behind"),
            };
            output.say(format!("not pushed yet: {theirs}; run `{command}`"));
        }
        match &self.lacking_hooks {
            Some(LackingHooks::Installable) => {
                output.say("this clone has no hooks that keep the mirror fresh; run `git hexmirror hooks install`");
            }
            Some(LackingHooks::Replaced) => output.say(
                "the pre-push hook of this clone no longer calls git hexmirror; another program may have replaced it: add `git \
                 hexmirror hook pre-push` to its configuration, or run `git hexmirror hooks install`",
            ),
            Some(LackingHooks::Tracked(file)) => {
                output.say(format!(
                    "the project's own hooks do not keep the mirror fresh; add this line to {} (`git hexmirror hooks status` \
                     has those of all hooks):",
                    file.display()
                ));
                output.say(format!("  {}", call::line(Hook::PrePush)));
            }
            None => {}
        }
    }
}

fn print(output: &Output, project: &Project, status: &Status, is_refused: bool) -> std::io::Result<()> {
    let (branch, summary) = (whose(project, status), status.summary);
    let has = contents(summary.present, summary.git);
    let locks = listed(&status.locks, if output.verbose { usize::MAX } else { LOCKS });
    let pin = if status.locks.len() == 1 { "pins" } else { "pin" };
    match status.commit {
        Some(commit) if summary.fresh => {
            let word = if is_refused { styled(BAD, "not usable") } else { styled(GOOD, "fresh") };
            output.result(word + format!(": {branch} at {} has {has} for {locks}", short(commit)))?;
        }
        None if summary.fresh => {
            output.result(styled(GOOD, "fresh") + format!(": {locks} {pin} nothing to mirror"))?;
        }
        _ => output.result(styled(BAD, "not fresh") + format!(": {branch} lacks what {locks} {pin}"))?,
    }
    if let Some(comparison) = &status.comparison {
        lacks(output, comparison)?;
    }
    if let Some(found) = status.extra.as_ref().filter(|_| output.verbose) {
        extra(output, found)?;
    }
    if let Some(not_mirrored) = status.comparison.as_ref().and_then(not_mirrored_line) {
        output.result(styled(DIM, format!("  {not_mirrored}")))?;
    }
    if summary.extra > 0 && !output.verbose {
        let extra = count(summary.extra, "release or revision", "releases or revisions");
        output.result(styled(DIM, format!("  the mirror also has {extra} that these locks do not pin")))?;
    }
    if summary.index_behind > 0 {
        output.result(styled(DIM, format!("  {}", index_behind_line(summary.index_behind))))?;
    }
    if let Some(line) = summary.flagged.and_then(flagged_line) {
        output.result(styled(CHANGED, format!("  {line}")))?;
    }
    say_behind(output, project, status);
    match status.commit {
        _ if summary.fresh => {}
        Some(_) => output.say("run `git hexmirror update` to update the mirror"),
        // The same advice as that of commands that cannot do without a mirror.
        None => output.say(no_mirror(project)),
    }
    Ok(())
}

/// Describes how many pinned releases are retired or vulnerable, and how to list them; `None` if none is.
fn flagged_line(FlaggedPins { retired, vulnerable }: FlaggedPins) -> Option<String> {
    let of = |number, what: &str| format!("{} {what}", count(number, "pinned release is", "pinned releases are"));
    let parts = [(retired, "retired"), (vulnerable, "vulnerable")];
    let parts: Vec<String> =
        parts.into_iter().filter(|(number, _)| *number > 0).map(|(number, what)| of(number, what)).collect();
    (!parts.is_empty()).then(|| format!("{}; `git hexmirror audit` lists them", parts.join(", ")))
}

/// Says that the local mirror is behind the one that was read.
pub fn say_behind(output: &Output, project: &Project, status: &Status) {
    if let Some(remote) = &status.remote
        && project.repository.tip(&project.branch).is_ok_and(|local| local.is_some())
    {
        output.say(behind_line(project, remote));
    }
}

/// Says that this clone knows no mirror, and which command fetches or creates one.
pub fn no_mirror(project: &Project) -> String {
    let error = project.repository.no_mirror(&project.branch);
    let hint = hints::store_hint(&error).map_or_else(String::new, |hint| format!("; {hint}"));
    format!("{error}{hint}")
}

/// Names the mirror that was read. In a fresh clone, that is a remote's.
fn whose(project: &Project, status: &Status) -> String {
    match &status.remote {
        Some(remote) => format!("{remote}'s {}", project.branch),
        None => project.branch.to_string(),
    }
}

/// Prints what the mirror lacks, one item per line.
pub fn lacks(output: &Output, comparison: &Comparison) -> std::io::Result<()> {
    let limit = if output.verbose { usize::MAX } else { SHOWN };
    list(
        output,
        comparison.missing.iter().map(|pin| Text::from("  ") + styled(BAD, "missing") + format!(" {}", pin.id)),
        limit,
    )?;
    let changed = comparison.changed.iter().map(|change| {
        let mirrored: Vec<String> = change.mirrored.iter().map(ToString::to_string).collect();
        let has = match change.conflict {
            Some(_) => "the mirror has it with another checksum".to_owned(),
            None => format!("the mirror has {}", mirrored.join(", ")),
        };
        Text::from("  ") + styled(CHANGED, "changed") + format!(" {} ({has})", change.pin.id)
    });
    list(output, changed, limit)?;
    let entries = comparison.entries_alone();
    let entries = entries.map(|id| Text::from("  ") + styled(BAD, "missing") + format!(" registry entry of {id}"));
    list(output, entries, limit)?;
    let policies = comparison.policies.iter();
    let policies = policies.map(|policy| Text::from("  ") + styled(BAD, "missing") + format!(" policy {policy}"));
    list(output, policies, limit)?;
    let files = comparison.files.iter();
    let files = files.map(|pin| Text::from("  ") + styled(BAD, "missing") + format!(" {}", pin.address));
    list(output, files, limit)?;
    let artefacts = comparison.artefacts.iter();
    let artefacts = artefacts.map(|pin| Text::from("  ") + styled(BAD, "missing") + format!(" {pin}"));
    list(output, artefacts, limit)?;
    let unpinned = comparison.unpinned.iter();
    let why = "no hexmirror.lock pins it; update does";
    let unpinned = unpinned.map(|url| Text::from("  ") + styled(BAD, "missing") + format!(" {url} ({why})"));
    list(output, unpinned, limit)?;
    let branches = comparison.unpinned_git.iter();
    let branches = branches.map(|branch| Text::from("  ") + styled(BAD, "missing") + format!(" {branch} ({why})"));
    list(output, branches, limit)?;
    let plugins = comparison.unpinned_plugins.iter().map(|(plugin, by)| {
        Text::from("  ") + styled(BAD, "unpinned") + format!(" plugin {} for {}", shortened(plugin), shortened(by))
    });
    list(output, plugins, limit)?;
    let tools = comparison.unpinned_tools.iter();
    let what = "Hex and rebar3 for Elixir";
    let tools =
        tools.map(|pair| Text::from("  ") + styled(BAD, "missing") + format!(" {what} {pair} (update pins them)"));
    list(output, tools, limit)?;
    let docs = comparison.unpinned_docs.iter().map(|release| {
        Text::from("  ") + styled(BAD, "missing") + format!(" documentation of {release} (update pins it)")
    });
    list(output, docs, limit)?;
    let assets = comparison.unpinned_asset_tools.iter();
    let assets = assets.map(|id| Text::from("  ") + styled(BAD, "missing") + format!(" {id} (update pins it)"));
    list(output, assets, limit)?;
    let git = |pin: &GitPin| format!("{} {}", pin.url.address(), pin.revision.short());
    let missing =
        comparison.git_missing.iter().map(|pin| Text::from("  ") + styled(BAD, "missing") + format!(" {}", git(pin)));
    list(output, once(missing), limit)?;
    let changed = comparison.git_changed.iter().map(|change| {
        let has = match change.mirrored.contains(&change.pin.revision) {
            true => "the mirror has it, but not everything that the lock asks for".to_owned(),
            false => {
                let mirrored: Vec<String> = change.mirrored.iter().map(Revision::short).collect();
                format!("the mirror has {}", mirrored.join(", "))
            }
        };
        Text::from("  ") + styled(CHANGED, "changed") + format!(" {} ({has})", git(&change.pin))
    });
    list(output, once(changed), limit)
}

/// Removes repeated lines: several entries may pin one revision.
fn once(lines: impl Iterator<Item = Text>) -> impl Iterator<Item = Text> {
    let mut seen = BTreeSet::new();
    lines.filter(move |line| seen.insert(line.clone()))
}

/// Prints what the mirror has beyond the locks, one item per line.
pub fn extra(output: &Output, extra: &Extra) -> std::io::Result<()> {
    let git = extra.revisions.iter().map(|(address, revision)| format!("{address} {}", revision.short()));
    let extra = extra.releases.iter().map(ToString::to_string).chain(git);
    let limit = if output.verbose { usize::MAX } else { SHOWN };
    list(output, extra.map(|item| Text::from("  ") + styled(DIM, "extra  ") + format!(" {item}")), limit)
}

/// Describes how many releases and git revisions there are.
pub fn contents(releases: usize, revisions: usize) -> String {
    let releases = count(releases, "release", "releases");
    match revisions {
        0 => releases,
        number => format!("{releases} and {}", count(number, "git revision", "git revisions")),
    }
}

/// Describes how much an update would fetch.
pub fn to_fetch(comparison: &Comparison) -> String {
    let revisions = comparison.revisions_to_fetch().len() + comparison.unpinned_git.len();
    let contents = contents(comparison.to_fetch().count(), revisions);
    let (policies, files) = (comparison.policies.len(), comparison.files.len() + comparison.unpinned.len());
    let files = files + comparison.artefacts.len() + comparison.unpinned_docs.len();
    let files = files + comparison.unpinned_asset_tools.len();
    let plugins = comparison.unpinned_plugins.len();
    let more = [
        (policies, count(policies, "policy", "policies")),
        (files, count(files, "file", "files")),
        (plugins, count(plugins, "unpinned plugin", "unpinned plugins")),
    ];
    more.into_iter().filter(|(number, _)| *number > 0).fold(contents, |all, (_, more)| format!("{all} and {more}"))
}

/// Describes a pinned index that does not match the stored releases.
pub fn index_behind_line(packages: usize) -> String {
    let packages = count(packages, "package", "packages");
    format!("the pinned index is behind in {packages}; run `git hexmirror index` where its private key is")
}

/// Names the dependencies that cannot be mirrored, in one line; `None` if there are none.
pub fn not_mirrored_line(comparison: &Comparison) -> Option<String> {
    let all = comparison.not_mirrored();
    let named = all.iter().take(NAMED).map(|(app, reason)| format!("{app} ({reason})"));
    let named = named.collect::<Vec<_>>().join(", ");
    let more = if all.len() > NAMED { format!(", and {} more", all.len() - NAMED) } else { String::new() };
    let dependencies = count(all.len(), "dependency cannot", "dependencies cannot");
    (!all.is_empty()).then(|| format!("{dependencies} be mirrored: {named}{more}"))
}

/// Prints the git dependencies that cannot be mirrored and the dependencies of unknown kinds.
pub fn not_mirrored(output: &Output, comparison: &Comparison) -> std::io::Result<()> {
    for Unmirrored { app, url, reason, .. } in &comparison.unmirrored {
        output.result(Text::from("  ") + styled(DIM, "not mirrored:") + format!(" {app} {url} (git, {reason})"))?;
    }
    for ignored in &comparison.ignored {
        let (app, kind) = (&ignored.app, &ignored.kind);
        output.result(Text::from("  ") + styled(DIM, "not mirrored:") + format!(" {app} ({kind})"))?;
    }
    Ok(())
}

fn list(output: &Output, lines: impl Iterator<Item = Text>, limit: usize) -> std::io::Result<()> {
    let mut rest = 0;
    for (index, line) in lines.enumerate() {
        if index < limit {
            output.result(line)?;
        } else {
            rest += 1;
        }
    }
    if rest > 0 {
        output.result(styled(DIM, format!("  … and {rest} more; --verbose lists them")))?;
    }
    Ok(())
}
