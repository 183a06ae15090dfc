//! What the first page shows.

use super::context::Context;
use super::facts::{Facts, PackageFacts, StoredFacts};
use super::words;
use crate::model::{Day, ReleaseId};
use crate::ops::entry_age::age_at;
use crate::ops::{OpError, Result};
use crate::page::{Finding, Overview, Tone};
use crate::serve::Visit;

/// How many findings are shown.
const FINDINGS: usize = 50;

/// Returns what the first page shows.
pub(super) fn overview(context: &Context<'_>) -> Result<Overview> {
    let facts = &context.facts;
    let pinned = |package: &PackageFacts| package.releases.iter().filter(|release| !release.locks.is_empty()).count();
    let mut findings = facts.is_judged.then(|| findings(facts));
    let more_findings = findings.as_ref().map_or(0, Vec::len).saturating_sub(FINDINGS);
    findings.iter_mut().for_each(|findings| findings.truncate(FINDINGS));
    Ok(Overview {
        locks: facts.locks.clone(),
        more_locks: facts.more_locks,
        contents: facts.contents.clone(),
        age: age(context)?,
        judged: facts.packages.iter().map(pinned).sum(),
        findings,
        more_findings,
        updates: facts.updates.clone(),
        commands: commands(context.visit),
    })
}

/// Returns what people should know about the pinned releases, the worst first.
fn findings(facts: &Facts) -> Vec<Finding> {
    let of_release = |package: &PackageFacts, release: &StoredFacts| {
        let (repository, package) = (package.id.repository.clone(), package.id.package.clone());
        let id = ReleaseId { repository, package, version: release.version.clone() };
        release.concerns.iter().map(|concern| words::finding(&id, concern)).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for package in &facts.packages {
        let pinned = package.releases.iter().filter(|release| !release.locks.is_empty());
        found.extend(pinned.flat_map(|release| of_release(package, release)));
    }
    found.sort_by_key(|finding| finding.tone != Tone::Bad);
    found
}

/// Says when upstream was last asked for all registry entries: the age, or the day for what is read at any later time.
fn age(context: &Context<'_>) -> Result<String> {
    let Context { project, snapshot, visit, .. } = context;
    let (refreshed, commit) = (snapshot.refreshed(), snapshot.commit());
    if visit.is_none() {
        let committed = || Ok::<_, OpError>(Day::of_seconds(project.repository.commit_seconds(commit)?));
        return refreshed.map_or_else(|| Ok(format!("of {} or earlier", committed()?)), |day| Ok(format!("of {day}")));
    }
    Ok(age_at(project, refreshed, commit)?.as_of())
}

/// Returns the commands that make clients use the mirror, and the server if there is one.
fn commands(visit: Option<&Visit>) -> Vec<(&'static str, String)> {
    let run = ("One command, in a clone of this project", "git hexmirror run -- mix deps.get".to_owned());
    let Some(Visit { base_url, hex_url }) = visit else { return vec![run] };
    vec![
        run,
        ("A shell, on any machine that reaches this server", format!("eval \"$(curl -fsS {base_url}/env)\"")),
        ("mix and rebar3 only", format!("export HEX_MIRROR={hex_url} HEX_CDN={hex_url}")),
        (
            "git only",
            format!(
                "curl -fsS {base_url}/gitconfig -o mirror.gitconfig\ngit config --global --add include.path \"$PWD/mirror.gitconfig\""
            ),
        ),
    ]
}
