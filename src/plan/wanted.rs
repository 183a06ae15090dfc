//! The validated pins of locks. From here on, names and versions are safe in paths and addresses.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Bound;

use super::file_pin::has_all_installers;
use super::git_entry::{GitPin, Unmirrored, git_pin};
use super::valid::valid;
use super::{AssetPin, DocsPin, FilePin};
use crate::lock::{
    AssetSource, BuildTool, DownloadSource, HexSource, Located, Lock, LockError, LockKind, Source, ToolsSource,
};
use crate::model::{
    AssetToolId, EntryId, FileAddress, FileChecksum, FileId, FilePath, GitBranch, InnerChecksum, OuterChecksum,
    PolicyId, ReleaseId, RepositoryName, Target, ToolsPair, ToolsPairError,
};

/// A release that a lock pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The release.
    pub id: ReleaseId,
    /// The inner checksum in the lock. Locks from before 2015 have none.
    pub inner: Option<InnerChecksum>,
    /// The outer checksum in the lock. Locks from before 2019 have none.
    pub outer: Option<OuterChecksum>,
}

/// A dependency of a kind that this program does not support.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnsupportedEntry {
    /// The application.
    pub app: String,
    /// The kind, such as `hg`.
    pub kind: String,
}

impl UnsupportedEntry {
    /// Returns why the dependency is not mirrored, for output.
    pub fn reason(&self) -> String {
        format!("unknown kind {}", self.kind)
    }
}

/// The merged pins of several locks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The releases.
    pub releases: BTreeMap<ReleaseId, Pin>,
    /// Those of the releases that a hexmirror.lock pins as plugins, and as dependencies of plugins.
    pub plugins: BTreeSet<ReleaseId>,
    /// What mix builds releases with, as far as a mix.lock says so. If two disagree, rebar3.
    pub build_tools: BTreeMap<ReleaseId, BuildTool>,
    /// The revisions of git repositories.
    pub git: Vec<GitPin>,
    /// The policies that the projects of the locks name.
    pub policies: BTreeSet<PolicyId>,
    /// The files.
    pub files: BTreeMap<FileId, FilePin>,
    /// The addresses that the settings name and no lock pins.
    pub unpinned: BTreeSet<FileAddress>,
    /// The branches of git repositories that the settings name and no lock pins.
    pub unpinned_git: BTreeSet<GitBranch>,
    /// The versions of Elixir and OTP whose Hex and rebar3 locks pin.
    pub tools: BTreeSet<ToolsPair>,
    /// The versions of Elixir and OTP whose Hex and rebar3 nothing pins yet, or only in part, or by other lists than
    /// the rest.
    pub unpinned_tools: BTreeSet<ToolsPair>,
    /// What locks say about the documentation of releases, whether or not a lock pins these.
    pub docs: BTreeMap<ReleaseId, DocsPin>,
    /// The releases whose documentation is mirrored according to the settings, and about which no lock says anything yet.
    pub unpinned_docs: BTreeSet<ReleaseId>,
    /// The builds of asset tools that locks pin.
    pub asset_tools: BTreeMap<AssetToolId, AssetPin>,
    /// The builds of asset tools that the project needs and no lock pins.
    pub unpinned_asset_tools: BTreeSet<AssetToolId>,
    /// The machines that precompiled files of the releases are needed for.
    pub targets: BTreeSet<Target>,
    /// The git dependencies that cannot be mirrored.
    pub unmirrored: Vec<Unmirrored>,
    /// The dependencies of unsupported kinds.
    pub ignored: Vec<UnsupportedEntry>,
}

impl Wanted {
    /// Returns the packages of the releases.
    pub fn packages(&self) -> BTreeSet<EntryId> {
        self.releases.keys().map(ReleaseId::entry).collect()
    }

