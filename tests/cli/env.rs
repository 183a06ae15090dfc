//! `env`: for which server, for whom, and what is said where there is nothing to lead git to.

use crate::support::stage::Stage;

#[test]
fn only_an_address_that_paths_can_be_appended_to_is_taken() {
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
fn what_leads_git_nowhere_is_said() {
    let stage = Stage::new();
    stage.run_in("home", &["env"]).ok().says("not inside a git repository").prints("export HEX_MIRROR=");
    stage.run(&["env"]).ok().says("there is no mirror branch hexmirror").prints("export HEX_MIRROR=");
    stage.run(&["env", "--quiet"]).ok().silent();
    stage.run(&["update"]).ok();
    stage.run(&["env"]).ok().silent();
}

#[test]
fn two_formats_at_once_are_refused() {
    let stage = Stage::mirrored();
    stage.run(&["env", "--format=docker", "--json"]).exits(2).says("cannot be used with");
    stage.run(&["env", "--json"]).ok().json();
    stage.run(&["env", "--format=docker"]).ok().prints("HEX_MIRROR=http://127.0.0.1:4040\n");
}
