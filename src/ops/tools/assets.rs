//! Puts asset tools where the packages that install them look for them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::slice;

use super::item::{Item, Items};
use super::stored::StoredTools;
use crate::hex::asset_tools::installed_files;
use crate::model::{AssetToolId, Target};
use crate::ops::artefacts::machine::this_machine;
use crate::ops::project::LockFile;
use crate::ops::project::asset_configs::folder_of_mix_lock;
use crate::ops::{OpError, Project, Result};
use crate::plan::{asset_tools_for, clients};

/// The folder of a project's builds.
const BUILD: &str = "_build";

/// The asset tools of a project.
pub(super) struct AssetItems {
    /// What is to be written.
    pub items: Items,
    /// The builds that the project needs and no lock pins.
    pub unpinned: BTreeSet<AssetToolId>,
}

impl StoredTools<'_> {
    /// Returns the builds that this machine needs of what the projects of the locks configure; without Erlang, those of all machines
    /// that locks name. With `to`, all are written to one folder.
    pub(super) fn asset_tools(
        &self,
        project: &Project,
        locks: &[LockFile],
        to: Option<&PathBuf>,
    ) -> Result<AssetItems> {
        let mut found = AssetItems { items: Items::new(), unpinned: BTreeSet::new() };
        let of_mix = locks.iter().filter_map(|lock| Some((lock, folder_of_mix_lock(&lock.file)?)));
        let mut configured = Vec::new();
        for (lock, folder) in of_mix {
            let config = project.asset_config(slice::from_ref(lock))?;
            if !config.versions.is_empty() {
                configured.push((config, folder));
            }
        }
        if configured.is_empty() {
            return Ok(found);
        }
        let this: BTreeSet<Target> = this_machine(project)?.into_iter().collect();
        let targets = if this.is_empty() { &self.wanted.targets } else { &this };
        let claims = project.npm_claims(self.wanted)?;
        for (config, folder) in configured {
            let Some(builds) = to.cloned().or_else(|| build_folder(project, folder)) else { continue };
            for id in asset_tools_for(&config, targets, self.wanted) {
                let Some(pin) = self.wanted.asset_tools.get(&id) else {
                    found.unpinned.insert(id);
                    continue;
                };
                let Some(file) = &pin.file else { continue };
                let content = self.content(&file.pin.id)?;
                claims.get(&file.pin.id).map_or(Ok(()), |claim| claim.check(&content))?;
                let clients = clients(id.tool, self.wanted);
                let client = clients.first().copied().filter(|_| clients.len() == 1);
                let files = installed_files(&id, client, content);
                let files = files.map_err(|source| OpError::AssetArchive { id: id.clone(), source })?;
                found.items.extend(files.into_iter().map(|file| {
                    let item = Item::File { content: file.content, is_executable: file.is_executable };
                    (builds.join(file.name), item)
                }));
            }
        }
        Ok(found)
    }
}

/// Returns the folder beside the builds of all environments (`Mix.Project.build_path/1`). `None` without a worktree.
fn build_folder(project: &Project, folder: &str) -> Option<PathBuf> {
    let root = project.repository.worktree()?.join(folder);
    let environment = &project.environment;
    if let Some(path) = environment.get("MIX_BUILD_PATH") {
        return root.join(path).parent().map(PathBuf::from);
    }
    Some(root.join(environment.get("MIX_BUILD_ROOT").unwrap_or_else(|| BUILD.to_owned())))
}
