//! Compares two registry entries of one package to find out which is newer.
//!
//! Upstream removes nothing from an entry, with two exceptions: a release within a day of its publication, and a
//! retirement by mistake. So an entry that lacks a fact of another one is almost always older, such as one that a cache
//! or an attacker replays.

use std::collections::BTreeSet;
use std::fmt;

use crate::hex::registry::{Package, Release};

/// Returns whether the first of two signed entries of one package is newer: it has more facts that the other one lacks
/// than the reverse. Ties are broken by an arbitrary rule that gives everyone the same result.
pub fn is_newer(one: (&Package, &[u8]), other: (&Package, &[u8])) -> bool {
    let (of_one, of_other) = (facts(one.0), facts(other.0));
    let latest = |package: &Package| package.releases.iter().filter_map(|release| release.published_at).max();
    let rank = |more: usize, entry: (&Package, &[u8])| (more, latest(entry.0), entry.1.to_vec());
    rank(of_one.difference(&of_other).count(), one) > rank(of_other.difference(&of_one).count(), other)
}

fn facts(package: &Package) -> BTreeSet<String> {
    let of_release = |release: &Release| {
        let version = &release.version;
        let retired = release.retired.as_ref().map(|retired| format!("{version} retired {retired:?}"));
        let checksum = format!("{version} {} {:?}", release.inner_checksum, release.outer_checksum);
        [checksum].into_iter().chain(retired).collect::<Vec<_>>()
    };
    let advisories = package.advisories.iter().map(|advisory| format!("advisory {}", advisory.id));
    package.releases.iter().flat_map(of_release).chain(advisories).collect()
}

/// A fact that a newer entry lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LostFact {
    /// The version of a removed release.
    Release(String),
    /// The version of a release that is no longer retired.
    Retirement(String),
    /// The id of a removed security advisory.
    Advisory(String),
}

impl fmt::Display for LostFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(version) => write!(f, "the release {version}"),
            Self::Retirement(version) => write!(f, "the retirement of {version}"),
            Self::Advisory(id) => write!(f, "the advisory {id}"),
        }
    }
}

/// Returns the facts that would be lost if the entry `new` replaced the entry `known`: releases, retirements and
/// advisories. Changed details of a fact do not count as a loss.
pub fn lost_facts(known: &Package, new: &Package) -> Vec<LostFact> {
    let mut lost = Vec::new();
    for release in &known.releases {
        let version = || release.version.to_string();
        match new.release(&release.version) {
            None => lost.push(LostFact::Release(version())),
            Some(now) if release.retired.is_some() && now.retired.is_none() => {
                lost.push(LostFact::Retirement(version()))
            }
            Some(_) => {}
        }
    }
    let known = known.advisories.iter().filter(|advisory| new.advisories.iter().all(|now| now.id != advisory.id));
    lost.extend(known.map(|advisory| LostFact::Advisory(advisory.id.clone())));
    lost
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::registry::{Advisory, Retirement, RetirementReason};
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

    #[test]
    fn the_entry_with_more_releases_or_retirements_is_the_later() {
        let (old, new) = (package(&["1.0.0"]), package(&["1.0.0", "1.1.0"]));
        assert!(is_newer((&new, b"a"), (&old, b"b")) && !is_newer((&old, b"b"), (&new, b"a")));
        let retired = retired(old.clone(), "x");
        assert!(is_newer((&retired, b"a"), (&old, b"b")) && !is_newer((&old, b"b"), (&retired, b"a")));
    }

    #[test]
    fn of_two_that_say_the_same_everybody_keeps_the_same() {
        let one = package(&["1.0.0"]);
        assert!(is_newer((&one, b"b"), (&one, b"a")) && !is_newer((&one, b"a"), (&one, b"b")));
        assert!(!is_newer((&one, b"a"), (&one, b"a")));
        let (left, right) = (package(&["1.0.0"]), package(&["2.0.0"]));
        assert_ne!(is_newer((&left, b"a"), (&right, b"b")), is_newer((&right, b"b"), (&left, b"a")));
    }

    #[test]
    fn what_an_older_entry_lacks_is_named() {
        let (old, new) = (package(&["1.0.0"]), package(&["1.0.0", "1.1.0"]));
        let (retired, advised) = (retired(old.clone(), "x"), advised(old.clone()));
        assert_eq!(lost_facts(&new, &old), [LostFact::Release("1.1.0".into())]);
        assert_eq!(lost_facts(&retired, &old), [LostFact::Retirement("1.0.0".into())]);
        assert_eq!(lost_facts(&advised, &old), [LostFact::Advisory("EEF-1".into())]);
        for later in [&new, &retired, &advised, &old] {
            assert_eq!(lost_facts(&old, later), []);
        }
        // An entry that lacks one fact is reported even if it has another fact that the known entry lacks.
        assert_eq!(lost_facts(&retired, &new), [LostFact::Retirement("1.0.0".into())]);
    }

    #[test]
    fn a_correction_loses_nothing() {
        let old = retired(package(&["1.0.0"]), "x");
        let mut corrected = retired(package(&["1.0.0"]), "y");
        corrected.releases[0].inner_checksum = InnerChecksum::from_bytes([8; 32]);
        assert_eq!(lost_facts(&old, &corrected), []);
    }
}
