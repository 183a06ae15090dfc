//! Policies in mirrors that several users share.

use git_hexmirror::hex::gzip::gunzip;

use crate::signers::{edit, manifest};
use crate::support::registry::{checksum, key, other_key, policy};
use crate::team::Team;

const STRICT: &str = "hexpm:acme/strict";
const STORED: &str = "hex/hexpm:acme/registry/policies/strict";
const MIX_EXS: &str = "defmodule A.MixProject do\n  use Mix.Project\n  def project, do: [app: :a, hex: [policy: \"hexpm:acme/strict\"]]\nend\n";

/// A clone with hooks that has pushed, with an upstream that has a policy.
fn hooked() -> (Team, std::path::PathBuf) {
    let (team, one) = Team::hooked();
    team.stage.upstream.put("repos/acme/policies/strict", &policy(STRICT, "one", key()));
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    (team, one)
}

fn name_policy(team: &Team, folder: &std::path::Path) {
    std::fs::write(folder.join("mix.exs"), MIX_EXS).unwrap();
    team.commit(folder, "Policy");
}

#[test]
fn a_push_that_names_a_policy_takes_it_along() {
    let (team, one) = hooked();
    name_policy(&team, &one);
    let refused = team.git(&one, &["push", "--quiet", "origin", "main"]).exits(1);
    refused.says("it lacks the policy hexpm:acme/strict");
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok().says("pushed hexmirror to origin");
    let two = team.clone("two");
    team.run(&two, &["pull"]).ok();
    team.run(&two, &["status"]).ok();
    team.is_whole(&team.remote);
}

#[test]
fn a_policy_that_a_setting_names_is_taken_along_though_no_lock_has_changed() {
    let (team, one) = hooked();
    team.run(&one, &["push"]).ok();
    team.git(&one, &["config", "hexmirror.policies", STRICT]).ok();
    std::fs::write(one.join("README"), "text").unwrap();
    team.commit(&one, "Text");
    let refused = team.git(&one, &["push", "--quiet", "origin", "main"]).exits(1);
    refused.says("it lacks the policy hexpm:acme/strict");
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok().says("pushed hexmirror to origin");
    std::fs::write(one.join("README"), "another text").unwrap();
    team.commit(&one, "Text");
    let (ran, talked) = team.traced(&one, &["push", "--quiet", "origin", "main"]);
    assert_eq!(talked, ["push"], "{ran:?}");
}

#[test]
fn a_checkout_of_a_commit_that_names_a_policy_says_what_the_mirror_lacks() {
    let (team, one) = hooked();
    team.git(&one, &["switch", "--quiet", "--create", "policy"]).ok();
    name_policy(&team, &one);
    team.git(&one, &["switch", "--quiet", "main"]).ok();
    team.git(&one, &["switch", "--quiet", "policy"]).ok().says("it lacks the policy hexpm:acme/strict");
}

#[test]
fn mirrors_that_diverge_are_merged_with_their_policies() {
    let (team, one) = hooked();
    team.run(&one, &["push"]).ok();
    let two = team.clone("two");
    team.run(&two, &["pull"]).ok();
    name_policy(&team, &two);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    team.lock(&one, &["alpha 1.1.0"]);
    team.run(&one, &["update"]).ok();
    let pulled = team.run(&one, &["pull"]).ok().says("merged hexmirror").says("1 policy");
    assert!(!pulled.stderr.contains("nothing new"), "{pulled:?}");
    team.run(&one, &["verify"]).ok().says("1 policy");
    let policy_of = |folder| team.ask(folder, &["rev-parse", &format!("hexmirror:{STORED}")]);
    assert_eq!(policy_of(&one), policy_of(&two));
}

#[test]
fn a_policy_that_another_key_signed_is_neither_pulled_nor_pushed_nor_served() {
    let (team, one) = hooked();
    name_policy(&team, &one);
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    let two = team.clone("two");
    team.run(&two, &["pull"]).ok();
    let forged = gunzip(&policy(STRICT, "forged", other_key()), 1 << 20).unwrap();
    let line = format!("policy hexpm:acme strict {} {}\n", forged.len(), checksum(&forged));
    let text = manifest(&team, &two);
    let text: String =
        text.split_inclusive('\n').map(|old| if old.starts_with("policy ") { &line } else { old }).collect();
    edit(&team, &two, &[("manifest", text.as_bytes()), (STORED, &forged)]);
    let refused = "refused the policy hexpm:acme/strict";
    team.run(&two, &["verify"]).exits(4).prints("policy hexpm:acme/strict: it is not signed");
    team.run(&two, &["push"]).exits(4).says(refused);
    team.run(&two, &["export", "../www"]).exits(5).says("the policy hexpm:acme/strict");
    team.git(&two, &["push", "--quiet", "--no-verify", "origin", "hexmirror"]).ok();
    team.run(&one, &["pull"]).exits(4).says(refused);
    team.lock(&one, &["alpha 1.1.0"]);
    team.run(&one, &["update"]).ok();
    team.run(&one, &["pull"]).exits(4).says(refused);
    team.run(&one, &["verify"]).ok();
}
