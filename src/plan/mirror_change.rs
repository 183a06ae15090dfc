//! The changes between two states of a mirror, for its log.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    EntryChecksum, EntryId, Fingerprint, GitAddress, GitName, Manifest, PolicyId, ReleaseId, RepositoryName, Revision,
    StoredGit, StoredRevision, Version,
};

/// A change of something in the mirror. Both sides are the same if only the content changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MirrorChange {
    /// A release was added, removed, or added beside or instead of another one.
    Release {
        /// The package.
        package: EntryId,
        /// The version before.
        from: Option<Version>,
        /// The version after.
        to: Option<Version>,
    },
    /// A git revision was added, removed, or added beside or instead of another one.
    Revision {
        /// The repository.
        address: GitAddress,
        /// The revision before.
        from: Option<Revision>,
        /// The revision after.
        to: Option<Revision>,
    },
    /// A ref of a git repository was added, removed or moved, although its revision is in both states.
    Ref {
        /// The repository.
        address: GitAddress,
        /// The ref.
        name: GitName,
        /// Its revision before.
        from: Option<Revision>,
        /// Its revision after.
        to: Option<Revision>,
    },
    /// A policy was added, removed or replaced.
    Policy {
        /// The policy.
        policy: PolicyId,
        /// The checksum of the signed message before.
        from: Option<EntryChecksum>,
        /// The checksum after.
        to: Option<EntryChecksum>,
    },
    /// The pinned index of a repository was added, removed or built again.
    Index {
        /// The repository.
        repository: RepositoryName,
        /// Its signer before.
        from: Option<Fingerprint>,
        /// Its signer after.
        to: Option<Fingerprint>,
        /// The packages whose entries in it changed.
        packages: BTreeSet<EntryId>,
    },
}

/// The kinds of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirrorChangeKind {
    /// The mirror had nothing of it before.
    Added,
    /// The mirror had another version or other content before.
    Updated,
    /// The mirror no longer has it.
    Removed,
}

/// The changes between two states of a mirror.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MirrorChanges {
    /// The releases, git revisions, refs, policies and pinned indexes, each sorted by name.
    pub contents: Vec<MirrorChange>,
    /// The packages whose registry entries were added, changed or removed.
    pub entries: BTreeSet<EntryId>,
}

impl MirrorChange {
    /// Returns the kind of change.
    pub fn kind(&self) -> MirrorChangeKind {
        let sides = match self {
            Self::Release { from, to, .. } => (from.is_some(), to.is_some()),
            Self::Revision { from, to, .. } | Self::Ref { from, to, .. } => (from.is_some(), to.is_some()),
            Self::Policy { from, to, .. } => (from.is_some(), to.is_some()),
            Self::Index { from, to, .. } => (from.is_some(), to.is_some()),
        };
        match sides {
            (false, _) => MirrorChangeKind::Added,
            (true, true) => MirrorChangeKind::Updated,
            (true, false) => MirrorChangeKind::Removed,
        }
    }
}

impl MirrorChanges {
    /// Compares two states of a mirror, of which the manifests may list only a part, the same of both.
    pub fn between(before: &Manifest, after: &Manifest) -> Self {
        let contents = [
            releases(before, after),
            revisions(before, after),
            refs(before, after),
            policies(before, after),
            indexes(before, after),
        ];
        Self { contents: contents.concat(), entries: entries(before, after) }
    }

    /// Returns whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.contents.is_empty() && self.entries.is_empty()
    }
}

fn releases(before: &Manifest, after: &Manifest) -> Vec<MirrorChange> {
    let packages: BTreeSet<EntryId> = differing(&before.releases, &after.releases).map(ReleaseId::entry).collect();
    let mut changes = Vec::new();
    for package in packages {
        let versions = |manifest: &Manifest| -> BTreeSet<Version> {
            manifest.releases_of(&package.repository, &package.package).map(|(id, _)| id.version.clone()).collect()
        };
        let content = |manifest: &Manifest, version: &Version| {
            let EntryId { repository, package } = package.clone();
            let id = ReleaseId { repository, package, version: version.clone() };
            manifest.releases.get(&id).map(|stored| (stored.outer, stored.inner))
        };
        let is_other = |version: &Version| content(before, version) != content(after, version);
        let pairs = pairs(&versions(before), &versions(after), is_other, |kept, added| previous(kept, added).cloned());
        changes.extend(pairs.into_iter().map(|(from, to)| MirrorChange::Release {
            package: package.clone(),
            from,
            to,
        }));
    }
    changes
}

