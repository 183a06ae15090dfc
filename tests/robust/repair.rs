//! Every kind of stored file, damaged in every way: `verify` detects it, and `update --repair` restores it from any
//! source that has the bytes.

use std::fs;
use std::path::{Path, PathBuf};

use git_hexmirror::hex::gzip::gzip;

use crate::support::registry::Registry;
use crate::support::stage::{PINNED, Ran, Stage};
use crate::support::tree::{MANIFEST, manifest_files};
use crate::support::upstream::{ALWAYS, Fault};

/// The damage to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// The byte at this position, in thousandths of the file's length, is changed.
    Flip(usize),
    /// The file is this many bytes too short.
    Shorter(usize),
    /// Only its first half exists.
    Half,
    Empty,
    Deleted,
    /// Its second half is zeros, as after a power failure.
    Zeros,
    /// Something is appended.
    Longer,
}

const DAMAGES: [Damage; 10] = [
    Damage::Flip(0),
    Damage::Flip(400),
    Damage::Flip(999),
    Damage::Shorter(1),
    Damage::Shorter(5),
    Damage::Half,
    Damage::Empty,
    Damage::Deleted,
    Damage::Zeros,
    Damage::Longer,
];

impl Damage {
    fn inflict(self, file: &Path) {
        let mut bytes = fs::read(file).unwrap();
        let length = bytes.len();
        match self {
            Self::Flip(thousandths) => bytes[(length - 1) * thousandths / 999] ^= 0x55,
            Self::Shorter(by) => bytes.truncate(length - by),
            Self::Half => bytes.truncate(length / 2),
            Self::Empty => bytes.clear(),
            Self::Zeros => bytes[length / 2..].fill(0),
            Self::Longer => bytes.push(b'x'),
            Self::Deleted => {}
        }
        // The files are read-only.
        fs::remove_file(file).unwrap();
        if !matches!(self, Self::Deleted) {
            fs::write(file, bytes).unwrap();
        }
    }
}

/// A mirror that is damaged repeatedly, each time from its original state.
struct Victim {
    stage: Stage,
}

impl Victim {
    fn new(stage: Stage) -> Self {
        let victim = Self { stage };
        victim.copy("project/.git", "whole.git");
        victim
    }

    fn copy(&self, from: &str, to: &str) {
        let folder = self.stage.sandbox.path();
        let _ = fs::remove_dir_all(folder.join(to));
        let mut command = self.stage.sandbox.command("cp", folder);
        Ran::of(command.args(["-a", from, to])).ok();
    }

    fn reset(&self) {
        self.copy("whole.git", "project/.git");
    }

    /// Damages a file, and checks that the damage is detected and repaired with the original contents.
    fn suffers(&self, what: &str, file: &Path, damage: Damage) {
        self.reset();
        let tree = self.stage.git(&["rev-parse", "hexmirror^{tree}"]);
        damage.inflict(&self.stage.project.join(file));
        let case = format!("{what}, {damage:?}");
        let ran = self.stage.run(&["verify"]);
        assert!(matches!(ran.code, Some(1 | 5)) && !ran.stderr.contains("panicked"), "{case} is missed: {ran:#?}");
        assert!((ran.stdout.clone() + &ran.stderr).contains("damaged"), "{case}: {ran:#?}");
        let ran = self.stage.run(&["update", "--repair"]);
        assert_eq!(ran.code, Some(0), "{case}: {ran:#?}");
        assert!(ran.stderr.contains("repaired hexmirror"), "{case}: {ran:#?}");
        let after = self.stage.run(&["verify"]);
        assert_eq!(after.code, Some(0), "{case}: {ran:#?} {after:#?}");
        self.stage.run(&["status"]).ok();
        assert_eq!(self.stage.git(&["rev-parse", "hexmirror^{tree}"]), tree, "{case}");
        self.stage.git(&["fsck", "--no-dangling", "hexmirror^{tree}"]);
        self.stage.run(&["update", "--repair"]).ok().says("needs no repair");
    }

    /// The file of the loose object at a path of the mirror's tree.
    fn object(&self, path: &str) -> PathBuf {
        let id = self.stage.git(&["rev-parse", &format!("hexmirror{path}")]);
        Path::new(".git/objects").join(&id[..2]).join(&id[2..])
    }

