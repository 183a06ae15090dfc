//! The server's answers about the pinned index.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use git_hexmirror::hex::gzip::gunzip;
use git_hexmirror::hex::registry::Signed;
use git_hexmirror::model::IndexFile;

use super::{Index, indexed, replace};
use crate::support::http::{get, get_with};
use crate::support::registry::other_key;
use crate::support::stage::{PINNED, Serving, Stage, send};

fn serve(stage: &Stage, arguments: &[&str]) -> Serving {
    Serving::start(&mut stage.command(&[&["serve", "--listen=127.0.0.1:0"], arguments].concat()))
}

fn file(path: &str) -> IndexFile {
    match path.rsplit('/').next().unwrap() {
        "public_key" => IndexFile::PublicKey,
        "names" => IndexFile::Names,
        "versions" => IndexFile::Versions,
        name => IndexFile::Package(name.parse().unwrap()),
    }
}

#[test]
fn both_registries_are_served_under_their_names_and_one_at_the_root() {
    let stage = indexed();
    let index = Index::of(&stage);
    for (arguments, begin, signed) in [(&[][..], "/pinned", ""), (&["--registry=pinned"], "", "/signed")] {
        let serving = serve(&stage, arguments);
        for path in ["names", "versions", "packages/alpha", "packages/gamma"] {
            let answer = get(serving.authority(), &format!("{begin}/{path}"));
            assert!(gunzip(&answer.body, 1 << 20).unwrap() == index.file(&file(path)), "{path}");
        }
        let answer = get(serving.authority(), &format!("{begin}/public_key"));
        assert_eq!(answer.body, index.file(&IndexFile::PublicKey));
        let answer = get(serving.authority(), &format!("{begin}/repos/hexpm/packages/beta"));
        assert_eq!(answer.status, 200);
        let answer = get(serving.authority(), &format!("{signed}/packages/alpha"));
        assert!(gunzip(&answer.body, 1 << 20).unwrap() == stage.registry.signed("alpha"));
        for begin in ["/pinned", "/signed", ""] {
            let answer = get(serving.authority(), &format!("{begin}/tarballs/alpha-1.0.0.tar"));
            assert!(answer.body == stage.registry.get(PINNED[0]).tarball, "{begin}");
        }
        assert_eq!(get(serving.authority(), "/pinned/packages/nobody").status, 404);
        serving.stop("TERM").ok();
    }
}

/// A client that asks again gets 304 for what did not change.
#[test]
fn an_update_changes_the_etags_of_changed_packages_only() {
    let stage = indexed();
    let serving = serve(&stage, &["--registry=pinned"]);
    let etag = |name: &str| {
        let answer = get(serving.authority(), &format!("/packages/{name}"));
        answer.header("etag").unwrap().to_owned()
    };
    let [alpha, beta] = ["alpha", "beta"].map(etag);
    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    stage.run(&["update"]).ok();
    let again = |name: &str, etag: &str| {
        get_with(serving.authority(), &format!("/packages/{name}"), &format!("if-none-match: {etag}\r\n")).status
    };
    assert_eq!((again("alpha", &alpha), again("beta", &beta)), (200, 304));
    serving.stop("TERM").ok();
}

/// Clients that ask the server how to use it have upstream's key.
#[test]
fn clients_that_ask_are_led_to_what_upstream_signed() {
    let stage = indexed();
    for (arguments, signed) in [(&[][..], ""), (&["--registry=pinned"], "/signed")] {
        let serving = serve(&stage, arguments);
        let url = format!("{}{signed}", serving.url);
        let text = |path: &str| String::from_utf8(get(serving.authority(), path).body).unwrap();
        for name in ["HEX_MIRROR", "HEX_MIRROR_URL", "HEX_CDN", "HEX_BUILDS_URL"] {
            let line = format!("hexmirror_change {name} '{url}'\n");
            assert!(text("/env").contains(&line), "{line}: {}", text("/env"));
        }
        let page = text("/");
        assert!(page.contains(&format!("HEX_MIRROR={url} for mix and HEX_CDN={url} for rebar3")), "{page}");
        assert!(page.contains(&format!("clone {}/git/HOST", serving.url)), "{page}");
        serving.stop("TERM").ok();
    }
}

/// An update removes an imported index while a server has it at its root.
#[test]
fn a_server_whose_index_is_gone_is_not_healthy_and_says_what_to_do() {
    let stage = indexed();
    let serving = serve(&stage, &["--registry=pinned"]);
    assert_eq!(get(serving.authority(), "/health").status, 200);
    stage.git(&["update-ref", "refs/heads/hexmirror", "hexmirror~1"]);
    let health = get(serving.authority(), "/health");
    assert_eq!(health.status, 503);
    for answer in [health, get(serving.authority(), "/packages/alpha")] {
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains("has no pinned index") && text.contains("below /signed"), "{text}");
    }
    assert_eq!(get(serving.authority(), "/signed/packages/alpha").status, 200);
    let ran = stage.run_in(stage.sandbox.path(), &["health", &serving.url]).exits(1);
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("has no pinned index"), "{ran:?}");
    serving.stop("TERM").ok();
    // A server that is told to wait does.
    let mut command = stage.command(&["serve", "--wait", "--registry=pinned", "--listen=127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("waiting for a mirror: ") && line.contains("no pinned index; create it with"), "{line}");
    stage.run(&["index"]).ok();
    let (mut url, mut printed) = (String::new(), BufReader::new(child.stdout.take().unwrap()));
    printed.read_line(&mut url).unwrap();
    stage.run_in(stage.sandbox.path(), &["health", url.trim_end()]).ok();
    send(child.id(), "TERM");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_mirror_without_an_index_serves_none() {
    let stage = Stage::mirrored();
    stage.run(&["serve", "--registry=pinned", "--listen=127.0.0.1:0"]).exits(2).says("git hexmirror index --init");
    let serving = serve(&stage, &[]);
    let answer = get(serving.authority(), "/pinned/packages/alpha");
    assert_eq!(answer.status, 404);
    assert!(String::from_utf8_lossy(&answer.body).contains("git hexmirror index"));
    serving.stop("TERM").ok();
}

/// Someone who may write the branch but has no key replaces an entry.
#[test]
fn an_entry_that_the_key_did_not_sign_is_not_served() {
    let stage = indexed();
    let forged = Index::of(&stage).file(&IndexFile::Package("beta".parse().unwrap()));
    let payload = Signed::decode(&forged).unwrap().unverified_payload().to_vec();
    let forged = Signed::sign(payload, other_key()).encode();
    replace(&stage, "hex/hexpm/index/packages/f4/beta", &forged);
    stage
        .run(&["verify"])
        .exits(1)
        .prints("hex/hexpm/index/packages/f4/beta: it is not signed with the repository's key");
    let serving = serve(&stage, &["--registry=pinned"]);
    assert_eq!(get(serving.authority(), "/packages/beta").status, 500);
    assert_eq!(get(serving.authority(), "/packages/alpha").status, 200);
    // Another public key does not help.
    let pem = other_key().public_key().to_pem();
    replace(&stage, "hex/hexpm/index/public_key", pem.as_bytes());
    stage.run(&["verify"]).exits(1).prints("its fingerprint is");
    for path in ["/packages/beta", "/packages/delta", "/public_key"] {
        assert_eq!(get(serving.authority(), path).status, 500, "{path}");
    }
    serving.stop("TERM").ok();
}
