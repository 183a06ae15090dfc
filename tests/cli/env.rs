//! `env`: which server and which clients it configures, and what it reports if there are no git repositories to
//! redirect.

use std::fs;
use std::path::Path;

use crate::support::stage::{Ran, Stage};

#[test]
fn only_a_valid_base_url_is_accepted() {
    let stage = Stage::mirrored();
    for url in ["http://u:secret@mirror/", "http://u@mirror", "http://mirror?q=1", "http://mirror/#x", "ftp://mirror"] {
        let ran = stage.run(&["env", "--url", url]).exits(2).says("error: ");
        assert!(ran.stdout.is_empty() && !ran.stderr.contains("secret"), "{ran:?}");
    }
    let variables = stage.run(&["env", "--json", "--url", "http://host.docker.internal:4040/"]).ok().json();
    assert_eq!(variables["HEX_MIRROR"], "http://host.docker.internal:4040");
    assert_eq!(variables["no_proxy"], "host.docker.internal");
    let variables = stage.run(&["env", "--json", "--url", "http://[::1]:4040"]).ok().json();
    assert_eq!(variables["no_proxy"], "::1");
}

#[test]
fn a_missing_redirect_of_git_is_reported() {
    let stage = Stage::new();
    stage.run_in("home", &["env"]).ok().says("not a git repository").prints("export HEX_MIRROR=");
    stage.run(&["env"]).ok().says("has no mirror branch hexmirror").prints("export HEX_MIRROR=");
    stage.run(&["env", "--quiet"]).ok().silent();
    stage.run(&["update"]).ok();
    stage.run(&["env"]).ok().silent();
}

#[test]
fn hex_is_given_a_key_that_it_does_not_know() {
    let stage = Stage::mirrored();
    let home = stage.run(&["env", "--json"]).ok().json()["HEX_HOME"].as_str().unwrap().to_owned();
    let config = fs::read_to_string(Path::new(&home).join("hex.config")).unwrap();
    assert!(config.contains("public_key => <<\"-----BEGIN PUBLIC KEY-----"), "{config}");
    // hex.pm's own is built into Hex.
    let ran = Ran::of(&mut Stage::new().bare_command_in("project", &["env", "--json"])).ok();
    assert!(ran.json().get("HEX_HOME").is_none(), "{ran:?}");
}

#[test]
fn another_key_than_the_mirrors_is_refused_as_by_run() {
    let stage = Stage::mirrored();
    // Without configuration, hexpm's key is hex.pm's.
    let refused = |arguments: &[&str]| {
        Ran::of(&mut stage.bare_command_in("project", arguments)).exits(4).says("error: ").says("publicKey")
    };
    let (env, run) = (refused(&["env"]), refused(&["run", "--", "true"]));
    assert_eq!(env.stderr, run.stderr);
    assert_eq!(env.stdout, "");
}

#[test]
fn every_client_is_told_that_entries_may_name_another_repository() {
    let stage = Stage::mirrored();
    let names = ["HEX_NO_VERIFY_REPO_ORIGIN", "REBAR_NO_VERIFY_REPO_ORIGIN"];
    let variables = stage.run(&["env", "--json"]).ok().json();
    assert!(names.iter().all(|name| variables.get(name).is_none()), "{variables}");
    stage.git(&["config", "hexmirror.noVerifyRepoOrigin", "true"]);
    for format in ["--json", "--format=docker"] {
        let ran = stage.run(&["env", format]).ok();
        assert!(names.iter().all(|name| ran.stdout.contains(name)), "{ran:?}");
    }
    // Commands of this program still follow the setting.
    let program = crate::support::stage::PROGRAM;
    let script = format!("git config --unset hexmirror.noVerifyRepoOrigin; {program} status --settings");
    let ran = stage.run(&["run", "--", "sh", "-c", &script]).ok();
    assert!(ran.stdout.contains("no_verify_repo_origin") && !ran.stdout.contains("REPO_ORIGIN"), "{ran:?}");
}

#[test]
fn two_output_formats_are_refused() {
    let stage = Stage::mirrored();
    stage.run(&["env", "--format=docker", "--json"]).exits(2).says("cannot be used with");
    stage.run(&["env", "--json"]).ok().json();
    stage.run(&["env", "--format=docker"]).ok().prints("HEX_MIRROR=http://127.0.0.1:4040\n");
}

#[test]
fn no_value_can_add_a_line_to_a_workflow_file() {
    let stage = Stage::mirrored();
    let hostile = "x\nLD_PRELOAD=/evil.so\rA=b\u{85}C<<EOF\nD\nEOF";
    let mut command = stage.command(&["env", "--format=github"]);
    for name in ["no_proxy", "NO_PROXY", "http_proxy", "GIT_SSL_CAINFO", "GIT_ALLOW_PROTOCOL", "HEXMIRROR_SERVER"] {
        command.env(name, hostile);
    }
    let settings = [("user.name", hostile), ("url.x.insteadOf", hostile)];
    command.env("GIT_CONFIG_COUNT", settings.len().to_string());
    for (number, (key, value)) in settings.into_iter().enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{number}"), key).env(format!("GIT_CONFIG_VALUE_{number}"), value);
    }
    let ran = Ran::of(&mut command).ok();
    let known = |name: &str| {
        [
            "HEX_",
            "HEXMIRROR_SERVER",
            "HEXMIRROR_PREVIOUS",
            "GIT_CONFIG_",
            "GIT_ALLOW_PROTOCOL",
            "HTTP_PROXY",
            "NO_PROXY",
            "no_proxy",
        ]
        .iter()
        .any(|begin| name.starts_with(begin))
    };
    for line in ran.stdout.split(['\n', '\r', '\u{85}', '\u{2028}']).filter(|line| !line.is_empty()) {
        let (name, _) = line.split_once('=').unwrap_or_else(|| panic!("{line:?}"));
        assert!(known(name) && !name.contains("<<"), "{line:?}");
    }
    assert!(ran.stdout.contains("HEX_MIRROR=") && ran.stdout.contains("no_proxy=x"), "{}", ran.stdout);
}
