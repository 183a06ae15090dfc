//! The machine that an update adds to a lock: the one that it runs on.

use super::asset_tools::asset_target;
use super::outcome::UpdateOptions;
use crate::hex::asset_tools::AssetConfig;
use crate::model::Target;
use crate::ops::artefacts::{ReleaseLists, machine, stored_lists};
use crate::ops::status::{Status, needs_machines};
use crate::ops::{Project, Result};
use crate::plan::Wanted;

/// Returns this machine if the locks must name it, because packages have precompiled files for it. That they need not is
/// remembered.
pub(super) fn new_machine(project: &Project, options: &UpdateOptions, status: &Status) -> Result<Option<Target>> {
    if !adds_machine(project, options) {
        return Ok(None);
    }
    let Some(locks) = &status.digest else { return Ok(None) };
    let digest = machine::locks_digest(project, locks);
    if machine::is_settled(project, locks) || digest.as_ref().is_none_or(|digest| machine::is_settled(project, digest))
    {
        return Ok(None);
    }
    let all = project.locks()?;
    let (wanted, snapshot) = (project.wanted(&all)?, project.snapshot()?);
    let lists = snapshot.map(|snapshot| stored_lists(wanted.releases.values(), &snapshot)).transpose()?;
    let lists = lists.unwrap_or_default();
    let config = project.asset_config(&all)?;
    let target = needed_machine(project, &lists, &config, &wanted)?;
    if target.is_none() {
        // Without lists and asset tools, no machine needs anything, today or another day.
        let needs_none = lists.is_empty() && config.versions.is_empty();
        machine::settle(project, digest.as_ref().filter(|_| !needs_none).unwrap_or(locks));
    }
    Ok(target)
}

/// Returns this machine if precompiled files of packages or asset tools are needed for it, and no lock names it.
pub(in crate::ops) fn needed_machine(
    project: &Project,
    lists: &ReleaseLists,
    config: &AssetConfig,
    wanted: &Wanted,
) -> Result<Option<Target>> {
    match machine::new_target(project, lists, &wanted.targets)? {
        None => asset_target(project, config, wanted),
        target => Ok(target),
    }
}

/// Returns whether an update may add this machine to a lock.
pub(super) fn adds_machine(project: &Project, options: &UpdateOptions) -> bool {
    options.adds_machine && needs_machines(project)
}
