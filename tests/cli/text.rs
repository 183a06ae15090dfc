//! Snapshots of the output for people, and where it is printed.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::stage::{PINNED, Ran, Stage};

/// Returns both outputs, with variable parts replaced.
fn shown(stage: &Stage, ran: &Ran) -> String {
    let mut text = format!("exit code: {}\n--- stdout\n{}--- stderr\n{}", ran.code.unwrap(), ran.stdout, ran.stderr);
    for (at, replacement) in [("hexmirror", "COMMIT"), ("hexmirror^", "PARENT")] {
        let output = stage.sandbox.try_git(&stage.project, &["rev-parse", "--verify", "--quiet", at]);
        let id = String::from_utf8(output.stdout).unwrap();
        if output.status.success() {
            text = text.replace(&id[..10], replacement);
        }
    }
    let text =
        text.replace(stage.sandbox.path().to_str().unwrap(), "SANDBOX").replace(&stage.upstream.url(), "UPSTREAM");
    text.lines().map(|line| without_figures(line) + "\n").collect()
}

/// Replaces the repository's growth and the elapsed time.
fn without_figures(line: &str) -> String {
    match line.split_once("repository grew by ") {
        Some((before, _)) => format!("{before}repository grew by SOME, TIME s"),
        None => line.to_owned(),
    }
}

#[test]
fn the_help() {
    let stage = Stage::new();
    insta::assert_snapshot!("help", stage.run(&["--help"]).ok().stdout);
    insta::assert_snapshot!("help-short", stage.run(&["-h"]).ok().stdout);
    for command in [
        "init", "update", "status", "diff", "verify", "list", "lock", "serve", "run", "shell", "env", "trust", "demo",
        "man",
    ] {
        insta::assert_snapshot!(format!("help-{command}"), stage.run(&[command, "-h"]).ok().stdout);
    }
}

