//! The program accepts what Hex's own client accepts and rejects what it rejects. Without Hex, the client's part is
//! skipped, with a message, and the recorded verdicts are used.

mod install;
mod odd;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use git_hexmirror::hex::recipe::{self, UnpackError};
use git_hexmirror::hex::tarball::{Tarball, TarballError, TarballLimits};
use odd::Odd;

/// Tarballs, by the prefixes of their names, that the client unpacks but the program rejects: they would do harm if
/// another program unpacked them.
const HOSTILE: [&str; 7] =
    ["name |absolute", "name a|..|b", "name a\\..\\..\\b", "prefix |pre", "type 33", "type 34", "type 36"];
/// Tarballs that the client rejects but the program stores: they do no harm, and the client decides whether they are
/// usable.
const HARMLESS: [&str; 3] = ["metadata", "a file and a folder", "a folder and a file"];

/// Returns the folder with Hex's compiled modules. `None`, with a message, if there is none.
fn hex_modules() -> Option<PathBuf> {
    let mix_home = std::env::var_os("HEXMIRROR_TEST_MIX_HOME").or_else(|| std::env::var_os("MIX_HOME"));
    let mix_home = mix_home.map_or_else(|| std::env::home_dir().unwrap_or_default().join(".mix"), PathBuf::from);
    let archives = walkdir::WalkDir::new(mix_home.join("archives")).max_depth(4).into_iter().filter_map(Result::ok);
    let found = archives.map(walkdir::DirEntry::into_path).find(|path| path.ends_with("mix_hex_tarball.beam"));
    if found.is_none() || Command::new("elixir").arg("--version").output().is_err() {
        eprintln!("skipped: there is no mix with Hex (set HEXMIRROR_TEST_MIX_HOME)");
        return None;
    }
    found.and_then(|path| Some(path.parent()?.to_owned()))
}

/// Returns whether the client accepts each tarball, and its message.
fn ask_client(modules: &Path, all: &[Odd]) -> BTreeMap<String, (bool, String)> {
    let folder = tempfile::tempdir().unwrap();
    let (tarballs, unpacked) = (folder.path().join("tarballs"), folder.path().join("unpacked"));
    fs::create_dir(&tarballs).unwrap();
    fs::create_dir(&unpacked).unwrap();
    for odd in all {
        fs::write(tarballs.join(&odd.name), &odd.tarball).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/hex_client/oracle.exs");
    let mut command = Command::new("elixir");
    command.arg("-pa").arg(modules).args([&script, &tarballs, &unpacked]).current_dir(folder.path());
    let output = command.env("LC_ALL", "C.UTF-8").env("HOME", folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let fields = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    fields.map(|fields| (fields[0].to_owned(), (fields[1] == "true", fields[2].to_owned()))).collect()
}

/// Returns whether a tarball is stored, unpacked or as a whole.
fn is_stored(tarball: &[u8]) -> Result<(), TarballError> {
    let limits = TarballLimits::default();
    match recipe::unpack(&Tarball::open(tarball, &limits)?, &limits) {
        Ok(_) | Err(UnpackError::NotReproducible { .. }) => Ok(()),
        Err(UnpackError::Refused(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn odd_tarballs_are_judged_as_the_client_judges_them() {
    let all = odd::all();
    let begins = |name: &str, list: &[&str]| list.iter().any(|begin| name.starts_with(begin));
    let mut wrong = Vec::new();
    for Odd { name, tarball, accepted } in &all {
        let expected = (*accepted && !begins(name, &HOSTILE)) || (!*accepted && begins(name, &HARMLESS));
        let ours = is_stored(tarball);
        if ours.is_ok() != expected {
            wrong.push(format!("{name}: {ours:?}, but {expected} is expected"));
        }
    }
    if let Some(modules) = hex_modules() {
        let answers = ask_client(&modules, &all);
        assert_eq!(answers.len(), all.len(), "two have the same name");
        for Odd { name, accepted, .. } in &all {
            let (theirs, said) = &answers[name];
            if theirs != accepted {
                wrong.push(format!("{name}: the client says {theirs} {said}, not {accepted}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}
