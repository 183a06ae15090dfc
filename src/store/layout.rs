//! Where things are in the branch's tree.
//!
//! ```text
//! README.md                                    one screen for whoever finds the branch
//! mirror.toml                                  the format's number; the day of the last refresh
//! manifest/<part>                              see `model::ManifestPart`
//! hex/<repository>/packages/<shard>/<name>/    contents/…  metadata.config  recipe      (or: tarball)
//!                   … /<name>@<version>/       the same, for releases below the highest
//! hex/<repository>/registry/<shard>/<name>     the signed message, as upstream gave it before gzip
//! hex/<repository>/registry/policies/<name>    a policy, as signed
//! hex/<repository>/index/                      the pinned index: public_key, names, versions
//! hex/<repository>/index/packages/<shard>/<name>   its entries
//! files/<shard>/<SHA-256>                      a file; a folder of its pieces if it is above 95 MB
//! docs/<repository>/<shard>/<name>/            documentation:  contents/…  recipe   (if no recipe rebuilds it: a file)
//!                   … /<name>@<version>@<SHA-256>/   the same, for versions below the highest
//! git/<host>/<path>.git/                       a bare repository: HEAD, packed-refs, info/refs, objects/info/packs,
//!                                              objects/pack/*, and shallow where an ancestry is not full
//! ```
//!
//! Up to format 2, there were no shards, and the manifest was one file.

use std::collections::BTreeMap;

use crate::model::{
    Day, EntryId, FileChecksum, FileId, IndexFile, Manifest, ManifestPart, PackageName, PolicyId, ReleaseId,
    RepositoryName, Shard,
};

/// The format version that this program writes. Format 2 added the signers of repositories to the manifest, format 3
/// divided it, and the folders of packages and registry entries, into shards.
pub const FORMAT: u32 = 3;
/// The oldest format version that this program reads.
pub const OLDEST_FORMAT: u32 = 1;

/// The path of the manifest's folder. Up to format 2, it was the manifest itself.
pub const MANIFEST: &str = "manifest";
/// The path of the file that marks a tree as a mirror.
pub const MIRROR: &str = "mirror.toml";
/// The path of the file that explains the branch to people.
pub const README: &str = "README.md";

/// The folder with the package's files, in a release's folder.
pub const CONTENTS: &str = "contents";
/// The file with the package's metadata as published, in a release's folder.
pub const METADATA: &str = "metadata.config";
/// The file that describes how to rebuild the tarball, in a release's folder.
pub const RECIPE: &str = "recipe";
/// The file with the tarball itself, in the folder of a release that cannot be rebuilt.
pub const TARBALL: &str = "tarball";

/// The content of `README.md`.
pub const README_TEXT: &str = "\
# Mirror of this project's dependencies

git-hexmirror maintains this branch. It contains every package and git repository that the project's lock files pin, so a
clone can be built without any other network: `git hexmirror run -- mix deps.get`.

The branch has no history in common with the project's other branches and is never merged into them. Do not edit it by
hand.

