//! What a bill of materials lists.

use std::collections::BTreeSet;
use std::fmt;

use percent_encoding::utf8_percent_encode;

use super::purl::{self, UNRESERVED};
use crate::hex::asset_tools::NpmPackage;
use crate::hex::license::License;
use crate::hex::registry::{Dependency, Package};
use crate::model::{
    AssetToolId, FileId, FileTrust, GitAddress, OuterChecksum, ReleaseId, RepositoryName, Revision, StoredFile, Version,
};
use crate::plan::{ArtefactPin, FilePin, GitPin, Pin, ReleaseFlags, Unmirrored, UnsupportedEntry};

/// The identity of a component. Entries that pin the same are one component. Its text refers to it within a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ComponentId {
    /// A release of a Hex package.
    Release(ReleaseId),
    /// A revision of a git repository, or a folder of it.
    Revision {
        /// The application, or the last part of a submodule's address.
        app: String,
        /// The repository.
        address: GitAddress,
        /// The commit.
        revision: Revision,
        /// The folder, if it is not the root.
        subdir: Option<String>,
    },
    /// A file that an address names, or an installer of Hex or rebar3.
    File(FileId),
    /// A build of an asset tool.
    AssetTool(AssetToolId, FileId),
    /// A precompiled file of a release.
    Artefact(ArtefactPin),
    /// A git dependency that cannot be mirrored.
    Unmirrored(Unmirrored),
    /// A dependency of a kind that this program does not support.
    Unsupported(UnsupportedEntry),
}

/// What a component is for. If it is several things, the first one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A dependency.
    Dependency,
    /// A submodule of a git dependency.
    Submodule,
    /// A precompiled file of a dependency.
    Artefact,
    /// A file that an address names.
    Download,
    /// A plugin of rebar3.
    Plugin,
    /// Hex or rebar3.
    Tool,
    /// The documentation of a release.
    Documentation,
    /// A branch that the settings name, such as a database of advisories.
    Branch,
}

/// What a signed registry entry says about a release.
#[derive(Debug, Clone, PartialEq)]
pub enum Listing {
    /// The mirror has no entry that a known key has signed.
    Unsigned,
    /// The entry does not list the release.
    Unlisted,
    /// It lists the release.
    Listed {
        /// The retirement and the advisories.
        flags: ReleaseFlags,
        /// The requirements.
        requirements: Vec<Dependency>,
    },
}

/// What a mirror knows about a release.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseDetails {
    /// Whether the mirror has it with the checksum that the lock pins.
    pub is_stored: bool,
    /// The outer checksum of the stored tarball.
    pub outer: Option<OuterChecksum>,
    /// What the registry says.
    pub listing: Listing,
    /// The licenses. `None` if the mirror does not have the release, or its metadata cannot be read.
    pub licenses: Option<BTreeSet<License>>,
    /// The requirements in its metadata, for releases that no entry lists.
    pub requirements: Option<Vec<Dependency>>,
    /// The address of a repository other than hex.pm, without credentials, if it is known.
    pub repository_url: Option<String>,
}

/// A component.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// What it is for.
    pub role: Role,
    /// The locks that pin it, each with the line.
    pub places: BTreeSet<(String, usize)>,
    /// What it requires, of what the locks pin.
    pub requires: BTreeSet<ComponentId>,
    /// Whether all of what it requires is known.
    pub is_resolved: bool,
    /// Whether the mirror has it.
    pub is_mirrored: bool,
    /// Why it cannot be mirrored.
    pub reason: Option<String>,
    /// The SHA-256 of the tarball or the file.
    pub sha256: Option<String>,
    /// Its package URL (<https://github.com/package-url/purl-spec>).
    pub purl: Option<String>,
    /// Where it is published: the address of a file, or of a commit in the form of SPDX's download locations.
    pub location: Option<String>,
    /// Why the content of a file is trusted.
    pub trust: Option<FileTrust>,
    /// What the registry says about a release.
    pub listing: Option<Listing>,
    /// The licenses of a release.
    pub licenses: BTreeSet<License>,
}

impl Listing {
    /// Returns what the entry of a release's package says about it.
    pub fn of(entry: Option<&Package>, version: &Version) -> Self {
        let Some(entry) = entry else { return Self::Unsigned };
        let Some(release) = entry.release(version) else { return Self::Unlisted };
        Self::Listed { flags: ReleaseFlags::of(entry, version), requirements: release.dependencies.clone() }
    }

