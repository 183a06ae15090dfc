//! What the local Hex client keeps: tarballs it downloaded and its configuration.

use std::path::PathBuf;

use super::downloads::{Download, Origin};
use super::hash;
use crate::model::{OuterChecksum, ReleaseId};

/// The folders of the local Hex client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HexHome {
    config: PathBuf,
    cache: PathBuf,
}

impl HexHome {
    /// Takes one folder for everything: `HEX_HOME`, or `~/.hex`.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        let home = home.into();
        Self { config: home.clone(), cache: home }
    }

    /// Takes the folders that the client uses under `MIX_XDG`.
    pub fn xdg(config: impl Into<PathBuf>, cache: impl Into<PathBuf>) -> Self {
        Self { config: config.into(), cache: cache.into() }
    }

    /// Returns the tarball that the client downloaded, if it is there and has the checksum (`cache_path/3` in `scm.ex`).
    pub fn tarball(&self, release: &ReleaseId, expected: &OuterChecksum) -> Option<Download> {
        let repository = release.repository.as_str();
        // Windows has no ':' in names; the client writes '-' there.
        let repository = if cfg!(windows) { repository.replace(':', "-") } else { repository.to_owned() };
        let path = self.cache.join("packages").join(repository).join(release.tarball_name());
        // Another program's cache: whatever is wrong with it, upstream has the tarball.
        let (outer_checksum, bytes) = path.is_file().then(|| hash::of_file(&path).ok()).flatten().flatten()?;
        let download = Download { path, outer_checksum, bytes, downloaded_bytes: 0, origin: Origin::HexCache };
        (outer_checksum == *expected).then_some(download)
    }
}
