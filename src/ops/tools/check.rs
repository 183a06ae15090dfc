//! Verifies the stored lists and installers of Hex and rebar3, from Elixir's key on.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::ToolKeys;
use crate::hex::installers::{digests, sha512};
use crate::model::{FileId, Manifest};
use crate::ops::damages::Unvouched;
use crate::ops::{FileError, Project};
use crate::store::Snapshot;

/// The end of the path of a list.
const LIST: &str = ".csv";
/// What the path of a signature has after that of its list.
const SIGNATURE: &str = ".signed";

/// Checks the files of a mirror. Branches can pin different lists, so several contents of each can be stored.
pub(in crate::ops) struct ToolChecks {
    keys: ToolKeys,
    files: Vec<FileId>,
    /// The SHA-512 of everything that a signed list has.
    listed: OnceLock<BTreeSet<String>>,
}

impl ToolChecks {
    pub fn new(project: &Project, manifest: &Manifest) -> Self {
        let files = manifest.files.keys().filter(|id| id.path.is_of_tools()).cloned().collect();
        Self { keys: ToolKeys::of(project), files, listed: OnceLock::new() }
    }

    /// Returns what is wrong with a list or an installer. A signature is checked together with its list.
    pub fn check(&self, snapshot: &Snapshot, id: &FileId, content: &[u8]) -> Option<(Unvouched, String)> {
        let path = id.path.as_str();
        if path.ends_with(SIGNATURE) {
            None
        } else if path.ends_with(LIST) {
            let unsigned = || (Unvouched::List, FileError::UnsignedList { list: id.path.clone() }.to_string());
            (!self.is_signed(snapshot, id, content)).then(unsigned)
        } else {
            let listed = self.listed.get_or_init(|| self.listed(snapshot));
            let unlisted = || (Unvouched::Installer, "no signed list of the mirror has its SHA-512".to_owned());
            (!listed.contains(&sha512(content))).then(unlisted)
        }
    }

    fn is_signed(&self, snapshot: &Snapshot, list: &FileId, content: &[u8]) -> bool {
        let path = format!("{}{SIGNATURE}", list.path);
        let signatures = self.files.iter().filter(|id| id.path.as_str() == path);
        let mut signatures = signatures.filter_map(|id| snapshot.file(id).ok()?);
        signatures.any(|signature| self.keys.check(&list.path, content, &signature).is_ok())
    }

    /// Lists that cannot be read are reported as damaged.
    fn listed(&self, snapshot: &Snapshot) -> BTreeSet<String> {
        let lists = self.files.iter().filter(|id| id.path.as_str().ends_with(LIST));
        let lists = lists.filter_map(|id| Some((id, snapshot.file(id).ok()??)));
        let signed = lists.filter(|(id, content)| self.is_signed(snapshot, id, content));
        signed.flat_map(|(_, content)| digests(&content)).collect()
    }
}
