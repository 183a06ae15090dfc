//! Entries with a depth or submodules, and servers that only serve commits reachable from refs.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::forge::Scene;
use crate::support::upstream::TestUpstream;

fn three_commits(scene: &Scene, name: &str) -> Vec<String> {
    (0..3).map(|number| scene.forge.commit(name, "main", &[("f", &number.to_string())])).collect()
}

#[test]
fn a_depth_is_kept_to_and_deepened() {
    let scene = Scene::shallow();
    let commits = three_commits(&scene, "a/one");
    scene.lock(&[("one", "a/one", &commits[2], "depth: 1")]);
    scene.update();
    let folder = scene.export("a/one");
    assert_eq!(std::fs::read_to_string(folder.join("shallow")).unwrap(), format!("{}\n", commits[2]));
    scene.git_in(&folder, &["fsck", "--full", "--strict"]);
    assert_eq!(scene.git_in(&folder, &["rev-list", "--all"]), commits[2]);
    scene.lock(&[("one", "a/one", &commits[2], "depth: 2")]);
    scene.stage.run(&["status"]).exits(1);
    scene.update();
    let folder = scene.export("a/one");
    scene.git_in(&folder, &["fsck", "--full", "--strict"]);
    assert_eq!(scene.git_in(&folder, &["rev-list", "--all"]), format!("{}\n{}", commits[2], commits[1]));
    // A smaller depth is covered already.
    let connections = scene.forge.connections();
    scene.lock(&[("one", "a/one", &commits[2], "depth: 1")]);
    scene.update();
    assert_eq!(scene.forge.connections(), connections);
    // A later entry adds what it needs, and the old revision stays.
    let next = scene.forge.commit("a/one", "main", &[("f", "9")]);
    scene.lock(&[("one", "a/one", &next, "depth: 1")]);
    scene.update();
    let folder = scene.export("a/one");
    scene.git_in(&folder, &["fsck", "--full", "--strict"]);
    scene.git_in(&folder, &["cat-file", "-e", &format!("{}^{{tree}}", commits[2])]);
    scene.sandbox().git("", &["clone", "--quiet", "--depth=1", &format!("file://{}", folder.display()), "clone"]);
}

#[test]
fn a_revision_that_any_lock_needs_in_full_is_stored_in_full() {
    let scene = Scene::shallow();
    let commits = three_commits(&scene, "a/one");
    scene.lock(&[("one", "a/one", &commits[2], "depth: 1")]);
    scene.update();
    scene.lock(&[("one", "a/one", &commits[1], "")]);
    scene.update();
    let folder = scene.export("a/one");
    assert!(!folder.join("shallow").exists());
    scene.git_in(&folder, &["fsck", "--full", "--strict"]);
    let ancestry = |folder: &Path| scene.git_in(folder, &["rev-list", "--all"]).lines().map(str::to_owned).collect();
    let mut all = BTreeSet::from_iter(commits);
    assert_eq!(all, ancestry(&folder));
    let next = scene.forge.commit("a/one", "main", &[("f", "9")]);
    scene.lock(&[("one", "a/one", &next, "depth: 1")]);
    scene.update();
    all.insert(next);
    assert_eq!(all, ancestry(&scene.export("a/one")));
    assert!(scene.manifest().iter().all(|line| !line.starts_with("shallow ")));
}

#[test]
fn a_shallow_revision_that_upstream_lost_is_dropped_when_all_is_stored_in_full() {
    let scene = Scene::shallow();
    scene.forge.commit("a/one", "main", &[("f", "1")]);
    let lost = scene.forge.commit("a/one", "lost", &[("f", "1")]);
    scene.lock(&[("one", "a/one", &lost, "depth: 1")]);
    scene.update();
    std::fs::remove_dir_all(scene.forge.path("a/one")).unwrap();
    let kept = scene.forge.commit("a/one", "main", &[("f", "3")]);
    scene.lock(&[("one", "a/one", &kept, "")]);
    let ran = scene.update();
    assert!(ran.stderr.contains("from the mirror, which had it only shallow"), "{ran:?}");
    assert_eq!(scene.git_in(&scene.export("a/one"), &["rev-list", "--all"]), kept);
}

