//! Fetches the builds of asset tools that the project configures and no lock pins. npm's signature vouches for those of esbuild;
//! the others are trusted on first use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::concurrent::fetch_all;
use super::fetching::Fetched;
use crate::fetch::{Downloads, FetchError, Upstream};
use crate::hex::asset_tools::{
    AssetConfig, AssetSource, NpmKeys, NpmPackage, NpmSignature, installed_files, signed_integrity,
};
use crate::model::{AssetToolId, FileAddress, FileChecksum, FileId, FileTrust, Target};
use crate::ops::artefacts::machine::this_machine;
use crate::ops::project::LockFile;
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::today::today;
use crate::ops::{FileError, OpError, Project, Result};
use crate::plan::{AssetFile, AssetPin, FilePin, Wanted, asset_tools_for};
use crate::progress::{Download as Shown, Event, Progress};
use crate::store::Transaction;

/// The part of an update that stores asset tools.
pub(super) struct AssetToolUpdate<'a> {
    pub project: &'a Project,
    pub repositories: &'a HexRepositories<'a>,
    pub downloads: &'a Arc<Downloads>,
    pub locks: &'a [LockFile],
    pub wanted: &'a Wanted,
    pub jobs: Option<usize>,
    /// Whether to ask again for builds that did not exist.
    pub refresh: bool,
    /// Whether to keep what was fetched otherwise if a build cannot be fetched.
    pub keep_going: bool,
    /// Whether this machine may be added to the locks.
    pub adds_machine: bool,
    /// This machine, if it is about to be added to a lock for another reason.
    pub new_target: Option<Target>,
    pub progress: &'a Arc<dyn Progress>,
}

/// What an update needs of asset tools.
#[derive(Debug, Default)]
pub(super) struct NeededAssetTools {
    /// This machine, if no lock names it yet.
    pub new_target: Option<Target>,
    /// The builds.
    pub pins: Vec<AssetPin>,
    /// The entries for them in a hexmirror.lock. `None` if what it has stays.
    pub lines: Option<BTreeSet<String>>,
}

/// A fetched build. `None` if there is no such build.
type Found = (AssetToolId, Option<(Vec<u8>, FileAddress, Option<NpmSignature>)>);

impl AssetToolUpdate<'_> {
    /// Fetches the builds that no lock pins into a transaction, unless something else failed.
    ///
    /// # Errors
    /// Fails as [`Self::fetch`] does, unless the update keeps going.
    pub fn run(&self, fetched: &mut Fetched, transaction: &mut Transaction<'_>) -> Result<NeededAssetTools> {
        let unchanged = NeededAssetTools { new_target: self.new_target.clone(), ..NeededAssetTools::default() };
        let is_off = self.project.config.asset_tools.is_none() || self.project.repository.worktree().is_none();
        // The packages that use them may be missing.
        if is_off || fetched.failed.is_some() {
            return Ok(unchanged);
        }
        match self.fetch(fetched, transaction) {
            Err(error) if self.keep_going && !fetched.is_empty() => {
                fetched.failed = Some(error);
                Ok(unchanged)
            }
            needed => needed,
        }
    }

    /// Fetches the builds that no lock pins into a transaction.
    ///
    /// # Errors
    /// Fails if a build cannot be fetched, if npm did not sign it, or if it is not what the package that installs it expects. Nothing
    /// is then pinned.
    fn fetch(&self, fetched: &mut Fetched, transaction: &mut Transaction<'_>) -> Result<NeededAssetTools> {
        let config = self.project.asset_config(self.locks)?;
        let new_target = match &self.new_target {
            None if self.adds_machine => asset_target(self.project, &config, self.wanted)?,
            target => target.clone(),
        };
        let targets = self.wanted.targets.iter().cloned().chain(new_target.clone()).collect();
        self.warn(&config, &targets);
        let known = |id: &AssetToolId| {
            let pin = self.wanted.asset_tools.get(id)?;
            (pin.file.is_some() || !self.refresh).then(|| pin.clone())
        };
        let (mut pins, mut lacking) = (Vec::new(), BTreeSet::new());
        for id in asset_tools_for(&config, &targets, self.wanted) {
            match known(&id) {
                Some(pin) => pins.push(pin),
                None => drop(lacking.insert(id)),
            }
        }
        for (id, found) in self.download(lacking)? {
            let file = found.map(|(content, address, npm)| store(&content, address, npm, fetched, transaction));
            pins.push(AssetPin { id, file: file.transpose()? });
        }
        let kept = self.kept(&config, &pins)?;
        let lines = pins.iter().chain(kept).map(AssetPin::line).collect();
        Ok(NeededAssetTools { new_target, pins, lines: Some(lines) })
    }

    /// Returns what is pinned and no configuration asks for that was read, but one that was not read may: it stays.
    fn kept(&self, config: &AssetConfig, pins: &[AssetPin]) -> Result<Vec<&AssetPin>> {
        let mut others: Vec<&AssetPin> = self.wanted.asset_tools.values().collect();
        others.retain(|other| pins.iter().all(|pin| pin.id != other.id));
        let is_unread = |pin: &&AssetPin| config.unread.iter().any(|(tool, _)| *tool == pin.id.tool);
        if others.iter().all(is_unread) {
            return Ok(others);
        }
        let unread = self.project.unread_configs(self.locks)?;
        for (file, reason) in &unread {
            let message = format!("{file} {reason}, so what hexmirror.lock pins of asset tools stays");
            self.progress.report(Event::Warning { message });
        }
        others.retain(|pin| !unread.is_empty() || is_unread(pin));
        Ok(others)
    }

    /// Names versions that cannot be read, and a tool if no machine is known that needs it.
    fn warn(&self, config: &AssetConfig, targets: &BTreeSet<Target>) {
        for (tool, problem) in &config.unread {
            let message =
                format!("{problem}, so it is not mirrored; name it in the setting asset_tools, such as {tool}@1.2.3");
            self.progress.report(Event::Warning { message });
        }
        if let (true, Some((tool, _))) = (targets.is_empty() && self.adds_machine, config.versions.first()) {
            let how = "name one with `git hexmirror targets add`";
            let message = format!("{tool} is configured, and no machine is known that needs it; {how}");
            self.progress.report(Event::Warning { message });
        }
    }

    /// Downloads builds concurrently.
    fn download(&self, lacking: BTreeSet<AssetToolId>) -> Result<Vec<Found>> {
        if lacking.is_empty() {
            return Ok(Vec::new());
        }
        self.progress.report(Event::Planned { items: lacking.len() as u64 });
        let upstream = Arc::new(self.repositories.upstream([].into_iter(), self.jobs, Arc::clone(self.progress))?);
        let keys = Arc::new(self.project.npm_keys()?);
        let mut sources = BTreeMap::new();
        for id in &lacking {
            sources.insert(id.tool, self.project.asset_source(id.tool)?);
        }
        let task = |id: AssetToolId| {
            let (source, progress) = (sources[&id.tool].clone(), Arc::clone(self.progress));
            let task = BuildFetch { id, source, keys: Arc::clone(&keys), progress };
            task.run(Arc::clone(&upstream), Arc::clone(self.downloads))
        };
        let mut found = fetch_all(self.downloads.folder(), lacking.into_iter().map(task))?;
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    }
}

