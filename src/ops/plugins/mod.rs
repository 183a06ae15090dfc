//! The rebar3 plugins that a project's builds install, and which of them its hexmirror.lock files do not pin.
//!
//! Every folder with a lock is a project of its own, with a hexmirror.lock of its own. [`resolve`] decides what to pin;
//! this module finds out what asks for plugins, and provides the facts.

pub(super) mod config;
pub(super) mod facts;

use std::collections::{BTreeMap, BTreeSet};

use super::project::{LockFile, read_locks};
use super::update::stored_entry::read_entry;
use super::{Project, Result};
use crate::config::ConfigError;
use crate::lock::{BuildTool, DefinedSource, Definition, LockKind, own_lock_beside};
use crate::model::{EntryId, ReleaseId};
use crate::plan::{
    LackingFact, LockedPlugins, Needed, NotMirrored, PluginAsk, PluginFacts, Resolution, Wanted, resolve,
};
use crate::store::Snapshot;
use config::BuildConfig;
use facts::FactSource;

/// The name of what the settings ask for, as hexmirror.lock has it after `for`.
const EXTRA: &str = "extra";

/// A project within the repository: a folder with locks.
#[derive(Debug)]
pub(super) struct PluginProject {
    /// The path of its hexmirror.lock, which need not exist.
    pub file: String,
    /// What its hexmirror.lock pins.
    pub locked: LockedPlugins,
    /// What the other locks pin.
    pinned: Wanted,
    /// What the locks of rebar3 and Gleam pin. rebar3 builds it.
    of_rebar: Wanted,
    /// What the project itself and the settings ask for.
    own: Vec<PluginAsk>,
    /// What the project's own files say.
    builds: Vec<BuildConfig>,
}

impl PluginProject {
    /// Groups locks by project.
    pub fn all(project: &Project, locks: &[LockFile]) -> Result<Vec<Self>> {
        let mut folders: BTreeMap<String, Vec<&LockFile>> = BTreeMap::new();
        for lock in locks {
            folders.entry(own_lock_beside(&lock.file)).or_default().push(lock);
        }
        folders.into_iter().map(|(file, locks)| Self::of(project, file, &locks)).collect()
    }

    fn of(project: &Project, file: String, locks: &[&LockFile]) -> Result<Self> {
        let of_kind = |is_it: &dyn Fn(LockKind) -> bool| {
            let locks: Vec<LockFile> =
                locks.iter().filter(|lock| is_it(LockKind::of(&lock.file))).map(|lock| (*lock).clone()).collect();
            read_locks(&project.repository, &locks)
        };
        let Wanted { releases, git, unmirrored, .. } = of_kind(&|kind| kind == LockKind::Hexmirror)?;
        let extra = project.config.extra.iter().map(|text| match Definition::of_text(text) {
            Ok(definition) => Ok(PluginAsk { by: EXTRA.to_owned(), definition }),
            Err(error) => Err(ConfigError::new("the setting extra", error).into()),
        });
        let own = locks.iter().filter_map(|lock| lock.build.as_ref()).flat_map(BuildConfig::asks_of_project).map(Ok);
        let absent = unmirrored.into_iter().filter(|one| one.reason == NotMirrored::NoRef);
        let absent = absent.filter_map(|one| Some((one.app, one.url, one.revision?)));
        Ok(Self {
            file,
            locked: LockedPlugins { releases, git, absent: absent.collect() },
            pinned: of_kind(&|kind| kind != LockKind::Hexmirror)?,
            of_rebar: of_kind(&|kind| matches!(kind, LockKind::Rebar | LockKind::Gleam))?,
            own: own.chain(extra).collect::<Result<_>>()?,
            builds: locks.iter().filter_map(|lock| lock.build.clone()).collect(),
        })
    }

    /// Returns whether a rebar.config of the project itself could not be read.
    pub fn is_unread(&self) -> bool {
        self.builds.iter().any(|build| build.is_unread)
    }

    /// Returns whether rebar3 builds a release, as `Mix.Dep.Loader.load/3` decides it: by the lock, and otherwise by the files.
    /// That a `mix.exs` can name another manager is not read, because it is code.
    fn is_built_by_rebar3(&self, id: &ReleaseId, config: &BuildConfig) -> bool {
        let by_files = || if config.has_mix_exs { BuildTool::Mix } else { BuildTool::Rebar3 };
        let by_mix = || self.pinned.build_tools.get(id).copied().unwrap_or_else(by_files);
        self.of_rebar.releases.contains_key(id) || by_mix() == BuildTool::Rebar3
    }

