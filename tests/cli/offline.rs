//! `run --offline`: what leaves is refused, listed, and makes the command fail.

use std::process::Command;

use crate::support::forge::Scene;
use crate::support::stage::{PROGRAM, Ran, Stage};

const NAMESPACE: &str = "a network namespace with loopback only";
const PROXY_ONLY: &str = "the proxy only, because a network namespace is not available (";

fn run(stage: &Stage, script: &str) -> Ran {
    stage.run(&["run", "--offline", "--", "sh", "-c", script])
}

/// Returns whether this system permits network namespaces.
fn has_namespaces() -> bool {
    let probe = Command::new(PROGRAM).args(["run", "--probe-namespace"]).output().unwrap();
    if !probe.status.success() {
        eprintln!("skipped: network namespaces are not permitted");
    }
    probe.status.success()
}

#[test]
fn a_command_that_needs_only_the_mirror_succeeds() {
    let scene = Scene::new();
    let revision = scene.forge.commit("team/lib", "main", &[("lib.ex", "one")]);
    scene.lock(&[("lib", "team/lib", &revision, "")]);
    scene.update();
    // Through insteadOf, and through the proxy if a client does not know no_proxy.
    let ran = run(
        &scene.stage,
        "git ls-remote -q https://forge.test/team/lib.git &&\n\
         env -u no_proxy -u NO_PROXY git ls-remote -q $HEX_MIRROR/git/forge.test/team/lib.git",
    );
    let ran = ran.ok().says("offline: the command asked the proxy for nothing but the mirror\n").says("protections: ");
    assert_eq!(ran.stdout.matches(&format!("{revision}\tHEAD\n")).count(), 2, "{ran:?}");
    run(&scene.stage, "exit 7").exits(7).says("protections: ");
    scene.stage.run(&["run", "-q", "--offline", "--", "true"]).ok().silent();
    scene.stage.run(&["run", "--offline", "--", "no-such-program"]).exits(127);
    Stage::new().run(&["run", "--offline", "--", "true"]).exits(5);
}

#[test]
fn what_the_mirror_lacks_makes_the_command_fail() {
    let stage = Stage::mirrored();
    // rebar3 succeeds if it cannot get a plugin.
    let ask = |path: &str, code: &str| {
        let clone = format!("git ls-remote -q \"$HEX_MIRROR/git/{path}\"; exit {code}");
        run(&stage, &clone)
    };
    let ran =
        ask("h/x", "0").exits(1).says("offline: the command asked the mirror for 1 thing that it does not have\n");
    ran.says("the git repository h/x");
    ask("h/x", "9").exits(9).says("the git repository h/x");
}

#[test]
fn what_tries_to_leave_is_listed_and_makes_the_command_fail() {
    let stage = Stage::mirrored();
    let asks = "git ls-remote https://elsewhere.test/x.git; git ls-remote https://elsewhere.test/x.git\n\
                git ls-remote http://plain.test:8080/x.git; GIT_CONFIG_GLOBAL=/dev/null git ls-remote https://elsewhere.test/x.git\n";
    let ask = |code: &str| run(&stage, &format!("export GIT_CONFIG_GLOBAL=/dev/null\n{asks} exit {code}"));
    let ran = ask("0").exits(1).says("2 addresses that are not in the mirror, and was refused:\n");
    let line = |host: &str, port: &str| {
        let is_it = |line: &&str| line.split_whitespace().take(2).eq([host, port]);
        ran.stderr.lines().find(is_it).map(|line| line.split_whitespace().nth(2).unwrap().to_owned())
    };
    assert_eq!(line("elsewhere.test", "443").as_deref(), Some("3"), "{ran:?}");
    assert!(line("plain.test", "8080").is_some(), "{ran:?}");
    // The command's own failure counts.
    ask("9").exits(9).says("elsewhere.test");
}

#[test]
fn an_update_inside_does_not_get_round_the_proxy() {
    let stage = Stage::mirrored();
    let mut command =
        stage.bare_command_in(&stage.project, &["run", "--offline", "--", PROGRAM, "update", "--refresh"]);
    command
        .env("HEXMIRROR_URL", "http://upstream.test")
        .env("HEXMIRROR_PUBLIC_KEY", stage.sandbox.path().join("hexpm.pem"));
    command.env("__HEXMIRROR_TEST_RETRY_PAUSE_MS", "1");
    let ran = Ran::of(&mut command);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    ran.says("upstream.test");
}

#[test]
fn connections_without_the_proxy_cannot_leave_the_namespace() {
    if !has_namespaces() {
        return;
    }
    let scene = Scene::new();
    let revision = scene.forge.commit("team/lib", "main", &[("lib.ex", "one")]);
    scene.lock(&[("lib", "team/lib", &revision, "")]);
    scene.update();
    let ask = "git ls-remote https://forge.test/team/other.git";
    scene.forge.commit("team/other", "main", &[("x", "y")]);
    // The forge is a git:// server on this machine.
    scene.stage.run(&["run", "--", "sh", "-c", ask]).ok();
    run(&scene.stage, ask).exits(128).says(NAMESPACE);
}

#[test]
fn without_a_namespace_the_proxy_is_the_only_protection() {
    let stage = Stage::mirrored();
    // A user namespace in which no network namespace can be made.
    let limited = "echo 0 > /proc/sys/user/max_net_namespaces && exec \"$0\" run --offline -- sh -c \
                   'GIT_CONFIG_GLOBAL=/dev/null git ls-remote https://elsewhere.test/x.git; exit 0'";
    let mut unshare = stage.sandbox.command("unshare", &stage.project);
    let output =
        unshare.args(["--user", "--map-root-user", "sh", "-c", "echo 0 > /proc/sys/user/max_net_namespaces"]).output();
    if !output.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: user namespaces are not permitted");
        return;
    }
    let mut unshare = stage.sandbox.command("unshare", &stage.project);
    unshare.args(["--user", "--map-root-user", "sh", "-c", limited, PROGRAM]);
    unshare.env("HEXMIRROR_PUBLIC_KEY", stage.sandbox.path().join("hexpm.pem"));
    Ran::of(&mut unshare).exits(1).says(PROXY_ONLY).says("elsewhere.test");
}
