//! `shell`: real shells, with startup files of the user's that set a prompt and point clients elsewhere.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::stage::{Ran, Stage};

/// Runs `shell` in a terminal and types lines. `None`, with a message, if a program is missing.
fn typed(stage: &Stage, shell: &str, lines: &str) -> Option<Ran> {
    let program = |name: &str| Command::new("sh").args(["-c", &format!("command -v {name}")]).output().ok();
    for name in [shell, "script"] {
        if !program(name).is_some_and(|found| found.status.success()) {
            eprintln!("skipped: there is no {name}");
            return None;
        }
    }
    let shell = program(shell).map(|found| String::from_utf8(found.stdout).unwrap().trim().to_owned())?;
    // script(1) connects the program to a terminal.
    let mut command = stage.sandbox.command("script", &stage.project);
    command.args(["--quiet", "--return", "--echo", "never", "--command"]);
    command.arg(format!("{} shell", crate::support::stage::PROGRAM)).arg("/dev/null");
    command.env("SHELL", shell).env("TERM", "dumb").env("ZDOTDIR", stage.sandbox.home().join("zsh"));
    command.env("ENV", "$HOME/.shrc").env("HEXMIRROR_PUBLIC_KEY", stage.sandbox.path().join("hexpm.pem"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap().into())
}

/// A project whose user has startup files for all shells.
fn stage() -> Stage {
    let stage = Stage::mirrored();
    let home = stage.sandbox.home();
    let posix = "export HEX_MIRROR=http://elsewhere\nPS1='mine> '\nOWN=read\n";
    let fish = "set -gx HEX_MIRROR http://elsewhere\nfunction fish_prompt; printf 'mine> '; end\nset OWN read\n";
    for (file, text) in [
        (".bashrc", posix.to_owned() + "PROMPT_COMMAND='PS1=mine\\>\\ ;'\n"),
        (".shrc", posix.to_owned()),
        ("zsh/.zshenv", "ENVIRONMENT=read\n".to_owned()),
        ("zsh/.zshrc", posix.to_owned() + "[[ $ENVIRONMENT == read ]] || OWN=unread\n"),
        (".config/fish/config.fish", fish.to_owned()),
    ] {
        let path = home.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    stage
}

#[test]
fn the_prompt_has_a_mark_and_clients_use_the_mirror() {
    let stage = stage();
    for shell in ["bash", "zsh", "fish", "dash", "ksh"] {
        let show = "echo $OWN $HEX_MIRROR $HEXMIRROR_SHELL\nfalse\nexit 7\n";
        let Some(ran) = typed(&stage, shell, show) else { continue };
        assert_eq!(ran.code, Some(7), "{shell}: {ran:#?}");
        let shown = ran.stdout;
        assert!(shown.contains("read http://127.0.0.1:") && !shown.contains("elsewhere"), "{shell}: {shown}");
        assert!(shown.contains("(hexmirror) mine> "), "{shell}: {shown}");
        assert!(!shown.contains("(hexmirror) (hexmirror)"), "{shell}: {shown}");
        let day = stage.git(&["log", "-1", "--format=%cs", "hexmirror"]);
        let says = format!("git use hexmirror as of {day} in this shell; `exit` leaves it");
        assert!(shown.contains(&says), "{shell}: {shown}");
    }
}

#[test]
fn a_shell_that_cannot_be_started_is_reported() {
    let stage = Stage::mirrored();
    let hint = "hint: set SHELL to the path of an installed shell";
    for (shell, code) in [
        ("/no/such/shell", 127),
        ("no-such-shell", 127),
        ("./no", 127),
        ("/", 126),
        ("mix.lock", 127),
        ("./mix.lock", 126),
    ] {
        let ran = stage.run_with(&["shell"], &[("SHELL", shell)]).exits(code);
        let ran = ran.says(&format!("cannot run your shell {shell}\n")).says(hint);
        assert!(!ran.stderr.contains("in this shell"), "{ran:#?}");
    }
    let ran = stage.run_with(&["shell"], &[("HEXMIRROR_SHELL", "1")]).exits(2);
    ran.says("this shell uses the mirror already").says("`exit` leaves it");
    Stage::new().run(&["shell"]).exits(5).says("has no mirror branch");
}

#[test]
fn any_program_can_be_the_shell() {
    let stage = Stage::mirrored();
    let own = stage.sandbox.path().join("own");
    fs::write(&own, "#!/bin/sh\necho $HEX_MIRROR\nexit 3\n").unwrap();
    Command::new("chmod").arg("+x").arg(&own).status().unwrap();
    let ran = stage.run_with(&["shell"], &[("SHELL", own.to_str().unwrap())]).exits(3).says("the prompt has no mark: ");
    assert!(ran.stdout.starts_with("http://127.0.0.1:"), "{ran:?}");
    stage.run_with(&["-q", "shell"], &[("SHELL", own.to_str().unwrap())]).exits(3).silent();
}
