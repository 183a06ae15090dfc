//! The manifest: a list of everything in a snapshot of the mirror, one item per line.
//!
//! The manifest is derived from the rest of the tree. It exists so that reading it is enough to tell whether a lock is
//! fresh. It has a canonical form, and any deviation (another order, a repeated line, upper-case digits, `007`, a missing
//! final newline) is an error. Lines are sorted as text. The branch stores them in several files, see
//! [`super::ManifestPart`]; up to format 2, it stored them in one:
//!
//! ```text
//! hex <repository> <package> <version> <storage> <tarball bytes> <outer checksum> <inner checksum>
//! registry <repository> <package> <bytes> <SHA-256 of the signed message>
//! policy <repository> <name> <bytes> <SHA-256 of the signed message>
//! signer <repository> <fingerprint of the key that signs its entries and policies>
//! file <path> <SHA-256> <bytes> <signed, lock, package or first-use:DAY> <address that it was fetched from> [unpacked]
//! absent <repository> <package>      a dependency for which upstream has no registry entry
//! index <repository> <package> <SHA-256 of what its entry in the pinned index is built from, or 0 if it was imported>
//! index-signer <repository> <fingerprint of the key that signs the pinned index>
//! git <address> <revision> <full or depth> [submodules] [HEAD, heads/NAME, tags/NAME …]
//! pack <address> <name> <bytes>
//! shallow <address> <commit>         the commit is stored without its parents
//! submodule <address> <revision> <address of the submodule> <its revision>
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::manifest_line::{
    of_absent, of_entry, of_file, of_index, of_index_signer, of_policy, of_release, of_signer, release_line, sorted,
};
use super::stored_file::{FileId, StoredFile};
use super::stored_git::StoredGit;
use super::stored_hex::{Storage, StoredEntry, StoredRelease};
use super::{
    EntryId, Fingerprint, GitAddress, IndexSource, PackageName, PolicyId, ReleaseId, RepositoryName, Revision, Version,
};

/// An error for a manifest that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot parse line {line} of the manifest: {text:?}")]
pub struct ManifestError {
    /// The line number, counted from 1.
    pub line: usize,
    /// The line, truncated to 200 characters; empty if the text ends before this line.
    pub text: String,
}

impl ManifestError {
    fn at(index: usize, line: &str) -> Self {
        Self { line: index + 1, text: line.chars().take(200).collect() }
    }
}

