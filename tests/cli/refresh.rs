//! `update` never replaces a registry entry with an older one, which an outdated or malicious upstream may send.

use git_hexmirror::hex::gzip::gzip;
use git_hexmirror::hex::registry::RetirementReason;

use crate::support::registry::Registry;
use crate::support::stage::{PINNED, Stage};

/// A mirror that contains a retirement and a release, and the registry in its previous state.
fn stage() -> (Stage, Registry) {
    let before = Registry::sample();
    let mut registry = before.clone();
    registry.retire("beta 0.3.0", "broken");
    registry.publish("gamma 1.1.0", &[], &[("lib/gamma.ex".into(), "more".into())]);
    let stage = Stage::with(registry, &PINNED);
    stage.run(&["update"]).ok();
    (stage, before)
}

fn replay(stage: &Stage, before: &Registry, entry: &str) {
    stage.upstream.put(&format!("packages/{entry}"), &gzip(&before.signed(entry)));
}

fn entry(stage: &Stage, entry: &str) -> Vec<u8> {
    let path = format!("hexmirror:{}", crate::support::tree::path("registry", entry));
    stage.sandbox.try_git(&stage.project, &["cat-file", "blob", &path]).stdout
}

#[test]
fn an_older_entry_is_refused_and_what_would_be_lost_is_named() {
    let (stage, before) = stage();
    let tip = stage.tip();
    replay(&stage, &before, "beta");
    replay(&stage, &before, "gamma");
    let ran = stage.run(&["update", "--refresh"]).exits(4);
    ran.says("upstream's registry entry of beta is older than the mirror's: it lacks the retirement of 0.3.0")
        .says("upstream's registry entry of gamma is older than the mirror's: it lacks the release 1.1.0")
        .says("--accept-older");
    assert_eq!(stage.tip(), tip);
    // A refused entry is not kept for the next update.
    stage.registry.put(&stage.upstream);
    stage.run(&["update", "--refresh"]).ok();
    assert_eq!(stage.tip(), tip);
}

#[test]
fn the_rest_of_a_refresh_is_published_with_keep_going() {
    let (mut stage, before) = stage();
    stage.registry.retire("alpha 1.0.0", "too");
    stage.registry.put(&stage.upstream);
    replay(&stage, &before, "beta");
    let known = entry(&stage, "beta");
    stage.run(&["update", "--refresh", "--keep-going"]).exits(4).says("the retirement of 0.3.0");
    assert_eq!(entry(&stage, "beta"), known);
    assert_eq!(entry(&stage, "alpha"), stage.registry.signed("alpha"));
    stage.run(&["status"]).ok();
    stage.run(&["verify"]).ok();
}

#[test]
fn an_update_for_a_new_release_refuses_an_older_entry_too() {
    let (mut stage, mut before) = stage();
    for registry in [&mut stage.registry, &mut before] {
        registry.publish("beta 0.4.0", &[], &[("lib/beta.ex".into(), "new".into())]);
    }
    stage.registry.put(&stage.upstream);
    replay(&stage, &before, "beta");
    let tip = stage.tip();
    stage.lock(&["alpha 1.0.0", "beta 0.4.0"]);
    stage.run(&["update"]).exits(4).says("it lacks the retirement of 0.3.0");
    assert_eq!(stage.tip(), tip);
    stage.registry.put(&stage.upstream);
    stage.run(&["update"]).ok();
}

#[test]
fn an_older_entry_is_accepted_if_the_package_is_named() {
    let (stage, before) = stage();
    replay(&stage, &before, "beta");
    stage.run(&["update", "--refresh", "--accept-older", "hexpm:acme/beta"]).exits(4);
    stage.run(&["update", "--refresh", "--accept-older", "../x"]).exits(2);
    stage.run(&["update", "--refresh", "--accept-older", "beta"]).ok();
    assert_eq!(entry(&stage, "beta"), before.signed("beta"));
    stage.run(&["verify"]).ok();
}

#[test]
fn an_entry_that_takes_back_part_of_an_advisory_or_a_reason_is_refused() {
    let before = Registry::sample();
    let mut known = before.clone();
    known.advise(&["alpha 1.0.0", "alpha 1.1.0"], "EEF-1");
    known.retire("beta 0.3.0", "broken");
    known.listed("beta 0.3.0").retired.as_mut().unwrap().reason = RetirementReason::Security;
    let mut only_one = before.clone();
    only_one.advise(&["alpha 1.0.0"], "EEF-1");
    let mut of_none = known.clone();
    ["1.0.0", "1.1.0"].iter().for_each(|version| of_none.listed(&format!("alpha {version}")).advisories.clear());
    let mut downgraded = known.clone();
    downgraded.retire("beta 0.3.0", "renamed");
    for (registry, entry, lost) in [
        (&only_one, "alpha", "it lacks the advisory EEF-1 of 1.1.0"),
        (&of_none, "alpha", "it lacks the advisory EEF-1 of 1.0.0, the advisory EEF-1 of 1.1.0"),
        (&before, "alpha", "it lacks the advisory EEF-1\n"),
        (&downgraded, "beta", "it lacks the security reason of the retirement of 0.3.0"),
    ] {
        // Each in a stage of its own, because a refused refresh keeps the other entries for the next one.
        let stage = Stage::with(known.clone(), &PINNED);
        stage.run(&["update"]).ok();
        let tip = stage.tip();
        replay(&stage, registry, entry);
        stage.run(&["update", "--refresh"]).exits(4).says(lost);
        assert_eq!(stage.tip(), tip);
    }
}

#[test]
fn packages_are_stored_with_keep_going_if_the_tools_are_nowhere() {
    let stage = Stage::new();
    stage.git(&["config", "hexmirror.tools", "1.18.4-otp-27"]);
    stage.run(&["update"]).exits(3);
    assert_eq!(stage.tip(), None);
    stage.run(&["update", "--keep-going"]).exits(3);
    assert_eq!(stage.run(&["list", "--json"]).ok().json().as_array().map(Vec::len), Some(PINNED.len()));
    stage.run(&["status"]).exits(1).prints("1.18.4");
}