    /// Returns the word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Unlisted => "unlisted",
            Self::Listed { .. } => "signed",
        }
    }

    /// Returns the retirement and the advisories.
    pub fn flags(&self) -> Option<&ReleaseFlags> {
        match self {
            Self::Listed { flags, .. } => Some(flags),
            Self::Unsigned | Self::Unlisted => None,
        }
    }
}

impl Role {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dependency => "dependency",
            Self::Submodule => "submodule",
            Self::Artefact => "artefact",
            Self::Download => "download",
            Self::Plugin => "plugin",
            Self::Tool => "tool",
            Self::Documentation => "documentation",
            Self::Branch => "branch",
        }
    }

    /// Returns whether it only helps to build or to check, and is no part of what is built.
    pub fn is_of_build(self) -> bool {
        matches!(self, Self::Plugin | Self::Tool | Self::Documentation | Self::Branch)
    }
}

impl ComponentId {
    pub(super) fn submodule(address: &GitAddress, revision: Revision) -> Self {
        let app = address.path().rsplit('/').next().unwrap_or_default().to_owned();
        Self::Revision { app, address: address.clone(), revision, subdir: None }
    }

    /// Returns the release, if this is one.
    pub fn release(&self) -> Option<&ReleaseId> {
        match self {
            Self::Release(id) => Some(id),
            _ => None,
        }
    }

    /// Returns the name.
    pub fn name(&self) -> String {
        match self {
            Self::Release(id) => id.package.to_string(),
            Self::Revision { app, .. } => app.clone(),
            Self::File(id) => {
                purl::tool(&id.path).map_or_else(|| id.path.name().to_owned(), |(tool, _)| tool.to_owned())
            }
            Self::AssetTool(id, _) => id.tool.to_string(),
            Self::Artefact(pin) => pin.artefact.name.to_string(),
            Self::Unmirrored(unmirrored) => unmirrored.app.clone(),
            Self::Unsupported(entry) => entry.app.clone(),
        }
    }

    /// Returns the version, or the revision in git.
    pub fn version(&self) -> Option<String> {
        match self {
            Self::Release(id) => Some(id.version.to_string()),
            Self::Revision { revision, .. } => Some(revision.to_string()),
            Self::File(id) => match id.path.docs_release() {
                Some(release) => Some(release.version.to_string()),
                None => purl::tool(&id.path).map(|(_, version)| version.to_owned()),
            },
            Self::AssetTool(id, _) => Some(id.version.to_string()),
            Self::Artefact(pin) => Some(pin.artefact.name.version.to_string()),
            Self::Unmirrored(unmirrored) => unmirrored.revision.clone(),
            Self::Unsupported(_) => None,
        }
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
        match self {
            Self::Release(id) => write!(f, "hex:{}/{}@{}", id.repository, id.package, id.version),
            Self::Revision { app, address, revision, subdir } => {
                let subdir = subdir.as_deref().map(|subdir| format!(":{}", encoded(subdir))).unwrap_or_default();
                write!(f, "git:{address}@{revision}{subdir}#{}", encoded(app))
            }
            Self::File(id) => write!(f, "file:{}@{}", id.path, id.checksum),
            Self::AssetTool(id, file) => {
                write!(
                    f,
                    "asset-tool:{}@{}/{}@{}",
                    id.tool,
                    encoded(&id.version.to_string()),
                    encoded(&id.build.to_string()),
                    file.checksum
                )
            }
            Self::Artefact(ArtefactPin { release: id, artefact }) => {
                let (name, sum) = (artefact.name.to_string(), artefact.checksum);
                write!(f, "artefact:{}/{}@{}/{}@{sum}", id.repository, id.package, id.version, encoded(&name))
            }
            Self::Unmirrored(Unmirrored { app, url, revision, .. }) => {
                let revision = revision.as_deref().map(|revision| format!("@{}", encoded(revision)));
                write!(f, "unmirrored:{}{}#{}", encoded(url), revision.unwrap_or_default(), encoded(app))
            }
            Self::Unsupported(UnsupportedEntry { app, kind }) => {
                write!(f, "unsupported:{}#{}", encoded(kind), encoded(app))
            }
        }
    }
}

