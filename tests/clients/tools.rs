//! `mix local.hex` and `mix local.rebar` with the installers of the mirror, whose lists a key signs that only the test's mix
//! knows.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use git_hexmirror::hex::registry::{PrivateKey, Signed};
use git_hexmirror::model::hex_digits;
use sha2::{Digest, Sha512};

use crate::support::http::get;
use crate::support::registry::{key, other_key};
use crate::support::stage::{Ran, Serving, Stage};
use crate::{offline, runs, told};

/// Something that mix accepts as Hex's archive: a zip file with an empty file in the folder of an application.
const ARCHIVE: &[u8] = b"PK\x03\x04\x0a\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0hex-2.0.0/ebin/x\
    PK\x01\x02\x14\x03\x0a\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\xa4\x81\0\0\0\0hex-2.0.0/ebin/x\
    PK\x05\x06\0\0\0\0\x01\0\x01\0>\0\0\0.\0\0\0\0\0";
const REBAR3: &[u8] = b"#!/bin/sh\necho rebar3\n";

/// Publishes a list of one installer with its signature.
fn publish(stage: &Stage, list: &str, path: &str, content: &[u8], key: &PrivateKey) {
    let name = path.rsplit('/').next().unwrap();
    let version = name.trim_start_matches("hex-").trim_start_matches("rebar3-").trim_end_matches(".ez");
    let row = format!("{version},{},1.14.0\n", hex_digits(Sha512::digest(content).as_slice()));
    // The signature is the last field of a signed message, and as long as the key.
    let signed = Signed::sign(row.clone().into_bytes(), key).encode();
    let signature = Base64::encode_string(&signed[signed.len() - 256..]);
    let lines: Vec<&str> = signature.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    stage.upstream.put(&format!("installs/{list}"), row.as_bytes());
    stage.upstream.put(&format!("installs/{list}.signed"), (lines.join("\n") + "\n").as_bytes());
    stage.upstream.put(&format!("installs/{path}"), content);
}

/// A project for Elixir 1.14, and a folder for mix with the test's key.
fn offered() -> (Stage, PathBuf) {
    let stage = Stage::mirrored();
    publish(&stage, "hex-1.x.csv", "1.14.0/hex-2.0.0.ez", ARCHIVE, key());
    publish(&stage, "rebar3-1.x.csv", "1.14.0/rebar3-3.20.0", REBAR3, key());
    let home = stage.sandbox.path().join("mix");
    fs::create_dir_all(home.join("public_keys")).unwrap();
    fs::write(home.join("public_keys/test.pem"), key().public_key().to_pem()).unwrap();
    stage.write(".tool-versions", "erlang 25.2.3\nelixir 1.14.0-otp-25\n");
    (stage, home)
}

/// Returns the files in a folder with their contents.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file());
    let named = |path: &Path| path.strip_prefix(folder).unwrap().to_owned();
    files.map(|entry| (named(entry.path()), fs::read(entry.path()).unwrap())).collect()
}

fn update(stage: &Stage, home: &Path) -> Ran {
    stage.run_with(&["update"], &[("HEX_BUILDS_URL", &stage.upstream.url()), ("MIX_HOME", home.to_str().unwrap())])
}

#[test]
fn mix_installs_hex_and_rebar3_from_the_mirror() {
    let (stage, home) = offered();
    stage.run(&["status"]).exits(1).prints("Hex and rebar3 for Elixir 1.14.0 otp 25");
    update(&stage, &home).ok();
    let lock = fs::read_to_string(stage.project.join("hexmirror.lock")).unwrap();
    assert!(lock.contains("tools elixir 1.14.0 otp 25 installs/hex-1.x.csv "), "{lock}");
    stage.run(&["status"]).ok();
    let mix_home = [("MIX_HOME", home.to_str().unwrap())];
    stage.run_with(&["verify"], &mix_home).ok().says("6 files");
    // The key that signed the lists is unknown without that folder.
    let verify = stage.run(&["verify"]).exits(4).prints("neither Elixir's key").says("MIX_HOME/public_keys");
    assert!(!verify.stderr.contains("--repair"));
    stage.run(&["update", "--repair"]).exits(4).prints("neither Elixir's key").says("MIX_HOME/public_keys");
    stage.run_with(&["update", "--repair"], &mix_home).ok().says("needs no repair");
    let asked = stage.upstream.count("*");
    update(&stage, &home).ok();
    assert_eq!(stage.upstream.count("*"), asked);
    if !runs(&stage, "mix", &["--version"], &[]) {
        eprintln!("skipped: there is no mix");
        return;
    }
    for task in ["local.hex", "local.rebar"] {
        let mut command = offline(&stage, "project", &["run", "--", "mix", task, "--force"]);
        let ran = Ran::of(command.env("MIX_HOME", &home)).ok();
        assert!(!told(&ran).contains("could not"), "{}", told(&ran));
    }
    assert!(home.join("archives").read_dir().unwrap().count() == 1);
    let installed = home.join("elixir").read_dir().unwrap().next().unwrap().unwrap().path().join("rebar3");
    assert_eq!(fs::read(installed).unwrap(), REBAR3);
    assert_eq!(stage.upstream.count("*"), asked);
}

