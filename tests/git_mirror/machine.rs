//! This machine at its limits: no disk space, no file descriptors, no processes, no permission. Each causes an error
//! with exit code 5 that names a path, never a panic and never a network error, and what was fetched is kept.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::forge::Scene;
use crate::support::mount::Mount;
use crate::support::stage::{PINNED, PROGRAM, Ran, Serving, Stage, install_program, send};

/// Messages that are only correct if a server, the network or a program on this machine is at fault.
const NOT_SAID: &[&str] = &[
    "check the network",
    "install git",
    "please tell its maintainers",
    "administrators of the remote",
    "status.hex.pm",
    "is damaged",
    "may have the branch intact",
    "internal error",
    "panicked",
    "RUST_BACKTRACE",
];

/// Checks that a run succeeded or failed with an error about this machine.
#[track_caller]
fn is_local(ran: &Ran, what: &str) -> bool {
    for text in NOT_SAID {
        assert!(!ran.stderr.contains(text), "{what}: {text:?} is said: {ran:#?}");
    }
    if ran.code == Some(0) {
        return false;
    }
    assert_eq!(ran.code, Some(5), "{what}: {ran:#?}");
    let error = ran.stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect::<Vec<_>>().join("\n");
    assert!(error.contains('/'), "{what}: no path is named: {ran:#?}");
    assert!(error.contains("hint: "), "{what}: nothing is advised: {ran:#?}");
    true
}

/// Returns whether a program is available. If not, prints that the test is skipped.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: there is no {program}");
    }
    there
}

/// A project with packages and a git dependency of some hundred kilobytes.
fn scene() -> Scene {
    let scene = Scene::of(Stage::new());
    let mut random = fastrand::Rng::with_seed(3);
    let noise: String = (0..300_000).map(|_| random.alphanumeric()).collect();
    let one = scene.forge.commit("a/one", "main", &[("f", &noise)]);
    let two = scene.forge.commit("a/two", "main", &[("f", "small")]);
    let git =
        |name: &str, id: &str| format!("  \"{name}\": {{:git, \"https://forge.test/a/{name}.git\", \"{id}\", []}},\n");
    let packages = scene.stage.registry.mix_lock(&PINNED);
    let rest = packages.strip_prefix("%{\n").expect("a map");
    scene.stage.write("mix.lock", &format!("%{{\n{}{}{rest}", git("one", &one), git("two", &two)));
    scene
}

