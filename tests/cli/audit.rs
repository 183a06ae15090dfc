//! What `audit` says about the pinned releases.

use serde_json::{Value, json};

use crate::support::registry::Registry;
use crate::support::stage::{PINNED, Stage};
use crate::support::validators;

/// Returns the findings of a JSON document as `RULE PACKAGE LINE`.
fn findings(document: &Value) -> Vec<String> {
    let found = document["findings"].as_array().expect("a list").iter();
    let line = |finding: &Value| {
        format!("{} {} {}", finding["rule"].as_str().unwrap(), finding["package"].as_str().unwrap(), finding["line"])
    };
    found.map(line).collect()
}

/// A mirror in which `alpha` is vulnerable and `beta` and `delta` are retired.
fn flagged() -> Stage {
    let mut stage = Stage::new();
    stage.registry.retire("beta 0.3.0", "broken");
    stage.registry.advise(&["alpha 1.0.0"], "EEF-1");
    stage.registry.put(&stage.upstream);
    stage.run(&["update"]).ok();
    stage
}

#[test]
fn everything_is_found_and_the_exit_code_says_so() {
    let stage = flagged();
    let ran = stage.run(&["audit"]).exits(1);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{ran:#?}");
    assert!(lines[0].starts_with("vulnerable alpha 1.0.0: EEF-1: bad  mix.lock:"), "{ran:#?}");
    assert!(lines[1].starts_with("retired beta 0.3.0: deprecated: broken  mix.lock:"), "{ran:#?}");
    ran.says("3 findings in 3 releases of mix.lock, as of today");
    let document = stage.run(&["audit", "--json"]).exits(1).json();
    let text = std::fs::read_to_string(stage.project.join("mix.lock")).unwrap();
    let line = |name: &str| 1 + text.lines().position(|line| line.contains(&format!("\"{name}\":"))).unwrap();
    let expected = [("vulnerable", "alpha"), ("retired", "beta"), ("retired", "delta")];
    assert_eq!(findings(&document), expected.map(|(rule, name)| format!("{rule} {name} {}", line(name))));
    assert_eq!((&document["releases"], &document["ignored"]), (&json!(3), &json!(0)));
}

#[test]
fn a_finding_is_accepted_by_advisory_or_by_rule_and_package() {
    let stage = flagged();
    let ran = stage.run(&["audit", "--ignore", "EEF-1", "--ignore", "retired:beta", "--ignore", "retired:delta"]).ok();
    ran.says("nothing found in 3 releases").says("3 findings are ignored");
    let ran = stage.run(&["audit", "--ignore", "EEF-1", "--ignore", "retired:delta", "--ignore", "EEF-2"]).exits(1);
    ran.says("--ignore EEF-2 names nothing that was found").says("1 finding in");
}

#[test]
fn a_range_is_judged_by_what_it_brings_in() {
    let stage = flagged();
    let commit = |message: &str| {
        stage.git(&["add", "mix.lock"]);
        stage.git(&["commit", "--quiet", "--message", message]);
    };
    stage.lock(&[PINNED[1], PINNED[2]]);
    commit("Begin");
    stage.lock(&PINNED);
    commit("Add alpha");
    let document = stage.run(&["audit", "HEAD~1..HEAD", "--json"]).exits(1).json();
    assert_eq!(document["releases"], json!(1));
    assert!(findings(&document)[0].starts_with("vulnerable alpha "), "{document}");
    stage.run(&["audit", "HEAD..HEAD~1"]).ok().says("nothing found in 0 releases");
    stage.run(&["audit", "nope..HEAD"]).exits(2);
}

#[test]
fn entries_may_be_as_old_as_allowed() {
    let stage = Stage::mirrored();
    let record = |line: &str| {
        let text = format!("# Written by git-hexmirror.\nformat = 3\n{line}");
        stage.sandbox.edit_branch(&stage.project, "hexmirror", "mirror.toml", &text);
    };
    let audit = |more: &[&str]| {
        stage.run(&[&["audit", "--ignore", "retired:beta", "--ignore", "retired:delta"], more].concat())
    };
    audit(&["--max-age", "0"]).ok().says("as of today");
    record("refreshed = 2026-01-02\n");
    audit(&[]).ok().says(" days ago");
    audit(&["--max-age", "100000"]).ok();
    let old = audit(&["--max-age", "7"]).exits(1);
    assert!(old.stdout.starts_with("old-entries registry entries: they are of 2026-01-02, "), "{old:#?}");
    assert!(old.stdout.ends_with(" days ago, and may be 7 days old\n"), "{old:#?}");
    audit(&["--max-age", "7", "--ignore", "old-entries"]).ok().says("findings are ignored");
    let document = audit(&["--max-age", "7", "--json"]).exits(1).json();
    assert_eq!(document["refreshed"], "2026-01-02");
    let finding = &document["findings"][0];
    let expected = (&json!("old-entries"), &json!("registry entries"), &json!(null));
    assert_eq!((&finding["rule"], &finding["subject"], &finding["package"]), expected);
    validators::check("sarif", &[audit(&["--max-age", "7", "--format", "sarif"]).exits(1).stdout]);
    // Without a recorded day, no age is known.
    record("");
    audit(&[]).ok().says("of unknown age");
    let unknown = audit(&["--max-age", "100000"]).exits(1);
    assert!(unknown.stdout.contains("the mirror does not record their day"), "{unknown:#?}");
    stage.run(&["audit", "--max-age", "soon"]).exits(2);
}

#[test]
fn a_range_leaves_out_git_dependencies_that_both_sides_have() {
    let stage = Stage::mirrored();
    let git = format!("  \"lib\": {{:git, \"https://h.example/lib.git\", \"{}\", []}},\n", "1".repeat(40));
    crate::changes::commit(&stage, &PINNED, "");
    crate::changes::commit(&stage, &PINNED, &git);
    let none = stage.run(&["audit", "HEAD..HEAD"]).ok().says("nothing found in 0 releases");
    assert!(!none.stderr.contains("git dependency"), "{none:#?}");
    stage.run(&["audit", "HEAD~..HEAD"]).ok().says("1 git dependency not judged");
}

#[test]
fn only_allowed_licenses_pass() {
    let mut registry = Registry::default();
    registry.publish("alpha 1.0.0", &[], &[("LICENSE".into(), "Apache License".into())]);
    registry.publish("beta 1.0.0", &[], &[("lib/beta.ex".into(), String::new())]);
    let stage = Stage::with(registry, &["alpha 1.0.0", "beta 1.0.0"]);
    stage.run(&["update"]).ok();
    stage.run(&["audit"]).ok().says("nothing found in 2 releases");
    let ran = stage.run(&["audit", "--license", "BSD-3-Clause, MIT"]).exits(1);
    assert!(ran.stdout.contains("license alpha 1.0.0: Apache-2.0 is not an allowed license"), "{ran:#?}");
    assert!(ran.stdout.contains("license beta 1.0.0: it names no license"), "{ran:#?}");
    let allowed = ["audit", "--license", "MIT", "--license", "apache-2.0"];
    let ran = stage.run(&allowed).exits(1).says("1 finding in");
    assert!(ran.stdout.starts_with("license beta"), "{ran:#?}");
    stage.run(&[&allowed[..], &["--ignore", "license:beta"]].concat()).ok();
}

#[test]
fn what_the_mirror_does_not_have_or_cannot_verify_is_named() {
    let stage = flagged();
    stage.lock(&["alpha 1.1.0"]);
    let document = stage.run(&["audit", "--json"]).exits(1).json();
    assert!(findings(&document)[0].starts_with("not-mirrored alpha "), "{document}");
    let empty = Stage::new();
    empty.run(&["audit"]).exits(5).says("no mirror");
}

#[test]
fn sarif_names_each_rule_once_and_points_into_the_lock() {
    let mut stage = flagged();
    let hostile = "<script>\u{1b}[2J".to_owned() + &"x".repeat(5000);
    stage.registry.retire("alpha 1.0.0", &hostile);
    stage.registry.put(&stage.upstream);
    stage.run(&["update", "--refresh"]).ok();
    let log = stage.run(&["audit", "--format", "sarif"]).exits(1).json();
    assert_eq!(log["version"], "2.1.0");
    let (rules, results) = (&log["runs"][0]["tool"]["driver"]["rules"], log["runs"][0]["results"].as_array().unwrap());
    let ids: Vec<&str> = rules.as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["EEF-1", "retired"]);
    assert_eq!(results.len(), 4);
    for result in results {
        assert_eq!(rules[result["ruleIndex"].as_u64().unwrap() as usize]["id"], result["ruleId"]);
        let location = &result["locations"][0]["physicalLocation"];
        assert_eq!(location["artifactLocation"]["uri"], "mix.lock");
        assert!(location["region"]["startLine"].as_u64().unwrap() > 1, "{result}");
    }
}

