//! Tarballs that hex.pm published: each is taken apart and rebuilt byte for byte.

use std::collections::BTreeMap;
use std::path::PathBuf;

use git_hexmirror::hex::recipe::{self, Recipe, UnpackError};
use git_hexmirror::hex::tarball::{Limits, Tarball, outer_checksum};

/// Finds the folder with real input, or says that the test is skipped.
fn data(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("HEXMIRROR_TEST_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from);
    let path = folder.join(path);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn all_of_the_sample_are_stored_unpacked_and_rebuild() {
    let Some(folder) = data("sample/.hex_repo/tarballs") else { return };
    let lock = std::fs::read_to_string(folder.join("../../mix.lock")).unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().display().to_string();
        let tarball = Tarball::open(&bytes, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(lock.contains(&tarball.outer_checksum().to_string()), "{name}");
        assert!(lock.contains(&tarball.inner_checksum().to_string()), "{name}");
        let unpacked = recipe::unpack(&tarball, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));

        // From here on only what a store would hold: the recipe's text, metadata.config, the files.
        let text = unpacked.recipe().to_string();
        let files: BTreeMap<String, Vec<u8>> =
            unpacked.files().iter().map(|file| (file.path.clone(), unpacked.bytes(file).to_vec())).collect();
        let (metadata, outer) = (tarball.metadata().to_vec(), tarball.outer_checksum());
        let recipe: Recipe = text.parse().unwrap();
        let read = |path: &str| files.get(path).ok_or_else(|| "no such file".into());
        let rebuilt = recipe::rebuild(&recipe, &metadata, read, &Limits::default()).unwrap();
        assert!(rebuilt == bytes, "{name}");
        assert_eq!(outer_checksum(&rebuilt), outer, "{name}");
        assert!(text.len() < 1000, "{name}: a recipe is short\n{text}");
        count += 1;
    }
    assert_eq!(count, 32);
}

#[test]
fn what_gleam_published_is_sound_but_not_reproducible() {
    let Some(path) = data("hexpm-signed/gleam_stdlib-0.14.0.tar") else { return };
    let bytes = std::fs::read(path).unwrap();
    let tarball = Tarball::open(&bytes, &Limits::default()).unwrap();
    match recipe::unpack(&tarball, &Limits::default()) {
        Err(UnpackError::NotReproducible { reason }) => assert_eq!(reason, "contents.tar.gz comes out differently"),
        other => panic!("{other:?}"),
    }
}
