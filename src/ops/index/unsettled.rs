//! The packages whose entries in the pinned index may be behind, found without reading the whole manifest.
//!
//! A part of the manifest is *settled* if the index is up to date for all its packages, whatever the other parts contain.
//! This depends only on the part and on the signers, so the blob ids of settled parts are remembered.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use crate::hex::metadata::Metadata;
use crate::model::{EntryId, Fingerprint, Manifest, ManifestPart, RepositoryName};
use crate::ops::{Project, Result, own_file};
use crate::plan::{INDEX_METHOD, IndexPlan, has_imported_index, is_settled, may_depend_on_unknown};
use crate::store::{ObjectId, Snapshot};

/// The name of the file with the blob ids of settled parts.
const REMEMBERED_IN: &str = "index-settled";
/// The maximum number of remembered parts: those of a few mirrors.
const REMEMBERED: usize = 1024;

/// The packages whose entries in the pinned index may be behind. All others are up to date.
pub(super) struct Unsettled {
    /// What the manifest says about these packages, and the signers of the index.
    manifest: Manifest,
    /// The packages that stored releases depend on and that the manifest may not name.
    mentioned: BTreeSet<EntryId>,
    is_whole: bool,
}

impl Unsettled {
    /// Finds the packages of a snapshot.
    ///
    /// # Errors
    /// Fails if the manifest or the metadata of a release is damaged.
    pub fn of(project: &Project, snapshot: &Snapshot) -> Result<Self> {
        let Some(ids) = snapshot.package_parts()? else { return Self::whole(snapshot) };
        let signers = Manifest::clone(&*snapshot.part(ManifestPart::Index)?).index_signers;
        let mut memory = Memory::load(project, snapshot.index_part_id()?);
        let mut parts = Vec::new();
        let mut read = BTreeSet::new();
        for (part, blob) in ids {
            if memory.known.contains(&blob) {
                continue;
            }
            let manifest = snapshot.part_alone(part)?;
            if is_settled(&manifest, &signers) {
                memory.add(blob);
            } else {
                read.insert(part);
                parts.push(manifest);
            }
        }
        memory.save();
        let mentioned = parts.iter().map(|part| mentioned(snapshot, part)).collect::<Result<Vec<_>>>()?;
        let mentioned: BTreeSet<EntryId> = mentioned.into_iter().flatten().collect();
        let others: BTreeSet<ManifestPart> = mentioned.iter().map(|id| ManifestPart::of(&id.package)).collect();
        for part in others.difference(&read) {
            parts.push(snapshot.part_alone(*part)?);
        }
        let mut manifest = Manifest::combined(parts);
        for repository in signers.keys() {
            if !snapshot.has_packages_of(repository)? {
                // The index of this repository may have to be removed.
                return Self::whole(snapshot);
            }
        }
        manifest.index_signers = signers;
        Ok(Self { manifest, mentioned, is_whole: false })
    }

    /// Returns all packages.
    ///
    /// # Errors
    /// As for [`Self::of`].
    pub fn whole(snapshot: &Snapshot) -> Result<Self> {
        let manifest = snapshot.manifest()?;
        Ok(Self { manifest: manifest.clone(), mentioned: mentioned(snapshot, manifest)?, is_whole: true })
    }

    /// Returns the repositories whose index was imported. None of its entries counts as up to date.
    pub fn imported(&self) -> BTreeSet<RepositoryName> {
        let signers = self.manifest.index_signers.keys();
        signers.filter(|name| has_imported_index(&self.manifest, name)).cloned().collect()
    }

    /// Plans what must be built. If `signer` is unknown, the recorded ones sign.
    pub fn plan(&self, signer: Option<Fingerprint>) -> IndexPlan {
        let mut plan = IndexPlan::new(&self.manifest, &self.mentioned, signer);
        if !self.is_whole {
            // The other packages belong to these repositories.
            plan.dropped.clear();
        }
        plan
    }

    /// Adds all packages of a repository to a plan.
    pub fn rebuild(&self, plan: &mut IndexPlan, repository: &RepositoryName) {
        plan.rebuild(&self.manifest, &self.mentioned, repository);
    }
}

/// Returns the packages that the releases in a manifest, or in a part of one, depend on and that the manifest may not
/// name, because the releases were stored without registry entries.
pub(super) fn mentioned(snapshot: &Snapshot, manifest: &Manifest) -> Result<BTreeSet<EntryId>> {
    let mut mentioned = BTreeSet::new();
    for id in manifest.releases.keys().filter(|id| may_depend_on_unknown(manifest, &id.entry())) {
        let Some(text) = snapshot.metadata(id)? else { continue };
        for dependency in Metadata::parse(&text).map(|metadata| metadata.requirements).unwrap_or_default() {
            // Metadata names a repository as registry entries do, where an organisation has no prefix.
            let repository = dependency.repository.filter(|name| name.as_str() != id.repository.registry_name());
            let repository = repository.unwrap_or_else(|| id.repository.clone());
            mentioned.insert(EntryId { repository, package: dependency.package });
        }
    }
    Ok(mentioned)
}

/// The file with the blob ids of settled parts: a header, and one id per line, those of the last mirror first.
struct Memory<'p> {
    project: &'p Project,
    header: String,
    known: BTreeSet<ObjectId>,
    /// The known parts, as they are saved.
    lines: Vec<ObjectId>,
    is_changed: bool,
}

impl<'p> Memory<'p> {
    /// Reads the file. It counts as empty if it is damaged or if the signers or the way to build entries have changed.
    fn load(project: &'p Project, signers: Option<ObjectId>) -> Self {
        let signers = signers.map(|blob| blob.to_string()).unwrap_or_default();
        let header = format!("{INDEX_METHOD} {signers}\n");
        let text = fs::read_to_string(project.repository.own_dir().join(REMEMBERED_IN)).unwrap_or_default();
        let lines = text.strip_prefix(&header).unwrap_or_default().lines().take(REMEMBERED);
        let lines: Vec<ObjectId> = lines.filter_map(|line| ObjectId::from_hex(line.as_bytes()).ok()).collect();
        Self { project, header, known: lines.iter().copied().collect(), lines, is_changed: false }
    }

    fn add(&mut self, part: ObjectId) {
        self.lines.insert(0, part);
        self.is_changed = true;
    }

    /// Saves what was added. If this fails, the next command merely takes longer.
    fn save(&self) {
        if self.is_changed {
            let mut text = self.header.clone();
            for part in self.lines.iter().take(REMEMBERED) {
                let _ = writeln!(text, "{part}");
            }
            own_file::write(&self.project.repository, REMEMBERED_IN, &text);
        }
    }
}
