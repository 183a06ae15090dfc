//! rebar3 plugins: `update` pins them in hexmirror.lock, and everything else acts on that.

use std::fs;

use crate::support::registry::Registry;
use crate::support::stage::{Ran, Stage};

/// A dependency that needs a plugin, which needs a package.
fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.publish("native 1.0.0", &[], &[file("rebar.config", "{plugins, [builder]}.\n{project_plugins, [no]}.\n")]);
    registry.publish("plain 1.0.0", &[], &[file("rebar.config", "{erl_opts, []}.\n")]);
    registry.publish("of_mix 1.0.0", &[], &[file("rebar.config", "{plugins, [no]}.\n"), file("mix.exs", "x")]);
    registry.publish("builder 1.0.0", &["helper ~> 0.1", "?no >= 0.0.0"], &[]);
    registry.publish("helper 0.1.0", &[], &[]);
    registry.publish("helper 0.2.0", &[], &[]);
    registry
}

fn file(path: &str, text: &str) -> (String, String) {
    (path.to_owned(), text.to_owned())
}

fn stage() -> Stage {
    let stage = Stage::with(registry(), &["native 1.0.0", "plain 1.0.0", "of_mix 1.0.0"]);
    stage.write("mix.exs", "");
    stage
}

/// Returns the entries of the project's hexmirror.lock, each without its checksum.
fn pins(stage: &Stage) -> Vec<String> {
    let text = fs::read_to_string(stage.project.join("hexmirror.lock")).unwrap_or_default();
    let entries = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let is_checksum = |word: &&str| word.len() == 64;
    entries.map(|line| line.split(' ').filter(|word| !is_checksum(word)).collect::<Vec<_>>().join(" ")).collect()
}

const PINS: [&str; 2] = ["plugin hexpm builder 1.0.0 for native", "plugin hexpm helper 0.2.0 for builder"];

#[test]
fn an_update_pins_and_stores_what_a_dependency_needs() {
    let stage = stage();
    let ran = stage.run(&["update"]).ok().says("wrote hexmirror.lock; commit it");
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    assert_eq!(pins(&stage), PINS);
    stage.run(&["status"]).ok();
    let document = stage.run(&["list", "--json"]).ok();
    assert!(document.stdout.contains("builder") && document.stdout.contains("helper"), "{}", document.stdout);
    // Once written, nothing changes, and nothing is asked.
    let (tip, asked) = (stage.tip(), stage.upstream.count("*"));
    stage.run(&["update", "--locked"]).ok().says("nothing to do");
    assert_eq!((stage.tip(), stage.upstream.count("*")), (tip, asked));
    let lock = stage.git(&["log", "-1", "--format=%B", "hexmirror"]);
    assert!(lock.contains("Lock: hexmirror.lock sha256:"), "{lock}");
}

#[test]
fn mix_builds_a_package_with_the_manager_that_its_lock_names() {
    let mut registry = Registry::default();
    registry.publish("helper 0.2.0", &[], &[]);
    let config = || file("rebar.config", "{plugins, [helper]}.\n");
    registry.publish("native 1.0.0", &[], &[config()]);
    registry.publish("both 1.0.0", &[], &[config(), file("mix.exs", "x")]);
    let stage = Stage::with(registry, &["native 1.0.0", "both 1.0.0"]);
    let lock = fs::read_to_string(stage.project.join("mix.lock")).unwrap();
    for (managers, askers) in [
        ("[:rebar3]", "both native"),
        ("[:make, :rebar3]", "both native"),
        ("[:mix, :rebar3]", ""),
        ("[]", "native"),
        ("[:make]", "native"),
        ("nil", "native"),
    ] {
        stage.write("mix.lock", &lock.replace("[:mix]", managers).replace("[:rebar3]", managers));
        stage.run(&["update", "--refresh"]).ok();
        let expected = if askers.is_empty() { vec![] } else { vec![format!("plugin hexpm helper 0.2.0 for {askers}")] };
        assert_eq!(pins(&stage), expected, "{managers}");
        stage.run(&["status"]).ok();
    }
}

