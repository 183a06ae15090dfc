//! Tarballs published on hex.pm: each is unpacked and rebuilt byte for byte.

use std::collections::BTreeMap;

use crate::support::data::real_input;
use git_hexmirror::hex::gzip;
use git_hexmirror::hex::metadata::Metadata;
use git_hexmirror::hex::recipe::{self, Recipe};
use git_hexmirror::hex::registry::{Dependency, Package, Signed};
use git_hexmirror::hex::tarball::{Tarball, TarballLimits, outer_checksum};
use git_hexmirror::model::RepositoryName;
use git_hexmirror::plan::{changelog_between, is_changelog};

#[test]
fn all_of_the_sample_are_stored_unpacked_and_rebuild() {
    let Some(folder) = real_input("sample/.hex_repo/tarballs") else { return };
    let lock = std::fs::read_to_string(folder.join("../../mix.lock")).unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().display().to_string();
        let text = check(&name, &bytes, &lock);
        assert!(text.len() < 1000, "{name}: a recipe is short\n{text}");
        count += 1;
    }
    assert_eq!(count, 32);
}

#[test]
fn metadata_says_what_the_registry_over_the_sample_says() {
    let Some(folder) = real_input("sample/.hex_repo") else { return };
    let mut dependencies = 0;
    for entry in std::fs::read_dir(folder.join("tarballs")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let tarball = Tarball::open(&bytes, &TarballLimits::default()).unwrap();
        let metadata = Metadata::parse(tarball.metadata()).unwrap();
        assert!(path.ends_with(format!("{}-{}.tar", metadata.name, metadata.version)), "{}", path.display());
        assert!(!metadata.files.is_empty() && !metadata.build_tools.is_empty() && !metadata.licenses.is_empty());

        let entry = std::fs::read(folder.join("packages").join(metadata.name.as_str())).unwrap();
        let signed = Signed::decode(&gzip::gunzip(&entry, 1 << 20).unwrap()).unwrap();
        let package = Package::decode(signed.unverified_payload(), &RepositoryName::hexpm(), &metadata.name).unwrap();
        let release = package.release(&metadata.version).unwrap();
        assert_eq!(release.outer_checksum, Some(tarball.outer_checksum()));
        assert_eq!(release.inner_checksum, tarball.inner_checksum());
        let shown = |dependencies: &[Dependency]| {
            let mut shown: Vec<_> = dependencies
                .iter()
                .map(|it| {
                    let app = it.app.clone().filter(|app| app != it.package.as_str());
                    (it.package.clone(), it.requirement.clone(), it.optional, app)
                })
                .collect();
            shown.sort();
            shown
        };
        assert_eq!(shown(&metadata.requirements), shown(&release.dependencies), "{}", metadata.name);
        dependencies += metadata.requirements.len();
    }
    assert!(dependencies > 30, "{dependencies}");
}

#[test]
fn a_tarball_of_a_gleam_package_rebuilds() {
    let Some(path) = real_input("hexpm-signed/gleam_stdlib-0.14.0.tar") else { return };
    let bytes = std::fs::read(path).unwrap();
    let outer = outer_checksum(&bytes).to_string();
    let inner = Tarball::open(&bytes, &TarballLimits::default()).unwrap().inner_checksum();
    let text = check("gleam_stdlib", &bytes, &format!("{outer} {inner}"));
    assert_eq!(text, "hex-recipe 1\ninner mode=100666\nfiles metadata\nmode=100644 src/gleam_stdlib.app.src\n");
}

#[test]
fn the_changelogs_of_the_sample_have_a_section_about_their_version() {
    let Some(folder) = real_input("sample/.hex_repo/tarballs") else { return };
    let (mut with_changelog, mut without_section) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let tarball = Tarball::open(&bytes, &TarballLimits::default()).unwrap();
        let metadata = Metadata::parse(tarball.metadata()).unwrap();
        let files = tarball.root_files(&TarballLimits::default(), is_changelog).unwrap();
        let Some(text) = files.values().next() else { continue };
        with_changelog += 1;
        let before = "0.0.0-0".parse().unwrap();
        let text = String::from_utf8_lossy(text);
        let excerpt = changelog_between(&text, &before, &metadata.version);
        let version = metadata.version.to_string();
        if !excerpt.is_some_and(|excerpt| excerpt.text.contains(version.trim_end_matches(".0"))) {
            without_section.push(format!("{} {version}", metadata.name));
        }
    }
    without_section.sort();
    // This release has nothing about itself in its changelog.
    assert_eq!((with_changelog, without_section), (21, vec!["plug_crypto 1.2.2".to_owned()]));
}

/// Unpacks a tarball, rebuilds it from what a store would hold, compares, and returns the recipe's text.
fn check(name: &str, bytes: &[u8], lock: &str) -> String {
    let tarball = Tarball::open(bytes, &TarballLimits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(lock.contains(&tarball.outer_checksum().to_string()), "{name}");
    assert!(lock.contains(&tarball.inner_checksum().to_string()), "{name}");
    let unpacked =
        recipe::unpack(&tarball, &TarballLimits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));

    // From here on, only use what a store would hold: the recipe's text, metadata.config, the files.
    let text = unpacked.recipe().to_string();
    let files: BTreeMap<String, Vec<u8>> =
        unpacked.files().iter().map(|file| (file.path.clone(), unpacked.bytes(file).to_vec())).collect();
    let (metadata, outer) = (tarball.metadata().to_vec(), tarball.outer_checksum());
    let recipe: Recipe = text.parse().unwrap();
    let read = |path: &str| files.get(path).ok_or_else(|| "no such file".into());
    let rebuilt = recipe::rebuild(&recipe, &metadata, read, &TarballLimits::default()).unwrap();
    assert!(rebuilt == bytes, "{name}");
    assert_eq!(outer_checksum(&rebuilt), outer, "{name}");
    text
}