/// The contents of a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The releases, by repository, package and version.
    pub releases: BTreeMap<ReleaseId, StoredRelease>,
    /// The registry entries, by repository and package.
    pub entries: BTreeMap<EntryId, StoredEntry>,
    /// The policies.
    pub policies: BTreeMap<PolicyId, StoredEntry>,
    /// The files.
    pub files: BTreeMap<FileId, StoredFile>,
    /// The signer of each repository's registry entries and policies. Mirrors written by older versions of this program have no such
    /// records. A repository whose key was never known has none either.
    pub signers: BTreeMap<RepositoryName, Fingerprint>,
    /// The dependencies of stored releases for which upstream had no registry entry.
    pub absent: BTreeSet<EntryId>,
    /// The packages in the pinned index, with the digest of what each entry is built from. It differs from that of the
    /// stored releases if the index is behind.
    pub index: BTreeMap<EntryId, IndexSource>,
    /// The key that signs the pinned index of each repository that has one.
    pub index_signers: BTreeMap<RepositoryName, Fingerprint>,
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

    /// Copies the lines about a package to another manifest.
    pub fn copy_package(&self, id: &EntryId, to: &mut Self) {
        let releases = self.releases_of(&id.repository, &id.package);
        to.releases.extend(releases.map(|(id, stored)| (id.clone(), *stored)));
        to.entries.extend(self.entries.get_key_value(id).map(|(id, stored)| (id.clone(), *stored)));
        to.absent.extend(self.absent.get(id).cloned());
        to.index.extend(self.index.get_key_value(id).map(|(id, source)| (id.clone(), *source)));
    }

    /// Returns whether the mirror has a registry entry or a policy of a repository. Only such a repository has a signer.
    pub fn has_entries_of(&self, repository: &RepositoryName) -> bool {
        self.signed_repositories().any(|name| name == repository)
    }

    /// Returns the repository of each registry entry and policy.
    pub fn signed_repositories(&self) -> impl Iterator<Item = &RepositoryName> {
        let of_policies = self.policies.keys().map(|id| &id.repository);
        self.entries.keys().map(|id| &id.repository).chain(of_policies)
    }

    /// Returns whether a release is stored at its package's main path, `packages/NAME`. The highest stored version is;
    /// all others are stored at `packages/NAME@VERSION`. This way, the tree depends only on its contents.
    pub fn is_highest(&self, id: &ReleaseId) -> bool {
        self.releases_of(&id.repository, &id.package).next_back().is_some_and(|(highest, _)| highest == id)
    }

    /// Returns the beginning of a release's line, with which callers can search the text of a manifest without parsing
    /// it.
    pub fn release_line(id: &ReleaseId) -> String {
        release_line(id)
    }

    /// Returns the beginning of a git revision's line.
    pub fn revision_line(address: &GitAddress, revision: Revision) -> String {
        format!("git {address} {revision} ")
    }

    /// Parses lines, which must be in order, have the only spelling that this program writes, and be about what `belongs`
    /// accepts.
    ///
    /// # Errors
    /// Fails with the first line that does not.
    pub(super) fn read_lines(text: &str, belongs: impl Fn(&Subject<'_>) -> bool) -> Result<Self, ManifestError> {
        let (mut manifest, mut before) = (Self::default(), "");
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let read = line.strip_suffix('\n').filter(|_| before < line).and_then(|line| manifest.read_line(line));
            let read = read.filter(&belongs);
            read.ok_or_else(|| ManifestError::at(index, line.trim_end()))?;
            before = line;
        }
        manifest.check_git_lines(text)?;
        Ok(manifest)
    }

    /// Reads a line and returns what it is about. Lines of git repositories may have another spelling.
    fn read_line<'l>(&mut self, line: &'l str) -> Option<Subject<'l>> {
        let (kind, rest) = line.split_once(' ')?;
        match kind {
            "hex" => {
                let [repository, package, version, storage, bytes, outer, inner] = fields(rest)?;
                let id = ReleaseId {
                    repository: repository.parse().ok()?,
                    package: package.parse().ok()?,
                    version: version.parse().ok()?,
                };
                let storage = [Storage::Unpacked, Storage::Tarball].into_iter().find(|s| s.as_str() == storage)?;
                let (outer, inner) = (checksum(outer)?, checksum(inner)?);
                let stored = StoredRelease { outer, inner, storage, bytes: number(bytes)? };
                self.releases.insert(id, stored).is_none().then_some(Subject::Package(package))
            }
            "registry" => {
                let [repository, package, bytes, sum] = fields(rest)?;
                let stored = StoredEntry { checksum: checksum(sum)?, bytes: number(bytes)? };
                let is_new = self.entries.insert(entry_id(repository, package)?, stored).is_none();
                is_new.then_some(Subject::Package(package))
            }
            "signer" => {
                let [repository, fingerprint] = fields(rest)?;
                let is_new = self.signers.insert(repository.parse().ok()?, fingerprint.parse().ok()?).is_none();
                is_new.then_some(Subject::Signers)
            }
            "policy" => {
                let [repository, name, bytes, sum] = fields(rest)?;
                let id = PolicyId { repository: repository.parse().ok()?, name: name.parse().ok()? };
                let stored = StoredEntry { checksum: checksum(sum)?, bytes: number(bytes)? };
                self.policies.insert(id, stored).is_none().then_some(Subject::Policies)
            }
            "file" => {
                let is_unpacked = rest.ends_with(" unpacked");
                let [path, sum, bytes, trust, address] = fields(rest.strip_suffix(" unpacked").unwrap_or(rest))?;
                let id = FileId { path: path.parse().ok()?, checksum: checksum(sum)? };
                let (trust, address) = (trust.parse().ok()?, address.parse().ok()?);
                let stored = StoredFile { bytes: number(bytes)?, trust, address, is_unpacked };
                // Only documentation has a folder of its own.
                if is_unpacked && !id.path.is_of_docs() {
                    return None;
                }
                self.files.insert(id, stored).is_none().then_some(Subject::Files)
            }
            "absent" => {
                let [repository, package] = fields(rest)?;
                self.absent.insert(entry_id(repository, package)?).then_some(Subject::Package(package))
            }
            "index" => {
                let [repository, package, source] = fields(rest)?;
                let is_new = self.index.insert(entry_id(repository, package)?, checksum(source)?).is_none();
                is_new.then_some(Subject::Package(package))
            }
            "index-signer" => {
                let [repository, fingerprint] = fields(rest)?;
                let signer = fingerprint.parse().ok()?;
                let is_new = self.index_signers.insert(repository.parse().ok()?, signer).is_none();
                is_new.then_some(Subject::Index)
            }
            kind => {
                let fields: Vec<&str> = rest.split(' ').collect();
                let (address, fields) = fields.split_first()?;
                self.git.entry(address.parse().ok()?).or_default().read_line(kind, fields)?;
                Some(Subject::Git)
            }
        }
    }

    /// Compares the lines of git repositories with how they are written: addresses and names have other spellings too.
    fn check_git_lines(&self, text: &str) -> Result<(), ManifestError> {
        if self.git.is_empty() {
            return Ok(());
        }
        let mut written: Vec<String> = self.git.iter().flat_map(|(address, stored)| stored.lines(address)).collect();
        written.sort_unstable();
        let found = text.split_inclusive('\n').enumerate();
        let found = found.filter(|(_, line)| GIT_KINDS.iter().any(|kind| line.split(' ').next() == Some(kind)));
        match found.zip(&written).find(|((_, found), written)| found != written) {
            Some(((index, line), _)) => Err(ManifestError::at(index, line.trim_end())),
            None => Ok(()),
        }
    }
}

