//! Revisions: what is stored, how they move, and how many can coexist.

use crate::support::forge::Scene;

#[test]
fn a_revision_is_stored_with_its_ancestry_and_nothing_else() {
    let scene = Scene::new();
    scene.forge.commit("a/one", "main", &[("f", "1")]);
    let pinned = scene.forge.commit("a/one", "main", &[("f", "2")]);
    scene.forge.commit("a/one", "main", &[("f", "3")]);
    scene.forge.commit("a/one", "other", &[("g", "1")]);
    scene.lock(&[("one", "a/one", &pinned, "")]);
    let ran = scene.update();
    assert!(ran.stderr.contains(&format!("+ forge.test/a/one {}", &pinned[..10])), "{ran:?}");
    let folder = scene.export("a/one");
    scene.git_in(&folder, &["fsck", "--strict", "--full"]);
    assert_eq!(scene.git_in(&folder, &["rev-parse", "HEAD"]), pinned);
    // Two commits with a tree and a file each, and nothing else in the pack.
    let objects = scene.git_in(&folder, &["cat-file", "--batch-all-objects", "--batch-check=%(objecttype)"]);
    assert_eq!(objects.lines().count(), 6, "{objects}");
    // Exactly what git itself would write, so that a static web server suffices.
    let files = ["packed-refs", "info/refs", "objects/info/packs"];
    let ours = files.map(|file| std::fs::read_to_string(folder.join(file)).unwrap());
    scene.git_in(&folder, &["pack-refs", "--all"]);
    scene.git_in(&folder, &["update-server-info"]);
    assert_eq!(files.map(|file| std::fs::read_to_string(folder.join(file)).unwrap()), ours);
    scene.sandbox().git("", &["clone", "--quiet", folder.to_str().unwrap(), "clone"]);
    assert_eq!(scene.sandbox().git("clone", &["rev-parse", "HEAD"]), pinned);
}

#[test]
fn an_update_with_nothing_to_do_runs_no_git_and_makes_no_request() {
    let scene = Scene::new();
    let pinned = scene.forge.commit("a/one", "main", &[("f", "1")]);
    scene.lock(&[("one", "a/one", &pinned, "")]);
    scene.update();
    let (tip, connections) = (scene.stage.tip(), scene.forge.connections());
    let traces = scene.sandbox().path().join("traces");
    std::fs::create_dir(&traces).unwrap();
    let trace = [("GIT_TRACE2_EVENT", traces.to_str().unwrap())];
    for arguments in [&["update"][..], &["update", "--keep-going"], &["status"], &["update", "--dry-run"]] {
        scene.stage.run_with(arguments, &trace).ok();
    }
    assert_eq!(traces.read_dir().unwrap().count(), 0, "git was run");
    assert_eq!((scene.stage.tip(), scene.forge.connections()), (tip, connections));
    scene.stage.run_with(&["verify"], &trace).ok();
    assert!(traces.read_dir().unwrap().count() > 0, "the trace would have told");
}

