//! Fetches the installers of Hex and rebar3: the signed lists, and what these choose for some versions of Elixir.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::fetch::{Downloads, Upstream, WebUrl};
use crate::model::{FileChecksum, FileId, FilePath, FileTrust, Tool, ToolsPair};
use crate::ops::tools::ToolKeys;
use crate::ops::{FileError, OpError, Project, Result};
use crate::plan::FilePin;
use crate::store::Transaction;

/// Fetches installers into a transaction.
pub(super) struct ToolsFetcher<'a> {
    pub project: &'a Project,
    /// Where installers are fetched from.
    pub base: WebUrl,
    pub upstream: Upstream,
    pub downloads: &'a Arc<Downloads>,
}

/// The pins of each version of Elixir.
type Pins = BTreeMap<ToolsPair, Vec<FilePin>>;

impl ToolsFetcher<'_> {
    /// Fetches what the newest lists choose for some versions, together with the lists, so that no list is stored
    /// without what it chooses. Returns the pins, and those of the files that are new.
    ///
    /// # Errors
    /// Fails if a list is not signed by Elixir or chooses nothing, or if a file does not match its list.
    pub fn pin(&self, pairs: &BTreeSet<ToolsPair>, transaction: &mut Transaction<'_>) -> Result<(Pins, Vec<FilePin>)> {
        let (mut fetched, keys) = (BTreeMap::new(), ToolKeys::of(self.project));
        let (mut pins, mut new) = (Pins::new(), Vec::new());
        for pair in pairs {
            let mut of_pair = Vec::new();
            for tool in Tool::ALL {
                let [list, signature] = [pair.list(tool), pair.signature(tool)];
                for path in [&list, &signature] {
                    self.fetch(path, &mut fetched)?;
                }
                let chosen = keys.chosen(&fetched[&list], &fetched[&signature], tool, pair)?;
                self.fetch(&chosen.path, &mut fetched)?;
                if !chosen.is(&fetched[&chosen.path]) {
                    return Err(FileError::WrongInstaller { path: chosen.path, list }.into());
                }
                of_pair.extend([list, signature, chosen.path]);
            }
            let mut pinned = Vec::new();
            for path in of_pair {
                let content = &fetched[&path];
                let checksum = FileChecksum::from_bytes(Sha256::digest(content).into());
                let pin = FilePin::of_tool(FileId { path: path.clone(), checksum });
                let pin = FilePin { bytes: Some(content.len() as u64), ..pin };
                if transaction.put_file(path, content, FileTrust::Signed, pin.address.clone())? {
                    new.push(pin.clone());
                }
                pinned.push(pin);
            }
            pins.insert(pair.clone(), pinned);
        }
        Ok((pins, new))
    }

    /// Fetches a file, unless it was fetched before.
    fn fetch(&self, path: &FilePath, fetched: &mut BTreeMap<FilePath, Vec<u8>>) -> Result<()> {
        if !fetched.contains_key(path) {
            let runtime = crate::runtime::current_thread();
            let runtime = runtime.map_err(OpError::machine("fetch into", self.downloads.folder()))?;
            let download = self.upstream.installer(&self.base, path, None, self.downloads);
            let download = runtime.block_on(download)?;
            fetched.insert(path.clone(), download.read()?);
        }
        Ok(())
    }
}
