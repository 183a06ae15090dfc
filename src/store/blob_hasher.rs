//! The ids of blobs whose content is read in pieces.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use gix::ObjectId;

/// Computes the id of a blob.
pub struct BlobHasher(gix::hash::Hasher);

impl BlobHasher {
    /// Begins a blob with this many bytes.
    pub fn new(bytes: u64) -> Self {
        let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
        hasher.update(&gix::objs::encode::loose_header(gix::objs::Kind::Blob, bytes));
        Self(hasher)
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the id. `None` if the content is one of the known attacks on SHA-1.
    pub fn finish(self) -> Option<ObjectId> {
        self.0.try_finalize().ok()
    }
}

/// Returns the blob id of a file's content.
pub(super) fn blob_id(path: &Path) -> io::Result<ObjectId> {
    let mut file = File::open(path)?;
    let mut hasher = BlobHasher::new(file.metadata()?.len());
    let mut buffer = vec![0; 64 << 10];
    loop {
        match Read::read(&mut file, &mut buffer)? {
            0 => return hasher.finish().ok_or_else(|| io::Error::other("its content is an attack on SHA-1")),
            count => hasher.update(&buffer[..count]),
        }
    }
}
