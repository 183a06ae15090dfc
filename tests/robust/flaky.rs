//! An upstream that usually fails: every update makes progress, and the last one completes.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::support::registry::Registry;
use crate::support::stage::Stage;
use crate::support::upstream::{ALWAYS, Fault};

/// As many packages as a medium-sized project has.
const PACKAGES: usize = 105;
/// Shortens the pauses between attempts, in milliseconds.
const NO_PAUSE: (&str, &str) = ("__HEXMIRROR_TEST_RETRY_PAUSE_MS", "1");

fn many() -> Stage {
    let mut registry = Registry::default();
    let names: Vec<String> = (0..PACKAGES).map(|number| format!("package_{number:03} 1.0.0")).collect();
    for name in &names {
        // Each needs the entry of a package that no lock pins, and every second one of those does not exist.
        let number = &name[8..11];
        let optional = format!("?optional_{number} >= 0.0.0");
        registry.publish(name, &[&optional], &[("lib/code.ex".into(), format!("# {name}\n").repeat(100))]);
        if number.ends_with(['0', '2', '4', '6', '8']) {
            registry.publish(&format!("optional_{number} 1.0.0"), &[], &[]);
        }
    }
    let pinned: Vec<&str> = names.iter().map(String::as_str).collect();
    Stage::with(registry, &pinned)
}

/// Updates until an update succeeds, up to a maximum number of runs. Returns the number of runs.
fn runs_until_done(stage: &Stage, most: usize) -> usize {
    for run in 1..=most {
        let ran = stage.run_with(&["update"], &[NO_PAUSE]);
        if ran.code == Some(0) {
            return run;
        }
        let ran = ran.exits(3).says("--keep-going");
        assert!(ran.stderr.matches("error: ").count() <= 4, "{ran:#?}");
        assert_eq!(stage.tip(), None);
    }
    panic!("{most} updates were not enough");
}

#[test]
fn an_update_converges_however_often_requests_fail() {
    for (percent, most, seeds) in [(30, 2, 0..2), (60, 10, 2..4)] {
        for seed in seeds {
            let stage = many();
            stage.upstream.fail_at_random(percent, seed);
            let runs = runs_until_done(&stage, most);
            eprintln!("{percent} % of requests fail, seed {seed}: {runs} runs, {} requests", stage.upstream.count("*"));
            stage.upstream.fail_at_random(0, 0);
            let before = stage.upstream.count("*");
            stage.run(&["status"]).ok();
            stage.run(&["verify"]).ok();
            assert_eq!(stage.upstream.count("*"), before);
            let entries = stage.project.join(".git/hexmirror/downloads/entries");
            assert!(!entries.exists(), "what is stored is kept no longer");
        }
    }
}

/// Three packages, of which one is unavailable at first.
fn failed_once() -> Stage {
    let stage = Stage::new();
    stage.upstream.fail("/tarballs/alpha-1.0.0.tar", ALWAYS, Fault::Status(404, None));
    stage.run(&["update"]).exits(3);
    stage.upstream.heal();
    stage
}

fn entry_cache(stage: &Stage) -> Vec<PathBuf> {
    let folder = fs::read_dir(stage.project.join(".git/hexmirror/downloads/entries")).unwrap();
    folder.map(|entry| entry.unwrap().path()).collect()
}

fn age(stage: &Stage, by: Duration) {
    for path in entry_cache(stage) {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - by).unwrap();
    }
}

#[test]
fn entries_are_kept_between_updates_like_tarballs() {
    let stage = failed_once();
    let before = stage.upstream.count("*");
    stage.run(&["update"]).ok();
    let asked: Vec<_> = stage.upstream.requests("*").split_off(before);
    let asked: Vec<_> = asked.iter().map(|request| request.path().to_owned()).collect();
    // No release of alpha was available, so its dependencies are unknown; gamma is known as a dependency of beta.
    assert_eq!(asked, ["/tarballs/alpha-1.0.0.tar"]);
    stage.run(&["verify"]).ok();
}

#[test]
fn a_kept_entry_is_revalidated_after_an_hour() {
    let stage = failed_once();
    age(&stage, Duration::from_secs(2 * 60 * 60));
    let before = stage.upstream.count("*");
    stage.run(&["update"]).ok();
    let asked = stage.upstream.requests("*").split_off(before);
    let entries: Vec<_> = asked.iter().filter(|request| request.path().starts_with("/packages/")).collect();
    assert_eq!(entries.len(), 4, "{entries:#?}");
    assert!(entries.iter().all(|request| request.header("if-none-match").is_some()), "{entries:#?}");
    stage.run(&["verify"]).ok();
}

#[test]
fn a_kept_entry_without_the_pinned_release_is_fetched_again() {
    let mut stage = failed_once();
    stage.registry.publish("beta 0.4.0", &[], &[]);
    stage.registry.put(&stage.upstream);
    stage.lock(&["alpha 1.0.0", "beta 0.4.0"]);
    stage.run(&["update"]).ok();
    stage.run(&["verify"]).ok();
}

#[test]
fn a_damaged_kept_entry_is_fetched_again() {
    for damage in [
        |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2),
        |bytes: &mut Vec<u8>| {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        },
    ] {
        let stage = failed_once();
        for path in entry_cache(&stage) {
            let mut bytes = fs::read(&path).unwrap();
            damage(&mut bytes);
            fs::write(path, bytes).unwrap();
        }
        stage.run(&["update"]).ok();
        stage.run(&["verify"]).ok();
    }
}

#[test]
fn a_kept_entry_never_replaces_a_newer_one() {
    let mut stage = Stage::mirrored();
    let entry = |stage: &Stage| {
        stage
            .git(&["ls-tree", "-r", "hexmirror"])
            .lines()
            .find(|l| l.contains("registry/") && l.ends_with("alpha"))
            .map(str::to_owned)
    };
    let first = entry(&stage).expect("the entry of alpha is on the branch");
    // Another clone of the project.
    stage.sandbox.git("", &["clone", "--quiet", "--no-local", "project", "other"]);
    fs::copy(stage.project.join("mix.lock"), stage.sandbox.path().join("other/mix.lock")).unwrap();
    // This clone fetches the second version of alpha's entry, but its update does not complete.
    stage.registry.retire("alpha 1.0.0", "second");
    stage.registry.put(&stage.upstream);
    stage.upstream.fail("/packages/beta", ALWAYS, Fault::Status(404, None));
    stage.run(&["update", "--refresh"]).exits(3);
    assert!(!entry_cache(&stage).is_empty());
    stage.upstream.heal();
    // The other clone fetches the third version.
    stage.registry.retire("alpha 1.0.0", "third");
    stage.registry.put(&stage.upstream);
    stage.run_in("other", &["update", "--refresh"]).ok();
    stage.git(&["fetch", "--quiet", "../other", "+hexmirror:refs/heads/hexmirror"]);
    let third = entry(&stage).unwrap();
    assert_ne!(first, third);
    stage.run(&["update", "--refresh"]).ok();
    assert_eq!(entry(&stage).unwrap(), third);
}
