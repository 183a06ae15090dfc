//! A mirror with damaged objects: `verify` names each damage, and `serve` continues to serve the rest.

use std::fs;
use std::path::PathBuf;

use crate::support::http::get;
use crate::support::stage::{PINNED, Ran, Serving, Stage};

/// A mirror with loose objects, each of which can be damaged separately.
fn loose() -> Stage {
    let stage = Stage::mirrored();
    for pack in packs(&stage) {
        let aside = stage.sandbox.path().join("aside.pack");
        fs::rename(&pack, &aside).unwrap();
        let index = pack.with_extension("idx");
        if index.exists() {
            fs::remove_file(index).unwrap();
        }
        let mut command = stage.sandbox.command("git", &stage.project);
        command.args(["unpack-objects", "-q"]).stdin(fs::File::open(aside).unwrap());
        Ran::of(&mut command).ok();
    }
    stage
}

fn packs(stage: &Stage) -> Vec<PathBuf> {
    let folder = fs::read_dir(stage.project.join(".git/objects/pack")).unwrap();
    let files = folder.map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "pack")).collect()
}

/// Returns the file of the object at a path of the mirror's tree, made writable.
fn object(stage: &Stage, path: &str) -> PathBuf {
    let id = stage.git(&["rev-parse", &format!("hexmirror{path}")]);
    let file = stage.project.join(format!(".git/objects/{}/{}", &id[..2], &id[2..]));
    let mut permissions = fs::metadata(&file).unwrap().permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "a file of this test's own")]
    permissions.set_readonly(false);
    fs::set_permissions(&file, permissions).unwrap();
    file
}

fn flip(file: &std::path::Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 0x55;
    fs::write(file, bytes).unwrap();
}

const SOURCE: &str = "hex/hexpm/packages/8e/alpha/contents/lib/alpha.ex";

