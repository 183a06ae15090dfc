//! The files of a pinned index.

use std::fmt;

use super::PackageName;

/// A file of a repository's pinned index: the registry files that this program builds over the stored releases and signs
/// with the mirror's own key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexFile {
    /// The public key in PEM form that verifies the other files.
    PublicKey,
    /// The signed list of all package names.
    Names,
    /// The signed list of all versions.
    Versions,
    /// The signed registry entry of a package, which lists the stored releases.
    Package(PackageName),
}

impl fmt::Display for IndexFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PublicKey => f.write_str("public_key"),
            Self::Names => f.write_str("names"),
            Self::Versions => f.write_str("versions"),
            Self::Package(name) => write!(f, "packages/{name}"),
        }
    }
}