#[test]
fn a_later_revision_adds_one_pack_of_new_objects() {
    let scene = Scene::new();
    let large = "x".repeat(50_000);
    let first = scene.forge.commit("a/one", "main", &[("large", &large), ("f", "1")]);
    scene.lock(&[("one", "a/one", &first, r#"branch: "main""#)]);
    scene.update();
    let before = scene.packs("a/one");
    let second = scene.forge.commit("a/one", "main", &[("f", "2")]);
    scene.lock(&[("one", "a/one", &second, r#"branch: "main""#)]);
    let status = scene.stage.run(&["status", "--json"]).exits(1).json();
    assert_eq!(status["changed"][0]["mirrored"][0], *first);
    assert_eq!(status["changed"][0]["kind"], "git");
    scene.stage.run(&["update", "--dry-run"]).exits(1).prints(&format!("forge.test/a/one {}", &second[..10]));
    let json = scene.stage.run(&["update", "--json"]).ok().json();
    assert_eq!(
        (&json["replaced"][0]["revision"], &json["replaced"][0]["from"]),
        (&second.clone().into(), &first.clone().into())
    );
    assert!(json["downloaded_bytes"].as_u64().unwrap() < 2000, "{json}");
    let after = scene.packs("a/one");
    assert_eq!(after.len(), 2);
    assert!(before.iter().all(|pack| after.contains(pack)));
    let folder = scene.export("a/one");
    for pack in after.iter().filter(|pack| !before.contains(pack)) {
        let index = format!("{}/{}", folder.display(), pack.split_once(".git/").unwrap().1.replace(".pack", ".idx"));
        let listed = scene.git_in(&folder, &["verify-pack", "-v", &index]);
        assert_eq!(
            listed
                .lines()
                .filter(|line| line.contains(" commit ") || line.contains(" tree ") || line.contains(" blob "))
                .count(),
            3,
            "{listed}"
        );
    }
    // The name moved, but its previous revision is still available.
    assert_eq!(scene.git_in(&folder, &["rev-parse", "refs/heads/main", "HEAD"]), format!("{second}\n{second}"));
    scene.git_in(&folder, &["rev-parse", &format!("refs/heads/hexmirror/{first}")]);
    assert_eq!(scene.stage.run(&["status", "--json"]).ok().json()["extra"][0]["revision"], *first);
    let subject = scene.stage.git(&["log", "-1", "--format=%s", "hexmirror"]);
    assert_eq!(subject, format!("Update 1 git revision: forge.test/a/one {} → {}", &first[..10], &second[..10]));
    // Back to the first revision, which is still stored, so there is nothing to do.
    let connections = scene.forge.connections();
    scene.lock(&[("one", "a/one", &first, r#"branch: "main""#)]);
    scene.update();
    assert_eq!(scene.forge.connections(), connections);
    let diff = scene.stage.run(&["diff"]).ok();
    assert!(diff.stdout.contains(&format!("extra   forge.test/a/one {}", &second[..10])), "{diff:?}");
}

#[test]
fn packs_never_become_many_and_lose_nothing() {
    let scene = Scene::new();
    let mut revisions = Vec::new();
    for number in 0..13 {
        let revision = scene.forge.commit("a/one", "main", &[(&format!("f{number}"), &number.to_string())]);
        scene.lock(&[("one", "a/one", &revision, "")]);
        scene.stage.run(&["update"]).ok();
        revisions.push(revision);
        assert!(scene.packs("a/one").len() <= 10);
    }
    scene.stage.run(&["verify"]).ok();
    let folder = scene.export("a/one");
    scene.git_in(&folder, &["fsck", "--full", "--strict"]);
    for revision in &revisions {
        scene.git_in(&folder, &["cat-file", "-e", &format!("{revision}^{{commit}}")]);
    }
    // No object is in two packs.
    let counts = scene.git_in(&folder, &["count-objects", "-v"]);
    assert!(counts.contains("in-pack: 39\n"), "{counts}");
    assert!(scene.packs("a/one").len() < 10, "some were merged");
}

#[test]
fn locks_share_a_repository_under_different_addresses() {
    let scene = Scene::new();
    scene.redirect("ssh://git@FORGE.test:2222/");
    let first = scene.forge.commit("a/one", "main", &[("f", "1")]);
    let side = scene.forge.commit("a/one", "side", &[("g", "1")]);
    scene.stage.write(
        "apps/x/mix.lock",
        &format!("%{{\"one\": {{:git, \"ssh://git@FORGE.test:2222/a/one\", \"{side}\", []}}}}"),
    );
    scene.lock(&[("one", "a/one", &first, r#"tag: "v1""#)]);
    scene.stage.write(".hexmirror.toml", "locks = ['mix.lock', 'apps/*/mix.lock']\n");
    scene.update();
    assert_eq!(scene.packs("a/one").len(), 1);
    let folder = scene.export("a/one");
    assert_eq!(scene.git_in(&folder, &["rev-parse", "refs/tags/v1", "HEAD"]), format!("{first}\n{side}"));
    let list = scene.stage.run(&["list", "--json"]).ok().json();
    let revisions: Vec<&str> = list.as_array().unwrap().iter().map(|item| item["revision"].as_str().unwrap()).collect();
    assert!(revisions.len() == 2 && revisions.contains(&first.as_str()) && revisions.contains(&side.as_str()));
    assert!(
        list.as_array().unwrap().iter().all(|item| item["kind"] == "git" && item["repository"] == "forge.test/a/one")
    );
}

#[test]
fn a_name_is_added_without_a_request() {
    let scene = Scene::new();
    let pinned = scene.forge.commit("a/one", "main", &[("f", "1")]);
    scene.lock(&[("one", "a/one", &pinned, &format!("ref: \"{pinned}\""))]);
    scene.update();
    let connections = scene.forge.connections();
    scene.lock(&[("one", "a/one", &pinned, r#"tag: "v1.0""#)]);
    scene.update();
    assert_eq!(scene.forge.connections(), connections);
    assert_eq!(scene.git_in(&scene.export("a/one"), &["rev-parse", "refs/tags/v1.0"]), pinned);
    assert_eq!(scene.packs("a/one").len(), 1);
}

#[test]
fn paths_that_differ_by_case_are_two_repositories() {
    let scene = Scene::new();
    let one = scene.forge.commit("a/one", "main", &[("f", "1")]);
    let other = scene.forge.commit("A/One", "main", &[("f", "2")]);
    scene.lock(&[("one", "a/one", &one, ""), ("other", "A/One", &other, "")]);
    scene.update();
    assert_eq!(scene.git_in(&scene.export("A/One"), &["rev-parse", "HEAD"]), other);
    assert_eq!(scene.git_in(&scene.export("a/one"), &["rev-parse", "HEAD"]), one);
}

#[test]
fn in_a_fresh_clone_git_is_redirected_for_origins_mirror() {
    let scene = Scene::new();
    let pinned = scene.forge.commit("a/one", "main", &[("f", "1")]);
    scene.lock(&[("one", "a/one", &pinned, "")]);
    scene.update();
    scene.stage.git(&["add", "mix.lock"]);
    scene.stage.git(&["commit", "--quiet", "--message=Lock"]);
    scene.sandbox().git("", &["clone", "--quiet", "project", "clone"]);
    scene.stage.run_in("clone", &["env"]).ok().prints("https://forge.test/a/one");
    assert!(!scene.sandbox().try_git("clone", &["rev-parse", "--verify", "refs/heads/hexmirror"]).status.success());
}