    /// The files in the pack folder with an extension.
    fn beside_packs(&self, extension: &str) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.stage.project.join(".git/objects/pack")).unwrap();
        let names = folder.map(|file| file.unwrap().file_name().into_string().unwrap());
        let names = names.filter(|name| name.ends_with(extension));
        names.map(|name| Path::new(".git/objects/pack").join(name)).collect()
    }
}

/// A mirror whose objects are all loose.
fn loose() -> Victim {
    loose_of(Stage::mirrored())
}

fn loose_of(stage: Stage) -> Victim {
    let victim = Victim { stage };
    for pack in victim.beside_packs(".pack") {
        let (pack, aside) = (victim.stage.project.join(pack), victim.stage.sandbox.path().join("aside"));
        fs::rename(&pack, &aside).unwrap();
        let _ = fs::remove_file(pack.with_extension("idx"));
        let mut command = victim.stage.sandbox.command("git", &victim.stage.project);
        Ran::of(command.args(["unpack-objects", "-q"]).stdin(fs::File::open(&aside).unwrap())).ok();
    }
    Victim::new(victim.stage)
}

fn each_damage_of_loose_objects(paths: &[&str]) {
    let victim = loose();
    for (number, path) in paths.iter().enumerate() {
        victim.reset();
        let file = victim.object(path);
        // All kinds of damage for one file, and every other kind for the next.
        for damage in DAMAGES.into_iter().skip(number % 2).step_by(if number == 0 { 1 } else { 2 }) {
            victim.suffers(path, &file, damage);
        }
    }
}

#[test]
fn loose_blobs_of_a_release() {
    each_damage_of_loose_objects(&[
        ":hex/hexpm/packages/8e/alpha/contents/lib/alpha.ex",
        ":hex/hexpm/packages/8e/alpha/recipe",
        ":hex/hexpm/packages/4f/delta/metadata.config",
    ]);
}

#[test]
fn loose_blobs_beside_releases() {
    each_damage_of_loose_objects(&[
        ":hex/hexpm/registry/f4/beta",
        ":manifest",
        ":manifest/8e",
        ":manifest/git",
        ":mirror.toml",
        ":README.md",
    ]);
}

#[test]
fn loose_trees_above_releases() {
    each_damage_of_loose_objects(&["^{tree}", ":hex", ":hex/hexpm/packages", ":hex/hexpm/registry"]);
}

#[test]
fn loose_trees_of_a_release_and_the_commit() {
    each_damage_of_loose_objects(&[
        ":hex/hexpm/packages/8e/alpha",
        ":hex/hexpm/packages/8e/alpha/contents/lib",
        "^{commit}",
    ]);
}

#[test]
fn packs_and_their_indexes() {
    let victim = Victim::new(Stage::mirrored());
    let (packs, indexes) = (victim.beside_packs(".pack"), victim.beside_packs(".idx"));
    assert_eq!((packs.len(), indexes.len()), (1, 1));
    let flips = [1, 5, 10, 250, 500, 700, 900, 990].map(Damage::Flip);
    for damage in DAMAGES.into_iter().chain(flips) {
        victim.suffers("the pack", &packs[0], damage);
        victim.suffers("the index", &indexes[0], damage);
    }
}

#[test]
fn a_pack_that_the_project_shares() {
    let victim = Victim::new(Stage::mirrored());
    victim.stage.git(&["add", "--all"]);
    victim.stage.git(&["commit", "--quiet", "--message=Lock"]);
    victim.stage.git(&["-c", "pack.writeReverseIndex=true", "repack", "-adbq", "--write-midx"]);
    victim.copy("project/.git", "whole.git");
    for (extension, least) in [(".pack", 1), (".idx", 1), (".rev", 0), (".bitmap", 0), ("multi-pack-index", 0)] {
        victim.reset();
        let files = victim.beside_packs(extension);
        assert!(files.len() >= least, "{extension}");
        for file in files {
            for damage in [Damage::Flip(30), Damage::Flip(950), Damage::Half] {
                victim.suffers(extension, &file, damage);
                if extension == ".idx" {
                    victim.stage.git(&["fsck", "--no-dangling"]);
                }
            }
        }
    }
}

#[test]
fn the_hex_cache_is_a_source_without_any_network() {
    let victim = loose();
    let stage = &victim.stage;
    stage.upstream.fail("*", ALWAYS, Fault::Hangup);
    let cache = stage.sandbox.home().join(".hex/packages/hexpm");
    fs::create_dir_all(&cache).unwrap();
    fs::write(cache.join("alpha-1.0.0.tar"), &stage.registry.get("alpha 1.0.0").tarball).unwrap();
    let requests = stage.upstream.count("*");
    victim.suffers("alpha", &victim.object(":hex/hexpm/packages/8e/alpha/recipe"), Damage::Half);
    assert_eq!(stage.upstream.count("*"), requests);
}

