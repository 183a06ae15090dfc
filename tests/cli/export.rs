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
use crate::support::registry::{Registry, key};
use crate::support::stage::{PINNED, Ran, Serving, Stage};

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

#[test]
fn what_another_mirror_wrote_is_not_replaced() {
    let (stage, other) = (Stage::mirrored(), Stage::with(Registry::sample(), &["beta 0.3.0"]));
    other.run(&["update"]).ok();
    export(&stage, &[]).ok();
    let before = files(&www(&stage));
    let folder = www(&stage);
    let folder = folder.to_str().unwrap();
    let url = format!("file://{folder}");
    for command in [&["export", folder][..], &["export", folder, "--dry-run"], &["publish", &url, "--delete"]] {
        other.run(command).exits(2).says("has the files of another mirror").says(".git-hexmirror/files");
    }
    assert_eq!(files(&www(&stage)), before);
    // Another clone of the project may, also if its history was compacted.
    stage.run(&["index", "--init"]).ok();
    stage.git(&["clone", "--quiet", "--bare", ".", "../clone"]);
    stage.run_in(stage.sandbox.path().join("clone"), &["compact"]).ok();
    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    stage.run(&["update"]).ok();
    export(&stage, &[]).ok();
    stage.run_in(stage.sandbox.path().join("clone"), &["export", folder, "--registry=pinned"]).ok();
    // A shallow clone does not know which mirror it has.
    let url = format!("file://{}", stage.project.display());
    let clone = ["clone", "--quiet", "--bare", "--depth=1", "--branch=hexmirror", &url, "shallow"];
    stage.sandbox.git("", &clone);
    stage.run_in(stage.sandbox.path().join("shallow"), &["export", folder]).ok();
    other.run(&["export", folder, "--registry=signed"]).exits(2).says("another mirror");
    // The user may decide otherwise.
    let list = www(&stage).join(OWN).join("files");
    let text = fs::read_to_string(&list).unwrap();
    fs::write(
        &list,
        text.lines().filter(|line| !line.starts_with("mirror ")).fold(String::new(), |all, line| all + line + "\n"),
    )
    .unwrap();
    other.run(&["export", folder, "--registry=signed"]).ok();
    export(&stage, &[]).exits(2).says("another mirror");
}

#[test]
fn a_refused_export_leaves_nothing_behind() {
    let stage = Stage::mirrored();
    let path = stage.sandbox.path().join("file");
    fs::write(&path, "ours").unwrap();
    for folder in ["../file", "../file/below"] {
        stage.run(&["export", folder]).exits(2).says("/file is not a folder");
    }
    fs::create_dir(www(&stage)).unwrap();
    fs::write(www(&stage).join("packages"), "ours").unwrap();
    export(&stage, &[]).exits(2).says("/www/packages was not written by this program");
    assert_eq!(fs::read_dir(www(&stage)).unwrap().count(), 1);
    stage.run(&["export", "--registry=pinned", "../new"]).exits(2);
    assert!(!stage.sandbox.path().join("new").exists());
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    let stage = Stage::mirrored();
    let elsewhere = stage.sandbox.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::create_dir(www(&stage)).unwrap();
    std::os::unix::fs::symlink(&elsewhere, www(&stage).join("tarballs")).unwrap();
    export(&stage, &[]).exits(2).says("/www/tarballs is a symbolic link").says("replace it by a folder");
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
        export(&stage, &[]).exits(5).says("cannot use").says("delete this list and run the command again");
    }
    assert!(www(&stage).join("index.html").exists());
    fs::write(&list, text).unwrap();
    export(&stage, &[]).ok().says("up to date");
}

/// The list is only a record. What has the right content needs no list to be recognised.
#[test]
fn a_lost_list_is_made_again() {
    let scene = Scene::new();
    let revision = scene.forge.commit("team/lib", "main", &[("a", "1")]);
    scene.lock(&[("lib", "team/lib", &revision, "")]);
    scene.update();
    let stage = &scene.stage;
    let url = format!("file://{}", www(stage).display());
    stage.run(&["publish", &url]).ok();
    let (before, list) = (files(&www(stage)), www(stage).join(OWN).join("files"));
    assert!(before.keys().any(|name| name.ends_with(".pack")) && before.contains_key("mirror.bundle"));
    let text = fs::read_to_string(&list).unwrap();
    fs::remove_file(&list).unwrap();
    stage.run(&["publish", &url, "--dry-run"]).ok().says("up to date");
    assert!(!list.exists());
    stage.run(&["publish", &url]).ok().says("up to date");
    assert_eq!((files(&www(stage)), fs::read_to_string(&list).unwrap()), (before.clone(), text));
    let pack = before.keys().find(|name| name.ends_with(".pack")).unwrap();
    fs::remove_file(&list).unwrap();
    fs::write(www(stage).join(pack), vec![0; before[pack].0.len()]).unwrap();
    stage.run(&["publish", &url]).exits(2).says(&format!("{pack} was not written by this program"));
}

