//! Branches of git repositories that the settings name: their tips are pinned, kept, refreshed and served. mix_audit asks for
//! its advisories by the commands in [`AUDIT`] (`MixAudit.Repo.synchronize/0` in version 2.1.5).

use std::fs;

use serde_json::json;

use crate::support::forge::{Fault, Scene};
use crate::support::stage::Ran;

const REPOSITORY: &str = "team/advisories";
const SETTINGS: &str = "[[git]]\nurl = 'https://forge.test/team/advisories.git'\nbranch = 'main'\n";
/// What mix_audit runs, in the folder `advisories` of the home: the first time, and each further time.
const AUDIT: &str = "if [ -d \"$HOME/advisories\" ]; then cd \"$HOME/advisories\" && git pull --rebase --quiet origin main; \
                     else git clone --quiet https://forge.test/team/advisories.git \"$HOME/advisories\"; fi";

/// A project with a git dependency and a forge with advisories, which the tracked settings name.
fn scene() -> (Scene, String) {
    let scene = Scene::new();
    let lib = scene.forge.commit("team/lib", "main", &[("lib.ex", "one")]);
    scene.lock(&[("lib", "team/lib", &lib, "")]);
    let tip = scene.forge.commit(REPOSITORY, "main", &[("packages/plug/CVE-1.yml", "id: CVE-1")]);
    scene.stage.write(".hexmirror.toml", SETTINGS);
    (scene, tip)
}

fn audit(scene: &Scene) -> Ran {
    scene.stage.run(&["run", "--", "sh", "-ec", AUDIT])
}

fn lock(scene: &Scene) -> String {
    fs::read_to_string(scene.stage.project.join("hexmirror.lock")).unwrap_or_default()
}

fn line(scene: &Scene) -> String {
    lock(scene).lines().find(|line| line.starts_with("git ")).unwrap_or_default().to_owned()
}

#[test]
fn the_tip_of_a_branch_is_pinned_and_a_client_gets_it_without_network() {
    let (scene, tip) = scene();
    let stage = &scene.stage;
    let named = "https://forge.test/team/advisories.git main";
    stage.run(&["status"]).exits(1).prints(&format!("{named} (no hexmirror.lock pins it; update does)"));
    assert_eq!(stage.run(&["status", "--json"]).exits(1).json()["unpinned_git"], json!([named]));
    stage.run(&["update", "--locked"]).exits(1).says("hexmirror.lock would change");
    scene.update().says("pinned in hexmirror.lock");
    let begin = format!("git https://forge.test/team/advisories.git {tip} heads/main as-of 20");
    assert!(line(&scene).starts_with(&begin), "{}", lock(&scene));
    stage.run(&["list"]).ok().prints(&format!("forge.test/team/advisories {}  git heads/main", &tip[..10]));
    stage.run(&["diff"]).ok();
    stage.run(&["update", "--locked"]).ok();

    // The branch moves on, and upstream is gone.
    scene.forge.commit(REPOSITORY, "main", &[("packages/plug/CVE-2.yml", "id: CVE-2")]);
    scene.forge.fail(Some(Fault::Hangup));
    stage.run(&["update"]).ok().says("nothing to do");
    audit(&scene).ok();
    let clone = scene.sandbox().path().join("home/advisories");
    let clone = clone.to_str().unwrap();
    let git = |arguments: &[&str]| scene.sandbox().git("", &[&["-C", clone], arguments].concat());
    assert_eq!((git(&["rev-parse", "HEAD"]), git(&["symbolic-ref", "HEAD"])), (tip.clone(), "refs/heads/main".into()));
    assert_eq!(git(&["config", "remote.origin.url"]), "https://forge.test/team/advisories.git");
    audit(&scene).ok();
    assert_eq!(git(&["rev-parse", "HEAD"]), tip);
}

#[test]
fn of_two_tips_after_a_merge_the_newest_counts_and_a_refresh_leaves_one() {
    let (scene, tip) = scene();
    let stage = &scene.stage;
    scene.update();
    let merged = lock(&scene);
    let older = line(&scene).replace(&tip, &"f".repeat(40));
    let (begin, _) = older.split_once(" as-of ").unwrap();
    let older = format!("{begin} as-of 2020-01-01");
    stage.write("hexmirror.lock", &format!("{merged}{older}\n"));
    // The mirror need not have the older tip, and clients get the newest.
    stage.run(&["status"]).ok();
    audit(&scene).ok();
    stage.run(&["update", "--refresh", "--locked"]).ok();
    assert!(lock(&scene).contains(&older));
    stage.run(&["update", "--refresh"]).ok().says("hexmirror.lock");
    assert_eq!(lock(&scene), merged);
}

