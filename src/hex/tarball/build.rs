//! Building a tarball as hex_core's `hex_tarball:create/2` does: the same input gives the same bytes.

use crate::hex::path;
use crate::hex::recipe::{self, RebuildError, Recipe};
use crate::hex::tarball::Limits;
use crate::hex::ustar::{Attributes, Member};

/// Why a tarball cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A path is not a plain relative one.
    #[error("{path:?} is no plain relative path")]
    BadPath {
        /// The path.
        path: String,
    },
    /// The archive cannot be written.
    #[error("the tarball cannot be written")]
    Archive {
        /// Why not.
        source: RebuildError,
    },
}

/// A file that goes into a tarball.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFile<'a> {
    /// A plain relative path, separated by `/`; at most 100 bytes, or more where slashes let a tar header hold it.
    pub path: &'a str,
    /// Its contents.
    pub bytes: &'a [u8],
    /// Whether it gets mode 0755 instead of 0644.
    pub executable: bool,
}

/// Builds a tarball of version 3 from the text of `metadata.config` and the files, in their order.
///
/// # Errors
/// Where a path is not plain or does not fit into a tar header.
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
    // The members are asked for in the order in which they were listed.
    let next = |_: &str| contents.next().map(|file| file.bytes).ok_or_else(|| "it is not listed".into());
    let limits = Limits { unpacked: usize::MAX, ..Limits::default() };
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