/// What a line is about.
pub(super) enum Subject<'l> {
    /// The package with this name.
    Package(&'l str),
    /// A git repository.
    Git,
    /// The signer of a pinned index.
    Index,
    /// A policy.
    Policies,
    /// A file.
    Files,
    /// The signer of a repository.
    Signers,
}

/// The first words of the lines of git repositories.
const GIT_KINDS: [&str; 4] = ["git", "pack", "shallow", "submodule"];

/// Splits the rest of a line. A field that is not the last one cannot contain a space; the last one is of a type that
/// does not.
fn fields<const COUNT: usize>(rest: &str) -> Option<[&str; COUNT]> {
    let mut fields = [""; COUNT];
    let mut found = rest.splitn(COUNT, ' ');
    for field in &mut fields {
        *field = found.next()?;
    }
    Some(fields)
}

fn entry_id(repository: &str, package: &str) -> Option<EntryId> {
    Some(EntryId { repository: repository.parse().ok()?, package: package.parse().ok()? })
}

/// Parses a checksum in lower case.
fn checksum<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| !text.bytes().any(|byte| byte.is_ascii_uppercase()))
}

/// Parses a number without a sign or leading zeros.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text == "0" || text.starts_with(|first| matches!(first, '1'..='9')))
}

impl FromStr for Manifest {
    type Err = ManifestError;

