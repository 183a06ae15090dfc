//! `init`: makes the branch, finds it, or adopts a remote's.

use crate::support::registry::Registry;
use crate::support::stage::Stage;

#[test]
fn makes_an_empty_mirror_and_repeats_without_a_change() {
    let stage = Stage::new();
    stage.run(&["init"]).ok().says("made the mirror branch hexmirror");
    let tip = stage.tip().expect("a branch");
    assert_eq!(stage.paths(), ["README.md", "manifest", "mirror.toml"]);
    stage.run(&["init"]).ok().says("the mirror branch hexmirror is there");
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
fn refuses_a_branch_of_origin_that_is_no_mirror() {
    let stage = Stage::new();
    stage.git(&["branch", "hexmirror"]);
    stage.sandbox.git("", &["clone", "--quiet", "project", "clone"]);
    stage.run_in("clone", &["init"]).exits(5).says("is not a mirror");
    let output = stage.sandbox.try_git("clone", &["rev-parse", "--verify", "refs/heads/hexmirror"]);
    assert!(!output.status.success());
}

#[test]
fn what_it_can_do_without_is_a_warning() {
    let stage = Stage::new();
    stage.git(&["config", "core.hooksPath", stage.sandbox.home().to_str().unwrap()]);
    let ran = stage.run(&["init"]).ok().says("warning: git is told to take hooks from").says("hint: ");
    assert!(!ran.stderr.contains("error"), "{ran:?}");
}

#[test]
fn a_shallow_fetch_is_enough_and_can_be_repeated() {
    let stage = Stage::mirrored();
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    let url = format!("file://{}", stage.project.display());
    stage.sandbox.git("", &["clone", "--quiet", "--depth=1", &url, "workspace"]);
    // As the README has it for CI, where the workspace is kept.
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
