//! The manifest: what a snapshot of the mirror holds, one line a thing.
//!
//! It is derived from the rest of the tree, so that one blob answers whether a lock is fresh. A manifest has one spelling:
//! what is not exactly as it is written here (another order, a line twice, capital letters, `007`, a missing last line end)
//! is refused. Lines are sorted as text:
//!
//! ```text
//! hex <repository> <package> <version> <storage> <tarball bytes> <outer checksum> <inner checksum>
//! registry <repository> <package> <bytes> <SHA-256 of the signed message>
//! signer <repository> <fingerprint of the key that signs its entries>
//! absent <repository> <package>      named as a dependency, and upstream had no entry for it
//! git <address> <revision> <full or depth> [submodules] [HEAD, heads/NAME, tags/NAME …]
//! pack <address> <name> <bytes>
//! shallow <address> <commit>         git has the commit without its parents
//! submodule <address> <revision> <address of the submodule> <its revision>
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::stored_git::StoredGit;
use super::{
    EntryChecksum, Fingerprint, GitAddress, InnerChecksum, OuterChecksum, PackageName, ReleaseId, RepositoryName,
    Revision, Version,
};

/// What is wrong with a manifest's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the manifest cannot be read: {text:?}")]
pub struct ManifestError {
    /// The line's number, from 1.
    pub line: usize,
    /// The line, at most its first 200 characters; empty if the text ends before it.
    pub text: String,
}

/// How a release is stored on the branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// As ordinary blobs and trees with the recipe that rebuilds the tarball.
    Unpacked,
    /// As the tarball itself, because it does not rebuild exactly.
    Tarball,
}

impl Storage {
    /// Returns the word used in the manifest and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unpacked => "unpacked",
            Self::Tarball => "tarball",
        }
    }
}

/// What the manifest knows of a stored release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredRelease {
    /// SHA-256 of the tarball.
    pub outer: OuterChecksum,
    /// SHA-256 over the tarball's parts.
    pub inner: InnerChecksum,
    /// How it is stored.
    pub storage: Storage,
    /// The tarball's size in bytes.
    pub bytes: u64,
}

/// What the manifest knows of a stored registry entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredEntry {
    /// SHA-256 of the signed message.
    pub checksum: EntryChecksum,
    /// The signed message's size in bytes.
    pub bytes: u64,
}

/// Names one registry entry: a package of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The Hex repository.
    pub repository: RepositoryName,
    /// The package.
    pub package: PackageName,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.repository != RepositoryName::hexpm() {
            write!(f, "{}/", self.repository)?;
        }
        write!(f, "{}", self.package)
    }
}

/// What a snapshot holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The releases, by repository, package and version.
    pub releases: BTreeMap<ReleaseId, StoredRelease>,
    /// The registry entries, by repository and package.
    pub entries: BTreeMap<EntryId, StoredEntry>,
    /// Who signs the registry entries of each repository. A mirror that an older version of this program wrote has no such
    /// record, nor has a repository whose key was never known.
    pub signers: BTreeMap<RepositoryName, Fingerprint>,
    /// The packages that stored releases name as dependencies and that upstream had no registry entry for.
    pub absent: BTreeSet<EntryId>,
    /// The git repositories.
    pub git: BTreeMap<GitAddress, StoredGit>,
}