impl Component {
    fn new(role: Role) -> Self {
        Self {
            role,
            places: BTreeSet::new(),
            requires: BTreeSet::new(),
            is_resolved: false,
            is_mirrored: false,
            reason: None,
            sha256: None,
            purl: None,
            location: None,
            trust: None,
            listing: None,
            licenses: BTreeSet::new(),
        }
    }

    pub(super) fn of_release(pin: &Pin, details: Option<&ReleaseDetails>) -> Self {
        let url = details.and_then(|details| details.repository_url.as_deref());
        let outer = pin.outer.or(details.and_then(|details| details.outer));
        let is_known = |details: &ReleaseDetails| {
            matches!(details.listing, Listing::Listed { .. }) || details.requirements.is_some()
        };
        Self {
            is_mirrored: details.is_some_and(|details| details.is_stored),
            is_resolved: details.is_some_and(is_known),
            sha256: outer.map(|outer| outer.to_string()),
            purl: purl::of_release(&pin.id, url),
            location: tarball_url(&pin.id, url),
            listing: details.map(|details| details.listing.clone()),
            licenses: details.and_then(|details| details.licenses.clone()).unwrap_or_default(),
            ..Self::new(Role::Dependency)
        }
    }

    pub(super) fn of_revision(pin: &GitPin, is_mirrored: bool) -> Self {
        let location = purl::git_location(&pin.url, pin.revision);
        let purl = purl::of_revision(&pin.app, pin.url.address(), pin.revision, pin.subdir.as_deref(), &location);
        let (purl, is_resolved) = (Some(purl), pin.as_of.is_some());
        Self { is_mirrored, is_resolved, purl, location: Some(location), ..Self::new(Role::Dependency) }
    }

    pub(super) fn of_submodule(address: &GitAddress, revision: Revision, is_mirrored: bool) -> Self {
        let name = ComponentId::submodule(address, revision).name();
        let location = format!("git+https://{address}@{revision}");
        let purl = purl::of_revision(&name, address, revision, None, &location);
        let component = Self::new(Role::Submodule);
        Self { is_mirrored, is_resolved: true, purl: Some(purl), location: Some(location), ..component }
    }

    pub(super) fn of_asset_tool(id: &AssetToolId, pin: &FilePin, is_mirrored: bool) -> Self {
        let file = Self::of_file(&ComponentId::AssetTool(id.clone(), pin.id.clone()), pin, is_mirrored);
        Self { purl: NpmPackage::of(id).map(|package| purl::of_npm(&package)).or(file.purl), ..file }
    }

    pub(super) fn of_file(id: &ComponentId, pin: &FilePin, is_mirrored: bool) -> Self {
        let sha256 = pin.id.checksum.to_string();
        Self {
            is_mirrored,
            is_resolved: true,
            purl: Some(purl::of_file(&id.name(), id.version().as_deref(), Some(&pin.address), &sha256)),
            location: Some(purl::file_location(&pin.address)),
            sha256: Some(sha256),
            trust: Some(pin.trust),
            ..Self::new(Role::Download)
        }
    }

    pub(super) fn of_artefact(pin: &ArtefactPin, stored: Option<&StoredFile>) -> Self {
        let (name, version) = (pin.artefact.name.to_string(), pin.artefact.name.version.to_string());
        let (address, sha256) = (stored.map(|stored| &stored.address), pin.artefact.checksum.to_string());
        Self {
            is_mirrored: stored.is_some(),
            is_resolved: true,
            purl: Some(purl::of_file(&name, Some(&version), address, &sha256)),
            location: address.map(purl::file_location),
            sha256: Some(sha256),
            trust: stored.map(|stored| stored.trust),
            ..Self::new(Role::Artefact)
        }
    }

    pub(super) fn of_nothing(reason: String) -> Self {
        Self { reason: Some(reason), ..Self::new(Role::Dependency) }
    }
}

/// Returns the address of a release's tarball. `url` is that of a repository other than hex.pm.
fn tarball_url(id: &ReleaseId, url: Option<&str>) -> Option<String> {
    let base = match (url, id.repository.organization()) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, None) if id.repository == RepositoryName::hexpm() => "https://repo.hex.pm".to_owned(),
        (None, Some(organization)) if id.repository.source() == "hexpm" => {
            format!("https://repo.hex.pm/repos/{organization}")
        }
        _ => return None,
    };
    Some(format!("{base}/tarballs/{}", id.tarball_name()))
}