/// Size and time of a file can stay the same while its content changes.
#[test]
fn a_check_finds_every_change() {
    let stage = Stage::mirrored();
    export(&stage, &[]).ok();
    let good = files(&www(&stage));
    for name in ["tarballs/alpha-1.0.0.tar", "packages/beta"] {
        let mut bytes = good[name].0.clone();
        bytes[5] ^= 1;
        fs::write(www(&stage).join(name), bytes).unwrap();
    }
    export(&stage, &[]).ok().says("up to date");
    let plan = export(&stage, &["--check", "--dry-run", "--json"]).ok().json();
    let document = export(&stage, &["--check", "--json"]).ok().json();
    assert_eq!(document["written"], json!(["tarballs/alpha-1.0.0.tar", "packages/beta"]));
    assert_eq!(plan["written"], document["written"]);
    assert!(files(&www(&stage)).iter().all(|(name, (bytes, _))| *bytes == good[name].0));
    export(&stage, &["--check"]).ok().says("up to date");
}

#[test]
fn nothing_is_written_into_a_git_repository() {
    let stage = Stage::mirrored();
    for folder in [".git", ".git/objects/new"] {
        stage.run(&["export", folder]).exits(2).says("is in the git repository").says("choose a folder outside");
        let url = format!("file://{}", stage.project.join(folder).display());
        stage.run(&["publish", &url, "--dry-run"]).exits(2).says("is in the git repository");
    }
    assert!(!stage.project.join(".git/packages").exists() && !stage.project.join(".git/objects/new").exists());
}

#[test]
fn a_url_and_the_root_are_no_folders_to_fill() {
    let stage = Stage::mirrored();
    let before = fs::read_dir(&stage.project).unwrap().count();
    for url in ["s3://bucket/hex", "file:///srv/hex", "file:/srv/hex", "S3://b", "https://joe:very-secret@h/x"] {
        let ran = stage.run(&["export", url]).exits(2).says("this is a URL").says("git hexmirror publish");
        assert!(!ran.stderr.contains("secret"), "{ran:?}");
    }
    for root in ["/", "/usr/..", "//"] {
        stage.run(&["export", "--dry-run", root]).exits(2).says("is the root of the file system");
    }
    stage.run(&["publish", "--dry-run", "file:///"]).exits(2).says("is the root of the file system");
    assert_eq!(fs::read_dir(&stage.project).unwrap().count(), before);
    stage.run(&["export", "./a:/b"]).ok();
    assert!(stage.project.join("a:/b/public_key").is_file());
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

/// Clients of an export verify its registry with one key, so it changes only if the user says so.
#[test]
fn the_registry_of_a_folder_stays_until_another_is_chosen() {
    let stage = Stage::mirrored();
    stage.run(&["index", "--init"]).ok();
    export(&stage, &["--registry=pinned"]).ok();
    let pinned = files(&www(&stage));
    export(&stage, &[]).ok().says("up to date");
    assert_eq!(export(&stage, &["--json"]).ok().json()["registry"], "pinned");
    assert_eq!(files(&www(&stage)), pinned);
    let ran = export(&stage, &["--registry=signed"]).ok();
    ran.says("../www changes from the pinned index to the registry that upstream signed").says("2 removed");
    assert!(!www(&stage).join("names").exists());
    export(&stage, &[]).ok().says("up to date");
    export(&stage, &["--registry=pinned"]).ok().says("changes from the registry that upstream signed to the pinned");
}

#[test]
fn what_no_client_could_install_is_not_exported() {
    let stage = Stage::mirrored();
    let tarballs = stage.sandbox.path().join("tars");
    export(&stage, &[]).ok();
    fs::rename(www(&stage).join("tarballs"), &tarballs).unwrap();
    fs::remove_dir_all(www(&stage)).unwrap();
    stage.git(&["branch", "--quiet", "-D", "hexmirror"]);
    stage.run(&["import", "../tars"]).ok();
    for command in [&["export", "../www"][..], &["export", "../www", "--dry-run"], &["publish", "file:///nowhere"]] {
        let ran = stage.run(command).exits(1).says("hexmirror has packages, but no registry entries of them");
        ran.says("git hexmirror update").says("git hexmirror index --init");
    }
    assert!(!www(&stage).exists());
    let serve = || Serving::start(&mut stage.command(&["serve", "--listen=127.0.0.1:0"])).stop("TERM").ok();
    serve().says("has no entry of alpha").says("`git hexmirror index --init` and pass --registry pinned");
    stage.run(&["index", "--init"]).ok();
    serve().says("has no entry of alpha").says("pass --registry pinned: the pinned index has them");
    export(&stage, &[]).exits(1).says("pass --registry pinned");
    export(&stage, &["--registry=pinned"]).ok();
    // One package more, whose entry is not there.
    fs::remove_dir_all(www(&stage)).unwrap();
    stage.run(&["update"]).ok();
    fs::write(tarballs.join("secret-0.1.0.tar"), &stage.registry.get("hexpm:acme/secret 0.1.0").tarball).unwrap();
    stage.run(&["import", "../tars", "--all"]).ok();
    export(&stage, &["--registry=signed"]).ok().says("the registry that upstream signed has no entry of secret");
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
