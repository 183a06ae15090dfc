//! Splits a tarball into files and a recipe, and proves that the recipe rebuilds the tarball.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::ops::Range;

use super::order::parents;
use super::{Archive, Members, OUTER_NAMES, RebuildError, Recipe};
use crate::hex::archive::{self, Scan};
use crate::hex::tarball::{Tarball, TarballError, TarballLimits};
use crate::hex::ustar::{Attributes, Kind, Member};

/// The longest archive trailer that a recipe can express, in bytes.
pub(super) const MAX_TRAILER: usize = 1 << 20;

/// Why a tarball cannot be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// The tarball is malformed or hostile. Do not store any of it.
    #[error(transparent)]
    Refused(#[from] TarballError),
    /// The tarball is valid, but no recipe can rebuild it byte for byte. Store the tarball itself.
    #[error("no recipe rebuilds it: {reason}")]
    NotReproducible {
        /// The feature that recipes cannot express.
        reason: String,
    },
}

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// A plain relative path, separated by `/`. No other file's path is a parent of it.
    pub path: String,
    /// Whether the owner may execute the file.
    pub executable: bool,
    range: Range<usize>,
}

/// An unpacked release.
pub struct Unpacked {
    recipe: Recipe,
    files: Vec<File>,
    archive: Vec<u8>,
}

impl Unpacked {
    pub(super) fn new(recipe: Recipe, files: Files, archive: Vec<u8>) -> Self {
        let file = |(path, (executable, range))| File { path, executable, range };
        Self { recipe, files: files.into_iter().map(file).collect(), archive }
    }

    /// Returns the recipe. It is known to rebuild the tarball from the files and `metadata.config`, or the documentation from the
    /// files.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Returns the files, sorted by path. Each path occurs once.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Returns the content of one of [`Self::files`].
    pub fn bytes(&self, file: &File) -> &[u8] {
        &self.archive[file.range.clone()]
    }
}

impl std::fmt::Debug for Unpacked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacked").field("recipe", &self.recipe).field("files", &self.files).finish_non_exhaustive()
    }
}

/// Unpacks an opened tarball, and proves the recipe by rebuilding the tarball from the result.
///
/// The inflated contents are in memory once. The tarball is not copied.
///
/// # Errors
/// [`UnpackError::Refused`] if the contents are malformed, hostile or above `limits`; [`UnpackError::NotReproducible`]
/// if they are valid but no recipe can express them.
pub fn unpack(tarball: &Tarball<'_>, limits: &TarballLimits) -> Result<Unpacked, UnpackError> {
    let inflated = tarball.inflate(limits)?;
    let scan = archive::scan(&inflated.bytes, limits.entries).map_err(|source| TarballError::Contents { source })?;
    if let Some(foreign) = inflated.foreign {
        return Err(not_reproducible(foreign));
    }
    let (outer, outer_order) = read_outer(tarball)?;
    let (dialect, trailer) = read_frame(&scan, "contents")?;
    let members = read_members(&scan, "contents")?;
    let files = collect_files(&members, &scan, &inflated.bytes)?;
    let attributes = common_attributes(&members);
    let archive = Archive { dialect, attributes, trailer };
    let recipe =
        Recipe { gzip: inflated.header, outer, outer_order, inner: archive, members: Members::Listed(members) };
    let recipe = prove(recipe.shortened(tarball.metadata()), tarball, &files, &inflated.bytes, limits)?;
    Ok(Unpacked::new(recipe, files, inflated.bytes))
}

pub(super) type Files = BTreeMap<String, (bool, Range<usize>)>;

pub(super) fn not_reproducible(reason: impl Into<String>) -> UnpackError {
    UnpackError::NotReproducible { reason: reason.into() }
}

fn read_outer(tarball: &Tarball<'_>) -> Result<(Archive, [usize; 4]), UnpackError> {
    let (dialect, trailer) = read_frame(&tarball.scan, "outer archive")?;
    let members = read_members(&tarball.scan, "outer archive")?;
    let index = |member: &Member| OUTER_NAMES.iter().position(|name| *name == member.path && member.kind == Kind::File);
    let order: Option<Vec<usize>> = members.iter().map(index).collect();
    let order = order
        .and_then(|order| order.try_into().ok())
        .ok_or_else(|| not_reproducible("the outer archive has a member that is not known"))?;
    let attributes = members[0].attributes.clone();
    if members.iter().any(|member| member.attributes != attributes) {
        return Err(not_reproducible("the outer archive's members differ in mode, owner or time"));
    }
    Ok((Archive { dialect, attributes, trailer }, order))
}

/// Returns the dialect of an archive, and its trailer if it differs from the dialect's.
pub(super) fn read_frame(
    scan: &Scan<'_>,
    what: &str,
) -> Result<(crate::hex::ustar::Dialect, Option<usize>), UnpackError> {
    if let Some(foreign) = &scan.foreign {
        return Err(not_reproducible(format!("{what}: {foreign}")));
    }
    if scan.trailer > MAX_TRAILER {
        return Err(not_reproducible(format!("{what}: {} zero bytes at the end", scan.trailer)));
    }
    Ok((scan.dialect, (scan.trailer != scan.dialect.trailer(scan.length)).then_some(scan.trailer)))
}

