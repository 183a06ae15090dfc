//! The git repositories that the locks in force pin, directly or through submodules. Git clients are redirected to the
//! mirror for these repositories only.
//!
//! People who may not change a lock may still be able to write to the mirror branch, so the branch alone must not
//! determine what clients see. The branch only tells which revisions may have submodules. The submodules themselves are
//! read from the content of the revision, whose id verifies it. Refs follow from the locks.

use std::collections::{BTreeMap, BTreeSet};

use super::GitPin;
use super::git_want::{RepositoryWant, RevisionWant};
use crate::model::{GitAddress, GitUrl, Manifest, Remotes, Revision, StoredGit, StoredRevision};

/// The maximum number of revisions whose submodules are read.
const MAX_REVISIONS: usize = 2000;

/// The git repositories that locks pin, with the part of each that is visible to clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PinnedRepositories {
    repositories: BTreeMap<GitAddress, PinnedRepository>,
}

/// A git repository that locks pin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PinnedRepository {
    /// The spellings of its address in locks and submodules.
    pub urls: BTreeSet<GitUrl>,
    /// The part that is visible to clients: the pinned revisions that the mirror has, with the refs that locks name.
    pub visible: StoredGit,
}

/// Finds the pinned repositories in rounds, because submodules can have submodules.
#[derive(Debug)]
pub struct SubmoduleResolver<'a> {
    manifest: &'a Manifest,
    remotes: &'a Remotes,
    wants: BTreeMap<GitAddress, RepositoryWant>,
    urls: BTreeMap<GitAddress, BTreeSet<GitUrl>>,
    unresolved: Vec<(GitUrl, Revision)>,
    known: BTreeSet<(GitAddress, Revision)>,
}

impl<'a> SubmoduleResolver<'a> {
    /// Starts with the pins of locks that the mirror contains. Skips remotes of the project.
    pub fn new(pins: &[GitPin], manifest: &'a Manifest, remotes: &'a Remotes) -> Self {
        let mut resolver = Self {
            manifest,
            remotes,
            wants: RepositoryWant::all(pins),
            urls: BTreeMap::new(),
            unresolved: Vec::new(),
            known: BTreeSet::new(),
        };
        let is_remote = |url: &GitUrl| remotes.has(url.address()) || remotes.has_url(url.secret_text());
        let own: BTreeSet<&GitAddress> =
            pins.iter().filter(|pin| is_remote(&pin.url)).map(|pin| pin.url.address()).collect();
        resolver.wants.retain(|address, _| !own.contains(address) && manifest.git.contains_key(address));
        for pin in pins.iter().filter(|pin| !own.contains(pin.url.address())) {
            resolver.record(&pin.url, pin.revision);
        }
        resolver
    }

    /// Removes and returns the revisions whose submodules must be read, each with the address of its repository.
    pub fn take_unresolved(&mut self) -> Vec<(GitUrl, Revision)> {
        std::mem::take(&mut self.unresolved)
    }

    /// Adds the submodules of a pinned revision.
    pub fn add_submodules(&mut self, submodules: impl IntoIterator<Item = (GitUrl, Revision)>) {
        for (url, revision) in submodules {
            let address = url.address();
            let is_remote = self.remotes.has(address) || self.remotes.has_url(url.secret_text());
            if is_remote || !self.has(address, revision) {
                continue;
            }
            let want = self.wants.entry(address.clone()).or_insert_with(|| RepositoryWant::new(url.clone()));
            want.add(revision, RevisionWant { submodules: true, ..RevisionWant::default() });
            self.record(&url, revision);
        }
    }

    /// Returns the result.
    pub fn finish(self) -> PinnedRepositories {
        let Self { manifest, mut urls, wants, .. } = self;
        let pinned = wants.into_iter().filter_map(|(address, want)| {
            let visible = visible(&want, manifest.git.get(&address)?)?;
            let urls = urls.remove(&address).unwrap_or_default();
            Some((address, PinnedRepository { urls, visible }))
        });
        PinnedRepositories { repositories: pinned.collect() }
    }

    fn has(&self, address: &GitAddress, revision: Revision) -> bool {
        self.manifest.git.get(address).is_some_and(|stored| stored.revisions.contains_key(&revision))
    }

    /// Records a pinned revision. Its submodules must be read unless the mirror records that it has none.
    fn record(&mut self, url: &GitUrl, revision: Revision) {
        let address = url.address();
        self.urls.entry(address.clone()).or_default().insert(url.clone());
        let stored = self.manifest.git.get(address).and_then(|stored| stored.revisions.get(&revision));
        let has_submodules = stored.and_then(|stored| stored.submodules.as_ref()).is_some_and(|some| !some.is_empty());
        if has_submodules && self.known.len() < MAX_REVISIONS && self.known.insert((address.clone(), revision)) {
            self.unresolved.push((url.clone(), revision));
        }
    }
}