#[test]
fn submodules_are_mirrored_recursively() {
    let scene = Scene::new();
    let leaf = scene.forge.commit("b/leaf", "main", &[("leaf", "1")]);
    scene.forge.commit("b/leaf", "main", &[("leaf", "2")]);
    let gitmodules = "[submodule \"leaf\"]\n\tpath = deep/leaf\n\turl = ../leaf\n";
    let middle = scene.forge.commit(
        "b/middle",
        "main",
        &[(".gitmodules", gitmodules), ("deep/leaf", &format!("commit {leaf}"))],
    );
    let gitmodules = "[submodule \"m.x\"]\n\tpath = middle\n\turl = ../../b/middle.git\n\
        [submodule \"absolute\"]\n\tpath = leaf\n\turl = https://forge.test/b/leaf.git\n\
        [submodule \"unused\"]\n\tpath = nowhere\n\turl = /etc\n";
    let files =
        [(".gitmodules", gitmodules), ("middle", &format!("commit {middle}")), ("leaf", &format!("commit {leaf}"))];
    let top = scene.forge.commit("a/top", "main", &files);
    scene.lock(&[("top", "a/top", &top, "")]);
    scene.update();
    assert_eq!(scene.manifest().iter().filter(|line| line.starts_with("git ")).count(), 1);
    // The same revision, now with submodules.
    scene.lock(&[("top", "a/top", &top, "submodules: true")]);
    scene.stage.run(&["status"]).exits(1);
    scene.update();
    let lines = scene.manifest().join("\n");
    for line in [
        format!("submodule forge.test/a/top {top} forge.test/b/middle {middle}"),
        format!("submodule forge.test/a/top {top} forge.test/b/leaf {leaf}"),
        format!("submodule forge.test/b/middle {middle} forge.test/b/leaf {leaf}"),
        format!("git forge.test/b/leaf {leaf} full submodules"),
    ] {
        assert!(lines.contains(&line), "{line} is not in\n{lines}");
    }
    // A client checks out everything from the mirror alone.
    let served = scene.sandbox().path().join("served");
    for name in ["a/top", "b/middle", "b/leaf"] {
        let to = served.join(format!("{name}.git"));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::rename(scene.export(name), to).unwrap();
    }
    let instead = format!("url.file://{}/.insteadOf=https://forge.test/", served.display());
    let clone = ["-c", &instead, "-c", "protocol.file.allow=always", "clone", "--quiet", "--recurse-submodules"];
    std::fs::remove_file(scene.sandbox().home().join(".gitconfig")).unwrap();
    scene.sandbox().git("", &[&clone[..], &["https://forge.test/a/top.git", "clone"]].concat());
    for file in ["clone/middle/deep/leaf/leaf", "clone/leaf/leaf"] {
        assert_eq!(std::fs::read_to_string(scene.sandbox().path().join(file)).unwrap(), "1");
    }
    assert_eq!(scene.stage.run(&["diff", "--json"]).ok().json()["extra"].as_array().unwrap().len(), 0);
}

#[test]
fn a_setting_names_what_is_mirrored_with_submodules_though_its_lock_cannot_say_so() {
    let scene = Scene::new();
    let inner = scene.forge.commit("a/inner", "main", &[("f", "1")]);
    let gitmodules = "[submodule \"inner\"]\n\tpath = inner\n\turl = ../inner\n";
    let outer = [(".gitmodules", gitmodules), ("inner", &format!("commit {inner}"))];
    let [one, two] = ["a/one", "a/two"].map(|name| scene.forge.commit(name, "main", &outer));
    let entry = |app: &str, commit: &str| {
        format!("{{<<\"{app}\">>,{{git,\"https://forge.test/a/{app}.git\",{{ref,\"{commit}\"}}}},0}}")
    };
    scene.stage.write("rebar.lock", &format!("[{},\n{}].\n", entry("one", &one), entry("two", &two)));
    scene.update();
    let submodules = || scene.manifest().into_iter().filter(|line| line.starts_with("submodule ")).collect::<Vec<_>>();
    assert_eq!(submodules(), [""; 0]);
    // The mirror was fresh and no longer is.
    scene.stage.run(&["status"]).ok();
    scene.stage.write(".hexmirror.toml", "submodules = [\"one\"]\n");
    scene.stage.run(&["status"]).exits(1);
    scene.update();
    assert_eq!(submodules(), [format!("submodule forge.test/a/one {one} forge.test/a/inner {inner}")]);
    scene.stage.run(&["status"]).ok();
    let connections = scene.forge.connections();
    scene.update();
    assert_eq!(scene.forge.connections(), connections, "upstream was asked again");
}