fn revisions(before: &Manifest, after: &Manifest) -> Vec<MirrorChange> {
    let mut changes = Vec::new();
    for address in before.git.keys().chain(after.git.keys()).collect::<BTreeSet<_>>() {
        let revisions = |manifest: &Manifest| -> BTreeSet<Revision> {
            manifest.git.get(address).into_iter().flat_map(|stored| stored.revisions.keys().copied()).collect()
        };
        // Revisions have no order, so one of several is not the obvious predecessor.
        let predecessor = |kept: &BTreeSet<Revision>, _: &Revision| kept.first().filter(|_| kept.len() == 1).copied();
        let pairs = pairs(&revisions(before), &revisions(after), |_| false, predecessor);
        changes.extend(pairs.into_iter().map(|(from, to)| MirrorChange::Revision {
            address: address.clone(),
            from,
            to,
        }));
    }
    changes
}

fn refs(before: &Manifest, after: &Manifest) -> Vec<MirrorChange> {
    let mut changes = Vec::new();
    for (address, then, now) in
        after.git.iter().filter_map(|(address, now)| Some((address, before.git.get(address)?, now)))
    {
        let named = |stored: &StoredGit| -> BTreeMap<GitName, Revision> {
            let of = |(revision, stored): (&Revision, &StoredRevision)| {
                stored.names.iter().map(|name| (name.clone(), *revision)).collect::<Vec<_>>()
            };
            stored.revisions.iter().flat_map(of).collect()
        };
        let (names_then, names_now) = (named(then), named(now));
        for name in differing(&names_then, &names_now).collect::<BTreeSet<_>>() {
            let (from, to) = (names_then.get(name).copied(), names_now.get(name).copied());
            // A ref that came or went with its revision is not worth a line.
            let is_kept =
                |revision: Revision| then.revisions.contains_key(&revision) && now.revisions.contains_key(&revision);
            if to.or(from).is_some_and(is_kept) {
                changes.push(MirrorChange::Ref { address: address.clone(), name: name.clone(), from, to });
            }
        }
    }
    changes
}

fn policies(before: &Manifest, after: &Manifest) -> Vec<MirrorChange> {
    let policies = differing(&before.policies, &after.policies).collect::<BTreeSet<_>>().into_iter();
    let checksum = |manifest: &Manifest, policy: &PolicyId| manifest.policies.get(policy).map(|stored| stored.checksum);
    let change = |policy: &PolicyId| {
        let (from, to) = (checksum(before, policy), checksum(after, policy));
        MirrorChange::Policy { policy: policy.clone(), from, to }
    };
    policies.map(change).collect()
}

fn indexes(before: &Manifest, after: &Manifest) -> Vec<MirrorChange> {
    let mut changed: BTreeMap<RepositoryName, BTreeSet<EntryId>> = BTreeMap::new();
    for id in differing(&before.index, &after.index) {
        changed.entry(id.repository.clone()).or_default().insert(id.clone());
    }
    for repository in differing(&before.index_signers, &after.index_signers) {
        changed.entry(repository.clone()).or_default();
    }
    let signers =
        |repository: &RepositoryName| [before, after].map(|manifest| manifest.index_signers.get(repository).copied());
    let change = |(repository, packages): (RepositoryName, BTreeSet<EntryId>)| {
        let [from, to] = signers(&repository);
        MirrorChange::Index { repository, from, to, packages }
    };
    changed.into_iter().map(change).collect()
}

fn entries(before: &Manifest, after: &Manifest) -> BTreeSet<EntryId> {
    differing(&before.entries, &after.entries).cloned().collect()
}

/// Returns the keys that only one map has, or that have different values.
fn differing<'m, K: Ord, V: PartialEq>(
    before: &'m BTreeMap<K, V>,
    after: &'m BTreeMap<K, V>,
) -> impl Iterator<Item = &'m K> {
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    after.iter().filter(|(key, value)| before.get(*key) != Some(value)).map(|(key, _)| key).chain(gone)
}