    /// Adds the pins of a lock.
    ///
    /// # Errors
    /// Returns an error if a name, a version or a checksum is invalid, or if the lock contradicts a lock that was added
    /// before.
    pub fn add(&mut self, lock: &Lock) -> Result<(), LockError> {
        for entry in &lock.entries {
            let app = entry.app.text.clone();
            match &entry.source {
                Source::Hex(source) => {
                    let pin = pin(source)?;
                    if let Some(tool) = source.build_tool {
                        let known = self.build_tools.entry(pin.id.clone()).or_insert(tool);
                        *known = tool.max(*known);
                    }
                    if lock.kind == LockKind::Hexmirror {
                        self.plugins.insert(pin.id.clone());
                    }
                    self.add_pin(pin, source)?;
                }
                Source::Package { version } => {
                    let package = valid(&entry.app, "this is not a package name")?;
                    let version = valid(version, "this is not a version")?;
                    let id = ReleaseId { repository: RepositoryName::hexpm(), package, version };
                    self.releases.entry(id.clone()).or_insert(Pin { id, inner: None, outer: None });
                }
                Source::Git(source) => match git_pin(app, source, lock.kind)? {
                    Ok(pin) => self.git.push(pin),
                    Err(unmirrored) => self.unmirrored.push(unmirrored),
                },
                Source::Download(source) => {
                    let pin = FilePin::of_download(source)?;
                    self.add_file(pin, source)?;
                }
                Source::Docs(source) => self.add_docs(source)?,
                Source::Tools(source) => self.add_tools(source)?,
                Source::AssetTool(source) => self.add_asset_tool(source)?,
                Source::Target(target) => drop(self.targets.insert(valid(target, "not a machine that builds")?)),
                Source::Unknown { kind } => self.ignored.push(UnsupportedEntry { app, kind: kind.clone() }),
            }
        }
        self.keep_newest_tips();
        self.git.sort();
        self.git.dedup();
        self.unmirrored.sort();
        self.unmirrored.dedup();
        self.ignored.sort();
        self.ignored.dedup();
        Ok(())
    }

    /// Removes the depths that entries name. Clients that do not support the `depth` option get a broken repository if
    /// they fetch from a shallow one.
    #[must_use]
    pub fn with_full_ancestries(mut self) -> Self {
        self.git.iter_mut().for_each(|pin| pin.depth = None);
        self.git.sort();
        self.git.dedup();
        self
    }

    /// Requires the submodules of the git dependencies of the given applications.
    #[must_use]
    pub fn with_submodules_of(mut self, apps: &BTreeSet<String>) -> Self {
        self.git.iter_mut().filter(|pin| apps.contains(&pin.app)).for_each(|pin| pin.submodules = true);
        self.git.sort();
        self.git.dedup();
        self
    }

    /// Returns another content that is pinned at the same path. In the map it is next to this one.
    fn other_content(&self, id: &FileId) -> Option<&FileId> {
        let before = self.files.range(..id).next_back();
        let after = self.files.range((Bound::Excluded(id), Bound::Unbounded)).next();
        before.into_iter().chain(after).map(|(other, _)| other).find(|other| other.path == id.path)
    }

    /// Returns another pinned file whose path would have to be a folder for this one, or the other way round. A folder of files
    /// cannot have both.
    pub fn nested_file(&self, path: &FilePath) -> Option<&FilePin> {
        let first = |path: FilePath| FileId { path, checksum: FileChecksum::from_bytes([0; 32]) };
        let from = |path: FilePath| self.files.range(first(path)..).next();
        let of_path = |path: FilePath| from(path.clone()).filter(|(id, _)| id.path == path);
        let text = path.as_str();
        let mut above = text.match_indices('/').filter_map(|(end, _)| text[..end].parse().ok());
        let above = above.find_map(of_path);
        // `!` is the first byte that a part can begin with.
        let is_below =
            |(id, _): &(&FileId, _)| id.path.as_str().strip_prefix(text).is_some_and(|rest| rest.starts_with('/'));
        let below = || from(format!("{text}/!").parse().ok()?).filter(is_below);
        above.or_else(below).map(|(_, pin)| pin)
    }

    /// Adds a file. A path has one content, which clients get.
    fn add_file(&mut self, pin: FilePin, source: &DownloadSource) -> Result<(), LockError> {
        if let Some(other) = self.nested_file(&pin.id.path) {
            return Err(LockError {
                message: format!("{} and {} cannot both be mirrored", pin.address, other.address),
                label: format!("another entry has {}, so one would be a file and a folder", other.address),
                span: source.url.span,
            });
        }
        if let Some(other) = self.other_content(&pin.id) {
            return Err(LockError {
                message: format!("{} is locked twice, with different checksums", pin.address),
                label: format!("another entry has {}", other.checksum),
                span: source.checksum.span,
            });
        }
        self.files.entry(pin.id.clone()).or_insert(pin);
        Ok(())
    }

    /// Adds the installers for a version of Elixir. Clients get one list, so if another list is pinned already, or if the
    /// entry lacks a part of what mix asks for, an update must pin this version's installers anew.
    fn add_tools(&mut self, source: &ToolsSource) -> Result<(), LockError> {
        let wrong = |error: ToolsPairError| LockError {
            span: if error == ToolsPairError::Form { source.otp.span } else { source.elixir.span },
            message: error.to_string(),
            label: "not a version of Elixir and a release of OTP".to_owned(),
        };
        let pair: ToolsPair = format!("{} otp {}", source.elixir, source.otp).parse().map_err(wrong)?;
        let mut pins = Vec::new();
        for (path, checksum) in &source.files {
            let not_a_path = "this is not a path below installs/";
            let path: FilePath = valid(path, not_a_path)?;
            let checksum = valid(checksum, "this is not a SHA-256 checksum")?;
            pins.push(FilePin::of_tool(FileId { path, checksum }));
        }
        let differs = |pin: &FilePin| self.other_content(&pin.id).is_some();
        if !has_all_installers(&pair, &pins) || pins.iter().any(differs) {
            self.unpinned_tools.insert(pair);
            return Ok(());
        }
        self.tools.insert(pair);
        self.files.extend(pins.into_iter().map(|pin| (pin.id.clone(), pin)));
        Ok(())
    }

