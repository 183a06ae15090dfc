//! What sources can be looked at: releases, and revisions of git dependencies.

use std::fmt;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::{GitAddress, ReleaseId, Revision};

/// Sources that the mirror or its history may have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceId {
    /// Those of a release.
    Release(ReleaseId),
    /// Those of a revision of a git dependency.
    Revision(GitAddress, Revision),
}

/// Separates the address of a git repository from what follows in the path of a page. Its components cannot be told apart
/// otherwise; GitLab does the same. A component of the address that only has dashes gets one more.
const SEPARATOR: &str = "-";

impl SourceId {
    /// Returns the name of the package or the address of the repository.
    pub fn dependency(&self) -> String {
        match self {
            Self::Release(id) => id.entry().to_string(),
            Self::Revision(address, _) => address.to_string(),
        }
    }

    /// Returns the version, or the first digits of the revision.
    pub fn version(&self) -> String {
        match self {
            Self::Release(id) => id.version.to_string(),
            Self::Revision(_, revision) => revision.short(),
        }
    }

    /// Returns whether both are of the same package or repository.
    pub fn is_beside(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Release(one), Self::Release(other)) => one.entry() == other.entry(),
            (Self::Revision(one, _), Self::Revision(other, _)) => one == other,
            _ => false,
        }
    }

    /// Returns the components of a path about the sources.
    pub(super) fn segments(&self, kind: &str) -> Vec<String> {
        self.with(kind, self.full_version())
    }

    /// Returns the components of a path about the difference to other sources of the same dependency.
    pub(super) fn segments_to(&self, after: &Self, kind: &str) -> Vec<String> {
        self.with(kind, format!("{}..{}", self.full_version(), after.full_version()))
    }

    fn full_version(&self) -> String {
        match self {
            Self::Release(id) => id.version.to_string(),
            Self::Revision(_, revision) => revision.to_string(),
        }
    }

    fn with(&self, kind: &str, versions: String) -> Vec<String> {
        match self {
            Self::Release(id) => vec![kind.to_owned(), id.repository.to_string(), id.package.to_string(), versions],
            Self::Revision(address, _) => {
                let mut segments = git_segments(address);
                segments.extend([SEPARATOR.to_owned(), kind.to_owned(), versions]);
                segments
            }
        }
    }

    /// Parses the components of a path about sources. Returns what follows them too.
    pub(super) fn parse<'a>(kind: &str, segments: &'a [&'a str]) -> Option<(Self, &'a [&'a str])> {
        let (versions, name, rest) = split(kind, segments)?;
        Some((name.with_version(versions)?, rest))
    }

    /// Parses the components of a path about a difference, `OLD..NEW`. Returns what follows them too.
    pub(super) fn parse_pair<'a>(kind: &str, segments: &'a [&'a str]) -> Option<([Self; 2], &'a [&'a str])> {
        let (versions, name, rest) = split(kind, segments)?;
        let (before, after) = versions.split_once("..")?;
        let pair = [name.with_version(before)?, name.with_version(after)?];
        pair[0].is_beside(&pair[1]).then_some((pair, rest))
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.dependency(), self.version())
    }
}

/// The part of a path that names a dependency.
enum Name<'a> {
    Package([&'a str; 2]),
    Repository(GitAddress),
}

impl Name<'_> {
    fn with_version(&self, version: &str) -> Option<SourceId> {
        Some(match self {
            Self::Package([repository, package]) => SourceId::Release(ReleaseId {
                repository: repository.parse().ok()?,
                package: package.parse().ok()?,
                version: version.parse().ok()?,
            }),
            Self::Repository(address) => SourceId::Revision(address.clone(), version.parse().ok()?),
        })
    }
}

/// Splits the components of a path into the versions, the dependency, and the rest.
fn split<'a>(kind: &str, segments: &'a [&'a str]) -> Option<(&'a str, Name<'a>, &'a [&'a str])> {
    match segments {
        ["git", below @ ..] => {
            let end = below.iter().position(|segment| *segment == SEPARATOR)?;
            let address = git_address(&below[..end])?;
            match &below[end + 1..] {
                [found, versions, rest @ ..] if *found == kind => Some((versions, Name::Repository(address), rest)),
                _ => None,
            }
        }
        [found, repository, package, versions, rest @ ..] if *found == kind => {
            Some((versions, Name::Package([repository, package]), rest))
        }
        _ => None,
    }
}

/// Returns the components of the path of the page about a git repository.
pub(super) fn git_segments(address: &GitAddress) -> Vec<String> {
    let path = address.path().split('/').map(|name| if is_dashes(name) { format!("{name}-") } else { name.to_owned() });
    ["git".to_owned(), address.host().to_owned()].into_iter().chain(path).collect()
}

/// Parses the components of an address. `None` if the separator is one of them.
pub(super) fn git_address(segments: &[&str]) -> Option<GitAddress> {
    if segments.contains(&SEPARATOR) {
        return None;
    }
    let (host, path) = segments.split_first()?;
    let names = path.iter().map(|name| if is_dashes(name) { &name[1..] } else { name });
    let encoded = names.map(|name| format!("/{}", utf8_percent_encode(name, NON_ALPHANUMERIC)));
    format!("{host}{}", encoded.collect::<String>()).parse().ok()
}

fn is_dashes(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte == b'-')
}