#[test]
fn a_remote_is_a_source_of_everything() {
    let victim = loose();
    let stage = &victim.stage;
    stage.sandbox.git("", &["clone", "--quiet", "--bare", "--no-local", "project", "remote.git"]);
    stage.git(&["remote", "add", "origin", "../remote.git"]);
    victim.copy("project/.git", "whole.git");
    stage.upstream.fail("*", ALWAYS, Fault::Hangup);
    for path in ["^{commit}", "^{tree}", ":manifest", ":hex/hexpm/registry/f4/beta", ":hex/hexpm/packages/8e/alpha"] {
        victim.reset();
        let (file, tip) = (victim.object(path), stage.tip());
        victim.suffers(path, &file, Damage::Half);
        assert_eq!(stage.tip(), tip, "{path}: the commit is the same");
    }
}

#[test]
fn an_earlier_commit_is_a_source() {
    let stage = Stage::mirrored();
    stage.lock(&["alpha 1.0.0", "beta 0.3.0", "delta 4.5.6+build.7", "gamma 1.0.0"]);
    stage.run(&["update"]).ok();
    let victim = Victim::new(stage);
    let stage = &victim.stage;
    stage.upstream.fail("*", ALWAYS, Fault::Hangup);
    stage.git(&["worktree", "add", "--quiet", "../edit", "hexmirror"]);
    let edit = stage.sandbox.path().join("edit");
    fs::write(edit.join("hex/hexpm/packages/8e/alpha/contents/lib/alpha.ex"), "one!").unwrap();
    stage.sandbox.git("edit", &["commit", "--quiet", "--all", "--message=Improve alpha"]);
    stage.git(&["worktree", "remove", "../edit"]);
    stage.run(&["verify"]).exits(1);
    stage.run(&["update", "--repair"]).ok().says("restored release alpha 1.0.0").says("history");
    stage.run(&["verify"]).ok();
    assert_eq!(stage.git(&["diff", "--stat", "hexmirror~2", "hexmirror"]), "");
}

/// Rewrites the mirror's manifest manually.
fn edit_manifest(stage: &Stage, edit: impl Fn(&str) -> Option<String>) {
    stage.git(&["worktree", "add", "--quiet", "../edit", "hexmirror"]);
    let folder = stage.sandbox.path().join("edit");
    let lines = stage.git(&MANIFEST) + "\n";
    let kept: String = lines.lines().filter_map(&edit).map(|line| line + "\n").collect();
    assert_ne!(kept, lines);
    fs::remove_dir_all(folder.join("manifest")).unwrap();
    fs::create_dir(folder.join("manifest")).unwrap();
    for (path, text) in manifest_files(&kept) {
        fs::write(folder.join(path), text).unwrap();
    }
    stage.sandbox.git("edit", &["add", "--all"]);
    stage.sandbox.git("edit", &["commit", "--quiet", "--message=Edit"]);
    stage.git(&["worktree", "remove", "../edit"]);
}

#[test]
fn lost_lines_of_the_manifest_are_detected_and_restored() {
    let mut stage = Stage::mirrored();
    stage.lock(&["alpha 1.1.0", "beta 0.3.0", "delta 4.5.6+build.7"]);
    stage.run(&["update"]).ok();
    stage.upstream.fail("*", ALWAYS, Fault::Hangup);
    // So that no earlier commit has them.
    stage.run(&["compact"]).ok();
    let before = stage.git(&["rev-parse", "hexmirror^{tree}"]);
    let whole = Victim { stage };
    whole.copy("project/.git", "whole.git");
    stage = whole.stage;
    for lost in ["hex hexpm alpha 1.1.0", "hex hexpm alpha 1.0.0", "hex hexpm beta", "registry hexpm gamma", "hex "] {
        edit_manifest(&stage, |line| (!line.starts_with(lost)).then(|| line.to_owned()));
        stage.git(&[
            "update-ref",
            "refs/heads/hexmirror",
            &stage.git(&["commit-tree", "-m", "Edit", "hexmirror^{tree}"]),
        ]);
        stage.git(&["reflog", "expire", "--expire=all", "--all"]);
        stage.run(&["verify"]).exits(1).prints("no line of the manifest names it");
        stage.run(&["update", "--repair"]).ok().says("repaired hexmirror: it is now");
        stage.run(&["verify"]).ok();
        assert_eq!(stage.git(&["rev-parse", "hexmirror^{tree}"]), before, "{lost}");
    }
    // Nothing is published on top of a mirror that does not match its manifest.
    edit_manifest(&stage, |line| (!line.starts_with("hex hexpm beta")).then(|| line.to_owned()));
    stage.run(&["prune", "--keep-days=0"]).exits(5).says("no line of the manifest names it").says("update --repair");
}

