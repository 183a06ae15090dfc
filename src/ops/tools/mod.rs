//! Hex and rebar3, as mix installs them for itself: Elixir's key signs the lists, and a list has the checksums of the
//! installers. Every use of a stored installer follows this chain.

mod assets;
pub(in crate::ops) mod check;
pub mod install;
mod item;
pub mod not_installed;
mod stored;

use std::fs;
use std::path::PathBuf;

use super::{FileError, Project, Result};
use crate::hex::installers::{Installer, elixir_key, is_signed};
use crate::hex::registry::PublicKey;
use crate::model::{FilePath, Tool, ToolsPair};

/// The maximum size of a key file, in bytes.
const MAX_KEY: u64 = 64 << 10;

/// The keys that may sign lists of installers.
#[derive(Debug)]
pub(in crate::ops) struct ToolKeys(Vec<PublicKey>);

impl ToolKeys {
    /// Returns Elixir's key, and those that the user gave mix (`Mix.PublicKey.public_keys/0`).
    pub fn of(project: &Project) -> Self {
        let folder = mix_home(project).map(|home| home.join("public_keys"));
        let files = folder.and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
        let files = files.filter(|file| file.metadata().is_ok_and(|data| data.is_file() && data.len() <= MAX_KEY));
        let given = files.filter_map(|file| PublicKey::from_pem(&fs::read_to_string(file.path()).ok()?).ok());
        Self([elixir_key().clone()].into_iter().chain(given).collect())
    }

    /// Checks the signature of a list.
    ///
    /// # Errors
    /// Fails if none of the keys made it.
    pub fn check(&self, list: &FilePath, content: &[u8], signature: &[u8]) -> Result<()> {
        match is_signed(content, signature, &self.0) {
            true => Ok(()),
            false => Err(FileError::UnsignedList { list: list.clone() }.into()),
        }
    }

    /// Returns what a signed list chooses for a version of Elixir.
    ///
    /// # Errors
    /// Fails if none of the keys signed the list, or if it has nothing for that version.
    pub fn chosen(&self, content: &[u8], signature: &[u8], tool: Tool, pair: &ToolsPair) -> Result<Installer> {
        let list = pair.list(tool);
        self.check(&list, content, signature)?;
        let lacking = || FileError::NoInstaller { tool, pair: pair.clone(), list };
        Installer::choose(content, tool, pair).ok_or_else(|| lacking().into())
    }
}

/// Returns mix's folder (`Mix.Utils.mix_home/0`).
pub(super) fn mix_home(project: &Project) -> Option<PathBuf> {
    let environment = &project.environment;
    let home = environment.get("MIX_HOME").map(PathBuf::from);
    home.or_else(|| environment.home.as_ref().map(|home| home.join(".mix")))
}
