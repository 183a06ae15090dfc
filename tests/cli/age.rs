//! The age of the registry entries: recorded on the branch, mentioned by `status`, reset by a refresh.

use std::time::{SystemTime, UNIX_EPOCH};

use git_hexmirror::model::Day;
use serde_json::{Value, json};

use crate::support::registry::Registry;
use crate::support::stage::{PINNED, Stage};
use crate::support::upstream::{ALWAYS, Fault};

const OLD: &str = "the registry entries were last refreshed";

/// The day that is some days before today. Near midnight, the program may already be in the next one.
fn days_ago(days: u64) -> Day {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    Day::of_seconds(i64::try_from(now - days * 86_400).unwrap())
}

/// A mirror that was last refreshed some days ago, or of which that is not known.
fn refreshed(days: Option<u64>) -> Stage {
    let stage = Stage::mirrored();
    record(&stage, days.map(|days| format!("refreshed = {}", days_ago(days))));
    stage
}

fn record(stage: &Stage, line: Option<String>) {
    let text = format!("# Written by git-hexmirror.\nformat = 3\n{}\n", line.unwrap_or_default());
    stage.sandbox.edit_branch(&stage.project, "hexmirror", "mirror.toml", &text);
}

fn recorded(stage: &Stage) -> Option<String> {
    let text = stage.git(&["show", "hexmirror:mirror.toml"]);
    text.lines().find_map(|line| line.strip_prefix("refreshed = ")).map(str::to_owned)
}

fn is_today(day: Option<&str>) -> bool {
    day.is_some_and(|day| [0, 1].iter().any(|days| days_ago(*days).to_string() == day))
}

#[test]
fn the_first_update_and_every_refresh_record_their_day_once() {
    let stage = Stage::new();
    stage.run(&["init"]).ok();
    assert_eq!(recorded(&stage), None);
    stage.run(&["update"]).ok();
    assert!(is_today(recorded(&stage).as_deref()));
    // Nothing changed, not even the day.
    let tip = stage.tip();
    stage.run(&["update", "--refresh"]).ok().says("unchanged: ");
    assert_eq!(stage.tip(), tip);
    // Only the day changed.
    record(&stage, Some(format!("refreshed = {}", days_ago(10))));
    let before = stage.tip();
    let ran = stage.run(&["update", "--refresh"]).ok().says("unchanged: ").says("did not change");
    assert!(ran.stderr.contains(&stage.tip().unwrap()[..10]), "{ran:#?}");
    assert!(stage.tip() != before && is_today(recorded(&stage).as_deref()));
    assert_eq!(
        stage.git(&["log", "-1", "--format=%s", "hexmirror"]),
        "Record a refresh that changed no registry entry"
    );
    assert_eq!(stage.git(&["diff", "--name-only", "hexmirror^", "hexmirror"]), "mirror.toml");
    stage.run(&["verify"]).ok();
    let tip = stage.tip();
    stage.run(&["update", "--refresh"]).ok();
    assert_eq!(stage.tip(), tip);
}

#[test]
fn what_is_no_refresh_keeps_the_day() {
    let stage = refreshed(Some(20));
    let day = Some(days_ago(20).to_string());
    let keeps = |what: &str| {
        let known = recorded(&stage);
        assert!(known == day || known == Some(days_ago(21).to_string()), "{what}: {known:?}");
    };
    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    stage.run(&["update"]).ok();
    keeps("update");
    stage.run(&["prune", "--keep-days", "0"]).ok();
    keeps("prune");
    stage.run(&["compact"]).ok();
    keeps("compact");
    stage.run(&["index", "--init"]).ok();
    keeps("index");
    // A refresh that failed in part.
    stage.upstream.fail("/packages/beta", ALWAYS, Fault::Status(404, None));
    stage.run(&["update", "--refresh", "--keep-going"]).exits(3);
    keeps("keep-going");
    stage.run(&["verify"]).ok();
}

#[test]
fn status_says_how_old_entries_are_beyond_the_limit() {
    let says = |stage: &Stage, variables: &[(&str, &str)]| {
        let ran = stage.run_with(&["status"], variables).ok();
        ran.stderr.lines().find(|line| line.starts_with(OLD)).map(str::to_owned)
    };
    let of = |stage: &Stage| {
        let document = stage.run(&["status", "--json"]).ok().json();
        (document["refreshed"].clone(), document["entry_age_days"].clone())
    };
    let new = Stage::mirrored();
    assert_eq!(says(&new, &[]), None);
    assert_eq!(says(&new, &[("HEXMIRROR_MAX_AGE", "0")]), None);
    let stage = refreshed(Some(29));
    assert_eq!(says(&stage, &[]), None);
    assert_eq!(says(&stage, &[("HEXMIRROR_MAX_AGE", "0")]), None);
    let line = says(&stage, &[("HEXMIRROR_MAX_AGE", "7")]).unwrap();
    assert!(line.contains("refreshed 29 days ago") || line.contains("refreshed 30 days ago"), "{line}");
    assert!(line.contains("`git hexmirror update --refresh`"), "{line}");
    // A cached answer says the same.
    assert_eq!(says(&stage, &[("HEXMIRROR_MAX_AGE", "7")]), Some(line));
    let (day, age) = of(&stage);
    assert!(day == json!(days_ago(29).to_string()) || day == json!(days_ago(30).to_string()), "{day}");
    assert!(age == json!(29) || age == json!(30), "{age}");
    let stage = refreshed(Some(32));
    assert!(says(&stage, &[]).is_some());
    stage.git(&["config", "hexmirror.maxAge", "100"]);
    assert_eq!(says(&stage, &[]), None);
    stage.git(&["config", "--unset", "hexmirror.maxAge"]);
    stage.run(&["update", "--refresh"]).ok();
    assert_eq!(says(&stage, &[]), None);
}

