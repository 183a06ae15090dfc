//! Builds tarballs as hex_core's `hex_tarball:create/2` does. The same input gives the same bytes.

use crate::hex::path;
use crate::hex::recipe::{self, RebuildError, Recipe};
use crate::hex::tarball::TarballLimits;
use crate::hex::ustar::{Attributes, Member};

/// Why a tarball cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A path is not a plain relative path.
    #[error("{path:?} is not a plain relative path")]
    BadPath {
        /// The path.
        path: String,
    },
    /// The archive cannot be written.
    #[error("cannot write the tarball")]
    Archive {
        /// The cause.
        source: RebuildError,
    },
}

/// A file to put into a tarball.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFile<'a> {
    /// A plain relative path, separated by `/`. It may have at most 100 bytes, or more if a tar header can contain it
    /// split at a slash.
    pub path: &'a str,
    /// The content.
    pub bytes: &'a [u8],
    /// Whether the file gets the mode 0755 instead of 0644.
    pub executable: bool,
}

/// Builds a tarball of format version 3 from the text of `metadata.config` and the files, in their order.
///
/// # Errors
/// Returns an error if a path is not a plain relative path or does not fit into a tar header.
pub fn build(metadata: &str, files: &[BuildFile<'_>]) -> Result<Vec<u8>, BuildError> {
    if let Some(file) = files.iter().find(|file| !path::is_plain(file.path)) {
        return Err(BuildError::BadPath { path: file.path.to_owned() });
    }
    let member = |file: &BuildFile<'_>| {
        let mode = if file.executable { 0o100755 } else { 0o100644 };
        Member { attributes: Attributes { mode, ..Attributes::default() }, ..Member::file(file.path) }
    };
    let recipe = Recipe::listed(files.iter().map(member).collect());
    let mut contents = files.iter();
    // `rebuild` requests the members in the order in which they are listed.
    let next = |_: &str| contents.next().map(|file| file.bytes).ok_or_else(|| "it is not listed".into());
    let limits = TarballLimits { unpacked: usize::MAX, ..TarballLimits::default() };
    recipe::rebuild(&recipe, metadata.as_bytes(), next, &limits).map_err(|source| BuildError::Archive { source })
}

/// Writes a `metadata.config` with the fields that clients need: name, version, requirements as (package, requirement)
/// pairs, and the files.
pub fn metadata_text(name: &str, version: &str, requirements: &[(&str, &str)], files: &[BuildFile<'_>]) -> String {
    let files = files.iter().map(|file| quote(file.path)).collect::<Vec<_>>().join(",\n  ");
    let requirement = |(package, requirement): &(&str, &str)| {
        let (package, requirement) = (quote(package), quote(requirement));
        format!(
            "[{{<<\"name\">>,{package}}},\n  {{<<\"app\">>,{package}}},\n  {{<<\"optional\">>,false}},\n  \
             {{<<\"requirement\">>,{requirement}}},\n  {{<<\"repository\">>,<<\"hexpm\">>}}]"
        )
    };
    let requirements = requirements.iter().map(requirement).collect::<Vec<_>>().join(",\n ");
    let (name, version) = (quote(name), quote(version));
    format!(
        "{{<<\"app\">>,{name}}}.\n{{<<\"build_tools\">>,[<<\"mix\">>]}}.\n{{<<\"files\">>,\n [{files}]}}.\n\
         {{<<\"name\">>,{name}}}.\n{{<<\"requirements\">>,\n [{requirements}]}}.\n{{<<\"version\">>,{version}}}.\n"
    )
}

fn quote(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    let utf8 = if text.is_ascii() { "" } else { "/utf8" };
    format!("<<\"{escaped}\"{utf8}>>")
}
