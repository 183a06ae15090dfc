//! The private key: made, given, replaced, refused, and never on the branch.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use git_hexmirror::hex::registry::PrivateKey;
use git_hexmirror::model::IndexFile;

use super::{Index, indexed, key_file, replace};
use crate::support::registry::{Registry, other_key};
use crate::support::stage::Stage;

/// An RSA key of 1024 bits. It signs nothing.
const SMALL: &str = include_str!("../../../fixtures/keys/rsa-1024.pem");

/// A key for signatures of another kind, in the form of `openssl ecparam -genkey`. Its content is not read.
const EC: &str = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";

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
        ("small", SMALL, "not an RSA key of 2048, 3072 or 4096 bits"),
        ("encrypted", encrypted, "encrypted with a passphrase"),
        ("traditional", traditional, "encrypted with a passphrase"),
        ("two", &format!("{pem}{pem}"), "more than one key"),
        ("ec", EC, "not an RSA key of 2048, 3072 or 4096 bits"),
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
fn a_lost_key_is_to_be_restored_or_replaced() {
    let stage = indexed();
    fs::remove_file(key_file(&stage)).unwrap();
    stage.lock(&["alpha 1.1.0"]);
    for command in [&["index"][..], &["index", "--init"]] {
        let ran = stage.run(command).exits(2).says("there is no private key").says("git hexmirror index --rotate-key");
        assert!(!ran.stderr.contains("index --init"), "{ran:?}");
    }
    stage.run(&["index", "--rotate-key"]).ok();
    stage.run(&["index", "--init"]).ok().says("up to date");
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
}

/// The only copy of the key that signed the index must outlive whatever interrupts a rotation.
#[test]
fn the_old_key_stays_until_the_index_is_signed_with_the_new_one() {
    let stage = indexed();
    let (file, before) = (key_file(&stage), Index::of(&stage).key());
    let next = file.with_extension("pem.new");
    let old = fs::read_to_string(&file).unwrap();
    let given = written(&stage, "given.pem", &other_key().to_pem());
    // The branch cannot be moved.
    let lock = stage.project.join(".git/refs/heads/hexmirror.lock");
    fs::write(&lock, "").unwrap();
    let ran = stage.run(&["index", "--rotate-key", "--private-key", &given]);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    fs::remove_file(&lock).unwrap();
    assert_eq!((fs::read_to_string(&file).unwrap(), Index::of(&stage).key()), (old.clone(), before));
    assert_eq!(fs::metadata(&next).unwrap().permissions().mode() & 0o777, 0o600);
    stage.run(&["index"]).ok().says("up to date");
    stage.run(&["index", "--rotate-key"]).ok();
    assert_eq!(Index::of(&stage).key(), other_key().public_key());
    let new = fs::read_to_string(&file).unwrap();
    assert!(new == other_key().to_pem() && !next.exists());
    // A rotation that was killed after it moved the branch. Any command that signs takes the key that fits.
    for command in [&["index"][..], &["update"]] {
        fs::write(&file, &old).unwrap();
        fs::write(&next, &new).unwrap();
        stage.lock(if command == ["update"] { &["alpha 1.1.0"] } else { &["alpha 1.0.0"] });
        let ran = stage.run(command).ok();
        assert!(!ran.stderr.contains("not refreshed"), "{ran:?}");
        assert_eq!((fs::read_to_string(&file).unwrap(), next.exists()), (new.clone(), false), "{command:?}");
    }
    stage.run(&["verify"]).ok();
}

#[test]
fn a_key_is_not_replaced_by_itself() {
    let stage = indexed();
    let (tip, pem) = (stage.tip(), fs::read_to_string(key_file(&stage)).unwrap());
    let same = written(&stage, "same.pem", &pem);
    for variable in [("HEXMIRROR_PRIVATE_KEY_FILE", &same), ("HEXMIRROR_PRIVATE_KEY", &pem)] {
        let ran = stage.run_with(&["index", "--rotate-key"], &[(variable.0, variable.1)]);
        ran.exits(2).says("signs the pinned index already").says("unset HEXMIRROR_PRIVATE_KEY");
    }
    stage.run(&["index", "--rotate-key", "--private-key", &same]).exits(2).says("same.pem");
    assert_eq!((stage.tip(), fs::read_to_string(key_file(&stage)).unwrap()), (tip, pem));
}