/// Prepares to run the program under a limit of prlimit(1).
fn limited(scene: &Scene, limit: &str, arguments: &[&str]) -> Command {
    let whole = scene.stage.command(arguments);
    let mut command = scene.stage.sandbox.command("prlimit", &scene.stage.project);
    command.arg(limit).arg(PROGRAM).args(arguments);
    command.envs(whole.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

/// Runs each command once under every limit and then without limits, and checks that it finally succeeds.
fn each_limit(scene: &Scene, limits: &[String], commands: &[&[&str]]) -> usize {
    let mut failures = 0;
    for command in commands {
        for limit in limits {
            let ran = Ran::of(&mut limited(scene, limit, command));
            // The system could not even load the program.
            if ran.code == Some(127) {
                continue;
            }
            failures += usize::from(is_local(&ran, &format!("{limit} {command:?}")));
        }
        scene.stage.run(command).ok();
    }
    failures
}

fn with_remote(scene: &Scene) {
    scene.stage.sandbox.git("", &["init", "--quiet", "--bare", "remote.git"]);
    scene.stage.git(&["remote", "add", "origin", "../remote.git"]);
}

const COMMANDS: &[&[&str]] = &[
    &["update"],
    &["push"],
    &["pull"],
    &["status"],
    &["list"],
    &["verify"],
    &["env"],
    &["run", "--", "true"],
    &["prune"],
    &["compact"],
    &["hooks", "install"],
];

#[test]
fn the_disk_is_full() {
    let scene = scene();
    let lock = fs::read_to_string(scene.stage.project.join("mix.lock")).unwrap();
    let folder = scene.stage.sandbox.path().join("small");
    // From nearly full to just enough, so that it fails at different points.
    for (failures, kilobytes) in (200..=2400).step_by(100).enumerate() {
        let size = format!("size={kilobytes}k");
        let Some(_mount) = Mount::new(&folder, &["-t", "tmpfs", "-o", &size, "none"]) else { return };
        scene.stage.sandbox.git("small", &["init", "--quiet", "--template="]);
        fs::write(folder.join("mix.lock"), &lock).unwrap();
        let ran = scene.stage.run_in("small", &["update"]);
        if !is_local(&ran, &size) {
            ran.ok();
            assert!(failures >= 5, "{failures} failures");
            return;
        }
        assert!(ran.stderr.contains("free some space"), "{ran:#?}");
        // The next update continues in the same place once there is space.
        let remounted = Command::new("mount").args(["-o", "remount,size=20m"]).arg(&folder).status();
        assert!(remounted.unwrap().success());
        scene.stage.run_in("small", &["update"]).ok();
        scene.stage.run_in("small", &["verify"]).ok();
    }
    panic!("2.4 MB were not enough");
}

#[test]
fn files_may_not_grow() {
    if !has("prlimit") {
        return;
    }
    let scene = scene();
    with_remote(&scene);
    let limits = [0, 100, 1000, 4000, 10_000, 50_000, 100_000, 200_000].map(|bytes| format!("--fsize={bytes}"));
    let failures = each_limit(&scene, &limits, COMMANDS);
    assert!(failures >= 10, "{failures} failures");
}

#[test]
fn there_are_no_descriptors() {
    if !has("prlimit") {
        return;
    }
    let scene = scene();
    with_remote(&scene);
    let limits: Vec<String> = (4..=40).step_by(4).map(|number| format!("--nofile={number}")).collect();
    let failures = each_limit(&scene, &limits, COMMANDS);
    assert!(failures >= 10, "{failures} failures");
}

/// A user who may only start this many processes and threads.
struct Unprivileged {
    id: u32,
    program: PathBuf,
}

impl Unprivileged {
    /// `None`, with a message, if the test cannot switch to another user.
    fn new(scene: &Scene) -> Option<Self> {
        if !has("prlimit") || !has("setpriv") {
            return None;
        }
        if !Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n") {
            eprintln!("skipped: only root can become somebody else");
            return None;
        }
        // A separate user for each test run, because the limit counts all processes of a user.
        let id = 100_000 + std::process::id() % 1_000_000;
        let program = scene.stage.sandbox.path().join("git-hexmirror");
        install_program(&program);
        let own = Command::new("chown").arg("-R").arg(format!("{id}:{id}")).arg(scene.stage.sandbox.path()).status();
        own.is_ok_and(|status| status.success()).then_some(Self { id, program })
    }

    fn run(&self, scene: &Scene, processes: Option<usize>, arguments: &[&str]) -> Ran {
        let limit = processes.map(|processes| format!("--nproc={processes}"));
        Ran::of(&mut self.command(scene, limit.as_deref(), arguments))
    }

    fn command(&self, scene: &Scene, limit: Option<&str>, arguments: &[&str]) -> Command {
        let id = self.id;
        let whole = scene.stage.command(arguments);
        let mut command = scene.stage.sandbox.command("setpriv", &scene.stage.project);
        command.args([&format!("--reuid={id}"), &format!("--regid={id}"), "--clear-groups", "prlimit"]);
        command.args(limit).arg(&self.program).args(arguments);
        command.envs(whole.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }
}

#[test]
fn there_are_no_processes_and_threads() {
    let scene = scene();
    with_remote(&scene);
    let Some(user) = Unprivileged::new(&scene) else { return };
    let mut failures = 0;
    for command in COMMANDS {
        for processes in [1, 2, 3, 4, 6, 8, 11, 14] {
            let ran = user.run(&scene, Some(processes), command);
            failures += usize::from(is_local(&ran, &format!("{processes} processes, {command:?}")));
        }
        user.run(&scene, None, command).ok();
    }
    assert!(failures >= 10, "{failures} failures");
}

/// Removes the write permission of a folder temporarily.
fn read_only(folder: &Path, then: impl FnOnce()) {
    let before = fs::metadata(folder).unwrap().permissions();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
    then();
    fs::set_permissions(folder, before).unwrap();
}

#[test]
fn folders_may_not_be_written_to() {
    let scene = scene();
    with_remote(&scene);
    let Some(user) = Unprivileged::new(&scene) else { return };
    let git = scene.stage.project.join(".git");
    let mut failures = 0;
    let mut attempt = |folder: &str, command: &[&str]| {
        read_only(&git.join(folder), || {
            let ran = user.run(&scene, None, command);
            failures += usize::from(is_local(&ran, &format!("{folder} {command:?}")));
        });
    };
    for folder in ["hexmirror/git-fetch", "hexmirror/downloads"] {
        fs::create_dir_all(git.join(folder)).unwrap();
    }
    let own = Command::new("chown").arg("-R").arg(format!("{0}:{0}", user.id)).arg(git.join("hexmirror")).status();
    assert!(own.unwrap().success());
    for folder in ["hexmirror", "hexmirror/downloads", "objects/pack", "refs/heads", "hexmirror/git-fetch"] {
        attempt(folder, &["update"]);
    }
    user.run(&scene, None, &["update"]).ok();
    for command in &COMMANDS[1..] {
        for folder in ["", "objects", "objects/pack", "refs", "refs/heads", "hooks", "hexmirror", "logs/refs/heads"] {
            if git.join(folder).is_dir() {
                attempt(folder, command);
            }
        }
        user.run(&scene, None, command).ok();
    }
    assert!(failures >= 4, "{failures} failures");
}

#[test]
fn a_retry_reuses_what_was_fetched_before_a_fault() {
    if !has("prlimit") {
        return;
    }
    let scene = scene();
    // Enough for the packages, but not for the repository of 300 kB.
    let ran = Ran::of(&mut limited(&scene, "--fsize=100000", &["update"]));
    assert!(is_local(&ran, "update"), "{ran:#?}");
    assert!(ran.stderr.contains("ulimit -"), "{ran:#?}");
    let before = scene.stage.upstream.count("*");
    scene.stage.run(&["update"]).ok();
    assert_eq!(scene.stage.upstream.count("*"), before, "everything of Hex was there");
    scene.stage.run(&["verify"]).ok();
}

/// Requests what clients request from a server, repeatedly. Returns the number of successful responses.
fn ask(authority: &str, times: usize) -> usize {
    use std::io::{Read, Write};
    let targets =
        ["/packages/alpha", "/tarballs/alpha-1.0.0.tar", "/git/forge.test/a/one.git/info/refs?service=git-upload-pack"];
    let mut answered = 0;
    for number in 0..times {
        let Ok(mut stream) = std::net::TcpStream::connect(authority) else { continue };
        let target = targets[number % targets.len()];
        let request = format!("GET {target} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
        let mut answer = Vec::new();
        // A server without descriptors may close the connection.
        let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut answer));
        answered += usize::from(answer.starts_with(b"HTTP/1.1 200"));
    }
    answered
}

#[test]
fn a_server_at_its_limits_keeps_running() {
    let scene = scene();
    scene.stage.run(&["update"]).ok();
    let Some(user) = Unprivileged::new(&scene) else { return };
    let mut limits: Vec<String> = (2..=12).map(|number| format!("--nproc={number}")).collect();
    limits.extend([20, 26, 32, 38, 44, 50].map(|number| format!("--nofile={number}")));
    let (mut served, mut refused) = (0, 0);
    for limit in limits {
        let mut command = user.command(&scene, Some(&limit), &["serve", "--listen", "127.0.0.1:0", "--quiet"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if let Some(authority) = line.trim_end().strip_prefix("http://") {
            served += usize::from(ask(authority, 12) > 0);
            send(child.id(), "TERM");
        }
        let ran = Ran::from(child.wait_with_output().unwrap());
        // The signal may arrive before the server handles signals, or just after it gave up.
        if ran.code.is_some() {
            refused += usize::from(is_local(&ran, &limit));
        }
    }
    assert!(served >= 5 && refused >= 1, "{served} served, {refused} refused");
    let mut command = user.command(&scene, None, &["serve", "--listen", "127.0.0.1:0"]);
    let serving = Serving::start(&mut command);
    assert_eq!(ask(serving.authority(), 3), 3);
    serving.stop("TERM").ok();
}

#[test]
fn hooks_at_their_limits_say_why() {
    let scene = scene();
    with_remote(&scene);
    scene.stage.run(&["update"]).ok();
    scene.stage.run(&["hooks", "install"]).ok();
    scene.stage.git(&["add", "mix.lock"]);
    scene.stage.git(&["commit", "--quiet", "--message=Lock"]);
    let head = scene.stage.git(&["rev-parse", "HEAD"]);
    let input = format!("refs/heads/main {head} refs/heads/main {}\n", "0".repeat(40));
    for limit in ["--nofile=8", "--nofile=12", "--nofile=16", "--nofile=24", "--fsize=0", "--fsize=1000"] {
        for hook in
            [&["hook", "pre-push", "origin", "../remote.git"][..], &["hook", "post-checkout", &head, &head, "1"]]
        {
            let mut command = limited(&scene, limit, hook);
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            // A command that fails immediately does not read its input.
            let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            let ran = Ran::from(child.wait_with_output().unwrap());
            is_local(&ran, &format!("{limit} {hook:?}"));
        }
    }
}
