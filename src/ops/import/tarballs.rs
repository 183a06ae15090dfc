//! Reads the tarballs that were found, and stores those that the plan chooses.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use super::error::ImportError;
use super::folders::FoundFile;
use crate::hex::metadata::Metadata;
use crate::hex::tarball::{Tarball, TarballLimits};
use crate::model::{OuterChecksum, ReleaseId, RepositoryName};
use crate::ops::parallel::{cores, in_parallel, in_parallel_with};
use crate::ops::project::regular_file::read_regular;
use crate::ops::update::fetching::Stored;
use crate::ops::{OpError, Result};
use crate::plan::{FoundTarball, Wanted, claims_another_release, named_release};
use crate::progress::{Event, Progress};
use crate::store::{EncodedRelease, ReleaseEncoder, Transaction};

/// The number of encoded releases that wait for the transaction. Each can be as large as its contents.
const WAITING: usize = 4;

/// The tarballs that were read.
#[derive(Debug, Default)]
pub(super) struct Inspected {
    /// The usable tarballs.
    pub found: Vec<FoundTarball>,
    /// Their files.
    pub paths: Vec<PathBuf>,
    /// The unusable files that are left out, because no lock pins what they are named after.
    pub unusable: Vec<PathBuf>,
}

impl Inspected {
    /// Reads the tarballs. `repository` names the repository of a registry's folder.
    ///
    /// # Errors
    /// Fails if an unusable file is named after a pinned release, or is to be imported anyway (`all`), and if a file is
    /// named after another release than its metadata says.
    pub fn read(
        files: &[FoundFile],
        wanted: &Wanted,
        all: bool,
        repository: impl Fn(&Path) -> Option<RepositoryName>,
    ) -> Result<Self> {
        let (mut inspected, mut errors) = (Self::default(), Vec::new());
        let results = in_parallel(cores(), files, |file| inspect(&file.path));
        for (file, result) in files.iter().zip(results) {
            match result {
                Ok(found) => {
                    let of_registry = file.registry.as_deref().and_then(&repository);
                    let repository = of_registry.or_else(|| file.cached_from.clone());
                    inspected.found.push(FoundTarball { repository, ..found });
                    inspected.paths.push(file.path.clone());
                }
                Err(OpError::Import(ImportError::Tarball { .. } | ImportError::Metadata { .. }))
                    if !all && !is_pinned(&file.path, wanted) =>
                {
                    inspected.unusable.push(file.path.clone());
                }
                Err(error) => errors.push(error),
            }
        }
        OpError::several(errors).map_or(Ok(inspected), Err)
    }
}

/// Returns whether a file is named after a release that a lock pins, in any repository.
fn is_pinned(path: &Path, wanted: &Wanted) -> bool {
    let named = path.file_name().and_then(|name| named_release(name.to_str()?));
    named.is_some_and(|(package, version)| {
        wanted.releases.keys().any(|id| id.package == package && id.version == version)
    })
}

/// Reads a tarball and its metadata.
fn inspect(path: &Path) -> Result<FoundTarball> {
    let bytes = read(path)?;
    let tarball = open(path, &bytes)?;
    let unreadable = |source| ImportError::Metadata { file: path.to_owned(), source };
    let Metadata { name, version, .. } = Metadata::parse(tarball.metadata()).map_err(unreadable)?;
    let file_name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    if claims_another_release(&file_name, &name, &version) {
        return Err(ImportError::Name { file: path.to_owned(), found: format!("{name} {version}") }.into());
    }
    let (outer, inner) = (tarball.outer_checksum(), tarball.inner_checksum());
    let file = path.display().to_string();
    Ok(FoundTarball { file, package: name, version, repository: None, outer, inner })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let limit = TarballLimits::default().tarball as u64;
    let bytes = read_regular(path, limit).map_err(OpError::machine("read", path))?;
    bytes.map_err(|reason| OpError::Refused { file: path.display().to_string(), reason })
}

fn open<'b>(path: &Path, bytes: &'b [u8]) -> Result<Tarball<'b>> {
    let tarball = Tarball::open(bytes, &TarballLimits::default());
    Ok(tarball.map_err(|source| ImportError::Tarball { file: path.to_owned(), source })?)
}

/// A release to store, its file, and the checksum that the file had when it was chosen.
pub(super) type Chosen<'a> = (ReleaseId, &'a Path, OuterChecksum);

/// Encodes the chosen releases on all cores, and adds them to a transaction as they are ready.
///
/// # Errors
/// Fails with all errors that occurred. The transaction must then not be published.
pub(super) fn store(
    chosen: &[Chosen<'_>],
    encoder: &ReleaseEncoder,
    transaction: &mut Transaction<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Stored>> {
    progress.report(Event::Planned { items: chosen.len() as u64 });
    let (sender, encoded) = mpsc::sync_channel(WAITING);
    let (mut stored, mut errors) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let encoder = encoder.clone();
        let work = move || {
            in_parallel_with(
                cores(),
                chosen,
                || (encoder.clone(), sender.clone()),
                // The receiver outlives this thread.
                |(encoder, sender), chosen| drop(sender.send(encode(encoder, chosen))),
            );
        };
        let thread = thread::Builder::new().spawn_scoped(scope, work);
        if let Err(error) = thread {
            let first = chosen.first().map_or(Path::new("."), |(_, path, _)| path);
            return errors.push(OpError::machine("start a thread to read", first)(error));
        }
        for release in encoded {
            match release.map(|release| add(release, transaction, progress)) {
                Ok(Ok(release)) => stored.push(release),
                // Nothing more can be written either.
                Ok(Err(error)) => return errors.push(error),
                Err(error) => errors.push(error),
            }
        }
    });
    stored.sort_by(|a, b| a.id.cmp(&b.id));
    OpError::several(errors).map_or(Ok(stored), Err)
}

fn add(release: EncodedRelease, transaction: &mut Transaction<'_>, progress: &dyn Progress) -> Result<Stored> {
    let stored = Stored {
        id: release.id.clone(),
        stored: release.stored,
        fallback: release.fallback.clone(),
        config: None,
        artefacts: None,
    };
    transaction.add_release(release)?;
    progress.report(Event::Finished { item: stored.id.to_string() });
    Ok(stored)
}

fn encode(encoder: &ReleaseEncoder, (id, path, expected): &Chosen<'_>) -> Result<EncodedRelease> {
    let bytes = read(path)?;
    let tarball = open(path, &bytes)?;
    if tarball.outer_checksum() != *expected {
        return Err(ImportError::Changed { file: path.to_path_buf() }.into());
    }
    encoder.encode(id.clone(), &tarball).map_err(OpError::encode(id))
}