#[test]
fn a_kept_key_that_others_can_read_is_named() {
    let stage = indexed();
    fs::set_permissions(key_file(&stage), fs::Permissions::from_mode(0o644)).unwrap();
    for command in ["index", "verify", "doctor"] {
        let ran = stage.run(&[command]);
        let text = format!("{}{}", ran.stdout, ran.stderr);
        assert!(text.contains("other users of this machine can read") && text.contains("chmod 600"), "{ran:?}");
    }
    // A new key is not readable by others.
    let ran = stage.run(&["index", "--rotate-key"]).ok();
    assert!(!ran.stderr.contains("other users"), "{ran:?}");
}

/// Someone may commit the private key anywhere on the branch.
#[test]
fn a_private_key_on_the_branch_is_never_pushed_and_repair_removes_it() {
    let of_a_release = |stage: &Stage| stage.paths().into_iter().find(|path| path.contains("/contents/")).unwrap();
    for place in ["public_key", "idx.pem", "README.md", "added", "replaced"] {
        let stage = indexed();
        let release = of_a_release(&stage).split_once("/contents/").unwrap().0.to_owned();
        let path = match place {
            "added" => format!("{release}/contents/priv/key.pem"),
            "replaced" => of_a_release(&stage),
            "README.md" => place.to_owned(),
            place => format!("hex/hexpm/index/{place}"),
        };
        let is_of_release = ["added", "replaced"].contains(&place);
        stage.git(&["init", "--quiet", "--bare", "../remote.git"]);
        stage.git(&["remote", "add", "origin", "../remote.git"]);
        stage.run(&["hooks", "install"]).ok();
        replace(&stage, &path, other_key().to_pem().as_bytes());
        let refused = || {
            stage.run(&["push"]).exits(4).says(&path).says("contains a private key").says("--rotate-key");
            let pushed = stage.run_through_git(&stage.project, &["push", "--quiet", "origin", "hexmirror"]);
            pushed.exits(1).says("contains a private key").says(&path);
            assert_eq!(stage.git(&["ls-remote", "origin"]), "", "{place}");
        };
        refused();
        if place == "public_key" {
            for command in [&["status"][..], &["serve", "--listen=127.0.0.1:0"], &["export", "../www"]] {
                stage.run(command).exits(4).says(&path).says("contains a private key");
            }
        }
        stage.run(&["verify"]).exits(1).prints(if place == "replaced" { &release } else { &path });
        let repaired = stage.run(&["update", "--repair"]).ok();
        assert!(is_of_release || repaired.stdout.contains(&path), "{repaired:?}");
        stage.run(&["verify"]).ok();
        // The history still has it.
        refused();
        stage.run(&["compact"]).ok();
        stage.run(&["push"]).ok();
        let key = stage.git(&["hash-object", "../replacement"]);
        let (remote, project) = (stage.sandbox.path().join("remote.git"), stage.project.clone());
        for (repository, has_it) in [(project, true), (remote, false)] {
            let found = stage.sandbox.try_git(&repository, &["cat-file", "-e", key.trim()]);
            assert_eq!(found.status.success(), has_it, "{place}");
        }
    }
}

#[test]
fn a_key_in_a_published_package_is_no_secret() {
    let mut registry = Registry::sample();
    registry.publish("keys 1.0.0", &[], &[("test/key.pem".into(), other_key().to_pem())]);
    let stage = Stage::with(registry, &["keys 1.0.0"]);
    stage.run(&["update"]).ok();
    assert!(stage.paths().iter().any(|path| path.ends_with("/contents/test/key.pem")));
    stage.run(&["verify"]).ok();
    stage.git(&["init", "--quiet", "--bare", "../remote.git"]);
    stage.run(&["push", "../remote.git"]).ok();
    stage.run(&["update", "--repair"]).ok().says("needs no repair");
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
    let readme = replace(&stage, "README.md", &fs::read(key_file(&stage)).unwrap());
    stage.git(&["update-ref", "refs/heads/other", &readme]);
    stage.git(&["update-ref", "refs/heads/hexmirror", "hexmirror~1"]);
    stage.git(&["clone", "--quiet", "--bare", ".", "../remote.git"]);
    stage.git(&["remote", "add", "origin", "../remote.git"]);
    for (commit, path) in [(&commit, path), (&readme, "README.md")] {
        stage.git(&["--git-dir=../remote.git", "update-ref", "refs/heads/hexmirror", commit]);
        stage.run(&["pull"]).exits(4).says(path).says("contains a private key");
    }
    stage.run(&["index", "--rotate-key"]).ok();
    stage.run(&["verify"]).ok();
}
