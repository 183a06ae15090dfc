//! Reads stored files, and divides large ones into pieces.
//!
//! A file is stored under its checksum, because paths of addresses can be such that one is the folder of another. Forges
//! refuse files above 100 MB, so a larger one is stored as a folder of pieces.

use sha2::{Digest, Sha256};

use super::{Result, Snapshot, StoreError, layout};
use crate::model::{FileChecksum, FileId, ManifestPart, StoredFile};

/// The maximum size of a piece, in bytes.
const PIECE: usize = 95_000_000;

/// Returns the paths of the pieces of a file of this size.
pub(super) fn piece_paths(checksum: &FileChecksum, bytes: u64) -> Vec<String> {
    let path = layout::file_path(checksum);
    match usize::try_from(bytes.div_ceil(PIECE as u64)) {
        Ok(0 | 1) => vec![path],
        // Such a manifest is hostile; the pieces would be missing.
        Ok(count) if count > 1000 => vec![path],
        Ok(count) => (0..count).map(|index| format!("{path}/{index:03}")).collect(),
        Err(_) => vec![path],
    }
}

/// Divides the content of a file.
pub(super) fn pieces(content: &[u8]) -> Vec<&[u8]> {
    if content.len() <= PIECE { vec![content] } else { content.chunks(PIECE).collect() }
}

impl Snapshot {
    /// Returns the content of a file, put together from its pieces and verified, or `None` if it is not stored.
    ///
    /// # Errors
    /// Fails if the file is damaged.
    pub fn file(&self, id: &FileId) -> Result<Option<Vec<u8>>> {
        let manifest = self.part(ManifestPart::Files)?;
        manifest.files.get(id).map(|stored| self.file_content(id, stored)).transpose()
    }

    /// Returns the folder of documentation that is stored unpacked.
    ///
    /// # Errors
    /// Fails if the manifest is damaged.
    pub(super) fn docs_path(&self, id: &FileId) -> Result<Option<String>> {
        let manifest = self.part(ManifestPart::Files)?;
        if !manifest.files.get(id).is_some_and(|stored| stored.is_unpacked) {
            return Ok(None);
        }
        Ok(layout::docs_paths(&manifest).remove(id))
    }

    fn pieces(&self, id: &FileId, stored: &StoredFile) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        for piece in piece_paths(&id.checksum, stored.bytes) {
            let bytes = self.blob(&piece)?.ok_or_else(|| StoreError::damaged(&piece)("it is missing"))?;
            if content.is_empty() { content = bytes } else { content.extend(bytes) }
        }
        Ok(content)
    }

    fn file_content(&self, id: &FileId, stored: &StoredFile) -> Result<Vec<u8>> {
        let (path, content) = match self.docs_path(id)? {
            Some(path) => (path.clone(), self.rebuild_docs(&path)?),
            None => (layout::file_path(&id.checksum), self.pieces(id, stored)?),
        };
        let found: [u8; 32] = Sha256::digest(&content).into();
        match content.len() as u64 == stored.bytes && &found == id.checksum.as_bytes() {
            true => Ok(content),
            false => Err(StoreError::damaged(path)(format!("it is not what the manifest says about {id}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_files_have_pieces() {
        let checksum = FileChecksum::from_bytes([0xab; 32]);
        let path = layout::file_path(&checksum);
        for bytes in [0, 1, PIECE as u64] {
            assert_eq!(piece_paths(&checksum, bytes), std::slice::from_ref(&path));
        }
        assert_eq!(piece_paths(&checksum, PIECE as u64 + 1), [format!("{path}/000"), format!("{path}/001")]);
        assert_eq!(piece_paths(&checksum, u64::MAX).len(), 1);
        let content = vec![7; PIECE + 5];
        assert_eq!(pieces(&content).iter().map(|piece| piece.len()).collect::<Vec<_>>(), [PIECE, 5]);
        assert_eq!(pieces(&content[..PIECE]).len(), 1);
    }
}
