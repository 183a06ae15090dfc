//! An upstream that is unreachable, slow, or sends invalid data.

use git_hexmirror::hex::gzip::gzip;

use crate::support::registry::{Registry, key, other_key};
use crate::support::secure::SecureServer;
use crate::support::stage::{PINNED, Ran, Stage};
use crate::support::upstream::{ALWAYS, Fault};
use crate::{refused, refused_with};

const TARBALL: &str = "/tarballs/alpha-1.0.0.tar";

fn failing(path: &str, fault: Fault) -> Stage {
    let stage = Stage::new();
    stage.upstream.fail(path, ALWAYS, fault);
    stage
}

#[test]
fn it_is_unreachable() {
    let stage = Stage::new();
    // A port that was free a moment ago, which this test keeps reserved.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}");
    refused_with(
        &stage,
        3,
        &[&format!("cannot connect to {url}"), "hint: check the network"],
        &[("HEXMIRROR_URL", &url)],
    );
    stage.run(&["update"]).ok();
    // What the mirror has needs no upstream.
    stage.run_with(&["update"], &[("HEXMIRROR_URL", &url)]).ok();
    stage.run_with(&["verify"], &[("HEXMIRROR_URL", &url)]).ok();
}

#[test]
fn an_error_is_reported_once_rather_than_per_package() {
    let stage = Stage::new();
    let told = |ran: &Ran, what: &str| ran.stderr.matches(what).count();
    let ran = refused_with(&stage, 3, &[], &[("HEXMIRROR_URL", "http://127.0.0.1:1"), ("HEXMIRROR_JOBS", "1")]);
    assert_eq!((told(&ran, "error:"), told(&ran, "retrying:")), (1, 1), "{}", ran.stderr);
    let ran = refused_with(&stage, 3, &[], &[("HEXMIRROR_URL", "http://127.0.0.1:1")]);
    assert_eq!(told(&ran, "error:"), 1, "{}", ran.stderr);
}

#[test]
fn it_stalls_before_the_answer() {
    let stage = failing(TARBALL, Fault::Stall);
    refused_with(&stage, 3, &["did not answer for 1 seconds"], &[("HEXMIRROR_TIMEOUT", "1")]);
}

#[test]
fn it_stalls_in_the_middle() {
    let stage = failing(TARBALL, Fault::StallAfter(700));
    stage.git(&["config", "hexmirror.timeout", "1"]);
    refused(&stage, 3, &["did not answer for 1 seconds"]);
}

#[test]
fn its_certificate_is_not_trusted() {
    let stage = Stage::new();
    let server = SecureServer::start(stage.sandbox.path(), String::new());
    let texts = ["cannot establish a trusted TLS connection", "HEX_CACERTS_PATH"];
    refused_with(&stage, 3, &texts, &[("HEXMIRROR_URL", &server.url())]);
    assert_eq!(server.stop(), 0);
}

#[test]
fn it_does_not_speak_tls() {
    let stage = Stage::new();
    let url = stage.upstream.url().replace("http:", "https:");
    refused_with(&stage, 3, &[&format!("cannot connect to {url}"), "tls"], &[("HEXMIRROR_URL", &url)]);
}

#[test]
fn a_release_is_not_there() {
    let stage = failing(TARBALL, Fault::Status(404, None));
    refused(&stage, 3, &["alpha-1.0.0.tar was not found (HTTP 404)"]);
    assert_eq!(stage.upstream.count(TARBALL), 1, "a 404 is not tried again");
}

#[test]
fn an_entry_is_not_there() {
    let stage = failing("/packages/alpha", Fault::Status(404, None));
    refused(&stage, 3, &["/packages/alpha was not found (HTTP 404)"]);
}

#[test]
fn a_release_is_not_listed() {
    let mut registry = Registry::sample();
    registry.publish("zeta 1.0.0", &[], &[]);
    let stage = Stage::with(registry, &["zeta 1.0.0"]);
    let lock = std::fs::read_to_string(stage.project.join("mix.lock")).unwrap();
    stage.write("mix.lock", &lock.replace("1.0.0", "1.0.1"));
    refused(&stage, 3, &["the registry entry of zeta does not list version 1.0.1"]);
}