/// Returns this machine if the project's asset tools have builds for it, and it is none of those that locks name.
///
/// # Errors
/// Fails if the system cannot start a program.
pub(in crate::ops) fn asset_target(project: &Project, config: &AssetConfig, wanted: &Wanted) -> Result<Option<Target>> {
    if config.versions.is_empty() {
        return Ok(None);
    }
    let machine = this_machine(project)?.filter(|machine| !wanted.targets.contains(machine));
    let is_needed = |machine: &Target| !asset_tools_for(config, &[machine.clone()].into(), wanted).is_empty();
    Ok(machine.filter(is_needed))
}

/// Adds a build to a transaction.
fn store(
    content: &[u8],
    address: FileAddress,
    npm: Option<NpmSignature>,
    fetched: &mut Fetched,
    transaction: &mut Transaction<'_>,
) -> Result<AssetFile> {
    let checksum = FileChecksum::from_bytes(Sha256::digest(content).into());
    let id = FileId { path: address.download_path(), checksum };
    let trust = if npm.is_some() { FileTrust::Npm } else { FileTrust::FirstUse(today()) };
    let pin = FilePin { id, bytes: Some(content.len() as u64), trust, address };
    fetched.downloaded_bytes += content.len() as u64;
    if transaction.put_file(pin.id.path.clone(), content, trust, pin.address.clone())? {
        fetched.files.push(pin.clone());
    }
    Ok(AssetFile { pin, npm })
}

/// The download of a build.
struct BuildFetch {
    id: AssetToolId,
    source: AssetSource,
    keys: Arc<NpmKeys>,
    progress: Arc<dyn Progress>,
}

impl BuildFetch {
    /// Fetches the build and checks what vouches for it.
    async fn run(self, upstream: Arc<Upstream>, downloads: Arc<Downloads>) -> Result<Found> {
        let Self { id, source, keys, progress } = self;
        let _shown = Shown::begin(progress.as_ref(), id.to_string());
        let wrong = |error| FileError::AssetAddress { id: id.clone(), source: error };
        let address = source.address(&id).map_err(wrong)?;
        let absent = |error: FetchError| match error.is_not_found() {
            true => {
                let message = format!("{id} does not exist: {error}");
                progress.report(Event::Warning { message });
                Ok(None)
            }
            false => Err(OpError::from(error)),
        };
        let signed = match NpmPackage::of(&id) {
            None => None,
            Some(package) => {
                let manifest = source.manifest(&package).map_err(wrong)?;
                let manifest = match upstream.file(&manifest, None, &downloads).await {
                    Err(error) => return absent(error).map(|none| (id.clone(), none)),
                    Ok(download) => download.read()?,
                };
                let refused = |error| FileError::NotOfNpm { package: package.to_string(), source: error };
                Some(signed_integrity(&manifest, &package, &keys).map_err(refused)?)
            }
        };
        let content = match upstream.file(&address, None, &downloads).await {
            Err(error) => return absent(error).map(|none| (id.clone(), none)),
            Ok(download) => download.read()?,
        };
        if let Some((integrity, _)) = &signed
            && !NpmSignature::is_integrity_of(integrity, &content)
        {
            return Err(FileError::WrongIntegrity { address }.into());
        }
        // What nobody signed can be anything.
        installed_files(&id, None, content.clone())
            .map_err(|error| FileError::AssetArchive { id: id.clone(), source: error })?;
        progress.report(Event::Finished { item: id.to_string() });
        Ok((id, Some((content, address, signed.map(|(_, signature)| signature)))))
    }
}
