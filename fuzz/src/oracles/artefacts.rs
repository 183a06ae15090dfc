//! Names, lists and addresses of precompiled files, and the machines that they are for.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use git_hexmirror::hex::artefacts::{ArtefactName, ChecksumMap, MAX_NEEDED, PackageTexts, addresses, needed};
use git_hexmirror::model::{NifVersion, Platform, Target};
use git_hexmirror::term::elixir;

use super::model::check_tree_path;

/// The name of a file whose addresses are searched for.
const FILE: &str = "x-nif-2.16-x86_64-linux-gnu-1.0.0.tar.gz";

/// The text as a name, a machine, a list and the code of a package.
pub fn artefacts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    read_back::<Platform>(text);
    read_back::<NifVersion>(text);
    read_back::<Target>(text);
    text.lines().for_each(check_name);
    for file in ["checksum.exs", "checksum-Elixir.X.exs", "checksum.txt"] {
        let Ok(Some(map)) = ChecksumMap::parse(file, bytes) else { continue };
        assert!(file == "checksum.txt" || elixir::parse(text).is_ok(), "a list is one literal");
        for artefact in &map.artefacts {
            assert!(text.contains(artefact.name.as_str()) || text.contains('\\'), "{} is in the list", artefact.name);
            check_name(artefact.name.as_str());
        }
        let target: Target = "x86_64-linux-gnu nif 2.16".parse().expect("a target");
        let version = "1.0.0".parse().expect("a version");
        let needed = needed(&map, &version, &target);
        assert!(needed.iter().all(|one| map.artefacts.contains(one)) && MAX_NEEDED > 0);
    }
    let mut texts = PackageTexts { code: Vec::new(), links: text.lines().map(str::to_owned).collect() };
    texts.add(bytes);
    let found = addresses(&texts, None, &[&"1.0.0".parse().expect("a version")], FILE);
    assert!(found.len() <= 6);
    for address in found {
        assert!(address.download_path().as_str().contains(FILE), "{address}");
    }
}

/// Checks that a name is that of a file in one of the folders of clients.
fn check_name(text: &str) {
    let Some(name) = ArtefactName::parse(text) else { return };
    assert_eq!(ArtefactName::parse(name.as_str()).as_ref(), Some(&name));
    assert!(!text.contains('/'), "{text}");
    check_tree_path(name.as_str());
    let path = name.path_in_cache();
    assert!(path.split('/').all(|part| !part.is_empty() && part != "." && part != ".."), "{path}");
}

fn read_back<T: FromStr<Err: Debug> + Display + Debug + PartialEq>(text: &str) {
    let Ok(value) = text.parse::<T>() else { return };
    let shown = value.to_string();
    assert!(shown.parse::<T>().is_ok_and(|again| again == value), "{text:?} displays as {shown:?}");
}
