//! `init`: creates the branch, finds it, or adopts a remote's.

use crate::support::registry::Registry;
use crate::support::stage::{Ran, Stage};

#[test]
fn creates_an_empty_mirror_once() {
    let stage = Stage::new();
    stage.run(&["init"]).ok().says("created the mirror branch hexmirror");
    let tip = stage.tip().expect("a branch");
    assert_eq!(stage.paths(), ["README.md", "manifest/git", "mirror.toml"]);
    stage.run(&["init"]).ok().says("the mirror branch hexmirror already exists");
    assert_eq!(stage.tip(), Some(tip));
    assert_eq!(stage.upstream.count("*"), 0);
    assert_eq!(stage.git(&["status", "--porcelain"]), "?? mix.lock");
}

#[test]
fn needs_no_lock_and_prints_no_result() {
    let stage = Stage::without_lock(Registry::sample());
    let ran = stage.run(&["init", "--quiet"]).ok().silent();
    assert_eq!(ran.stdout, "");
    assert!(stage.tip().is_some());
}

#[test]
fn adopts_the_mirror_of_origin_in_a_clone() {
    let stage = Stage::mirrored();
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    stage.sandbox.git("", &["clone", "--quiet", "project", "clone"]);
    stage.run_in("clone", &["init"]).ok().says("adopted hexmirror from origin");
    assert_eq!(Some(stage.sandbox.git("clone", &["rev-parse", "hexmirror"])), stage.tip());
    let asked = stage.upstream.count("*");
    stage.run_in("clone", &["update"]).ok().says("nothing to do");
    assert_eq!(stage.upstream.count("*"), asked);
}

#[test]
fn a_single_branch_clone_asks_origin() {
    let stage = Stage::mirrored();
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    let origin = format!("file://{}", stage.project.display());
    for (name, options) in [("single", ["--single-branch"].as_slice()), ("shallow", &["--depth=1"])] {
        for command in ["init", "update"] {
            let clone = format!("{name}-{command}");
            stage.sandbox.git("", &[&["clone", "--quiet"], options, &[&origin, &clone]].concat());
            stage.run_in(&clone, &["list"]).exits(5).says("git hexmirror pull origin");
            stage.run_in(&clone, &[command]).ok().says("adopted hexmirror from origin");
            assert_eq!(Some(stage.sandbox.git(&clone, &["rev-parse", "hexmirror"])), stage.tip());
            stage.run_in(&clone, &["status"]).ok();
        }
    }
}

#[test]
fn an_unreachable_or_empty_remote_is_no_obstacle() {
    let stage = Stage::new();
    stage.sandbox.git("", &["clone", "--quiet", "project", "clone"]);
    let ran = stage.run_in("clone", &["init"]).ok().says("created the mirror branch hexmirror");
    assert!(!ran.stderr.contains("warning"), "{ran:?}");
    stage.git(&["remote", "add", "origin", "/nowhere/at/all"]);
    stage
        .run(&["init"])
        .ok()
        .says("warning: cannot check whether origin has a mirror")
        .says("created the mirror branch hexmirror");
    stage.run(&["init"]).ok().says("already exists");
}

/// Runs a command in a clone that only has origin's mirror branch, and checks that it creates no local one.
#[track_caller]
fn reads_in_the_clone(stage: &Stage, arguments: &[&str]) -> Ran {
    let refs = || stage.sandbox.git("clone", &["for-each-ref", "--format=%(refname) %(objectname)"]);
    let before = refs();
    let ran = stage.run_in("clone", arguments);
    assert_eq!(refs(), before, "{arguments:?}");
    ran
}