#[test]
fn sarif_is_valid_whatever_packages_and_registries_say() {
    let mut stage = Stage::new();
    let hostile = "<script>\u{1b}[2J\u{202e}\"\\\n".to_owned() + &"x".repeat(5000);
    let addresses =
        ["https://h/advisories/1", "javascript:alert(1)", "https://h/a b<c>", "http://", "https://h/%zz", ""];
    for (number, address) in addresses.iter().enumerate() {
        let advisory = stage.registry.advise(&["alpha 1.0.0"], &format!("EEF-{number} {hostile}"));
        advisory.summary.clone_from(&hostile);
        advisory.html_url = (*address).to_owned();
        advisory.cvss_score = Some([9.8, f32::NAN, f32::INFINITY, -1.0, 11.0, 0.0][number]);
    }
    stage.registry.retire("beta 0.3.0", &hostile);
    stage.registry.put(&stage.upstream);
    let empty = stage.run(&["audit", "--format", "sarif"]);
    assert_eq!(empty.code, Some(5), "{empty:#?}");
    stage.run(&["update"]).ok();
    let all = stage.run(&["audit", "--format", "sarif", "--license", "MIT"]).exits(1).stdout;
    for address in &addresses[1..] {
        assert!(address.is_empty() || !all.contains(&format!("\"helpUri\": \"{address}\"")), "{all}");
    }
    assert!(all.contains("\"helpUri\": \"https://h/advisories/1\""), "{all}");
    stage.lock(&["gamma 1.0.0"]);
    let missing = stage.run(&["audit", "--format", "sarif"]).exits(1).stdout;
    stage.run(&["update"]).ok();
    let nothing = stage.run(&["audit", "--format", "sarif"]).ok().stdout;
    validators::check("sarif", &[all, missing, nothing]);
}
