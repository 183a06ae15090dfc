//! The files of a tarball as they are to be looked at, whether or not a recipe could rebuild it.

use super::{Limits, Tarball, TarballError};
use crate::hex::archive;
use crate::hex::ustar::RawHeader;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// An ordinary file.
    Plain,
    /// One that its owner may execute.
    Executable,
    /// A link; its content is where it leads.
    Link,
}

impl Tarball<'_> {
    /// Calls `each` with every file of the contents: its path, what it is, its bytes. A path may come twice, and then the
    /// last one counts. Paths are relative and without `..`, but need not be such as git accepts.
    ///
    /// # Errors
    /// Fails where the contents are malformed, hostile or above `limits`, or where `each` does.
    pub fn each_file<E: From<TarballError>>(
        &self,
        limits: &Limits,
        mut each: impl FnMut(&[u8], FileKind, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let inflated = self.inflate(limits)?;
        let scan =
            archive::scan(&inflated.bytes, limits.entries).map_err(|source| TarballError::Contents { source })?;
        for member in &scan.members {
            let raw = RawHeader(member.header);
            let name = member.whole_name();
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
