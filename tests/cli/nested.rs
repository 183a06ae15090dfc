//! Commands of this program inside of `run` and `env`: they use the environment of before.

use std::process::Command;

use crate::support::forge::Scene;
use crate::support::stage::{PROGRAM, Ran, Stage};

/// Gives a command the upstream as Hex finds it, so that the variables of `run` and `env` would hide it.
fn with_upstream<'a>(stage: &Stage, command: &'a mut Command) -> &'a mut Command {
    command
        .env("HEX_MIRROR", stage.upstream.url())
        .env("HEXMIRROR_PUBLIC_KEY", stage.sandbox.path().join("hexpm.pem"))
        .env("PROGRAM", PROGRAM)
}

fn run(stage: &Stage, command: &[&str]) -> Ran {
    let arguments = [&["run", "--"], command].concat();
    Ran::of(with_upstream(stage, &mut stage.bare_command_in(&stage.project, &arguments)))
}

/// Runs a script after `env` has pointed the shell at a server that does not exist.
fn in_env(stage: &Stage, script: &str) -> Ran {
    let script = format!("\"$PROGRAM\" env --url http://127.0.0.1:1 > env.sh && . ./env.sh\n{script}");
    let mut shell = stage.sandbox.command("sh", &stage.project);
    Ran::of(with_upstream(stage, shell.args(["-ec", &script])))
}

#[test]
fn an_update_asks_upstream_rather_than_the_mirror_that_it_updates() {
    let stage = Stage::mirrored();
    let before = stage.tip();
    stage.lock(&["alpha 1.1.0", "beta 0.3.0", "delta 4.5.6+build.7"]);
    run(&stage, &[PROGRAM, "update"]).ok();
    assert_ne!(stage.tip(), before);
    stage.run(&["status"]).ok();
    let requests = stage.upstream.count("/packages/alpha");
    in_env(&stage, "\"$PROGRAM\" update --refresh").ok();
    assert!(stage.upstream.count("/packages/alpha") > requests, "upstream was asked");
}

#[test]
fn an_update_fetches_git_dependencies_from_their_own_server() {
    let scene = Scene::new();
    let commit = |text: &str| scene.forge.commit("team/lib", "main", &[("lib.ex", text)]);
    let pin = |revision: &str| scene.lock(&[("lib", "team/lib", revision, "")]);
    let [one, two, three] = ["one", "two", "three"].map(commit);
    let lock_next = |current: &str, next: &str| {
        pin(next);
        std::fs::rename(scene.stage.project.join("mix.lock"), scene.stage.project.join("next.lock")).unwrap();
        pin(current);
    };
    pin(&one);
    scene.update();
    // The rules of `run` and `env` redirect git to the mirror, which only has the first revision.
    lock_next(&one, &two);
    run(&scene.stage, &["sh", "-c", "mv next.lock mix.lock && \"$PROGRAM\" update"]).ok();
    scene.stage.run(&["status"]).ok();
    lock_next(&two, &three);
    in_env(&scene.stage, "mv next.lock mix.lock && \"$PROGRAM\" update").ok();
    scene.stage.run(&["status"]).ok();
}

#[test]
fn a_nested_run_and_a_second_env_start_from_the_environment_outside() {
    let scene = Scene::new();
    let revision = scene.forge.commit("team/lib", "main", &[("lib.ex", "one")]);
    scene.lock(&[("lib", "team/lib", &revision, "")]);
    scene.update();
    let show =
        "env | sed -E 's/127.0.0.1:[0-9]+/SERVER/g; s/(tmp-|hex-home.)[A-Za-z0-9]+/FOLDER/g' | grep -v ^_= | sort";
    let once = run(&scene.stage, &["sh", "-c", show]).ok().stdout;
    let twice = run(&scene.stage, &[PROGRAM, "run", "--", "sh", "-c", show]).ok().stdout;
    assert_eq!(once, twice);
    assert!(once.contains("GIT_CONFIG_COUNT=18\n") && once.contains("HEXMIRROR_SERVER=http://SERVER\n"), "{once}");
    let inside = in_env(&scene.stage, show).ok().stdout;
    let again = in_env(&scene.stage, &format!("eval \"$(\"$PROGRAM\" env)\"\n{show}")).ok().stdout;
    assert_eq!(inside, again);
}

#[test]
fn env_is_undone_by_unset() {
    let scene = Scene::new();
    let revision = scene.forge.commit("team/lib", "main", &[("lib.ex", "one")]);
    scene.lock(&[("lib", "team/lib", &revision, "")]);
    scene.update();
    let script = "env | sort > before; . ./env.sh; eval \"$(\"$PROGRAM\" env --unset)\"; env | sort > after";
    let mut shell = scene.sandbox().command("sh", &scene.stage.project);
    with_upstream(
        &scene.stage,
        shell.args(["-ec", &format!("\"$PROGRAM\" env > env.sh; {script}; diff before after")]),
    );
    shell.env("no_proxy", "it's \"quoted\"").env("http_proxy", "http://me:secret@127.0.0.1:1").env("HEX_OFFLINE", "1");
    shell.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "user.name").env("GIT_CONFIG_VALUE_0", "Me");
    let ran = Ran::of(&mut shell).ok().silent();
    assert_eq!(ran.stdout, "");
}

#[test]
fn what_was_not_set_is_not_unset() {
    let stage = Stage::mirrored();
    let ran = stage.run(&["env", "--unset"]).ok().says("nothing to unset");
    assert_eq!(ran.stdout, "\n");
    stage.run(&["env", "--unset", "--tls"]).exits(2);
    stage.run(&["env", "--unset", "--format=gitconfig"]).exits(2).says("include.path");
    let variables = [("HEXMIRROR_SERVER", "http://h"), ("HEX_MIRROR", "http://h"), ("HEX_CDN", "http://other")];
    let ran = stage.run_with(&["env", "--unset"], &variables).ok().silent();
    assert_eq!(ran.stdout, "unset HEX_MIRROR\nunset HEXMIRROR_SERVER\nunset HEXMIRROR_PREVIOUS\n");
    let json = stage.run_with(&["env", "--unset", "--json"], &variables).ok().json();
    assert!(json["HEX_MIRROR"].is_null() && json.get("HEX_CDN").is_none(), "{json}");
}
