//! The files of a tarball, for viewing and comparing them, whether or not a recipe can rebuild the tarball.

use std::collections::HashMap;

use super::{Tarball, TarballError, TarballLimits};
use crate::hex::archive;
use crate::hex::ustar::RawHeader;

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// An ordinary file.
    Plain,
    /// A file that its owner may execute.
    Executable,
    /// A link. Its content is its target.
    Link,
}

impl Tarball<'_> {
    /// Returns the files in the root of the contents whose names are accepted.
    ///
    /// # Errors
    /// Fails if the contents are malformed, hostile or above `limits`.
    pub fn root_files(
        &self,
        limits: &TarballLimits,
        accepts: impl Fn(&str) -> bool,
    ) -> Result<HashMap<String, Vec<u8>>, TarballError> {
        let mut files = HashMap::new();
        self.each_file(limits, |path, kind, bytes| {
            let name = std::str::from_utf8(path).ok().filter(|name| kind != FileKind::Link && accepts(name));
            files.extend(name.map(|name| (name.to_owned(), bytes.to_vec())));
            Ok::<_, TarballError>(())
        })?;
        Ok(files)
    }

    /// Calls `each` with the path, the type and the bytes of every file of the contents.
    ///
    /// A path may occur more than once; the last file then wins. Paths are relative and contain no `..`, but git may
    /// still reject them.
    ///
    /// # Errors
    /// Fails if the contents are malformed, hostile or above `limits`, or if `each` fails.
    pub fn each_file<E: From<TarballError>>(
        &self,
        limits: &TarballLimits,
        mut each: impl FnMut(&[u8], FileKind, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let inflated = self.inflate(limits)?;
        let scan =
            archive::scan(&inflated.bytes, limits.entries).map_err(|source| TarballError::Contents { source })?;
        for member in &scan.members {
            let raw = RawHeader(member.header);
            let name = member.unpacked_name();
            match raw.type_flag() {
                b'0' | 0 | b'7' => {
                    let kind = if raw.is_executable() { FileKind::Executable } else { FileKind::Plain };
                    each(&name, kind, &inflated.bytes[member.data.clone()])?;
                }
                b'1' | b'2' => each(&name, FileKind::Link, raw.link_name())?,
                _ => {}
            }
        }
        Ok(())
    }
}
