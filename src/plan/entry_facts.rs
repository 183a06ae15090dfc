//! Compares two registry entries of one package to find out which is newer.
//!
//! Upstream removes nothing from an entry, with two exceptions: a release within a day of its publication, and a
//! retirement by mistake. So an entry that lacks a fact of another one is almost always older, such as one that a cache
//! or an attacker replays.
//!
//! [`lost_facts`] is the only rule: updates, merges and pulls share it. It is a partial order, because each of two entries may
//! lack a fact of the other one. Then neither may replace the other without the user.

use std::collections::BTreeSet;
use std::fmt;

use crate::hex::registry::{Package, RetirementReason};
use crate::model::Version;

/// How one of two signed entries of a package relates to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// It may replace the other entry: it lacks nothing, and it has more facts or wins the tie.
    Newer,
    /// The other entry may replace it, or both are the same.
    NotNewer,
    /// Each entry has facts that the other one lacks.
    Conflict {
        /// The facts of the other entry that it lacks.
        lost: Vec<LostFact>,
    },
}

/// Compares the entry `one` with the entry `other`. If both have the same facts, an arbitrary rule decides that gives
/// everyone the same result.
pub fn relation(one: (&Package, &[u8]), other: (&Package, &[u8])) -> Relation {
    let latest = |package: &Package| package.releases.iter().filter_map(|release| release.published_at).max();
    let rank = |entry: (&Package, &[u8])| (latest(entry.0), entry.1.to_vec());
    let (lost_by_one, lost_by_other) = (lost_facts(other.0, one.0), lost_facts(one.0, other.0));
    match (lost_by_one.is_empty(), lost_by_other.is_empty()) {
        (true, false) => Relation::Newer,
        (true, true) if rank(one) > rank(other) => Relation::Newer,
        (true, true) | (false, true) => Relation::NotNewer,
        (false, false) => Relation::Conflict { lost: lost_by_one },
    }
}

/// A fact that a newer entry lacks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LostFact {
    /// The version of a removed release.
    Release(Version),
    /// The version of a release that is no longer retired.
    Retirement(Version),
    /// The version of a release that is still retired, but no longer for security reasons.
    SecurityReason(Version),
    /// The id of a removed security advisory.
    Advisory(String),
    /// The id of a security advisory, and the version of a release that it no longer applies to.
    AdvisoryOf(String, Version),
}

impl fmt::Display for LostFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(version) => write!(f, "the release {version}"),
            Self::Retirement(version) => write!(f, "the retirement of {version}"),
            Self::SecurityReason(version) => write!(f, "the security reason of the retirement of {version}"),
            Self::Advisory(id) => write!(f, "the advisory {id}"),
            Self::AdvisoryOf(id, version) => write!(f, "the advisory {id} of {version}"),
        }
    }
}

/// Returns the facts that would be lost if the entry `new` replaced the entry `known`: releases, retirements, security
/// as the reason of a retirement, and advisories, both of the package and of each release. Other changed details of a
/// fact do not count as a loss. A fact that follows from another lost one is not listed.
pub fn lost_facts(known: &Package, new: &Package) -> Vec<LostFact> {
    let mut lost: BTreeSet<LostFact> = facts(known);
    for fact in facts(new) {
        lost.remove(&fact);
    }
    let follows = |fact: &LostFact| match fact {
        LostFact::Release(_) | LostFact::Advisory(_) => false,
        LostFact::Retirement(version) => lost.contains(&LostFact::Release(version.clone())),
        LostFact::SecurityReason(version) => lost.contains(&LostFact::Retirement(version.clone())),
        LostFact::AdvisoryOf(id, version) => {
            lost.contains(&LostFact::Advisory(id.clone())) || lost.contains(&LostFact::Release(version.clone()))
        }
    };
    lost.iter().filter(|fact| !follows(fact)).cloned().collect()
}

