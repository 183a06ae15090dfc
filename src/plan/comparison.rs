//! Compares what locks pin with what a snapshot contains.

use std::collections::BTreeSet;

use super::git_want::{RepositoryWant, with_submodules};
use super::{ArtefactPin, FilePin, GitPin, Pin, StoredArtefacts, Unmirrored, UnsupportedEntry, Wanted};
use crate::model::{
    AssetToolId, EntryId, FileAddress, GitAddress, GitBranch, Manifest, OuterChecksum, PolicyId, ReleaseId,
    RepositoryName, Revision, StoredRelease, ToolsPair, Version,
};

/// A pinned release that the mirror lacks although it has other releases of the package, or this one with another
/// checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The pinned release.
    pub pin: Pin,
    /// The versions of the package in the mirror, lowest first.
    pub mirrored: Vec<Version>,
    /// The checksum that the mirror has for the pinned version, if it has this version with another checksum.
    pub conflict: Option<OuterChecksum>,
}

/// A pinned revision that the mirror lacks, or has incompletely, although it has the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitChange {
    /// The pinned revision.
    pub pin: GitPin,
    /// The revisions of the repository in the mirror.
    pub mirrored: Vec<Revision>,
}

/// The differences between what locks pin and what a mirror contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The number of pinned releases in the mirror with the checksums that the locks require.
    pub present: usize,
    /// The pinned releases of packages of which the mirror has no release.
    pub missing: Vec<Pin>,
    /// The pinned releases of packages that the mirror has with another version or checksum.
    pub changed: Vec<Change>,
    /// The missing registry entries of pinned packages.
    pub entries: Vec<EntryId>,
    /// The missing policies.
    pub policies: Vec<PolicyId>,
    /// The missing files.
    pub files: Vec<FilePin>,
    /// The missing precompiled files of pinned packages.
    pub artefacts: Vec<ArtefactPin>,
    /// The number of pinned and precompiled files in the mirror.
    pub files_present: usize,
    /// The addresses that the settings name and no lock pins.
    pub unpinned: Vec<FileAddress>,
    /// The branches of git repositories that the settings name and no lock pins.
    pub unpinned_git: Vec<GitBranch>,
    /// The versions of Elixir and OTP whose Hex and rebar3 an update must pin.
    pub unpinned_tools: Vec<ToolsPair>,
    /// The releases whose documentation an update must pin.
    pub unpinned_docs: Vec<ReleaseId>,
    /// The builds of asset tools that the project needs and no lock pins.
    pub unpinned_asset_tools: Vec<AssetToolId>,
    /// The pinned git revisions that the mirror has as the locks require.
    pub git: Vec<GitPin>,
    /// The pinned git revisions whose repository is not in the mirror.
    pub git_missing: Vec<GitPin>,
    /// The pinned git revisions whose repository is in the mirror, but without this revision, with too small a depth, or
    /// without a required ref or submodule.
    pub git_changed: Vec<GitChange>,
    /// The git dependencies that cannot be mirrored.
    pub unmirrored: Vec<Unmirrored>,
    /// The dependencies of unknown kinds.
    pub ignored: Vec<UnsupportedEntry>,
    /// The rebar3 plugins that no hexmirror.lock pins, each with who asks for it.
    pub unpinned_plugins: BTreeSet<(String, String)>,
}

/// What a mirror contains beyond what locks pin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extra {
    /// The releases that no lock pins.
    pub releases: Vec<ReleaseId>,
    /// The revisions that no lock pins, neither directly nor as a submodule of a pinned revision.
    pub revisions: Vec<(GitAddress, Revision)>,
}

impl Extra {
    /// Compares a whole manifest with the pins.
    pub fn new(wanted: &Wanted, manifest: &Manifest) -> Self {
        let releases = manifest.releases.keys().filter(|id| !wanted.releases.contains_key(id)).cloned().collect();
        Self { releases, revisions: Self::revisions(wanted, manifest) }
    }

    /// Returns the revisions of a manifest that no lock pins. The manifest must have all git repositories.
    pub fn revisions(wanted: &Wanted, manifest: &Manifest) -> Vec<(GitAddress, Revision)> {
        let pinned = wanted.git.iter().map(|pin| (pin.url.address().clone(), pin.revision));
        let needed = with_submodules(pinned, manifest);
        let stored =
            manifest.git.iter().flat_map(|(address, stored)| stored.revisions.keys().map(|r| (address.clone(), *r)));
        stored.filter(|place| !needed.contains(place)).collect()
    }
}

