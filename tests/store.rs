//! The mirror branch in real git repositories, read back by real git.

#[path = "support/git.rs"]
mod git;

use std::path::Path;

use git::{Sandbox, real_input};
use git_hexmirror::hex::tarball::{Limits, Tarball};
use git_hexmirror::model::{ReleaseId, RepositoryName, Storage};
use git_hexmirror::store::{Branch, Draft, ReleaseEncoder, Repository, Snapshot};

fn open(folder: &Path) -> (Repository, Branch) {
    let repository = Repository::discover(folder).unwrap();
    let branch = repository.branch("hexmirror").unwrap();
    (repository, branch)
}

fn release(package: &str, version: &str) -> ReleaseId {
    let repository = RepositoryName::hexpm();
    ReleaseId { repository, package: package.parse().unwrap(), version: version.parse().unwrap() }
}

fn store(repository: &Repository, branch: &Branch, base: Option<&Snapshot>, tarballs: &[(ReleaseId, Vec<u8>)]) {
    let encoder = ReleaseEncoder::new(repository, Limits::default()).unwrap();
    let mut draft = Draft::begin(repository, branch, base).unwrap();
    for (id, bytes) in tarballs {
        let tarball = Tarball::open(bytes, &Limits::default()).unwrap();
        draft.add_release(encoder.encode(id.clone(), &tarball).unwrap()).unwrap();
    }
    draft.publish("Update\n").unwrap();
}

fn real_tarballs(data: &Path) -> Vec<(ReleaseId, Vec<u8>)> {
    let folder = data.join("sample/.hex_repo/tarballs");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let named = |path: &Path| {
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (package, version) = stem.split_once('-').unwrap();
        (release(package, version), std::fs::read(path).unwrap())
    };
    files.iter().map(|path| named(path)).collect()
}

#[test]
fn real_tarballs_are_stored_unpacked_and_rebuild_byte_for_byte() {
    let Some(data) = real_input() else { return };
    let sandbox = Sandbox::new();
    let folder = sandbox.repository("project");
    let (repository, branch) = open(&folder);
    let tarballs = real_tarballs(&data);
    assert_eq!(tarballs.len(), 32);
    store(&repository, &branch, None, &tarballs);

    let snapshot = repository.snapshot(&branch).unwrap().unwrap();
    let manifest = snapshot.manifest().unwrap();
    for (id, bytes) in &tarballs {
        assert_eq!(manifest.releases[id].storage, Storage::Unpacked, "{id}");
        assert!(snapshot.tarball(id).unwrap().as_ref() == Some(bytes), "{id} does not rebuild");
    }
    assert_eq!(snapshot.check_objects(|| {}), []);
    sandbox.git("project", &["fsck", "--strict", "--full"]);
    sandbox.git("", &["init", "--quiet", "--bare", "other.git"]);
    sandbox.git("other.git", &["config", "transfer.fsckObjects", "true"]);
    sandbox.git("project", &["push", "--quiet", "../other.git", "hexmirror"]);
    let loose = sandbox.git("project", &["count-objects"]);
    assert!(loose.starts_with("2 objects"), "all but the project's own commit is in a pack: {loose}");
    let clone = Repository::discover(&sandbox.path().join("other.git")).unwrap();
    let snapshot = clone.snapshot(&branch).unwrap().unwrap();
    assert!(snapshot.tarball(&tarballs[0].0).unwrap().as_ref() == Some(&tarballs[0].1));
}
