//! The mirror branch in real git repositories, read by real git.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::data::real_input;
use crate::support::git::Sandbox;
use git_hexmirror::hex::tarball::{BuildFile, Tarball, TarballLimits, build, metadata_text};
use git_hexmirror::model::{ReleaseId, RepositoryName, Storage};
use git_hexmirror::store::{
    Branch, Discovery, ObjectId, ReleaseEncoder, Repository, Snapshot, StoreError, Transaction,
};

pub fn open(folder: &Path) -> (Repository, Branch) {
    let repository = Repository::discover(folder, Discovery::default()).unwrap();
    let branch = repository.branch("hexmirror").unwrap();
    (repository, branch)
}

pub fn release(package: &str, version: &str) -> ReleaseId {
    let repository = RepositoryName::hexpm();
    ReleaseId { repository, package: package.parse().unwrap(), version: version.parse().unwrap() }
}

pub fn store(repository: &Repository, branch: &Branch, base: Option<&Snapshot>, tarballs: &[(ReleaseId, Vec<u8>)]) {
    let encoder = ReleaseEncoder::new(repository, TarballLimits::default()).unwrap();
    let mut transaction = Transaction::begin(repository, branch, base).unwrap();
    for (id, bytes) in tarballs {
        let tarball = Tarball::open(bytes, &TarballLimits::default()).unwrap();
        transaction.add_release(encoder.encode(id.clone(), &tarball).unwrap()).unwrap();
    }
    transaction.publish("Update\n").unwrap();
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
    let Some(data) = real_input(".") else { return };
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
    let trees = snapshot.check_trees();
    assert_eq!(trees.damages, []);
    assert!(trees.files.iter().all(|(id, path)| snapshot.check_file(*id, path).is_none()));
    sandbox.git("project", &["fsck", "--strict", "--full"]);
    sandbox.git("", &["init", "--quiet", "--bare", "other.git"]);
    sandbox.git("other.git", &["config", "transfer.fsckObjects", "true"]);
    sandbox.git("project", &["push", "--quiet", "../other.git", "hexmirror"]);
    let loose = sandbox.git("project", &["count-objects"]);
    assert!(loose.starts_with("2 objects"), "all but the project's own commit is in a pack: {loose}");
    let clone = Repository::discover(&sandbox.path().join("other.git"), Discovery::default()).unwrap();
    let snapshot = clone.snapshot(&branch).unwrap().unwrap();
    assert!(snapshot.tarball(&tarballs[0].0).unwrap().as_ref() == Some(&tarballs[0].1));
}

fn made_up(package: &str) -> (ReleaseId, Vec<u8>) {
    let files = [BuildFile { path: "lib/x.ex", bytes: package.as_bytes(), executable: false }];
    (release(package, "1.0.0"), build(&metadata_text(package, "1.0.0", &[], &files), &files).unwrap())
}

#[test]
fn nothing_is_published_that_refers_to_missing_or_damaged_objects() {
    for damage in ["deleted", "another"] {
        let sandbox = Sandbox::new();
        let folder = sandbox.repository("project");
        let (repository, branch) = open(&folder);
        let other = repository.branch("other").unwrap();
        store(&repository, &branch, None, &[made_up("own")]);
        store(&repository, &other, None, &[made_up("taken")]);
        sandbox.git("project", &["repack", "-adq"]);
        let pack = sandbox.git("project", &["rev-parse", "--git-path", "objects/pack"]);
        std::fs::rename(folder.join(&pack), sandbox.path().join("aside")).unwrap();
        for file in sandbox.path().join("aside").read_dir().unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "pack") {
                let mut command = sandbox.command("git", &folder);
                command.args(["unpack-objects", "-q"]).stdin(std::fs::File::open(file).unwrap());
                assert!(command.status().unwrap().success());
            }
        }
        let loose = |path: &str| {
            let id = sandbox.git("project", &["rev-parse", path]);
            folder.join(".git/objects").join(&id[..2]).join(&id[2..])
        };
        let blob = loose("other:hex/hexpm/packages/99/taken/contents/lib/x.ex");
        std::fs::remove_file(&blob).unwrap();
        if damage == "another" {
            std::fs::copy(loose("hexmirror:hex/hexpm/packages/5b/own/contents/lib/x.ex"), &blob).unwrap();
        }
        let (repository, branch) = open(&folder);
        let base = repository.snapshot(&branch).unwrap().unwrap();
        let mut transaction = Transaction::begin(&repository, &branch, Some(&base)).unwrap();
        transaction.copy_release(&repository.snapshot(&other).unwrap().unwrap(), &made_up("taken").0).unwrap();
        let refused = transaction.publish("Take\n");
        let path = "hex/hexpm/packages/99/taken/contents/lib/x.ex";
        assert!(
            matches!(&refused, Err(StoreError::Damaged { path: named, .. }) if named == path),
            "{damage}: {refused:?}"
        );
        assert_eq!(repository.tip(&branch).unwrap(), Some(base.commit()));
    }
}