    /// Resolves the plugins of the project with the facts of a source, unless the source lacks some.
    pub fn resolve(&self, source: &mut dyn FactSource, refresh: bool) -> Result<Resolution> {
        let mut asks = self.own.clone();
        self.builds.iter().for_each(|build| source.note(None, build));
        for pin in self.pinned.releases.values() {
            let Some(config) = source.release(pin)? else { continue };
            if !self.is_built_by_rebar3(&pin.id, &config) {
                continue;
            }
            let by = pin.id.package.to_string();
            asks.extend(config.asks(&by));
            source.note(Some(&by), &config);
        }
        for pin in &self.pinned.git {
            let Some(config) = source.revision(pin)? else { continue };
            if !config.has_mix_exs || self.of_rebar.git.contains(pin) {
                asks.extend(config.asks(&pin.app));
                source.note(Some(&pin.app), &config);
            }
        }
        let mut facts = PluginFacts::default();
        loop {
            let resolution = resolve(asks.clone(), &self.locked, &facts, refresh);
            let mut is_known = false;
            for unresolved in &resolution.unresolved {
                is_known |= learn(&unresolved.fact, source, &mut facts)?;
            }
            if !is_known {
                return Ok(resolution);
            }
        }
    }
}

/// Adds a fact if its source has it. Returns whether it has.
fn learn(fact: &LackingFact, source: &mut dyn FactSource, facts: &mut PluginFacts) -> Result<bool> {
    match fact {
        LackingFact::Entry(id) => {
            let was_asked = source.was_asked(id) == Some(true);
            if facts.entries.contains_key(id) && (!was_asked || facts.asked.contains(id)) {
                return Ok(false);
            }
            let Some(entry) = source.entry(id)? else { return Ok(false) };
            facts.can_ask = source.was_asked(id).is_some();
            facts.asked.extend(was_asked.then(|| id.clone()));
            facts.stored.extend(source.stored(id)?);
            facts.entries.insert(id.clone(), entry);
        }
        LackingFact::Release(pin) => {
            let Some(config) = source.release(pin)? else { return Ok(false) };
            facts.releases.insert(pin.id.clone(), config.package());
        }
        LackingFact::Ref(reference) => {
            let Some(answer) = source.reference(reference) else { return Ok(false) };
            facts.refs.insert(reference.clone(), answer);
        }
        LackingFact::Revision(pin) => {
            let Some(config) = source.revision(pin)? else { return Ok(false) };
            let folder = (pin.url.address().clone(), pin.revision, pin.subdir.clone());
            facts.revisions.insert(folder, config.package());
        }
    }
    Ok(true)
}

/// Adds the versions of plugins that rebar3 may choose instead of the pinned ones, because the stored entries list them, with
/// everything that those may need in turn.
///
/// # Errors
/// Fails if the snapshot is damaged.
pub(super) fn add_listed(needed: &mut Needed, snapshot: &Snapshot) -> Result<()> {
    let (manifest, mut unread) = (snapshot.manifest()?, Vec::new());
    for id in needed.plugin_packages() {
        if let Some(listed) = read_entry(snapshot, &id)? {
            unread.extend(needed.add_listed_plugin(manifest, &id, &listed));
        }
    }
    while let Some(id) = unread.pop() {
        for package in packages_of_plugin(snapshot, &id)? {
            let stored = manifest.releases_of(&package.repository, &package.package).map(|(id, _)| id.clone());
            unread.extend(stored.filter(|id| needed.releases.insert(id.clone())));
        }
    }
    Ok(())
}

/// Returns the packages that rebar3 installs to use a release as a plugin: its dependencies, and the plugins that it asks for.
fn packages_of_plugin(snapshot: &Snapshot, id: &ReleaseId) -> Result<BTreeSet<EntryId>> {
    let entry = read_entry(snapshot, &id.entry())?;
    let release = entry.as_ref().and_then(|entry| entry.release(&id.version));
    let dependencies = release.into_iter().flat_map(|release| &release.dependencies);
    let dependencies =
        dependencies.filter(|dependency| !dependency.optional).map(|dependency| dependency.package.clone());
    let config = BuildConfig::stored(snapshot, id)?;
    let plugins = config.asks(EXTRA).filter_map(|ask| match ask.definition.source {
        DefinedSource::Package { package, .. } => Some(package),
        DefinedSource::Git { .. } | DefinedSource::Unknown { .. } => None,
    });
    let packages = dependencies.chain(plugins);
    Ok(packages.map(|package| EntryId { repository: id.repository.clone(), package }).collect())
}

/// Returns the plugins that the locks should pin and do not, each with who asks for it, as far as a mirror shows.
pub(super) fn unpinned(
    project: &Project,
    locks: &[LockFile],
    source: &mut dyn FactSource,
) -> Result<BTreeSet<(String, String)>> {
    let mut unpinned = BTreeSet::new();
    for of_folder in PluginProject::all(project, locks)? {
        unpinned.extend(of_folder.resolve(source, false)?.unpinned(&of_folder.locked));
    }
    Ok(unpinned)
}

/// Resolves the plugins of all projects with what a source knows.
pub(super) fn resolutions(
    project: &Project,
    locks: &[LockFile],
    source: &mut dyn FactSource,
) -> Result<Vec<Resolution>> {
    PluginProject::all(project, locks)?.iter().map(|of_folder| of_folder.resolve(source, false)).collect()
}
