//! Decides how the local mirror branch follows a remote's: by a fast-forward, by a merge, or not at all.
//!
//! A compacted mirror declares that it replaces its earlier history, so histories without a common commit can still
//! have a merge base.

/// The commits of the local mirror and of a remote's. Each question is asked only if its answer decides something.
pub trait CommitGraph {
    /// The id of a commit.
    type Id: Copy + Eq;
    /// The error of a commit that cannot be read.
    type Error;

    /// Returns whether `old` is `new` or one of its ancestors.
    ///
    /// # Errors
    /// Fails if a commit cannot be read.
    fn is_ancestor(&self, old: Self::Id, new: Self::Id) -> Result<bool, Self::Error>;

    /// Returns the newest common ancestors of two commits.
    ///
    /// # Errors
    /// Fails if a commit cannot be read.
    fn merge_bases(&self, one: Self::Id, other: Self::Id) -> Result<Vec<Self::Id>, Self::Error>;

    /// Returns the commits that the history of `tip` declares to replace, newest first.
    ///
    /// # Errors
    /// Fails if a commit cannot be read.
    fn replaced_by(&self, tip: Self::Id) -> Result<Vec<Self::Id>, Self::Error>;

    /// Returns whether a commit is in this clone.
    fn has(&self, commit: Self::Id) -> bool;

    /// Returns the tips that the remote's mirror had at earlier fetches, newest first.
    ///
    /// # Errors
    /// Fails if the reflog cannot be read.
    fn fetched_tips(&self) -> Result<Vec<Self::Id>, Self::Error>;
}

/// How the local mirror branch relates to a remote's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Divergence<Id> {
    /// There is no local branch.
    NoLocalBranch,
    /// Both have the same tip.
    Equal,
    /// The local branch contains the remote's tip and has newer commits.
    Ahead,
    /// The remote's branch contains the local tip and has newer commits.
    Behind,
    /// Each has commits that the other one lacks.
    Diverged {
        /// The merge bases; none if the histories are unrelated.
        bases: Vec<Id>,
    },
    /// The remote's history was compacted, so it shares no commit with the local one.
    CompactedThere {
        /// The merge bases, as far as they are known.
        bases: Vec<Id>,
    },
    /// The local history was compacted, and the remote still has the earlier history.
    CompactedHere {
        /// The merge bases, as far as they are known.
        bases: Vec<Id>,
        /// Whether the local history replaces all commits of the remote's.
        replaces_all: bool,
    },
}

/// A merge that was made for a push, which another push then overtook. If the branch still points to it, the next merge
/// replaces it, so that the history has one merge instead of one per attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupersededMerge<Id> {
    /// The branch's tip before the merge.
    pub own: Id,
    /// The remote tip that was merged.
    pub theirs: Id,
    /// The merge commit.
    pub merged: Id,
}

/// The plan of a synchronisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncPlan<Id> {
    /// How the branches relate.
    pub divergence: Divergence<Id>,
    /// The local commit that is compared with the remote's, if it is not the local tip: the one before a superseded
    /// merge.
    pub own: Option<Id>,
}

impl<Id: Copy + Eq> SyncPlan<Id> {
    /// Plans how the local branch follows the remote's. `local` is its tip, if it exists.
    ///
    /// # Errors
    /// Fails if a commit cannot be read.
    pub fn new<G: CommitGraph<Id = Id>>(
        graph: &G,
        local: Option<Id>,
        remote: Id,
        superseded: Option<SupersededMerge<Id>>,
    ) -> Result<Self, G::Error> {
        let Some(local) = local else { return Ok(Divergence::NoLocalBranch.into()) };
        if local == remote {
            return Ok(Divergence::Equal.into());
        } else if graph.is_ancestor(remote, local)? {
            return Ok(Divergence::Ahead.into());
        } else if graph.is_ancestor(local, remote)? {
            return Ok(Divergence::Behind.into());
        }
        // The remote must still have everything that it had at the superseded merge.
        let own = match superseded.filter(|superseded| superseded.merged == local) {
            Some(superseded) if graph.is_ancestor(superseded.theirs, remote)? => Some(superseded.own),
            _ => None,
        };
        Ok(Self { divergence: Divergence::of(graph, own.unwrap_or(local), remote)?, own })
    }
}

impl<Id> From<Divergence<Id>> for SyncPlan<Id> {
    fn from(divergence: Divergence<Id>) -> Self {
        Self { divergence, own: None }
    }
}

