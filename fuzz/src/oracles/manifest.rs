//! A manifest has one canonical form, and git can read the repositories that it describes.

use std::collections::BTreeMap;

use git_hexmirror::model::{GitContent, GitName, Manifest, ReleaseId, Revision, StoredGit, StoredRevision};
use gix::bstr::ByteSlice;
use gix::refs::packed;

use super::Input;
use super::model::{check_address, check_release};

/// The maximum number of lines that are sorted into a manifest.
const MAX_LINES: usize = 64;

/// Arbitrary text as a manifest, and its valid lines as a sorted manifest.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    check(text);
    let alone = |line: &&str| format!("{line}\n").parse::<Manifest>().is_ok();
    let mut lines: Vec<&str> = text.lines().take(MAX_LINES).collect();
    lines.retain(|line| line.starts_with("submodule ") || alone(line));
    lines.sort_unstable();
    lines.dedup();
    check(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
}

fn check(text: &str) {
    let Ok(manifest) = text.parse::<Manifest>() else { return };
    assert_eq!(manifest.to_string(), text);
    for id in manifest.releases.keys() {
        check_release(id);
        assert!(text.contains(&Manifest::release_line(id)));
    }
    for id in manifest.entries.keys().chain(&manifest.absent) {
        check_release(&ReleaseId {
            repository: id.repository.clone(),
            package: id.package.clone(),
            version: "1.0.0".parse().expect("a version"),
        });
    }
    for (address, stored) in &manifest.git {
        check_address(address);
        check_repository(stored);
    }
}

/// A repository of a few revisions, each with a few names.
pub fn packed_refs(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut stored = StoredGit::default();
    for _ in 0..=input.byte() % 4 {
        let revision: Revision = [input.byte(); 20].map(|byte| format!("{byte:02x}")).concat().parse().expect("digits");
        stored.revisions.insert(revision, StoredRevision::default());
        for _ in 0..input.byte() % 4 {
            let name = match (input.byte() % 3, input.text()) {
                (0, _) => Ok(GitName::Head),
                (1, name) => GitName::branch(&name),
                (_, name) => GitName::tag(&name),
            };
            if let Ok(name) = name {
                stored.set_name(revision, &name);
            }
        }
    }
    check_repository(&stored);
}

/// Asserts that git finds in a repository's files what the manifest records.
pub fn check_repository(stored: &StoredGit) {
    let files: BTreeMap<&str, String> = stored.files().into_iter().collect();
    let refs = stored.refs();
    let packed =
        packed::Iter::new(files["packed-refs"].as_bytes(), gix::hash::Kind::Sha1).expect("gix reads the header");
    let mut found = Vec::new();
    for reference in packed {
        let reference = reference.expect("gix reads each line");
        found.push((reference.name.as_bstr().to_string(), reference.target().to_string()));
    }
    let expected: Vec<_> = refs.iter().map(|(name, revision)| (name.clone(), revision.to_string())).collect();
    assert_eq!(found, expected, "the same refs, sorted");
    let info: Vec<_> = files["info/refs"].lines().filter_map(|line| line.split_once('\t')).collect();
    assert!(info.iter().map(|(id, name)| (*name, *id)).eq(expected.iter().map(|(name, id)| (&name[..], &id[..]))));
    for (name, _) in &expected {
        let judged = gix::validate::reference::name(name.as_bytes().as_bstr());
        assert!(judged.is_ok(), "git refuses {name:?}: {judged:?}");
        assert!(name.split('/').all(|part| part.len() + ".lock".len() <= 255), "{name:?} is no file's name");
        let folder = format!("{name}/");
        assert!(!refs.keys().any(|other| other.starts_with(&folder)), "{name:?} is a file and a folder");
    }
    for revision in stored.revisions.keys() {
        assert!(refs.values().any(|target| target == revision), "{revision} is on no branch");
    }
    let head = files["HEAD"].strip_prefix("ref: ").and_then(|rest| rest.strip_suffix('\n')).expect("a symbolic ref");
    assert!(stored.revisions.is_empty() || refs.contains_key(head), "HEAD stands on {head:?}");
    let contents = files.iter().map(|(path, text)| ((*path).to_owned(), GitContent::Text(text.clone()))).collect();
    assert!(
        stored.packs.is_empty()
            != stored.differing_files(&contents).iter().any(|path| path.starts_with("objects/pack/"))
    );
}
