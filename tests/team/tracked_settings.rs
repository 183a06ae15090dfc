//! What the `.hexmirror.toml` of a branch can do to a user who checks it out: nothing until they allow it.

use std::fs;
use std::path::PathBuf;

use git_hexmirror::hex::gzip::gzip;

use crate::support::registry::{Registry, key, other_key};
use crate::support::stage::{PINNED, Stage};
use crate::team::{Team, forged, registry};

const INACTIVE: &str = "inactive until you allow them; run `git hexmirror trust` for details";

/// A Hex repository of the attacker's, whose entries are signed with their own key.
fn hostile_server() -> Stage {
    let mut hostile = Registry::sample();
    hostile.publish("evil 1.0.0", &[], &[("lib/evil.ex".into(), "evil".into())]);
    for entry in ["alpha", "beta", "delta", "gamma", "evil"] {
        let forged = gzip(&forged(&hostile, entry));
        hostile.forge(entry, forged);
    }
    Stage::without_lock(hostile)
}

/// A team with a shared mirror, the clone of a reviewer, who has the hooks and no settings of their own, and what the
/// attackers write.
struct Attack {
    team: Team,
    reviewer: PathBuf,
    hostile: Stage,
}

impl Attack {
    /// Pushes a branch `review` with the attacker's settings and lock. `{URL}` stands for their server's address.
    fn with(settings: &str) -> Self {
        let (team, one) = Team::hooked();
        team.run(&one, &["push"]).ok();
        let reviewer = team.clone("reviewer");
        team.run(&reviewer, &["init"]).ok();
        let hostile = hostile_server();
        let mallory = team.clone("mallory");
        team.git(&mallory, &["switch", "--quiet", "--create", "review"]).ok();
        fs::write(mallory.join(".hexmirror.toml"), settings.replace("{URL}", &hostile.upstream.url())).unwrap();
        fs::write(mallory.join("evil.pem"), other_key().public_key().to_pem()).unwrap();
        let lock = hostile.registry.mix_lock(&["alpha 1.0.0", "evil 1.0.0"]);
        fs::write(mallory.join("mix.lock"), lock).unwrap();
        team.commit(&mallory, "Review this");
        team.git(&mallory, &["push", "--quiet", "origin", "review"]).ok();
        team.git(&reviewer, &["fetch", "--quiet"]).ok();
        team.received();
        Self { team, reviewer, hostile }
    }

    /// Removes the reviewer's own address and key of hexpm.
    fn without_own_settings(self) -> Self {
        self.team.git(&self.reviewer, &["config", "--remove-section", "hexmirror.hexpm"]).ok();
        self
    }

    fn refs(&self) -> String {
        self.team.ask(&self.reviewer, &["for-each-ref", "--format=%(refname) %(objectname)", "refs/heads/hexmirror"])
    }
}

#[test]
fn a_checkout_asks_no_server_of_the_branchs_and_no_push_takes_its_entries_along() {
    let attack = Attack::with(
        "[repositories.hexpm]\nurl = \"{URL}\"\npublic_key = \"evil.pem\"\n[hooks]\npost_checkout = \"update\"\n",
    )
    .without_own_settings();
    let (team, reviewer) = (&attack.team, &attack.reviewer);
    let before = (attack.refs(), team.tip(&team.remote));
    let ran = team.git(reviewer, &["checkout", "--quiet", "review"]).ok();
    let line = format!(
        "warning: hooks.post_checkout, repositories.hexpm.url, repositories.hexpm.public_key in .hexmirror.toml are {INACTIVE}\n"
    );
    assert_eq!((attack.hostile.upstream.connections(), attack.refs()), (0, before.0.clone()));
    assert_eq!(ran.stderr.matches(&line).count(), 1, "{ran:?}");
    assert!(ran.stderr.contains("it lacks evil 1.0.0"), "{ran:?}");
    // The next push is about other work, with another lock of the team's.
    team.git(reviewer, &["switch", "--quiet", "main"]).ok();
    team.commit_lock(reviewer, &PINNED[..2]);
    team.git(reviewer, &["push", "--quiet"]).ok();
    assert_eq!((attack.refs(), team.tip(&team.remote)), before);
    assert!(!team.releases(reviewer).contains(&"evil 1.0.0".to_owned()));
    assert_eq!(attack.hostile.upstream.connections(), 0);
}