#[test]
fn a_refresh_moves_the_pin_and_clients_follow() {
    let (scene, first) = scene();
    let stage = &scene.stage;
    scene.update();
    audit(&scene).ok();
    let before = lock(&scene);
    stage.run(&["update", "--refresh"]).ok();
    assert_eq!(lock(&scene), before, "the branch has not moved");

    let second = scene.forge.commit(REPOSITORY, "main", &[("packages/plug/CVE-2.yml", "id: CVE-2")]);
    // A comment stays above the line.
    stage.write("hexmirror.lock", &before.replace("\ngit ", "\n# for mix deps.audit\ngit "));
    stage.run(&["update", "--refresh", "--locked"]).ok();
    assert!(line(&scene).contains(&first));
    stage.run(&["update", "--refresh"]).ok().says("pinned in hexmirror.lock");
    assert!(line(&scene).contains(&second), "{}", lock(&scene));
    assert_eq!(lock(&scene).matches("\n# for mix deps.audit\ngit ").count(), 1, "{}", lock(&scene));
    assert_eq!(lock(&scene).matches("\ngit ").count(), 1, "{}", lock(&scene));
    scene.forge.fail(Some(Fault::Hangup));
    audit(&scene).ok();
    let clone = scene.sandbox().path().join("home/advisories");
    assert!(clone.join("packages/plug/CVE-2.yml").exists());
    stage.run(&["status"]).ok();

    // The pin counts, not what the mirror has besides: the old lock leads to the old tip.
    stage.write("hexmirror.lock", &before);
    stage.run(&["status"]).ok();
    fs::remove_dir_all(&clone).unwrap();
    audit(&scene).ok();
    assert!(!clone.join("packages/plug/CVE-2.yml").exists());
}

#[test]
fn prune_keeps_the_pinned_tip_only() {
    let (scene, first) = scene();
    let stage = &scene.stage;
    scene.update();
    let second = scene.forge.commit(REPOSITORY, "main", &[("packages/plug/CVE-2.yml", "id: CVE-2")]);
    stage.run(&["update", "--refresh"]).ok();
    stage.run(&["prune", "--keep-days=0"]).ok();
    let kept = scene.manifest().join("\n");
    assert!(kept.contains(&second) && !kept.contains(&first), "{kept}");
    stage.run(&["status"]).ok();
    stage.run(&["verify"]).ok();
}

#[test]
fn a_branch_that_does_not_exist_or_cannot_be_asked_for_changes_nothing() {
    let (scene, _) = scene();
    let stage = &scene.stage;
    stage.write(".hexmirror.toml", &SETTINGS.replace("'main'", "'master'"));
    stage.run(&["update"]).exits(3).says("https://forge.test/team/advisories.git has no branch master");
    scene.forge.fail(Some(Fault::Hangup));
    stage.write(".hexmirror.toml", SETTINGS);
    stage.run(&["update"]).exits(3);
    assert_eq!((stage.tip(), lock(&scene)), (None, String::new()));
    for (settings, problem) in [
        ("[[git]]\nurl = 'https://me:secret@forge.test/x'\nbranch = 'main'\n", "must not contain"),
        ("[[git]]\nurl = '/srv/x'\nbranch = 'main'\n", "local paths are not mirrored"),
        ("[[git]]\nurl = 'https://forge.test/x'\nbranch = '--x'\n", "is not a name that git accepts"),
        ("[[git]]\nurl = 'https://forge.test/x'\n", "missing field `branch`"),
    ] {
        stage.write(".hexmirror.toml", settings);
        let ran = stage.run(&["status"]).exits(2).says(problem);
        assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
    }
}

#[test]
fn the_users_settings_name_branches_too_and_a_diff_names_their_tips() {
    let (scene, first) = scene();
    let stage = &scene.stage;
    fs::remove_file(stage.project.join(".hexmirror.toml")).unwrap();
    stage.run(&["update"]).ok();
    assert_eq!(lock(&scene), "");
    stage.git(&["config", "hexmirror.git", "git@forge.test:team/advisories.git main"]);
    scene.redirect("git@forge.test:");
    scene.update();
    stage.git(&["add", "--all"]);
    stage.git(&["commit", "--quiet", "--message=one"]);
    let second = scene.forge.commit(REPOSITORY, "main", &[("packages/plug/CVE-2.yml", "id: CVE-2")]);
    stage.run(&["update", "--refresh"]).ok();
    let diff = stage.run(&["diff", "HEAD"]).ok();
    let shown = format!("moved    advisories forge.test/team/advisories {} (tip of main on 20", &first[..10]);
    assert!(diff.stdout.contains(&shown) && diff.stdout.contains(&format!("→ {}", &second[..10])), "{}", diff.stdout);
    let diff = stage.run(&["diff", "--source", "HEAD"]).ok();
    assert!(diff.stdout.contains("+id: CVE-2"), "{}", diff.stdout);
}
