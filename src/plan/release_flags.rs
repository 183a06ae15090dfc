//! What a registry entry says against a release: its retirement, and the security advisories that apply to it.

use crate::hex::registry::{Advisory, Package, Retirement};
use crate::model::Version;

/// The retirement and the advisories of a release.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReleaseFlags {
    /// The retirement, if the release was retired.
    pub retired: Option<Retirement>,
    /// The security advisories.
    pub advisories: Vec<Advisory>,
}

impl ReleaseFlags {
    /// Returns what an entry says against a release; nothing if it does not list the release.
    pub fn of(package: &Package, version: &Version) -> Self {
        let Some(release) = package.release(version) else { return Self::default() };
        Self { retired: release.retired.clone(), advisories: package.advisories_of(release).cloned().collect() }
    }

    /// Returns whether there is neither a retirement nor an advisory.
    pub fn is_empty(&self) -> bool {
        self.retired.is_none() && self.advisories.is_empty()
    }

    /// Returns what is not known yet. Another reason makes a retirement new; another message does not.
    #[must_use]
    pub fn beyond(mut self, known: &Self) -> Self {
        self.retired = self.retired.filter(|retired| !known.is_retired_like(retired));
        self.advisories.retain(|advisory| !known.has(advisory));
        self
    }

    /// Returns what is known already: what [`Self::beyond`] leaves out.
    #[must_use]
    pub fn within(mut self, known: &Self) -> Self {
        self.retired = self.retired.filter(|retired| known.is_retired_like(retired));
        self.advisories.retain(|advisory| known.has(advisory));
        self
    }

    fn is_retired_like(&self, retired: &Retirement) -> bool {
        self.retired.as_ref().is_some_and(|own| own.reason == retired.reason)
    }

    fn has(&self, advisory: &Advisory) -> bool {
        self.advisories.iter().any(|own| own.is_about_the_same(advisory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::registry::{Release, RetirementReason};
    use crate::model::InnerChecksum;

    fn advisory(id: &str) -> Advisory {
        Advisory {
            id: id.into(),
            summary: String::new(),
            html_url: String::new(),
            api_url: String::new(),
            severity: None,
            cvss_score: None,
            aliases: Vec::new(),
        }
    }

    fn retired(reason: RetirementReason, message: &str) -> Option<Retirement> {
        Some(Retirement { reason, message: Some(message.into()) })
    }

    /// Two releases, of which the second one has the given retirement and advisories.
    fn package(retired: Option<Retirement>, advisories: &[u32]) -> Package {
        let release = |version: &str| Release {
            version: version.parse().unwrap(),
            inner_checksum: InnerChecksum::from_bytes([7; 32]),
            outer_checksum: None,
            dependencies: Vec::new(),
            retired: None,
            advisories: Vec::new(),
            published_at: None,
        };
        let flagged = Release { retired, advisories: advisories.to_vec(), ..release("1.1.0") };
        let (releases, advisories) = (vec![release("1.0.0"), flagged], vec![advisory("A"), advisory("B")]);
        Package { name: "plug".parse().unwrap(), releases, advisories, skipped: Vec::new() }
    }

    #[test]
    fn only_what_applies_to_the_release_counts() {
        let package = package(retired(RetirementReason::Security, "x"), &[1, 7]);
        let of = |version: &str| ReleaseFlags::of(&package, &version.parse().unwrap());
        assert!(of("1.0.0").is_empty() && of("2.0.0").is_empty());
        assert_eq!(of("1.1.0").advisories, [advisory("B")], "an index that does not exist is ignored");
        assert_eq!(of("1.1.0").retired, retired(RetirementReason::Security, "x"));
    }

    #[test]
    fn advisories_with_a_common_id_or_alias_are_the_same() {
        let of = |id: &str, aliases: &[&str]| Advisory {
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            ..advisory(id)
        };
        let flags = |advisory: Advisory| ReleaseFlags { retired: None, advisories: vec![advisory] };
        for (one, other, is_same) in [
            (of("GHSA-1", &[]), of("CVE-1", &["GHSA-1"]), true),
            (of("GHSA-1", &["CVE-1"]), of("CVE-1", &[]), true),
            (of("GHSA-1", &["CVE-1"]), of("EEF-1", &["CVE-1"]), true),
            (of("GHSA-1", &["CVE-1"]), of("GHSA-2", &["CVE-2"]), false),
            (of("GHSA-1", &[""]), of("GHSA-2", &[""]), false),
        ] {
            let (beyond, within) =
                (flags(one.clone()).beyond(&flags(other.clone())), flags(one.clone()).within(&flags(other.clone())));
            assert_eq!((beyond.is_empty(), within.is_empty()), (is_same, !is_same), "{one:?} {other:?}");
        }
        // A score that is not a number differs from itself.
        let unscored = Advisory { cvss_score: Some(f32::NAN), ..of("GHSA-1", &[]) };
        assert!(flags(unscored.clone()).beyond(&flags(unscored.clone())).is_empty());
        assert!(flags(unscored.clone()).within(&ReleaseFlags::default()).is_empty());
    }

    #[test]
    fn what_is_known_is_not_new() {
        let of = |retired: Option<Retirement>, advisories: &[u32]| {
            ReleaseFlags::of(&package(retired, advisories), &"1.1.0".parse().unwrap())
        };
        let (renamed, security) =
            (|| retired(RetirementReason::Renamed, "x"), || retired(RetirementReason::Security, "x"));
        let cases = [
            (of(None, &[]), of(None, &[]), of(None, &[])),
            (of(renamed(), &[0, 1]), of(None, &[]), of(renamed(), &[0, 1])),
            (of(renamed(), &[0, 1]), of(renamed(), &[0]), of(None, &[1])),
            (of(retired(RetirementReason::Renamed, "y"), &[1]), of(renamed(), &[1]), of(None, &[])),
            (of(security(), &[]), of(renamed(), &[]), of(security(), &[])),
            (of(None, &[]), of(renamed(), &[1]), of(None, &[])),
        ];
        for (now, known, new) in cases {
            assert_eq!(now.clone().beyond(&known), new, "{now:?} {known:?}");
            let still = now.clone().within(&known);
            assert_eq!(still.advisories.len() + new.advisories.len(), now.advisories.len(), "{now:?} {known:?}");
            assert_eq!(still.retired.or(new.retired), now.retired);
        }
    }
}
