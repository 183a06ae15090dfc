//! `push` and `pull`, without hooks.

use std::fs;

use crate::support::registry::Registry;
use crate::support::stage::{PINNED, Ran};
use crate::team::{Team, registry, script};

#[test]
fn a_mirror_is_pushed_and_pulled_by_another_clone() {
    let team = Team::new();
    let (one, two) = (team.stage.project.clone(), team.clone("two"));
    team.run(&one, &["pull"]).exits(3).says("origin has no branch hexmirror");
    team.run(&one, &["push"]).exits(5).says("has no mirror branch");
    team.run(&one, &["update"]).ok();
    let document = team.run(&one, &["push", "--json"]).ok().json();
    assert_eq!((&document["pushed"], &document["attempts"]), (&true.into(), &1.into()));
    assert_eq!(document["commit"], team.tip(&one).unwrap());
    assert_eq!(team.tip(&team.remote), team.tip(&one));
    assert_eq!(team.tip_of(&one, "refs/remotes/origin/hexmirror"), team.tip(&one));
    team.run(&one, &["push", "origin"]).ok().says("origin already has hexmirror at");
    let asked = team.stage.upstream.count("*");
    team.run(&two, &["pull"]).ok().says("adopted hexmirror from origin").says("3 releases, 4 registry entries");
    team.run(&two, &["status"]).ok();
    team.run(&two, &["pull"]).ok().says("hexmirror is up to date with origin");
    assert_eq!(team.stage.upstream.count("*"), asked);
    // Only the branch moves, and the user's own work is not modified.
    assert_eq!(team.ask(&two, &["status", "--porcelain"]), "");
    team.is_whole(&two);
}

