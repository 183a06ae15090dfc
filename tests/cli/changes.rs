//! `diff REV..REV`: the dependencies that changed between commits.

use serde_json::{Value, json};

use crate::support::registry::Registry;
use crate::support::stage::{PINNED, Stage};

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";

/// Returns an entry of a git dependency.
fn git(name: &str, url: &str, revision: &str) -> String {
    format!("  \"{name}\": {{:git, \"{url}\", \"{revision}\", []}},\n")
}

/// Commits a lock that pins some releases and contains further entries.
pub fn commit(stage: &Stage, pinned: &[&str], more: &str) -> String {
    let lock = stage.registry.mix_lock(pinned);
    stage.write("mix.lock", &lock.replacen("%{\n", &format!("%{{\n{more}"), 1));
    stage.git(&["add", "--all"]);
    stage.git(&["commit", "--quiet", "--message=Change"]);
    stage.git(&["rev-parse", "HEAD"])
}

/// A project with two commits between which everything changes.
fn changed() -> (Stage, String, String) {
    let stage = Stage::new();
    let here = git("here", "https://u:secret@h/here.git", ONE);
    let before = commit(&stage, &["alpha 1.0.0", "beta 0.3.0", PINNED[2]], &(here + &git("moved", "https://h/m", ONE)));
    let here = git("here", "git@h:here", ONE);
    let after = commit(&stage, &["alpha 1.1.0", "gamma 1.0.0", PINNED[2]], &(here + &git("moved", "https://h/m", TWO)));
    (stage, before, after)
}

#[test]
fn changes_are_listed_in_both_directions() {
    let (stage, before, after) = changed();
    let ran = stage.run(&["diff", "HEAD~..HEAD"]).ok().silent();
    let expected = "  raised   alpha 1.0.0 → 1.1.0\n  removed  beta 0.3.0\n  added    gamma 1.0.0\n  moved    moved h/m 1111111111 → 2222222222\n";
    assert_eq!(ran.stdout, expected);
    let ran = stage.run(&["diff", &format!("{after}..{before}")]).ok();
    let expected = "  lowered  alpha 1.1.0 → 1.0.0\n  added    beta 0.3.0\n  removed  gamma 1.0.0\n  moved    moved h/m 2222222222 → 1111111111\n";
    assert_eq!(ran.stdout, expected);
    // Requires neither a mirror nor a network.
    assert_eq!((stage.tip(), stage.upstream.count("*")), (None, 0));
    stage.run(&["diff", &before, &after]).ok().prints("raised   alpha");
    stage.run(&["diff", "HEAD~.."]).ok().prints("raised   alpha");
    stage.run(&["diff", "..HEAD~"]).ok().prints("lowered  alpha");
}

#[test]
fn one_revision_is_compared_with_the_worktree() {
    let (stage, _, _) = changed();
    stage.run(&["diff", "HEAD"]).ok().says("no dependency changed between HEAD and the worktree");
    stage.run(&["diff", "HEAD", "--exit-code"]).ok();
    stage.run(&["diff", "HEAD", "--exit-code", "--quiet"]).ok().silent();
    stage.lock(&["alpha 2.0.0-rc.1", "gamma 1.0.0", PINNED[2]]);
    let ran = stage.run(&["diff", "HEAD", "--exit-code"]).exits(1);
    ran.prints("raised   alpha 1.1.0 → 2.0.0-rc.1").prints("removed  here h/here 1111111111");
    // Without `--exit-code`, a difference is not a failure.
    stage.run(&["diff", "HEAD~"]).ok().prints("alpha 1.0.0 → 2.0.0-rc.1");
    // Without a revision, the lock is compared with the mirror.
    stage.run(&["diff"]).ok().prints("missing alpha 2.0.0-rc.1");
    stage.run(&["diff", "--exit-code"]).exits(1);
}

