//! `export`: which files it writes, and which it leaves alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use git_hexmirror::hex::gzip::gunzip;
use serde_json::json;
use walkdir::WalkDir;

use crate::support::forge::Scene;
use crate::support::mount::Mount;
use crate::support::registry::key;
use crate::support::stage::{PINNED, Ran, Stage};

const OWN: &str = ".git-hexmirror";

fn export(stage: &Stage, options: &[&str]) -> Ran {
    stage.run(&[&["export", "../www"], options].concat())
}

fn www(stage: &Stage) -> PathBuf {
    stage.sandbox.path().join("www")
}

/// Returns the files below a folder with their contents and times, without this program's own.
fn files(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let entries = WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file()).map(|entry| {
        let name = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        (name, (fs::read(entry.path()).unwrap(), entry.metadata().unwrap().modified().unwrap()))
    });
    files.filter(|(name, _)| !name.starts_with(OWN)).collect()
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_keys().collect()
}

#[test]
fn it_has_what_the_server_serves() {
    let stage = Stage::new();
    stage.lock(&[PINNED[0], PINNED[2], "hexpm:acme/secret 0.1.0"]);
    stage.run(&["update"]).ok();
    export(&stage, &[]).ok().says("exported: ../www");
    let expected = [
        "installs/hex-1.x.csv",
        "packages/alpha",
        "packages/delta",
        "public_key",
        "repos/acme/packages/secret",
        "repos/acme/public_key",
        "repos/acme/tarballs/secret-0.1.0.tar",
        "tarballs/alpha-1.0.0.tar",
        "tarballs/delta-4.5.6+build.7.tar",
    ];
    assert_eq!(names(&www(&stage)), expected);
    let files = files(&www(&stage));
    let content = |name: &str| files[name].0.clone();
    assert!(content("tarballs/alpha-1.0.0.tar") == stage.registry.get(PINNED[0]).tarball);
    assert!(gunzip(&content("packages/delta"), 1 << 20).unwrap() == stage.registry.signed("delta"));
    assert_eq!(content("public_key"), key().public_key().to_pem().into_bytes());
}

