//! Plans a fetch of git repositories: what to fetch, and what to record in the manifest afterwards.
//!
//! The plan proceeds in rounds, because the submodules of a revision are only known after it was fetched. Whether a
//! mirror is fresh ([`super::Comparison`]) follows from the same requirements, so a mirror is fresh after the plan was
//! carried out.

use std::collections::{BTreeMap, BTreeSet};

use super::GitPin;
use super::git_want::{RepositoryWant, RevisionWant, with_submodules};
use crate::model::{GitAddress, GitUrl, Manifest, Revision, StoredGit};

/// The maximum nesting of submodules, and the maximum number of revisions that they may pin in total.
const MAX_NESTING: usize = 16;
const MAX_REVISIONS: usize = 2000;

/// The result of one round of fetches for one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchedRevisions {
    /// The submodules of each revision whose submodules are required.
    pub submodules: BTreeMap<Revision, Vec<(GitUrl, Revision)>>,
    /// The optional revisions that upstream no longer has.
    pub dropped: BTreeSet<Revision>,
}

/// A plan of what to fetch from git repositories.
#[derive(Debug, Clone, Default)]
pub struct GitPlan {
    before: Manifest,
    wants: BTreeMap<GitAddress, RepositoryWant>,
    /// The revisions in the mirror that the pins require, including their known submodules.
    needed: BTreeSet<(GitAddress, Revision)>,
    learned: BTreeMap<GitAddress, FetchedRevisions>,
    round: BTreeSet<GitAddress>,
    next: BTreeSet<GitAddress>,
    failed: BTreeSet<GitAddress>,
    rounds: usize,
    submodules: usize,
}

impl GitPlan {
    /// Plans what to fetch for the pins, in addition to what the mirror has.
    pub fn new(pins: &[GitPin], manifest: &Manifest) -> Self {
        let wants = RepositoryWant::all(pins);
        let unmet = wants.iter().filter(|(address, want)| !want.is_met(address, manifest));
        let round: BTreeSet<GitAddress> = unmet.map(|(address, _)| address.clone()).collect();
        if round.is_empty() {
            return Self::default();
        }
        let needed = with_submodules(pins.iter().map(|pin| (pin.url.address().clone(), pin.revision)), manifest);
        let before = Manifest { git: manifest.git.clone(), ..Manifest::default() };
        let mut plan = Self { before, wants, needed, round, ..Self::default() };
        plan.choose_depths();
        plan
    }

    /// Returns whether there is nothing to fetch.
    pub fn is_empty(&self) -> bool {
        self.round.is_empty() && self.learned.is_empty()
    }

    /// Returns the repositories to fetch in this round.
    pub fn next_round(&self) -> impl Iterator<Item = (&GitAddress, &RepositoryWant)> {
        self.round.iter().filter_map(|address| self.wants.get_key_value(address))
    }

    /// Records the result of fetching a repository.
    pub fn record(&mut self, address: &GitAddress, learned: FetchedRevisions) {
        for (url, revision) in learned.submodules.values().flatten() {
            self.add_submodule(url, *revision);
        }
        let known = self.learned.entry(address.clone()).or_default();
        known.submodules.extend(learned.submodules);
        // Each round fetches everything that is required. A revision that an earlier round could drop may be required
        // now.
        known.dropped = learned.dropped;
    }

    /// Records that a repository could not be fetched.
    pub fn record_failure(&mut self, address: &GitAddress) {
        self.failed.insert(address.clone());
    }

    /// Starts the next round. Returns whether there is anything to fetch in it.
    ///
    /// # Errors
    /// Returns the address of a submodule's repository if submodules are nested too deeply or too numerous.
    pub fn advance(&mut self) -> Result<bool, GitAddress> {
        self.round = std::mem::take(&mut self.next);
        self.round.retain(|address| !self.failed.contains(address));
        let too_many = self.rounds > MAX_NESTING || self.submodules > MAX_REVISIONS;
        if let Some(address) = self.round.first().filter(|_| too_many) {
            return Err(address.clone());
        }
        self.rounds += 1;
        self.choose_depths();
        Ok(!self.round.is_empty())
    }

    /// Returns the repositories that were fetched completely, with the requirements for each.
    pub fn fetched(&self) -> impl Iterator<Item = (&GitAddress, &RepositoryWant)> {
        let fetched = self.learned.keys().filter(|address| !self.failed.contains(*address));
        fetched.filter_map(|address| self.wants.get_key_value(address))
    }