impl<Id: Copy + Eq> Divergence<Id> {
    /// Compares two commits, neither of which is an ancestor of the other.
    fn of<G: CommitGraph<Id = Id>>(graph: &G, own: Id, remote: Id) -> Result<Self, G::Error> {
        let bases = graph.merge_bases(own, remote)?;
        if !bases.is_empty() {
            return Ok(Self::Diverged { bases });
        }
        let (replaced_here, replaced_there) = (graph.replaced_by(own)?, graph.replaced_by(remote)?);
        if !replaced_there.is_empty() {
            let (ours, theirs) = ([vec![own], replaced_here].concat(), [vec![remote], replaced_there].concat());
            let mut bases = first_bases(graph, &ours, &theirs)?;
            if bases.is_empty() {
                bases.extend(fork_point(graph, own)?);
            }
            return Ok(Self::CompactedThere { bases });
        }
        if replaced_here.is_empty() {
            return Ok(Self::Diverged { bases });
        }
        let bases = first_bases(graph, &[remote], &replaced_here)?;
        Ok(Self::CompactedHere { bases, replaces_all: covers(graph, own, remote)? })
    }
}

/// Returns whether a history contains a commit, or replaced it on purpose.
///
/// # Errors
/// Fails if a commit cannot be read.
pub fn covers<G: CommitGraph>(graph: &G, own: G::Id, other: G::Id) -> Result<bool, G::Error> {
    if own == other || graph.is_ancestor(other, own)? {
        return Ok(true);
    }
    for replaced in graph.replaced_by(own)? {
        if replaced == other || graph.has(replaced) && graph.is_ancestor(other, replaced)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the merge bases of the first pair of commits, one from each list, that has any.
fn first_bases<G: CommitGraph>(graph: &G, some: &[G::Id], others: &[G::Id]) -> Result<Vec<G::Id>, G::Error> {
    for one in some.iter().filter(|one| graph.has(**one)) {
        for other in others.iter().filter(|other| graph.has(**other)) {
            let bases = graph.merge_bases(*one, *other)?;
            if !bases.is_empty() {
                return Ok(bases);
            }
        }
    }
    Ok(Vec::new())
}

/// Returns the newest commit of the remote's mirror, as fetched earlier, that the local history contains. This is what
/// `git merge-base --fork-point` does.
fn fork_point<G: CommitGraph>(graph: &G, own: G::Id) -> Result<Option<G::Id>, G::Error> {
    for fetched in graph.fetched_tips()? {
        if graph.has(fetched) && covers(graph, own, fetched)? {
            return Ok(Some(fetched));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// A history in which each commit has a letter.
    #[derive(Debug, Default)]
    struct Graph {
        parents: BTreeMap<char, Vec<char>>,
        replaces: BTreeMap<char, char>,
        fetched: Vec<char>,
    }

    impl Graph {
        /// Parses commits such as `c:ab` (a merge of a and b) and `x=c` (a root that replaces c).
        fn parse(text: &str, fetched: &str) -> Self {
            let mut graph = Self { fetched: fetched.chars().collect(), ..Self::default() };
            for commit in text.split(' ') {
                let (id, rest) = commit.split_at(1);
                let id = id.chars().next().unwrap();
                match rest.split_at_checked(1) {
                    Some((":", parents)) => drop(graph.parents.insert(id, parents.chars().collect())),
                    Some(("=", replaced)) => {
                        graph.parents.insert(id, Vec::new());
                        graph.replaces.extend(replaced.chars().map(|replaced| (id, replaced)));
                    }
                    _ => drop(graph.parents.insert(id, Vec::new())),
                }
            }
            graph
        }

        fn history(&self, tip: char) -> BTreeSet<char> {
            let parents = self.parents.get(&tip).into_iter().flatten();
            parents.flat_map(|parent| self.history(*parent)).chain([tip]).collect()
        }
    }

    impl CommitGraph for Graph {
        type Id = char;
        type Error = Infallible;

        fn is_ancestor(&self, old: char, new: char) -> Result<bool, Infallible> {
            Ok(self.history(new).contains(&old))
        }

        fn merge_bases(&self, one: char, other: char) -> Result<Vec<char>, Infallible> {
            let common: BTreeSet<char> = self.history(one).intersection(&self.history(other)).copied().collect();
            let is_newest = |id: &char| !common.iter().any(|newer| newer != id && self.history(*newer).contains(id));
            Ok(common.iter().copied().filter(is_newest).collect())
        }

        fn replaced_by(&self, tip: char) -> Result<Vec<char>, Infallible> {
            Ok(self.history(tip).iter().filter_map(|id| self.replaces.get(id)).copied().collect())
        }

        fn has(&self, commit: char) -> bool {
            self.parents.contains_key(&commit)
        }

        fn fetched_tips(&self) -> Result<Vec<char>, Infallible> {
            Ok(self.fetched.clone())
        }
    }

    #[test]
    fn the_histories_decide_how_the_local_branch_follows() {
        let compacted_here =
            |bases: &str, replaces_all| Divergence::CompactedHere { bases: bases.chars().collect(), replaces_all };
        let compacted_there = |bases: &str| Divergence::CompactedThere { bases: bases.chars().collect() };
        let diverged = |bases: &str| Divergence::Diverged { bases: bases.chars().collect() };
        for (commits, fetched, local, remote, expected) in [
            ("a", "", None, 'a', Divergence::NoLocalBranch),
            ("a", "", Some('a'), 'a', Divergence::Equal),
            ("a b:a", "", Some('b'), 'a', Divergence::Ahead),
            ("a b:a", "", Some('a'), 'b', Divergence::Behind),
            ("a b:a c:a", "", Some('b'), 'c', diverged("a")),
            ("a b", "", Some('a'), 'b', diverged("")),
            // Two merges of the same commits have two merge bases.
            ("a b:a c:a d:bc e:bc", "", Some('d'), 'e', diverged("bc")),
            ("a b:a x=b", "", Some('b'), 'x', compacted_there("b")),
            ("a b:a c:b x=b", "", Some('c'), 'x', compacted_there("b")),
            // The commit that the remote's history replaces was never fetched; an earlier tip was.
            ("a b:a c:b x=z", "zb", Some('c'), 'x', compacted_there("b")),
            ("a x=z", "", Some('a'), 'x', compacted_there("")),
            ("a b:a x=b", "", Some('x'), 'b', compacted_here("b", true)),
            ("a b:a c:b x=b", "", Some('x'), 'c', compacted_here("b", false)),
            // Both sides compacted the same history.
            ("a b:a x=b y=b", "", Some('x'), 'y', compacted_there("b")),
        ] {
            let graph = Graph::parse(commits, fetched);
            let Ok(plan) = SyncPlan::new(&graph, local, remote, None);
            assert_eq!(plan, expected.into(), "{commits}: {local:?}, {remote}");
        }
    }

    #[test]
    fn a_superseded_merge_is_made_again_while_the_branch_points_to_it() {
        // `m` merged our `b` with their `c`; then they got `d`.
        let graph = Graph::parse("a b:a c:a m:bc d:c e:a n:m", "");
        let superseded = Some(SupersededMerge { own: 'b', theirs: 'c', merged: 'm' });
        for (local, remote, own, bases) in [
            ('m', 'd', Some('b'), vec!['a']),
            // The branch has moved on, or the remote's history was replaced.
            ('n', 'd', None, vec!['c']),
            ('m', 'e', None, vec!['a']),
        ] {
            let Ok(plan) = SyncPlan::new(&graph, Some(local), remote, superseded);
            assert_eq!(plan, SyncPlan { divergence: Divergence::Diverged { bases }, own }, "{local}, {remote}");
        }
    }

    /// Generates a history in which each commit has at most two of the earlier ones as parents.
    fn graphs() -> impl Strategy<Value = Graph> {
        prop::collection::vec(any::<[u8; 2]>(), 1..8).prop_map(|choices| {
            let id = |index: usize| char::from(b'a' + index as u8);
            let mut graph = Graph::default();
            for (index, choices) in choices.iter().enumerate() {
                let parents = choices.iter().map(|choice| usize::from(*choice) % (index + 2));
                graph.parents.insert(id(index), parents.filter(|parent| *parent < index).map(id).collect());
            }
            graph
        })
    }

    proptest! {
        #[test]
        fn swapping_the_sides_swaps_ahead_and_behind(graph in graphs(), choices in any::<[prop::sample::Index; 2]>()) {
            let ids: Vec<char> = graph.parents.keys().copied().collect();
            let [one, other] = choices.map(|choice| *choice.get(&ids));
            let Ok(here) = SyncPlan::new(&graph, Some(one), other, None);
            let Ok(there) = SyncPlan::new(&graph, Some(other), one, None);
            let opposite = match there.divergence {
                Divergence::Ahead => Divergence::Behind,
                Divergence::Behind => Divergence::Ahead,
                same => same,
            };
            prop_assert_eq!(&here.divergence, &opposite);
            let Ok(covered) = covers(&graph, one, other);
            prop_assert_eq!(covered, matches!(here.divergence, Divergence::Equal | Divergence::Ahead));
        }
    }
}