/// Returns the facts of an entry. [`lost_facts`] compares them as sets, which makes it transitive.
fn facts(package: &Package) -> BTreeSet<LostFact> {
    let mut facts: BTreeSet<LostFact> =
        package.advisories.iter().map(|advisory| LostFact::Advisory(advisory.id.clone())).collect();
    for release in &package.releases {
        let version = &release.version;
        facts.insert(LostFact::Release(version.clone()));
        if let Some(retired) = &release.retired {
            facts.insert(LostFact::Retirement(version.clone()));
            if retired.reason == RetirementReason::Security {
                facts.insert(LostFact::SecurityReason(version.clone()));
            }
        }
        facts.extend(
            package.advisories_of(release).map(|advisory| LostFact::AdvisoryOf(advisory.id.clone(), version.clone())),
        );
    }
    facts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hex::registry::{Advisory, Release, Retirement};
    use crate::model::InnerChecksum;

    fn package(versions: &[&str]) -> Package {
        let release = |version: &&str| Release {
            version: version.parse().unwrap(),
            inner_checksum: InnerChecksum::from_bytes([7; 32]),
            outer_checksum: None,
            dependencies: Vec::new(),
            retired: None,
            advisories: Vec::new(),
            published_at: None,
        };
        let releases = versions.iter().map(release).collect();
        Package { name: "plug".parse().unwrap(), releases, advisories: Vec::new(), skipped: Vec::new() }
    }

    fn retired(mut package: Package, message: &str) -> Package {
        package.releases[0].retired =
            Some(Retirement { reason: RetirementReason::Security, message: Some(message.into()) });
        package
    }

    fn advised(mut package: Package) -> Package {
        package.advisories.push(Advisory {
            id: "EEF-1".into(),
            summary: "bad".into(),
            html_url: String::new(),
            api_url: String::new(),
            severity: None,
            cvss_score: None,
            aliases: Vec::new(),
        });
        package
    }

    fn is_newer(one: (&Package, &[u8]), other: (&Package, &[u8])) -> bool {
        relation(one, other) == Relation::Newer
    }

    #[test]
    fn the_entry_with_more_releases_or_retirements_is_newer() {
        let (old, new) = (package(&["1.0.0"]), package(&["1.0.0", "1.1.0"]));
        assert!(is_newer((&new, b"a"), (&old, b"b")) && !is_newer((&old, b"b"), (&new, b"a")));
        let retired = retired(old.clone(), "x");
        assert!(is_newer((&retired, b"a"), (&old, b"b")) && !is_newer((&old, b"b"), (&retired, b"a")));
    }

    #[test]
    fn of_entries_with_the_same_facts_all_mirrors_keep_the_same() {
        let one = package(&["1.0.0"]);
        assert!(is_newer((&one, b"b"), (&one, b"a")) && !is_newer((&one, b"a"), (&one, b"b")));
        assert!(!is_newer((&one, b"a"), (&one, b"a")));
    }

    #[test]
    fn neither_entry_replaces_the_other_if_each_lacks_something() {
        let old = package(&["1.0.0"]);
        let (advised, retired) = (advised(old.clone()), retired(old, "x"));
        let lost = vec![LostFact::Retirement("1.0.0".parse().unwrap())];
        assert_eq!(relation((&advised, b"a"), (&retired, b"b")), Relation::Conflict { lost });
        let lost = vec![LostFact::Advisory("EEF-1".into())];
        assert_eq!(relation((&retired, b"b"), (&advised, b"a")), Relation::Conflict { lost });
    }

    #[test]
    fn a_fact_of_one_release_can_be_lost() {
        let mut both = advised(advised(package(&["1.0.0", "1.1.0"])));
        both.advisories[1].id = "EEF-2".into();
        (both.releases[0].advisories, both.releases[1].advisories) = (vec![0], vec![0, 1]);
        let mut one = both.clone();
        one.releases[1].advisories = vec![1];
        let version: Version = "1.1.0".parse().unwrap();
        assert_eq!(lost_facts(&both, &one), [LostFact::AdvisoryOf("EEF-1".into(), version)]);
        assert_eq!(lost_facts(&one, &both), []);
        // The order of the advisories is not a fact.
        let mut swapped = both.clone();
        swapped.advisories.swap(0, 1);
        (swapped.releases[0].advisories, swapped.releases[1].advisories) = (vec![1], vec![0, 1]);
        assert_eq!((lost_facts(&both, &swapped), lost_facts(&swapped, &both)), (vec![], vec![]));
        let mut renamed = retired(package(&["1.0.0"]), "x");
        renamed.releases[0].retired.as_mut().unwrap().reason = RetirementReason::Renamed;
        let security = retired(package(&["1.0.0"]), "x");
        assert_eq!(lost_facts(&security, &renamed), [LostFact::SecurityReason("1.0.0".parse().unwrap())]);
        assert_eq!(lost_facts(&renamed, &security), []);
    }

    /// Generates entries of three releases and two advisories, so that many pairs are comparable.
    fn entries() -> impl Strategy<Value = Package> {
        let release = (any::<bool>(), 0..4_u8, any::<[bool; 2]>());
        (prop::collection::vec(release, 3), 0..3_usize).prop_map(|(releases, advisories)| {
            let mut package = package(&["1.0.0", "1.1.0", "1.2.0"]);
            for id in ["EEF-1", "EEF-2"].iter().take(advisories) {
                package = advised(package);
                package.advisories.last_mut().unwrap().id = (*id).into();
            }
            let mut kept = releases.iter();
            package.releases.retain_mut(|release| {
                let (keep, reason, advised) = kept.next().unwrap();
                let reason = match reason {
                    0 | 1 => None,
                    2 => Some(RetirementReason::Renamed),
                    _ => Some(RetirementReason::Security),
                };
                release.retired = reason.map(|reason| Retirement { reason, message: None });
                let indexes = (0..2).filter(|index| advised[*index] && *index < advisories);
                release.advisories = indexes.map(|index| index as u32).collect();
                *keep
            });
            package
        })
    }

    proptest! {
        #[test]
        fn replacing_is_a_strict_partial_order_and_never_loses_anything(
            entries in prop::array::uniform3((entries(), 0..3_u8)),
        ) {
            let [a, b, c] = entries.each_ref().map(|(package, byte)| (package, std::slice::from_ref(byte)));
            prop_assert!(!is_newer(a, a));
            prop_assert!(!(is_newer(a, b) && is_newer(b, a)));
            prop_assert!(!(is_newer(a, b) && is_newer(b, c)) || is_newer(a, c));
            prop_assert!(!is_newer(a, b) || lost_facts(b.0, a.0).is_empty());
            let both_lost = !lost_facts(a.0, b.0).is_empty() && !lost_facts(b.0, a.0).is_empty();
            let conflicts = [relation(a, b), relation(b, a)].map(|found| matches!(found, Relation::Conflict { .. }));
            prop_assert_eq!(conflicts, [both_lost; 2]);
            // An entry is lost on a replacement exactly if it has facts of its own.
            prop_assert_eq!(lost_facts(a.0, b.0).is_empty(), facts(a.0).is_subset(&facts(b.0)));
        }
    }

    #[test]
    fn facts_that_an_older_entry_lacks_are_named() {
        let (old, new) = (package(&["1.0.0"]), package(&["1.0.0", "1.1.0"]));
        let (retired, advised) = (retired(old.clone(), "x"), advised(old.clone()));
        assert_eq!(lost_facts(&new, &old), [LostFact::Release("1.1.0".parse().unwrap())]);
        assert_eq!(lost_facts(&retired, &old), [LostFact::Retirement("1.0.0".parse().unwrap())]);
        assert_eq!(lost_facts(&advised, &old), [LostFact::Advisory("EEF-1".into())]);
        for later in [&new, &retired, &advised, &old] {
            assert_eq!(lost_facts(&old, later), []);
        }
        // An entry that lacks one fact is reported even if it has another fact that the known entry lacks.
        assert_eq!(lost_facts(&retired, &new), [LostFact::Retirement("1.0.0".parse().unwrap())]);
    }

    #[test]
    fn a_correction_loses_nothing() {
        let old = retired(package(&["1.0.0"]), "x");
        let mut corrected = retired(package(&["1.0.0"]), "y");
        corrected.releases[0].inner_checksum = InnerChecksum::from_bytes([8; 32]);
        assert_eq!(lost_facts(&old, &corrected), []);
    }
}