#[test]
fn three_dots_compare_with_the_merge_base() {
    let stage = Stage::new();
    commit(&stage, &PINNED, "");
    stage.git(&["checkout", "--quiet", "-b", "side"]);
    commit(&stage, &["alpha 1.1.0", "beta 0.3.0", PINNED[2]], "");
    stage.git(&["checkout", "--quiet", "-"]);
    commit(&stage, &["alpha 1.0.0", "beta 0.3.0"], "");
    let ran = stage.run(&["diff", "HEAD...side"]).ok();
    assert_eq!(ran.stdout, "  raised   alpha 1.0.0 → 1.1.0\n");
    assert_eq!(stage.run(&["diff", "HEAD..side"]).ok().stdout.lines().count(), 2);
    stage.git(&["checkout", "--quiet", "--orphan", "apart"]);
    commit(&stage, &PINNED, "");
    stage.run(&["diff", "apart...side"]).exits(2).says("have no common ancestor");
}

#[test]
fn another_checksum_or_source_is_a_change() {
    let mut stage = Stage::new();
    commit(&stage, &PINNED, "");
    let lib = [("lib/alpha.ex".to_owned(), "other bytes under the same version".to_owned())];
    let before = stage.registry.get("alpha 1.0.0").outer.to_string();
    stage.registry.publish("alpha 1.0.0", &[], &lib);
    let after = stage.registry.get("alpha 1.0.0").outer.to_string();
    commit(&stage, &PINNED, "");
    let ran = stage.run(&["diff", "HEAD~..", "--exit-code"]).exits(1);
    assert_eq!(ran.stdout, format!("  checksum alpha 1.0.0 ({} → {})\n", &before[..10], &after[..10]));
    commit(&stage, &PINNED[1..], &git("alpha", "https://h/alpha", ONE));
    let ran = stage.run(&["diff", "HEAD~.."]).ok();
    assert_eq!(ran.stdout, "  source   alpha 1.0.0 → h/alpha 1111111111\n");
}

#[test]
fn a_removed_checksum_is_a_change() {
    let stage = Stage::new();
    let before = commit(&stage, &PINNED, "");
    let sums = |name: &str| {
        let release = stage.registry.get(name);
        [release.outer.to_string(), release.listed.inner_checksum.to_string()]
    };
    let [outer, inner] = sums("alpha 1.0.0");
    let lock = stage.registry.mix_lock(&PINNED);
    let without_outer = lock.replace(&format!(", \"{outer}\"}}"), "}");
    let without_inner = lock.replace(&format!("\"{inner}\""), "nil");
    assert!(without_outer != lock && without_inner != lock);
    let entry = lock.lines().find(|line| line.contains("\"beta\"")).unwrap();
    let without_any = lock.replace(entry, "  \"beta\": {:hex, :beta, \"0.3.0\"},");
    let beta = &sums("beta 0.3.0")[0][..10];
    for (text, line) in [
        (&without_outer, format!("  checksum alpha 1.0.0 ({} → none)\n", &outer[..10])),
        (&without_inner, format!("  checksum alpha 1.0.0 ({} → none)\n", &inner[..10])),
        (&without_any, format!("  checksum beta 0.3.0 ({beta} → none)\n")),
    ] {
        stage.write("mix.lock", text);
        assert_eq!(stage.run(&["diff", &before, "--exit-code"]).exits(1).silent().stdout, line);
        let document = stage.run(&["diff", &before, "--json"]).ok().json();
        assert_eq!(document["changes"][0]["change"], "checksum");
    }
    // An added checksum is not a change.
    stage.git(&["commit", "--quiet", "--all", "--message=Take out"]);
    stage.write("mix.lock", &lock);
    stage.run(&["diff", "HEAD", "--exit-code"]).ok().says("no dependency changed");
    // A changed version does not hide a removed checksum.
    let [other, _] = sums("alpha 1.1.0");
    let lock = stage.registry.mix_lock(&["alpha 1.1.0", "beta 0.3.0", PINNED[2]]);
    stage.write("mix.lock", &lock.replace(&format!(", \"{other}\"}}"), "}"));
    let line = format!("  raised   alpha 1.0.0 → 1.1.0 (checksum {} → none)\n", &outer[..10]);
    assert_eq!(stage.run(&["diff", &before]).ok().stdout, line);
}

