//! What the resolution of plugins finds out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use super::facts::{GitRef, LackingFact, LockedPlugins, reference};
use crate::lock::{ABSENT, GitCheckout};
use crate::model::{GitUrl, ReleaseId, Version, shortened};
use crate::plan::{GitPin, Pin};

/// A plugin that could not be resolved because a fact is lacking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// The plugin.
    pub name: String,
    /// Who asks for it.
    pub by: String,
    /// What is lacking.
    pub fact: LackingFact,
    /// Whether a lock pins a version or revision that suits.
    pub is_locked: bool,
}

/// A plugin that cannot be pinned, whatever is fetched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PluginProblem {
    /// The plugin, if the problem concerns a single one.
    pub name: Option<String>,
    /// Who asks for it.
    pub by: String,
    /// The reason.
    pub reason: String,
}

impl Display for PluginProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, by, reason } = self;
        match name {
            Some(name) => write!(f, "cannot pin the plugin {} for {}: {reason}", shortened(name), shortened(by)),
            None => write!(f, "{}: {reason}", shortened(by)),
        }
    }
}

/// What a build installs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// The releases, and who needs each.
    pub releases: BTreeMap<ReleaseId, (Pin, BTreeSet<String>)>,
    /// The revisions by name, and who needs each.
    pub git: Vec<(GitPin, BTreeSet<String>)>,
    /// The refs and commits that upstream does not have: the plugin, the repository, and who needs each.
    pub absent: BTreeMap<(String, GitUrl, GitCheckout), BTreeSet<String>>,
    /// The plugins that stay pinned although the entry lists a higher version and the mirror has it, each with that version.
    /// rebar3 takes that one.
    pub outdated: BTreeMap<ReleaseId, Version>,
    /// The refs whose repositories did not answer, so that their plugins can neither be pinned nor recorded as absent.
    pub unanswered: BTreeSet<GitRef>,
    /// What could not be resolved yet.
    pub unresolved: Vec<Unresolved>,
    /// What cannot be pinned.
    pub problems: BTreeSet<PluginProblem>,
}

impl Resolution {
    /// Returns the plugins that a hexmirror.lock would have to pin and does not, each with who asks for it.
    pub fn unpinned(&self, locked: &LockedPlugins) -> BTreeSet<(String, String)> {
        let first = |by: &BTreeSet<String>| by.first().cloned().unwrap_or_default();
        let releases = self.releases.values().filter(|(pin, _)| !locked.releases.contains_key(&pin.id));
        let releases = releases.map(|(pin, by)| (pin.id.package.to_string(), first(by)));
        let git = self.git.iter().filter(|(pin, _)| !locked.git.contains(pin));
        let git = git.map(|(pin, by)| (pin.app.clone(), first(by)));
        let unresolved = self.unresolved.iter().filter(|unresolved| !unresolved.is_locked);
        let unresolved = unresolved.map(|unresolved| (unresolved.name.clone(), unresolved.by.clone()));
        releases.chain(git).chain(unresolved).collect()
    }

    /// Returns the entries of a hexmirror.lock.
    pub fn lines(&self) -> Vec<String> {
        let names = |by: &BTreeSet<String>| Vec::from_iter(by.iter().map(String::as_str)).join(" ");
        let release = |(pin, by): &(Pin, BTreeSet<String>)| {
            let ReleaseId { repository, package, version } = &pin.id;
            let outer = pin.outer.map_or_else(String::new, |outer| outer.to_string());
            format!("plugin {repository} {package} {version} {outer} for {}", names(by))
        };
        let revision = |(pin, by): &(GitPin, BTreeSet<String>)| {
            let reference = pin.names.first().map_or_else(|| "-".to_owned(), ToString::to_string);
            let GitPin { app, url, revision, .. } = pin;
            format!("plugin-git {app} {} {revision} {reference} for {}", url.secret_text(), names(by))
        };
        let absent = |((name, url, checkout), by): (&(String, GitUrl, GitCheckout), &BTreeSet<String>)| {
            format!("plugin-git {name} {} {ABSENT} {} for {}", url.secret_text(), reference(checkout), names(by))
        };
        let pinned = self.releases.values().map(release).chain(self.git.iter().map(revision));
        pinned.chain(self.absent.iter().map(absent)).collect()
    }
}
