//! Computes outer checksums of files without loading them into memory.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::model::OuterChecksum;

/// Feeds the rest of `file` to `hasher` and returns the number of bytes.
pub(super) fn feed(hasher: &mut Sha256, file: &mut impl Read) -> io::Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(total),
            count => {
                hasher.update(&buffer[..count]);
                total += count as u64;
            }
        }
    }
}

/// Returns the outer checksum and the size in bytes of a file, or `None` if the file does not exist.
///
/// # Errors
/// Fails if the file cannot be read.
pub fn of_file(path: &Path) -> io::Result<Option<(OuterChecksum, u64)>> {
    let mut file = match std::fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut hasher = Sha256::new();
    let bytes = feed(&mut hasher, &mut file)?;
    Ok(Some((finish(hasher), bytes)))
}

/// Returns the hash as an outer checksum.
pub(super) fn finish(hasher: Sha256) -> OuterChecksum {
    OuterChecksum::from_bytes(hasher.finalize().into())
}

/// Returns the outer checksum of a tarball in memory.
pub fn of_bytes(bytes: &[u8]) -> OuterChecksum {
    finish(Sha256::new_with_prefix(bytes))
}
