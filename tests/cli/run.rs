//! `run -- CMD`: the environment that it provides, and the exit code that it passes on.

use std::process::Stdio;

use crate::support::stage::{Ran, Stage, send};

const SHOW: &str = "printf '%s\\n' \"$HEX_MIRROR\" \"$HEX_MIRROR_URL\" \"$HEX_CDN\" \"$HEX_BUILDS_URL\"";

#[test]
fn configures_clients_for_its_own_server() {
    let stage = Stage::mirrored();
    let ran = stage.run(&["run", "--", "sh", "-c", SHOW]).ok();
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("http://127.0.0.1:"), "{lines:?}");
    assert!(lines.iter().all(|line| *line == lines[0]) && lines.len() == 4, "{lines:?}");
    // The server has stopped.
    assert!(std::net::TcpStream::connect(lines[0].trim_start_matches("http://")).is_err());
}

#[test]
fn passes_the_exit_code_on() {
    let stage = Stage::mirrored();
    for code in [0, 1, 7, 255] {
        stage.run(&["run", "--", "sh", "-c", &format!("exit {code}")]).exits(code);
    }
    stage.run(&["run", "sh", "-c", "exit 3"]).exits(3);
    stage.run(&["run", "--", "sh", "-c", "kill -s KILL $$"]).exits(128 + 9);
    stage.run(&["run", "--", "sh", "-c", "kill -s TERM $$"]).exits(128 + 15);
}

#[test]
fn runs_in_the_requested_folder() {
    let stage = Stage::mirrored();
    stage.write("apps/inner/lib/x.ex", "");
    stage.write("apps/inner/here.sh", "pwd");
    let inner = stage.project.join("apps/inner").canonicalize().unwrap();
    for (from, folder) in [("", "project/apps/inner"), ("project/apps", "inner")] {
        let ran = stage.run_in(from, &["-C", folder, "run", "--", "sh", "here.sh"]).ok();
        assert_eq!(ran.stdout.trim(), inner.to_str().unwrap());
    }
    let ran = stage.run_in("project/apps/inner", &["run", "--", "pwd"]).ok();
    assert_eq!(ran.stdout.trim(), inner.to_str().unwrap());
}

#[test]
fn passes_input_output_and_arguments_on() {
    let stage = Stage::mirrored();
    let mut command = stage.command(&["run", "--", "sh", "-c", "cat; echo \"$1\" >&2", "name", "--quiet"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"some input").unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap()).ok();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("some input", "--quiet\n"));
}

#[test]
fn a_signal_is_forwarded_to_the_command() {
    let stage = Stage::mirrored();
    let script = "trap 'echo caught; exit 5' TERM; echo ready; while :; do read line; done";
    let mut command = stage.command(&["run", "--", "sh", "-c", script]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    send(child.id(), "TERM");
    // Makes the shell's `read` return, so that the shell handles the signal.
    drop(child.stdin.take());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut rest).unwrap();
    assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("caught\n", Some(5)));
}