#[test]
fn a_release_stored_as_a_tarball_is_restored_as_such() {
    let stage = Stage::new();
    stage.git(&["config", "hexmirror.opaque", "alpha"]);
    stage.run(&["update"]).ok();
    stage.git(&["config", "--unset", "hexmirror.opaque"]);
    let victim = loose_of(stage);
    for path in [":hex/hexpm/packages/8e/alpha/tarball", ":hex/hexpm/packages"] {
        victim.reset();
        victim.suffers(path, &victim.object(path), Damage::Deleted);
    }
    victim.reset();
    let tree = victim.stage.git(&["rev-parse", "hexmirror^{tree}"]);
    edit_manifest(&victim.stage, |line| (!line.starts_with("hex hexpm alpha")).then(|| line.to_owned()));
    victim.stage.run(&["update", "--repair"]).ok();
    assert_eq!(victim.stage.git(&["rev-parse", "hexmirror^{tree}"]), tree);
}

#[test]
fn items_without_any_source_are_named_and_the_rest_is_restored() {
    let victim = loose();
    let stage = &victim.stage;
    let (lost, found) =
        (victim.object(":hex/hexpm/packages/8e/alpha/recipe"), victim.object(":hex/hexpm/registry/f4/beta"));
    Damage::Deleted.inflict(&stage.project.join(lost));
    Damage::Half.inflict(&stage.project.join(found));
    let tip = stage.tip();
    stage.upstream.fail("/tarballs/alpha-1.0.0.tar", ALWAYS, Fault::Status(404, None));
    let ran = stage.run(&["update", "--repair"]).exits(3).says("restored registry entry of beta").says("still damaged");
    let ran = ran.prints("damaged: release alpha 1.0.0");
    assert!(!ran.stdout.contains("beta"), "{ran:#?}");
    assert_eq!(stage.tip(), tip, "what can be read stays as it is");
    let ran = stage.run(&["update", "--repair", "--json"]).exits(3);
    assert!(ran.json()["repair"]["damages"].as_array().unwrap().len() >= 2, "{ran:#?}");
}

#[test]
fn a_branch_that_is_not_a_mirror_is_not_modified() {
    let stage = Stage::new();
    stage.write("f", "x");
    stage.git(&["add", "--all"]);
    stage.git(&["commit", "--quiet", "--message=Work"]);
    stage.git(&["branch", "hexmirror"]);
    let tip = stage.tip();
    stage.run(&["update", "--repair"]).exits(5).says("is not a mirror");
    assert_eq!(stage.tip(), tip);
}

#[test]
fn no_older_entry_than_the_history_has_is_put_in_place() {
    let before = Registry::sample();
    let mut now = before.clone();
    now.advise(&["beta 0.3.0"], "EEF-1");
    let mut stage = Stage::with(now, &PINNED);
    stage.run(&["update"]).ok();
    stage.registry.advise(&["beta 0.3.0"], "EEF-2");
    stage.registry.put(&stage.upstream);
    stage.run(&["update", "--refresh"]).ok();
    let victim = loose_of(stage);
    let (stage, file) = (&victim.stage, victim.object(":hex/hexpm/registry/f4/beta"));
    Damage::Empty.inflict(&stage.project.join(file));
    stage.upstream.put("packages/beta", &gzip(&before.signed("beta")));
    let ran = stage.run(&["update", "--repair"]).exits(4);
    ran.says("registry entry of beta is older than the mirror's: it lacks the advisory EEF-");
    let entry = || {
        let path = "hexmirror:hex/hexpm/registry/f4/beta";
        stage.sandbox.try_git(&stage.project, &["cat-file", "blob", path]).stdout
    };
    assert_ne!(entry(), before.signed("beta"));
    stage.registry.put(&stage.upstream);
    stage.run(&["update", "--repair"]).ok();
    assert_eq!(entry(), stage.registry.signed("beta"));
}