#[test]
fn the_body_is_cut_off() {
    let stage = failing(TARBALL, Fault::Truncate(1000));
    refused(&stage, 3, &["alpha-1.0.0.tar sent only 1000 of "]);
}

#[test]
fn the_body_is_too_large() {
    let stage = failing(TARBALL, Fault::ClaimLength(1 << 40));
    refused(&stage, 3, &["alpha-1.0.0.tar is larger than"]);
    let stage = failing("/packages/alpha", Fault::ClaimLength(1 << 40));
    refused(&stage, 3, &["/packages/alpha is larger than"]);
}

#[test]
fn the_body_never_ends() {
    let stage = failing(TARBALL, Fault::Endless);
    refused(&stage, 3, &["alpha-1.0.0.tar is larger than"]);
    let downloads = std::fs::read_dir(stage.project.join(".git/hexmirror/downloads")).unwrap();
    let left: u64 = downloads.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(left < 1 << 20, "{left} bytes are left");
}

#[test]
fn an_entry_never_ends() {
    let stage = failing("/packages/alpha", Fault::Endless);
    refused(&stage, 3, &["/packages/alpha is larger than"]);
}

#[test]
fn it_is_overloaded_for_a_while() {
    let stage = Stage::new();
    stage.upstream.fail("*", 3, Fault::Status(503, Some("0".into())));
    stage.upstream.fail(TARBALL, 1, Fault::Truncate(100));
    stage.run(&["update"]).ok().says("retrying:");
    stage.run(&["verify"]).ok();
}

#[test]
fn the_tarball_is_another_one() {
    let stage = failing(TARBALL, Fault::Flip(600));
    let expected = stage.registry.get("alpha 1.0.0").outer.to_string();
    refused(
        &stage,
        4,
        &["alpha-1.0.0.tar has the wrong checksum", &format!("expected {expected}, got "), "it was not stored"],
    );
    assert_eq!(stage.upstream.count(TARBALL), 1, "wrong bytes are not tried again");
    assert!(!stage.project.join(format!(".git/hexmirror/downloads/{expected}")).exists());
}

#[test]
fn the_locks_inner_checksum_is_another_one() {
    let stage = Stage::new();
    let inner = stage.registry.get("alpha 1.0.0").listed.inner_checksum.to_string();
    let lock = std::fs::read_to_string(stage.project.join("mix.lock")).unwrap();
    let wrong = "0".repeat(64);
    stage.write("mix.lock", &lock.replace(&inner, &wrong));
    refused(&stage, 4, &[&format!("alpha-1.0.0.tar has the wrong inner checksum: expected {wrong}, got {inner}")]);
}

#[test]
fn an_old_lock_is_checked_by_its_inner_checksum() {
    let stage = Stage::new();
    let alpha = stage.registry.get("alpha 1.0.0");
    let old = |inner: &str| format!("%{{\"alpha\": {{:hex, :alpha, \"1.0.0\", \"{inner}\", [:mix], []}}}}\n");
    stage.write("mix.lock", &old(&"0".repeat(64)));
    refused(&stage, 4, &["has the wrong inner checksum"]);
    stage.write("mix.lock", &old(&alpha.listed.inner_checksum.to_string()));
    stage.run(&["update"]).ok();
}

#[test]
fn the_lock_and_the_registry_disagree() {
    let mut registry = Registry::sample();
    let (right, other) = (registry.get("alpha 1.0.0").outer, registry.get("beta 0.3.0").outer);
    registry.listed("alpha 1.0.0").outer_checksum = Some(other);
    let stage = Stage::with(registry, &PINNED);
    refused(&stage, 4, &[&format!("the lock requires the outer checksum {right}, but the registry has {other}")]);
    assert_eq!(stage.upstream.count(TARBALL), 0);
}

fn forged(entry: Vec<u8>) -> Stage {
    let mut registry = Registry::sample();
    registry.forge("alpha", entry);
    Stage::with(registry, &PINNED)
}

#[test]
fn an_entry_is_signed_by_somebody_else() {
    let stage = forged(gzip(&Registry::sample().signed_as("alpha", "alpha", other_key())));
    refused(&stage, 4, &["refused the registry entry of alpha", "it is not signed with the repository's key"]);
}

