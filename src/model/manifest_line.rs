//! The lines of a manifest as they are written; see [`super::manifest`] for their form.

use super::stored_file::{FileId, StoredFile};
use super::stored_hex::{StoredEntry, StoredRelease};
use super::{EntryId, Fingerprint, IndexSource, PolicyId, ReleaseId, RepositoryName};

/// Returns the beginning of a release's line.
pub(super) fn release_line(id: &ReleaseId) -> String {
    format!("hex {} {} {} ", id.repository, id.package, id.version)
}

/// Returns the line of a release.
pub(super) fn of_release(id: &ReleaseId, stored: &StoredRelease) -> String {
    let StoredRelease { outer, inner, storage, bytes } = stored;
    format!("{}{} {bytes} {outer} {inner}\n", release_line(id), storage.as_str())
}

/// Returns the line of a registry entry.
pub(super) fn of_entry(id: &EntryId, StoredEntry { checksum, bytes }: &StoredEntry) -> String {
    format!("registry {} {} {bytes} {checksum}\n", id.repository, id.package)
}

/// Returns the line of a policy.
pub(super) fn of_policy(id: &PolicyId, StoredEntry { checksum, bytes }: &StoredEntry) -> String {
    format!("policy {} {} {bytes} {checksum}\n", id.repository, id.name)
}

/// Returns the line of a file.
pub(super) fn of_file(FileId { path, checksum }: &FileId, stored: &StoredFile) -> String {
    let StoredFile { bytes, trust, address, is_unpacked } = stored;
    let form = if *is_unpacked { " unpacked" } else { "" };
    format!("file {path} {checksum} {bytes} {trust} {address}{form}\n")
}

/// Returns the line of a registry entry that upstream does not have.
pub(super) fn of_absent(id: &EntryId) -> String {
    format!("absent {} {}\n", id.repository, id.package)
}

/// Returns the line of a repository's signer.
pub(super) fn of_signer(repository: &RepositoryName, fingerprint: &Fingerprint) -> String {
    format!("signer {repository} {fingerprint}\n")
}

/// Returns the line of a package in the pinned index.
pub(super) fn of_index(id: &EntryId, source: IndexSource) -> String {
    format!("index {} {} {source}\n", id.repository, id.package)
}

/// Returns the line of the key that signs a repository's pinned index.
pub(super) fn of_index_signer(repository: &RepositoryName, fingerprint: &Fingerprint) -> String {
    format!("index-signer {repository} {fingerprint}\n")
}

/// Returns the text of some lines.
pub(super) fn sorted(mut lines: Vec<String>) -> String {
    lines.sort_unstable();
    lines.concat()
}
