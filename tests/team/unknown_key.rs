//! Hex repositories whose public key a clone does not know: what it takes over, keeps, verifies and pushes.

use std::fs;
use std::path::{Path, PathBuf};

use git_hexmirror::hex::gzip::gzip;

use crate::signers::{edit, manifest, other, own};
use crate::support::registry::{Registry, checksum, other_key};
use crate::team::{Team, registry};

const ENTRY: &str = "hex/other/registry/5d/thing";

/// A team whose upstream also has a Hex repository `other`.
fn with_other(team: &Team) {
    put_other(team, &team.stage.registry);
}

fn put_other(team: &Team, registry: &Registry) {
    for id in registry.ids().filter(|id| id.repository.to_string() == "other") {
        let tarball = &registry.get(&format!("{}/{} {}", id.repository, id.package, id.version)).tarball;
        team.stage.upstream.put(&format!("repos/other/tarballs/{}", id.tarball_name()), tarball);
        let signed = registry.signed(&format!("other/{}", id.package));
        team.stage.upstream.put(&format!("repos/other/packages/{}", id.package), &gzip(&signed));
    }
}

fn sample() -> Registry {
    let mut registry = registry();
    registry.publish("other/thing 1.0.0", &[], &[("a.ex".into(), "a".into())]);
    registry
}

fn url(team: &Team) -> String {
    format!("{}/repos/other", team.stage.upstream.url())
}

fn pem(team: &Team) -> String {
    team.stage.sandbox.path().join("hexpm.pem").to_str().unwrap().to_owned()
}

fn set_key(team: &Team, folder: &Path) {
    team.git(folder, &["config", "hexmirror.other.publicKey", &pem(team)]).ok();
}

