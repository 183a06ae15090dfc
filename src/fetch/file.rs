//! Reads small configuration files of the user's programs.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The maximum size of a file, in bytes.
const MAX_LENGTH: u64 = 1 << 20;

/// Reads a file. A missing file counts as empty.
pub(super) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut source = Vec::new();
    file.take(MAX_LENGTH + 1).read_to_end(&mut source)?;
    let fits = source.len() as u64 <= MAX_LENGTH;
    fits.then_some(source).ok_or_else(|| io::Error::other("it is larger than 1 MiB"))
}
