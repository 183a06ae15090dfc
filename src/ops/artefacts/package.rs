//! What a package says about its precompiled files.

use std::collections::BTreeMap;

use crate::hex::artefacts::{ChecksumMap, PackageTexts, is_map};
use crate::hex::metadata::Metadata;
use crate::hex::tarball::{FileKind, Tarball, TarballError, TarballLimits};
use crate::model::ReleaseId;
use crate::ops::{FileError, Result};
use crate::store::Snapshot;

/// The lists of checksums in the root of a package, not parsed yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::ops) struct ChecksumLists(BTreeMap<String, Vec<u8>>);

impl ChecksumLists {
    /// Takes the lists among the files in the root of a package.
    pub fn of(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self(files.into_iter().filter(|(name, _)| is_map(name)).collect())
    }

    /// Returns the lists of a release in a snapshot.
    pub fn stored(snapshot: &Snapshot, id: &ReleaseId) -> Result<Self> {
        Ok(Self::of(snapshot.release_files(id, is_map)?))
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Parses the lists of a release.
    ///
    /// # Errors
    /// Fails if one of them is code, or malformed.
    pub fn maps(&self, id: &ReleaseId) -> Result<Vec<ChecksumMap>> {
        let parse = |(file, contents): (&String, &Vec<u8>)| {
            let failed = |source| FileError::ChecksumList { release: id.clone(), file: file.clone(), source };
            ChecksumMap::parse(file, contents).map_err(failed)
        };
        self.0.iter().filter_map(|list| parse(list).transpose()).collect::<Result<_, FileError>>().map_err(Into::into)
    }
}

/// Returns what a package says about where its files are published.
///
/// # Errors
/// Fails if the contents are malformed, hostile or above the limits.
pub(in crate::ops) fn texts(tarball: &Tarball<'_>) -> Result<PackageTexts, TarballError> {
    let links = Metadata::parse(tarball.metadata()).map(|metadata| metadata.links).unwrap_or_default();
    let mut texts = PackageTexts { links, ..PackageTexts::default() };
    tarball.each_file(&TarballLimits::default(), |path, kind, content| {
        if kind != FileKind::Link && PackageTexts::is_code(path) {
            texts.add(content);
        }
        Ok::<_, TarballError>(())
    })?;
    Ok(texts)
}