/// Two clones whose mirrors have an entry of the repository. The first one does not know its key any more.
fn forgotten() -> (Team, PathBuf, PathBuf) {
    let team = Team::with(sample(), &["alpha 1.0.0"]);
    with_other(&team);
    let (one, two) = (team.stage.project.clone(), team.clone("two"));
    team.git(&one, &["config", "hexmirror.other.url", &url(&team)]).ok();
    set_key(&team, &one);
    let main = fs::read(one.join("mix.lock")).unwrap();
    team.lock(&one, &["alpha 1.0.0", "other/thing 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    fs::write(one.join("mix.lock"), main).unwrap();
    team.git(&one, &["config", "--remove-section", "hexmirror.other"]).ok();
    team.run(&two, &["pull"]).ok().says("did not check the registry entries of other");
    (team, one, two)
}

/// Puts an entry of another signer into a clone's mirror, and leaves the record of the signer. Pushes it with git alone.
fn attack(team: &Team, folder: &Path) {
    let signed = team.stage.registry.signed_as("other/thing", "other/thing", other_key());
    let line = format!("registry other thing {} {}", signed.len(), checksum(&signed));
    let text = manifest(team, folder);
    let lines = text.lines().map(|before| if before.starts_with("registry other thing ") { &line } else { before });
    let text = lines.collect::<Vec<_>>().join("\n") + "\n";
    edit(team, folder, &[("manifest", text.as_bytes()), (ENTRY, &signed)]);
    team.git(folder, &["push", "--quiet", "--no-verify", "origin", "hexmirror"]).ok();
}

fn entry(team: &Team, folder: &Path) -> Vec<u8> {
    team.stage.sandbox.try_git(folder, &["cat-file", "blob", &format!("hexmirror:{ENTRY}")]).stdout
}

#[test]
fn an_entry_that_cannot_be_verified_replaces_none() {
    let (team, one, two) = forgotten();
    attack(&team, &two);
    let (tip, known) = (team.tip(&one), team.stage.registry.signed("other/thing"));
    team.run(&one, &["pull"])
        .exits(4)
        .says("the registry entry of other/thing in the mirror of origin differs from the local one")
        .says("git config hexmirror.other.publicKey PATH");
    team.run(&one, &["push"])
        .exits(4)
        .says("1 registry entry of other, such as other/thing, would be pushed unverified");
    assert_eq!(team.tip(&one), tip);
    // With the key, it is plainly wrong.
    set_key(&team, &one);
    team.run(&one, &["pull"]).exits(4).says("refused the registry entry of other/thing");
    team.git(&one, &["config", "--remove-section", "hexmirror.other"]).ok();
    // A merge keeps the local one.
    team.lock(&one, &["alpha 1.0.0", "left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.run(&one, &["pull"]).ok().says("did not check the registry entries of other");
    assert_eq!(entry(&team, &one), known);
    assert!(manifest(&team, &one).contains(&format!("signer other {}\n", own())));
}

#[test]
fn without_a_key_that_nothing_needs_everything_else_goes_on() {
    let (team, one, _) = forgotten();
    let three = team.clone("three");
    team.run(&three, &["pull"]).ok().says("did not check the registry entries of other");
    for folder in [&one, &three] {
        let ran = team.run(folder, &["verify"]).ok();
        ran.says("did not check the registry entries of other").says("intact");
        let document = team.run(folder, &["verify", "--json"]).ok().json();
        assert_eq!(document["unverified"], serde_json::json!(["other/thing"]));
        team.run(folder, &["update", "--refresh"]).ok().says("did not check the registry entries of other");
    }
    // Mirrors that diverged are merged and pushed.
    team.lock(&one, &["alpha 1.0.0", "left 1.0.0"]);
    team.lock(&three, &["alpha 1.0.0", "right 1.0.0"]);
    for folder in [&one, &three] {
        team.run(folder, &["update"]).ok();
        team.run(folder, &["push"]).ok();
    }
    assert_eq!(team.tip(&three), team.tip(&team.remote));
    assert_eq!(entry(&team, &three), team.stage.registry.signed("other/thing"));
    // What a lock needs still takes the key.
    team.lock(&three, &["alpha 1.0.0", "other/thing 1.0.0"]);
    team.run(&three, &["update", "--refresh"])
        .exits(2)
        .says("no public key is configured for the Hex repository other");
}

#[test]
fn a_push_takes_no_entries_along_whose_key_only_another_branch_names() {
    let (team, one) = {
        let team = Team::with(sample(), &["alpha 1.0.0"]);
        with_other(&team);
        let one = team.stage.project.clone();
        team.run(&one, &["init"]).ok();
        team.run(&one, &["update"]).ok();
        team.run(&one, &["push"]).ok();
        (team, one)
    };
    // A branch to review, which describes a repository that nobody knows yet, and needs it.
    team.git(&one, &["switch", "--quiet", "--create", "review"]).ok();
    let settings = format!("[repositories.other]\nurl = \"{}\"\npublic_key = \"other.pem\"\n", url(&team));
    fs::write(one.join(".hexmirror.toml"), settings).unwrap();
    fs::copy(pem(&team), one.join("other.pem")).unwrap();
    team.commit_lock(&one, &["alpha 1.0.0", "other/thing 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.git(&one, &["switch", "--quiet", "main"]).ok();
    team.commit_lock(&one, &["alpha 1.0.0", "left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    let there = team.tip(&team.remote);
    let refused = |ran: crate::support::stage::Ran| {
        ran.says("1 registry entry of other, such as other/thing, would be pushed unverified")
            .says("git config hexmirror.other.publicKey PATH")
            .says("git hexmirror prune --keep-days 0");
        assert_eq!(team.tip(&team.remote), there);
    };
    refused(team.run(&one, &["push"]).exits(4));
    for refs in [&["main"][..], &["hexmirror"], &["main", "hexmirror"]] {
        let ran = team.git(&one, &[&["push", "origin"], refs].concat());
        assert_ne!(ran.code, Some(0), "{ran:?}");
        refused(ran);
    }
    // On the branch that names it, the same is pushed; after that, from everywhere.
    team.git(&one, &["switch", "--quiet", "review"]).ok();
    team.run(&one, &["push"]).ok();
    team.git(&one, &["switch", "--quiet", "main"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    team.run(&one, &["push"]).ok();
    assert_eq!(team.tip(&one), team.tip(&team.remote));
}

#[test]
fn a_signer_without_entries_is_neither_pulled_nor_believed() {
    let team = Team::with(sample(), &["alpha 1.0.0"]);
    with_other(&team);
    let (one, two) = (team.stage.project.clone(), team.clone("two"));
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    team.run(&two, &["pull"]).ok();
    let text = manifest(&team, &two) + &format!("signer other {}\n", other());
    edit(&team, &two, &[("manifest", text.as_bytes())]);
    team.git(&two, &["push", "--quiet", "--no-verify", "origin", "hexmirror"]).ok();
    let (tip, problem) = (team.tip(&one), "it records a signer of other, of which it has no registry entry");
    team.run(&one, &["pull"]).exits(5).says(problem);
    assert_eq!(team.tip(&one), tip);
    // A mirror that already has one drops it.
    team.run(&two, &["verify"]).exits(1).prints(problem);
    team.git(&two, &["config", "hexmirror.other.url", &url(&team)]).ok();
    set_key(&team, &two);
    team.lock(&two, &["alpha 1.0.0", "left 1.0.0"]);
    team.run(&two, &["update"]).ok();
    assert!(!manifest(&team, &two).contains("signer other "));
    team.lock(&two, &["alpha 1.0.0", "other/thing 1.0.0"]);
    team.run(&two, &["update"]).ok();
    assert!(manifest(&team, &two).contains(&format!("signer other {}\n", own())));
    // The record goes with the last entry.
    team.lock(&two, &["alpha 1.0.0"]);
    team.run(&two, &["prune", "--keep-days", "0"]).ok();
    assert!(!manifest(&team, &two).contains(" other "), "{}", manifest(&team, &two));
    team.is_whole(&two);
}
