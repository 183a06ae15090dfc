//! `update`: what it fetches, what it stores, and what it leaves unchanged.

use std::fs;

use crate::support::registry::checksum;
use crate::support::stage::{PINNED, Stage};
use crate::support::upstream::Fault;

#[test]
fn fetches_what_the_lock_pins_and_the_entries_that_clients_ask_for() {
    let stage = Stage::new();
    stage.run(&["update"]).ok();
    let mut asked: Vec<String> = stage.upstream.requests("*").iter().map(|request| request.path().to_owned()).collect();
    asked.sort();
    let wanted = [
        "/packages/alpha",
        "/packages/beta",
        "/packages/delta",
        // Only an optional dependency refers to it.
        "/packages/gamma",
        "/tarballs/alpha-1.0.0.tar",
        "/tarballs/beta-0.3.0.tar",
        "/tarballs/delta-4.5.6+build.7.tar",
    ];
    assert_eq!(asked, wanted);
    let paths = stage.paths();
    for path in [
        "hex/hexpm/packages/8e/alpha/contents/lib/alpha.ex",
        "hex/hexpm/packages/8e/alpha/metadata.config",
        "hex/hexpm/packages/4f/delta/contents/src/delta.erl",
        "hex/hexpm/registry/be/gamma",
    ] {
        assert!(paths.iter().any(|there| there == path), "{path} is not in {paths:?}");
    }
    let modes = stage.git(&["ls-tree", "-r", "hexmirror", "hex/hexpm/packages/8e/alpha/contents"]);
    assert!(modes.lines().any(|line| line.starts_with("100755") && line.ends_with("run.sh")), "{modes}");
    stage.run(&["status"]).ok();
    stage.run(&["verify"]).ok().says("intact");
    stage.git(&["fsck", "--strict", "--no-dangling"]);
    assert_eq!(stage.git(&["show", "hexmirror:hex/hexpm/packages/8e/alpha/contents/lib/alpha.ex"]), "one");
}

#[test]
fn makes_no_request_if_there_is_nothing_to_do() {
    let stage = Stage::mirrored();
    let (tip, asked) = (stage.tip(), stage.upstream.count("*"));
    stage.run(&["update"]).ok().says("nothing to do");
    // Nor without the cached answer.
    fs::remove_file(stage.project.join(".git/hexmirror/fresh")).unwrap();
    let ran = stage.run(&["update", "--json"]).ok();
    assert_eq!(ran.json()["downloaded_bytes"], 0);
    assert_eq!((stage.tip(), stage.upstream.count("*")), (tip, asked));
}

#[test]
fn a_changed_version_takes_the_stable_path_and_the_old_one_is_kept() {
    let stage = Stage::mirrored();
    let before = stage.tip().unwrap();
    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    stage.run(&["status"]).exits(1).prints("changed");
    let ran = stage.run(&["update", "--json"]).ok();
    let document = ran.json();
    assert_eq!(document["added"], serde_json::json!([]));
    assert_eq!(document["replaced"][0]["package"], "alpha");
    assert_eq!(document["replaced"][0]["version"], "1.1.0");
    assert_eq!(document["replaced"][0]["from"], "1.0.0");
    let show =
        |path: &str| stage.git(&["show", &format!("hexmirror:hex/hexpm/packages/8e/{path}/contents/lib/alpha.ex")]);
    assert_eq!(show("alpha"), "one and a bit");
    assert_eq!(show("alpha@1.0.0"), "one");
    assert_eq!(stage.git(&["rev-parse", "hexmirror^"]), before);
    assert_eq!(stage.upstream.count("/tarballs/beta-0.3.0.tar"), 1);
    stage.run(&["verify"]).ok();
    // A downgrade fetches nothing, and a lower version does not replace a higher one.
    let asked = stage.upstream.count("*");
    stage.lock(&PINNED);
    stage.run(&["update"]).ok().says("nothing to do");
    stage.lock(&["alpha 2.0.0-rc.1", PINNED[1], PINNED[2]]);
    stage.run(&["update"]).ok();
    assert_eq!(show("alpha"), "two, nearly");
    assert_eq!(show("alpha@1.1.0"), "one and a bit");
    assert_eq!(stage.upstream.count("*") - asked, 2);
}

#[test]
fn the_same_contents_give_the_same_tree_whatever_the_order() {
    let (one, other) = (Stage::new(), Stage::new());
    // The same process signs both registries with the same key, so the entries are equal too.
    one.run(&["update"]).ok();
    one.lock(&["alpha 1.1.0", PINNED[1]]);
    one.run(&["update"]).ok();
    other.lock(&["alpha 1.1.0"]);
    other.run(&["update"]).ok();
    other.lock(&PINNED);
    other.run(&["update"]).ok();
    assert_eq!(one.git(&["rev-parse", "hexmirror^{tree}"]), other.git(&["rev-parse", "hexmirror^{tree}"]));
    assert_ne!(one.tip(), other.tip());
}

