//! The paths of the files that a web server needs to serve the mirror without this program.

use std::fmt;
use std::str::FromStr;

use super::{FilePath, GitAddress, IndexFile, PolicyId, ReleaseId, RepositoryName};

/// The longest path accepted, in bytes.
const MAX_LENGTH: usize = 4096;

/// The first components of all paths.
const ROOTS: [&str; 11] = [
    "public_key",
    "names",
    "versions",
    "packages",
    "tarballs",
    "docs",
    "repos",
    "installs",
    "downloads",
    "git",
    BUNDLE,
];
/// The first page of a site.
const FIRST_PAGE: &str = "index.html";
/// How the paths of the other pages begin. [`ROOTS`] does not have it.
const PAGES: &str = "-/";
/// The file with the mirror branch for `git clone --bundle-uri`.
const BUNDLE: &str = "mirror.bundle";

/// An error for a text that is not such a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{:?} is not the path of an exported file", path.chars().take(80).collect::<String>())]
pub struct StaticPathError {
    path: String,
}

/// The path of a file below the root of a web server. It is relative, has only ordinary components, and is decoded: a
/// client requests it percent-encoded.
///
/// Displayed and parsed with `/` between its components. Every value begins with a component that a Hex repository has,
/// or with `git`, so that a list of such paths cannot name other files. The pages of a site are no such paths when parsed:
/// only [`StaticPath::page`] returns them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StaticPath(String);

/// In which order files are written. A client that reads a file then finds what it refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StaticStage {
    /// Tarballs and packs, whose content never changes.
    Contents,
    /// The refs and the lists of packs of git repositories.
    GitRefs,
    /// Registry entries and policies.
    Packages,
    /// The lists of versions.
    Versions,
    /// The lists of names, and the public keys. The pages of a site are of this stage, too.
    Names,
}

impl StaticStage {
    /// All stages in order.
    pub const ALL: [Self; 5] = [Self::Contents, Self::GitRefs, Self::Packages, Self::Versions, Self::Names];
}

impl StaticPath {
    /// Returns the path of a file of a registry, whoever signed it.
    pub fn registry(repository: &RepositoryName, file: &IndexFile) -> Self {
        Self(format!("{}{file}", root(repository)))
    }

    /// Returns the path of a policy.
    pub fn policy(id: &PolicyId) -> Self {
        Self(format!("{}policies/{}", root(&id.repository), id.name))
    }

    /// Returns the path of the list of Hex's own releases, where Hex looks for a newer version once a day.
    pub fn update_check() -> Self {
        Self("installs/hex-1.x.csv".into())
    }

    /// Returns the path of a file.
    pub fn file(path: &FilePath) -> Self {
        Self(path.to_string())
    }

    /// Returns the path of a tarball.
    pub fn tarball(release: &ReleaseId) -> Self {
        Self(format!("{}tarballs/{}", root(&release.repository), release.tarball_name()))
    }

    /// Returns the path of a file of a bare git repository. `None` if the file cannot have such a path.
    pub fn git(address: &GitAddress, file: &str) -> Option<Self> {
        format!("{}/{file}", address.tree_path()).parse().ok()
    }

    /// Returns the path of a page of a site: `index.html`, or below `-`, where a registry has nothing. `None` if the name cannot
    /// be that of a page.
    pub fn page(name: &str) -> Option<Self> {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-~".contains(&b);
        let is_component = |name: &str| !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_plain);
        let is_page =
            name == FIRST_PAGE || name.strip_prefix(PAGES).is_some_and(|rest| rest.split('/').all(is_component));
        (is_page && name.len() <= MAX_LENGTH).then(|| Self(name.to_owned()))
    }

    /// Returns the path of the file with the whole mirror branch, for `git clone --bundle-uri`.
    pub fn bundle() -> Self {
        Self(BUNDLE.into())
    }

    /// Returns the other path by which a client may ask an object store for this file. `None` if there is none.
    ///
    /// S3 reads a `+` that a client did not encode as a blank, as in a form. A lock may name a git repository without
    /// `.git`, and a bucket has no rules that rewrite addresses.
    pub fn second_spelling(&self) -> Option<Self> {
        if self.is_git() {
            let (repository, file) = self.0.split_once(".git/")?;
            return Some(Self(format!("{repository}/{file}")));
        }
        self.0.contains('+').then(|| Self(self.0.replace('+', " ")))
    }

    /// Returns the type of the file's content (RFC 9110, section 8.3), as the server sends it.
    pub fn media_type(&self) -> &'static str {
        let name = self.0.rsplit('/').next().unwrap_or_default();
        match (self.stage(), name.rsplit_once('.').map(|(_, extension)| extension)) {
            (StaticStage::Contents, Some("tar")) => "application/x-tar",
            (StaticStage::Contents, Some("pack")) => "application/x-git-packed-objects",
            (StaticStage::Contents, Some("idx")) => "application/x-git-packed-objects-toc",
            (StaticStage::Names, _) if name == "public_key" => "application/x-pem-file",
            (StaticStage::Names, Some("gz")) if self.below_repository().starts_with("docs/") => "application/gzip",
            (StaticStage::Names, Some("csv")) => "text/csv; charset=utf-8",
            (StaticStage::GitRefs, _) => "text/plain; charset=utf-8",
            _ => "application/octet-stream",
        }
    }

    /// Returns whether the content behind this path never changes, so that clients need not ask for it again.
    pub fn is_immutable(&self) -> bool {
        self.stage() == StaticStage::Contents
    }

    /// Returns whether this is an entry of a registry.
    pub fn is_entry(&self) -> bool {
        self.stage() == StaticStage::Packages && self.below_repository().starts_with("packages/")
    }

    /// Returns the path of the key that verifies this file. `None` if this is not a signed file of a registry.
    pub fn public_key(&self) -> Option<Self> {
        let below = self.below_repository();
        let is_signed = self.is_entry() || (!self.is_git() && matches!(below, "names" | "versions"));
        is_signed.then(|| Self(format!("{}public_key", &self.0[..self.0.len() - below.len()])))
    }

    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns when to write the file.
    pub fn stage(&self) -> StaticStage {
        let is_git = self.is_git();
        match self.below_repository().split('/').next().unwrap_or_default() {
            _ if is_git && self.0.contains("/objects/pack/") => StaticStage::Contents,
            _ if is_git => StaticStage::GitRefs,
            "tarballs" => StaticStage::Contents,
            "packages" | "policies" => StaticStage::Packages,
            "versions" => StaticStage::Versions,
            _ => StaticStage::Names,
        }
    }

    fn is_git(&self) -> bool {
        self.0.starts_with("git/")
    }

    /// Returns the path within the folder of its Hex repository.
    fn below_repository(&self) -> &str {
        let below = self.0.strip_prefix("repos/").and_then(|rest| rest.split_once('/'));
        below.map_or(&self.0, |(_, below)| below)
    }
}