impl PinnedRepositories {
    /// Returns a pinned repository.
    pub fn get(&self, address: &GitAddress) -> Option<&PinnedRepository> {
        self.repositories.get(address)
    }

    /// Returns all pinned repositories.
    pub fn iter(&self) -> impl Iterator<Item = (&GitAddress, &PinnedRepository)> {
        self.repositories.iter()
    }

    /// Returns whether any pinned repository is on this host.
    pub fn has_host(&self, host: &str) -> bool {
        self.repositories.keys().any(|address| address.host() == host)
    }

    /// Returns whether the address is not that of a pinned repository but begins with the address of one.
    pub fn is_prefix_of(&self, address: &GitAddress) -> bool {
        let begins = |pinned: &GitAddress| pinned.host() == address.host() && address.path().starts_with(pinned.path());
        !self.repositories.contains_key(address) && self.repositories.keys().any(begins)
    }
}

/// Returns the part of a stored repository that is visible to clients; `None` if the mirror has none of the required
/// revisions.
fn visible(want: &RepositoryWant, stored: &StoredGit) -> Option<StoredGit> {
    let wanted = want.revisions.keys().filter_map(|revision| {
        let depth = stored.revisions.get(revision)?.depth;
        Some((*revision, StoredRevision { depth, ..StoredRevision::default() }))
    });
    let revisions: BTreeMap<_, _> = wanted.collect();
    let (packs, shallow) = (stored.packs.clone(), stored.shallow.clone());
    let mut visible = StoredGit { revisions, packs, shallow };
    want.name(&mut visible);
    (!visible.revisions.is_empty()).then_some(visible)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lock::Lock;
    use crate::model::AddressRules;
    use crate::plan::Wanted;

    fn id(digit: char) -> Revision {
        digit.to_string().repeat(40).parse().unwrap()
    }

    /// Parses entries `NAME DIGIT OPTIONS`, in which `NAME` is a repository on the host `h`.
    fn pins(entries: &[(&str, char, &str)]) -> Vec<GitPin> {
        let entry = |(number, (name, digit, options)): (usize, &(&str, char, &str))| {
            format!(r#""app{number}": {{:git, "https://h/{name}.git", "{}", [{options}]}}"#, id(*digit))
        };
        let entries: Vec<String> = entries.iter().enumerate().map(entry).collect();
        let mut wanted = Wanted::default();
        wanted.add(&Lock::parse("mix.lock", format!("%{{{}}}", entries.join(", "))).unwrap()).unwrap();
        wanted.git
    }

    /// Parses a manifest in which a digit stands for a revision.
    fn manifest(lines: &[&str]) -> Manifest {
        let word = |word: &str| match word.parse::<u8>() {
            Ok(0..=9) => id(word.chars().next().unwrap()).to_string(),
            _ => word.to_owned(),
        };
        let line = |line: &&str| line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n";
        let mut lines: Vec<String> = lines.iter().map(line).collect();
        lines.sort();
        lines.concat().parse().unwrap()
    }

    fn remotes(urls: &[&str]) -> Remotes {
        Remotes::new(urls.iter().map(|url| (*url).to_owned()), AddressRules::default())
    }

    /// Finds the pinned repositories without reading submodules.
    fn find_pinned(pins: &[GitPin], manifest: &Manifest, remotes: &Remotes) -> Vec<(String, Vec<String>)> {
        shown(&SubmoduleResolver::new(pins, manifest, remotes).finish())
    }

    /// Returns each address with the target of `HEAD` and all refs. Revisions are shortened to their first digit.
    fn shown(pinned: &PinnedRepositories) -> Vec<(String, Vec<String>)> {
        let repository = |(address, pinned): (&GitAddress, &PinnedRepository)| {
            let refs = pinned.visible.refs().into_iter().map(|(name, revision)| {
                let digit = &revision.to_string()[..1];
                format!("{} {digit}", name.replace(&revision.to_string(), digit))
            });
            (address.to_string(), refs.collect())
        };
        pinned.iter().map(repository).collect()
    }

    fn expected(of: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        let texts = |texts: &&[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        of.iter().map(|(address, refs)| ((*address).to_owned(), texts(refs))).collect()
    }

    const MIRROR: [&str; 5] = [
        "git h/lib 1 full heads/main",
        "git h/lib 2 full HEAD heads/evil tags/v9",
        "git h/acme/app 3 full HEAD",
        "git h/other 4 full HEAD",
        "pack h/lib 5 100",
    ];

    #[test]
    fn only_pinned_revisions_are_seen_with_the_names_that_locks_give_them() {
        let pinned = pins(&[("lib", '1', "branch: \"dev\"")]);
        let visible = [("h/lib", &["refs/heads/dev 1", "refs/heads/hexmirror/1 1"][..])];
        assert_eq!(find_pinned(&pinned, &manifest(&MIRROR), &Remotes::default()), expected(&visible));
        let pinned = SubmoduleResolver::new(&pinned, &manifest(&MIRROR), &Remotes::default()).finish();
        assert_eq!(pinned.get(&"h/lib".parse().unwrap()).unwrap().visible.head().as_deref(), Some("refs/heads/dev"));
        assert!(
            pinned.is_prefix_of(&"h/lib_extra".parse().unwrap()) && !pinned.is_prefix_of(&"h/lib".parse().unwrap())
        );
        assert!(pinned.has_host("h") && !pinned.has_host("i"));
    }

    #[test]
    fn missing_and_unpinned_repositories_are_not_redirected() {
        for pinned in [&[][..], &[("lib", '7', "")], &[("absent", '1', "")]] {
            assert_eq!(find_pinned(&pins(pinned), &manifest(&MIRROR), &Remotes::default()), []);
        }
    }

    #[test]
    fn addresses_of_remotes_are_not_redirected_even_if_a_lock_pins_them() {
        let pinned = pins(&[("acme/app", '3', ""), ("lib", '1', "")]);
        for remote in ["https://H/acme/app", "git@h:Acme/App.git", "ssh://me@h:2222/acme/app/"] {
            let found = find_pinned(&pinned, &manifest(&MIRROR), &remotes(&[remote]));
            assert_eq!(found, expected(&[("h/lib", &["refs/heads/hexmirror/1 1"])]), "{remote}");
        }
    }

    const NESTED: [&str; 6] = [
        "git h/lib 1 full submodules",
        "submodule h/lib 1 h/evil 4",
        "submodule h/lib 1 h/sub 2",
        "git h/sub 2 full submodules",
        "submodule h/sub 2 h/deep 3",
        "git h/deep 3 full",
    ];

    #[test]
    fn submodules_come_from_the_pinned_revision_and_not_from_the_manifest() {
        let manifest = manifest(&[&NESTED[..], &["git h/evil 4 full"]].concat());
        let remotes = remotes(&["https://h/deep2"]);
        let (pinned, url) = (pins(&[("lib", '1', "")]), |name: &str| format!("https://h/{name}").parse().unwrap());
        let mut resolver = SubmoduleResolver::new(&pinned, &manifest, &remotes);
        assert_eq!(resolver.take_unresolved(), [(url("lib.git"), id('1'))]);
        resolver.add_submodules([
            (url("sub"), id('2')),
            (url("absent"), id('2')),
            (url("sub"), id('9')),
            (url("deep2"), id('3')),
        ]);
        assert_eq!(resolver.take_unresolved(), [(url("sub"), id('2'))]);
        // A revision that pins itself as a submodule.
        resolver.add_submodules([(url("deep"), id('3')), (url("sub"), id('2'))]);
        assert_eq!(resolver.take_unresolved(), []);
        let one = |name, reference| (name, vec![reference]);
        let visible = [
            one("h/deep", "refs/heads/hexmirror/3 3"),
            one("h/lib", "refs/heads/hexmirror/1 1"),
            one("h/sub", "refs/heads/hexmirror/2 2"),
        ];
        let visible: Vec<(&str, &[&str])> = visible.iter().map(|(name, refs)| (*name, &refs[..])).collect();
        assert_eq!(shown(&resolver.finish()), expected(&visible));
    }

    proptest! {
        /// Whatever the branch contains, clients see only pinned revisions of pinned repositories, and the refs on the
        /// branch have no effect.
        #[test]
        fn only_addresses_that_locks_pin_are_redirected(
            pinned in prop::collection::vec(("[abc]", "[123]"), 0..4),
            stored in prop::collection::btree_map(("[abcd]", "[1234]"), "( HEAD)?( heads/x)?( tags/v)?", 0..9),
            remote in "[abc]",
        ) {
            let pinned: Vec<(&str, char, &str)> =
                pinned.iter().map(|(name, digit)| (name.as_str(), digit.chars().next().unwrap(), "")).collect();
            let line = |with_names: bool| stored.iter().map(move |((name, digit), names)| {
                format!("git h/{name} {digit} full{}", if with_names { names.as_str() } else { "" })
            }).collect::<Vec<_>>();
            let read = |lines: Vec<String>| manifest(&lines.iter().map(String::as_str).collect::<Vec<_>>());
            let (named, plain) = (read(line(true)), read(line(false)));
            let remotes = remotes(&[&format!("git@h:{remote}")]);
            let pins = pins(&pinned);
            let found = SubmoduleResolver::new(&pins, &named, &remotes).finish();
            prop_assert_eq!(shown(&found), find_pinned(&pins, &plain, &remotes));
            for (address, repository) in found.iter() {
                prop_assert!(!remotes.has(address));
                for revision in repository.visible.refs().values() {
                    let is_it = |pin: &GitPin| pin.url.address() == address && pin.revision == *revision;
                    prop_assert!(pins.iter().any(is_it) && named.git[address].revisions.contains_key(revision));
                }
            }
        }
    }
}
