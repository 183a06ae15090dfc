//! The disk space that the mirror takes.

use std::path::Path;

use walkdir::WalkDir;

use super::finding::{Finding, Topic};
use crate::model::{StoredGit, bytes, count};
use crate::ops::{Project, Result, mirror_source};

/// How many files are counted, so that the check ends soon.
const MAX_FILES: usize = 100_000;

/// Returns the sizes of the mirror's contents, of the packs with them, and of the caches.
pub fn disk(project: &Project) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    if let Some(source) = mirror_source(project)? {
        let snapshot = project.snapshot_of(source.remote.as_ref(), source.commit)?;
        let manifest = snapshot.manifest()?;
        let releases: u64 = manifest.releases.values().map(|stored| stored.bytes).sum();
        let git: u64 = manifest.git.values().map(StoredGit::bytes).sum();
        let releases =
            format!("{} ({} as tarballs)", count(manifest.releases.len(), "release", "releases"), bytes(releases));
        let git = format!("{} ({})", count(manifest.git.len(), "git repository", "git repositories"), bytes(git));
        found.push(Finding::good(Topic::Disk, format!("the mirror has {releases} and {git}")));
    }
    let packs = project.repository.own_packs();
    let size = bytes(packs.values().sum());
    let packs = count(packs.len(), "pack", "packs");
    found.push(Finding::good(Topic::Disk, format!("{packs} of git hexmirror, not merged with others yet: {size}")));
    let own = project.repository.own_dir();
    let (size, is_all) = folder_bytes(&own);
    let at_least = if is_all { "" } else { "at least " };
    found.push(Finding::good(
        Topic::Disk,
        format!("caches and settings in {}: {at_least}{}", own.display(), bytes(size)),
    ));
    Ok(found)
}

/// Returns the size of the files in a folder, and whether all were counted.
fn folder_bytes(folder: &Path) -> (u64, bool) {
    let files = WalkDir::new(folder).into_iter().filter_map(std::result::Result::ok);
    let mut files = files.filter(|file| file.file_type().is_file());
    let size = files.by_ref().take(MAX_FILES).filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum();
    (size, files.next().is_none())
}