#[test]
fn read_only_commands_use_the_mirror_of_origin_without_creating_a_branch() {
    let stage = Stage::mirrored();
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    stage.sandbox.git("", &["clone", "--quiet", "project", "clone"]);
    let tip = stage.tip().unwrap();
    reads_in_the_clone(&stage, &["status"]).ok().prints(&format!("fresh: origin's hexmirror at {}", &tip[..10]));
    let document = reads_in_the_clone(&stage, &["status", "--json"]).ok().json();
    assert_eq!(
        (&document["remote"], &document["commit"], &document["present"]),
        (&"origin".into(), &tip.into(), &3.into())
    );
    assert_eq!(reads_in_the_clone(&stage, &["diff", "--exit-code"]).ok().stdout, "");
    reads_in_the_clone(&stage, &["update", "--dry-run"]).ok().prints("nothing would be fetched");
    reads_in_the_clone(&stage, &["list"]).ok().prints("alpha 1.0.0");
    reads_in_the_clone(&stage, &["verify"]).ok().says("intact");
    reads_in_the_clone(&stage, &["env"]).ok();
    reads_in_the_clone(&stage, &["prune", "--dry-run"]).ok();
    let ask = "curl --silent --fail $HEX_MIRROR/tarballs/alpha-1.0.0.tar >tarball";
    reads_in_the_clone(&stage, &["run", "--", "sh", "-c", ask]).ok();
    let tarball = std::fs::read(stage.sandbox.path().join("clone/tarball")).unwrap();
    assert_eq!(tarball, stage.registry.get("alpha 1.0.0").tarball);
    // The report of what is missing refers to the same mirror.
    std::fs::write(stage.sandbox.path().join("clone/mix.lock"), stage.registry.mix_lock(&["alpha 1.1.0"])).unwrap();
    reads_in_the_clone(&stage, &["status"]).exits(1).prints("origin's hexmirror lacks").prints("the mirror has 1.0.0");
    let asked = stage.upstream.count("*");
    let ran = stage.run_in("clone", &["update", "--json"]).ok();
    assert_eq!((&ran.json()["adopted"], ran.json()["replaced"].as_array().unwrap().len()), (&"origin".into(), 1));
    assert_eq!(stage.upstream.count("*") - asked, 2, "one tarball and one registry entry");
    let before = stage.sandbox.git("clone", &["rev-parse", "hexmirror^"]);
    assert_eq!(Some(before), stage.tip());
}

#[test]
fn update_in_a_clone_adopts_before_it_fetches() {
    let stage = Stage::mirrored();
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    stage.sandbox.git("", &["clone", "--quiet", "project", "clone"]);
    let asked = stage.upstream.count("*");
    let ran = stage.run_in("clone", &["update", "--json"]).ok();
    assert_eq!(ran.json()["adopted"], "origin");
    assert_eq!(ran.json()["commit"], stage.tip().unwrap());
    assert_eq!(stage.upstream.count("*"), asked);
}

#[test]
fn refuses_a_branch_of_origin_that_is_not_a_mirror() {
    let stage = Stage::new();
    stage.git(&["branch", "hexmirror"]);
    stage.sandbox.git("", &["clone", "--quiet", "project", "clone"]);
    stage.run_in("clone", &["init"]).exits(5).says("is not a mirror");
    let output = stage.sandbox.try_git("clone", &["rev-parse", "--verify", "refs/heads/hexmirror"]);
    assert!(!output.status.success());
}

#[test]
fn optional_steps_that_fail_cause_warnings() {
    let stage = Stage::new();
    stage.git(&["config", "core.hooksPath", stage.sandbox.home().to_str().unwrap()]);
    let ran = stage.run(&["init"]).ok().says("warning: core.hooksPath is").says("hint: ");
    assert!(!ran.stderr.contains("error"), "{ran:?}");
}

#[test]
fn a_shallow_fetch_is_enough_and_can_be_repeated() {
    let stage = Stage::mirrored();
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    let url = format!("file://{}", stage.project.display());
    stage.sandbox.git("", &["clone", "--quiet", "--depth=1", &url, "workspace"]);
    // As in the README for CI with a persistent workspace.
    let fetch = || stage.sandbox.git("workspace", &["fetch", "--quiet", "--depth=1", "origin", "+hexmirror:hexmirror"]);
    fetch();
    stage.run_in("workspace", &["status"]).ok();
    for pinned in ["alpha 1.1.0", "beta 0.3.0"] {
        stage.lock(&[pinned]);
        stage.run(&["update", "--refresh"]).ok();
        fetch();
        assert_eq!(stage.sandbox.git("workspace", &["rev-parse", "hexmirror"]), stage.tip().unwrap());
    }
    stage.run_in("workspace", &["verify"]).ok();
}