#[test]
fn a_plugin_that_is_not_pinned_makes_the_mirror_stale() {
    let stage = stage();
    stage.run(&["update"]).ok();
    let lock = stage.project.join("hexmirror.lock");
    let text = fs::read_to_string(&lock).unwrap();
    fs::write(&lock, text.lines().filter(|line| !line.contains("helper")).collect::<Vec<_>>().join("\n")).unwrap();
    stage.run(&["status"]).exits(1).prints("unpinned plugin helper for builder");
    let document = stage.run(&["status", "--json"]).exits(1).json();
    assert_eq!(document["unpinned_plugins"], serde_json::json!([{ "plugin": "helper", "by": "builder" }]));
    stage.run(&["update", "--locked"]).exits(1).says("hexmirror.lock would change");
    stage.run(&["update"]).ok();
    assert_eq!(pins(&stage), PINS);
    stage.run(&["update", "--locked"]).ok();
}

#[test]
fn a_pin_and_the_entry_it_was_chosen_from_stay_until_a_refresh() {
    let mut stage = stage();
    stage.run(&["update"]).ok();
    stage.registry.publish("builder 1.1.0", &[], &[]);
    stage.registry.publish("added 1.0.0", &[], &[file("rebar.config", "{plugins, [builder]}.")]);
    stage.registry.put(&stage.upstream);
    let listed = |stage: &Stage| {
        let entry = stage.git(&["ls-tree", "-r", "--name-only", "hexmirror"]);
        let path =
            entry.lines().find(|path| path.contains("/registry/") && path.ends_with("/builder")).unwrap().to_owned();
        let entry = stage.sandbox.try_git(&stage.project, &["cat-file", "blob", &format!("hexmirror:{path}")]).stdout;
        entry.windows(5).any(|bytes| bytes == b"1.1.0")
    };
    stage.lock(&["native 1.0.0", "added 1.0.0"]);
    stage.run(&["update"]).ok();
    assert_eq!(pins(&stage), ["plugin hexpm builder 1.0.0 for added native", PINS[1]]);
    assert!(!listed(&stage), "an entry must not list what is not there");
    stage.run(&["update", "--refresh"]).ok();
    assert_eq!(pins(&stage), ["plugin hexpm builder 1.1.0 for added native"]);
    assert!(listed(&stage));
    stage.run(&["status"]).ok();
}

/// The lock pins builder 1.0.0, and a branch that was merged into the mirror brought builder 1.1.0 with its entry.
fn behind_another_branch() -> Stage {
    let mut stage = Stage::with(registry(), &["native 1.0.0"]);
    stage.run(&["update"]).ok();
    let lock = fs::read_to_string(stage.project.join("hexmirror.lock")).unwrap();
    stage.registry.publish("later 1.0.0", &[], &[]);
    stage.registry.publish("builder 1.1.0", &["helper ~> 0.1", "later >= 0.0.0"], &[]);
    stage.registry.put(&stage.upstream);
    stage.run(&["update", "--refresh"]).ok();
    let later = "plugin hexpm later 1.0.0 for builder";
    assert_eq!(pins(&stage), ["plugin hexpm builder 1.1.0 for native", PINS[1], later]);
    stage.write("hexmirror.lock", &lock);
    stage.run(&["status"]).ok();
    stage
}

#[test]
fn prune_keeps_the_version_of_a_plugin_that_rebar3_takes() {
    let stage = behind_another_branch();
    stage.run(&["prune", "--keep-days", "0"]).ok();
    stage.run(&["status"]).ok();
    stage.run(&["list", "later"]).ok().prints("later 1.0.0");
    stage.run(&["update", "--locked"]).ok().says("nothing to do");
    stage.run(&["verify"]).ok();
    // Once no lock pins a plugin, its versions go.
    stage.lock(&["plain 1.0.0"]);
    stage.run(&["update", "--refresh"]).ok();
    stage.run(&["prune", "--keep-days", "0"]).ok().says("- builder 1.0.0 (").says("- builder 1.1.0 (");
}

