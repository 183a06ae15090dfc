//! Which rebar3 plugins a build installs: resolves what rebar.config files ask for, as rebar3 does.
//!
//! rebar3 installs each plugin with its dependencies, level by level, and the first version of a dependency wins
//! (`rebar_prv_install_deps:handle_profile_level/7`). Of a package, it takes the highest version that the registry entry
//! lists and the requirement permits (`rebar_packages:resolve_version/6`). Plugins can have plugins
//! (`rebar_plugins:install/2`).
//!
//! The resolution is pure. It names the facts that it lacks; the caller fetches them and resolves again. It therefore
//! gives the same answer to an update, which can fetch, and to `status`, which cannot.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{GitPin, Pin};
use crate::hex::registry::{Package, Release};
use crate::hex::requirement::Requirement;
use crate::lock::{ABSENT, DefinedSource, Definition, GitCheckout, RebarConfig};
use crate::model::{
    EntryId, GitAddress, GitUrl, PackageName, ReleaseId, RepositoryName, Revision, Version, redacted_address,
};

/// The maximum number of plugins and dependencies that are resolved for one lock.
const MAX_STEPS: usize = 5000;

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
    /// The commits that refs point to; `None` if upstream has no such ref.
    pub refs: BTreeMap<GitRef, Option<Revision>>,
    /// The configurations of revisions.
    pub revisions: BTreeMap<GitFolder, PackageConfig>,
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

/// What a build installs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// The releases, and who needs each.
    pub releases: BTreeMap<ReleaseId, (Pin, BTreeSet<String>)>,
    /// The revisions by name, and who needs each.
    pub git: Vec<(GitPin, BTreeSet<String>)>,
    /// The refs and commits that upstream does not have: the plugin, the repository, and who needs each.
    pub absent: BTreeMap<(String, GitUrl, GitCheckout), BTreeSet<String>>,
    /// What could not be resolved yet.
    pub unresolved: Vec<Unresolved>,
    /// What cannot be pinned.
    pub problems: BTreeSet<PluginProblem>,
}

/// Resolves plugins. What `locked` pins is kept as long as it suits and rebar3 finds everything in the mirror, unless
/// `refresh` demands the newest of everything.
pub fn resolve(asks: Vec<PluginAsk>, locked: &LockedPlugins, facts: &PluginFacts, refresh: bool) -> Resolution {
    let locked = if refresh { &LockedPlugins::default() } else { locked };
    let known = asks.iter().cloned().collect();
    let mut resolver =
        Resolver { locked, facts, steps: 0, known, asks: asks.into(), resolution: Resolution::default() };
    while let Some(ask) = resolver.asks.pop_front() {
        resolver.install(ask);
    }
    resolver.resolution
}

impl LockedPlugins {
    /// Returns whether it is known that upstream does not have what a plugin names.
    fn has_absent(&self, name: &str, url: &GitUrl, checkout: &GitCheckout) -> bool {
        let url = redacted_address(url.secret_text());
        self.absent.contains(&(name.to_owned(), url, reference(checkout)))
    }
}

/// Returns the ref or the commit, in full.
fn reference(checkout: &GitCheckout) -> String {
    match checkout {
        GitCheckout::Name(name) => name.to_string(),
        GitCheckout::Commit(commit) => commit.to_string(),
    }
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

/// A plugin, or a dependency of one, that is to be installed.
struct Step {
    by: String,
    definition: Definition,
    /// The plugin and the dependencies that lead here.
    path: Vec<String>,
}

/// What was chosen for a definition, and what it needs itself.
struct Chosen {
    dependencies: Vec<Definition>,
    plugins: Vec<Definition>,
}

struct Resolver<'a> {
    locked: &'a LockedPlugins,
    facts: &'a PluginFacts,
    steps: usize,
    known: BTreeSet<PluginAsk>,
    asks: VecDeque<PluginAsk>,
    resolution: Resolution,
}