/// Anything may read the base's manifest as a whole while a transaction reads and changes parts of it.
#[test]
fn reading_the_base_as_a_whole_does_not_undo_changes() {
    let sandbox = Sandbox::new();
    let (repository, branch) = open(&sandbox.repository("project"));
    let entries = ["alpha", "beta", "gamma", "delta"].map(|name| release(name, "1.0.0").entry());
    let put = |base: Option<&Snapshot>, signed: &[u8]| {
        let mut transaction = Transaction::begin(&repository, &branch, base).unwrap();
        for id in &entries {
            transaction.put_entry(id.clone(), signed).unwrap();
            base.map(|base| base.manifest().unwrap());
        }
        transaction.publish("Update\n").unwrap();
        repository.snapshot(&branch).unwrap().unwrap()
    };
    let base = put(None, b"old");
    let stored = put(Some(&base), b"newer");
    let sizes: Vec<_> = stored.manifest().unwrap().entries.values().map(|entry| entry.bytes).collect();
    assert_eq!(sizes, [5; 4]);
}

#[test]
fn a_part_of_the_manifest_is_never_all_of_it() {
    let sandbox = Sandbox::new();
    let (repository, branch) = open(&sandbox.repository("project"));
    store(&repository, &branch, None, &[made_up("alpha"), made_up("beta")]);
    let base = repository.snapshot(&branch).unwrap().unwrap();
    store(&repository, &branch, Some(&base), &[made_up("gamma")]);
    let snapshot = repository.snapshot(&branch).unwrap().unwrap();
    // Once a manifest was read as a whole, it must not stand in for each of its parts: with many parts, that would be many
    // copies.
    for read in [&base, &snapshot] {
        read.manifest().unwrap();
    }
    let (now, before) = snapshot.differing(&base).unwrap();
    assert_eq!(now.releases.keys().collect::<Vec<_>>(), [&made_up("gamma").0]);
    assert!(before.releases.is_empty());
}

/// Histories of several users who merge from each other within one second, so that dates do not order the commits.
#[test]
fn ancestry_is_correct_even_if_dates_are_equal() {
    let sandbox = Sandbox::new();
    let folder = sandbox.repository("project");
    let (repository, _) = open(&folder);
    let mut random = fastrand::Rng::with_seed(8);
    let tree = sandbox.git("project", &["write-tree"]).trim().to_owned();
    for _ in 0..6 {
        let mut ids: Vec<String> = Vec::new();
        let mut ancestors: Vec<BTreeSet<usize>> = Vec::new();
        for number in 0..24usize {
            let recent = |random: &mut fastrand::Rng| random.usize(number.saturating_sub(6)..number);
            let parents: BTreeSet<usize> = (0..number.min(2)).map(|_| recent(&mut random)).collect();
            let mut command = sandbox.command("git", &folder);
            command.args([
                "-c",
                "user.name=Test",
                "-c",
                "user.email=test@example.com",
                "commit-tree",
                &tree,
                "-m",
                &format!("{number} {}", random.u32(..)),
            ]);
            command.args(parents.iter().flat_map(|parent| ["-p", &ids[*parent]]));
            for name in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
                command.env(name, "2026-11-23T12:00:00Z");
            }
            ids.push(String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned());
            let above = parents.iter().flat_map(|parent| ancestors[*parent].iter().copied()).chain([number]).collect();
            ancestors.push(above);
        }
        for (new, above) in ancestors.iter().enumerate() {
            for old in 0..ids.len() {
                let id = |number: usize| ObjectId::from_hex(ids[number].as_bytes()).unwrap();
                let told = repository.is_ancestor(id(old), id(new)).unwrap();
                assert_eq!(told, above.contains(&old), "{} in the history of {}", ids[old], ids[new]);
                assert_eq!(repository.is_in(id(old), &[id(new)]).unwrap(), told, "{} in {}", ids[old], ids[new]);
            }
        }
    }
}
