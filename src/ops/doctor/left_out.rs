//! What updates leave out, because files of the project cannot be read, say too little, or name other machines.

use std::collections::BTreeSet;

use super::finding::{Finding, Topic};
use crate::lock::own_lock_beside;
use crate::ops::artefacts::stored_lists;
use crate::ops::plugins::facts::MirrorFacts;
use crate::ops::plugins::resolutions;
use crate::ops::project::LockFile;
use crate::ops::update::new_machine::needed_machine;
use crate::ops::{Project, Result, mirror_source};
use crate::plan::{PluginProblem, Resolution};

/// Returns a finding for each thing that builds may need and updates leave out.
pub fn left_out(project: &Project) -> Result<Vec<Finding>> {
    // Locks that cannot be found are found with their topic.
    let Ok(locks) = project.present_locks() else { return Ok(Vec::new()) };
    let mut found = asset_tools(project, &locks)?;
    found.extend(plugins(project, &locks)?);
    found.extend(resolved_plugins(project, &locks)?);
    found.extend(project.unusable_versions()?.into_iter().map(|file| {
        let text = format!("{file} does not name exact versions of Elixir and OTP, so Hex and rebar3 are not mirrored");
        Finding::act(Topic::Locks, text, "name both, or set `tools` to versions such as 1.18.4-otp-27, or to off")
    }));
    found.extend(machine(project, &locks)?);
    Ok(found)
}

/// Returns the configuration of asset tools that is not read.
fn asset_tools(project: &Project, locks: &[LockFile]) -> Result<Vec<Finding>> {
    if project.config.asset_tools.is_none() {
        return Ok(Vec::new());
    }
    let unread = project.asset_config(locks)?.unread.into_iter().map(|(tool, problem)| {
        let action = format!("name it in the setting `asset_tools`, such as {tool}@1.2.3");
        Finding::act(Topic::Locks, format!("{problem}, so it is not mirrored"), action)
    });
    let files = project.unread_configs(locks)?.into_iter().map(|(file, reason)| {
        let text = format!("{file} {reason}, so asset tools that only it configures are not mirrored");
        Finding::act(Topic::Locks, text, "make it a regular file, or name them in the setting `asset_tools`")
    });
    Ok(unread.chain(files).collect())
}

/// Returns the configuration of rebar3 that is not read. A script never is, and often adds no plugins.
fn plugins(project: &Project, locks: &[LockFile]) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for (lock, build) in locks.iter().filter_map(|lock| Some((lock, lock.build.as_ref()?))) {
        found.extend(build.unread().iter().map(|reason| Finding::good(Topic::Locks, reason)));
        for (file, reason) in project.unread_builds(std::slice::from_ref(lock), &own_lock_beside(&lock.file))? {
            let text = format!("{file} {reason}, so plugins that only it names are not mirrored");
            found.push(Finding::act(Topic::Locks, text, "make it a regular file, or name them in the setting `extra`"));
        }
    }
    Ok(found)
}

/// Returns what the mirror's plugins say: those of which it has a higher version than the pinned one, because another branch
/// refreshed it, and those that cannot be pinned. Neither makes a mirror stale.
fn resolved_plugins(project: &Project, locks: &[LockFile]) -> Result<Vec<Finding>> {
    let Some(source) = mirror_source(project)? else { return Ok(Vec::new()) };
    let snapshot = project.snapshot_of(source.remote.as_ref(), source.commit)?;
    let mut texts = BTreeSet::new();
    for Resolution { outdated, problems, .. } in
        resolutions(project, locks, &mut MirrorFacts::new(project, Some(&snapshot)))?
    {
        texts.extend(outdated.into_iter().map(|(pinned, highest)| {
            format!(
                "hexmirror.lock pins the plugin {pinned}, but rebar3 takes {highest}, which the mirror has, too; `git hexmirror update --refresh` \
                 pins it"
            )
        }));
        texts.extend(problems.iter().map(PluginProblem::to_string));
    }
    Ok(texts.into_iter().map(|text| Finding::good(Topic::Locks, text)).collect())
}

/// Returns this machine if the locks name others only, and it needs files that the mirror lacks.
fn machine(project: &Project, locks: &[LockFile]) -> Result<Option<Finding>> {
    let Ok(wanted) = project.wanted(locks) else { return Ok(None) };
    let Some(source) = mirror_source(project)?.filter(|_| !wanted.targets.is_empty()) else { return Ok(None) };
    let snapshot = project.snapshot_of(source.remote.as_ref(), source.commit)?;
    let lists = stored_lists(wanted.releases.values(), &snapshot)?;
    let target = needed_machine(project, &lists, &project.asset_config(locks)?, &wanted)?;
    Ok(target.map(|target| {
        let text =
            format!("no lock names a machine like this one ({target}), so precompiled files for it may be missing");
        Finding::run(Topic::Locks, text, "git hexmirror update")
    }))
}