#[test]
fn a_missing_submodule_is_an_error() {
    let scene = Scene::new();
    let gitmodules = |url: &str| format!("[submodule \"x\"]\n\tpath = x\n\turl = {url}\n");
    let nothing = "commit 1111111111111111111111111111111111111111";
    let local = scene.forge.commit("a/local", "main", &[(".gitmodules", &gitmodules("/srv/x")), ("x", nothing)]);
    scene.lock(&[("a", "a/local", &local, "submodules: true")]);
    let ran = scene.stage.run(&["update"]).exits(2).says("local paths are not mirrored");
    assert!(ran.stderr.contains("the submodule \"x\" of forge.test/a/local"), "{ran:?}");
    assert_eq!(scene.stage.tip(), None);
    let gone = scene.forge.commit("a/gone", "main", &[(".gitmodules", &gitmodules("../no-such")), ("x", nothing)]);
    scene.lock(&[("a", "a/gone", &gone, "submodules: true")]);
    scene.stage.run(&["update"]).exits(3).says("https://forge.test/a/no-such");
    assert_eq!(scene.stage.tip(), None);
    // Kept without its submodule, the repository is reported as incomplete, also later.
    scene.stage.run(&["update", "--keep-going"]).exits(3).says("incomplete");
    assert!(scene.manifest().contains(&format!("git forge.test/a/gone {gone} full HEAD")), "{:?}", scene.manifest());
    scene.stage.run(&["status"]).exits(1);
    scene.stage.run(&["verify"]).ok();
}

#[test]
fn a_server_that_gives_no_commit_by_its_id_is_asked_for_refs() {
    let scene = Scene::shallow();
    // The older protocol only lets a client request advertised commits.
    scene.sandbox().git("", &["config", "--global", "protocol.version", "0"]);
    let commits = three_commits(&scene, "a/one");
    let tagger = ["-c", "user.name=a", "-c", "user.email=b@c"];
    scene.forge.run("a/one", &[&tagger[..], &["tag", "-a", "-m", "x", "v1", &commits[1]]].concat());
    let side = scene.forge.commit("a/one", "side", &[("large", &"y".repeat(10_000))]);
    scene.lock(&[("one", "a/one", &commits[1], r#"branch: "main""#)]);
    scene.update();
    let folder = scene.export("a/one");
    // Later commits and the other branch were transferred but not kept.
    let objects = scene.git_in(&folder, &["cat-file", "--batch-all-objects", "--batch-check=%(objecttype)"]);
    assert_eq!(objects.lines().count(), 6, "{objects}");
    scene.lock(&[("one", "a/one", &commits[0], "")]);
    scene.update();
    scene.lock(&[("one", "a/one", &side, r#"tag: "v1""#)]);
    scene.update();
    let other = three_commits(&scene, "a/two");
    scene.lock(&[("two", "a/two", &other[1], "depth: 1")]);
    scene.update();
    let folder = scene.export("a/two");
    assert_eq!(std::fs::read_to_string(folder.join("shallow")).unwrap(), format!("{}\n", other[1]));
    assert_eq!(scene.git_in(&folder, &["rev-list", "--all"]), other[1]);
}

#[test]
fn a_static_web_server_suffices() {
    let scene = Scene::new();
    let commits = three_commits(&scene, "a/one");
    scene.forge.run("a/one", &["gc", "--quiet"]);
    scene.forge.run("a/one", &["update-server-info"]);
    let web = TestUpstream::serve(scene.forge.path("a/one").parent().unwrap().parent().unwrap());
    let key = format!("url.{}/.insteadOf", web.url());
    std::fs::remove_file(scene.sandbox().home().join(".gitconfig")).unwrap();
    scene.sandbox().git("", &["config", "--global", &key, "https://forge.test/"]);
    scene.lock(&[("one", "a/one", &commits[1], "")]);
    scene.update();
    assert_eq!(scene.git_in(&scene.export("a/one"), &["rev-list", "--all"]), format!("{}\n{}", commits[1], commits[0]));
}

#[test]
fn a_missing_revision_is_reported_with_the_available_ones() {
    let scene = Scene::new();
    scene.forge.commit("a/one", "main", &[("f", "1")]);
    let head = scene.forge.commit("a/one", "v2.x", &[("f", "1")]);
    scene.forge.run("a/one", &["tag", "v2.0", &head]);
    let nowhere = "1".repeat(40);
    for version in ["2", "0"] {
        scene.sandbox().git("", &["config", "--global", "protocol.version", version]);
        scene.lock(&[("one", "a/one", &nowhere, "")]);
        let ran = scene.stage.run(&["update"]).exits(3).says(&format!("does not have the commit {nowhere}"));
        assert!(ran.stderr.contains("it has main, v2.x, tags/v2.0"), "{ran:?}");
    }
    assert_eq!(scene.stage.tip(), None);
}