#[test]
fn an_entry_that_was_cut_off_is_pinned_anew() {
    let (stage, home) = offered();
    update(&stage, &home).ok();
    let lock = fs::read_to_string(stage.project.join("hexmirror.lock")).unwrap();
    let (begin, entry) = lock.split_at(lock.find("tools elixir").unwrap());
    let words: Vec<&str> = entry.trim_end().split(' ').collect();
    for count in [5, 7, words.len() - 2] {
        stage.write("hexmirror.lock", &format!("{begin}{}\n", words[..count].join(" ")));
        stage.run(&["status"]).exits(1).prints("Hex and rebar3 for Elixir 1.14.0 otp 25");
        stage.run(&["update", "--locked"]).exits(1).says("hexmirror.lock would change");
        update(&stage, &home).ok();
        assert_eq!(fs::read_to_string(stage.project.join("hexmirror.lock")).unwrap(), lock, "{count}");
        stage.run(&["status"]).ok();
    }
    stage.write("hexmirror.lock", &format!("{begin}{}\n", words[..words.len() - 1].join(" ")));
    stage.run(&["status"]).exits(2).says("malformed entry");
}

#[test]
fn installers_that_elixir_did_not_sign_are_refused() {
    let (stage, home) = offered();
    publish(&stage, "hex-1.x.csv", "1.14.0/hex-2.0.0.ez", ARCHIVE, other_key());
    update(&stage, &home).exits(4).says("neither Elixir's key");
    publish(&stage, "hex-1.x.csv", "1.14.0/hex-2.0.0.ez", ARCHIVE, key());
    stage.upstream.put("installs/1.14.0/rebar3-3.20.0", b"something else");
    update(&stage, &home).exits(4).says("its SHA-512");
    stage.write(".tool-versions", "elixir 1.13.0-otp-25\n");
    update(&stage, &home).exits(3).says("has no Hex for Elixir 1.13.0 otp 25");
    assert!(!stage.project.join("hexmirror.lock").exists());
    assert!(!stage.paths().iter().any(|path| path.starts_with("files/")));
    stage.run_with(&["status"], &[("HEXMIRROR_TOOLS", "off")]).ok();
    stage.run(&["update", "--no-tools"]).ok();
    assert!(!stage.project.join("hexmirror.lock").exists());
    stage.run(&["tools", "install"]).exits(1).says("not installed: Hex and rebar3 for Elixir 1.13.0 otp 25");
    let off = [("HEXMIRROR_TOOLS", "off")];
    stage.run_with(&["tools", "install"], &off).exits(2).says("no hexmirror.lock pins tools");
}

#[test]
fn tools_are_installed_without_a_server() {
    let (stage, home) = offered();
    update(&stage, &home).ok();
    let to = stage.sandbox.path().join("to");
    let mix_home = [("MIX_HOME", home.to_str().unwrap())];
    let install =
        |variables: &[(&str, &str)]| stage.run_with(&["tools", "install", "--to", to.to_str().unwrap()], variables);
    // Elixir's key did not sign this list.
    install(&[]).exits(4).says("neither Elixir's key");
    assert!(!to.exists());
    let old = to.join("mix/archives/hex-1.9.0/hex-1.9.0/ebin");
    fs::create_dir_all(&old).unwrap();
    fs::create_dir_all(to.join("mix/archives/hexagon-1.0.0")).unwrap();
    install(&mix_home).ok().says("installed");
    let mix = to.join("mix");
    assert_eq!(fs::read(mix.join("elixir/1-14/rebar3")).unwrap(), REBAR3);
    assert_eq!(fs::read(mix.join("archives/hex-2.0.0/hex-2.0.0/ebin/x")).unwrap(), b"");
    assert!(!old.exists() && mix.join("archives/hexagon-1.0.0").exists());
    install(&mix_home).ok().says("up to date");

    // The same files as mix writes, to the same places.
    stage.run_with(&["tools", "install"], &mix_home).ok();
    if runs(&stage, "mix", &["--version"], &[]) {
        let other = stage.sandbox.path().join("other");
        fs::create_dir_all(other.join("public_keys")).unwrap();
        fs::copy(home.join("public_keys/test.pem"), other.join("public_keys/test.pem")).unwrap();
        for task in ["local.hex", "local.rebar"] {
            let mut command = offline(&stage, "project", &["run", "--", "mix", task, "--force"]);
            Ran::of(command.env("MIX_HOME", &other)).ok();
        }
        assert_eq!(files(&home), files(&other));
    } else {
        eprintln!("skipped: there is no mix");
    }
}