impl Manifest {
    /// Returns the stored releases of one package, lowest version first.
    pub fn releases_of<'a>(
        &'a self,
        repository: &RepositoryName,
        package: &PackageName,
    ) -> impl DoubleEndedIterator<Item = (&'a ReleaseId, &'a StoredRelease)> {
        let lowest = ReleaseId { repository: repository.clone(), package: package.clone(), version: Version::lowest() };
        let highest = ReleaseId { version: Version::highest(), ..lowest.clone() };
        self.releases.range(lowest..=highest)
    }

    /// Tells whether a release takes its package's own path, `packages/NAME`: the highest stored version does, so that the
    /// tree depends on nothing but the contents; the others live beside it at `packages/NAME@VERSION`.
    pub fn is_highest(&self, id: &ReleaseId) -> bool {
        self.releases_of(&id.repository, &id.package).next_back().is_some_and(|(highest, _)| highest == id)
    }

    /// Returns how the line of a release begins, by which a manifest's text can be searched before it is read.
    pub fn release_line(id: &ReleaseId) -> String {
        format!("hex {} {} {} ", id.repository, id.package, id.version)
    }

    /// Returns how the line of a git revision begins.
    pub fn revision_line(address: &GitAddress, revision: Revision) -> String {
        format!("git {address} {revision} ")
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let fields: Vec<&str> = line.split(' ').collect();
        match fields[..] {
            ["hex", repository, package, version, storage, bytes, outer, inner] => {
                let id = ReleaseId {
                    repository: repository.parse().ok()?,
                    package: package.parse().ok()?,
                    version: version.parse().ok()?,
                };
                let storage = [Storage::Unpacked, Storage::Tarball].into_iter().find(|s| s.as_str() == storage)?;
                let stored = StoredRelease {
                    outer: outer.parse().ok()?,
                    inner: inner.parse().ok()?,
                    storage,
                    bytes: bytes.parse().ok()?,
                };
                self.releases.insert(id, stored).is_none().then_some(())
            }
            ["registry", repository, package, bytes, checksum] => {
                let id = EntryId { repository: repository.parse().ok()?, package: package.parse().ok()? };
                let stored = StoredEntry { checksum: checksum.parse().ok()?, bytes: bytes.parse().ok()? };
                self.entries.insert(id, stored).is_none().then_some(())
            }
            ["signer", repository, fingerprint] => {
                self.signers.insert(repository.parse().ok()?, fingerprint.parse().ok()?).is_none().then_some(())
            }
            ["absent", repository, package] => {
                let id = EntryId { repository: repository.parse().ok()?, package: package.parse().ok()? };
                self.absent.insert(id).then_some(())
            }
            [kind, address, ref rest @ ..] => self.git.entry(address.parse().ok()?).or_default().read_line(kind, rest),
            _ => None,
        }
    }
}

impl FromStr for Manifest {
    type Err = ManifestError;

