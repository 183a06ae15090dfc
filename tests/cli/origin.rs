//! A mirror of hex.pm that signs everything anew, in its own name: refused unless the user allows that, and then still
//! bound by its key and by the lock.

use git_hexmirror::hex::gzip::gzip;
use git_hexmirror::hex::registry::PrivateKey;

use crate::support::registry::{Registry, key, other_key};
use crate::support::stage::{PINNED, Ran, Stage};

const ALLOWED: [(&str, &str); 1] = [("HEX_NO_VERIFY_REPO_ORIGIN", "1")];
const WARNING: &str = "warning: registry entries may name another repository than the one they come from";

/// A project whose upstream signs as the repository `company`.
fn company(key: &PrivateKey) -> Stage {
    let mut registry = Registry::sample();
    registry.forge("alpha", gzip(&registry.signed_as("alpha", "company/alpha", key)));
    Stage::with(registry, &["alpha 1.0.0"])
}

fn refused(ran: Ran) {
    ran.exits(4).says("it is for the repository \"company\", not \"hexpm\"").says("HEX_NO_VERIFY_REPO_ORIGIN=1");
}

#[test]
fn another_repositorys_name_is_accepted_only_if_the_user_says_so() {
    let stage = company(key());
    refused(stage.run(&["update"]));
    assert_eq!(stage.tip(), None);
    stage.run_with(&["update"], &ALLOWED).ok().says(WARNING);
    stage.run_with(&["verify"], &ALLOWED).ok().says(WARNING);
    // What was accepted because the user said so is not accepted without.
    stage.run_with(&["status"], &ALLOWED).ok();
    // Whatever the server would refuse is refused by everything that leads to it, and is not damage.
    for arguments in [&["status"][..], &["env"], &["run", "--", "true"], &["verify"], &["update"]] {
        let ran = stage.run(arguments);
        assert!(!ran.stdout.contains("damaged") && !ran.stdout.contains("fresh"), "{ran:?}");
        refused(ran);
    }
    stage.run(&["doctor"]).exits(1).prints("it is for the repository \"company\", not \"hexpm\"");
    stage.run_with(&["env"], &ALLOWED).ok();
    refused(stage.run(&["update", "--refresh"]));
    stage.git(&["config", "hexmirror.noVerifyRepoOrigin", "true"]);
    stage.run(&["update", "--refresh"]).ok().says(WARNING);
    stage.run(&["verify"]).ok();
    // The variable has precedence.
    refused(stage.run_with(&["update", "--refresh"], &[("HEX_NO_VERIFY_REPO_ORIGIN", "0")]));
}

#[test]
fn a_tracked_file_cannot_say_so_without_permission() {
    let stage = company(key());
    stage.write(".hexmirror.toml", "no_verify_repo_origin = true\n");
    refused(stage.run(&["update"]).says("inactive"));
    stage.run(&["trust", "--yes"]).ok();
    stage.run(&["update"]).ok().says(WARNING);
}

#[test]
fn the_key_and_the_lock_still_count() {
    let stage = company(other_key());
    stage.run_with(&["update"], &ALLOWED).exits(4).says("not signed with the repository's key");
    let mut registry = Registry::sample();
    registry.publish("alpha 1.0.0", &[], &[("lib/alpha.ex".into(), "malice".into())]);
    registry.forge("alpha", gzip(&registry.signed_as("alpha", "company/alpha", key())));
    registry.put(&stage.upstream);
    stage.run_with(&["update"], &ALLOWED).exits(4).says("alpha 1.0.0");
    assert_eq!(stage.tip(), None);
}

#[test]
fn one_entry_in_another_name_among_many_is_found() {
    let mut registry = Registry::sample();
    registry.forge("delta", gzip(&registry.signed_as("delta", "company/delta", key())));
    let stage = Stage::with(registry, &PINNED);
    let document = stage.run(&["update", "--keep-going", "--json"]).exits(4).json();
    let reason = document["errors"][0].as_str().expect("an error");
    assert!(reason.contains("delta") && reason.contains("it is for the repository \"company\""), "{reason}");
    stage.run_with(&["update"], &ALLOWED).ok();
    stage.run_with(&["status"], &ALLOWED).ok().prints("fresh");
    for command in ["status", "update"] {
        stage.run(&[command]).exits(4).says("delta").says("HEX_NO_VERIFY_REPO_ORIGIN=1");
    }
    stage.run_with(&["status"], &ALLOWED).ok().prints("fresh");
}