#[test]
fn the_command_that_an_error_names_helps() {
    let (stage, home) = offered();
    let without = stage.git(&["rev-parse", "hexmirror"]);
    update(&stage, &home).ok();
    let lock = fs::read_to_string(stage.project.join("hexmirror.lock")).unwrap();
    let (base, mix_home) = (stage.upstream.url(), home.to_str().unwrap());
    let run = |arguments: &[&str]| stage.run_with(arguments, &[("HEX_BUILDS_URL", &base), ("MIX_HOME", mix_home)]);
    let install = || run(&["tools", "install"]);
    install().ok();
    // A lock that lacks an installer.
    let at = lock.find(" installs/1.14.0/rebar3-3.20.0 ").unwrap();
    let rest = &lock[at + " installs/1.14.0/rebar3-3.20.0 ".len() + 64..];
    stage.write("hexmirror.lock", &(lock[..at].to_owned() + rest));
    install().exits(1).says("no hexmirror.lock pins them").says("run `git hexmirror update`");
    run(&["update"]).ok();
    install().ok();
    // One that does not pin what its list chooses.
    stage.upstream.put("installs/1.14.0/rebar3-3.19.0", REBAR3);
    stage.write("hexmirror.lock", &lock.replace("/rebar3-3.20.0 ", "/rebar3-3.19.0 "));
    install().exits(1).says("no hexmirror.lock pins installs/1.14.0/rebar3-3.20.0").says("update --refresh");
    run(&["update", "--refresh"]).ok();
    install().ok();
    assert_eq!(fs::read_to_string(stage.project.join("hexmirror.lock")).unwrap(), lock);
    // One that pins versions for which its list has nothing.
    stage.write("hexmirror.lock", &lock.replace("elixir 1.14.0", "elixir 1.13.0"));
    install().exits(3).says("has no rebar3 for Elixir 1.13.0").says("remove their line from hexmirror.lock");
    fs::remove_file(stage.project.join("hexmirror.lock")).unwrap();
    run(&["update"]).ok();
    install().ok();
    // A mirror without the files.
    stage.git(&["branch", "--quiet", "--move", "hexmirror", "away"]);
    stage.git(&["branch", "--quiet", "hexmirror", without.trim()]);
    install().exits(1).says("the mirror does not have installs/").says("run `git hexmirror update`");
    run(&["update"]).ok();
    install().ok();
    // Something else as Hex, which a signed list names.
    publish(&stage, "hex-1.x.csv", "1.14.0/hex-2.0.1.ez", b"no archive", key());
    run(&["update", "--refresh"]).ok();
    install().exits(4).says("cannot unpack Hex").says("update --refresh");
    publish(&stage, "hex-1.x.csv", "1.14.0/hex-2.0.2.ez", ARCHIVE, key());
    run(&["update", "--refresh"]).ok();
    install().ok();
    // Something else where a program belongs.
    let rebar3 = home.join("elixir/1-14/rebar3");
    fs::remove_file(&rebar3).unwrap();
    fs::create_dir(&rebar3).unwrap();
    install().exits(5).says("cannot write").says("move it away");
    fs::remove_dir(&rebar3).unwrap();
    install().ok();
    // A list that a key signed which is no longer trusted.
    fs::remove_file(home.join("public_keys/test.pem")).unwrap();
    install().exits(4).says("neither Elixir's key").says("MIX_HOME/public_keys");
    fs::write(home.join("public_keys/test.pem"), key().public_key().to_pem()).unwrap();
    install().ok();
}

#[test]
fn versions_that_are_not_there_are_told_which_are() {
    let (stage, home) = offered();
    update(&stage, &home).ok();
    let serving = Serving::start(&mut stage.command(&["serve", "--listen", "127.0.0.1:0"]));
    let answer = get(serving.authority(), "/installs/hex.csv");
    let text = String::from_utf8(answer.body).unwrap();
    assert!(answer.status == 404 && text.contains("for Elixir 1.14.0 otp 25;"), "{text}");
    drop(serving);

    // A list that upstream no longer has, and a mirror that was lost.
    publish(&stage, "hex-1.x.csv", "1.14.0/hex-2.0.1.ez", ARCHIVE, key());
    stage.git(&["update-ref", "-d", "refs/heads/hexmirror"]);
    update(&stage, &home).exits(4).says("update --refresh");
}