#[test]
fn doctor_names_a_higher_version_that_rebar3_takes() {
    let stage = behind_another_branch();
    let says = "hexmirror.lock pins the plugin builder 1.0.0, but rebar3 takes 1.1.0";
    let ran = stage.run(&["doctor"]);
    assert!(ran.stdout.contains(says) && !ran.stdout.contains("to do  locks"), "{}", ran.stdout);
    stage.run(&["update", "--refresh"]).ok();
    assert!(!stage.run(&["doctor"]).stdout.contains("but rebar3 takes"));
}

#[test]
fn a_lost_mirror_is_fetched_again_with_what_upstream_lists_now() {
    let mut stage = stage();
    stage.run(&["update"]).ok();
    stage.registry.publish("builder 1.1.0", &[], &[]);
    stage.registry.put(&stage.upstream);
    stage.git(&["update-ref", "-d", "refs/heads/hexmirror"]);
    stage.run(&["update", "--locked"]).exits(1).says("hexmirror.lock would change");
    stage.run(&["update"]).ok();
    assert_eq!(pins(&stage), ["plugin hexpm builder 1.1.0 for native"]);
}

#[test]
fn pins_stay_while_the_rebar_config_of_the_project_cannot_be_read() {
    let stage = Stage::without_lock(registry());
    stage.write("rebar.config", "{plugins, [builder]}.\n");
    stage.write("rebar.lock", "[].\n");
    stage.run(&["update"]).ok();
    let expected = ["plugin hexpm builder 1.0.0 for .", "plugin hexpm helper 0.2.0 for builder"];
    assert_eq!(pins(&stage), expected);
    stage.write("rebar.config", "{erl_opts, []}.\n{plugins, [builder}.\n");
    stage.run(&["update", "--refresh"]).ok().says("warning: rebar.config cannot be read: line 2: ");
    assert_eq!(pins(&stage), expected);
    stage.write("rebar.config", "{erl_opts, []}.\n");
    stage.run(&["update", "--refresh"]).ok();
    assert_eq!(pins(&stage), [""; 0]);
}

#[test]
fn pins_stay_while_a_committed_rebar_config_is_not_in_the_worktree() {
    for config in ["rebar.config", "apps/one/rebar.config"] {
        let stage = Stage::without_lock(registry());
        stage.write(config, "{plugins, [builder]}.\n");
        stage.write("rebar.lock", "[].\n");
        stage.run(&["update"]).ok();
        let expected = ["plugin hexpm builder 1.0.0 for .", "plugin hexpm helper 0.2.0 for builder"];
        assert_eq!(pins(&stage), expected);
        stage.git(&["add", "."]);
        stage.git(&["commit", "--quiet", "--message", "Ask for a plugin"]);
        let top = config.split('/').next().unwrap();
        let (path, away) = (stage.project.join(top), stage.sandbox.path().join("away"));
        fs::rename(&path, &away).unwrap();
        let says = format!("{config} is not in the worktree, so what hexmirror.lock pins of plugins for it stays");
        stage.run(&["update", "--refresh"]).ok().says(&says);
        assert_eq!(pins(&stage), expected);
        fs::rename(&away, &path).unwrap();
        fs::File::create(stage.project.join(config)).unwrap().set_len(2 << 20).unwrap();
        stage.run(&["update", "--refresh"]).ok().says("is no regular file of an ordinary size");
        assert_eq!(pins(&stage), expected);
        // A commit without it asks for nothing.
        fs::remove_file(stage.project.join(config)).unwrap();
        stage.git(&["commit", "--quiet", "--all", "--message", "Ask for none"]);
        stage.run(&["update", "--refresh"]).ok();
        assert_eq!(pins(&stage), [""; 0]);
    }
}

