//! Which rebar3 plugins a build installs: resolves what rebar.config files ask for, as rebar3 does.
//!
//! rebar3 installs each plugin with its dependencies, level by level, and the first version of a dependency wins
//! (`rebar_prv_install_deps:handle_profile_level/7`). Of a package, it takes the highest version that the registry entry
//! lists and the requirement permits (`rebar_packages:resolve_version/6`). Plugins can have plugins
//! (`rebar_plugins:install/2`).
//!
//! The resolution is pure. It names the facts that it lacks; the caller fetches them and resolves again. It therefore
//! gives the same answer to an update, which can fetch, and to `status`, which cannot.

mod cycles;
mod facts;
mod range;
mod resolution;

use std::collections::{BTreeSet, VecDeque};

use super::{GitPin, Pin};
use crate::hex::registry::Release;
use crate::lock::{DefinedSource, Definition, GitCheckout};
use crate::model::{EntryId, GitUrl, PackageName, ReleaseId, RepositoryName, Version};
use cycles::Needs;
use range::{Range, is_stable};

pub use facts::{
    GitFolder, GitRef, LackingFact, LockedPlugins, PROJECT, PackageConfig, PluginAsk, PluginFacts, RefAnswer,
};
pub use resolution::{PluginProblem, Resolution, Unresolved};

/// The maximum number of plugins and dependencies that are resolved for one lock.
const MAX_STEPS: usize = 5000;

/// Resolves plugins. What `locked` pins is kept as long as it suits and rebar3 finds everything in the mirror, unless
/// `refresh` demands the newest of everything. Even then, it is kept if its repository does not answer.
pub fn resolve(asks: Vec<PluginAsk>, locked: &LockedPlugins, facts: &PluginFacts, refresh: bool) -> Resolution {
    let (before, locked) = (locked, if refresh { &LockedPlugins::default() } else { locked });
    let known = asks.iter().cloned().collect();
    let mut resolver = Resolver {
        before,
        locked,
        facts,
        steps: 0,
        known,
        asks: asks.into(),
        needs: Needs::default(),
        unsuitable: Vec::new(),
        resolution: Resolution::default(),
    };
    while let Some(ask) = resolver.asks.pop_front() {
        resolver.install(ask);
    }
    resolver.name_cycles();
    resolver.ask_again();
    resolver.resolution
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
    /// What the lock pins.
    before: &'a LockedPlugins,
    /// What of that is kept: nothing if everything is refreshed.
    locked: &'a LockedPlugins,
    facts: &'a PluginFacts,
    steps: usize,
    known: BTreeSet<PluginAsk>,
    asks: VecDeque<PluginAsk>,
    needs: Needs,
    /// The plugins of which an entry lists no version that suits, with who asks for each.
    unsuitable: Vec<(String, String, EntryId)>,
    resolution: Resolution,
}

impl Resolver<'_> {
    /// Lets an update ask again for an entry that has nothing that suits, if a pin was chosen from it that nothing uses any more: the
    /// entry is as old as the pin. Otherwise, nothing shows whether upstream was asked already.
    fn ask_again(&mut self) {
        for (name, by, entry) in std::mem::take(&mut self.unsuitable) {
            let is_unused = |id: &ReleaseId| id.entry() == entry && !self.resolution.releases.contains_key(id);
            if !self.facts.can_ask && self.before.releases.keys().any(is_unused) {
                let fact = LackingFact::Entry(entry);
                self.resolution.unresolved.push(Unresolved { name, by, fact, is_locked: false });
            }
        }
    }

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
        let definition = step.definition;
        for (needed, is_plugin) in [(&dependencies, false), (&plugins, true)] {
            needed.iter().for_each(|needed| self.needs.add(&definition, needed, is_plugin));
        }
        let name = definition.name;
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
            if self.facts.can_ask && !self.facts.asked.contains(&entry) {
                return self.lacks(step, LackingFact::Entry(entry), false);
            }
            self.unsuitable.push((step.definition.name.clone(), step.by.clone(), entry));
            return self.problem(step, format!("upstream has no {requirement} version of {package}"));
        };
        // rebar3 takes the highest version of the entry, so it must be there even if another one is pinned.
        let kept = locked.filter(|locked| **locked == id(highest) || self.facts.stored.contains(&id(highest)));
        let kept = kept.and_then(|locked| known.release(&locked.version));
        let release = kept.unwrap_or(highest);
        let id = id(release);
        if release.version != highest.version {
            self.resolution.outdated.insert(id.clone(), highest.version.clone());
        }
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
        let reference = (url.clone(), checkout.clone());
        let answer = self.facts.refs.get(&reference).copied();
        // Only an answer can replace what is pinned.
        let is_unknown = matches!(answer, Some(RefAnswer::NoRepository | RefAnswer::None));
        let source = if is_unknown { self.before } else { self.locked };
        let (locked, is_absent) = (source.git.iter().find(is_it), source.has_absent(name, url, checkout));
        let revision = match (locked, answer) {
            (Some(locked), _) => locked.revision,
            (None, Some(RefAnswer::Commit(revision))) => revision,
            (None, None) if !is_absent => return self.lacks(step, LackingFact::Ref(reference), false),
            (None, Some(RefAnswer::None)) if !is_absent => {
                self.resolution.unanswered.insert(reference);
                return self.problem(step, format!("{} did not answer", url.address()));
            }
            (None, None | Some(RefAnswer::None | RefAnswer::NoRef | RefAnswer::NoRepository)) => {
                let absent = (name.clone(), url.clone(), checkout.clone());
                self.resolution.absent.entry(absent).or_default().insert(asker(&step.by));
                return self.problem(step, format!("{} has no {checkout}", url.address()));
            }
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

    /// Names plugins that need each other. rebar3 installs the plugins of each plugin before the plugin itself
    /// (`rebar_prv_install_deps:handle_dep/6`), and keeps no record of those that it is about to install.
    fn name_cycles(&mut self) {
        for cycle in self.needs.cycles() {
            let shown = [&cycle[..], &cycle[..1]].concat().join(" → ");
            let reason = format!("plugins need each other to be built: {shown}; rebar3 never ends on this");
            // They can be pinned all the same.
            self.resolution.problems.insert(PluginProblem { name: None, by: cycle[0].to_owned(), reason });
        }
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

/// Returns a name as hexmirror.lock has it after `for`.
fn asker(by: &str) -> String {
    let is_word = by == PROJECT || by.parse::<PackageName>().is_ok();
    if is_word { by.to_owned() } else { "?".to_owned() }
}

#[cfg(test)]
mod tests;
