//! rebar3 plugins from git, which `update` pins to the commit that their definition leads to.

use std::fs;

use crate::support::forge::{Fault, Scene};

/// A git dependency that needs a plugin from git, which depends on a package of the registry.
fn scene(definition: &str) -> Scene {
    let scene = Scene::new();
    scene.forge.commit("x/maker", "main", &[("rebar.config", "{deps, [{alpha, \"~> 1.0\"}]}.\n")]);
    let config = format!("{{plugins, [{definition}]}}.\n");
    let native = scene.forge.commit("x/native", "main", &[("rebar.config", &config)]);
    scene.lock(&[("native", "x/native", &native, "branch: \"main\"")]);
    scene
}

/// Returns the entries of the project's hexmirror.lock, without checksums.
fn pins(scene: &Scene) -> Vec<String> {
    let text = fs::read_to_string(scene.stage.project.join("hexmirror.lock")).unwrap_or_default();
    let entries = text.lines().filter(|line| line.starts_with("plugin"));
    entries.map(|line| line.split(' ').filter(|word| word.len() != 64).collect::<Vec<_>>().join(" ")).collect()
}

fn maker(scene: &Scene) -> String {
    scene.forge.run("x/maker", &["rev-parse", "main"])
}

#[test]
fn a_plugin_is_pinned_to_the_commit_of_its_branch_until_a_refresh() {
    let scene = scene("{maker, {git, \"https://forge.test/x/maker.git\", {branch, \"main\"}}}");
    let pinned = |revision: &str| {
        let git = format!("plugin-git maker https://forge.test/x/maker.git {revision} heads/main for native");
        ["plugin hexpm alpha 1.1.0 for maker".to_owned(), git]
    };
    scene.update();
    let first = maker(&scene);
    assert_eq!(pins(&scene), pinned(&first));
    scene.stage.run(&["update", "--locked"]).ok().says("nothing to do");
    let second = scene.forge.commit("x/maker", "main", &[("more", "x")]);
    assert_eq!(pins(&scene), pinned(&first));
    scene.stage.run(&["update", "--refresh"]).ok();
    assert_eq!(pins(&scene), pinned(&second));
    scene.stage.run(&["status"]).ok();
}

#[test]
fn a_tag_leads_to_its_commit_and_a_commit_to_itself() {
    let scene = scene("{maker, {git, \"https://forge.test/x/maker.git\", {tag, \"v1\"}}}");
    let tag = ["-c", "user.name=A", "-c", "user.email=a@example.com", "tag", "-a", "v1", "-m", "one", "main"];
    scene.forge.run("x/maker", &tag);
    scene.update();
    let commit = maker(&scene);
    assert!(pins(&scene)[1].contains(&format!("{commit} tags/v1 for native")), "{:?}", pins(&scene));
    let config =
        format!("{{plugins, [{{maker, {{git, \"https://forge.test/x/maker.git\", {{ref, \"{commit}\"}}}}}}]}}.");
    let native = scene.forge.commit("x/native", "main", &[("rebar.config", &config)]);
    scene.lock(&[("native", "x/native", &native, "branch: \"main\"")]);
    scene.update();
    assert!(pins(&scene)[1].contains(&format!("{commit} - for native")), "{:?}", pins(&scene));
}

#[test]
fn a_plugin_that_cannot_be_had_is_named_and_does_not_stop_the_update() {
    for (definition, reason) in [
        ("{maker, {git, \"https://forge.test/x/maker.git\", {branch, \"none\"}}}", "has no heads/none"),
        ("{maker, {git, \"https://forge.test/x/gone.git\", {branch, \"main\"}}}", "cannot pin the plugin"),
        (
            "{maker, {git, \"https://forge.test/x/gone.git\", {ref, \"1111111111111111111111111111111111111111\"}}}",
            "gone",
        ),
    ] {
        let scene = scene(definition);
        let ran = scene.update();
        assert!(ran.stderr.contains("warning") && ran.stderr.contains(reason), "{definition}: {}", ran.stderr);
        let pins = pins(&scene);
        assert!(pins.len() == 1 && pins[0].contains(" none "), "{pins:?}");
        scene.stage.run(&["status"]).ok();
        scene.stage.run(&["update", "--locked"]).ok().says("nothing to do");
    }
}

#[test]
fn a_pin_stays_while_its_repository_does_not_answer() {
    let scene = scene("{maker, {git, \"https://forge.test/x/maker.git\", {branch, \"main\"}}}");
    scene.update();
    let before = pins(&scene);
    assert_eq!(before.len(), 2);
    let says = "cannot ask forge.test/x/maker for plugins, so what hexmirror.lock pins of them, if anything, stays";
    scene.forge.fail(Some(Fault::Hangup));
    scene.stage.run(&["update", "--refresh"]).ok().says(says);
    assert_eq!(pins(&scene), before, "with the package that it depends on");
    scene.forge.fail(None);
    // A server that hides the repository from this user says that there is none.
    fs::rename(scene.forge.path("x/maker"), scene.forge.path("x/hidden")).unwrap();
    scene.stage.run(&["update", "--refresh"]).ok().says(says);
    assert_eq!(pins(&scene), before);
    scene.stage.run(&["status"]).ok();
    // An answer that the branch is gone counts.
    fs::rename(scene.forge.path("x/hidden"), scene.forge.path("x/maker")).unwrap();
    scene.forge.run("x/maker", &["update-ref", "refs/heads/other", "main"]);
    scene.forge.run("x/maker", &["update-ref", "-d", "refs/heads/main"]);
    scene.stage.run(&["update", "--refresh"]).ok().says("has no heads/main");
    assert_eq!(pins(&scene), ["plugin-git maker https://forge.test/x/maker.git none heads/main for native"]);
}

#[test]
fn a_plugin_whose_repository_does_not_answer_stays_unpinned_and_stops_nothing_else() {
    let scene = scene("alpha, {maker, {git, \"https://other.test/x/maker.git\", {branch, \"main\"}}}");
    let silent = "url.git://127.0.0.1:1/.insteadOf";
    scene.stage.sandbox.git("", &["config", "--global", silent, "https://other.test/"]);
    let ran = scene.stage.run(&["update"]).exits(3);
    let ran = ran.says("cannot pin the plugin maker for native: other.test/x/maker did not answer");
    assert!(
        ran.stderr.contains("incomplete") && ran.stderr.contains("cannot reach https://other.test/"),
        "{}",
        ran.stderr
    );
    assert_eq!(pins(&scene), ["plugin hexpm alpha 1.1.0 for native"], "everything else is pinned and stored");
    scene.stage.run(&["status"]).exits(1).prints("unpinned plugin maker for native");
    let ran = scene.stage.run(&["update"]).exits(3);
    assert!(!ran.stderr.contains("fresh"), "{}", ran.stderr);
    scene.stage.run(&["update", "--locked"]).exits(3);
    // Someone who knows that it will never answer can say so.
    let lock = scene.stage.project.join("hexmirror.lock");
    let text = fs::read_to_string(&lock).unwrap();
    let absent = "plugin-git maker https://other.test/x/maker.git none heads/main for native\n";
    fs::write(&lock, text + absent).unwrap();
    scene.stage.run(&["status"]).ok();
    scene.stage.run(&["update", "--refresh"]).ok();
    assert_eq!(pins(&scene).len(), 2);
    scene.stage.sandbox.git("", &["config", "--global", "--unset", silent]);
    scene.redirect("https://other.test/");
    scene.stage.run(&["update", "--refresh"]).ok();
    assert!(pins(&scene)[1].contains(&maker(&scene)), "{:?}", pins(&scene));
}