#[test]
fn several_runs_work_in_parallel() {
    let stage = Stage::mirrored();
    let start = || {
        let mut command = stage.command(&["run", "--", "sh", "-c", "echo $HEX_MIRROR; read line"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut children = [start(), start(), start()];
    let mut addresses: Vec<String> = Vec::new();
    for child in &mut children {
        let mut line = String::new();
        let mut stdout = std::io::BufReader::new(child.stdout.as_mut().unwrap());
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        addresses.push(line.trim().to_owned());
    }
    // All three are running now.
    for address in &addresses {
        let authority = address.trim_start_matches("http://");
        let answer = crate::support::http::get(authority, "/tarballs/alpha-1.0.0.tar");
        assert!(answer.body == stage.registry.get("alpha 1.0.0").tarball);
    }
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 3);
    for mut child in children {
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"done\n").unwrap();
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn a_command_that_cannot_be_started_is_reported() {
    let stage = Stage::mirrored();
    stage.run(&["run", "--", "no-such-program"]).exits(127).says("cannot run no-such-program");
    stage.write("notes", "no program");
    stage.run(&["run", "--", "./notes"]).exits(126).says("cannot run ./notes");
    stage.run(&["run"]).exits(2);
    let stage = Stage::new();
    let ran = stage.run(&["run", "--", "echo", "not reached"]).exits(5).says("has no mirror branch");
    assert_eq!(ran.stdout, "");
}

#[test]
fn missing_items_are_reported_after_a_failure() {
    let stage = Stage::mirrored();
    stage.lock(&["alpha 1.1.0", "beta 0.3.0"]);
    let lacks = "the mirror lacks what mix.lock pins: alpha 1.1.0; run `git hexmirror update`";
    stage.run(&["run", "--", "sh", "-c", "exit 3"]).exits(3).says(lacks);
    stage.run(&["run", "--", "true"]).ok().silent();
    let ran = stage.run(&["run", "-q", "--", "sh", "-c", "exit 3"]).exits(3).silent();
    assert_eq!(ran.stdout, "");
}

/// Requests paths from the server of a `run` whose command then succeeds.
fn requesting(stage: &Stage, paths: &[&str]) -> Ran {
    let mut command = stage.command(&["run", "--", "sh", "-c", "echo $HEX_MIRROR; read line"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line).unwrap();
    for path in paths {
        crate::support::http::get(line.trim().trim_start_matches("http://"), path);
    }
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"done\n").unwrap();
    Ran::from(child.wait_with_output().unwrap()).ok()
}

#[test]
fn requests_that_the_mirror_could_not_answer_are_named_even_if_the_command_succeeds() {
    let stage = Stage::mirrored();
    stage.lock(&["alpha 1.1.0", "beta 0.3.0"]);
    let git = "/git/forge.test/x/y/info/refs?service=git-upload-pack";
    let ran = requesting(&stage, &[git, "/tarballs/alpha-2.0.0.tar", git])
        .says("no lock pins: alpha 2.0.0, the git repository forge.test/x/y; add them to the lock while online")
        .says("or plugins of rebar3 to the setting `extra` (`git config --add hexmirror.extra NAME`), then run `git hexmirror update`");
    assert!(!ran.stderr.contains("pins: alpha 1.1.0"), "nothing asked for it: {ran:?}");
    requesting(&stage, &["/tarballs/alpha-1.1.0.tar", "/docs/alpha-1.0.0.tar.gz", "/pinned/names"])
        .says("the mirror lacks what mix.lock pins: alpha 1.1.0; run `git hexmirror update`\n")
        .says(
            "documentation that the mirror lacks: docs/alpha-1.0.0.tar.gz; `git hexmirror update --docs` mirrors that",
        )
        .says("that the pinned index lacks: names of the pinned index of hexpm; run `git hexmirror index`");
    requesting(&stage, &["/packages/alpha", "/health", "/installs/hex-1.x.csv"]).silent();
    let asks = "git ls-remote -q $HEX_MIRROR/git/forge.test/x/y";
    stage.run(&["-v", "run", "--", "sh", "-c", asks]).exits(128).says("GET /git/forge.test/x/y/info/refs");
}

#[test]
fn a_command_that_looks_for_news_is_told_the_age_of_the_answer() {
    let stage = Stage::mirrored();
    // A program that is called mix and does nothing.
    std::fs::create_dir(stage.sandbox.path().join("bin")).unwrap();
    let mix = stage.sandbox.path().join("bin/mix");
    std::os::unix::fs::symlink("/bin/true", &mix).unwrap();
    let run = |arguments: &[&str]| stage.run(&[&["run", "--", mix.to_str().unwrap()], arguments].concat()).ok();
    let day = stage.git(&["log", "-1", "--format=%as", "hexmirror"]);
    let told = |command: &str| format!("`{command}` gets its answers from the mirror as of {day}; run it without");
    run(&["deps.update", "--all"]).says(&told("mix deps.update"));
    run(&["do", "deps.get,", "hex.outdated"]).says(&told("mix hex.outdated"));
    run(&["deps.get"]).silent();
    stage.write("mix.exs", "# the first version\n");
    stage.git(&["add", "mix.exs"]);
    stage.git(&["commit", "--quiet", "--message=Add mix.exs"]);
    run(&["deps.get"]).silent();
    stage.write("mix.exs", "# the second version\n");
    run(&["deps.get"]).says("`mix deps.get` gets its answers for the changed mix.exs from the mirror as of ");
}

#[test]
fn a_misspelt_option_before_the_command_is_no_command() {
    let stage = Stage::mirrored();
    stage.run(&["run", "--ofline", "--", "true"]).exits(2).says("--offline");
    stage.run(&["run", "--", "sh", "-c", "exit 7"]).exits(7);
    stage.run(&["run", "sh", "-c", "exit 7"]).exits(7);
    stage.run(&["run", "--", "--ofline"]).exits(127);
}
