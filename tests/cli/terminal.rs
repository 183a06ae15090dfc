//! Untrusted text is printed, but cannot control the terminal.

use serde_json::Value;

use crate::support::registry::Registry;
use crate::support::stage::{Ran, Serving, Stage};
use crate::support::upstream::Fault;

/// Ends the line, clears the screen, sets the window title, changes the text direction, and contains a single-byte
/// escape.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}txet\u{2066}\u{200f}\u{9b}31m\r";

/// Returns whether a character controls the terminal or changes how a line is read.
fn is_harmful(character: char) -> bool {
    character != '\n' && character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[track_caller]
fn is_harmless(ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains(is_harmful), "{ran:?}");
    }
}

fn lock(stage: &Stage, app: &str, url: &str) {
    stage.write("mix.lock", &format!("%{{\n  \"{app}\": {{:git, \"{url}\", \"{}\", []}},\n}}\n", "1".repeat(40)));
}

#[test]
fn a_setting_with_escapes_is_shown_escaped() {
    let stage = Stage::new();
    let hostile = format!("x{HOSTILE}");
    for variable in ["HEXMIRROR_BRANCH", "HEXMIRROR_JOBS", "HEXMIRROR_TIMEOUT", "HEXMIRROR_PRE_PUSH"] {
        let ran = stage.run_with(&["update"], &[(variable, &hostile)]).exits(2).says("\\u{1b}[2J");
        is_harmless(&ran);
        // Only the program's own text is coloured.
        let ran = stage.run_with(&["update", "--color=always"], &[(variable, &hostile)]).exits(2);
        assert!(ran.stderr.contains("\u{1b}[31merror:\u{1b}[0m"), "{ran:?}");
        let own = ran.stderr.replace("\u{1b}[31m", "").replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
        assert!(!own.contains(is_harmful), "{ran:?}");
    }
    for (key, value) in
        [("branch", "\\u001b[2J\\u202e"), ("locks", "[\"\\u001b]0;t\\u0007\\u202e\"]"), ("\"\\u001b[2J\\u202e\"", "1")]
    {
        let value = if value.starts_with('[') || value == "1" { value.to_owned() } else { format!("\"{value}\"") };
        stage.write(".hexmirror.toml", &format!("{key} = {value}\n"));
        for command in ["status", "update", "init"] {
            is_harmless(&stage.run(&[command]));
        }
    }
}

#[test]
fn an_argument_with_escapes_is_shown_escaped() {
    let stage = Stage::new();
    for arguments in [&["--\u{1b}[2J"][..], &["update", "\u{1b}[2J\u{202e}"], &["serve", "--cache=\u{1b}[2J"]] {
        is_harmless(&stage.run(arguments).exits(2));
        let ran = stage.run_with(arguments, &[("CLICOLOR_FORCE", "1")]).exits(2);
        assert!(!ran.stderr.contains("\u{1b}[2J") && !ran.stderr.contains('\u{202e}'), "{ran:?}");
    }
}

#[test]
fn the_path_of_a_lock_with_escapes_is_shown_escaped() {
    let stage = Stage::new();
    let path = "a\u{1b}c\u{7}\u{202e}\u{9b}\nerror: b/mix.lock";
    stage.write(path, &stage.registry.mix_lock(&["alpha 1.0.0"]));
    is_harmless(
        &stage.run(&["--lock", path, "status"]).exits(1).prints("a\\u{1b}c\\u{7}\\u{202e}\\u{9b}\\nerror: b/mix.lock"),
    );
    is_harmless(&stage.run(&["--lock", path, "status", "--json"]).exits(1));
    stage.write(path, "%{");
    let ran = stage.run(&["--lock", path, "status"]).exits(2).says("a\\u{1b}c");
    is_harmless(&ran);
    assert!(!ran.stderr.contains("\nerror: b"), "{ran:?}");
    is_harmless(&stage.run(&["--lock", "*\u{1b}[2J*", "status"]).exits(2));
}

#[test]
fn names_and_addresses_in_a_lock_are_shown_escaped() {
    let stage = Stage::new();
    for url in [format!("/srv/{HOSTILE}"), format!("https://h/{HOSTILE}"), format!("{HOSTILE}://h/x")] {
        lock(&stage, "app", &url);
        for command in [&["status"][..], &["status", "--json"], &["lock"], &["lock", "--json"], &["diff"], &["update"]]
        {
            is_harmless(&stage.run(command));
        }
    }
    // Elixir does not accept literal bidirectional characters in a string, but accepts their escapes.
    lock(&stage, "a\\u202E\\e[2J", "/srv/\\u202Ex\\e]0;t\\a");
    let ran = stage.run(&["lock"]).ok();
    is_harmless(&ran);
    assert!(ran.stdout.contains("\\u{202e}") && ran.stdout.contains("\\u{1b}"), "{ran:?}");
    let ran = stage.run(&["lock", "--json"]).ok();
    is_harmless(&ran);
    assert!(ran.stdout.contains("\\u202e"), "{ran:?}");
    let document: Value = ran.json();
    assert_eq!(document["entries"][0]["app"], "a\u{202e}\u{1b}[2J");
    is_harmless(&stage.run(&["status", "--verbose"]));
}

#[test]
fn a_servers_messages_are_shown_escaped() {
    let stage = Stage::new();
    let location = "http://127.0.0.1:1/\u{9b}31m\u{202e}".to_owned();
    stage.upstream.fail("*", 2, Fault::Redirect(302, location));
    is_harmless(&stage.run(&["update"]));
    // A name in a registry entry with a valid signature.
    let mut registry = Registry::sample();
    registry.retire("alpha 1.0.0", &format!("use{HOSTILE}"));
    registry.put(&stage.upstream);
    for command in [&["update", "--refresh"][..], &["list"], &["list", "--json"], &["verify"]] {
        is_harmless(&stage.run(command));
    }
}

#[test]
fn a_remotes_messages_are_shown_escaped() {
    let stage = Stage::mirrored();
    let remote = stage.sandbox.path().join("remote.git");
    stage.sandbox.git("", &["init", "--quiet", "--bare", "remote.git"]);
    stage.git(&["remote", "add", "origin", remote.to_str().unwrap()]);
    let hook = remote.join("hooks/pre-receive");
    std::fs::write(&hook, format!("#!/bin/sh\nprintf '%s\\n' 'no{HOSTILE}' 'error: {HOSTILE}' >&2\nexit 1\n")).unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ran = stage.run(&["push"]).exits(3).says("no\\u{1b}[2J");
    is_harmless(&ran);
}

#[test]
fn requests_are_logged_escaped() {
    let stage = Stage::mirrored();
    let serving = Serving::start(&mut stage.command(&["--verbose", "serve", "--listen", "127.0.0.1:0"]));
    let address = serving.authority().to_owned();
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    let request = format!("GET /packages/\u{9b}31m\u{202e} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
    let ran = serving.stop("TERM").says("GET /packages/");
    is_harmless(&ran);
}