#[test]
fn the_commit_message_is_a_changelog() {
    let stage = Stage::mirrored();
    let message = stage.git(&["log", "-1", "--format=%B", "hexmirror"]);
    assert!(message.starts_with("Add 3 packages: alpha 1.0.0, beta 0.3.0, delta 4.5.6+build.7\n"), "{message}");
    let lock = checksum(&fs::read(stage.project.join("mix.lock")).unwrap());
    assert!(message.contains(&format!("Lock: mix.lock sha256:{lock}")), "{message}");
    assert!(message.contains(&format!("Project-Commit: {}", stage.git(&["rev-parse", "HEAD"]))), "{message}");
}

#[test]
fn a_dry_run_reports_changes_and_makes_none() {
    let stage = Stage::new();
    let ran = stage.run(&["update", "--dry-run", "--json"]).exits(1);
    let would: Vec<_> = ran.json()["to_add"].as_array().unwrap().iter().map(|pin| pin["package"].clone()).collect();
    assert_eq!(would, ["alpha", "beta", "delta"]);
    assert_eq!(ran.json()["dry_run"], true);
    stage.run(&["update", "-n"]).exits(1).silent().prints("3 releases would be fetched:\n  missing alpha 1.0.0\n");
    assert_eq!((stage.tip(), stage.upstream.count("*")), (None, 0));
    stage.run(&["update"]).ok();
    stage.run(&["update", "-n"]).ok().silent().prints("nothing would be fetched");
}

#[test]
fn a_refresh_fetches_entries_but_no_tarballs() {
    let mut stage = Stage::mirrored();
    let tip = stage.tip();
    let ran = stage.run(&["update", "--refresh"]).ok();
    assert_eq!(stage.tip(), tip, "nothing changed upstream");
    assert!(ran.stderr.starts_with("unchanged: hexmirror at ") && !ran.stderr.contains("updated"), "{ran:?}");
    assert_eq!(stage.upstream.count("/packages/gamma"), 2);
    stage.registry.retire("alpha 1.0.0", "late");
    stage.registry.put(&stage.upstream);
    let ran = stage.run(&["update", "--refresh", "--json"]).ok();
    assert_eq!(ran.json()["entries"], 4);
    assert_ne!(stage.tip(), tip);
    assert_eq!(stage.upstream.count("/tarballs/alpha-1.0.0.tar"), 1);
    let stored = stage.sandbox.try_git(&stage.project, &["cat-file", "blob", "hexmirror:hex/hexpm/registry/8e/alpha"]);
    assert_eq!(stored.stdout, stage.registry.signed("alpha"));
    stage.run(&["verify"]).ok();
}

#[test]
fn jobs_bound_the_requests_that_run_at_once() {
    for (arguments, variables, most) in [
        (["update", "--jobs=1"].as_slice(), [("HEXMIRROR_JOBS", "5")], 1),
        (&["update"], [("HEX_HTTP_CONCURRENCY", "1")], 1),
        (&["update"], [("HEXMIRROR_JOBS", "2")], 2),
    ] {
        let stage = Stage::new();
        stage.run_with(arguments, &variables).ok();
        assert!(stage.upstream.peak() <= most, "{arguments:?} {variables:?}");
    }
    let stage = Stage::new();
    stage.run(&["update", "--jobs=0"]).exits(2);
    stage.run(&["update", "--jobs=1000"]).exits(2);
}

#[test]
fn a_retry_does_not_fetch_again_what_was_fetched_before_a_failure() {
    let stage = Stage::new();
    stage.upstream.fail("/tarballs/delta-4.5.6+build.7.tar", 1, Fault::Status(404, None));
    let ran = stage.run(&["update"]).exits(3).says("delta-4.5.6+build.7.tar was not found");
    assert_eq!((stage.tip(), ran.stdout.as_str()), (None, ""));
    stage.run(&["update"]).ok();
    assert_eq!(stage.upstream.count("/tarballs/alpha-1.0.0.tar"), 1);
    assert_eq!(stage.upstream.count("/tarballs/beta-0.3.0.tar"), 1);
    assert_eq!(stage.upstream.count("/tarballs/delta-4.5.6+build.7.tar"), 2);
    assert!(!stage.project.join(".git/hexmirror/downloads").exists());
}

#[test]
fn a_stored_release_costs_one_pack_and_no_loose_objects() {
    let stage = Stage::mirrored();
    let counted = stage.git(&["count-objects", "-v"]);
    let count = |name: &str| {
        let line = counted.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap();
        line.parse::<usize>().unwrap()
    };
    assert_eq!(count("packs"), 1);
    // The project's own commit and its tree.
    assert!(count("count") <= 2, "{counted}");
    assert_eq!(count("garbage"), 0);
}

#[test]
fn the_users_index_worktree_and_head_are_left_alone() {
    let stage = Stage::new();
    stage.write("half-done.ex", "x");
    stage.git(&["add", "half-done.ex"]);
    let state = || {
        let index = fs::read(stage.project.join(".git/index")).unwrap();
        (index, stage.git(&["status", "--porcelain"]), stage.git(&["rev-parse", "HEAD"]))
    };
    let before = state();
    stage.run(&["update"]).ok();
    assert_eq!(state(), before);
}
