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
pub struct Led {
    repositories: BTreeMap<GitAddress, LedRepository>,
}

/// A git repository that locks pin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedRepository {
    /// The spellings of its address in locks and submodules.
    pub urls: BTreeSet<GitUrl>,
    /// The part that is visible to clients: the pinned revisions that the mirror has, with the refs that locks name.
    pub seen: StoredGit,
}

/// Finds the pinned repositories in rounds, because submodules can have submodules.
#[derive(Debug)]
pub struct Leading<'a> {
    manifest: &'a Manifest,
    remotes: &'a Remotes,
    wants: BTreeMap<GitAddress, RepositoryWant>,
    urls: BTreeMap<GitAddress, BTreeSet<GitUrl>>,
    unread: Vec<(GitUrl, Revision)>,
    known: BTreeSet<(GitAddress, Revision)>,
}

impl<'a> Leading<'a> {
    /// Starts with the pins of locks that the mirror contains. Skips remotes of the project.
    pub fn new(pins: &[GitPin], manifest: &'a Manifest, remotes: &'a Remotes) -> Self {
        let mut leading = Self {
            manifest,
            remotes,
            wants: RepositoryWant::all(pins),
            urls: BTreeMap::new(),
            unread: Vec::new(),
            known: BTreeSet::new(),
        };
        let is_remote = |url: &GitUrl| remotes.has(url.address()) || remotes.has_url(url.secret_text());
        let own: BTreeSet<&GitAddress> =
            pins.iter().filter(|pin| is_remote(&pin.url)).map(|pin| pin.url.address()).collect();
        leading.wants.retain(|address, _| !own.contains(address) && manifest.git.contains_key(address));
        for pin in pins.iter().filter(|pin| !own.contains(pin.url.address())) {
            leading.look_at(&pin.url, pin.revision);
        }
        leading
    }

    /// Removes and returns the revisions whose submodules must be read, each with the address of its repository.
    pub fn unread(&mut self) -> Vec<(GitUrl, Revision)> {
        std::mem::take(&mut self.unread)
    }

    /// Adds the submodules of a pinned revision.
    pub fn learn(&mut self, submodules: impl IntoIterator<Item = (GitUrl, Revision)>) {
        for (url, revision) in submodules {
            let address = url.address();
            let is_remote = self.remotes.has(address) || self.remotes.has_url(url.secret_text());
            if is_remote || !self.has(address, revision) {
                continue;
            }
            let want = self.wants.entry(address.clone()).or_insert_with(|| RepositoryWant::new(url.clone()));
            want.add(revision, RevisionWant { submodules: true, ..RevisionWant::default() });
            self.look_at(&url, revision);
        }
    }

    /// Returns the result.
    pub fn finish(self) -> Led {
        let Self { manifest, mut urls, wants, .. } = self;
        let led = wants.into_iter().filter_map(|(address, want)| {
            let seen = seen(&want, manifest.git.get(&address)?)?;
            let urls = urls.remove(&address).unwrap_or_default();
            Some((address, LedRepository { urls, seen }))
        });
        Led { repositories: led.collect() }
    }

    fn has(&self, address: &GitAddress, revision: Revision) -> bool {
        self.manifest.git.get(address).is_some_and(|stored| stored.revisions.contains_key(&revision))
    }

    /// Records a pinned revision. Its submodules must be read unless the mirror records that it has none.
    fn look_at(&mut self, url: &GitUrl, revision: Revision) {
        let address = url.address();
        self.urls.entry(address.clone()).or_default().insert(url.clone());
        let stored = self.manifest.git.get(address).and_then(|stored| stored.revisions.get(&revision));
        let has_submodules = stored.and_then(|stored| stored.submodules.as_ref()).is_some_and(|some| !some.is_empty());
        if has_submodules && self.known.len() < MAX_REVISIONS && self.known.insert((address.clone(), revision)) {
            self.unread.push((url.clone(), revision));
        }
    }
}

impl Led {
    /// Returns a pinned repository.
    pub fn get(&self, address: &GitAddress) -> Option<&LedRepository> {
        self.repositories.get(address)
    }

    /// Returns all pinned repositories.
    pub fn iter(&self) -> impl Iterator<Item = (&GitAddress, &LedRepository)> {
        self.repositories.iter()
    }

    /// Returns whether any pinned repository is on this host.
    pub fn has_host(&self, host: &str) -> bool {
        self.repositories.keys().any(|address| address.host() == host)
    }

    /// Returns whether the address is not that of a pinned repository but begins with the address of one.
    pub fn is_beside(&self, address: &GitAddress) -> bool {
        let begins = |led: &GitAddress| led.host() == address.host() && address.path().starts_with(led.path());
        !self.repositories.contains_key(address) && self.repositories.keys().any(begins)
    }
}

