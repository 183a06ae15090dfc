//! Fills the folders where packages look for precompiled files before they download them.
//!
//! XLA does not hash what it finds there, so every file is verified before every use. What was not needed for a while is
//! removed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;
use walkdir::WalkDir;

use super::kept_folder::{ClientFolder, kept_folder};
use super::redirected::redirecting_locks;
use crate::fetch::hash;
use crate::hex::artefacts::{Artefact, ArtefactKind};
use crate::model::{FileId, ManifestPart, OuterChecksum};
use crate::ops::parallel::{cores, in_parallel_with};
use crate::ops::project::can_name_files;
use crate::ops::{MirrorSource, OpError, Project, Result, artefacts, mirror_source};
use crate::plan::StoredArtefacts;
use crate::store::{Snapshot, StoreError};

/// The folder beside the repository with a folder for each kind.
const FOLDER: &str = "artefacts";

/// How long a file stays that nothing needs.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How old the record may be that a file was needed.
const NOTED: Duration = Duration::from_secs(24 * 60 * 60);

/// The variables for clients, with the folders that they name.
pub type ArtefactFolders = BTreeMap<String, String>;

/// The files that the locks in force need and a mirror has.
struct Stored {
    snapshot: Snapshot,
    files: Vec<(Artefact, FileId)>,
}

/// Fills the folders beside the repository, or temporary ones if those cannot be written. `None` if the mirror has no
/// such files for the locks in force.
///
/// # Errors
/// Fails if a lock or a list of checksums cannot be read, a file is damaged, or no folder can be written.
pub(in crate::ops) fn artefacts_for_run(project: &Project) -> Result<Option<(ClientFolder, ArtefactFolders)>> {
    let Some(stored) = stored(project)? else { return Ok(None) };
    let folder = ClientFolder::prepare(project, Path::new(FOLDER), |folder| stored.fill(folder))?;
    let folders = stored.folders(folder.path());
    Ok(Some((folder, folders)))
}

/// Fills folders that are kept, beside the repository if possible. Empty if the mirror has no such files for the locks in
/// force.
///
/// # Errors
/// Fails as `run` does.
pub fn artefact_folders(project: &Project) -> Result<ArtefactFolders> {
    let Some(stored) = stored(project)? else { return Ok(ArtefactFolders::new()) };
    let folder = kept_folder(project, Path::new(FOLDER), |folder| stored.fill(folder))?;
    Ok(stored.folders(&folder))
}

fn stored(project: &Project) -> Result<Option<Stored>> {
    let locks = redirecting_locks(project)?.unwrap_or_default();
    if !can_name_files(&locks) {
        return Ok(None);
    }
    let wanted = project.wanted(&locks)?;
    let source = if wanted.targets.is_empty() { None } else { mirror_source(project)? };
    let Some(MirrorSource { remote, commit }) = source else { return Ok(None) };
    let snapshot = project.snapshot_of(remote.as_ref(), commit)?;
    let needed = artefacts::needed(project, &wanted, Some(&snapshot))?;
    let manifest = snapshot.part(ManifestPart::Files)?;
    let known = StoredArtefacts::of(&manifest);
    let files = needed.into_iter().filter_map(|pin| Some((known.find(&pin.artefact)?.clone(), pin.artefact)));
    let files: Vec<_> = files.map(|(id, artefact)| (artefact, id)).collect();
    Ok((!files.is_empty()).then_some(Stored { snapshot, files }))
}

impl Stored {
    /// Returns the variables for the kinds of which there are files.
    fn folders(&self, folder: &Path) -> ArtefactFolders {
        let kinds = self.files.iter().map(|(artefact, _)| artefact.name.kind);
        let named = |kind: ArtefactKind| folder.join(kind.as_str()).to_string_lossy().into_owned();
        kinds.map(|kind| (kind.variable().to_owned(), named(kind))).collect()
    }

    /// Writes each file, unless it is there already.
    fn fill(&self, folder: &Path) -> Result<()> {
        let written = in_parallel_with(
            cores(),
            &self.files,
            || self.snapshot.clone(),
            |snapshot, (artefact, id)| {
                let place = folder.join(artefact.name.kind.as_str()).join(artefact.name.path_in_cache());
                let expected = OuterChecksum::from_bytes(*artefact.checksum.as_bytes());
                if hash::of_file(&place).is_ok_and(|found| found.is_some_and(|(found, _)| found == expected)) {
                    note(&place);
                    return Ok(());
                }
                let missing = || StoreError::damaged(id.path.as_str())("it is missing");
                let bytes = snapshot.file(id)?.ok_or_else(missing)?;
                write(&place, &bytes).map_err(OpError::machine("write", &place))
            },
        );
        tidy(folder);
        written.into_iter().collect()
    }
}

/// Records in a file's time that it is needed. If that fails, it is only written again some day.
fn note(place: &Path) {
    if is_older(place, NOTED) {
        let _ = File::options().append(true).open(place).and_then(|file| file.set_modified(SystemTime::now()));
    }
}

/// Removes the files that were last needed long ago. What cannot be removed stays.
fn tidy(folder: &Path) {
    let files = WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    for entry in files.filter(|entry| is_older(entry.path(), KEPT)) {
        let _ = fs::remove_file(entry.path());
    }
}

fn is_older(place: &Path, age: Duration) -> bool {
    let changed = place.metadata().and_then(|data| data.modified());
    changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|elapsed| elapsed > age))
}

/// Writes a file and its folders, all or nothing.
fn write(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = place.parent().unwrap_or(place);
    fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(place).map(drop).map_err(|error| error.error)
}