#[test]
fn a_push_creates_no_branch_that_only_tracked_settings_name() {
    let attack = Attack::with(
        "branch = \"refs/heads/deploy/production\"\nlocks = [\"own.lock\"]\n[hooks]\npost_checkout = \"update\"\n",
    );
    let (team, reviewer) = (&attack.team, &attack.reviewer);
    let ran = team.git(reviewer, &["checkout", "--quiet", "review"]).ok();
    // The reviewer continues with that branch in good faith, with every command that writes.
    fs::write(reviewer.join("own.lock"), team.stage.registry.mix_lock(&["alpha 1.0.0", "left 1.0.0"])).unwrap();
    let updated = team.run(reviewer, &["update"]).ok();
    team.commit(reviewer, "Go on");
    let pushed = team.git(reviewer, &["push", "--quiet", "origin", "review"]).ok();
    team.run(reviewer, &["push"]).ok();
    for folder in [reviewer, &team.remote] {
        assert_eq!(team.tip_of(folder, "refs/heads/deploy/production"), None);
        assert!(team.tip(folder).is_some());
    }
    assert_eq!(team.tip(reviewer), team.tip(&team.remote));
    for ran in [ran, updated, pushed] {
        let line = format!("warning: branch, hooks.post_checkout in .hexmirror.toml are {INACTIVE}\n");
        assert_eq!(ran.stderr.matches(&line).count(), 1, "{ran:?}");
    }
}

#[test]
fn what_is_allowed_acts_until_it_changes() {
    let (team, one) = Team::hooked();
    let settings = "[hooks]\npost_checkout = \"update\"\n";
    fs::write(one.join(".hexmirror.toml"), settings).unwrap();
    team.commit(&one, "Settings");
    for (name, more) in [("left", ""), ("right", "pre_push = \"check\"\n"), ("pulling", "")] {
        team.git(&one, &["switch", "--quiet", "--create", name, "main"]).ok();
        let text = if name == "pulling" { settings.replace("update", "pull") } else { format!("{settings}{more}") };
        fs::write(one.join(".hexmirror.toml"), text).unwrap();
        team.commit_lock(&one, &["alpha 1.0.0", if name == "left" { "left 1.0.0" } else { "right 1.0.0" }]);
        team.git(&one, &["switch", "--quiet", "main"]).ok();
    }
    let switch = |branch: &str| team.git(&one, &["switch", "--quiet", branch]).ok();
    let tip = team.tip(&one);
    // Not yet, and not with the hash of something else.
    switch("left").says(INACTIVE).says("it lacks left 1.0.0");
    assert_eq!(team.tip(&one), tip);
    switch("main");
    team.run(&one, &["trust", "--yes"]).ok();
    let ran = switch("left");
    assert!(!ran.stderr.contains("inactive"), "{ran:?}");
    assert_ne!(team.tip(&one), tip);
    assert!(team.releases(&one).contains(&"left 1.0.0".to_owned()));
    // Other settings do not affect it.
    switch("right");
    assert!(team.releases(&one).contains(&"right 1.0.0".to_owned()));
    // Settings that were not shown are not allowed, and neither is anything after its revocation.
    switch("pulling").says(INACTIVE);
    switch("main");
    team.run(&one, &["trust", "--revoke"]).ok();
    switch("left").says(INACTIVE);
    // A hook inherits the variable from the user who runs git.
    switch("main");
    let hash = team.run(&one, &["trust", "--json"]).ok().json()["hash"].as_str().unwrap().to_owned();
    team.stage.sandbox.git(&one, &["update-ref", "refs/heads/hexmirror", &tip.unwrap()]);
    let mut git = team.stage.sandbox.command("git", &one);
    let ran = crate::support::stage::Ran::of(git.env("HEXMIRROR_TRUST", hash).args(["switch", "--quiet", "left"])).ok();
    assert!(!ran.stderr.contains("inactive"), "{ran:?}");
    assert!(team.releases(&one).contains(&"left 1.0.0".to_owned()));
}