impl Resolver<'_> {
    /// Resolves a plugin with its dependencies, level by level.
    fn install(&mut self, ask: PluginAsk) {
        let PluginAsk { by, definition } = ask;
        let mut level = vec![Step { by, definition, path: Vec::new() }];
        let mut seen = BTreeSet::new();
        while !level.is_empty() {
            let mut next = Vec::new();
            level.sort_by(|one, other| one.definition.name.cmp(&other.definition.name));
            for step in level {
                if step.path.contains(&step.definition.name) {
                    let cycle = [&step.path[..], std::slice::from_ref(&step.definition.name)].concat().join(" → ");
                    self.problem(&step, format!("plugins depend on each other: {cycle}; rebar3 does not load them"));
                }
                if !seen.insert(step.definition.name.clone()) {
                    continue;
                }
                self.steps += 1;
                if self.steps > MAX_STEPS {
                    self.asks.clear();
                    let reason = format!("it has more than {MAX_STEPS} plugins and dependencies");
                    self.problem(&step, reason);
                    return;
                }
                next.extend(self.step(step));
            }
            level = next;
        }
    }

    /// Resolves one definition. Returns its dependencies.
    fn step(&mut self, step: Step) -> Vec<Step> {
        let chosen = match &step.definition.source {
            DefinedSource::Package { package, requirement } => self.release(&step, package, requirement.as_deref()),
            DefinedSource::Git { url, checkout, subdir } => self.revision(&step, url, checkout, subdir.as_ref()),
            DefinedSource::Unknown { reason } => self.problem(&step, reason.clone()),
        };
        let Some(Chosen { dependencies, plugins }) = chosen else { return Vec::new() };
        let name = step.definition.name;
        for definition in plugins {
            let ask = PluginAsk { by: name.clone(), definition };
            if self.known.insert(ask.clone()) {
                self.asks.push_back(ask);
            }
        }
        let path = [step.path, vec![name.clone()]].concat();
        let needed = |definition| Step { by: name.clone(), definition, path: path.clone() };
        dependencies.into_iter().map(needed).collect()
    }

    fn release(&mut self, step: &Step, package: &PackageName, requirement: Option<&str>) -> Option<Chosen> {
        let range = match requirement.map(Range::parse).transpose() {
            Ok(range) => range,
            Err(reason) => return self.problem(step, reason),
        };
        let suits = |version: &Version| range.as_ref().map_or_else(|| is_stable(version), |range| range.has(version));
        let entry = EntryId { repository: RepositoryName::hexpm(), package: package.clone() };
        let of_package = |id: &&ReleaseId| id.repository == entry.repository && id.package == entry.package;
        let locked = self.locked.releases.keys().filter(of_package).rfind(|id| suits(&id.version));
        let Some(known) = self.facts.entries.get(&entry) else {
            return self.lacks(step, LackingFact::Entry(entry), locked.is_some());
        };
        let Some(known) = known else {
            return self.problem(step, "upstream has no such package".to_owned());
        };
        let id = |release: &Release| ReleaseId {
            repository: RepositoryName::hexpm(),
            package: package.clone(),
            version: release.version.clone(),
        };
        let suiting = known.releases.iter().filter(|release| suits(&release.version));
        let Some(highest) = suiting.max_by(|one, other| one.version.cmp(&other.version)) else {
            let requirement =
                requirement.map_or("stable".to_owned(), |requirement| format!("suitable ({requirement})"));
            return self.problem(step, format!("upstream has no {requirement} version of {package}"));
        };
        // rebar3 takes the highest version of the entry, so it must be there even if another one is pinned.
        let kept = locked.filter(|locked| **locked == id(highest) || self.facts.stored.contains(&id(highest)));
        let kept = kept.and_then(|locked| known.release(&locked.version));
        let release = kept.unwrap_or(highest);
        let id = id(release);
        let pin = match self.locked.releases.get(&id) {
            Some(pin) => pin.clone(),
            None if release.outer_checksum.is_none() => {
                return self.problem(step, format!("the registry states no checksum of {id}"));
            }
            None => Pin { id: id.clone(), inner: None, outer: release.outer_checksum },
        };
        let needed = self.resolution.releases.entry(id.clone()).or_insert_with(|| (pin.clone(), BTreeSet::new()));
        needed.1.insert(asker(&step.by));
        let Some(config) = self.facts.releases.get(&id) else {
            let is_locked = self.locked.releases.contains_key(&id);
            return self.lacks(step, LackingFact::Release(pin), is_locked);
        };
        self.unread(&step.definition.name, config);
        let dependencies = release.dependencies.iter().filter(|dependency| !dependency.optional);
        let dependencies = dependencies.map(|dependency| Definition {
            name: dependency.app.clone().unwrap_or_else(|| dependency.package.to_string()),
            source: DefinedSource::Package {
                package: dependency.package.clone(),
                requirement: Some(dependency.requirement.clone()),
            },
        });
        Some(Chosen { dependencies: dependencies.collect(), plugins: config.config.plugins().cloned().collect() })
    }

    fn revision(
        &mut self,
        step: &Step,
        url: &GitUrl,
        checkout: &GitCheckout,
        subdir: Option<&String>,
    ) -> Option<Chosen> {
        let name = &step.definition.name;
        if name.parse::<PackageName>().is_err() {
            return self.problem(step, "its name is not that of an application".to_owned());
        }
        let names = match checkout {
            GitCheckout::Name(name) => [name.clone()].into(),
            GitCheckout::Commit(_) => BTreeSet::new(),
        };
        let is_it = |pin: &&GitPin| pin.app == *name && pin.url.address() == url.address() && pin.names == names;
        let is_it =
            |pin: &&GitPin| is_it(pin) && !matches!(checkout, GitCheckout::Commit(commit) if *commit != pin.revision);
        let locked = self.locked.git.iter().find(is_it);
        let reference = (url.clone(), checkout.clone());
        let revision = match (locked, checkout) {
            (Some(locked), _) => locked.revision,
            (None, checkout) => match self.facts.refs.get(&reference) {
                None if !self.locked.has_absent(name, url, checkout) => {
                    return self.lacks(step, LackingFact::Ref(reference), false);
                }
                None | Some(None) => {
                    let absent = (name.clone(), url.clone(), checkout.clone());
                    self.resolution.absent.entry(absent).or_default().insert(asker(&step.by));
                    return self.problem(step, format!("{} has no {checkout}", url.address()));
                }
                Some(Some(revision)) => *revision,
            },
        };
        let new = || GitPin {
            app: name.clone(),
            url: url.clone(),
            revision,
            depth: None,
            names,
            submodules: false,
            subdir: None,
            sparse: None,
            as_of: None,
        };
        let pin = locked.cloned().unwrap_or_else(new);
        let by = asker(&step.by);
        match self.resolution.git.iter_mut().find(|(known, _)| *known == pin) {
            Some((_, names)) => drop(names.insert(by)),
            None => self.resolution.git.push((pin.clone(), [by].into())),
        }
        let folder = (url.address().clone(), revision, subdir.cloned());
        let Some(config) = self.facts.revisions.get(&folder) else {
            let pin = GitPin { subdir: subdir.cloned(), ..pin };
            return self.lacks(step, LackingFact::Revision(pin), locked.is_some());
        };
        self.unread(name, config);
        let PackageConfig { config, .. } = config;
        Some(Chosen {
            dependencies: config.dependencies().cloned().collect(),
            plugins: config.plugins().cloned().collect(),
        })
    }

    fn lacks(&mut self, step: &Step, fact: LackingFact, is_locked: bool) -> Option<Chosen> {
        let (name, by) = (step.definition.name.clone(), step.by.clone());
        self.resolution.unresolved.push(Unresolved { name, by, fact, is_locked });
        None
    }

    fn problem(&mut self, step: &Step, reason: String) -> Option<Chosen> {
        let (name, by) = (Some(step.definition.name.clone()), step.by.clone());
        self.resolution.problems.insert(PluginProblem { name, by, reason });
        None
    }

    fn unread(&mut self, by: &str, config: &PackageConfig) {
        let problem = |reason: &String| PluginProblem { name: None, by: by.to_owned(), reason: reason.clone() };
        self.resolution.problems.extend(config.unread.iter().map(problem));
    }
}

/// A version requirement in rebar3's sense.
struct Range {
    requirement: Requirement,
    /// rebar3 considers pre-releases and builds only if the requirement names one
    /// (`rebar_semver:is_prerelease_or_build/1`).
    with_unstable: bool,
}

impl Range {
    fn parse(text: &str) -> Result<Self, String> {
        let requirement = text.parse().map_err(|error: crate::hex::requirement::RequirementError| error.to_string())?;
        Ok(Self { requirement, with_unstable: text.contains(['-', '+']) })
    }

    fn has(&self, version: &Version) -> bool {
        (self.with_unstable || is_stable(version)) && self.requirement.matches(version, self.with_unstable)
    }
}

fn is_stable(version: &Version) -> bool {
    !version.to_string().contains(['-', '+'])
}

/// Returns a name as hexmirror.lock has it after `for`.
fn asker(by: &str) -> String {
    let is_word = by == PROJECT || by.parse::<PackageName>().is_ok();
    if is_word { by.to_owned() } else { "?".to_owned() }
}

#[cfg(test)]
mod tests;