    /// Adds a build of an asset tool. If one lock has it and another one says that there is none, there is one.
    fn add_asset_tool(&mut self, source: &AssetSource) -> Result<(), LockError> {
        let pin = AssetPin::of_source(source)?;
        if let (Some(file), Some(of_lock)) = (&pin.file, &source.file) {
            let known = self.asset_tools.get(&pin.id).and_then(|known| known.file.as_ref());
            if let Some(other) = known.filter(|known| known.pin.id != file.pin.id) {
                return Err(LockError {
                    message: format!(
                        "{} is locked twice, from different addresses or with different checksums",
                        pin.id
                    ),
                    label: format!("another entry has {} {}", other.pin.address, other.pin.id.checksum),
                    span: of_lock.checksum.span,
                });
            }
            self.add_file(file.pin.clone(), of_lock)?;
        }
        match pin.file {
            None => drop(self.asset_tools.entry(pin.id.clone()).or_insert(pin)),
            Some(_) => drop(self.asset_tools.insert(pin.id.clone(), pin)),
        }
        Ok(())
    }

    /// Requires Hex and rebar3 for versions of Elixir that the project or the settings name.
    pub fn require_tools(&mut self, pairs: impl IntoIterator<Item = ToolsPair>) {
        self.unpinned_tools.extend(pairs.into_iter().filter(|pair| !self.tools.contains(pair)));
    }

    /// Replaces the pins of installers.
    #[must_use]
    pub fn with_tools(mut self, tools: &BTreeMap<ToolsPair, Vec<FilePin>>) -> Self {
        if !tools.is_empty() {
            self.files.retain(|id, _| !id.path.is_of_tools());
            self.tools = tools.keys().cloned().collect();
            self.unpinned_tools.clear();
            self.files.extend(tools.values().flatten().map(|pin| (pin.id.clone(), pin.clone())));
        }
        self
    }

    /// Requires addresses that the settings name.
    pub fn require_downloads<'a>(&mut self, addresses: impl IntoIterator<Item = &'a FileAddress>) {
        let pinned: BTreeSet<&FileAddress> = self.files.values().map(|pin| &pin.address).collect();
        let unpinned = addresses.into_iter().filter(|address| !pinned.contains(address));
        self.unpinned = unpinned.cloned().collect();
    }

    /// Adds pins that a hexmirror.lock is about to have.
    #[must_use]
    pub fn with_files(mut self, pins: impl IntoIterator<Item = FilePin>) -> Self {
        for pin in pins {
            self.unpinned.remove(&pin.address);
            self.files.insert(pin.id.clone(), pin);
        }
        self
    }

    /// Adds a pin, or merges it into an existing pin of the same release.
    fn add_pin(&mut self, pin: Pin, source: &HexSource) -> Result<(), LockError> {
        match self.releases.entry(pin.id.clone()) {
            Entry::Vacant(place) => drop(place.insert(pin)),
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                let differ = |other: &dyn Display, at: &Option<Located>| {
                    Err(LockError {
                        message: format!("{} is locked twice, with different checksums", pin.id),
                        label: format!("another lock has {other}"),
                        span: at.as_ref().map_or(source.version.span, |located| located.span),
                    })
                };
                match (known.outer, pin.outer) {
                    (Some(one), Some(other)) if one != other => {
                        return differ(&one, &source.outer_checksum);
                    }
                    (one, other) => known.outer = one.or(other),
                }
                match (known.inner, pin.inner) {
                    (Some(one), Some(other)) if one != other => {
                        return differ(&one, &source.inner_checksum);
                    }
                    (one, other) => known.inner = one.or(other),
                }
            }
        }
        Ok(())
    }
}

