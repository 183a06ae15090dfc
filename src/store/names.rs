//! Detects file names and contents that git refuses in a tree. A release with any of them is stored as its tarball.
//!
//! The rules are those of `git fsck --strict` (`fsck.c`), which servers with `receive.fsckObjects` apply to pushes.

use std::collections::BTreeSet;

use gix::bstr::{BStr, ByteSlice};
use gix::validate::path::component;

/// The longest line that git accepts in `.gitattributes`, in bytes (`ATTR_MAX_LINE_LENGTH`).
const MAX_ATTRIBUTES_LINE: usize = 2048;
/// The longest name in a tree that git accepts without a warning, in bytes (`fsck.largePathname`).
const MAX_COMPONENT: usize = 4096;

/// Returns why git would refuse a tree with these files, or `None` if git would accept it.
///
/// `files` are paths, with `/` between components, and their contents.
pub fn refused<'a>(files: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<String> {
    let mut paths = BTreeSet::new();
    for (path, data) in files {
        for name in path.split_str("/") {
            if let Some(reason) = component_refused(name.as_bstr()) {
                return Some(format!("{:?}: {reason}", path.as_bstr()));
            }
        }
        let name = path.rsplit_str("/").next().unwrap_or(path);
        if is_attributes(name) && data.lines().any(|line| line.len() >= MAX_ATTRIBUTES_LINE) {
            return Some(format!("{:?} has a line that git finds too long", path.as_bstr()));
        }
        paths.insert(path);
    }
    paths.iter().find_map(|path| folder_among(path, &paths))
}

fn component_refused(name: &BStr) -> Option<String> {
    let options = component::Options { protect_windows: false, protect_hfs: true, protect_ntfs: true };
    if name.len() > MAX_COMPONENT {
        return Some("the name is longer than git accepts".into());
    }
    // Names that some file system treats as .gitmodules are also refused, by the rules for symbolic links. Packages
    // have no use for such a file, and git would parse it.
    component(name, Some(component::Mode::Symlink), options).err().map(|error| error.to_string())
}

/// Returns whether git may treat a name as `.gitattributes` on some file system. The check is approximate and errs on
/// the safe side.
fn is_attributes(name: &[u8]) -> bool {
    let name: String = name.to_str_lossy().chars().filter(char::is_ascii).collect::<String>().to_ascii_lowercase();
    [".gitattributes", "gitatt~", "gi7d29~"].iter().any(|prefix| name.starts_with(prefix))
}

/// Finds a path that would have to be a file and a folder at the same time.
fn folder_among(path: &[u8], paths: &BTreeSet<&[u8]>) -> Option<String> {
    let folders = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| &path[..end]);
    folders
        .into_iter()
        .find(|folder| paths.contains(folder))
        .map(|folder| format!("{:?} is both a file and a folder", folder.as_bstr()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_paths(paths: &[&str]) -> Option<String> {
        refused(paths.iter().map(|path| (path.as_bytes(), &b""[..])))
    }

    #[test]
    fn ordinary_names_are_accepted() {
        assert_eq!(
            refused_paths(&["lib/a.ex", ".gitignore", ".gitattributes", "c:d", "con", "a\\b", "ä/ö", ".github/x"]),
            None
        );
    }

    #[test]
    fn names_that_fsck_refuses_are_rejected() {
        for path in [
            ".git/config",
            "a/.GIT/x",
            "git~1",
            ".git./x",
            ".g\u{200c}it/x",
            "a//b",
            "a/../b",
            "a/.",
            ".gitmodules",
            "a/.gitmodules",
            "GITMOD~1",
            &"x".repeat(5000),
        ] {
            assert!(refused_paths(&[path]).is_some(), "{path}");
        }
    }

    #[test]
    fn a_file_cannot_be_a_folder() {
        assert!(refused_paths(&["a/b/c", "a/b"]).is_some());
        assert_eq!(refused_paths(&["a/b/c", "a/bb", "a/b/cc"]), None);
    }

    #[test]
    fn long_lines_in_attributes_are_rejected() {
        let long = vec![b'a'; MAX_ATTRIBUTES_LINE];
        assert!(refused([(&b"x/.gitattributes"[..], &long[..])].into_iter()).is_some());
        assert!(refused([(&b"x/attributes"[..], &long[..])].into_iter()).is_none());
    }
}