#[test]
fn other_options_of_a_git_dependency_are_compared() {
    let stage = Stage::new();
    let entry = |url: &str, revision: &str, options: &str| {
        format!("  \"g\": {{:git, \"{url}\", \"{revision}\", [{options}]}},\n")
    };
    let before = commit(&stage, &PINNED, &entry("https://h/g", ONE, ""));
    for (url, revision, options, expected) in [
        ("http://h/g", ONE, "", "1111111111 (https → http)"),
        ("git://h/g.git", ONE, "", "1111111111 (https → git)"),
        ("http://h/g", TWO, "", "1111111111 → 2222222222 (https → http)"),
        ("https://h/g", ONE, "subdir: \"lib\"", "1111111111 (subdir none → lib)"),
        ("https://h/g", ONE, "sparse: \"a\", depth: 1", "1111111111 (sparse none → a, depth none → 1)"),
        ("https://h/g", ONE, "submodules: true", "1111111111 (submodules no → yes)"),
    ] {
        let after = commit(&stage, &PINNED, &entry(url, revision, options));
        let ran = stage.run(&["diff", &before, &after, "--exit-code"]).exits(1).silent();
        assert_eq!(ran.stdout, format!("  source   g h/g {expected}\n"));
    }
    let document = stage.run(&["diff", &before, "HEAD", "--json"]).ok().json();
    let change = &document["changes"][0];
    assert_eq!((&change["change"], &change["to"]["submodules"]), (&json!("source"), &json!(true)));
    assert_eq!(change["to"]["subdir"], Value::Null);
    let after = commit(&stage, &PINNED, &entry("ssh://git@h/g", ONE, "tag: \"v1\""));
    stage.run(&["diff", &before, &after, "--exit-code"]).ok().says("no dependency changed");
}

