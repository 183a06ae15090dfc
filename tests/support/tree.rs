//! Paths in the tree of the mirror branch, and trees of older formats.

use std::collections::BTreeMap;

use git_hexmirror::model::Shard;

/// Returns the path of a package's files or of its registry entry: `packages` or `registry`, and `alpha` or
/// `alpha@1.0.0`.
pub fn path(kind: &str, name: &str) -> String {
    in_repository("hexpm", kind, name)
}

/// As [`path`], in another Hex repository.
pub fn in_repository(repository: &str, kind: &str, name: &str) -> String {
    let package = name.split('@').next().unwrap();
    format!("hex/{repository}/{kind}/{}/{name}", Shard::of(&package.parse().unwrap()))
}

/// The arguments with which git prints all lines of the mirror's manifest.
pub const MANIFEST: [&str; 7] = ["grep", "-h", "-e", "", "hexmirror", "--", "manifest"];

/// Divides the lines of a manifest into the files that contain them, by path. The lines need not be valid.
pub fn manifest_files(text: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::from([("manifest/git".to_owned(), String::new())]);
    for line in text.split_inclusive('\n') {
        let part = match line.trim_end().split(' ').collect::<Vec<_>>()[..] {
            ["hex" | "registry" | "absent", _, package, ..] => Shard::of(&package.parse().unwrap()).to_string(),
            ["policy", ..] => "policies".to_owned(),
            ["signer", ..] => "signers".to_owned(),
            _ => "git".to_owned(),
        };
        *files.entry(format!("manifest/{part}")).or_default() += line;
    }
    files
}

/// Converts the output of `git ls-files --stage` for a mirror to that of format 2: without shards, and without the
/// manifest, which is one file there.
pub fn flattened(staged: &str) -> String {
    let mut lines = String::new();
    for line in staged.lines() {
        let (blob, path) = line.split_once('\t').unwrap();
        let path = match path.splitn(5, '/').collect::<Vec<_>>()[..] {
            ["manifest", ..] => continue,
            ["hex", repository, "index", "packages", below] => {
                format!("hex/{repository}/index/packages/{}", below.rsplit('/').next().unwrap_or_default())
            }
            ["hex", repository, kind, _, name] => format!("hex/{repository}/{kind}/{name}"),
            _ => path.to_owned(),
        };
        lines += &format!("{blob}\t{path}\n");
    }
    lines
}