impl Comparison {
    /// Compares the pins with a manifest, of which the lines about the pinned packages, git repositories and policies
    /// suffice. For a mirror that does not exist yet, pass an empty manifest.
    pub fn new(wanted: &Wanted, manifest: &Manifest) -> Self {
        let (ignored, unmirrored) = (wanted.ignored.clone(), wanted.unmirrored.clone());
        let mut comparison = Self { ignored, unmirrored, ..Self::default() };
        let mut entries = BTreeSet::new();
        for pin in wanted.releases.values() {
            comparison.add(pin, manifest);
            let id = pin.id.entry();
            if !manifest.entries.contains_key(&id) {
                entries.insert(id);
            }
        }
        comparison.entries = entries.into_iter().collect();
        let lacking = |id: &&PolicyId| !manifest.policies.contains_key(*id);
        comparison.policies = wanted.policies.iter().filter(lacking).cloned().collect();
        let lacking = |pin: &&FilePin| !manifest.files.contains_key(&pin.id);
        comparison.files = wanted.all_files().filter(lacking).cloned().collect();
        comparison.files_present = wanted.all_files().count() - comparison.files.len();
        comparison.unpinned = wanted.unpinned.iter().cloned().collect();
        comparison.unpinned_git = wanted.unpinned_git.iter().cloned().collect();
        comparison.unpinned_tools = wanted.unpinned_tools.iter().cloned().collect();
        comparison.unpinned_docs = wanted.unpinned_docs.iter().cloned().collect();
        comparison.unpinned_asset_tools = wanted.unpinned_asset_tools.iter().cloned().collect();
        comparison.add_git(wanted, manifest);
        comparison
    }

    /// Adds the precompiled files that the packages in a mirror need.
    #[must_use]
    pub fn with_artefacts(mut self, needed: &BTreeSet<ArtefactPin>, manifest: &Manifest) -> Self {
        let stored = StoredArtefacts::of(manifest);
        self.artefacts = needed.iter().filter(|pin| stored.find(&pin.artefact).is_none()).cloned().collect();
        self.files_present += needed.len() - self.artefacts.len();
        self
    }

    fn add_git(&mut self, wanted: &Wanted, manifest: &Manifest) {
        let wants = RepositoryWant::all(&wanted.git);
        for pin in &wanted.git {
            let address = pin.url.address();
            let want = wants.get(address).and_then(|wants| wants.revisions.get(&pin.revision));
            match manifest.git.get(address) {
                None => self.git_missing.push(pin.clone()),
                Some(_) if want.is_some_and(|want| want.is_met(address, pin.revision, manifest)) => {
                    self.git.push(pin.clone());
                }
                Some(stored) => {
                    let mirrored = stored.revisions.keys().copied().collect();
                    self.git_changed.push(GitChange { pin: pin.clone(), mirrored });
                }
            }
        }
    }

    fn add(&mut self, pin: &Pin, manifest: &Manifest) {
        let stored = manifest.releases.get(&pin.id);
        if stored.is_some_and(|stored| pin.accepts(stored)) {
            self.present += 1;
            return;
        }
        let of_package = manifest.releases_of(&pin.id.repository, &pin.id.package);
        let mirrored: Vec<Version> = of_package.map(|(id, _)| id.version.clone()).collect();
        if mirrored.is_empty() {
            self.missing.push(pin.clone());
        } else {
            self.changed.push(Change { pin: pin.clone(), mirrored, conflict: stored.map(|stored| stored.outer) });
        }
    }

    /// Returns whether the mirror has everything that the locks pin and that can be mirrored. All parts of the program
    /// use this definition of "fresh".
    pub fn is_fresh(&self) -> bool {
        self.has_all_pinned() && self.is_all_pinned()
    }

    /// Returns whether the mirror lacks nothing, but a hexmirror.lock does not pin all of it yet.
    pub fn lacks_only_pins(&self) -> bool {
        self.has_all_pinned() && !self.is_all_pinned()
    }

    /// Returns whether the mirror has everything that the locks pin.
    fn has_all_pinned(&self) -> bool {
        let hex = self.missing.is_empty() && self.changed.is_empty() && self.entries.is_empty();
        let hex = hex && self.policies.is_empty();
        let files = self.files.is_empty() && self.artefacts.is_empty();
        hex && files && self.git_missing.is_empty() && self.git_changed.is_empty()
    }

