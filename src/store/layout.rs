//! Where things are in the branch's tree.
//!
//! ```text
//! README.md                                    one screen for whoever finds the branch
//! mirror.toml                                  the format's number
//! manifest                                     see `model::Manifest`
//! hex/<repository>/packages/<name>/            contents/…  metadata.config  recipe      (or: tarball)
//! hex/<repository>/packages/<name>@<version>/  the same, for releases below the highest
//! hex/<repository>/registry/<name>             the signed message, as upstream gave it before gzip
//! hex/<repository>/index/                      the pinned index: public_key, names, versions, packages/<name>
//! git/<host>/<path>.git/                       a bare repository: HEAD, packed-refs, info/refs, objects/info/packs,
//!                                              objects/pack/*, and shallow where an ancestry is not full
//! ```

use crate::model::{EntryId, IndexFile, Manifest, ReleaseId, RepositoryName};

/// The format version that this program writes. Format 2 added the signers of repositories to the manifest.
pub const FORMAT: u32 = 2;
/// The oldest format version that this program reads.
pub const OLDEST_FORMAT: u32 = 1;

/// The manifest's path.
pub const MANIFEST: &str = "manifest";
/// The path of the file that marks a tree as a mirror.
pub const MIRROR: &str = "mirror.toml";
/// The path of the file that explains the branch to people.
pub const README: &str = "README.md";

/// The folder with the package's files, in a release's folder.
pub const CONTENTS: &str = "contents";
/// The file with the package's metadata as published, in a release's folder.
pub const METADATA: &str = "metadata.config";
/// The file that describes how to rebuild the tarball, in a release's folder.
pub const RECIPE: &str = "recipe";
/// The file with the tarball itself, in the folder of a release that cannot be rebuilt.
pub const TARBALL: &str = "tarball";

/// The content of `README.md`.
pub const README_TEXT: &str = "\
# A mirror of this project's dependencies

This branch is kept by git-hexmirror. It holds everything that the project's lock files pin, so that a clone can build
without any other network: `git hexmirror run -- mix deps.get`.

It shares no history with the project and is never merged into it. Do not edit it by hand.

- `manifest`: one line for each stored thing, with its checksum.
- `hex/REPOSITORY/packages/NAME`: a release, unpacked, with the recipe that rebuilds the published tarball byte for
  byte. Lower versions stand beside it as `NAME@VERSION`.
- `hex/REPOSITORY/registry/NAME`: the registry entry of a package, as the repository signed it.
- `hex/REPOSITORY/index`: the pinned index, which lists only what is stored here, signed with a key of this mirror.
- `git/HOST/PATH.git`: a bare git repository with the revisions that are pinned, and their ancestry.

`git hexmirror verify` checks every byte; `git log` on this branch reads as a changelog.
";

/// Returns the content of `mirror.toml`.
pub fn mirror_text() -> String {
    format!("# Written by git-hexmirror.\nformat = {FORMAT}\n")
}

/// Returns the folder of a release, which depends on whether the release is its package's highest in the manifest.
pub fn release_path(manifest: &Manifest, id: &ReleaseId) -> String {
    if manifest.is_highest(id) { stable_path(id) } else { sibling_path(id) }
}

/// Returns the folder of a package's highest stored release. It is the same for all versions.
pub fn stable_path(id: &ReleaseId) -> String {
    format!("hex/{}/packages/{}", id.repository, id.package)
}

/// Returns the folder of a release that is not its package's highest.
pub fn sibling_path(id: &ReleaseId) -> String {
    format!("{}@{}", stable_path(id), id.version)
}

/// Returns the path of a registry entry.
pub fn entry_path(id: &EntryId) -> String {
    format!("hex/{}/registry/{}", id.repository, id.package)
}

/// Returns the folder of a repository's pinned index.
pub fn index_folder(repository: &RepositoryName) -> String {
    format!("hex/{repository}/index")
}

/// Returns the path of a file of a repository's pinned index.
pub fn index_path(repository: &RepositoryName, file: &IndexFile) -> String {
    format!("{}/{file}", index_folder(repository))
}