#[test]
fn the_main_path() {
    let stage = Stage::new();
    insta::assert_snapshot!(shown(&stage, &stage.run(&["status"])), @r"
    exit code: 1
    --- stdout
    not fresh: hexmirror lacks what mix.lock pins
      missing alpha 1.0.0
      missing beta 0.3.0
      missing delta 4.5.6+build.7
    --- stderr
    this repository has no mirror branch hexmirror yet; run `git hexmirror init` to create it, then `git hexmirror update` to fill it
    ");
    insta::assert_snapshot!(shown(&stage, &stage.run(&["init"])), @r"
    exit code: 0
    --- stdout
    --- stderr
    created the mirror branch hexmirror; run `git hexmirror update` to fill it
    the mirror follows mix.lock
    installed the hooks pre-push, post-checkout, post-merge, post-rewrite in SANDBOX/project/.git/hooks
    ");
    insta::assert_snapshot!(shown(&stage, &stage.run(&["update", "--dry-run"])), @r"
    exit code: 1
    --- stdout
    3 releases would be fetched:
      missing alpha 1.0.0
      missing beta 0.3.0
      missing delta 4.5.6+build.7
    --- stderr
    ");
    insta::assert_snapshot!(shown(&stage, &stage.run(&["update"])), @r"
    exit code: 0
    --- stdout
    --- stderr
      + alpha 1.0.0
      + beta 0.3.0
      + delta 4.5.6+build.7
    updated hexmirror at COMMIT: 3 added, 4 registry entries, 17.0 kB fetched, repository grew by SOME, TIME s
      retired delta 4.5.6+build.7 (deprecated): use epsilon
    ");
    insta::assert_snapshot!(shown(&stage, &stage.run(&["update"])), @r"
    exit code: 0
    --- stdout
    --- stderr
    fresh: hexmirror at COMMIT has 3 releases; nothing to do
    ");
    insta::assert_snapshot!(shown(&stage, &stage.run(&["status"])), @r"
    exit code: 0
    --- stdout
    fresh: hexmirror at COMMIT has 3 releases for mix.lock
      1 pinned release is retired; `git hexmirror audit` lists them
    --- stderr
    ");
    let with_git = |url: &str| {
        let git = format!("  \"here\": {{:git, \"{url}\", \"0123456789012345678901234567890123456789\", []}},\n");
        let lock = stage.registry.mix_lock(&["alpha 1.1.0", PINNED[1]]);
        stage.write("mix.lock", &lock.replacen("%{\n", &format!("%{{\n{git}"), 1));
    };
    with_git("https://user:password@example.com/here.git");
    insta::assert_snapshot!(shown(&stage, &stage.run(&["status"])), @r"
    exit code: 1
    --- stdout
    not fresh: hexmirror lacks what mix.lock pins
      changed alpha 1.1.0 (the mirror has 1.0.0)
      missing example.com/here 0123456789
    --- stderr
    run `git hexmirror update` to update the mirror
    ");
    let told = stage.run(&["lock"]).ok().prints("https://***@example.com/here.git");
    assert!(!told.stdout.contains("password"));
    // A path that only exists on this machine.
    with_git("../here");
    insta::assert_snapshot!(shown(&stage, &stage.run(&["status"])), @r"
    exit code: 1
    --- stdout
    not fresh: hexmirror lacks what mix.lock pins
      changed alpha 1.1.0 (the mirror has 1.0.0)
      1 dependency cannot be mirrored: here (a local path)
    --- stderr
    run `git hexmirror update` to update the mirror
    ");
    insta::assert_snapshot!(shown(&stage, &stage.run(&["diff"])), @r"
    exit code: 0
    --- stdout
      changed alpha 1.1.0 (the mirror has 1.0.0)
      extra   alpha 1.0.0
      extra   delta 4.5.6+build.7
      not mirrored: here ../here (git, a local path)
    --- stderr
    ");
    insta::assert_snapshot!(shown(&stage, &stage.run(&["update"])), @r"
    exit code: 0
    --- stdout
    --- stderr
      ~ alpha 1.1.0 (was 1.0.0)
    updated hexmirror at COMMIT: 1 replaced, 1 registry entry, 5.6 kB fetched, repository grew by SOME, TIME s
    1 dependency cannot be mirrored: here (a local path)
    ");
    insta::assert_snapshot!(shown(&stage, &stage.run(&["list"])), @r"
    exit code: 0
    --- stdout
    alpha 1.0.0  5.1 kB unpacked
    alpha 1.1.0  5.1 kB unpacked
    beta 0.3.0  5.1 kB unpacked
    delta 4.5.6+build.7  5.1 kB unpacked
    --- stderr
    ");
    insta::assert_snapshot!(shown(&stage, &stage.run(&["lock"])), @r"
    exit code: 0
    --- stdout
    alpha 1.1.0  hexpm
    beta 0.3.0  hexpm
    here ../here 0123456789012345678901234567890123456789  git
    --- stderr
    ");
    insta::assert_snapshot!(shown(&stage, &stage.run(&["verify"])), @r"
    exit code: 0
    --- stdout
    --- stderr
    intact: 4 releases, 4 registry entries, 52 objects at COMMIT
    ");
    // With a key that Hex does not know, there would be a folder for its configuration.
    // Without a mirror, no key has to fit it.
    let empty = Stage::new();
    insta::assert_snapshot!("env", shown(&empty, &Ran::of(&mut empty.bare_command_in("project", &["env"]))));
}

#[test]
fn errors() {
    let stage = Stage::new();
    let lock = stage.registry.mix_lock(&PINNED);
    let conflict = lock.replacen("  \"beta\"", "<<<<<<< HEAD\n  \"beta\"", 1);
    stage.write("mix.lock", &conflict);
    insta::assert_snapshot!(shown(&stage, &stage.run(&["status"])), @r"
    exit code: 2
    --- stdout
    --- stderr
    error: unresolved merge conflict
     --> mix.lock:3:1
      |
    3 | <<<<<<< HEAD
      | ^^^^^^^^^^^^ resolve the conflict and remove the conflict markers
    ");
    stage.write("mix.lock", &lock.replacen(":alpha, \"1.0.0\"", ":alpha, \"../1.0.0\"", 1));
    insta::assert_snapshot!(shown(&stage, &stage.run(&["update"])), @r#"
    exit code: 2
    --- stdout
    --- stderr
    error: "../1.0.0" is not a version such as 1.2.3 or 1.2.3-rc.1
     --> mix.lock:2:27
      |
    2 |   "alpha": {:hex, :alpha, "../1.0.0", "29714ec88781d21be07cd496850dbbf078d1bc9355177fc…
      |                           ^^^^^^^^^^ this is not a version
    "#);
    std::fs::remove_file(stage.project.join("mix.lock")).unwrap();
    insta::assert_snapshot!(shown(&stage, &stage.run(&["update"])), @r"
    exit code: 2
    --- stdout
    --- stderr
    error: found no mix.lock, rebar.lock, manifest.toml or hexmirror.lock in SANDBOX/project
    hint: run this inside a project with a lock (`mix deps.get`, `rebar3 lock` and `gleam deps download` create one), or pass the lock's path with --lock
    ");
    insta::assert_snapshot!(shown(&stage, &stage.run_in("home", &["status"])), @r"
    exit code: 5
    --- stdout
    --- stderr
    error: SANDBOX/home is not inside a git repository
    hint: run this inside a git repository, or create one with `git init`
    ");
    insta::assert_snapshot!(shown(&stage, &stage.run(&["list"])), @r"
    exit code: 5
    --- stdout
    --- stderr
    error: this repository has no mirror branch hexmirror yet
    hint: run `git hexmirror init` to create it, then `git hexmirror update` to fill it
    ");
    stage.git(&["branch", "hexmirror"]);
    insta::assert_snapshot!(shown(&stage, &stage.run(&["init"])), @r"
    exit code: 5
    --- stdout
    --- stderr
    error: the branch hexmirror exists but is not a mirror: its tree has no mirror.toml
    hint: choose another name for the mirror branch: git config hexmirror.branch NAME
    ");
    insta::assert_snapshot!(shown(&stage, &stage.run(&["update", "--nonsense"])), @r"
    exit code: 2
    --- stdout
    --- stderr
    error: unexpected argument '--nonsense' found

    Usage: git hexmirror update [OPTIONS]

    For more information, try '-h'.
    ");
    insta::assert_snapshot!(shown(&stage, &stage.run(&["env", "--url", "nonsense"])), @r#"
    exit code: 2
    --- stdout
    --- stderr
    error: "nonsense" is not an http or https address
    hint: pass the URL that `git hexmirror serve` prints
    "#);
}

#[test]
fn quiet_leaves_results_and_errors() {
    let stage = Stage::new();
    let ran = stage.run(&["update", "--quiet"]).ok().silent();
    assert_eq!(ran.stdout, "");
    stage.run(&["status", "-q"]).ok().silent().prints("fresh");
    stage.run(&["verify", "-q"]).ok().silent();
    stage.write("mix.lock", "%{");
    stage.run(&["status", "-q"]).exits(2).says("mix.lock");
    stage.run(&["status", "-q", "-v"]).exits(2).says("cannot be used with");
}

#[test]
fn no_escape_sequences_unless_asked_for() {
    let stage = Stage::mirrored();
    let colourless = |ran: &Ran| !ran.stdout.contains('\x1b') && !ran.stderr.contains('\x1b');
    assert!(colourless(&stage.run(&["status"]).ok()));
    assert!(colourless(&stage.run_with(&["status"], &[("NO_COLOR", "1"), ("TERM", "xterm")]).ok()));
    assert!(colourless(&stage.run(&["status", "--color=never"]).ok()));
    assert!(!colourless(&stage.run(&["status", "--color=always"]).ok()));
    stage.write("mix.lock", "%{\x1b[31m");
    let ran = stage.run(&["status"]).exits(2);
    assert!(colourless(&ran), "what a lock holds does not reach the terminal: {ran:?}");
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let stage = Stage::mirrored();
    for arguments in [
        ["list", "--json"].as_slice(),
        &["status", "--quiet"],
        &["lock"],
        &["man"],
        &["completions", "bash"],
        &["--help"],
        &["env"],
    ] {
        let mut command = stage.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_closed_pipe_does_not_change_the_exit_code() {
    let stage = Stage::mirrored();
    stage.lock(&["alpha 1.1.0"]);
    for arguments in [["status"].as_slice(), &["status", "--json"], &["diff", "--exit-code"], &["update", "--dry-run"]]
    {
        let mut child = stage.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        Ran::from(child.wait_with_output().unwrap()).exits(1);
    }
}

/// Prepares to run `demo` with a temporary folder of its own, and with settings that would make it fail if it used any of the
/// user's.
fn demonstration(stage: &Stage, arguments: &[&str]) -> (Command, PathBuf) {
    let temporary = stage.sandbox.path().join("tmp");
    std::fs::create_dir_all(&temporary).unwrap();
    stage.sandbox.git("", &["config", "--global", "hexmirror.branch", "elsewhere"]);
    let mut command = stage.bare_command_in(&stage.project, arguments);
    command
        .env("TMPDIR", &temporary)
        .env("HEXMIRROR_URL", "http://127.0.0.1:1")
        .env("http_proxy", "http://127.0.0.1:1");
    (command, temporary)
}

#[test]
fn the_demonstration_runs_real_commands_and_leaves_nothing() {
    let stage = Stage::mirrored();
    let (before, tip) = (stage.git(&["status", "--porcelain"]), stage.tip());
    let (mut command, temporary) = demonstration(&stage, &["demo"]);
    let ran = Ran::of(&mut command).ok().prints("All steps succeeded.").prints("$ git hexmirror update");
    ran.says("created").prints("greeting").prints("http://127.0.0.1:");
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    assert_eq!((stage.git(&["status", "--porcelain"]), stage.tip()), (before, tip));
}

#[test]
fn a_kept_demonstration_can_be_continued_without_its_upstream() {
    let stage = Stage::mirrored();
    let kept = stage.sandbox.path().join("kept");
    let (mut command, temporary) = demonstration(&stage, &["demo", "--keep", kept.to_str().unwrap()]);
    let ran = Ran::of(&mut command).ok().prints(&format!("  cd {}\n", kept.display()));
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    stage.sandbox.git("", &["config", "--global", "--unset", "hexmirror.branch"]);
    let next = ran.stdout.split_once(&format!("  cd {}\n", kept.display())).unwrap().1.split_once("\n\n").unwrap().0;
    let commands = next.lines().filter_map(|line| line.trim().strip_prefix("git hexmirror "));
    let mut count = 0;
    for line in commands.filter(|line| *line != "serve") {
        let arguments: Vec<&str> = line.split(' ').collect();
        Ran::of(&mut stage.bare_command_in(&kept, &arguments)).ok();
        count += 1;
    }
    assert_eq!(count, 2, "{next}");
    Ran::of(&mut stage.bare_command_in(&kept, &["verify"])).ok();
    // The folder is in use now, and without a name the project goes to a temporary folder.
    let (mut command, _) = demonstration(&stage, &["demo", "--keep", kept.to_str().unwrap()]);
    Ran::of(&mut command).exits(2).says("it is not an empty folder");
    let (mut command, temporary) = demonstration(&stage, &["demo", "--keep"]);
    Ran::of(&mut command).ok().prints(&format!("  cd {}/hexmirror-demo-", temporary.display()));
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 1);
}