#[test]
fn an_entry_is_not_the_one_that_was_signed() {
    let mut signed = Registry::sample().signed("alpha");
    signed[40] ^= 1;
    refused(&forged(gzip(&signed)), 4, &["refused the registry entry of alpha"]);
}

#[test]
fn an_entry_is_for_another_package() {
    let stage = forged(gzip(&Registry::sample().signed("beta")));
    refused(&stage, 4, &["it is for the package \"beta\", not \"alpha\""]);
}

#[test]
fn an_entry_is_for_another_repository() {
    let stage = forged(gzip(&Registry::sample().signed_as("alpha", "hexpm:acme/alpha", key())));
    refused(&stage, 4, &["it is for the repository \"acme\", not \"hexpm\""]);
}

#[test]
fn an_entry_is_malformed() {
    refused(&forged(gzip(b"<html>Please log in</html>")), 4, &["refused the registry entry of alpha"]);
    refused(&forged(b"<html>Please log in</html>".to_vec()), 4, &["refused the registry entry of alpha"]);
    // Decompresses to a gigabyte.
    let stage = forged(crate::hostile::zeros(1 << 30));
    let ran: Ran = refused(&stage, 3, &["/packages/alpha is larger than"]);
    assert!(ran.stderr.len() < 2000);
}

#[test]
fn a_refresh_that_fails_leaves_the_mirror_as_it_was() {
    let stage = Stage::mirrored();
    stage.upstream.fail("/packages/gamma", ALWAYS, Fault::Flip(30));
    let tip = stage.tip();
    let ran = stage.run(&["update", "--refresh"]);
    assert!(matches!(ran.code, Some(3 | 4)), "{ran:?}");
    assert_eq!(stage.tip(), tip);
    stage.run(&["status"]).ok();
    stage.run(&["verify"]).ok();
}

#[test]
fn a_refusal_says_what_it_most_likely_means() {
    for (status, hint) in [
        (401, "HEX_REPOS_KEY"),
        (403, "public packages need no key: a proxy or a firewall"),
        (407, "the proxy requires credentials"),
        (429, "git hexmirror update --jobs 2"),
        (503, "https://status.hex.pm"),
    ] {
        let stage = failing(TARBALL, Fault::Status(status, Some("0".into())));
        let ran = refused(&stage, 3, &[&format!("HTTP {status}"), "hint: ", hint]);
        assert!(!ran.stderr.contains("an organisation's repository"), "{ran:?}");
    }
}

#[test]
fn a_web_page_is_distinguished_from_a_tarball_and_an_entry() {
    for path in ["tarballs/alpha-1.0.0.tar", "packages/alpha"] {
        let stage = Stage::new();
        stage.upstream.set_header("content-type", "Text/HTML; charset=utf-8");
        stage.upstream.put(path, b"\n<!DOCTYPE html><title>Welcome to our wireless network</title>");
        refused(&stage, 3, &["responded with a web page", "open any page in a browser to log in"]);
        assert_eq!(stage.upstream.count(&format!("/{path}")), 1, "it is not asked for again and again");
        // If a server declares every response as HTML, its bytes decide.
        stage.registry.put(&stage.upstream);
        stage.run(&["update"]).ok();
    }
}

#[test]
fn the_proxy_that_cannot_be_reached_is_named() {
    let stage = Stage::new();
    let address = [("HEXMIRROR_URL", "http://hex.example"), ("http_proxy", "http://user:secret@127.0.0.1:1")];
    let ran = refused_with(&stage, 3, &["cannot connect to http://hex.example", "through the proxy http://"], &address);
    assert!(ran.stderr.contains("127.0.0.1:1") && !ran.stderr.contains("secret"), "{ran:?}");
}

#[test]
fn a_missing_ca_file_is_a_usage_error() {
    let stage = Stage::new();
    refused_with(
        &stage,
        2,
        &["/no/such/file.pem", "hint: set HEX_CACERTS_PATH"],
        &[("HEX_CACERTS_PATH", "/no/such/file.pem")],
    );
}