#[test]
fn again_it_writes_only_what_changed_and_removes_only_its_own() {
    let stage = Stage::mirrored();
    stage.run(&["index", "--init"]).ok();
    export(&stage, &["--registry=pinned"]).ok();
    fs::write(www(&stage).join("index.html"), "ours").unwrap();
    fs::write(www(&stage).join("tarballs/ours.tar"), "ours").unwrap();
    let before = files(&www(&stage));
    export(&stage, &["--registry=pinned"]).ok().says("up to date: ../www");
    assert_eq!(files(&www(&stage)), before);

    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    stage.run(&["update"]).ok();
    stage.run(&["prune", "--keep-days=0"]).ok();
    let plan = export(&stage, &["--registry=pinned", "--dry-run", "--json"]).ok().json();
    assert_eq!(files(&www(&stage)), before, "a dry run changes nothing");
    let document = export(&stage, &["--registry=pinned", "--json"]).ok().json();
    for field in ["written", "removed", "unchanged", "commit", "registry"] {
        assert_eq!(plan[field], document[field], "{field}");
    }
    assert_eq!((&plan["dry_run"], &document["dry_run"]), (&json!(true), &json!(false)));
    assert_eq!(document["written"][0], "tarballs/alpha-1.1.0.tar");
    assert_eq!(document["removed"], json!(["tarballs/alpha-1.0.0.tar"]));
    let written: Vec<&str> =
        document["written"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    let after = files(&www(&stage));
    for (name, found) in &after {
        assert_eq!(before.get(name) != Some(found), written.contains(&name.as_str()), "{name}");
    }
    assert!(after.contains_key("index.html") && !after.contains_key("tarballs/alpha-1.0.0.tar"));
}

#[test]
fn nothing_is_changed_if_files_of_others_are_in_the_way() {
    let stage = Stage::mirrored();
    fs::create_dir_all(www(&stage).join("tarballs")).unwrap();
    fs::write(www(&stage).join("tarballs/alpha-1.0.0.tar"), "theirs").unwrap();
    fs::create_dir(www(&stage).join("public_key")).unwrap();
    export(&stage, &[]).exits(2).says("/www/public_key was not written by this program").says("1 more like it");
    export(&stage, &["--dry-run"]).exits(2);
    assert_eq!(names(&www(&stage)), ["tarballs/alpha-1.0.0.tar"]);
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    let stage = Stage::mirrored();
    let elsewhere = stage.sandbox.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::create_dir(www(&stage)).unwrap();
    std::os::unix::fs::symlink(&elsewhere, www(&stage).join("tarballs")).unwrap();
    export(&stage, &[]).exits(2).says("/www/tarballs/alpha-1.0.0.tar was not written by this program");
    fs::remove_file(www(&stage).join("tarballs")).unwrap();
    export(&stage, &[]).ok();
    // Someone moves the files and leaves a link. What they moved is theirs.
    fs::remove_dir(&elsewhere).unwrap();
    fs::rename(www(&stage).join("tarballs"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, www(&stage).join("tarballs")).unwrap();
    stage.lock(&[PINNED[0], PINNED[1]]);
    stage.run(&["prune", "--keep-days=0"]).ok();
    export(&stage, &[]).exits(2);
    assert_eq!(names(&elsewhere).len(), 3);
    fs::remove_dir_all(www(&stage).join(OWN)).unwrap();
    std::os::unix::fs::symlink(&elsewhere, www(&stage).join(OWN)).unwrap();
    export(&stage, &[]).exits(2).says(OWN);
    assert_eq!(names(&elsewhere).len(), 3);
}

#[test]
fn a_list_that_someone_changed_cannot_make_it_remove_other_files() {
    let stage = Stage::mirrored();
    export(&stage, &[]).ok();
    let list = www(&stage).join(OWN).join("files");
    fs::write(www(&stage).join("index.html"), "ours").unwrap();
    let text = fs::read_to_string(&list).unwrap();
    for line in ["x 4 index.html", "x 4 packages/../index.html", "x 4 /etc/passwd", "nonsense"] {
        fs::write(&list, format!("{text}{line}\n")).unwrap();
        export(&stage, &[]).exits(5).says("cannot use").says("remove everything at this one and run the command again");
    }
    assert!(www(&stage).join("index.html").exists());
    fs::write(&list, text).unwrap();
    export(&stage, &[]).ok().says("up to date");
}

#[test]
fn damaged_and_missing_files_are_written_again() {
    let stage = Stage::mirrored();
    export(&stage, &[]).ok();
    let good = files(&www(&stage));
    fs::write(www(&stage).join("tarballs/alpha-1.0.0.tar"), "short").unwrap();
    fs::remove_file(www(&stage).join("packages/beta")).unwrap();
    let document = export(&stage, &["--json"]).ok().json();
    assert_eq!(document["written"], json!(["tarballs/alpha-1.0.0.tar", "packages/beta"]));
    let content = |files: BTreeMap<String, (Vec<u8>, SystemTime)>| {
        files.into_iter().map(|(name, (bytes, _))| (name, bytes)).collect::<Vec<_>>()
    };
    assert!(content(files(&www(&stage))) == content(good));
}

/// Nor does `compact` discard the history that may have what the tip lost.
#[test]
fn a_mirror_whose_manifest_lost_a_part_removes_nothing() {
    let stage = Stage::mirrored();
    export(&stage, &[]).ok();
    let before = files(&www(&stage));
    stage.git(&["worktree", "add", "--quiet", "../edit", "hexmirror"]);
    stage.sandbox.git("edit", &["rm", "--quiet", "manifest/8e"]);
    stage.sandbox.git("edit", &["commit", "--quiet", "--message=Edit"]);
    stage.git(&["worktree", "remove", "../edit"]);
    let tip = stage.tip();
    for command in [&["export", "../www"][..], &["compact"]] {
        stage.run(command).exits(5).says("hex/hexpm/packages/8e/alpha").says("git hexmirror verify");
    }
    assert_eq!(files(&www(&stage)), before);
    assert_eq!(stage.tip(), tip);
    let verified = stage.run(&["verify"]).exits(1);
    assert!(!verified.stdout.contains("pinned index"), "{verified:?}");
    let listed = stage.run(&["list"]).exits(1).prints("beta 0.3.0");
    listed.says("this list may be incomplete: hex/hexpm/packages/8e/alpha").says("`git hexmirror update --repair`");
    stage.run(&["list", "--json"]).exits(1).says("this list may be incomplete");
    stage.run(&["update", "--repair"]).ok();
    stage.run(&["list"]).ok().silent();
    export(&stage, &[]).ok();
    stage.run(&["compact"]).ok();
}

#[test]
fn git_repositories_that_no_lock_pins_any_more_are_removed_completely() {
    let scene = Scene::new();
    let revision = scene.forge.commit("team/lib", "main", &[("a", "1")]);
    scene.lock(&[("lib", "team/lib", &revision, "")]);
    scene.update();
    export(&scene.stage, &[]).ok();
    assert!(www(&scene.stage).join("git/forge.test/team/lib.git/refs").is_dir());
    scene.stage.lock(&[PINNED[0]]);
    scene.stage.run(&["update"]).ok();
    export(&scene.stage, &[]).ok();
    assert_eq!(
        names(&www(&scene.stage)),
        ["installs/hex-1.x.csv", "packages/alpha", "public_key", "tarballs/alpha-1.0.0.tar"]
    );
    assert!(!www(&scene.stage).join("git").exists());
}

#[test]
fn the_pinned_index_must_exist() {
    let stage = Stage::mirrored();
    export(&stage, &["--registry=pinned"]).exits(2).says("has no pinned index").says("index --init");
    assert!(!www(&stage).exists());
}

/// A full disk leaves an export that the next one completes.
#[test]
fn the_disk_is_full() {
    let stage = Stage::mirrored();
    let Some(_mount) = Mount::new(&www(&stage), &["-t", "tmpfs", "-o", "size=64k", "none"]) else { return };
    fs::write(www(&stage).join("filling"), vec![1; 52_000]).unwrap();
    export(&stage, &[]).exits(5).says("No space left on device");
    assert!(files(&www(&stage)).values().all(|(bytes, _)| !bytes.is_empty()), "no file is half written");
    fs::remove_file(www(&stage).join("filling")).unwrap();
    export(&stage, &[]).ok();
    assert_eq!(names(&www(&stage)).len(), 9);
    export(&stage, &[]).ok().says("up to date");
}