/// Returns the folder of a Hex repository, with a final `/` unless it is the root (`repo_path/1` in `hex/repo.ex`).
fn root(repository: &RepositoryName) -> String {
    let hexpm = RepositoryName::hexpm();
    match repository.organization() {
        None if *repository == hexpm => String::new(),
        Some(organization) if repository.source() == hexpm.as_str() => format!("repos/{organization}/"),
        _ => format!("repos/{repository}/"),
    }
}

impl FromStr for StaticPath {
    type Err = StaticPathError;

    fn from_str(text: &str) -> Result<Self, StaticPathError> {
        let is_plain = |component: &str| {
            !matches!(component, "" | "." | "..") && !component.contains('\\') && !component.contains(char::is_control)
        };
        let is_known = text.split('/').next().is_some_and(|first| ROOTS.contains(&first));
        if is_known && text.len() <= MAX_LENGTH && text.split('/').all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(StaticPathError { path: text.to_owned() })
        }
    }
}

impl fmt::Display for StaticPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_paths_are_refused() {
        for text in [
            "",
            "/names",
            "names/",
            "packages//a",
            "packages/../../a",
            "packages/./a",
            "..",
            "index.html",
            ".git/config",
            "packages\\a",
            "packages/a\\..",
            "packages/a\nb",
            "packages/a\0",
            &format!("packages/{}", "a".repeat(5000)),
        ] {
            assert!(text.parse::<StaticPath>().is_err(), "{text:?}");
        }
        for text in ["names", "packages/a", "git/h/ä b/.x.git/HEAD", "repos/acme/tarballs/a-1.0.0+x.tar"] {
            assert_eq!(text.parse::<StaticPath>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_changes_and_what_it_is_follows_from_the_path() {
        for (text, media_type, is_immutable) in [
            ("repos/acme/tarballs/a-1.0.0.tar", "application/x-tar", true),
            ("packages/a.tar", "application/octet-stream", false),
            ("names", "application/octet-stream", false),
            ("public_key", "application/x-pem-file", false),
            ("installs/hex-1.x.csv", "text/csv; charset=utf-8", false),
            ("git/h/x.git/HEAD", "text/plain; charset=utf-8", false),
            ("git/h/x.git/objects/pack/pack-1.pack", "application/x-git-packed-objects", true),
            ("git/h/x.git/objects/pack/pack-1.idx", "application/x-git-packed-objects-toc", true),
            ("docs/a-1.0.0.tar.gz", "application/gzip", false),
            ("downloads/h/a.tar.gz", "application/octet-stream", false),
            ("mirror.bundle", "application/octet-stream", false),
        ] {
            let path: StaticPath = text.parse().unwrap();
            assert_eq!((path.media_type(), path.is_immutable()), (media_type, is_immutable), "{text}");
        }
    }

    #[test]
    fn a_plus_and_a_git_repository_have_a_second_spelling() {
        let second = |text: &str| text.parse::<StaticPath>().unwrap().second_spelling().map(|path| path.to_string());
        assert_eq!(second("tarballs/a-1.0.0+x+y.tar").as_deref(), Some("tarballs/a-1.0.0 x y.tar"));
        assert_eq!(second("git/h/a+b/x.git/info/refs").as_deref(), Some("git/h/a+b/x/info/refs"));
        assert_eq!(second("installs/hex-1.x.csv"), None);
    }

    #[test]
    fn what_refers_to_other_files_comes_after_them() {
        let stages = [
            ("repos/acme/tarballs/a-1.0.0.tar", StaticStage::Contents),
            ("git/h/packages/x.git/objects/pack/pack-1.idx", StaticStage::Contents),
            ("git/h/versions.git/HEAD", StaticStage::GitRefs),
            ("repos/versions/packages/names", StaticStage::Packages),
            ("packages/versions", StaticStage::Packages),
            ("repos/packages/versions", StaticStage::Versions),
            ("repos/tarballs/names", StaticStage::Names),
            ("public_key", StaticStage::Names),
        ];
        for (path, stage) in stages {
            assert_eq!(path.parse::<StaticPath>().unwrap().stage(), stage, "{path}");
        }
        assert!(StaticStage::ALL.is_sorted());
    }
}