    /// Returns whether a hexmirror.lock pins everything that the settings and the packages ask for.
    fn is_all_pinned(&self) -> bool {
        let files = self.unpinned.is_empty() && self.unpinned_docs.is_empty() && self.unpinned_tools.is_empty();
        let tools = self.unpinned_asset_tools.is_empty() && self.unpinned_plugins.is_empty();
        files && tools && self.unpinned_git.is_empty()
    }

    /// Describes everything that the mirror lacks, without duplicates: releases, registry entries of stored releases,
    /// policies, files, git revisions. Empty if the mirror is fresh.
    pub fn lacking(&self) -> Vec<String> {
        let releases = self.to_fetch().map(|pin| pin.id.to_string());
        let entries = self.entries_alone().map(|entry| format!("the registry entry of {entry}"));
        let policies = self.policies.iter().map(|policy| format!("the policy {policy}"));
        let revisions =
            self.revisions_to_fetch().into_iter().map(|(address, revision)| format!("{address} {}", revision.short()));
        let files = self.files.iter().map(|pin| pin.address.to_string());
        let files = files.chain(self.artefacts.iter().map(ToString::to_string));
        let plugins = self.unpinned_plugins.iter().map(|(plugin, by)| format!("a pin of the plugin {plugin} for {by}"));
        let unpinned = self.unpinned.iter().map(|address| format!("{address} (no hexmirror.lock pins it yet)"));
        let tools = self.unpinned_tools.iter().map(|pair| format!("Hex and rebar3 for Elixir {pair}"));
        let branches = self.unpinned_git.iter().map(|branch| format!("{branch} (no hexmirror.lock pins it yet)"));
        let docs = self.unpinned_docs.iter().map(|release| format!("the documentation of {release}"));
        let assets = self.unpinned_asset_tools.iter().map(|id| format!("{id} (no hexmirror.lock pins it yet)"));
        let unpinned = unpinned.chain(tools).chain(branches).chain(docs).chain(assets);
        releases.chain(entries).chain(policies).chain(files).chain(unpinned).chain(revisions).chain(plugins).collect()
    }

    /// Returns the missing registry entries of packages whose pinned releases are all present.
    pub fn entries_alone(&self) -> impl Iterator<Item = &EntryId> {
        let packages: BTreeSet<EntryId> = self.to_fetch().map(|pin| pin.id.entry()).collect();
        self.entries.iter().filter(move |entry| !packages.contains(*entry))
    }

    /// Returns the dependencies that cannot be mirrored, each with the reason. They do not affect whether a mirror is
    /// fresh.
    pub fn not_mirrored(&self) -> Vec<(&str, String)> {
        let local = self.unmirrored.iter().map(|unmirrored| (unmirrored.app.as_str(), unmirrored.reason.to_string()));
        let unknown = self.ignored.iter().map(|ignored| (ignored.app.as_str(), ignored.reason()));
        local.chain(unknown).collect()
    }

    /// Returns the git revisions that an update must fetch, without duplicates.
    pub fn revisions_to_fetch(&self) -> BTreeSet<(&GitAddress, Revision)> {
        self.git_to_fetch().map(|pin| (pin.url.address(), pin.revision)).collect()
    }

    /// Returns the pins of the git revisions that an update must fetch.
    pub fn git_to_fetch(&self) -> impl Iterator<Item = &GitPin> {
        self.git_missing.iter().chain(self.git_changed.iter().map(|change| &change.pin))
    }

    /// Returns the Hex repositories of the pinned releases, registry entries and policies that the mirror lacks.
    pub fn repositories_to_fetch(&self) -> BTreeSet<&RepositoryName> {
        let of_releases = self.to_fetch().map(|pin| &pin.id.repository);
        let of_policies = self.policies.iter().map(|id| &id.repository);
        of_releases.chain(self.entries.iter().map(|id| &id.repository)).chain(of_policies).collect()
    }

    /// Returns the releases that an update must fetch.
    pub fn to_fetch(&self) -> impl Iterator<Item = &Pin> {
        self.missing.iter().chain(self.changed.iter().map(|change| &change.pin))
    }
}

