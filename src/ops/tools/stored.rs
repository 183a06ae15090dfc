//! The tools of a mirror, each verified when it is taken out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::item::{Item, Items};
use super::{ToolKeys, mix_home};
use crate::hex::mix_archive::MixArchive;
use crate::model::{FileId, FilePath, Tool, ToolsPair};
use crate::ops::{FileError, Project, Result};
use crate::plan::Wanted;
use crate::store::Snapshot;

/// Where tools are installed.
pub(super) struct Places {
    /// Mix's folder.
    pub mix_home: PathBuf,
    /// Mix's folder of archives.
    pub archives: PathBuf,
    /// The folder for other files, if they are written.
    pub downloads: Option<PathBuf>,
    /// The folder for asset tools, if that is not each project's own.
    pub builds: Option<PathBuf>,
}

impl Places {
    pub fn of(project: &Project, to: Option<&Path>) -> Result<Self> {
        if let Some(folder) = to {
            let mix_home = folder.join("mix");
            let (archives, downloads) = (mix_home.join("archives"), Some(folder.to_owned()));
            return Ok(Self { mix_home, archives, downloads, builds: Some(folder.join("_build")) });
        }
        let mix_home = mix_home(project).ok_or(FileError::NoMixHome)?;
        let archives = project.environment.get("MIX_ARCHIVES").map_or_else(|| mix_home.join("archives"), PathBuf::from);
        Ok(Self { mix_home, archives, downloads: None, builds: None })
    }
}

/// The tools of a mirror.
pub(super) struct StoredTools<'a> {
    pub wanted: &'a Wanted,
    pub snapshot: &'a Snapshot,
    pub keys: ToolKeys,
}

impl StoredTools<'_> {
    /// Returns Hex and rebar3. All versions of Elixir have one folder of archives: it gets the Hex of the oldest one, which
    /// newer ones can run.
    pub fn installers(&self, places: &Places) -> Result<Items> {
        let mut items = Items::new();
        for pair in self.wanted.tools.iter().rev() {
            let rebar3 = Item::File { content: self.installer(Tool::Rebar3, pair)?, is_executable: true };
            items.insert(places.mix_home.join("elixir").join(pair.folder()).join("rebar3"), rebar3);
        }
        if let Some(pair) = self.wanted.tools.first() {
            let content = self.installer(Tool::Hex, pair)?;
            let archive =
                MixArchive::read(&content).map_err(|source| FileError::MixArchive { pair: pair.clone(), source })?;
            items.insert(places.archives.join(&archive.name), Item::Archive(archive));
        }
        Ok(items)
    }

    /// Returns a verified installer.
    fn installer(&self, tool: Tool, pair: &ToolsPair) -> Result<Vec<u8>> {
        let list = pair.list(tool);
        let (content, signature) = (self.pinned(&list)?, self.pinned(&pair.signature(tool))?);
        let chosen = self.keys.chosen(&content, &signature, tool, pair)?;
        let installer = self.pinned(&chosen.path)?;
        match chosen.is(&installer) {
            true => Ok(installer),
            false => Err(FileError::WrongInstaller { path: chosen.path, list }.into()),
        }
    }

    /// Returns the content that the locks pin for a path.
    fn pinned(&self, path: &FilePath) -> Result<Vec<u8>> {
        let id = self.wanted.files.keys().find(|id| id.path == *path);
        self.content(id.ok_or_else(|| FileError::UnpinnedTool { path: path.clone() })?)
    }

    pub fn content(&self, id: &FileId) -> Result<Vec<u8>> {
        self.snapshot.file(id)?.ok_or_else(|| FileError::NoTool { path: id.path.clone() }.into())
    }

    /// Returns the files that addresses name.
    pub fn downloads(&self, folder: &Path) -> Result<Items> {
        let ids: BTreeSet<&FileId> = self.wanted.files.keys().filter(|id| !id.path.is_of_tools()).collect();
        let item = |id: &FileId| self.content(id).map(|content| Item::File { content, is_executable: false });
        ids.into_iter().map(|id| Ok((folder.join(id.path.as_str()), item(id)?))).collect()
    }
}
