//! Writes the tools that locks pin to where mix and its packages look for them, so that a build needs no server for them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::ToolKeys;
use super::assets::AssetItems;
use super::not_installed::NotInstalled;
use super::stored::{Places, StoredTools};
use crate::model::{AssetTool, Version};
use crate::ops::{FileError, MirrorSource, OpError, Project, Result, mirror};

/// What an installation did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installed {
    /// The files and folders that were written.
    pub written: Vec<PathBuf>,
    /// Those that were there already.
    pub unchanged: Vec<PathBuf>,
    /// What the project configures and was not installed.
    pub left_out: BTreeSet<NotInstalled>,
    /// The versions of the settings that were not installed, because the packages look for the one that the configuration names, with
    /// where it names that.
    pub superseded: BTreeMap<(AssetTool, Version), String>,
}

/// Installs Hex and rebar3 for the versions of Elixir that the locks pin them for, each verified from Elixir's key on, and the asset
/// tools that the project configures. With `to`, writes everything below this folder, and the other files that locks pin as well.
///
/// What the project configures and the locks do not have is left out, which is not an error.
///
/// # Errors
/// Fails if there is nothing to install and nothing is left out; if the mirror lacks a part of what the locks pin, a
/// signature or a checksum is wrong, or a file cannot be written. What was verified before may then be written; each file or folder is complete.
pub fn install_tools(project: &Project, to: Option<&Path>) -> Result<Installed> {
    let locks = project.locks()?;
    let wanted = project.wanted(&locks)?;
    let (MirrorSource { .. }, snapshot) = mirror(project)?;
    let places = Places::of(project, to)?;
    let stored = StoredTools { wanted: &wanted, snapshot: &snapshot, keys: ToolKeys::of(project) };
    let mut items = stored.installers(&places)?;
    let AssetItems { items: assets, mut left_out, superseded } =
        stored.asset_tools(project, &locks, places.builds.as_ref())?;
    items.extend(assets);
    let pairs = project.tools_pairs()?.into_iter().filter(|pair| !wanted.tools.contains(pair));
    left_out.extend(pairs.map(|pair| NotInstalled::NoPair { pair }));
    if let Some(folder) = &places.downloads {
        items.extend(stored.downloads(folder)?);
    }
    if items.is_empty() && left_out.is_empty() {
        let has_downloads = wanted.files.keys().any(|id| !id.path.is_of_tools());
        return Err(FileError::NoTools { has_downloads }.into());
    }
    let mut installed = Installed { left_out, superseded, ..Installed::default() };
    for (place, item) in items {
        let is_written = item.write(&place).map_err(OpError::machine("write", &place))?;
        if is_written { installed.written.push(place) } else { installed.unchanged.push(place) }
    }
    Ok(installed)
}