/// Returns the version of a package that a mirror had before another one, of those that it had: the next lower one, or else the next
/// higher one.
pub fn previous<'v>(
    versions: impl IntoIterator<Item = &'v Version, IntoIter: Clone>,
    added: &Version,
) -> Option<&'v Version> {
    let versions = versions.into_iter();
    let lower = versions.clone().filter(|version| *version < added).max();
    lower.or_else(|| versions.filter(|version| *version > added).min())
}

/// Pairs each added item with the item that it follows: the highest removed one, or else what `predecessor` returns of those that
/// stay. Each removed item is in one pair only. `is_other` returns whether the content of an item on both sides changed.
fn pairs<T: Ord + Clone>(
    before: &BTreeSet<T>,
    after: &BTreeSet<T>,
    is_other: impl Fn(&T) -> bool,
    predecessor: impl for<'s> Fn(&'s BTreeSet<T>, &T) -> Option<T>,
) -> Vec<(Option<T>, Option<T>)> {
    let kept: BTreeSet<T> = before.intersection(after).cloned().collect();
    let mut removed: Vec<&T> = before.difference(after).collect();
    let mut pairs = Vec::new();
    for added in after.difference(before) {
        let from = removed.pop().cloned().or_else(|| predecessor(&kept, added));
        pairs.push((from, Some(added.clone())));
    }
    pairs.extend(removed.into_iter().map(|removed| (Some(removed.clone()), None)));
    pairs.extend(kept.into_iter().filter(|item| is_other(item)).map(|item| (Some(item.clone()), Some(item))));
    pairs
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    fn manifest(releases: &[(&str, char)], revisions: &[char], entries: &[(&str, char)]) -> Manifest {
        let of = |digit: &char| digit.to_string().repeat(64);
        let release = |(id, digit): &(&str, char)| format!("hex hexpm {id} unpacked 1 {0} {0}\n", of(digit));
        let revision = |digit: &char| format!("git h/x {} full HEAD\n", digit.to_string().repeat(40));
        let entry = |(name, digit): &(&str, char)| format!("registry hexpm {name} 1 {}\n", of(digit));
        let mut lines: Vec<String> = releases.iter().map(release).collect();
        lines.extend(revisions.iter().map(revision));
        lines.extend(entries.iter().map(entry));
        lines.sort_unstable();
        lines.concat().parse().unwrap()
    }

    #[test]
    fn refs_policies_and_indexes_are_listed() {
        let parse = |lines: &[String]| -> Manifest {
            let mut lines: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
            lines.sort_unstable();
            lines.concat().parse().unwrap()
        };
        let [one, two] = ["1", "2"].map(|digit| digit.repeat(40));
        let [sum, other] = ["a", "b"].map(|digit| digit.repeat(64));
        let before = parse(&[format!("git h/x {one} full heads/main"), format!("git h/y {one} full heads/main")]);
        let after = parse(&[
            format!("git h/x {one} full heads/main tags/v1"),
            format!("git h/y {two} full heads/main"),
            format!("policy hexpm:acme strict 1 {sum}"),
        ]);
        let refs = |changes: MirrorChanges| -> Vec<String> {
            let shown = |change: &MirrorChange| match change {
                MirrorChange::Ref { address, name, .. } => Some(format!("{:?} {address} {name}", change.kind())),
                MirrorChange::Policy { policy, .. } => Some(format!("{:?} {policy}", change.kind())),
                MirrorChange::Index { repository, packages, .. } => {
                    Some(format!("{:?} {repository} {}", change.kind(), packages.len()))
                }
                _ => None,
            };
            changes.contents.iter().filter_map(shown).collect()
        };
        // The branch of h/y came with its revision.
        assert_eq!(refs(MirrorChanges::between(&before, &after)), ["Added h/x tags/v1", "Added hexpm:acme/strict"]);
        assert_eq!(refs(MirrorChanges::between(&after, &before)), ["Removed h/x tags/v1", "Removed hexpm:acme/strict"]);
        let replaced = parse(&[format!("policy hexpm:acme strict 1 {other}")]);
        let policy = parse(&[format!("policy hexpm:acme strict 1 {sum}")]);
        assert_eq!(refs(MirrorChanges::between(&policy, &replaced)), ["Updated hexpm:acme/strict"]);
        let signer = format!("index-signer hexpm {}", Fingerprint::from_bytes([1; 32]));
        let indexed =
            |sum: &str| parse(&[signer.clone(), format!("index hexpm a {sum}"), format!("index hexpm b {other}")]);
        assert_eq!(refs(MirrorChanges::between(&Manifest::default(), &indexed(&sum))), ["Added hexpm 2"]);
        assert_eq!(refs(MirrorChanges::between(&indexed(&sum), &indexed(&other))), ["Updated hexpm 1"]);
    }

    fn shown(before: &Manifest, after: &Manifest) -> Vec<String> {
        let side = |side: Option<String>| side.unwrap_or_else(|| "-".to_owned());
        let shown = |change: &MirrorChange| match change.clone() {
            MirrorChange::Release { package, from, to } => {
                format!("{package} {} {}", side(from.map(|from| from.to_string())), side(to.map(|to| to.to_string())))
            }
            MirrorChange::Revision { from, to, .. } => {
                let short = |revision: Revision| revision.to_string()[..1].to_owned();
                format!("git {} {}", side(from.map(short)), side(to.map(short)))
            }
            other => format!("{other:?}"),
        };
        MirrorChanges::between(before, after).contents.iter().map(shown).collect()
    }

    #[test]
    fn an_added_release_follows_the_removed_or_else_the_next_lower_one() {
        for (before, after, expected) in [
            (&[][..], &[("a 1.0.0", '1')][..], &["a - 1.0.0"][..]),
            (&[("a 1.0.0", '1')], &[("a 1.1.0", '2')], &["a 1.0.0 1.1.0"]),
            (&[("a 1.0.0", '1')], &[("a 1.0.0", '1'), ("a 1.1.0", '2')], &["a 1.0.0 1.1.0"]),
            (&[("a 1.0.0", '1'), ("a 2.0.0", '2')], &[("a 2.0.0", '2')], &["a 1.0.0 -"]),
            (
                &[("a 1.0.0", '1'), ("a 1.1.0", '2'), ("a 1.3.0", '3')],
                &[("a 1.0.0", '1'), ("a 1.1.0", '2'), ("a 1.2.0", '4'), ("a 1.3.0", '3')],
                &["a 1.1.0 1.2.0"],
            ),
            (&[("a 1.3.0", '3')], &[("a 1.2.0", '4'), ("a 1.3.0", '3')], &["a 1.3.0 1.2.0"]),
            (&[("a 1.0.0", '1'), ("b 1.0.0", '1')], &[("a 1.0.0", '2'), ("b 1.0.0", '1')], &["a 1.0.0 1.0.0"]),
            (&[("a 1.0.0", '1')], &[("a 1.0.0", '1')], &[]),
        ] {
            assert_eq!(shown(&manifest(before, &[], &[]), &manifest(after, &[], &[])), expected);
        }
    }

    #[test]
    fn an_added_revision_follows_the_removed_or_else_the_only_one() {
        for (before, after, expected) in [
            (&['1'][..], &['2'][..], &["git 1 2"][..]),
            (&['1'], &['1', '2'], &["git 1 2"]),
            (&['1', '2'], &['1', '2', '3'], &["git - 3"]),
            (&['1'], &[], &["git 1 -"]),
        ] {
            assert_eq!(shown(&manifest(&[], before, &[]), &manifest(&[], after, &[])), expected);
        }
    }

    #[test]
    fn changed_entries_are_named() {
        let before = manifest(&[], &[], &[("a", '1'), ("b", '1'), ("c", '1')]);
        let after = manifest(&[], &[], &[("a", '1'), ("b", '2'), ("d", '1')]);
        let changes = MirrorChanges::between(&before, &after);
        let names: Vec<String> = changes.entries.iter().map(ToString::to_string).collect();
        assert_eq!((names.join(" "), changes.is_empty()), ("b c d".to_owned(), false));
        assert!(MirrorChanges::between(&after, &after).is_empty());
    }

    proptest! {
        #[test]
        fn the_pairs_lead_from_one_state_to_the_other(
            before in btree_set(0u8..20, 0..8),
            after in btree_set(0u8..20, 0..8),
        ) {
            let pairs = pairs(&before, &after, |_| false, |kept, _| kept.last().copied());
            let mut state = before.clone();
            for (from, to) in &pairs {
                if let Some(from) = from.filter(|from| !after.contains(from)) {
                    prop_assert!(state.remove(&from), "{from} is removed twice");
                }
                state.extend(*to);
            }
            prop_assert_eq!(state, after);
        }
    }
}