impl Pin {
    /// Returns whether a stored release is the pinned one, that is, whether it has every checksum that the lock states.
    pub fn accepts(&self, stored: &StoredRelease) -> bool {
        self.outer.is_none_or(|outer| outer == stored.outer) && self.inner.is_none_or(|inner| inner == stored.inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Lock;

    fn wanted(releases: &[(&str, &str, char)]) -> Wanted {
        let entries: Vec<String> = releases
            .iter()
            .map(|(package, version, digit)| {
                let sum = digit.to_string().repeat(64);
                format!(r#""{package}": {{:hex, :{package}, "{version}", "{sum}", [:mix], [], "hexpm", "{sum}"}}"#)
            })
            .collect();
        let mut wanted = Wanted::default();
        wanted.add(&Lock::parse("mix.lock", format!("%{{{}}}", entries.join(", "))).unwrap()).unwrap();
        wanted
    }

    /// Sorts lines, because a manifest must be sorted.
    fn sorted(lines: impl AsRef<str>) -> String {
        let mut lines: Vec<&str> = lines.as_ref().split_inclusive('\n').collect();
        lines.sort_unstable();
        lines.concat()
    }

    fn manifest(releases: &[(&str, &str, char)]) -> Manifest {
        let line = |(package, version, digit): &(&str, &str, char)| {
            let sum = digit.to_string().repeat(64);
            format!("hex hexpm {package} {version} unpacked 1 {sum} {sum}\n")
        };
        let entries: BTreeSet<&str> = releases.iter().map(|(package, ..)| *package).collect();
        let entries = entries.iter().map(|package| format!("registry hexpm {package} 1 {}\n", "0".repeat(64)));
        sorted(releases.iter().map(line).chain(entries).collect::<String>()).parse().unwrap()
    }

    #[test]
    fn each_release_is_present_missing_or_changed() {
        let wanted = wanted(&[("a", "1.0.0", 'a'), ("b", "2.0.0", 'b'), ("c", "1.0.0", 'c'), ("d", "1.0.0", 'd')]);
        let manifest = manifest(&[("a", "1.0.0", 'a'), ("a", "0.9.0", 'f'), ("b", "1.0.0", 'b'), ("c", "1.0.0", 'f')]);
        let comparison = Comparison::new(&wanted, &manifest);
        let names = |pins: Vec<&Pin>| pins.iter().map(|pin| pin.id.to_string()).collect::<Vec<_>>();
        assert_eq!(comparison.present, 1);
        assert_eq!(names(comparison.missing.iter().collect()), ["d 1.0.0"]);
        assert_eq!(names(comparison.changed.iter().map(|change| &change.pin).collect()), ["b 2.0.0", "c 1.0.0"]);
        assert_eq!(comparison.changed[0].conflict, None);
        assert_eq!(comparison.changed[1].conflict.unwrap().to_string(), "f".repeat(64));
        let extra = Extra::new(&wanted, &manifest).releases;
        assert_eq!(extra.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a 0.9.0", "b 1.0.0"]);
        assert_eq!(comparison.entries.iter().map(ToString::to_string).collect::<Vec<_>>(), ["d"]);
        assert!(!comparison.is_fresh());
        assert_eq!(names(comparison.to_fetch().collect()), ["d 1.0.0", "b 2.0.0", "c 1.0.0"]);
    }

    #[test]
    fn git_revisions_are_compared_by_depth_names_and_submodules() {
        let [one, two] = ["1", "2"].map(|digit| digit.repeat(40));
        let fresh = |options: &str, lines: &str| {
            let mut wanted = Wanted::default();
            let lock = format!(r#"%{{"a": {{:git, "https://h/a", "{one}", [{options}]}}}}"#);
            wanted.add(&Lock::parse("mix.lock", lock).unwrap()).unwrap();
            let lines = lines.replace("ONE", &one).replace("TWO", &two);
            let manifest = sorted(lines).parse().unwrap();
            (Comparison::new(&wanted, &manifest).is_fresh(), Extra::new(&wanted, &manifest).revisions.len())
        };
        assert_eq!(fresh("", ""), (false, 0));
        assert_eq!(fresh("", "git h/a TWO full HEAD\n"), (false, 1));
        assert_eq!(fresh("", "git h/a ONE full HEAD\n"), (true, 0));
        assert_eq!(fresh("", "git h/a ONE full\n"), (false, 0), "HEAD is lacking");
        assert_eq!(fresh("", "git h/a ONE full\ngit h/a TWO full HEAD\n"), (true, 1), "HEAD is elsewhere");
        assert_eq!(fresh("", "git h/a ONE 3 HEAD\n"), (false, 0), "not deep enough");
        assert_eq!(fresh("depth: 2", "git h/a ONE 3 HEAD\n"), (true, 0));
        assert_eq!(fresh("depth: 4", "git h/a ONE 3 HEAD\n"), (false, 0));
        assert_eq!(fresh("depth: 4", "git h/a ONE full HEAD\n"), (true, 0));
        let submodules = "submodules: true";
        assert_eq!(fresh(submodules, "git h/a ONE full HEAD\n"), (false, 0));
        assert_eq!(fresh(submodules, "git h/a ONE full submodules HEAD\n"), (true, 0));
        let with = "git h/a ONE full submodules HEAD\nsubmodule h/a ONE h/b TWO\n";
        assert_eq!(fresh(submodules, with), (false, 0), "the submodule is lacking");
        assert_eq!(fresh(submodules, &format!("{with}git h/b TWO full submodules\n")), (true, 0));
    }

    #[test]
    fn entries_of_one_revision_are_one_want() {
        let one = "1".repeat(40);
        let fresh = |options: [&str; 2], line: &str| {
            let entry = |(app, options)| format!(r#""{app}": {{:git, "https://h/a", "{one}", [{options}]}}"#);
            let mut wanted = Wanted::default();
            let entries = ["one", "two"].into_iter().zip(options).map(entry).collect::<Vec<_>>().join(", ");
            wanted.add(&Lock::parse("mix.lock", format!("%{{{entries}}}")).unwrap()).unwrap();
            let comparison = Comparison::new(&wanted, &line.replace("ONE", &one).parse().unwrap());
            assert_eq!(comparison.is_fresh(), comparison.lacking().is_empty());
            assert!(comparison.lacking().len() < 2, "{:?}", comparison.lacking());
            comparison.is_fresh()
        };
        assert!(fresh([r#"sparse: "one""#, r#"sparse: "two""#], "git h/a ONE full HEAD\n"));
        assert!(!fresh(["depth: 1", "depth: 3"], "git h/a ONE 2 HEAD\n"));
        assert!(fresh(["depth: 1", "depth: 3"], "git h/a ONE 3 HEAD\n"));
        assert!(!fresh(["", "depth: 3"], "git h/a ONE 3 HEAD\n"));
        assert!(!fresh(["", "submodules: true"], "git h/a ONE full HEAD\n"));
        assert!(!fresh(["", r#"branch: "b""#], "git h/a ONE full HEAD\n"));
        assert!(fresh(["", r#"branch: "b""#], "git h/a ONE full HEAD heads/b\n"));
    }

    #[test]
    fn a_policy_is_present_or_lacking() {
        let policies = ["acme/strict", "hexpm:acme/strict"].map(|policy| policy.parse().unwrap());
        let wanted = Wanted { policies: policies.into(), ..wanted(&[("a", "1.0.0", 'a')]) };
        let with = |policy: &str| {
            let line = format!("policy {policy} 1 {}\n", "0".repeat(64));
            let text = manifest(&[("a", "1.0.0", 'a')]).to_string() + &line;
            Comparison::new(&wanted, &sorted(text).parse().unwrap())
        };
        let comparison = with("acme strict");
        assert!(!comparison.is_fresh());
        assert_eq!(comparison.lacking(), ["the policy hexpm:acme/strict"]);
        assert_eq!(comparison.repositories_to_fetch(), [&"hexpm:acme".parse().unwrap()].into());
        let text = sorted(format!("policy acme strict 1 {0}\npolicy hexpm:acme strict 1 {0}\n", "0".repeat(64)));
        assert!(Comparison::new(&Wanted { releases: Default::default(), ..wanted }, &text.parse().unwrap()).is_fresh());
    }

    #[test]
    fn a_mirror_with_everything_is_fresh() {
        let releases = [("a", "1.0.0", 'a'), ("b", "2.0.0", 'b')];
        assert!(Comparison::new(&wanted(&releases), &manifest(&releases)).is_fresh());
        let no_entries: Manifest = manifest(&releases)
            .to_string()
            .lines()
            .filter(|line| line.starts_with("hex"))
            .map(|l| format!("{l}\n"))
            .collect::<String>()
            .parse()
            .unwrap();
        assert!(!Comparison::new(&wanted(&releases), &no_entries).is_fresh());
    }
}
