//! Writes the tools that locks pin to where mix and its packages look for them, so that a build needs no server for them.

use std::path::{Path, PathBuf};

use super::ToolKeys;
use super::assets::AssetItems;
use super::stored::{Places, StoredTools};
use crate::ops::{MirrorSource, OpError, Project, Result, mirror};

/// What an installation did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installed {
    /// The files and folders that were written.
    pub written: Vec<PathBuf>,
    /// Those that were there already.
    pub unchanged: Vec<PathBuf>,
}

/// Installs Hex and rebar3 for the versions of Elixir that the locks pin them for, each verified from Elixir's key on, and the asset
/// tools that the project configures. With `to`, writes everything below this folder, and the other files that locks pin as well.
///
/// # Errors
/// Fails if the locks pin nothing to install, or not everything that the project configures; if the mirror lacks a part of it, a
/// signature or a checksum is wrong, or a file cannot be written. What was verified before may then be written; each file or folder is complete.
pub fn install_tools(project: &Project, to: Option<&Path>) -> Result<Installed> {
    let locks = project.locks()?;
    let wanted = project.wanted(&locks)?;
    let (MirrorSource { .. }, snapshot) = mirror(project)?;
    let places = Places::of(project, to)?;
    let stored = StoredTools { wanted: &wanted, snapshot: &snapshot, keys: ToolKeys::of(project) };
    let mut items = stored.installers(&places)?;
    let AssetItems { items: assets, unpinned } = stored.asset_tools(project, &locks, places.builds.as_ref())?;
    items.extend(assets);
    if let Some(folder) = &places.downloads {
        items.extend(stored.downloads(folder)?);
    }
    if items.is_empty() && unpinned.is_empty() {
        return Err(OpError::NoTools);
    }
    let mut installed = Installed::default();
    for (place, item) in items {
        let is_written = item.write(&place).map_err(OpError::machine("write", &place))?;
        if is_written { installed.written.push(place) } else { installed.unchanged.push(place) }
    }
    match unpinned.into_iter().next() {
        Some(id) => Err(OpError::NoAssetTool { id }),
        None => Ok(installed),
    }
}