    /// Returns the manifest's record of a fetched repository. The list of packs and the shallow commits are unchanged,
    /// because they are only known after packing.
    pub fn stored(&self, address: &GitAddress) -> StoredGit {
        let before = self.before.git.get(address).cloned().unwrap_or_default();
        let mut stored = before.clone();
        let learned = self.learned.get(address).cloned().unwrap_or_default();
        let Some(wanted) = self.wants.get(address) else { return stored };
        for (revision, want) in &wanted.revisions {
            let there = stored.revisions.entry(*revision).or_default();
            there.depth = match before.revisions.get(revision) {
                Some(before) => before.depth.zip(want.depth).map(|(one, other)| one.max(other)),
                None => want.depth,
            };
            if let Some(submodules) = learned.submodules.get(revision)
                && submodules.iter().all(|(url, _)| !self.failed.contains(url.address()))
            {
                let pinned = submodules.iter().map(|(url, revision)| (url.address().clone(), *revision));
                there.submodules = Some(pinned.collect());
            }
        }
        stored.revisions.retain(|revision, _| !learned.dropped.contains(revision));
        wanted.name(&mut stored);
        stored
    }

    fn add_submodule(&mut self, url: &GitUrl, revision: Revision) {
        let address = url.address();
        let want = self.wants.entry(address.clone()).or_insert_with(|| RepositoryWant::new(url.clone()));
        let is_more = want.add(revision, RevisionWant { submodules: true, ..RevisionWant::default() });
        let is_fetched = self.round.contains(address) || self.learned.contains_key(address);
        if is_fetched && is_more || !is_fetched && !want.is_met(address, &self.before) {
            self.submodules += usize::from(is_more);
            self.next.insert(address.clone());
        } else if !is_fetched {
            self.require(address.clone(), revision);
        }
    }

    /// Records that a revision in the mirror and its submodules are required.
    fn require(&mut self, address: GitAddress, revision: Revision) {
        for (address, revision) in with_submodules([(address, revision)], &self.before) {
            let want = self.wants.get_mut(&address).and_then(|want| want.revisions.get_mut(&revision));
            want.into_iter().for_each(|want| want.optional = false);
            self.needed.insert((address, revision));
        }
    }

    /// Decides whether each repository of the round is stored shallow or in full. If this changes, everything stored
    /// must be fetched again.
    fn choose_depths(&mut self) {
        for address in &self.round {
            let before = self.before.git.get(address);
            let Some(want) = self.wants.get_mut(address) else { continue };
            if !want.is_shallow(before) {
                want.revisions.values_mut().for_each(|want| want.depth = None);
            }
            let Some(before) = before.filter(|before| !want.builds_on(before)) else { continue };
            for revision in before.revisions.keys() {
                let optional = !self.needed.contains(&(address.clone(), *revision));
                let stored = RevisionWant { optional, ..RevisionWant::default() };
                want.revisions.entry(*revision).or_insert(stored);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Lock;
    use crate::plan::Wanted;

    fn id(digit: char) -> Revision {
        digit.to_string().repeat(40).parse().unwrap()
    }

    /// Creates a plan for entries `NAME DIGIT OPTIONS` and a manifest in which `ONE` and `TWO` stand for revisions.
    fn plan(entries: &[(&str, char, &str)], manifest: &str) -> GitPlan {
        let entry = |(name, digit, options): &(&str, char, &str)| {
            format!(r#""{name}": {{:git, "https://h/{name}", "{}", [{options}]}}"#, id(*digit))
        };
        let entries: Vec<String> = entries.iter().map(entry).collect();
        let mut wanted = Wanted::default();
        wanted.add(&Lock::parse("mix.lock", format!("%{{{}}}", entries.join(", "))).unwrap()).unwrap();
        let manifest = manifest.replace("ONE", &id('1').to_string()).replace("TWO", &id('2').to_string());
        GitPlan::new(&wanted.git, &manifest.parse().unwrap())
    }

    fn is_optional(plan: &GitPlan, name: &str, digit: char) -> bool {
        plan.wants[&format!("h/{name}").parse().unwrap()].revisions[&id(digit)].optional
    }

    #[test]
    fn shallow_submodules_of_pinned_revisions_are_required() {
        let mirror =
            "git h/x ONE full submodules HEAD\ngit h/y ONE 1 submodules\nshallow h/y ONE\nsubmodule h/x ONE h/y ONE\n";
        let y = ("y", '2', "");
        assert!(is_optional(&plan(&[y], mirror), "y", '1'));
        assert!(!is_optional(&plan(&[("x", '1', "submodules: true"), y], mirror), "y", '1'));
    }

    #[test]
    fn shallow_submodules_of_mirrored_submodules_are_required() {
        let mirror =
            "git h/y ONE 1 submodules\ngit h/z ONE full submodules\nshallow h/y ONE\nsubmodule h/z ONE h/y ONE\n";
        let mut plan = plan(&[("x", '2', "submodules: true"), ("y", '2', "")], mirror);
        assert!(is_optional(&plan, "y", '1'));
        let submodules = BTreeMap::from([(id('2'), vec![("https://h/z".parse().unwrap(), id('1'))])]);
        plan.record(&"h/x".parse().unwrap(), FetchedRevisions { submodules, ..FetchedRevisions::default() });
        assert!(!is_optional(&plan, "y", '1'));
        assert!(plan.next_round().all(|(address, _)| address.to_string() != "h/z"), "it is there already");
    }
}