/// Returns the part of a stored repository that is visible to clients; `None` if the mirror has none of the required
/// revisions.
fn seen(want: &RepositoryWant, stored: &StoredGit) -> Option<StoredGit> {
    let wanted = want.revisions.keys().filter_map(|revision| {
        let depth = stored.revisions.get(revision)?.depth;
        Some((*revision, StoredRevision { depth, ..StoredRevision::default() }))
    });
    let revisions: BTreeMap<_, _> = wanted.collect();
    let (packs, shallow) = (stored.packs.clone(), stored.shallow.clone());
    let mut seen = StoredGit { revisions, packs, shallow };
    want.name(&mut seen);
    (!seen.revisions.is_empty()).then_some(seen)
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
    fn led(pins: &[GitPin], manifest: &Manifest, remotes: &Remotes) -> Vec<(String, Vec<String>)> {
        shown(&Leading::new(pins, manifest, remotes).finish())
    }

    /// Returns each address with the target of `HEAD` and all refs. Revisions are shortened to their first digit.
    fn shown(led: &Led) -> Vec<(String, Vec<String>)> {
        let repository = |(address, led): (&GitAddress, &LedRepository)| {
            let refs = led.seen.refs().into_iter().map(|(name, revision)| {
                let digit = &revision.to_string()[..1];
                format!("{} {digit}", name.replace(&revision.to_string(), digit))
            });
            (address.to_string(), refs.collect())
        };
        led.iter().map(repository).collect()
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
        let seen = [("h/lib", &["refs/heads/dev 1", "refs/heads/hexmirror/1 1"][..])];
        assert_eq!(led(&pinned, &manifest(&MIRROR), &Remotes::default()), expected(&seen));
        let led = Leading::new(&pinned, &manifest(&MIRROR), &Remotes::default()).finish();
        assert_eq!(led.get(&"h/lib".parse().unwrap()).unwrap().seen.head().as_deref(), Some("refs/heads/dev"));
        assert!(led.is_beside(&"h/lib_extra".parse().unwrap()) && !led.is_beside(&"h/lib".parse().unwrap()));
        assert!(led.has_host("h") && !led.has_host("i"));
    }

    #[test]
    fn what_the_mirror_lacks_and_what_no_lock_pins_leads_nowhere() {
        for pinned in [&[][..], &[("lib", '7', "")], &[("absent", '1', "")]] {
            assert_eq!(led(&pins(pinned), &manifest(&MIRROR), &Remotes::default()), []);
        }
    }

    #[test]
    fn a_remote_leads_nowhere_even_if_a_lock_pins_it() {
        let pinned = pins(&[("acme/app", '3', ""), ("lib", '1', "")]);
        for remote in ["https://H/acme/app", "git@h:Acme/App.git", "ssh://me@h:2222/acme/app/"] {
            let found = led(&pinned, &manifest(&MIRROR), &remotes(&[remote]));
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
    fn submodules_are_what_a_pinned_revision_pins_and_not_what_the_mirror_says() {
        let manifest = manifest(&[&NESTED[..], &["git h/evil 4 full"]].concat());
        let remotes = remotes(&["https://h/deep2"]);
        let (pinned, url) = (pins(&[("lib", '1', "")]), |name: &str| format!("https://h/{name}").parse().unwrap());
        let mut leading = Leading::new(&pinned, &manifest, &remotes);
        assert_eq!(leading.unread(), [(url("lib.git"), id('1'))]);
        leading.learn([
            (url("sub"), id('2')),
            (url("absent"), id('2')),
            (url("sub"), id('9')),
            (url("deep2"), id('3')),
        ]);
        assert_eq!(leading.unread(), [(url("sub"), id('2'))]);
        // A revision that pins itself as a submodule.
        leading.learn([(url("deep"), id('3')), (url("sub"), id('2'))]);
        assert_eq!(leading.unread(), []);
        let one = |name, reference| (name, vec![reference]);
        let seen = [
            one("h/deep", "refs/heads/hexmirror/3 3"),
            one("h/lib", "refs/heads/hexmirror/1 1"),
            one("h/sub", "refs/heads/hexmirror/2 2"),
        ];
        let seen: Vec<(&str, &[&str])> = seen.iter().map(|(name, refs)| (*name, &refs[..])).collect();
        assert_eq!(shown(&leading.finish()), expected(&seen));
    }

    proptest! {
        /// Whatever the branch contains, clients see only pinned revisions of pinned repositories, and the refs on the
        /// branch have no effect.
        #[test]
        fn nothing_but_the_locks_leads_anywhere(
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
            let found = Leading::new(&pins, &named, &remotes).finish();
            prop_assert_eq!(shown(&found), led(&pins, &plain, &remotes));
            for (address, repository) in found.iter() {
                prop_assert!(!remotes.has(address));
                for revision in repository.seen.refs().values() {
                    let is_it = |pin: &GitPin| pin.url.address() == address && pin.revision == *revision;
                    prop_assert!(pins.iter().any(is_it) && named.git[address].revisions.contains_key(revision));
                }
            }
        }
    }
}