#[test]
fn new_commits_are_fast_forwarded() {
    let team = Team::new();
    let (one, two) = (team.stage.project.clone(), team.clone("two"));
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    team.run(&two, &["pull"]).ok();
    team.lock(&two, &["alpha 1.1.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["pull"]).ok().says("is ahead of origin");
    team.run(&two, &["push"]).ok();
    let document = team.run(&one, &["pull", "--json"]).ok().json();
    assert_eq!((&document["way"], &document["releases"]), (&"forwarded".into(), &1.into()));
    assert_eq!(team.tip(&one), team.tip(&two));
    let log = team.ask(&one, &["reflog", "-1", "--format=%gs", "hexmirror"]);
    assert_eq!(log, "hexmirror: pulled from origin");
}

#[test]
fn a_push_that_only_integrates_reports_like_a_pull() {
    let team = Team::with(registry(), &PINNED);
    let (one, two) = (team.stage.project.clone(), team.clone("two"));
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    team.run(&two, &["pull"]).ok();
    team.lock(&two, &["left 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    let ran = team.run(&one, &["push"]).ok().says("pulled hexmirror from origin, at ");
    ran.says(", with 1 release, 1 registry entry\n");
    team.commit(&two, "Left");
    team.git(&two, &["push", "--quiet", "origin", "main"]).ok();
    team.run(&two, &["prune", "--keep-days=0"]).ok();
    team.run(&two, &["push"]).ok();
    team.git(&one, &["fetch", "--quiet", "origin", "main"]).ok();
    team.git(&one, &["checkout", "--quiet", "--force", "-B", "main", "origin/main"]).ok();
    let document = team.run(&one, &["push", "--json"]).ok().json();
    assert_eq!((&document["pushed"], &document["way"]), (&false.into(), &"forwarded".into()));
    assert_eq!(document["merged"]["pruned"], PINNED.len());
    assert_eq!(team.releases(&one), ["left 1.0.0"]);
    let document = team.run(&one, &["push", "--json"]).ok().json();
    assert_eq!((&document["pushed"], &document["way"]), (&false.into(), &"up-to-date".into()));
    // What was compacted there, too.
    team.run(&two, &["compact"]).ok();
    team.run(&two, &["push", "--force-with-lease"]).ok();
    team.run(&one, &["push"]).ok().says("moved hexmirror to origin's, which was compacted");
    assert_eq!(team.tip(&one), team.tip(&two));
}

#[test]
fn mirrors_that_diverged_are_merged_both_ways() {
    let mut team = Team::with(registry(), &PINNED);
    let (one, two) = (team.stage.project.clone(), team.clone("two"));
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    team.run(&two, &["pull"]).ok();
    team.lock(&one, &["alpha 1.1.0", "left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    // Only the second clone has upstream's latest information about alpha.
    team.stage.registry.retire("alpha 1.0.0", "late");
    team.stage.registry.put(&team.stage.upstream);
    team.lock(&two, &["alpha 2.0.0-rc.1", "right 1.0.0"]);
    team.run(&two, &["update", "--refresh"]).ok();
    team.run(&one, &["push"]).ok();
    let (of_one, of_two) = (team.tip(&one).unwrap(), team.tip(&two).unwrap());
    let document = team.run(&two, &["push", "--json"]).ok().json();
    assert_eq!(document["merged"], serde_json::json!({ "releases": 2, "entries": 1, "revisions": 0, "pruned": 0 }));
    assert_eq!(document["attempts"], 2);
    assert_eq!(team.ask(&two, &["log", "-1", "--format=%P", "hexmirror"]), format!("{of_two} {of_one}"));
    let message = team.ask(&two, &["log", "-1", "--format=%B", "hexmirror"]);
    assert_eq!(message, "Merge the mirror of origin: 2 packages, 1 registry entry\n\nalpha 1.1.0\nleft 1.0.0");
    let all = [
        "alpha 1.0.0",
        "alpha 1.1.0",
        "alpha 2.0.0-rc.1",
        "beta 0.3.0",
        "delta 4.5.6+build.7",
        "left 1.0.0",
        "right 1.0.0",
    ];
    assert_eq!(team.releases(&two), all);
    team.run(&one, &["pull"]).ok().says("pulled hexmirror from origin");
    assert_eq!(team.tip(&one), team.tip(&two));
    for (folder, highest) in [(&one, "two, nearly"), (&two, "two, nearly")] {
        let stable = team.ask(folder, &["show", "hexmirror:hex/hexpm/packages/8e/alpha/contents/lib/alpha.ex"]);
        assert_eq!(stable, highest);
        team.run(folder, &["status"]).ok();
        team.is_whole(folder);
    }
    // The retirement is kept, also in the clone that had the older entry.
    let entry = team.stage.sandbox.try_git(&one, &["cat-file", "blob", "hexmirror:hex/hexpm/registry/8e/alpha"]).stdout;
    assert_eq!(entry, team.stage.registry.signed("alpha"));
    team.is_whole(&team.remote);
}

#[test]
fn the_merge_is_the_same_tree_whoever_makes_it() {
    let team = Team::with(registry(), &PINNED);
    let (one, two) = (team.stage.project.clone(), team.clone("two"));
    team.lock(&one, &["alpha 1.1.0", "left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.lock(&two, &["alpha 1.0.0", "right 1.0.0"]);
    team.run(&two, &["update"]).ok();
    // The two histories are unrelated.
    team.run(&one, &["pull", two.to_str().unwrap()]).ok().says("merged hexmirror");
    let merged = team.ask(&one, &["rev-parse", "hexmirror^{tree}"]);
    team.run(&two, &["pull", one.to_str().unwrap()]).ok();
    assert_eq!(team.ask(&two, &["rev-parse", "hexmirror^{tree}"]), merged);
    let three = team.clone("three");
    for pinned in [["alpha 1.0.0", "right 1.0.0"], ["alpha 1.1.0", "left 1.0.0"]] {
        team.lock(&three, &pinned);
        team.run(&three, &["update"]).ok();
    }
    assert_eq!(team.ask(&three, &["rev-parse", "hexmirror^{tree}"]), merged);
}

#[test]
fn a_shallow_mirror_can_be_updated_merged_and_pushed() {
    let team = Team::with(registry(), &PINNED);
    let one = team.stage.project.clone();
    for pinned in [&PINNED[..1], &PINNED[..2], &PINNED[..]] {
        team.lock(&one, pinned);
        team.run(&one, &["update"]).ok();
    }
    team.run(&one, &["push"]).ok();
    let address = format!("file://{}", team.remote.display());
    team.stage.sandbox.git("", &["clone", "--quiet", "--depth=1", &address, "two"]);
    let two = team.stage.sandbox.path().join("two");
    team.configure(&two);
    team.git(&two, &["fetch", "--quiet", "--depth=1", "origin", "hexmirror:hexmirror"]).ok();
    assert_eq!(team.ask(&two, &["rev-list", "--count", "hexmirror"]), "1");
    team.lock(&one, &["left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    team.lock(&two, &["right 1.0.0"]);
    team.run(&two, &["update"]).ok();
    let document = team.run(&two, &["push", "--json"]).ok().json();
    assert_eq!(document["merged"]["releases"], 1);
    team.run(&one, &["pull"]).ok().says("pulled");
    assert_eq!(team.tip(&one), team.tip(&two));
    team.is_whole(&one);
    team.is_whole(&two);
}

#[test]
fn a_full_name_keeps_the_mirror_out_of_the_branches() {
    let team = Team::new();
    let (one, two) = (team.stage.project.clone(), team.clone("two"));
    let name = "refs/hexmirror/main";
    for folder in [&one, &two] {
        team.git(folder, &["config", "hexmirror.branch", name]).ok();
    }
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    assert_eq!(team.ask(&team.remote, &["for-each-ref", "--format=%(refname)"]), format!("refs/heads/main\n{name}"));
    team.run(&two, &["pull"]).ok();
    team.lock(&two, &["alpha 1.1.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    team.run(&one, &["pull"]).ok().says("pulled refs/hexmirror/main from origin");
    assert_eq!(team.tip_of(&one, name), team.tip_of(&two, name));
    // The remote's tip is recorded where `git fetch --prune` does not remove it.
    team.git(&one, &["fetch", "--quiet", "--prune"]).ok();
    assert_eq!(team.tip_of(&one, "refs/hexmirror-remotes/origin/hexmirror/main"), team.tip_of(&one, name));
}

#[test]
fn a_missing_remote_is_reported() {
    let team = Team::new();
    let one = team.stage.project.clone();
    team.run(&one, &["update"]).ok();
    let tip = team.tip(&one);
    fs::rename(&team.remote, team.stage.sandbox.path().join("gone")).unwrap();
    team.run(&one, &["push"]).exits(3).says("there is no repository at origin");
    team.run(&one, &["pull", "--json"]).exits(3).says("there is no repository at origin");
    team.run(&one, &["pull"]).exits(3).says("hint: check that `git ls-remote origin` works");
    for command in ["push", "pull"] {
        let ran = team.run(&one, &[command, "http://127.0.0.1:9/x.git"]).exits(3).says("cannot reach ");
        assert!(!ran.stderr.contains("git hexmirror update") && ran.stderr.contains("git remote -v"), "{ran:?}");
    }
    team.run(&one, &["push", "--", "--upload-pack=touch x"]).exits(2).says("is not the name or URL");
    team.git(&one, &["remote", "remove", "origin"]).ok();
    for command in ["push", "pull"] {
        let ran = team.run(&one, &[command]).exits(2).says("no remote given").says("git remote add origin URL");
        assert!(!ran.stderr.contains("push REMOTE"), "{ran:?}");
    }
    assert_eq!(team.tip(&one), tip);
}

#[test]
fn a_remote_that_refuses_the_branch_is_not_asked_again() {
    let team = Team::new();
    let one = team.stage.project.clone();
    team.run(&one, &["update"]).ok();
    let hook = team.remote.join("hooks/pre-receive");
    script(&hook, "#!/bin/sh\necho no mirrors here >&2\necho >>\"$0.count\"\nexit 1\n");
    team.run(&one, &["push"]).exits(3).says("origin rejected the push of refs/heads/hexmirror").says("no mirrors here");
    assert_eq!(fs::read_to_string(team.remote.join("hooks/pre-receive.count")).unwrap(), "\n");
}

/// The behaviour and messages of GitLab's push rules and GitHub's push protection.
const PUSH_RULE: &str = r#"#!/bin/sh
while read old new ref; do
    for path in $(git rev-list --objects "$new" --not --all | sed -n 's/^[0-9a-f]* \(.*\.pem\)$/\1/p'); do
        echo "GitLab: File name $path was prohibited by the pattern \"\.pem$\"." >&2
        exit 1
    done
done
"#;

#[test]
fn a_package_that_a_push_rule_refuses_can_be_stored_as_its_tarball() {
    let mut registry = Registry::sample();
    registry.publish("castore 1.0.0", &[], &[("priv/cacerts.pem".into(), "-----BEGIN CERTIFICATE-----".into())]);
    let team = Team::with(registry, &["castore 1.0.0", PINNED[0]]);
    let one = team.stage.project.clone();
    team.run(&one, &["update"]).ok();
    script(&team.remote.join("hooks/pre-receive"), PUSH_RULE);
    let refused = |ran: Ran| {
        assert_ne!(ran.code, Some(0));
        ran.says("File name hex/hexpm/packages/71/castore/contents/priv/cacerts.pem was prohibited")
            .says("git config --add hexmirror.opaque castore`");
        assert_eq!(team.tip(&team.remote), None);
    };
    refused(team.run(&one, &["push"]));
    team.run(&one, &["hooks", "install"]).ok();
    fs::write(one.join("notes"), "").unwrap();
    team.commit(&one, "Take notes");
    refused(team.git(&one, &["push", "origin", "main"]));

    team.git(&one, &["config", "--add", "hexmirror.opaque", "castore"]).ok();
    team.run(&one, &["update"]).ok().says("castore 1.0.0");
    assert!(!team.ask(&one, &["ls-tree", "-r", "--name-only", "hexmirror"]).contains(".pem"));
    team.is_whole(&one);
    let tip = team.tip(&one);
    team.run(&one, &["update"]).ok();
    assert_eq!(team.tip(&one), tip, "there is nothing more to do");
    refused(team.run(&one, &["push"]));
    team.run(&one, &["compact"]).ok();
    team.run(&one, &["push"]).ok();
    assert_eq!(team.tip(&team.remote), team.tip(&one));
}

#[test]
fn a_remote_branch_that_is_not_a_mirror_is_not_modified() {
    let team = Team::new();
    let one = team.stage.project.clone();
    team.git(&one, &["push", "--quiet", "origin", "main:hexmirror"]).ok();
    let there = team.tip(&team.remote);
    team.run(&one, &["update"]).exits(5);
    // Nor if this clone does not know of it and must ask.
    team.git(&one, &["update-ref", "-d", "refs/remotes/origin/hexmirror"]).ok();
    team.run(&one, &["update"]).exits(5).says("is not a mirror");
    assert_eq!((team.tip(&one), team.tip(&team.remote)), (None, there.clone()));
    team.git(&one, &["push", "--quiet", "origin", ":hexmirror"]).ok();
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "main:hexmirror"]).ok();
    let here = team.tip(&one);
    team.run(&one, &["push"]).exits(5).says("is not a mirror");
    team.run(&one, &["pull"]).exits(5).says("is not a mirror");
    assert_eq!((team.tip(&one), team.tip(&team.remote)), (here, there));
}

#[test]
fn a_mirror_deleted_on_the_remote_is_pushed_again() {
    let team = Team::new();
    let one = team.stage.project.clone();
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    team.git(&team.remote, &["update-ref", "-d", "refs/heads/hexmirror"]).ok();
    let tip = team.tip(&one);
    team.run(&one, &["pull"]).exits(3).says("origin has no branch hexmirror");
    assert_eq!(team.tip_of(&one, "refs/remotes/origin/hexmirror"), None);
    team.run(&one, &["push"]).ok().says("pushed");
    assert_eq!((team.tip(&one), team.tip(&team.remote)), (tip.clone(), tip));
}

#[test]
fn works_from_a_subfolder_another_worktree_and_a_relative_address() {
    let team = Team::new();
    let one = team.stage.project.clone();
    team.git(&one, &["remote", "set-url", "origin", "../remote.git"]).ok();
    fs::create_dir_all(one.join("lib/deep")).unwrap();
    team.run(&one, &["update"]).ok();
    team.run(one.join("lib/deep"), &["push"]).ok();
    team.git(&one, &["worktree", "add", "--quiet", "../linked", "-b", "other"]).ok();
    let linked = team.stage.sandbox.path().join("linked");
    team.run(&linked, &["push"]).ok().says("already");
    team.run(&linked, &["pull"]).ok();
}

#[test]
fn a_partial_clone_reports_missing_objects_and_how_to_fetch_them() {
    let team = Team::new();
    team.run(&team.stage.project, &["update"]).ok();
    team.run(&team.stage.project, &["push"]).ok();
    team.git(&team.remote, &["config", "uploadpack.allowFilter", "true"]).ok();
    let address = format!("file://{}", team.remote.display());
    team.stage.sandbox.git("", &["clone", "--quiet", "--filter=blob:none", &address, "partial"]);
    let partial = team.stage.sandbox.path().join("partial");
    team.configure(&partial);
    for command in [&["status"][..], &["verify"], &["run", "--", "true"], &["export", "../www"]] {
        let ran =
            team.run(&partial, command).exits(5).says("this is a partial clone").says("`git hexmirror pull origin`");
        assert!(!ran.stderr.contains("damaged"), "{ran:?}");
    }
    // git has fetched the manifest, but not the releases.
    let tree = team.git(&partial, &["ls-tree", "-r", "origin/hexmirror", "mirror.toml", "manifest"]).ok();
    for blob in tree.stdout.lines().map(|line| line.split_whitespace().nth(2).unwrap()) {
        team.git(&partial, &["cat-file", "blob", blob]).ok();
    }
    for command in [&["verify"][..], &["run", "--", "true"], &["export", "../www"]] {
        let ran =
            team.run(&partial, command).exits(5).says("this is a partial clone").says("`git hexmirror pull origin`");
        assert!(!ran.stderr.contains("damaged"), "{ran:?}");
    }
    team.run(&partial, &["pull", "origin"]).ok();
    team.run(&partial, &["status"]).ok().prints("fresh");
    team.run(&partial, &["verify"]).ok();
    team.run(&partial, &["init", "--no-hooks"]).ok();
    team.run(&partial, &["prune", "--dry-run"]).ok();
}
