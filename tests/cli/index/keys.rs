//! The private key: made, given, replaced, refused, and never on the branch.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use git_hexmirror::hex::registry::PrivateKey;
use git_hexmirror::model::IndexFile;

use super::{Index, indexed, key_file, replace};
use crate::support::registry::other_key;
use crate::support::stage::Stage;

/// An RSA key of 1024 bits. It signs nothing.
const SMALL: &str = include_str!("../../../fixtures/keys/rsa-1024.pem");

fn written(stage: &Stage, name: &str, text: &str) -> String {
    let path = stage.sandbox.path().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_new_key_is_readable_only_by_its_owner_and_stays_off_the_branch() {
    let stage = indexed();
    let file = key_file(&stage);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let private = fs::read_to_string(&file).unwrap();
    let public = PrivateKey::from_pem(&private).unwrap().public_key();
    let index = Index::of(&stage);
    assert_eq!(index.file(&IndexFile::PublicKey), public.to_pem().into_bytes());
    assert_eq!(index.manifest().index_signers.values().collect::<Vec<_>>(), [&public.fingerprint()]);
    let secret = private.lines().nth(5).unwrap();
    let found = stage.sandbox.try_git(&stage.project, &["grep", "-q", "--fixed-strings", secret, "hexmirror"]);
    assert_eq!(found.status.code(), Some(1));
    // Running it again changes nothing.
    let tip = stage.tip();
    stage.run(&["index", "--init"]).ok().says("up to date");
    assert_eq!((stage.tip(), fs::read_to_string(&file).unwrap()), (tip, private));
}

#[test]
fn a_key_is_taken_from_a_file_or_the_environment() {
    let stage = Stage::mirrored();
    let pem = other_key().to_pem();
    let path = written(&stage, "key.pem", &pem);
    stage.run(&["index"]).exits(2).says("there is no private key").says("git hexmirror index --init");
    stage.run(&["index", "--private-key", &path]).ok();
    assert!(!key_file(&stage).exists());
    let tip = stage.tip();
    stage.run_with(&["index"], &[("HEXMIRROR_PRIVATE_KEY_FILE", &path)]).ok().says("up to date");
    stage.run_with(&["index"], &[("HEXMIRROR_PRIVATE_KEY", &pem)]).ok().says("up to date");
    assert_eq!(stage.tip(), tip);
    let document = stage.run_with(&["index", "--json"], &[("HEXMIRROR_PRIVATE_KEY", &pem)]).ok().json();
    assert_eq!(document["signer"], other_key().public_key().fingerprint().to_string());
    assert_eq!(document["private_key"], "HEXMIRROR_PRIVATE_KEY");
    // Whoever keeps a copy needs to give it no more.
    stage.run(&["index", "--init", "--private-key", &path]).ok();
    assert!(key_file(&stage).exists());
    stage.run(&["index"]).ok().says("up to date");
}

#[test]
fn a_key_that_cannot_be_used_is_refused() {
    let stage = indexed();
    let tip = stage.tip();
    let pem = other_key().to_pem();
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let traditional = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    for (name, text, problem) in [
        ("other", &pem[..], "the pinned index of hexpm is signed with SHA256:"),
        ("small", SMALL, "not an RSA key of 2048 to 8192 bits"),
        ("encrypted", encrypted, "encrypted with a passphrase"),
        ("traditional", traditional, "encrypted with a passphrase"),
        ("two", &format!("{pem}{pem}"), "more than one key"),
        ("none", "", "not in PEM form"),
        ("public", &other_key().public_key().to_pem(), "\"PUBLIC KEY\" instead of PRIVATE KEY"),
    ] {
        let path = written(&stage, name, text);
        stage.run(&["index", "--private-key", &path]).exits(2).says(problem);
        stage.run(&["index", "--init", "--private-key", &path]).exits(2);
    }
    stage.run(&["index", "--private-key", "no-such-file"]).exits(2).says("no-such-file");
    stage.run_with(&["index"], &[("HEXMIRROR_PRIVATE_KEY", "nonsense")]).exits(2).says("HEXMIRROR_PRIVATE_KEY");
    assert_eq!(stage.tip(), tip);
    stage.run(&["index"]).ok().says("up to date");
}

#[test]
fn a_rotated_key_signs_everything_again() {
    let stage = indexed();
    let before = Index::of(&stage);
    let old = fs::read_to_string(key_file(&stage)).unwrap();
    stage.run(&["index", "--rotate-key"]).ok();
    let after = Index::of(&stage);
    assert_ne!(before.key(), after.key());
    assert_eq!(before.package("beta"), after.package("beta"));
    assert_eq!(after.manifest().index, before.manifest().index);
    stage.run(&["verify"]).ok();
    let old = written(&stage, "old.pem", &old);
    stage.run(&["index", "--private-key", &old]).exits(2).says("--rotate-key");
    // An interrupted rotation has written the new key only.
    fs::write(key_file(&stage), other_key().to_pem()).unwrap();
    stage.run(&["index"]).exits(2);
    stage.run(&["index", "--rotate-key"]).ok();
    assert_eq!(Index::of(&stage).key(), other_key().public_key());
}

/// Someone may commit the private key in place of the public one.
#[test]
fn a_private_key_on_the_branch_is_refused() {
    let stage = indexed();
    let path = "hex/hexpm/index/public_key";
    let commit = replace(&stage, path, &fs::read(key_file(&stage)).unwrap());
    stage.run(&["index"]).exits(4).says("contains a private key");
    stage.run(&["verify"]).exits(1).prints(path);
    // The same from a remote.
    stage.git(&["update-ref", "refs/remotes/origin/hexmirror", "hexmirror"]);
    stage.git(&["update-ref", "refs/heads/hexmirror", "hexmirror~1"]);
    stage.git(&["clone", "--quiet", "--bare", ".", "../remote.git"]);
    stage.git(&["--git-dir=../remote.git", "update-ref", "refs/heads/hexmirror", &commit]);
    stage.git(&["remote", "add", "origin", "../remote.git"]);
    stage.run(&["pull"]).exits(4).says("contains a private key");
    stage.run(&["index", "--rotate-key"]).ok();
    stage.run(&["verify"]).ok();
}
