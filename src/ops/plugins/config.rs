//! Reads what the configuration of a package says about plugins.

use std::convert::Infallible;

use crate::lock::{AppFolders, RebarConfig};
use crate::model::ReleaseId;
use crate::ops::Result;
use crate::plan::{PROJECT, PackageConfig, PluginAsk};
use crate::store::Snapshot;

/// The file that names plugins.
pub(in crate::ops) const REBAR_CONFIG: &str = "rebar.config";
/// The script that can change them.
pub(in crate::ops) const SCRIPT: &str = "rebar.config.script";
/// The file that makes a package one of mix.
pub(in crate::ops) const MIX_EXS: &str = "mix.exs";
/// The files that count.
pub(in crate::ops) const FILES: [&str; 3] = [REBAR_CONFIG, SCRIPT, MIX_EXS];

/// What a package says about plugins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::ops) struct BuildConfig {
    package: PackageConfig,
    /// What the applications of a project say that consists of several.
    apps: Vec<RebarConfig>,
    /// Whether a rebar.config could not be read, so that nobody knows what it asks for.
    pub is_unread: bool,
    /// Whether mix can build the package.
    pub has_mix_exs: bool,
}

impl BuildConfig {
    /// Reads the files of a package. `file` returns the content of one of [`FILES`] if it exists. `whose` stands before the
    /// names of files in messages.
    pub fn read<E>(whose: &str, mut file: impl FnMut(&str) -> Result<Option<Vec<u8>>, E>) -> Result<Self, E> {
        let mut package = PackageConfig::default();
        let mut is_unread = false;
        if let Some(contents) = file(REBAR_CONFIG)? {
            match RebarConfig::read(&contents) {
                Ok(config) => package.config = config,
                Err(error) => {
                    let before = contents.iter().take(error.span.range().start);
                    let line = before.filter(|byte| **byte == b'\n').count() + 1;
                    package.unread.push(format!("{whose}rebar.config cannot be read: line {line}: {error}"));
                    is_unread = true;
                }
            }
        }
        if file(SCRIPT)?.is_some() {
            let how = "name the plugins that it adds in the setting `extra`";
            package.unread.push(format!("{whose}rebar.config.script is not evaluated; {how}"));
        }
        Ok(Self { package, apps: Vec::new(), is_unread, has_mix_exs: file(MIX_EXS)?.is_some() })
    }

    /// Reads the files of a package, as [`Self::read`] does, if they are at hand.
    pub fn of(mut file: impl FnMut(&str) -> Option<Vec<u8>>) -> Self {
        let Ok(config) = Self::read("its ", |name| Ok::<_, Infallible>(file(name)));
        config
    }

    /// Returns where the applications of the project are. Notes the patterns that are not read; `whose` stands before the name of
    /// the file.
    pub fn app_folders(&mut self, whose: &str) -> AppFolders {
        let folders = self.package.config.app_folders();
        self.package.unread.extend(folders.unread.iter().map(|pattern| {
            let how = "name the plugins of these applications in the setting `extra`";
            format!("{whose}rebar.config: {pattern} in project_app_dirs is not read; {how}")
        }));
        folders
    }

    /// Reads the files of a release in a snapshot.
    ///
    /// # Errors
    /// Fails if the release is damaged.
    pub fn stored(snapshot: &Snapshot, id: &ReleaseId) -> Result<Self> {
        let mut files = snapshot.release_files(id, |name| FILES.contains(&name))?;
        Ok(Self::of(|name| files.remove(name)))
    }

    /// Adds what an application of the project says. rebar3 installs its plugins, but not its project plugins
    /// (`rebar_plugins:project_apps_install/1`).
    pub fn add_app(&mut self, app: Self) {
        self.package.unread.extend(app.package.unread);
        self.is_unread |= app.is_unread;
        self.apps.push(app.package.config);
    }

    /// Returns the plugins that rebar3 installs to build the package.
    pub fn asks(&self, by: &str) -> impl Iterator<Item = PluginAsk> {
        let definitions = self.package.config.plugins().cloned();
        definitions.map(|definition| PluginAsk { by: by.to_owned(), definition })
    }

    /// Returns the plugins that rebar3 installs if the package is the project itself.
    pub fn asks_of_project(&self) -> impl Iterator<Item = PluginAsk> {
        let of_apps = self.apps.iter().flat_map(RebarConfig::plugins);
        let definitions = self.package.config.plugins_of_project().chain(of_apps).cloned();
        definitions.map(|definition| PluginAsk { by: PROJECT.to_owned(), definition })
    }

    /// Returns what the resolution needs to know.
    pub fn package(&self) -> PackageConfig {
        self.package.clone()
    }

    /// Returns what could not be read.
    pub fn unread(&self) -> &[String] {
        &self.package.unread
    }
}