#[test]
fn json() {
    let (stage, before, after) = changed();
    let document = stage.run(&["diff", "HEAD~..HEAD", "--json", "--exit-code"]).exits(1).silent().json();
    assert_eq!(document["from"], json!({ "revision": "HEAD~", "commit": before, "locks": ["mix.lock"] }));
    assert_eq!(document["to"]["commit"], after);
    let changes: Vec<_> = document["changes"].as_array().unwrap().iter().map(|change| &change["change"]).collect();
    assert_eq!(changes, ["raised", "removed", "added", "moved"]);
    let alpha = &document["changes"][0];
    assert_eq!((&alpha["name"], &alpha["from"]["version"]), (&json!("alpha"), &json!("1.0.0")));
    assert_eq!(alpha["to"]["outer_checksum"], stage.registry.get("alpha 1.1.0").outer.to_string());
    assert_eq!((&document["changes"][1]["to"], &document["changes"][2]["from"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (&document["changes"][3]["to"]["revision"], &document["changes"][3]["to"]["kind"]),
        (&json!(TWO), &json!("git"))
    );
    assert!(!document.to_string().contains("secret"));
    let document = stage.run(&["diff", "HEAD", "--json"]).ok().json();
    assert_eq!((&document["to"]["commit"], &document["changes"]), (&Value::Null, &json!([])));
}

#[test]
fn all_locks_in_force_are_compared_from_every_folder() {
    let stage = Stage::without_lock(Registry::sample());
    stage.write("apps/x/mix.exs", "");
    for (version, other) in [("alpha 1.0.0", "beta 0.3.0"), ("alpha 1.1.0", "gamma 1.0.0")] {
        stage.write("apps/x/mix.lock", &stage.registry.mix_lock(&[version]));
        stage.write("rebar.lock", &stage.registry.rebar_lock(&[other]));
        stage.git(&["add", "--all"]);
        stage.git(&["commit", "--quiet", "--message=Change"]);
    }
    let below = stage.project.join("apps/x");
    for folder in [&below, &stage.project] {
        let ran = stage.run_in(folder, &["diff", "HEAD~.."]).ok();
        assert_eq!(ran.stdout, "  raised   alpha 1.0.0 → 1.1.0\n  removed  beta 0.3.0\n  added    gamma 1.0.0\n");
    }
    let ran = stage.run(&["diff", "HEAD~..", "--lock=apps/*/*.lock"]).ok();
    assert_eq!(ran.stdout, "  raised   alpha 1.0.0 → 1.1.0\n");
}

#[test]
fn invalid_comparisons_are_refused() {
    let (stage, _, _) = changed();
    let first = stage.git(&["rev-parse", "HEAD~2"]);
    stage.run(&["diff", "nonsense..HEAD"]).exits(2).says("\"nonsense\" is not a commit").says("hint:");
    stage.run(&["diff", "HEAD~20"]).exits(2).says("\"HEAD~20\" is not a commit");
    stage.run(&["diff", "HEAD^{tree}"]).exits(2).says("is not a commit");
    let neither = format!("found no mix.lock, rebar.lock, manifest.toml or hexmirror.lock in {first}\n");
    stage.run(&["diff", &format!("{first}..{first}")]).exits(2).says(&neither);
    stage.run(&["diff", "HEAD~..HEAD", "--lock=other.lock"]).exits(2).says("found no other.lock in HEAD~ or HEAD");
    stage.run(&["diff", "HEAD~", "HEAD", "HEAD"]).exits(2).says("cannot compare more than two commits");
    stage.run(&["diff", "HEAD~..", "HEAD~.."]).exits(2).says("cannot compare more than two commits");
    stage.write("mix.lock", "%{ broken");
    stage.git(&["commit", "--quiet", "--all", "--message=Break"]);
    let ran = stage.run(&["diff", "HEAD~..HEAD", "--json"]).exits(2).says("HEAD:mix.lock");
    assert_eq!(ran.stdout, "");
    std::fs::remove_file(stage.project.join("mix.lock")).unwrap();
    stage
        .run(&["diff", &first])
        .exits(2)
        .says("found no mix.lock, rebar.lock, manifest.toml or hexmirror.lock in")
        .says("or the worktree");
}

#[test]
fn added_removed_and_moved_locks_are_compared() {
    let stage = Stage::without_lock(Registry::sample());
    stage.write("README", "no lock yet");
    stage.git(&["add", "--all"]);
    stage.git(&["commit", "--quiet", "--message=Begin"]);
    commit(&stage, &PINNED, "");
    let ran = stage.run(&["diff", "HEAD~..HEAD", "--exit-code"]).exits(1).says("HEAD~ has no lock\n");
    assert_eq!(ran.stdout, "  added    alpha 1.0.0\n  added    beta 0.3.0\n  added    delta 4.5.6+build.7\n");
    let ran = stage.run(&["diff", "HEAD..HEAD~", "--json"]).ok().silent().json();
    assert_eq!((&ran["from"]["locks"], &ran["to"]["locks"]), (&json!(["mix.lock"]), &json!([])));
    assert_eq!((ran["changes"].as_array().unwrap().len(), &ran["changes"][0]["change"]), (3, &json!("removed")));
    stage
        .run(&["diff", "--source", "HEAD~.."])
        .ok()
        .says("added (name the package to see its source): alpha 1.0.0, beta 0.3.0");
    std::fs::create_dir(stage.project.join("app")).unwrap();
    stage.git(&["mv", "mix.lock", "app/mix.lock"]);
    stage.run(&["diff", "HEAD"]).ok().prints("removed  alpha 1.0.0").says("the worktree has no lock\n");
    stage.write("app/mix.exs", "");
    stage.run_in(stage.project.join("app"), &["diff", "HEAD"]).ok().says("no dependency changed");
    stage.run(&["diff", "HEAD", "--lock=**/mix.lock", "--exit-code"]).ok().says("no dependency changed");
}

#[test]
fn what_the_mirror_has_besides_is_shortened_like_what_it_lacks() {
    let mut registry = Registry::default();
    let releases: Vec<String> = (0..25).map(|number| format!("p{number:02} 1.0.0")).collect();
    for release in &releases {
        registry.publish(release, &[], &[("lib/p.ex".into(), release.clone())]);
    }
    let all: Vec<&str> = releases.iter().map(String::as_str).collect();
    let stage = Stage::with(registry, &all);
    let lines = |text: &str, word: &str| text.lines().filter(|line| line.trim_start().starts_with(word)).count();
    let lacking = stage.run(&["diff"]).ok().prints("… and 5 more; --verbose lists them").stdout;
    assert_eq!(lines(&lacking, "missing"), 20, "{lacking}");
    stage.run(&["update"]).ok();
    stage.lock(&all[..1]);
    let extra = stage.run(&["diff"]).ok().prints("… and 4 more; --verbose lists them").stdout;
    assert_eq!(lines(&extra, "extra"), 20, "{extra}");
    let extra = stage.run(&["diff", "--verbose"]).ok().stdout;
    assert_eq!(lines(&extra, "extra"), 24, "{extra}");
}
