//! Reads remotes from files, as git did before remotes were settings (`gitremote-layout`: `remotes` and `branches`).
//! Git still fetches from them.

use std::fs;
use std::path::Path;

use walkdir::WalkDir;

use super::regular_file::read_regular;

/// The maximum number of files that are read, their maximum depth and their maximum size in bytes.
const MAX_FILES: usize = 1000;
const MAX_DEPTH: usize = 8;
const MAX_BYTES: u64 = 64 << 10;

/// Returns the addresses in the files below `remotes` and `branches` of git's common folder.
pub(in crate::ops) fn addresses(common_dir: &Path) -> Vec<String> {
    let texts = |folder: &str| {
        let files = WalkDir::new(common_dir.join(folder)).max_depth(MAX_DEPTH).into_iter().filter_map(Result::ok);
        let files = files.filter(|file| !file.file_type().is_dir()).take(MAX_FILES);
        files.filter_map(|file| text(file.path())).collect::<Vec<_>>()
    };
    let remotes = texts("remotes").into_iter().flat_map(|text| in_remote(&text));
    remotes.chain(texts("branches").iter().filter_map(|text| in_branch(text))).collect()
}

fn text(file: &Path) -> Option<String> {
    let bytes = read_regular(&fs::canonicalize(file).ok()?, MAX_BYTES).ok()?.ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns the addresses in a file of lines such as `URL: ADDRESS` (`read_remotes_file` in git's `remote.c`).
fn in_remote(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix("URL:")).map(|url| url.trim().to_owned()).collect()
}

/// Returns the address in a file with the line `ADDRESS#BRANCH` (`read_branches_file` in git's `remote.c`).
fn in_branch(text: &str) -> Option<String> {
    let line = text.lines().next()?.trim();
    let url = line.split_once('#').map_or(line, |(url, _)| url);
    (!url.is_empty()).then(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_in_both_kinds_of_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("remotes/old", "URL: https://h/a.git\nPull: refs/heads/main:refs/heads/x\nURL:\thttps://h/b\n"),
            ("remotes/team/nested", "URL: git@h:c"),
            ("branches/main", " https://h/d#main\nhttps://h/ignored\n"),
            ("branches/empty", ""),
            ("branches/huge", &"x".repeat(100_000)),
        ] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut found = addresses(folder.path());
        found.sort();
        assert_eq!(found, ["git@h:c", "https://h/a.git", "https://h/b", "https://h/d"]);
        assert_eq!(addresses(&folder.path().join("branches")), [""; 0]);
    }
}