#[test]
fn a_day_that_is_unknown_or_in_the_future_is_not_believed() {
    for line in
        [None, Some("refreshed = 9999-12-31"), Some("refreshed = 2020-99-99"), Some("refreshed = \"2020-01-01\"")]
    {
        let stage = Stage::mirrored();
        let is_valid = line.is_none_or(|line| !line.contains("99-99"));
        record(&stage, line.map(str::to_owned));
        if !is_valid {
            // Not TOML.
            stage.run(&["status"]).exits(5);
            continue;
        }
        let document = stage.run(&["status", "--json"]).ok().json();
        assert!(document["entry_age_days"] == json!(0) || document["entry_age_days"] == json!(1), "{document}");
        // The newest commit is the best that is known.
        let date = format!("{}T12:00:00Z", days_ago(40));
        stage.git(&["branch", "--quiet", "saved", "hexmirror"]);
        let tree = stage.git(&["rev-parse", "hexmirror^{tree}"]);
        let mut command = stage.sandbox.command("git", &stage.project);
        command.args(["-c", "user.name=T", "-c", "user.email=t@e", "commit-tree", "-m", "Old", &tree]);
        let output = command.env("GIT_COMMITTER_DATE", &date).env("GIT_AUTHOR_DATE", &date).output().unwrap();
        let commit = String::from_utf8(output.stdout).unwrap();
        stage.git(&["update-ref", "refs/heads/hexmirror", commit.trim()]);
        let ran = stage.run(&["status"]).ok();
        assert!(ran.stderr.contains(&format!("{OLD} at least 4")), "{line:?}: {ran:#?}");
        stage.run(&["update", "--refresh"]).ok();
        assert!(is_today(recorded(&stage).as_deref()));
    }
}

#[test]
fn a_tracked_setting_can_only_lower_the_limit() {
    let stage = refreshed(Some(40));
    stage.git(&["config", "hexmirror.prePush", "off"]);
    for (toml, says) in [("max_age = 7\n", true), ("max_age = 0\n", true), ("max_age = 90\n", true)] {
        stage.write(".hexmirror.toml", toml);
        let ran = stage.run(&["status"]).ok();
        assert_eq!(ran.stderr.contains(OLD), says, "{toml}: {ran:#?}");
        assert_eq!(ran.stderr.contains("max_age in .hexmirror.toml is inactive"), !toml.contains('7'), "{toml}");
    }
    stage.write(".hexmirror.toml", "max_age = 90\n");
    stage.run(&["trust", "--yes"]).ok().prints("says later");
    let ran = stage.run(&["status"]).ok();
    assert!(!ran.stderr.contains(OLD), "{ran:#?}");
}

#[test]
fn a_mirror_without_registry_entries_has_no_age() {
    let stage = Stage::without_lock(Registry::sample());
    stage.write("mix.lock", "%{}\n");
    stage.run(&["init"]).ok();
    record(&stage, Some("refreshed = 2020-01-01".into()));
    let ran = stage.run(&["status"]).ok();
    assert!(!ran.stderr.contains(OLD), "{ran:#?}");
    assert_eq!(stage.run(&["status", "--json"]).ok().json()["entry_age_days"], Value::Null);
    let tip = stage.tip();
    stage.run(&["update", "--refresh"]).ok();
    assert_eq!(stage.tip(), tip);
}

#[test]
fn a_repair_keeps_the_day_even_if_its_file_is_lost() {
    let stage = refreshed(Some(20));
    let (tip, blob) = (stage.tip(), stage.git(&["rev-parse", "hexmirror:mirror.toml"]));
    let day = recorded(&stage);
    let (folder, name) = blob.split_at(2);
    std::fs::remove_file(stage.project.join(".git/objects").join(folder).join(name)).unwrap();
    stage.run(&["update", "--repair"]).ok().says("it stays");
    assert_eq!((stage.tip(), recorded(&stage)), (tip, day));
    stage.run(&["verify"]).ok();
}
