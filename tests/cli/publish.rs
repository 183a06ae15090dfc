//! `publish` to a folder.

use std::fs;

use crate::support::mount::Mount;
use crate::support::stage::{PINNED, Stage};

#[test]
fn a_folder_is_a_destination_too() {
    let stage = Stage::mirrored();
    let www = stage.sandbox.path().join("www");
    let url = format!("file://{}", www.display());
    let document = stage.run(&["publish", &url, "--json"]).ok().json();
    assert_eq!(document["destination"], www.to_str().unwrap());
    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    stage.run(&["update"]).ok();
    stage.run(&["prune", "--keep-days=0"]).ok();
    stage.run(&["publish", &url]).ok().says("1 file is no longer in the mirror; --delete removes such files");
    let old = www.join("tarballs/alpha-1.0.0.tar");
    assert!(old.exists() && www.join("tarballs/alpha-1.1.0.tar").exists());
    stage.run(&["publish", &url, "--delete"]).ok().says("1 removed");
    assert!(!old.exists());
    stage.run(&["publish", &url]).ok().says("up to date");
}

#[test]
fn a_full_disk_is_said_and_the_next_publication_continues() {
    let stage = Stage::mirrored();
    let www = stage.sandbox.path().join("www");
    let Some(_mount) = Mount::new(&www, &["-t", "tmpfs", "-o", "size=512k", "none"]) else { return };
    let filling = www.join("filling");
    fs::write(&filling, vec![1; 1_000_000]).unwrap_err();
    let url = format!("file://{}", www.display());
    stage.run(&["publish", &url]).exits(5).says("No space left on device");
    fs::remove_file(&filling).unwrap();
    stage.run(&["publish", &url]).ok().says("published");
}

#[test]
fn a_clone_gets_the_mirror_from_the_bundle() {
    let stage = Stage::mirrored();
    let www = stage.sandbox.path().join("www");
    let url = format!("file://{}", www.display());
    stage.run(&["publish", &url]).ok();
    let bundle = www.join("mirror.bundle");
    let (time, tip) = (|| bundle.metadata().unwrap().modified().unwrap(), stage.tip().unwrap());
    let written = time();
    stage.run(&["publish", &url]).ok();
    assert_eq!(time(), written, "the branch did not move");
    let from = format!("--bundle-uri={}", bundle.display());
    stage.sandbox.git("", &["clone", "--quiet", "--single-branch", "--branch=main", &from, "project", "cloned"]);
    assert_eq!(stage.sandbox.git("cloned", &["rev-parse", "refs/bundles/hexmirror"]), tip);
    stage.sandbox.git("cloned", &["fsck", "--strict", "--no-dangling"]);

    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    stage.run(&["update"]).ok();
    stage.run(&["publish", &url]).ok();
    let heads = stage.sandbox.git("", &["bundle", "list-heads", bundle.to_str().unwrap()]);
    assert_eq!(heads, format!("{} refs/heads/hexmirror", stage.tip().unwrap()));
}

#[test]
fn a_shallow_clone_says_that_it_makes_no_bundle() {
    let stage = Stage::mirrored();
    stage.git(&["commit", "--quiet", "--allow-empty", "--message=Next"]);
    let from = format!("file://{}", stage.project.display());
    stage.sandbox.git("", &["clone", "--quiet", "--depth=1", "--no-single-branch", &from, "shallow"]);
    let url = format!("file://{}", stage.sandbox.path().join("www").display());
    stage.run_in("shallow", &["publish", &url]).ok().says("this clone is shallow, so no mirror.bundle was made");
    assert!(!stage.sandbox.path().join("www/mirror.bundle").exists());
}

#[test]
fn an_unusable_url_is_not_repeated() {
    let stage = Stage::mirrored();
    let ran = stage.run(&["publish", "https://joe:very-secret@acme.example/hex"]).exits(2);
    assert!(!ran.says("cannot publish to this URL: expected").stderr.contains("secret"));
    stage.run(&["publish", "file://www"]).exits(2).says("absolute path");
}