- `manifest/`: one line for each stored item, with its checksum.
- `hex/REPOSITORY/packages/XX/NAME`: a release, unpacked, with the recipe that rebuilds the published tarball byte for
  byte. Lower versions are beside it as `NAME@VERSION`. `XX` is the first two digits of the name's SHA-256 (`printf NAME
  | sha256sum`), which keeps folders small.
- `hex/REPOSITORY/registry/XX/NAME`: the registry entry of a package, as the repository signed it.
- `hex/REPOSITORY/registry/policies/NAME`: a policy, as the repository signed it.
- `hex/REPOSITORY/index`: the pinned index, which lists only what is stored here, signed with a key of this mirror.
- `files/XX/SHA-256`: the content of a file that is neither a package nor a git repository. `manifest/files` says at which
  paths clients find it. A large one is a folder of pieces.
- `docs/REPOSITORY/XX/NAME`: the documentation of a release, unpacked, with the recipe that rebuilds the published file.
- `git/HOST/PATH.git`: a bare git repository with the pinned revisions and their ancestry.

`git hexmirror verify` checks every byte. The log of this branch lists what each update changed.
";

/// The content of `mirror.toml`. Other keys are ignored, so that later versions can add some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MirrorFile {
    /// The format's number.
    pub format: u32,
    /// The day when upstream was last asked for all registry entries, if that is known and valid.
    pub refreshed: Option<Day>,
}

impl MirrorFile {
    /// Parses the file. `None` if it has no format number.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Text {
            format: u32,
            // An invalid day must not make the mirror unreadable.
            refreshed: Option<toml::Value>,
        }
        let Text { format, refreshed } = toml::from_str(std::str::from_utf8(bytes).ok()?).ok()?;
        let refreshed = refreshed.and_then(|value| value.as_datetime()?.to_string().parse().ok());
        Some(Self { format, refreshed })
    }

    /// Returns the text of the file in the current format.
    pub fn text(refreshed: Option<Day>) -> String {
        let refreshed = refreshed.map_or_else(String::new, |day| format!("refreshed = {day}\n"));
        format!("# Written by git-hexmirror.\nformat = {FORMAT}\n{refreshed}")
    }
}

/// How a format arranges packages and registry entries in folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// All in one folder, with the manifest in one file: formats 1 and 2.
    Flat,
    /// In a folder for each shard: format 3.
    Sharded,
}

impl Layout {
    /// Returns the layout of a format.
    pub fn of_format(format: u32) -> Self {
        if format < 3 { Self::Flat } else { Self::Sharded }
    }

    /// Returns the folder of a release, which depends on whether the release is its package's highest in the manifest.
    pub fn release_path(self, manifest: &Manifest, id: &ReleaseId) -> String {
        let stable = format!("hex/{}/packages/{}{}", id.repository, self.shard(&id.package), id.package);
        if manifest.is_highest(id) { stable } else { format!("{stable}@{}", id.version) }
    }

    /// Returns the path of a registry entry.
    pub fn entry_path(self, id: &EntryId) -> String {
        format!("hex/{}/registry/{}{}", id.repository, self.shard(&id.package), id.package)
    }

    /// Returns the path of a file of a repository's pinned index.
    pub fn index_path(self, repository: &RepositoryName, file: &IndexFile) -> String {
        let folder = index_folder(repository);
        match file {
            IndexFile::Package(name) => format!("{folder}/packages/{}{name}", self.shard(name)),
            file => format!("{folder}/{file}"),
        }
    }

    fn shard(self, package: &PackageName) -> String {
        match self {
            Self::Flat => String::new(),
            Self::Sharded => format!("{}/", Shard::of(package)),
        }
    }
}

/// Returns the folder of a release in the current layout.
pub fn release_path(manifest: &Manifest, id: &ReleaseId) -> String {
    Layout::Sharded.release_path(manifest, id)
}

/// Returns the path of a registry entry in the current layout.
pub fn entry_path(id: &EntryId) -> String {
    Layout::Sharded.entry_path(id)
}

/// Returns the path of a policy. No shard has the name of its folder.
pub fn policy_path(id: &PolicyId) -> String {
    format!("hex/{}/registry/policies/{}", id.repository, id.name)
}

/// Returns the path of a file's content.
pub fn file_path(checksum: &FileChecksum) -> String {
    let name = checksum.to_string();
    format!("files/{}/{name}", &name[..2])
}

/// Returns the folders of the unpacked documentation in a manifest. The highest version of a package has a path without its version,
/// so that git finds the files of the next version similar.
pub fn docs_paths(manifest: &Manifest) -> BTreeMap<&FileId, String> {
    let mut packages: BTreeMap<EntryId, Vec<_>> = BTreeMap::new();
    for (id, stored) in manifest.files.iter().filter(|(_, stored)| stored.is_unpacked) {
        if let Some(release) = id.path.docs_release() {
            let place = (release.version.clone(), stored.trust, id.checksum, id);
            packages.entry(release.entry()).or_default().push(place);
        }
    }
    let mut paths = BTreeMap::new();
    for (EntryId { repository, package }, mut versions) in packages {
        let stable = format!("docs/{repository}/{}/{package}", Shard::of(&package));
        versions.sort();
        let highest = versions.pop();
        let lower = versions.into_iter();
        paths.extend(lower.map(|(version, _, checksum, id)| (id, format!("{stable}@{version}@{checksum}"))));
        paths.extend(highest.map(|(.., id)| (id, stable)));
    }
    paths
}

/// Returns the path of a part of the manifest.
pub fn part_path(part: ManifestPart) -> String {
    format!("{MANIFEST}/{part}")
}

/// Returns the folder of a repository's pinned index.
pub fn index_folder(repository: &RepositoryName) -> String {
    format!("hex/{repository}/index")
}

/// Returns the path of a file of a repository's pinned index in the current layout.
pub fn index_path(repository: &RepositoryName, file: &IndexFile) -> String {
    Layout::Sharded.index_path(repository, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_package_depends_on_its_name_alone() {
        let id: ReleaseId = ReleaseId {
            repository: "hexpm:acme".parse().unwrap(),
            package: "alpha".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
        };
        assert_eq!(release_path(&Manifest::default(), &id), "hex/hexpm:acme/packages/8e/alpha@1.0.0");
        assert_eq!(entry_path(&id.entry()), "hex/hexpm:acme/registry/8e/alpha");
        assert_eq!(Layout::of_format(2).entry_path(&id.entry()), "hex/hexpm:acme/registry/alpha");
        assert_eq!(Layout::of_format(FORMAT), Layout::Sharded);
    }

    #[test]
    fn the_highest_documentation_of_a_package_has_a_path_without_its_version() {
        let line = |path: &str, digit: &str, form: &str| {
            format!("file {path} {} 7 first-use:2026-11-28 https://repo.hex.pm/{path}{form}\n", digit.repeat(64))
        };
        let text = line("docs/alpha-1.10.0.tar.gz", "1", " unpacked")
            + &line("docs/alpha-1.9.0.tar.gz", "2", " unpacked")
            + &line("docs/beta-1.0.0.tar.gz", "3", "")
            + &line("repos/acme/docs/alpha-1.0.0.tar.gz", "4", " unpacked");
        let manifest: Manifest = text.parse().unwrap();
        let paths: Vec<(String, String)> =
            docs_paths(&manifest).into_iter().map(|(id, path)| (id.to_string(), path)).collect();
        let expected = [
            ("docs/alpha-1.10.0.tar.gz", "docs/hexpm/8e/alpha".to_owned()),
            ("docs/alpha-1.9.0.tar.gz", format!("docs/hexpm/8e/alpha@1.9.0@{}", "2".repeat(64))),
            ("repos/acme/docs/alpha-1.0.0.tar.gz", "docs/hexpm:acme/8e/alpha".to_owned()),
        ];
        assert_eq!(paths, expected.map(|(file, path)| (file.to_owned(), path)));
        assert_eq!(manifest.to_string(), text);
    }

    #[test]
    fn the_day_of_the_last_refresh_is_read_back_and_a_wrong_one_is_ignored() {
        let day: Day = "2026-11-28".parse().unwrap();
        for refreshed in [None, Some(day)] {
            let text = MirrorFile::text(refreshed);
            assert_eq!(MirrorFile::parse(text.as_bytes()), Some(MirrorFile { format: FORMAT, refreshed }));
        }
        assert_eq!(MirrorFile::text(None), "# Written by git-hexmirror.\nformat = 3\n");
        for wrong in ["'2026-11-28'", "2026-11-28T10:00:00Z", "10:00:00", "1", "[]", "{ year = 1 }"] {
            let file = MirrorFile::parse(format!("format = 3\nrefreshed = {wrong}\nother = 1\n").as_bytes());
            assert_eq!(file, Some(MirrorFile { format: 3, refreshed: None }), "{wrong}");
        }
        for wrong in [
            &b"refreshed = 2026-11-28\n"[..],
            b"format = 'x'",
            b"format = -1",
            b"\xff",
            b"format = 3\nrefreshed = 2026-13-28",
        ] {
            assert_eq!(MirrorFile::parse(wrong), None);
        }
    }

    /// The most entries that forges recommend in a folder.
    const MAX_ENTRIES: usize = 3000;

    fn paths(package: &PackageName) -> [String; 4] {
        let (repository, package) = (RepositoryName::hexpm(), package.clone());
        let id = ReleaseId { repository, package, version: "1.0.0".parse().unwrap() };
        let file = IndexFile::Package(id.package.clone());
        let part = part_path(ManifestPart::of(&id.package));
        [release_path(&Manifest::default(), &id), entry_path(&id.entry()), index_path(&id.repository, &file), part]
    }

    #[test]
    fn no_folder_becomes_too_large() {
        let mut entries = std::collections::HashMap::<String, std::collections::HashSet<String>>::new();
        for number in 0..20_000 {
            for path in paths(&format!("phoenix_live_{number}").parse().unwrap()) {
                for (at, _) in path.match_indices('/') {
                    let (folder, below) = (&path[..at], &path[at + 1..]);
                    let entry = below.split('/').next().unwrap_or_default();
                    entries.entry(folder.to_owned()).or_default().insert(entry.to_owned());
                }
            }
        }
        let largest = entries.values().map(std::collections::HashSet::len).max();
        assert!(largest.is_some_and(|largest| largest <= MAX_ENTRIES), "{largest:?}");
    }

    proptest::proptest! {
        #[test]
        fn paths_are_valid_stable_and_name_their_package(name in "[a-zA-Z0-9_][a-zA-Z0-9_-]{0,119}") {
            let package: PackageName = name.parse().unwrap();
            let [release, entry, index, part] = paths(&package);
            let shard = part.strip_prefix("manifest/").unwrap();
            assert_eq!(release, format!("hex/hexpm/packages/{shard}/{name}@1.0.0"));
            assert_eq!(entry, format!("hex/hexpm/registry/{shard}/{name}"));
            assert_eq!(index, format!("hex/hexpm/index/packages/{shard}/{name}"));
            for component in [&release, &entry, &index, &part].iter().flat_map(|path| path.split('/')) {
                assert!(gix::validate::path::component(component.into(), None, Default::default()).is_ok(), "{component}");
            }
        }
    }
}