#[test]
fn the_project_and_the_settings_ask_for_plugins_too() {
    let stage = Stage::without_lock(registry());
    stage.write("app/rebar.config", "{project_plugins, [{helper, \"0.1.0\"}]}.\n");
    stage.write("app/rebar.lock", "[].\n");
    let run = |arguments: &[&str]| stage.run_in(stage.project.join("app"), arguments);
    run(&["status"]).exits(1).prints("unpinned plugin helper for .");
    stage.write("app/rebar.config.script", "CONFIG.\n");
    run(&["update"]).ok().says("wrote app/hexmirror.lock").says("warning: app/rebar.config.script is not evaluated");
    let lock = || fs::read_to_string(stage.project.join("app/hexmirror.lock")).unwrap();
    assert!(lock().contains("plugin hexpm helper 0.1.0 "), "{}", lock());
    run(&["status"]).ok();
    stage.git(&["config", "hexmirror.extra", "helper ~> 0.2"]);
    run(&["status"]).exits(1).prints("unpinned plugin helper for extra");
    run(&["update"]).ok();
    assert!(lock().contains("plugin hexpm helper 0.2.0 "), "{}", lock());
    run(&["status"]).ok();
    stage.git(&["config", "hexmirror.extra", "../x"]);
    run(&["status"]).exits(2).says("extra");
}

#[test]
fn the_applications_of_a_project_ask_for_plugins() {
    let stage = Stage::without_lock(registry());
    stage.write("rebar.lock", "[].\n");
    stage.write("rebar.config", "{deps, []}.\n");
    stage.write("apps/one/rebar.config", "{plugins, [{helper, \"0.1.0\"}]}. {project_plugins, [builder]}.\n");
    stage.write("lib/two/rebar.config.script", "CONFIG.\n");
    stage.run(&["status"]).exits(1).prints("unpinned plugin helper for .");
    stage.run(&["update"]).ok().says("warning: lib/two/rebar.config.script is not evaluated");
    assert_eq!(pins(&stage), ["plugin hexpm helper 0.1.0 for ."]);
    stage.run(&["status"]).ok();
    stage.git(&["add", "."]);
    stage.git(&["commit", "--quiet", "--message", "One"]);
    stage.write("apps/one/rebar.config", "{plugins, [{helper, \"0.2.0\"}]}.\n");
    stage.run(&["status"]).exits(1).prints("unpinned plugin helper for .");
    stage.run(&["update"]).ok();
    assert_eq!(pins(&stage), ["plugin hexpm helper 0.2.0 for ."]);
    // A bare repository reads the committed files.
    stage.git(&["commit", "--quiet", "--all", "--message", "Two"]);
    stage.git(&["clone", "--quiet", "--bare", ".", "../bare.git"]);
    stage.run_in("bare.git", &["status"]).ok();
}

#[test]
fn overrides_and_folders_of_applications_ask_for_plugins() {
    let stage = Stage::without_lock(registry());
    stage.write("rebar.lock", "[].\n");
    let overrides = "{overrides, [{add, plain, [{plugins, [builder]}]}]}.\n";
    let folders = "{project_app_dirs, [\"services/*\", \"one\", \"more/*/apps\", \".\"]}.\n";
    stage.write("rebar.config", &[overrides, folders].concat());
    stage.write("services/two/rebar.config", "{plugins, [plain]}.\n");
    stage.write("one/rebar.config.script", "CONFIG.\n");
    // No longer one of the folders.
    stage.write("apps/three/rebar.config", "{plugins, [nowhere]}.\n");
    let unread = "rebar.config: \"more/*/apps\" in project_app_dirs is not read";
    let ran = stage.run(&["update"]).ok().says(unread).says("one/rebar.config.script is not evaluated");
    assert!(!ran.stderr.contains("nowhere"), "{}", ran.stderr);
    assert_eq!(pins(&stage), ["plugin hexpm builder 1.0.0 for .", PINS[1], "plugin hexpm plain 1.0.0 for ."]);
    stage.run(&["status"]).ok();
    assert!(stage.run(&["doctor"]).stdout.contains(unread));
    // A bare repository reads the committed files.
    stage.git(&["add", "."]);
    stage.git(&["commit", "--quiet", "--message", "One"]);
    stage.git(&["clone", "--quiet", "--bare", ".", "../bare.git"]);
    stage.run_in("bare.git", &["status"]).ok();
    let (path, away) = (stage.project.join("services"), stage.sandbox.path().join("away"));
    fs::rename(path, away).unwrap();
    let says = "services/two/rebar.config is not in the worktree, so what hexmirror.lock pins of plugins for it stays";
    stage.run(&["update", "--refresh"]).ok().says(says);
    assert_eq!(pins(&stage).len(), 3);
}

