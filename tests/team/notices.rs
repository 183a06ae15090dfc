//! What `status` says besides whether the mirror is fresh: what was not pushed yet, and missing hooks.

use std::fs;

use serde_json::json;

use crate::team::{Team, script};

const UNPUSHED: &str = "not pushed yet";
const NO_HOOKS: &str = "no hooks";

#[test]
fn what_the_remote_lacks_is_said_until_it_is_pushed() {
    let (team, one) = Team::hooked();
    let unpushed = || team.run(&one, &["status", "--json"]).ok().json()["unpushed"].clone();
    let missing =
        "not pushed yet: origin has no hexmirror, as far as this clone knows; run `git hexmirror push origin`\n";
    team.run(&one, &["status"]).ok().says(missing);
    assert_eq!(unpushed(), "origin");
    team.run(&one, &["push"]).ok();
    team.run(&one, &["status"]).ok().silent();
    assert_eq!(unpushed(), json!(null));
    // A colleague's push leaves nothing to do here, although the mirrors differ.
    let two = team.clone("two");
    team.run(&two, &["hooks", "install"]).ok();
    team.commit_lock(&two, &["alpha 1.0.0", "left 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["status"])
        .ok()
        .says("not pushed yet: origin's hexmirror, as last fetched, is behind; run `git hexmirror push origin`\n");
    team.run(&two, &["push"]).ok();
    team.git(&one, &["fetch", "--quiet"]).ok();
    team.run(&one, &["status"]).ok().silent();
    // Diverged: each has something that the other lacks.
    team.commit_lock(&one, &["alpha 1.0.0", "right 1.0.0"]);
    let own = team.ask(&one, &["rev-parse", "refs/remotes/origin/hexmirror"]);
    team.git(&one, &["update-ref", "-d", "refs/remotes/origin/hexmirror"]).ok();
    team.run(&one, &["update"]).ok();
    team.git(&one, &["update-ref", "refs/remotes/origin/hexmirror", &own]).ok();
    team.run(&one, &["status"]).ok().says(UNPUSHED);
}

#[test]
fn nothing_is_said_of_a_push_that_nobody_wants() {
    let (team, one) = Team::hooked();
    team.git(&one, &["config", "hexmirror.prePush", "off"]).ok();
    team.run(&one, &["status"]).ok().silent();
    // A mirror that must be updated first.
    team.git(&one, &["config", "--unset", "hexmirror.prePush"]).ok();
    team.commit_lock(&one, &["alpha 1.0.0", "left 1.0.0"]);
    let ran = team.run(&one, &["status"]).exits(1);
    assert!(!ran.stderr.contains(UNPUSHED), "{ran:#?}");
    // No remote.
    team.git(&one, &["remote", "remove", "origin"]).ok();
    team.run(&one, &["update"]).ok();
    team.run(&one, &["status"]).ok().silent();
}

#[test]
fn a_clone_without_hooks_is_told_how_to_install_them() {
    let (team, one) = Team::hooked();
    team.run(&one, &["push"]).ok();
    let two = team.clone("two");
    let says = |variables: &[(&str, &str)]| {
        let run = |arguments: &[&str]| {
            let mut command = team.stage.bare_command_in(&two, arguments);
            crate::support::stage::Ran::of(command.envs(variables.iter().copied())).ok()
        };
        let (said, document) = (run(&["status"]), run(&["status", "--json"]).json());
        let says = said.stderr.contains("no hooks that keep the mirror fresh; run `git hexmirror hooks install`\n");
        assert_eq!(document["lacks_hooks"], json!(says));
        assert_eq!(said.stderr.contains(NO_HOOKS), says);
        says
    };
    assert!(says(&[]));
    assert!(!says(&[("CI", "true")]) && !says(&[("CI", "1")]) && says(&[("CI", "false")]));
    // Settings that turn the hooks off, one of which leaves the other.
    assert!(says(&[("HEXMIRROR_PRE_PUSH", "off")]) && says(&[("HEXMIRROR_POST_CHECKOUT", "off")]));
    assert!(!says(&[("HEXMIRROR_PRE_PUSH", "off"), ("HEXMIRROR_POST_CHECKOUT", "off")]));
    // Another program's hook is no reason, unless it calls this program.
    let hooks = two.join(".git/hooks");
    script(&hooks.join("pre-push"), "#!/bin/sh\nexit 0\n");
    assert!(says(&[]));
    script(&hooks.join("pre-push"), "#!/bin/sh\ngit hexmirror hook pre-push \"$@\"\n");
    assert!(!says(&[]));
    fs::remove_file(hooks.join("pre-push")).unwrap();
    fs::write(two.join("lefthook.yml"), "post-merge:\n  jobs:\n    - run: git hexmirror hook post-merge {1}\n")
        .unwrap();
    assert!(!says(&[]));
    fs::remove_file(two.join("lefthook.yml")).unwrap();
    assert!(says(&[]));
    team.run(&two, &["hooks", "install"]).ok();
    assert!(!says(&[]));
    // Like lefthook, which renames the hook that it replaces.
    fs::rename(hooks.join("pre-push"), hooks.join("pre-push.old")).unwrap();
    script(&hooks.join("pre-push"), "#!/bin/sh\nexit 0\n");
    let replaced = |variables: &[(&str, &str)]| {
        let mut command = team.stage.bare_command_in(&two, &["status"]);
        let ran = crate::support::stage::Ran::of(command.envs(variables.iter().copied())).ok();
        ran.stderr.contains("the pre-push hook of this clone no longer calls git hexmirror")
    };
    assert!(replaced(&[]) && !replaced(&[("HEXMIRROR_PRE_PUSH", "off")]));
    fs::write(two.join("lefthook.yml"), "pre-push:\n  jobs:\n    - run: git hexmirror hook pre-push {1}\n").unwrap();
    assert!(!replaced(&[]));
    fs::remove_file(two.join("lefthook.yml")).unwrap();
    fs::rename(hooks.join("pre-push.old"), hooks.join("pre-push")).unwrap();
    assert!(!replaced(&[]));
    team.run(&two, &["hooks", "uninstall"]).ok();
    // Hooks that other repositories use too cannot be installed.
    let shared = team.stage.sandbox.path().join("shared-hooks");
    fs::create_dir(&shared).unwrap();
    team.git(&two, &["config", "core.hooksPath", shared.to_str().unwrap()]).ok();
    assert!(!says(&[]));
}

#[test]
fn hooks_are_not_mentioned_without_a_mirror_or_a_worktree() {
    let team = Team::new();
    let ran = team.run(&team.stage.project, &["status"]).exits(1);
    assert!(!ran.stderr.contains(NO_HOOKS), "{ran:#?}");
    team.run(&team.stage.project, &["update"]).ok();
    team.run(&team.stage.project, &["status"]).ok().says(NO_HOOKS);
    team.run(&team.stage.project, &["push"]).ok();
    let ran = team.run(&team.remote, &["status"]).ok();
    assert!(!ran.stderr.contains(NO_HOOKS), "{ran:#?}");
}
