//! What the resolution of plugins has to know.

use std::collections::{BTreeMap, BTreeSet};

use crate::hex::registry::Package;
use crate::lock::{Definition, GitCheckout, RebarConfig};
use crate::model::{EntryId, GitAddress, GitUrl, ReleaseId, Revision, redacted_address};
use crate::plan::{GitPin, Pin};

/// The name that stands for the project itself.
pub const PROJECT: &str = ".";

/// A plugin that something asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PluginAsk {
    /// The package or application that asks, [`PROJECT`], or the name of a setting.
    pub by: String,
    /// What it asks for.
    pub definition: Definition,
}

/// The rebar.config of a package, as far as it could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackageConfig {
    /// Its contents. Empty if there is no such file.
    pub config: RebarConfig,
    /// What could not be read, and why.
    pub unread: Vec<String>,
}

/// A ref of a git repository.
pub type GitRef = (GitUrl, GitCheckout);

/// What a repository answered when it was asked for a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefAnswer {
    /// The ref points to this commit.
    Commit(Revision),
    /// The repository has no such ref.
    NoRef,
    /// The server has no such repository, or hides it from this user.
    NoRepository,
    /// There was no answer.
    None,
}

/// A folder of a revision.
pub type GitFolder = (GitAddress, Revision, Option<String>);

/// What is known of upstream and of the mirror.
#[derive(Debug, Clone, Default)]
pub struct PluginFacts {
    /// The registry entries; `None` if upstream has none.
    pub entries: BTreeMap<EntryId, Option<Package>>,
    /// The releases in the mirror.
    pub stored: BTreeSet<ReleaseId>,
    /// The configurations of releases.
    pub releases: BTreeMap<ReleaseId, PackageConfig>,
    /// What the repositories answered about refs.
    pub refs: BTreeMap<GitRef, RefAnswer>,
    /// The configurations of revisions.
    pub revisions: BTreeMap<GitFolder, PackageConfig>,
    /// Whether upstream can be asked for entries again.
    pub can_ask: bool,
    /// The entries that upstream was just asked for.
    pub asked: BTreeSet<EntryId>,
}

/// What a hexmirror.lock pins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockedPlugins {
    /// The releases.
    pub releases: BTreeMap<ReleaseId, Pin>,
    /// The revisions.
    pub git: Vec<GitPin>,
    /// The refs and commits that upstream did not have.
    pub absent: BTreeSet<AbsentPlugin>,
}

/// The name of a plugin, the address of its repository without credentials, and the ref or commit.
pub type AbsentPlugin = (String, String, String);

/// A fact that the resolution lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LackingFact {
    /// A registry entry.
    Entry(EntryId),
    /// The configuration of a release.
    Release(Pin),
    /// The commit that a ref points to.
    Ref(GitRef),
    /// The configuration of a folder of a revision.
    Revision(GitPin),
}

impl LockedPlugins {
    /// Returns whether it is known that upstream does not have what a plugin names.
    pub fn has_absent(&self, name: &str, url: &GitUrl, checkout: &GitCheckout) -> bool {
        let url = redacted_address(url.secret_text());
        self.absent.contains(&(name.to_owned(), url, reference(checkout)))
    }
}

/// Returns the ref or the commit, in full.
pub(super) fn reference(checkout: &GitCheckout) -> String {
    match checkout {
        GitCheckout::Name(name) => name.to_string(),
        GitCheckout::Commit(commit) => commit.to_string(),
    }
}
