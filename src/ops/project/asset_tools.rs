//! The asset tools that a project configures, and where they are published.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use super::regular_file::read_regular;
use super::worktree::MAX_KEY;
use super::{LockFile, Project};
use crate::config::{ConfigError, KeySetting};
use crate::hex::asset_tools::{AssetConfig, AssetSource, NpmKeys, NpmPackage, NpmSignature};
use crate::model::{AssetTool, FileId};
use crate::ops::{FileError, OpError, Result};
use crate::plan::Wanted;

/// What a lock says that npm signed.
#[derive(Debug, Clone)]
pub(in crate::ops) struct NpmClaim {
    package: NpmPackage,
    signature: NpmSignature,
    keys: Arc<NpmKeys>,
}

impl NpmClaim {
    /// Checks that npm signed a content.
    ///
    /// # Errors
    /// Fails if it did not.
    pub fn check(&self, content: &[u8]) -> Result<()> {
        let checked = self.keys.check(&self.package, content, &self.signature);
        checked.map_err(|source| FileError::NotOfNpm { package: self.package.to_string(), source }.into())
    }
}

impl Project {
    /// Returns what locks say that npm signed, by the files.
    ///
    /// # Errors
    /// Fails if the user's keys cannot be read.
    pub(in crate::ops) fn npm_claims(&self, wanted: &Wanted) -> Result<BTreeMap<FileId, NpmClaim>> {
        let signed = wanted.asset_tools.values().filter_map(|pin| {
            let file = pin.file.as_ref()?;
            Some((file.pin.id.clone(), NpmPackage::of(&pin.id)?, file.npm.clone()?))
        });
        let mut signed = signed.peekable();
        if signed.peek().is_none() {
            return Ok(BTreeMap::new());
        }
        let keys = Arc::new(self.npm_keys()?);
        let claim = |package, signature| NpmClaim { package, signature, keys: Arc::clone(&keys) };
        Ok(signed.map(|(id, package, signature)| (id, claim(package, signature))).collect())
    }

    /// Returns what the configuration beside some locks and the settings say about asset tools. Nothing if the settings say so.
    ///
    /// # Errors
    /// Fails if a file cannot be read.
    pub(in crate::ops) fn asset_config(&self, locks: &[LockFile]) -> Result<AssetConfig> {
        let mut all = AssetConfig::default();
        let Some(settings) = &self.config.asset_tools else { return Ok(all) };
        for config in locks.iter().flat_map(|lock| &lock.configs) {
            match config.bytes(&self.repository) {
                Err(OpError::Refused { .. }) => {}
                bytes => all.add(&config.file, &bytes?),
            }
        }
        all.add_settings(&settings.versions);
        Ok(all)
    }

    /// Returns where a tool is published.
    ///
    /// # Errors
    /// Fails if the settings name a place whose addresses cannot be mirrored.
    pub(in crate::ops) fn asset_source(&self, tool: AssetTool) -> Result<AssetSource> {
        let url = self.config.asset_tools.as_ref().and_then(|settings| settings.urls.get(&tool));
        let Some(url) = url else { return Ok(AssetSource::published(tool)) };
        Ok(AssetSource::at(tool, url).map_err(|error| ConfigError::new("the setting asset_tools", error))?)
    }

    /// Returns the keys that may sign packages of npm: npm's own, and those of the user's settings.
    ///
    /// # Errors
    /// Fails if the user's keys cannot be read.
    pub(in crate::ops) fn npm_keys(&self) -> Result<NpmKeys> {
        let failed = |problem: String| ConfigError::new("the setting npm_keys", problem);
        let pem = match &self.config.npm_keys {
            None => return Ok(NpmKeys::npm()),
            Some(KeySetting::Pem(pem)) => pem.clone(),
            Some(KeySetting::File(file) | KeySetting::Tracked { file, .. }) => {
                let path = self.repository.worktree().unwrap_or(self.repository.common_dir()).join(file);
                let read = fs::canonicalize(&path).and_then(|path| read_regular(&path, MAX_KEY));
                let read = read.map_err(|error| failed(format!("cannot read {}: {error}", path.display())))?;
                let bytes = read.map_err(|reason| failed(format!("{} {reason}", path.display())))?;
                String::from_utf8_lossy(&bytes).into_owned()
            }
        };
        Ok(NpmKeys::npm().with(NpmKeys::from_pem(&pem).map_err(|error| failed(error.to_string()))?))
    }
}