#[test]
fn what_cannot_be_pinned_is_named_and_does_not_make_the_mirror_stale() {
    let mut registry = registry();
    let config = "{plugins, [nowhere, {old, {hg, \"https://h/x\", \"\"}}, {builder, \"~> 9.0\"}]}.";
    let files = [file("rebar.config", config), file("rebar.config.script", "CONFIG.")];
    registry.publish("native 2.0.0", &[], &files);
    registry.publish("code 1.0.0", &[], &[file("rebar.config", "{plugins, [os:cmd(\"x\")]}.")]);
    let stage = Stage::with(registry, &["native 2.0.0", "code 1.0.0"]);
    stage
        .run(&["update"])
        .ok()
        .says("cannot pin the plugin nowhere for native: upstream has no such package")
        .says("cannot pin the plugin old for native: its source is of the kind hg")
        .says("cannot pin the plugin builder for native: upstream has no suitable (~> 9.0) version of builder")
        .says("native: its rebar.config.script is not evaluated")
        .says("code: its rebar.config cannot be read");
    assert!(!stage.project.join("hexmirror.lock").exists(), "nothing is pinned");
    stage.run(&["status"]).ok();
    stage.run(&["update", "--locked"]).ok().says("nothing to do");
    // An update with nothing to do is silent about it.
    stage.run(&["doctor"]).prints("cannot pin the plugin nowhere for native: upstream has no such package");
}

#[test]
fn a_requirement_that_no_stored_version_meets_asks_upstream_again() {
    let mut stage = Stage::without_lock(registry());
    stage.write("rebar.lock", "[].\n");
    stage.write("rebar.config", "{plugins, [{helper, \"~> 0.1\"}]}.\n");
    stage.run(&["update"]).ok();
    assert_eq!(pins(&stage), ["plugin hexpm helper 0.2.0 for ."]);
    stage.registry.publish("helper 2.0.0", &[], &[]);
    stage.registry.put(&stage.upstream);
    stage.write("rebar.config", "{plugins, [{helper, \"~> 2.0\"}]}.\n");
    stage.run(&["status"]).exits(1).prints("unpinned plugin helper for .");
    stage.run(&["update", "--locked"]).exits(1);
    stage.run(&["update"]).ok();
    assert_eq!(pins(&stage), ["plugin hexpm helper 2.0.0 for ."]);
    stage.run(&["status"]).ok();
    // What upstream does not have either is named, and makes nothing stale.
    stage.write("rebar.config", "{plugins, [{helper, \"~> 3.0\"}]}.\n");
    stage.run(&["status"]).exits(1);
    stage.run(&["update"]).ok().says("upstream has no suitable (~> 3.0) version of helper");
    assert_eq!(pins(&stage), [""; 0]);
    stage.run(&["status"]).ok();
}

#[test]
fn a_folder_that_leads_out_of_the_worktree_is_not_written_to() {
    let stage = Stage::without_lock(registry());
    let outside = stage.sandbox.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("mix.lock"), stage.registry.mix_lock(&["native 1.0.0"])).unwrap();
    stage.lock(&["native 1.0.0"]);
    fs::create_dir_all(stage.project.join("real")).unwrap();
    std::os::unix::fs::symlink(&outside, stage.project.join("real/link")).unwrap();
    stage.run(&["--lock", "real/link/mix.lock", "update"]).exits(2);
    assert!(!outside.join("hexmirror.lock").exists());
}

#[test]
fn a_removed_dependency_takes_its_plugins_along() {
    let stage = stage();
    stage.run(&["update"]).ok();
    stage.lock(&["plain 1.0.0", "helper 0.1.0"]);
    let ran: Ran = stage.run(&["update"]).ok();
    assert!(ran.stderr.contains("removed hexmirror.lock") && !ran.stderr.contains("wrote"), "{}", ran.stderr);
    assert!(!stage.project.join("hexmirror.lock").exists());
}