pub(super) fn read_members(scan: &Scan<'_>, what: &str) -> Result<Vec<Member>, UnpackError> {
    let read = |found: &archive::ScannedMember<'_>| {
        Member::read(found.header, scan.dialect).map_err(|reason| {
            not_reproducible(format!("{what}: {:?}: {reason}", String::from_utf8_lossy(&found.name())))
        })
    };
    scan.members.iter().map(read).collect()
}

/// Collects the files, one per path, and checks that one tree can contain all of them.
pub(super) fn collect_files(members: &[Member], scan: &Scan<'_>, archive: &[u8]) -> Result<Files, UnpackError> {
    let mut files = Files::new();
    for (member, found) in members.iter().zip(&scan.members) {
        if member.kind != Kind::File {
            continue;
        }
        let (executable, data) = (member.attributes.mode & 0o100 != 0, found.data.clone());
        match files.get(&member.path) {
            Some((_, other)) if archive[other.clone()] != archive[data.clone()] => {
                return Err(not_reproducible(format!("{:?} is there twice, with different content", member.path)));
            }
            _ => files.insert(member.path.clone(), (executable, data)),
        };
    }
    let folders: HashSet<&str> = members
        .iter()
        .flat_map(|member| {
            let own = (member.kind != Kind::File).then_some(member.path.as_str());
            parents(&member.path).chain(own)
        })
        .collect();
    match files.keys().find(|path| folders.contains(path.as_str())) {
        Some(path) => Err(not_reproducible(format!("{path:?} is both a file and a folder"))),
        None => Ok(files),
    }
}

/// Returns the most frequent value of each attribute.
pub(super) fn common_attributes(members: &[Member]) -> Attributes {
    fn most<T: Hash + Eq + Ord + Clone>(members: &[Member], default: T, field: impl Fn(&Attributes) -> T) -> T {
        let mut counts: HashMap<T, usize> = HashMap::new();
        for member in members {
            *counts.entry(field(&member.attributes)).or_default() += 1;
        }
        // Prefers the default among equally frequent values, then the greatest. The choice must not depend on the order
        // of the map.
        let rank = |(value, count): &(T, usize)| (*count, *value == default, value.clone());
        counts.into_iter().max_by_key(rank).map_or_else(|| default.clone(), |(value, _)| value)
    }
    let default = Attributes::default();
    Attributes {
        mode: most(members, default.mode, |attributes| attributes.mode),
        uid: most(members, default.uid, |attributes| attributes.uid),
        gid: most(members, default.gid, |attributes| attributes.gid),
        mtime: most(members, default.mtime, |attributes| attributes.mtime),
        user: most(members, default.user, |attributes| attributes.user.clone()),
        group: most(members, default.group, |attributes| attributes.group.clone()),
    }
}

impl Recipe {
    /// Drops the list of members if `metadata.config` implies the same list.
    fn shortened(self, metadata: &[u8]) -> Self {
        let Members::Listed(members) = &self.members else { return self };
        let plain = |member: &&Member| {
            member.kind == Kind::File && member.split.is_none() && member.attributes == self.inner.attributes
        };
        let deviating: BTreeMap<&str, &Member> =
            members.iter().filter(|member| !plain(member)).map(|member| (member.path.as_str(), member)).collect();
        let shorter = Self { members: Members::Metadata(deviating.into_values().cloned().collect()), ..self.clone() };
        match shorter.members(metadata) {
            Ok(same) if same == *members => shorter,
            _ => self,
        }
    }
}

/// A sink that compares a stream with the expected bytes, without a second copy in memory.
pub(super) struct Comparison<'a>(pub(super) &'a [u8]);

impl Comparison<'_> {
    pub(super) fn take(&mut self, chunk: &[u8], what: &str) -> Result<(), UnpackError> {
        match self.0.strip_prefix(chunk) {
            Some(rest) => {
                self.0 = rest;
                Ok(())
            }
            None => Err(not_reproducible(format!("{what} comes out differently"))),
        }
    }

    pub(super) fn finish(self, what: &str) -> Result<(), UnpackError> {
        if self.0.is_empty() { Ok(()) } else { Err(not_reproducible(format!("{what} comes out shorter"))) }
    }
}

/// Rebuilds the tarball from exactly what will be stored (the text of the recipe, metadata, files) and compares the
/// result.
fn prove(
    recipe: Recipe,
    tarball: &Tarball<'_>,
    files: &Files,
    archive: &[u8],
    limits: &TarballLimits,
) -> Result<Recipe, UnpackError> {
    let impossible = |error: RebuildError| not_reproducible(error.to_string());
    let recipe: Recipe =
        recipe.to_string().parse().map_err(|error| not_reproducible(format!("its recipe: {error}")))?;
    let members = recipe.members(tarball.metadata()).map_err(impossible)?;
    let what = "contents.tar.gz";
    let mut contents = Comparison(tarball.contents());
    let read = |path: &str| match files.get(path) {
        Some((_, range)) => Ok(&archive[range.clone()]),
        None => Err(not_reproducible(format!("{path:?} is not among its files"))),
    };
    recipe.write_contents(&members, read, limits, |chunk| contents.take(chunk, what))?;
    contents.finish(what)?;
    let what = "the outer archive";
    let mut outer = Comparison(tarball.bytes());
    let checksum = tarball.inner_checksum();
    recipe.write_outer(tarball.metadata(), tarball.contents(), checksum, |chunk| outer.take(chunk, what))?;
    outer.finish(what)?;
    Ok(recipe)
}

impl From<RebuildError> for UnpackError {
    fn from(error: RebuildError) -> Self {
        not_reproducible(error.to_string())
    }
}
