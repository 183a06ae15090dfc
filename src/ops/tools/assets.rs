//! Puts asset tools where the packages that install them look for them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::slice;

use super::item::{Item, Items};
use super::not_installed::NotInstalled;
use super::stored::StoredTools;
use crate::hex::asset_tools::{AssetConfig, InstalledFile, installed_files, with_profiles};
use crate::model::{AssetTool, AssetToolId, FileId, Target, Version};
use crate::ops::artefacts::machine::this_machine;
use crate::ops::project::LockFile;
use crate::ops::project::asset_configs::folder_of_mix_lock;
use crate::ops::project::asset_tools::NpmClaim;
use crate::ops::{FileError, Project, Result};
use crate::plan::{asset_tools_for, clients};

/// The folder of a project's builds.
const BUILD: &str = "_build";
/// What names a version that no configuration has.
const SETTING: &str = "the setting asset_tools";

/// The asset tools of a project.
#[derive(Default)]
pub(super) struct AssetItems {
    /// What is to be written.
    pub items: Items,
    /// What the project configures and is not to be written.
    pub left_out: BTreeSet<NotInstalled>,
    /// The versions of the settings that no package looks for, each with where the configuration names another one.
    pub superseded: BTreeMap<(AssetTool, Version), String>,
}

/// The asset tools of one project.
struct Configured<'a> {
    config: AssetConfig,
    /// The folder of the project's lock.
    folder: &'a str,
}

/// What may be written to a place.
#[derive(Default)]
struct Candidates {
    /// The builds, each with where its version is configured.
    builds: BTreeMap<AssetToolId, (String, InstalledFile)>,
    /// The folders of the projects that need them.
    folders: BTreeSet<String>,
}

/// Finds what to install of asset tools.
struct Search<'a> {
    tools: &'a StoredTools<'a>,
    project: &'a Project,
    /// This machine, if its Erlang says what it is.
    machine: Option<Target>,
    claims: BTreeMap<FileId, NpmClaim>,
    found: AssetItems,
    candidates: BTreeMap<PathBuf, Candidates>,
}

impl StoredTools<'_> {
    /// Returns the builds that this machine needs of what the projects of the locks configure; without Erlang, those of all machines
    /// that locks name. With `to`, all are written to one folder.
    pub(super) fn asset_tools(
        &self,
        project: &Project,
        locks: &[LockFile],
        to: Option<&PathBuf>,
    ) -> Result<AssetItems> {
        let mut configured = Vec::new();
        for (lock, folder) in locks.iter().filter_map(|lock| Some((lock, folder_of_mix_lock(&lock.file)?))) {
            let config = project.asset_config(slice::from_ref(lock))?;
            if !(config.versions.is_empty() && config.unread.is_empty()) {
                configured.push(Configured { config, folder });
            }
        }
        if configured.is_empty() {
            return Ok(AssetItems::default());
        }
        let (machine, claims) = (this_machine(project)?, project.npm_claims(self.wanted)?);
        let (found, candidates) = (AssetItems::default(), BTreeMap::new());
        let mut search = Search { tools: self, project, machine, claims, found, candidates };
        for one in &configured {
            search.add_project(one, to)?;
        }
        Ok(search.finish(&configured))
    }
}

