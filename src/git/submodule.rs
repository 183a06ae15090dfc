//! The submodules of a commit.

use std::collections::BTreeMap;

use super::scratch::Scratch;
use super::unsuccessful::Unsuccessful;
use super::{GitError, Result};
use crate::model::{GitUrl, Revision, redacted_address};

/// The largest `.gitmodules` that is read, in bytes.
const MAX_GITMODULES: u64 = 1 << 20;

/// A submodule that a commit pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submodule {
    /// The path in the commit's tree.
    pub path: String,
    /// The address, with relative addresses resolved.
    pub url: GitUrl,
    /// The pinned commit.
    pub revision: Revision,
}

impl Scratch<'_> {
    /// Returns the submodules of a local commit of the repository at `url`: those that `git submodule update --init`
    /// would check out.
    ///
    /// # Errors
    /// Fails if an address cannot be mirrored.
    pub fn submodules(&self, url: &GitUrl, revision: Revision) -> Result<Vec<Submodule>> {
        let file = format!("{revision}:.gitmodules");
        let size = match self.run(["cat-file", "-s", &file]).finish() {
            Ok(size) => size,
            Err(Unsuccessful::Error(error)) => return Err(error),
            // The commit has no `.gitmodules`.
            Err(_) => return Ok(Vec::new()),
        };
        let size: u64 = String::from_utf8_lossy(&size).trim().parse().unwrap_or(u64::MAX);
        if size > MAX_GITMODULES {
            let message = format!("its .gitmodules has {size} bytes");
            return Err(GitError::Refused { url: url.to_string(), message });
        }
        let blob = format!("--blob={file}");
        let run = self.run(["config", "--no-includes", &blob, "--null", "--list"]);
        let settings = run.output("read .gitmodules")?;
        let addresses = addresses(&settings);
        let run = self.run(["ls-tree", "-r", "-z", "--full-tree", &revision.to_string()]);
        let mut submodules = Vec::new();
        for (path, pinned) in gitlinks(&run.output("list the files of a commit")?) {
            // A submodule without an address cannot be checked out by anyone.
            let Some(address) = addresses.get(&path) else { continue };
            let resolved = url.submodule(address).map_err(|source| GitError::Submodule {
                address: self.address.clone(),
                revision,
                path: path.clone(),
                url: redacted_address(address),
                source,
            })?;
            submodules.push(Submodule { path, url: resolved, revision: pinned });
        }
        Ok(submodules)
    }
}

/// Parses the output of `git config --null --list`. Returns the addresses of submodules by path.
pub(super) fn addresses(settings: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(settings);
    let mut modules = BTreeMap::<&str, BTreeMap<&str, &str>>::new();
    for (key, value) in text.split('\0').filter_map(|setting| setting.split_once('\n')) {
        let name = key.strip_prefix("submodule.").and_then(|rest| rest.rsplit_once('.'));
        if let Some((name, setting)) = name {
            modules.entry(name).or_default().insert(setting, value);
        }
    }
    let wanted = modules.values().filter(|settings| settings.get("update") != Some(&"none"));
    let pair =
        |settings: &BTreeMap<&str, &str>| Some((settings.get("path")?.to_string(), settings.get("url")?.to_string()));
    wanted.filter_map(pair).collect()
}

/// Parses the output of `git ls-tree -z`. Returns the submodule commits with their paths.
pub(super) fn gitlinks(listing: &[u8]) -> Vec<(String, Revision)> {
    let entries = listing.split(|byte| *byte == 0).filter(|entry| entry.starts_with(b"160000 "));
    let read = |entry: &[u8]| {
        let text = String::from_utf8_lossy(entry);
        let (head, path) = text.split_once('\t')?;
        Some((path.to_owned(), head.rsplit(' ').next()?.parse().ok()?))
    };
    entries.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_listings_are_parsed() {
        let settings =
            b"submodule.a.b.path\nlib/a\0submodule.a.b.url\n../a.git\0submodule.c.path\nc\0submodule.d.path\nd\0\
            submodule.d.url\nhttps://h/d\0submodule.d.update\nnone\0core.x\ny\0";
        let expected = BTreeMap::from([("lib/a".to_owned(), "../a.git".to_owned())]);
        assert_eq!(addresses(settings), expected);
        let id = "1".repeat(40);
        let listing = format!("100644 blob {id}\ta\0160000 commit {id}\tlib/a b\0");
        assert_eq!(gitlinks(listing.as_bytes()), [("lib/a b".to_owned(), id.parse().unwrap())]);
    }
}
