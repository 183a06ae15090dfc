//! Sources of releases, read from the mirror and compared.

use git_hexmirror::hex::tarball::{BuildFile, build, metadata_text};
use git_hexmirror::store::{Snapshot, SourceEntry, SourceKind, SourceTree, VerifiedReleases};

use super::branch::{open, release, store};
use crate::support::git::Sandbox;

/// Builds a tarball with these files.
fn tarball(package: &str, version: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let files: Vec<_> = files.iter().map(|(path, bytes)| BuildFile { path, bytes, executable: false }).collect();
    build(&metadata_text(package, version, &[], &files), &files).unwrap()
}

fn source(snapshot: &Snapshot, package: &str, version: &str) -> SourceTree {
    snapshot.release_source(&release(package, version), &VerifiedReleases::default()).unwrap().unwrap()
}

fn read(tree: &SourceTree, path: &str) -> Option<Vec<u8>> {
    let entry = tree.entry(path).unwrap().filter(|entry| entry.kind == SourceKind::File)?;
    tree.read(&entry, 1 << 20).unwrap()
}

fn names(entries: &[SourceEntry]) -> Vec<&str> {
    entries.iter().map(|entry| std::str::from_utf8(&entry.name).unwrap()).collect()
}

#[test]
fn sources_are_read_and_compared_however_they_are_stored() {
    let sandbox = Sandbox::new();
    let (repository, branch) = open(&sandbox.repository("project"));
    let large = vec![b'x'; 2 << 20];
    let old =
        tarball("a", "1.0.0", &[("lib/a.ex", b"1\n"), ("lib/b/c.ex", b"2\n"), ("mix.exs", b"3\n"), ("x", b"4\n")]);
    let files: &[(&str, &[u8])] =
        &[("lib/a.ex", b"1\n"), ("lib/b/d.ex", b"2\n"), ("mix.exs", b"5\n"), ("x/y", b"6\n"), ("large", &large)];
    let mut new = tarball("a", "2.0.0", files);
    // No recipe can express what follows the end of the archive.
    new.extend([1; 512]);
    store(&repository, &branch, None, &[(release("a", "1.0.0"), old), (release("a", "2.0.0"), new)]);
    let snapshot = repository.snapshot(&branch).unwrap().unwrap();
    let stored = |version| snapshot.manifest().unwrap().releases[&release("a", version)].storage.as_str();
    assert_eq!((stored("1.0.0"), stored("2.0.0")), ("unpacked", "tarball"));
    let [old, new] = ["1.0.0", "2.0.0"].map(|version| source(&snapshot, "a", version));
    let root = new.entry("").unwrap().unwrap();
    assert_eq!(names(&new.entries(&root).unwrap()), ["lib", "x", "large", "mix.exs"]);
    assert_eq!(read(&new, "lib/b/d.ex").unwrap(), b"2\n");
    let large = new.entry("large").unwrap().unwrap();
    assert_eq!((new.size(&large).unwrap(), new.read(&large, 1 << 20).unwrap()), (2 << 20, None));
    for missing in ["lib/b/c.ex", "lib/a.ex/x", "..", "lib//a.ex", "/lib", "lib/"] {
        assert_eq!(new.entry(missing).unwrap(), None, "{missing}");
    }
    let changes = old.changes(&new, 100).unwrap();
    let shown: Vec<_> = changes
        .files
        .iter()
        .map(|file| (String::from_utf8_lossy(&file.path), file.before.is_some(), file.after.is_some()))
        .collect();
    assert_eq!(
        shown.iter().map(|(path, before, after)| (&**path, *before, *after)).collect::<Vec<_>>(),
        [
            ("large", false, true),
            ("lib/b/c.ex", true, false),
            ("lib/b/d.ex", false, true),
            ("mix.exs", true, true),
            ("x", true, false),
            ("x/y", false, true)
        ]
    );
    assert!(!changes.is_cut);
    assert_eq!(old.changes(&old, 100).unwrap().files, []);
    assert!(old.changes(&new, 1).unwrap().is_cut);
}

#[test]
fn files_that_do_not_make_up_the_published_tarball_are_not_shown() {
    let sandbox = Sandbox::new();
    let (repository, branch) = open(&sandbox.repository("project"));
    store(&repository, &branch, None, &[(release("a", "1.0.0"), tarball("a", "1.0.0", &[("a.ex", b"good\n")]))]);
    let verified = VerifiedReleases::default();
    let shown = |verified: &VerifiedReleases| {
        let snapshot = repository.snapshot(&branch).unwrap().unwrap();
        snapshot.release_source(&release("a", "1.0.0"), verified).map(|tree| read(&tree.unwrap(), "a.ex").unwrap())
    };
    assert_eq!(shown(&verified).unwrap(), b"good\n");
    let blob = sandbox.git("project", &["ls-tree", "-r", "hexmirror"]);
    let line = blob.lines().find(|line| line.ends_with("/a.ex")).unwrap();
    let path = line.split('\t').nth(1).unwrap();
    sandbox.git("project", &["worktree", "add", "--quiet", "../mirror", "hexmirror"]);
    std::fs::write(sandbox.path().join("mirror").join(path), "evil\n").unwrap();
    sandbox.git("mirror", &["commit", "--quiet", "--all", "--message=x"]);
    let error = shown(&verified).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}