impl Search<'_> {
    fn add_project(&mut self, one: &Configured<'_>, to: Option<&PathBuf>) -> Result<()> {
        let Configured { config, folder } = one;
        let unread = config.unread.iter().cloned();
        self.found.left_out.extend(unread.map(|(tool, problem)| NotInstalled::Unread { tool, problem }));
        let builds = to.cloned().or_else(|| build_folder(self.project, folder));
        for (tool, version) in config.used() {
            let (tool, version) = (*tool, version.clone());
            match &builds {
                None => drop(self.found.left_out.insert(NotInstalled::NoWorktree { tool, version })),
                Some(builds) => self.add_version(one, (tool, version), builds)?,
            }
        }
        Ok(())
    }

    /// Adds the builds of a version.
    fn add_version(&mut self, one: &Configured<'_>, used: (AssetTool, Version), builds: &Path) -> Result<()> {
        let (wanted, this) = (self.tools.wanted, self.machine.iter().cloned().collect());
        let targets: &BTreeSet<Target> = if self.machine.is_some() { &this } else { &wanted.targets };
        let config = AssetConfig {
            versions: [used.clone()].into(),
            builds: one.config.builds.clone(),
            ..AssetConfig::default()
        };
        let ids = asset_tools_for(&config, targets, wanted);
        if ids.is_empty() {
            let (tool, version) = used;
            let names: Vec<String> = targets.iter().map(|target| target.platform.to_string()).collect();
            self.found.left_out.insert(match names.is_empty() {
                true => NotInstalled::NoMachine { tool, version },
                false => NotInstalled::NoBuild { tool, version, machine: names.join(", ") },
            });
            return Ok(());
        }
        let (mut unpublished, mut is_any) = (BTreeSet::new(), false);
        for id in ids {
            match wanted.asset_tools.get(&id).map(|pin| &pin.file) {
                None => {
                    let machine = self.machine.clone();
                    self.found.left_out.insert(NotInstalled::Unpinned { id, machine });
                }
                Some(None) => drop(unpublished.insert(NotInstalled::Unpublished { id })),
                Some(Some(file)) => {
                    is_any = true;
                    self.add_build(one, id, &file.pin.id, builds)?;
                }
            }
        }
        // Without Erlang, this may be a machine that has a build.
        if self.machine.is_some() || !is_any {
            self.found.left_out.extend(unpublished);
        }
        Ok(())
    }

    /// Adds the files of a build, each verified.
    fn add_build(&mut self, one: &Configured<'_>, id: AssetToolId, file: &FileId, builds: &Path) -> Result<()> {
        let content = self.tools.content(file)?;
        self.claims.get(file).map_or(Ok(()), |claim| claim.check(&content))?;
        let clients = clients(id.tool, self.tools.wanted);
        let client = clients.first().copied().filter(|_| clients.len() == 1);
        let literal = one.config.literals.get(&(id.tool, id.version.clone()));
        let of_profiles = literal.filter(|found| found.is_of_profiles && id.tool == AssetTool::Tailwind);
        let of_profiles = of_profiles.map(|_| with_profiles(client));
        let files = installed_files(&id, of_profiles.as_ref().or(client), content);
        let files = files.map_err(|source| FileError::AssetArchive { id: id.clone(), source })?;
        let origin = literal.map_or_else(|| SETTING.to_owned(), |found| found.place.clone());
        for file in files {
            let place = builds.join(&file.name);
            let at = self.candidates.entry(place).or_default();
            at.builds.insert(id.clone(), (origin.clone(), file));
            at.folders.insert(one.folder.to_owned());
        }
        Ok(())
    }

    /// Chooses what to write to each place.
    fn finish(self, configured: &[Configured<'_>]) -> AssetItems {
        let Self { project, mut found, candidates, .. } = self;
        let set = project.config.asset_tools.as_ref().map(|settings| &settings.versions);
        let is_set = |id: &AssetToolId| set.is_some_and(|set| set.contains(&(id.tool, id.version.clone())));
        for (place, Candidates { builds, folders }) in candidates {
            let named =
                |(id, (origin, _)): (&AssetToolId, &(String, _))| format!("{} {} ({origin})", id.tool, id.version);
            let versions = builds.iter().map(named).collect();
            let Some(first) = builds.keys().next().cloned() else { continue };
            // The settings decide for one project, but not for one project against another.
            let is_shared = folders.len() > 1;
            match chosen(builds, |id| !is_shared && is_set(id)) {
                Some(InstalledFile { content, is_executable, .. }) => {
                    found.items.insert(place, Item::File { content, is_executable });
                }
                None => {
                    let conflict = NotInstalled::Conflict { place, first, versions, is_shared };
                    found.left_out.insert(conflict);
                }
            }
        }
        for version in set.into_iter().flatten() {
            let mut configs = configured.iter().map(|one| &one.config);
            if !configs.any(|config| config.used().any(|used| used == version)) {
                let literals = configured.iter().flat_map(|one| &one.config.literals);
                let place = literals.filter(|((tool, _), _)| *tool == version.0).map(|(_, found)| found.place.clone());
                found.superseded.extend({ place }.next().map(|place| (version.clone(), place)));
            }
        }
        found
    }
}

/// Chooses one of several builds with the same file name: the only one, or the only one that the settings name. The packages
/// do not look at the version of what they find, so one of several versions would be used for another.
fn chosen(
    candidates: BTreeMap<AssetToolId, (String, InstalledFile)>,
    is_set: impl Fn(&AssetToolId) -> bool,
) -> Option<InstalledFile> {
    let is_alone = candidates.len() == 1;
    let mut left = candidates.into_iter().filter(|(id, _)| is_alone || is_set(id));
    let (_, (_, file)) = left.next()?;
    left.next().is_none().then_some(file)
}

/// Returns the folder beside the builds of all environments (`Mix.Project.build_path/1`). `None` without a worktree.
fn build_folder(project: &Project, folder: &str) -> Option<PathBuf> {
    let root = project.repository.worktree()?.join(folder);
    let environment = &project.environment;
    if let Some(path) = environment.get("MIX_BUILD_PATH") {
        return root.join(path).parent().map(PathBuf::from);
    }
    Some(root.join(environment.get("MIX_BUILD_ROOT").unwrap_or_else(|| BUILD.to_owned())))
}
