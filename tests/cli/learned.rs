//! Retirements and advisories of pinned releases: `update` lists what it has just learned, once.

use git_hexmirror::hex::registry::RetirementReason;
use serde_json::json;

use crate::support::stage::{PINNED, Ran, Stage};

/// The lines of an update about retired or vulnerable releases.
fn flagged(ran: &Ran) -> Vec<&str> {
    let lines = ran.stderr.lines().map(str::trim_start);
    lines.filter(|line| line.starts_with("retired") || line.starts_with("vulnerable")).collect()
}

#[test]
fn a_retired_release_is_named_when_it_is_mirrored_and_not_again() {
    let stage = Stage::new();
    let ran = stage.run(&["update"]).ok();
    assert_eq!(flagged(&ran), ["retired delta 4.5.6+build.7 (deprecated): use epsilon"]);
    assert_eq!(flagged(&stage.run(&["update"]).ok()), [""; 0]);
    assert_eq!(flagged(&stage.run(&["update", "--refresh"]).ok()), [""; 0]);
    // Another release of a package whose entry is stored.
    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    assert_eq!(flagged(&stage.run(&["update"]).ok()), [""; 0]);
}

#[test]
fn a_refresh_lists_only_what_is_new_and_only_of_what_is_pinned() {
    let mut stage = Stage::mirrored();
    stage.registry.retire("beta 0.3.0", "broken");
    stage.registry.advise(&["alpha 1.0.0", "alpha 1.1.0"], "EEF-1");
    // Neither of these is pinned.
    stage.registry.retire("alpha 1.1.0", "too");
    stage.registry.retire("gamma 1.0.0", "too");
    stage.registry.put(&stage.upstream);
    let ran = stage.run(&["update", "--refresh"]).ok();
    assert_eq!(flagged(&ran), ["vulnerable alpha 1.0.0: EEF-1: bad", "retired beta 0.3.0 (deprecated): broken"]);
    // Another advisory, and the retirement for another reason.
    stage.registry.advise(&["alpha 1.0.0"], "EEF-2");
    stage.registry.listed("beta 0.3.0").retired.as_mut().unwrap().reason = RetirementReason::Security;
    stage.registry.put(&stage.upstream);
    let ran = stage.run(&["update", "--refresh", "--json"]).ok();
    let document = ran.json();
    assert_eq!(
        document["retired"],
        json!([{ "kind": "hex", "repository": "hexpm", "package": "beta", "version": "0.3.0", "reason": "security", "message": "broken" }])
    );
    assert_eq!(
        document["advisories"],
        json!([{ "kind": "hex", "repository": "hexpm", "package": "alpha", "version": "1.0.0", "id": "EEF-2", "severity": null, "summary": "bad", "url": "" }])
    );
    assert_eq!((&document["entries"], &document["changed_entries"]), (&json!(4), &json!(2)));
    assert_eq!(flagged(&stage.run(&["update", "--refresh"]).ok()), [""; 0]);
}

#[test]
fn what_upstream_says_reaches_the_terminal_escaped_and_shortened() {
    let mut stage = Stage::new();
    stage.registry.retire("delta 4.5.6+build.7", &format!("\u{1b}[2J{}\u{202e}", "x".repeat(5000)));
    stage.registry.put(&stage.upstream);
    let ran = stage.run(&["update"]).ok().says("retired delta");
    assert!(!ran.stderr.contains(['\u{1b}', '\u{202e}']), "{ran:#?}");
    assert!(flagged(&ran)[0].len() < 400, "{ran:#?}");
}

#[test]
fn status_counts_what_is_retired_or_vulnerable() {
    let mut stage = Stage::mirrored();
    let status = |stage: &Stage| {
        // The second answer is cached, the third one is not.
        let [first, second] = [0, 1].map(|_| stage.run(&["status"]).ok().stdout);
        assert_eq!(first, second);
        let document = stage.run(&["status", "--json"]).ok().json();
        (first, document["retired"].clone(), document["vulnerable"].clone())
    };
    let (text, retired, vulnerable) = status(&stage);
    assert!(text.contains("  1 pinned release is retired; `git hexmirror audit` lists them\n"), "{text}");
    assert_eq!((retired, vulnerable), (json!(1), json!(0)));
    stage.registry.retire("beta 0.3.0", "broken");
    stage.registry.advise(&["alpha 1.0.0"], "EEF-1");
    stage.registry.advise(&["alpha 1.0.0"], "EEF-2");
    stage.registry.put(&stage.upstream);
    stage.run(&["update", "--refresh"]).ok();
    let (text, retired, vulnerable) = status(&stage);
    assert!(text.contains("2 pinned releases are retired, 1 pinned release is vulnerable; "), "{text}");
    assert_eq!((retired, vulnerable), (json!(2), json!(1)));
    stage.lock(&["alpha 1.1.0"]);
    stage.run(&["update"]).ok();
    let (text, retired, vulnerable) = status(&stage);
    assert!(!text.contains("hexmirror audit"), "{text}");
    assert_eq!((retired, vulnerable), (json!(0), json!(0)));
    stage.lock(&["alpha 2.0.0-rc.1"]);
    assert_eq!(stage.run(&["status", "--json"]).exits(1).json()["retired"], json!(null));
}