    fn from_str(text: &str) -> Result<Self, ManifestError> {
        Self::read_lines(text, |_| true)
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let releases = self.releases.iter().map(|(id, stored)| of_release(id, stored));
        let entries = self.entries.iter().map(|(id, stored)| of_entry(id, stored));
        let signers = self.signers.iter().map(|(repository, fingerprint)| of_signer(repository, fingerprint));
        let git = self.git.iter().flat_map(|(address, stored)| stored.lines(address));
        let lines = releases.chain(entries).chain(signers).chain(self.absent.iter().map(of_absent)).chain(git);
        let index = self.index.iter().map(|(id, source)| of_index(id, *source));
        let index_signers = self.index_signers.iter().map(|(name, signer)| of_index_signer(name, signer));
        let policies = self.policies.iter().map(|(id, stored)| of_policy(id, stored));
        let files = self.files.iter().map(|(id, stored)| of_file(id, stored));
        let lines = lines.chain(index).chain(index_signers).chain(policies).chain(files);
        f.write_str(&sorted(lines.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> String {
        let (outer, inner) = ("a".repeat(64), "b".repeat(64));
        "absent hexpm yota\n".to_owned()
            + &format!("file downloads/h/x {outer} 7 first-use:2026-11-28 https://h/x\n")
            + &[("zeta", "0.1.0"), ("zeta", "0.10.0"), ("zeta", "0.9.0"), ("zeta_more", "1.0.0")]
                .map(|(package, version)| format!("hex hexpm {package} {version} unpacked 10 {outer} {inner}\n"))
                .concat()
            + &format!("index hexpm zeta {inner}\n")
            + "index-signer hexpm SHA256:O1LOYhHFW4kcrblKAxROaDEzLD8bn1seWbe5tq8TRsk\n"
            + &format!("policy hexpm:acme strict 20 {outer}\n")
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
    fn text_is_read_back() {
        let manifest: Manifest = sample().parse().unwrap();
        assert_eq!((manifest.releases.len(), manifest.entries.len(), manifest.absent.len()), (4, 1, 1));
        assert_eq!((manifest.index.len(), manifest.index_signers.len()), (1, 1));
        assert_eq!(manifest.to_string(), sample());
    }

    #[test]
    fn lines_of_git_repositories_are_read_back() {
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
    fn errors_name_the_line() {
        let twice = format!("{}{}", sample(), sample());
        for (text, line) in [("nonsense\n", 1), (&*format!("{}hex hexpm ../x 1.0.0\n", sample()), 12), (&*twice, 12)] {
            assert_eq!(text.parse::<Manifest>().unwrap_err().line, line);
        }
    }

    #[test]
    fn other_spellings_of_a_manifest_are_refused() {
        let (hex, git) = (sample(), git_sample());
        let (one, a) = ("1".repeat(40), "a".repeat(64));
        let last_first = |text: &str| {
            let (start, last) = text.trim_end().rsplit_once('\n').unwrap();
            format!("{last}\n{start}\n")
        };
        for (text, line) in [
            (last_first(&hex), 2),
            (last_first(&git), 1),
            (hex.trim_end().to_owned(), 11),
            (hex.replace('\n', "\r\n"), 1),
            (format!("{hex}\n"), 12),
            (hex.replace(" unpacked 10 ", " unpacked 010 "), 3),
            (hex.replace(" unpacked 10 ", " unpacked +10 "), 3),
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

    #[test]
    fn whatever_is_accepted_is_what_is_written() {
        let mut accepted = 0;
        for text in [sample(), git_sample()] {
            for at in 0..text.len() {
                for other in ["", " ", "\n", "0", "+", "-", "A", "a", "1", "%61", ":", "/", "\r", "\u{e9}"] {
                    for end in [at, at + 1] {
                        let changed = [&text[..at], other, &text[end..]].concat();
                        if let Ok(manifest) = changed.parse::<Manifest>() {
                            assert_eq!(manifest.to_string(), changed);
                            accepted += 1;
                        }
                    }
                }
            }
        }
        assert!(accepted > 1000, "{accepted}");
    }
}