#[test]
fn each_damage_is_named_with_its_path() {
    let stage = loose();
    stage.run(&["verify"]).ok();
    flip(&object(&stage, &format!(":{SOURCE}")), 20);
    flip(&object(&stage, ":hex/hexpm/registry/f4/beta"), 100);
    fs::remove_file(object(&stage, ":hex/hexpm/packages/4f/delta/metadata.config")).unwrap();
    let ran = stage.run(&["verify"]).exits(1);
    for named in [
        format!("damaged: {SOURCE}: "),
        "damaged: release alpha 1.0.0: ".into(),
        "damaged: hex/hexpm/registry/f4/beta: ".into(),
        "damaged: registry entry of beta: ".into(),
        "damaged: hex/hexpm/packages/4f/delta/metadata.config: ".into(),
        "damaged: release delta 4.5.6+build.7: ".into(),
    ] {
        assert!(ran.stdout.contains(&named), "{named:?} is not in {}", ran.stdout);
    }
    // And two files of the object database, by their paths.
    assert_eq!(ran.stdout.matches("damaged: objects/").count(), 2, "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().count(), 8, "{}", ran.stdout);
    assert!(!ran.stdout.contains("gamma"));
    let document = stage.run(&["verify", "--json"]).exits(1).json();
    let damages = document["damages"].as_array().unwrap();
    assert!(
        damages.len() == 8 && damages.iter().all(|damage| damage["path"].is_string() && damage["problem"].is_string())
    );
}

#[test]
fn an_object_with_other_content_is_found_by_its_hash() {
    let stage = loose();
    // A valid object, but not the one with that id.
    let other = object(&stage, ":hex/hexpm/packages/f4/beta/contents/lib/beta.ex");
    fs::copy(other, object(&stage, &format!(":{SOURCE}"))).unwrap();
    let ran = stage.run(&["verify"]).exits(1);
    assert!(ran.stdout.contains(SOURCE) && ran.stdout.contains("release alpha 1.0.0"), "{ran:?}");
}

#[test]
fn a_root_tree_with_other_content_is_called_damaged_and_repaired() {
    let stage = loose();
    let root = object(&stage, "^{tree}");
    fs::copy(object(&stage, ":hex"), &root).unwrap();
    let ran = stage.run(&["list"]).exits(5).says("damaged");
    assert!(ran.stderr.contains("update --repair"), "{ran:?}");
    stage.run(&["update", "--repair"]).ok().says("repaired");
    stage.run(&["verify"]).ok();
}

#[test]
fn a_damaged_file_is_refused_and_the_others_are_served() {
    let stage = loose();
    let serving = Serving::start(&mut stage.command(&["serve", "--listen=127.0.0.1:0", "--verbose"]));
    let status = |path: &str| get(serving.authority(), path).status;
    let beta = stage.registry.get(PINNED[1]).tarball.clone();
    flip(&object(&stage, &format!(":{SOURCE}")), 20);
    flip(&object(&stage, ":hex/hexpm/registry/be/gamma"), 100);
    assert_eq!((status("/tarballs/alpha-1.0.0.tar"), status("/packages/gamma")), (500, 500));
    assert!(get(serving.authority(), "/tarballs/beta-0.3.0.tar").body == beta);
    assert_eq!((status("/packages/alpha"), status("/packages/beta")), (200, 200));
    // It is not served from a cache at the second request either.
    assert_eq!(status("/tarballs/alpha-1.0.0.tar"), 500);
    let body = get(serving.authority(), "/tarballs/alpha-1.0.0.tar").body;
    assert!(body.len() < 1000, "an error is told, not half a tarball");
    let ran = serving.stop("TERM").ok();
    assert!(ran.stderr.contains("alpha") && ran.stderr.contains("500"), "{ran:?}");
}

#[test]
fn wrong_bytes_that_git_accepts_are_not_served() {
    let stage = Stage::mirrored();
    // A commit that changes a file of a release: every object is valid, but the tarball is not the published one.
    stage.git(&["worktree", "add", "--quiet", "../edit", "hexmirror"]);
    fs::write(stage.sandbox.path().join("edit").join(SOURCE), "one!").unwrap();
    // An entry that upstream signed, but not the one that was stored.
    let mut later = stage.registry.clone();
    later.retire("beta 0.3.0", "no more");
    fs::write(stage.sandbox.path().join("edit/hex/hexpm/registry/f4/beta"), later.signed("beta")).unwrap();
    stage.sandbox.git("edit", &["commit", "--quiet", "--all", "--message=Improve alpha"]);
    stage.git(&["worktree", "remove", "../edit"]);
    stage.run(&["verify"]).exits(1).prints("release alpha 1.0.0").prints("registry entry of beta");
    let serving = Serving::start(&mut stage.command(&["serve", "--listen=127.0.0.1:0"]));
    assert_eq!(get(serving.authority(), "/tarballs/alpha-1.0.0.tar").status, 500);
    assert_eq!(get(serving.authority(), "/packages/beta").status, 500);
    assert_eq!(get(serving.authority(), "/tarballs/beta-0.3.0.tar").status, 200);
}

#[test]
fn the_trees_themselves_are_damaged() {
    for path in ["^{tree}", ":hex/hexpm/packages", ":hex", ":manifest", ":mirror.toml", "^{commit}"] {
        let stage = loose();
        flip(&object(&stage, path), 12);
        let ran = stage.run(&["verify"]);
        assert!(matches!(ran.code, Some(1 | 5)) && !ran.stderr.contains("panicked"), "{path}: {ran:?}");
        assert!(ran.stdout.contains("damaged") || ran.stderr.contains("damaged"), "{path}: {ran:?}");
        for command in ["list", "update"] {
            let ran = stage.run(&[command]);
            assert!(ran.code.is_some_and(|code| code <= 5) && !ran.stderr.contains("panicked"), "{path}: {ran:?}");
        }
    }
}

#[test]
fn a_flipped_byte_anywhere_in_the_pack() {
    let stage = Stage::mirrored();
    let pack = packs(&stage).pop().expect("one pack");
    let (whole, fine) = (fs::read(&pack).unwrap(), stage.run(&["verify", "--json"]).ok().json());
    let mut missed = 0;
    let places: Vec<usize> = (0..60).map(|step| step * (whole.len() - 1) / 59).collect();
    for &at in &places {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::remove_file(&pack).unwrap();
        fs::write(&pack, bytes).unwrap();
        let ran = stage.run(&["verify", "--json"]);
        assert!(!ran.stderr.contains("panicked"), "byte {at}: {ran:?}");
        match ran.code {
            Some(0) => missed += 1,
            Some(1) => assert_ne!(ran.json()["damages"], fine["damages"], "byte {at}"),
            code => assert_eq!((code, ran.stderr.contains("damaged")), (Some(5), true), "byte {at}: {ran:?}"),
        }
    }
    assert_eq!(missed, 0, "of {} flips", places.len());
}

#[test]
fn the_hint_is_a_command_that_restores_it() {
    let stage = loose();
    flip(&object(&stage, &format!(":{SOURCE}")), 20);
    let ran = stage.run(&["verify"]).exits(1).says("hint: ");
    let command = ran.stderr.split('`').nth(1).unwrap();
    let arguments: Vec<&str> = command.strip_prefix("git hexmirror ").unwrap().split(' ').collect();
    stage.run(&arguments).ok().says("restored release alpha 1.0.0");
    stage.run(&["verify"]).ok();
}
