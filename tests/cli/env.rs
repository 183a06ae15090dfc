//! `env`: which server and which clients it configures, and what it reports if there are no git repositories to
//! redirect.

use std::fs;

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
fn a_folder_for_hexs_configuration_that_cannot_be_written_is_named() {
    let stage = Stage::new();
    stage.lock(&["alpha 1.0.0", "hexpm:acme/secret 0.1.0"]);
    stage.run(&["update"]).ok();
    stage.run(&["env"]).ok().prints("HEX_HOME=");
    let folder = stage.project.join(".git/hexmirror/hex-home");
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "in the way").unwrap();
    let ran = stage.run(&["env"]).exits(5).says("cannot write the configuration of Hex to").says("hex-home");
    assert_eq!(ran.stdout, "", "nothing that a shell would evaluate");
    // `run` uses a temporary folder.
    stage.run(&["run", "--", "sh", "-c", "test -s $HEX_HOME/hex.config"]).ok();
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
