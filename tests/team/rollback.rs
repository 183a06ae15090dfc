//! Registry entries that whoever can write the mirror branch replaces by older ones, rightly signed, or removes first.

use std::path::{Path, PathBuf};

use crate::signers::{edit, edit_and_remove, manifest, put_in_place};
use crate::support::registry::Registry;
use crate::support::stage::PINNED;
use crate::support::tree::path;
use crate::team::{Team, registry};

/// The registry before its advisory and its retirement, and the registry now.
fn registries() -> (Registry, Registry) {
    let before = registry();
    let mut now = before.clone();
    now.advise(&["alpha 1.0.0", "alpha 1.1.0"], "EEF-1");
    now.retire("alpha 1.0.0", "broken");
    (before, now)
}

/// A team of two clones that have all of the mirror.
fn shared(registry: &Registry) -> (Team, PathBuf, PathBuf) {
    let team = Team::with(registry.clone(), &PINNED);
    let (one, two) = (team.stage.project.clone(), team.clone("two"));
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    team.run(&two, &["pull"]).ok();
    (team, one, two)
}

fn entry(team: &Team, folder: &Path, name: &str) -> Vec<u8> {
    let path = format!("hexmirror:{}", path("registry", name));
    team.stage.sandbox.try_git(folder, &["cat-file", "blob", &path]).stdout
}

/// Pushes the second clone's mirror with git alone.
fn attack(team: &Team, two: &Path) {
    team.git(two, &["push", "--quiet", "--no-verify", "origin", "hexmirror"]).ok();
}

/// Removes the entry of alpha from a clone's mirror. `instead` is a line for the manifest.
fn remove_entry(team: &Team, folder: &Path, instead: &str) {
    let text = manifest(team, folder);
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("registry hexpm alpha ")).collect();
    lines.extend((!instead.is_empty()).then_some(instead));
    lines.sort_unstable();
    let text = lines.join("\n") + "\n";
    edit_and_remove(team, folder, &[("manifest", text.as_bytes())], &["hex/hexpm/registry/8e/alpha"]);
}

/// Removes the entry of alpha on the remote, and then adds the older one, while the first clone runs a command each time.
fn in_two_steps(instead: &str, arguments: &[&str]) {
    let (before, now) = registries();
    let (team, one, two) = shared(&now);
    remove_entry(&team, &two, instead);
    attack(&team, &two);
    team.run(&one, arguments).ok();
    assert_eq!(entry(&team, &one, "alpha"), now.signed("alpha"), "{arguments:?}");
    team.is_whole(&one);
    // The second step starts from whatever the remote has now.
    team.git(&two, &["fetch", "--quiet", "origin", "+hexmirror:hexmirror"]).ok();
    if entry(&team, &two, "alpha").is_empty() {
        let text = manifest(&team, &two);
        let signed = before.signed("alpha");
        let line = format!("registry hexpm alpha {} {}", signed.len(), crate::support::registry::checksum(&signed));
        let mut lines: Vec<&str> = text.lines().filter(|line| *line != "absent hexpm alpha").chain([&*line]).collect();
        lines.sort_unstable();
        let text = lines.join("\n") + "\n";
        edit(&team, &two, &[("manifest", text.as_bytes()), ("hex/hexpm/registry/8e/alpha", &signed)]);
    } else {
        put_in_place(&team, &two, "alpha", &before.signed("alpha"));
    }
    attack(&team, &two);
    team.run(&one, arguments).ok();
    assert_eq!(entry(&team, &one, "alpha"), now.signed("alpha"), "{arguments:?}");
    team.run(&one, &["push"]).ok();
    assert_eq!(team.tip(&one), team.tip(&team.remote));
    team.is_whole(&one);
}

#[test]
fn an_entry_that_is_removed_first_is_not_rolled_back_by_two_pulls() {
    in_two_steps("", &["pull"]);
    in_two_steps("absent hexpm alpha", &["pull"]);
}

#[test]
fn an_entry_that_is_removed_first_is_not_rolled_back_by_two_pushes() {
    in_two_steps("", &["push"]);
}

#[test]
fn an_entry_that_lacks_one_fact_replaces_none_even_if_it_has_others() {
    let (before, now) = registries();
    // Retirements that were taken back since.
    let mut older = before.clone();
    older.retire("alpha 1.1.0", "broken");
    older.retire("alpha 2.0.0-rc.1", "broken");
    older.retire("alpha 1.0.0", "broken too");
    for other in [older, before] {
        let (team, one, two) = shared(&now);
        put_in_place(&team, &two, "alpha", &other.signed("alpha"));
        attack(&team, &two);
        team.run(&one, &["pull"]).ok().says("is ahead of origin");
        assert_eq!(entry(&team, &one, "alpha"), now.signed("alpha"));
    }
}

#[test]
fn diverged_mirrors_keep_their_own_entry_if_each_lacks_something() {
    let (before, now) = registries();
    let mut older = before;
    older.retire("alpha 1.1.0", "broken");
    let (team, one, two) = shared(&now);
    put_in_place(&team, &two, "alpha", &older.signed("alpha"));
    attack(&team, &two);
    team.lock(&one, &["alpha 1.0.0", "left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.run(&one, &["pull"])
        .ok()
        .says("the registry entry of alpha in the other mirror lacks the retirement of 1.0.0, the advisory EEF-1")
        .says("git hexmirror update --refresh");
    assert_eq!(entry(&team, &one, "alpha"), now.signed("alpha"));
    team.is_whole(&one);
}
