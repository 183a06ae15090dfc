//! The server's answers about the pinned index.

use git_hexmirror::hex::gzip::gunzip;
use git_hexmirror::hex::registry::Signed;
use git_hexmirror::model::IndexFile;

use super::{Index, indexed, replace};
use crate::support::http::{get, get_with};
use crate::support::registry::other_key;
use crate::support::stage::{PINNED, Serving, Stage};

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