    fn from_str(text: &str) -> Result<Self, ManifestError> {
        let mut manifest = Self::default();
        let error =
            |index: usize, line: &str| ManifestError { line: index + 1, text: line.chars().take(200).collect() };
        for (index, line) in text.lines().enumerate() {
            manifest.read_line(line).ok_or_else(|| error(index, line))?;
        }
        let written = manifest.to_string();
        if written == text {
            return Ok(manifest);
        }
        // A line's end counts here: it may be missing, or be that of Windows.
        let (mut found, mut expected) = (text.split_inclusive('\n'), written.split_inclusive('\n'));
        let index = found.clone().zip(&mut expected).take_while(|(found, expected)| found == expected).count();
        Err(error(index, found.nth(index).unwrap_or_default().trim_end()))
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let releases = self.releases.iter().map(|(id, stored)| {
            let StoredRelease { outer, inner, storage, bytes } = stored;
            let storage = storage.as_str();
            format!("{}{storage} {bytes} {outer} {inner}\n", Self::release_line(id))
        });
        let entries = self.entries.iter().map(|(id, StoredEntry { checksum, bytes })| {
            format!("registry {} {} {bytes} {checksum}\n", id.repository, id.package)
        });
        let signers =
            self.signers.iter().map(|(repository, fingerprint)| format!("signer {repository} {fingerprint}\n"));
        let absent = self.absent.iter().map(|id| format!("absent {} {}\n", id.repository, id.package));
        let git = self.git.iter().flat_map(|(address, stored)| stored.lines(address));
        let mut lines: Vec<String> = releases.chain(entries).chain(signers).chain(absent).chain(git).collect();
        lines.sort_unstable();
        lines.iter().try_for_each(|line| f.write_str(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> String {
        let (outer, inner) = ("a".repeat(64), "b".repeat(64));
        "absent hexpm yota\n".to_owned()
            + &[("zeta", "0.1.0"), ("zeta", "0.10.0"), ("zeta", "0.9.0"), ("zeta_more", "1.0.0")]
                .map(|(package, version)| format!("hex hexpm {package} {version} unpacked 10 {outer} {inner}\n"))
                .concat()
            + &format!("registry hexpm zeta 20 {outer}\n")
            + "signer hexpm SHA256:O1LOYhHFW4kcrblKAxROaDEzLD8bn1seWbe5tq8TRsk\n"
    }

    fn git_sample() -> String {
        let [one, two, pack] = ["1", "2", "c"].map(|digit| digit.repeat(40));
        format!(
            "git h/a {one} full HEAD heads/x\ngit h/a {two} full submodules tags/v1\ngit h/b {two} 3\n\
             pack h/a {pack} 100\npack h/b {pack} 10\nshallow h/b {one}\nsubmodule h/a {two} h/b {two}\n"
        )
    }

    #[test]
    fn text_survives() {
        let manifest: Manifest = sample().parse().unwrap();
        assert_eq!((manifest.releases.len(), manifest.entries.len(), manifest.absent.len()), (4, 1, 1));
        assert_eq!(manifest.to_string(), sample());
    }

    #[test]
    fn text_of_git_survives() {
        let manifest: Manifest = git_sample().parse().unwrap();
        assert_eq!((manifest.git.len(), manifest.git.values().map(StoredGit::bytes).sum::<u64>()), (2, 110));
        assert_eq!(manifest.to_string(), git_sample());
        let wrong = [
            "git h/a 12 full",
            "git h/a",
            "pack ../a 0 0",
            &format!("git h/a {} 0", "1".repeat(40)),
            &format!("submodule h/a {0} h/b {0}", "1".repeat(40)),
            &format!("unheard-of h/a {}", "1".repeat(40)),
        ];
        for line in wrong {
            assert!(format!("{line}\n").parse::<Manifest>().is_err(), "{line}");
        }
    }

    #[test]
    fn the_highest_version_takes_the_stable_path() {
        let manifest: Manifest = sample().parse().unwrap();
        let highest: Vec<String> =
            manifest.releases.keys().filter(|id| manifest.is_highest(id)).map(ToString::to_string).collect();
        assert_eq!(highest, ["zeta 0.10.0", "zeta_more 1.0.0"]);
    }

    #[test]
    fn damage_names_the_line() {
        let twice = format!("{}{}", sample(), sample());
        for (text, line) in [("nonsense\n", 1), (&*format!("{}hex hexpm ../x 1.0.0\n", sample()), 8), (&*twice, 8)] {
            assert_eq!(text.parse::<Manifest>().unwrap_err().line, line);
        }
    }

    #[test]
    fn another_spelling_of_the_same_is_damage() {
        let (hex, git) = (sample(), git_sample());
        let (one, a) = ("1".repeat(40), "a".repeat(64));
        let last_first = |text: &str| {
            let (start, last) = text.trim_end().rsplit_once('\n').unwrap();
            format!("{last}\n{start}\n")
        };
        for (text, line) in [
            (last_first(&hex), 1),
            (last_first(&git), 1),
            (hex.trim_end().to_owned(), 7),
            (hex.replace('\n', "\r\n"), 1),
            (format!("{hex}\n"), 8),
            (hex.replace(" unpacked 10 ", " unpacked 010 "), 2),
            (hex.replace(" unpacked 10 ", " unpacked +10 "), 2),
            (hex.replace(&a, &a.to_uppercase()), 2),
            (hex.replace("yota\n", "yota \n"), 1),
            (git.replace("h/b 2", "H/b 2").replace("h/b 1", "H/b 1"), 3),
            (git.replace("submodule h/a", "submodule h/a.git"), 7),
            (git.replace("HEAD heads/x", "heads/x HEAD"), 1),
            (git.replace("HEAD heads/x", "HEAD HEAD heads/x"), 1),
            (git.replace("submodules tags/v1", "tags/v1 submodules"), 2),
            (git.replace(" 3\n", " 03\n"), 3),
            (git.replace(&format!("pack h/b {}", "c".repeat(40)), &format!("pack h/b {}", "C".repeat(40))), 5),
            (format!("git h/%61 {one} full\n"), 1),
        ] {
            assert_eq!(text.parse::<Manifest>().expect_err(&text).line, line, "{text}");
        }
    }
}