fn pin(source: &HexSource) -> Result<Pin, LockError> {
    let id = ReleaseId {
        repository: valid(&source.repository, "this is not a repository name")?,
        package: valid(&source.package, "this is not a package name")?,
        version: valid(&source.version, "this is not a version")?,
    };
    let not_a_checksum = "this is not a SHA-256 checksum";
    let inner = source.inner_checksum.as_ref().map(|text| valid(text, not_a_checksum)).transpose()?;
    let outer = source.outer_checksum.as_ref().map(|text| valid(text, not_a_checksum)).transpose()?;
    Ok(Pin { id, inner, outer })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::plan::NotMirrored;

    const OUTER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn wanted(locks: &[&str]) -> Result<Wanted, LockError> {
        let mut wanted = Wanted::default();
        locks.iter().try_for_each(|text| wanted.add(&Lock::parse("mix.lock", text)?)).map(|()| wanted)
    }

    fn plug(checksum: &str) -> String {
        format!(
            r#"%{{"plug": {{:hex, :plug, "1.0.0", "{OUTER}", [:mix], [{{:mime, "~> 1.0", [hex: :mime, repo: "hexpm", optional: true]}}], "hexpm", "{checksum}"}}}}"#
        )
    }

    #[test]
    fn entries_are_collected_by_kind() {
        let others = r#"%{"a": {:git, "https://x/y.git", "abc", []}, "b": {:hg, "z"}, "c": {:package, "1.0.0"}}"#;
        let wanted = wanted(&[&plug(OUTER), others]).unwrap();
        let shown: Vec<String> = wanted.releases.keys().map(ToString::to_string).collect();
        assert_eq!(shown, ["c 1.0.0", "plug 1.0.0"]);
        let unmirrored = &wanted.unmirrored[0];
        assert_eq!((unmirrored.url.as_str(), unmirrored.reason), ("https://x/y.git", NotMirrored::NoCommit));
        assert_eq!(wanted.ignored[0].kind, "hg");
    }

    const REVISION: &str = "b43616a08459451cc5afdcd9839b732cbc1dedfa";

    fn git(url: &str, options: &str) -> Result<Wanted, LockError> {
        wanted(&[&format!(r#"%{{"a": {{:git, "{url}", "{REVISION}", [{options}]}}}}"#)])
    }

    #[test]
    fn git_options_are_read() {
        let cases = [
            (r#"branch: "v2.0""#, "heads/v2.0", None, false),
            (r#"tag: "v1""#, "tags/v1", None, false),
            (r#"ref: "abc""#, "", None, false),
            ("", "HEAD", None, false),
            (r#"depth: 3, submodules: true, sparse: "x""#, "HEAD", NonZeroU32::new(3), true),
        ];
        for (options, name, depth, submodules) in cases {
            let pin = git("https://h/x", options).unwrap().git.remove(0);
            let names = Vec::from_iter(pin.names.iter().map(ToString::to_string)).join(" ");
            assert_eq!((names.as_str(), pin.depth, pin.submodules), (name, depth, submodules), "{options}");
        }
        let rebar = format!(r#"[{{<<"a">>,{{git,"https://h/x",{{ref,"{REVISION}"}}}},0}}]."#);
        let mut wanted = Wanted::default();
        wanted.add(&Lock::parse("rebar.lock", rebar).unwrap()).unwrap();
        assert!(wanted.git[0].names.is_empty());
    }

    #[test]
    fn local_folders_are_reported_as_not_mirrored() {
        for url in ["file:///srv/x", "../x", "/srv/x"] {
            let wanted = git(url, "").unwrap();
            assert_eq!((wanted.git.len(), wanted.unmirrored[0].reason), (0, NotMirrored::Local));
        }
    }

    #[test]
    fn hostile_git_entries_are_marked_in_the_lock() {
        for (url, options) in [
            ("ext::sh -c x", ""),
            ("--upload-pack=x", ""),
            ("https://h/../x", ""),
            ("https://h/x", "depth: 0"),
            ("https://h/x", r#"branch: "--upload-pack=x""#),
            ("https://h/x", r#"tag: "a\nb""#),
        ] {
            let error = git(url, options).expect_err(url);
            assert_eq!(error.span.range().len(), url.len() + 2, "{url} {options}: {}", error.message);
        }
        let error = wanted(&[r#"%{"a": {:git, "https://h/x", "--upload-pack=x", []}}"#]).unwrap_err();
        assert!(error.message.contains("40 hexadecimal digits"), "{}", error.message);
    }

    #[test]
    fn hostile_names_are_marked_in_the_lock() {
        for (text, marked) in [
            (r#"%{"a": {:hex, :"../../x", "1.0.0"}}"#, r#":"../../x""#),
            (r#"%{"a": {:hex, :a, "1.0.0/.."}}"#, r#""1.0.0/..""#),
            (r#"%{"a": {:hex, :a, "1.0.0", "zz", [:mix], []}}"#, r#""zz""#),
        ] {
            let error = wanted(&[text]).unwrap_err();
            assert_eq!(&text[error.span.range()], marked);
        }
    }

    #[test]
    fn locks_that_contradict_each_other_are_refused() {
        assert!(wanted(&[&plug(OUTER), &plug(OUTER)]).is_ok());
        let error = wanted(&[&plug(OUTER), &plug(&"b".repeat(64))]).unwrap_err();
        assert!(error.message.contains("plug 1.0.0 is locked twice"), "{}", error.message);
    }
}
