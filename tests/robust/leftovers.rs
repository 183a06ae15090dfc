//! The next successful run removes what killed processes left behind, and nothing else.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::support::stage::{PINNED, Stage};

/// What is remembered from one command to the next, the second only on a machine with Erlang.
const REMEMBERED: [&str; 2] = ["hexmirror/accepted", "hexmirror/machine"];

/// Returns the paths below git's folder that may be left over: this program's own files, the object folder without its
/// objects, and every lock. What is remembered is not left over.
pub fn leftovers(git_dir: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![git_dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            let below = path.strip_prefix(git_dir).unwrap();
            let own = below.starts_with("hexmirror");
            let left = ["tmp_", ".tmp", ".hexmirror", "hexmirror-"].iter().any(|prefix| name.starts_with(prefix))
                || name.ends_with(".lock");
            if (own || left) && !REMEMBERED.iter().any(|remembered| below == Path::new(remembered)) {
                found.insert(below.to_owned());
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

#[test]
fn leftovers_are_removed_but_not_files_of_others() {
    let stage = Stage::new();
    let git = stage.project.join(".git");
    stage.run(&["update"]).ok();
    let clean = leftovers(&git);
    let put = |path: &str| {
        let path = git.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, vec![b'x'; 1000]).unwrap();
    };
    let plant = || {
        for path in [
            "objects/pack/.hexmirror-abc",
            "objects/pack/.hexmirror-def",
            "objects/hexmirror-incoming-abc/alive",
            "objects/hexmirror-incoming-abc/pack/tmp_pack_abc",
            "objects/hexmirror-incoming-abc/12/tmp_obj_abc",
            "hexmirror/downloads/0123.part",
            "hexmirror/downloads/0123.etag",
            "hexmirror/downloads/456.tar",
            "hexmirror/git-fetch/0123/objects/pack/tmp_pack_abc",
            "hexmirror/tmp-abc/objects/x",
            "hexmirror/.tmpabc",
            "hexmirror/git/0123.new-abc/HEAD",
            "hexmirror/git/0123.lock",
            "hexmirror/moving-abc",
            "hexmirror/repair.git/HEAD",
        ] {
            put(path);
        }
    };
    // Files of git itself, whose process may be running.
    let others = ["objects/pack/tmp_pack_abcdef", "objects/pack/tmp_idx_abcdef", "refs/heads/main.lock", "index.lock"];
    others.into_iter().for_each(put);
    let mut expected = clean.clone();
    expected.extend(others.map(PathBuf::from));
    let empty_cache = PathBuf::from("hexmirror/git");
    expected.insert(empty_cache);
    for lock in [&PINNED[..], &PINNED[..1], &["alpha 1.1.0"]] {
        plant();
        stage.lock(lock);
        stage.run(&["update"]).ok();
        assert_eq!(leftovers(&git), expected, "{lock:?}");
    }
}

#[test]
fn a_pack_without_an_index_is_removed_and_not_reported() {
    let stage = Stage::mirrored();
    let packs = stage.project.join(".git/objects/pack");
    let list = || fs::read_dir(&packs).unwrap().map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>();
    let clean = list();
    let stem = packs.join(format!("pack-{}", "1".repeat(40)));
    fs::write(stem.with_extension("keep"), "git-hexmirror moves a ref to this pack\n").unwrap();
    fs::write(stem.with_extension("pack"), "PACK").unwrap();
    stage.run(&["verify"]).ok();
    stage.run(&["update"]).ok();
    assert_eq!(list(), clean);
    // A file that the user keeps does not belong to this program.
    fs::write(stem.with_extension("keep"), "").unwrap();
    fs::write(stem.with_extension("pack"), "PACK").unwrap();
    stage.run(&["verify"]).exits(1);
    stage.run(&["update"]).ok();
    assert_eq!(list().len(), clean.len() + 2);
}

#[test]
fn files_in_use_are_kept() {
    let stage = Stage::new();
    stage.run(&["update"]).ok();
    let own = stage.project.join(".git/hexmirror");
    let objects = stage.project.join(".git/objects");
    // Held by a running `verify` or `diff --source`, …
    let alive = File::create(own.join("temporary.lock")).unwrap();
    alive.lock_shared().unwrap();
    fs::create_dir(own.join("tmp-verify")).unwrap();
    // … and by a git process whose parent was killed.
    let incoming = objects.join("hexmirror-incoming-fetch");
    fs::create_dir(&incoming).unwrap();
    let writes = File::create(incoming.join("alive")).unwrap();
    writes.lock().unwrap();
    let moving = File::create(own.join("moving-push")).unwrap();
    moving.lock().unwrap();
    stage.lock(&["alpha 1.1.0"]);
    stage.run(&["update"]).ok();
    assert!(own.join("tmp-verify").exists() && incoming.exists() && own.join("moving-push").exists());
    drop((alive, writes, moving));
    stage.run(&["update"]).ok();
    assert!(!own.join("tmp-verify").exists() && !incoming.exists() && !own.join("moving-push").exists());
}

#[test]
fn locks_of_a_killed_push_are_removed() {
    let stage = Stage::mirrored();
    stage.sandbox.git("", &["init", "--quiet", "--bare", "remote.git"]);
    stage.git(&["remote", "add", "origin", stage.sandbox.path().join("remote.git").to_str().unwrap()]);
    stage.run(&["push"]).ok();
    let git = stage.project.join(".git");
    let clean = leftovers(&git);
    let tip = stage.tip().unwrap();
    for content in [String::new(), format!("{tip}\n")] {
        fs::write(git.join("hexmirror/moving-abc"), format!("git refs/remotes/origin/hexmirror {tip}\n")).unwrap();
        fs::write(git.join("refs/remotes/origin/hexmirror.lock"), content).unwrap();
        stage.run(&["pull"]).ok();
        assert_eq!(leftovers(&git), clean);
        stage.git(&["fetch", "--quiet", "origin"]);
    }
}

#[test]
fn what_was_fetched_is_kept_until_it_is_stored() {
    let stage = Stage::new();
    let upstream = &stage.upstream;
    upstream.fail("/tarballs/delta-4.5.6+build.7.tar", 100, crate::support::upstream::Fault::Status(404, None));
    stage.run(&["update"]).exits(3);
    let downloads = stage.project.join(".git/hexmirror/downloads");
    let kept = |extension: &str| {
        let entries = fs::read_dir(&downloads).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|found| found == extension)).count()
    };
    assert!(kept("tar") > 0);
    let asked = upstream.count("/tarballs/alpha-1.0.0.tar");
    stage.run(&["update"]).exits(3);
    assert_eq!(upstream.count("/tarballs/alpha-1.0.0.tar"), asked, "what was fetched is kept for the next try");
    stage.lock(&PINNED[..1]);
    stage.run(&["update"]).ok();
    assert!(!downloads.exists(), "and not for longer");
}