#[test]
fn hooks_may_be_lowered_by_the_branch_alone() {
    let team = Team::with(registry(), &PINNED);
    let one = team.stage.project.clone();
    team.run(&one, &["init"]).ok();
    team.run(&one, &["update"]).ok();
    fs::write(one.join(".hexmirror.toml"), "[hooks]\npre_push = \"off\"\npost_checkout = \"off\"\n").unwrap();
    team.git(&one, &["switch", "--quiet", "--create", "left"]).ok();
    team.commit_lock(&one, &["left 1.0.0"]);
    team.git(&one, &["push", "--quiet", "origin", "left"]).ok().silent();
    team.git(&one, &["switch", "--quiet", "main"]).ok().silent();
    team.git(&one, &["switch", "--quiet", "left"]).ok().silent();
}

#[test]
fn a_hook_that_acts_uses_no_repository_that_only_the_branch_describes() {
    let (team, one) = Team::hooked();
    let update = "[hooks]\npost_checkout = \"update\"\n";
    // What the branch adds is signed with its own key, so that an update would succeed.
    let mut registry = Registry::sample();
    registry.publish("acme/evil 1.0.0", &[], &[("lib/evil.ex".into(), "evil".into())]);
    let hostile = Stage::without_lock(registry.clone());
    hostile.upstream.put("tarballs/evil-1.0.0.tar", &registry.get("acme/evil 1.0.0").tarball);
    let signed = registry.signed_as("acme/evil", "acme/evil", other_key());
    hostile.upstream.put("packages/evil", &gzip(&signed));
    let acme = format!("[repositories.acme]\nurl = \"{}\"\npublic_key = \"evil.pem\"\n", hostile.upstream.url());
    fs::write(one.join(".hexmirror.toml"), update).unwrap();
    team.commit(&one, "Settings");
    for (branch, settings) in [("same", format!("{update}{acme}")), ("own", acme.clone())] {
        team.git(&one, &["switch", "--quiet", "--create", branch, "main"]).ok();
        fs::write(one.join(".hexmirror.toml"), settings).unwrap();
        fs::write(one.join("evil.pem"), other_key().public_key().to_pem()).unwrap();
        fs::write(one.join("mix.lock"), registry.mix_lock(&["alpha 1.0.0", "acme/evil 1.0.0"])).unwrap();
        team.commit(&one, "Add acme");
        team.git(&one, &["switch", "--quiet", "main"]).ok();
    }
    let switch = |branch: &str| {
        team.git(&one, &["switch", "--quiet", "main"]).ok();
        team.git(&one, &["switch", "--quiet", branch]).ok()
    };
    team.run(&one, &["trust", "--yes"]).ok();
    let tip = team.tip(&one);
    let untouched = || assert_eq!((hostile.upstream.connections(), team.tip(&one)), (0, tip.clone()));
    let said =
        "hint: only .hexmirror.toml describes acme, so hooks do not fetch for this lock; `git hexmirror trust` shows";
    // The permission for the hook was given to a file that described no repository.
    switch("same").says(&format!("warning: hooks.post_checkout in .hexmirror.toml is {INACTIVE}")).says(said);
    untouched();
    // The user's own setting lets hooks act, but not for what only the branch describes.
    for action in ["update", "pull"] {
        team.git(&one, &["config", "hexmirror.postCheckout", action]).ok();
        for branch in ["same", "own"] {
            switch(branch).says("it lacks acme/evil 1.0.0").says(said);
            untouched();
        }
    }
    // With permission for exactly this, the hook acts, until the address or the key changes.
    team.git(&one, &["config", "hexmirror.postCheckout", "update"]).ok();
    team.run(&one, &["trust"]).ok().prints("repositories.acme.url").prints("(active, but not for hooks)");
    team.run(&one, &["trust", "--yes"]).ok();
    fs::write(one.join("evil.pem"), key().public_key().to_pem()).unwrap();
    team.commit(&one, "Change the key");
    switch("own").says(said);
    untouched();
    team.git(&one, &["reset", "--quiet", "--hard", "HEAD~1"]).ok();
    let ran = switch("own");
    assert!(!ran.stderr.contains("hint:") && hostile.upstream.connections() > 0, "{ran:?}");
    assert_ne!(team.tip(&one), tip);
}
