//! A folder on this machine instead of the server of a repository.

use std::fs;

use crate::support::registry::{Registry, other_key};
use crate::support::stage::{PINNED, Ran, Stage};

/// A project whose lock pins releases of hexpm and of an organisation, and a folder `mirror` with all of them.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.lock(&[PINNED[0], PINNED[1], PINNED[2], "hexpm:acme/secret 0.1.0"]);
    let mut copy = stage.sandbox.command("cp", stage.sandbox.path());
    assert!(copy.args(["-r", "upstream", "mirror"]).status().unwrap().success());
    stage.git(&["config", "hexmirror.hexpm.url", "../mirror"]);
    stage
}

/// Runs the program without the address of a server.
fn run(stage: &Stage, arguments: &[&str]) -> Ran {
    let key = stage.sandbox.path().join("hexpm.pem");
    let ran = Ran::of(stage.bare_command_in(&stage.project, arguments).env("HEXMIRROR_PUBLIC_KEY", key));
    assert_eq!(stage.upstream.count("*"), 0, "the server was asked: {ran:?}");
    ran
}

#[test]
fn a_folder_is_read_as_a_server_would_be_asked() {
    let stage = stage();
    run(&stage, &["update"]).ok().says("4 added");
    run(&stage, &["status"]).ok();
    run(&stage, &["verify"]).ok();
    let entries = stage.paths().into_iter().filter(|path| path.contains("/registry/"));
    assert_eq!(entries.count(), 5, "those of optional dependencies are among them");
    // From a folder below the worktree, the path means the same.
    fs::create_dir(stage.project.join("sub")).unwrap();
    run(&stage, &["-C", "sub", "update", "--refresh"]).ok();
    // An export is such a folder.
    run(&stage, &["export", "../www"]).ok();
    let clone = stage.sandbox.repository("clone");
    fs::copy(stage.project.join("mix.lock"), clone.join("mix.lock")).unwrap();
    stage.sandbox.git(&clone, &["config", "hexmirror.hexpm.url", "./../www"]);
    let key = stage.sandbox.path().join("hexpm.pem");
    Ran::of(stage.bare_command_in(&clone, &["update"]).env("HEXMIRROR_PUBLIC_KEY", key)).ok();
}

#[test]
fn what_is_wrong_in_a_folder_is_refused_like_what_a_server_sends() {
    let stage = stage();
    let mirror = stage.sandbox.path().join("mirror");
    let tarball = mirror.join("tarballs/alpha-1.0.0.tar");
    let good = fs::read(&tarball).unwrap();
    fs::write(&tarball, &stage.registry.get(PINNED[1]).tarball).unwrap();
    run(&stage, &["update"]).exits(4).says("alpha-1.0.0.tar has the wrong checksum");
    fs::remove_file(&tarball).unwrap();
    run(&stage, &["update"]).exits(3).says("tarballs/alpha-1.0.0.tar does not exist").says("hexmirror.REPOSITORY.url");
    fs::create_dir(&tarball).unwrap();
    run(&stage, &["update"]).exits(3).says("it is not a file");
    fs::remove_dir(&tarball).unwrap();
    fs::write(&tarball, &good).unwrap();
    let entry = mirror.join("packages/beta");
    let signed = fs::read(&entry).unwrap();
    let forged = stage.registry.signed_as("beta", "beta", other_key());
    fs::write(&entry, git_hexmirror::hex::gzip::gzip(&forged)).unwrap();
    run(&stage, &["update"]).exits(4).says("it is not signed with the repository's key");
    fs::write(&entry, b"\x1f\x8bgarbage").unwrap();
    run(&stage, &["update"]).exits(3).says("damaged gzip");
    fs::write(&entry, signed).unwrap();
    assert_eq!(stage.tip(), None);
    fs::rename(&mirror, stage.sandbox.path().join("away")).unwrap();
    run(&stage, &["update"]).exits(3).says("the folder of this repository does not exist");
    fs::rename(stage.sandbox.path().join("away"), &mirror).unwrap();
    run(&stage, &["update"]).ok();
}

/// Whoever proposes a branch could otherwise have any folder of the user's read.
#[test]
fn a_path_in_the_tracked_file_needs_permission() {
    let stage = Stage::without_lock(Registry::sample());
    let mut copy = stage.sandbox.command("cp", stage.sandbox.path());
    assert!(copy.args(["-r", "upstream", "mirror"]).status().unwrap().success());
    stage.write("mix.lock", "%{}\n");
    for path in ["../mirror", "/etc", "./x", ".."] {
        stage.write(".hexmirror.toml", &format!("[repositories.acme]\nurl = \"{path}\"\n"));
        stage.run(&["status", "--settings"]).ok().prints("inactive");
        let shown = stage.run(&["trust"]);
        assert!(format!("{shown:?}").contains("read from this folder on your machine"), "{shown:?}");
    }
    stage.write(".hexmirror.toml", "[repositories.acme]\nurl = \"https://hex.example.org\"\n");
    let described = stage.run(&["status", "--settings"]).ok();
    assert!(!described.stdout.contains("inactive"), "{described:?}");
}

#[test]
fn plugins_are_pinned_from_a_folder() {
    let mut registry = Registry::sample();
    let config = |text: &str| [("rebar.config".to_owned(), text.to_owned())];
    registry.publish("native 1.0.0", &[], &config("{plugins, [one]}."));
    // They need each other, as dependencies and as plugins, and one that is nowhere.
    registry.publish("one 1.0.0", &["two ~> 1.0"], &config("{plugins, [two]}."));
    registry.publish("two 1.0.0", &["one ~> 1.0"], &config("{plugins, [one, nowhere]}."));
    let stage = Stage::with(registry, &["native 1.0.0"]);
    stage.git(&["config", "hexmirror.hexpm.url", "../upstream"]);
    let ran = run(&stage, &["update"]).ok();
    for problem in ["one → two → one", "two → one → two", "cannot pin the plugin nowhere for two"] {
        assert!(ran.stderr.contains(problem), "{problem}: {}", ran.stderr);
    }
    let lock = fs::read_to_string(stage.project.join("hexmirror.lock")).unwrap();
    assert_eq!(lock.matches("plugin hexpm ").count(), 2, "{lock}");
    run(&stage, &["status"]).ok();
}
