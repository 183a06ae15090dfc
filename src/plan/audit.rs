//! What is to be said against pinned releases, judged by their registry entries and their metadata.

use super::ReleaseFlags;
use crate::hex::license::License;
use crate::hex::registry::{Advisory, Package, Retirement, RetirementReason, Severity};
use crate::model::{Day, ReleaseId, shortened};

/// Something that people should know about a pinned release.
#[derive(Debug, Clone, PartialEq)]
pub enum Concern {
    /// A security advisory applies to it.
    Vulnerable(Advisory),
    /// It was retired.
    Retired(Retirement),
    /// Upstream's registry entry does not list it, so it was removed or never published.
    Unlisted,
    /// Upstream has no registry entry of its package, as the last update that asked for it found out.
    NoPackage,
    /// Its registry entry refers to a security advisory that the entry does not describe.
    UndescribedAdvisory,
    /// No registry entry vouches for it that a known key has signed.
    Unsigned,
    /// The mirror does not have it, so its license is unknown.
    NotMirrored,
    /// It names a license that is not allowed.
    License {
        /// The license as the package names it.
        license: String,
    },
    /// It names no license.
    NoLicense,
    /// It is not a release, and only its first download vouches for it, on this day.
    FirstUse(Day),
    /// The registry entries of the mirror are older than allowed.
    OldEntries {
        /// The recorded day when upstream was last asked for all of them.
        refreshed: Option<Day>,
        /// Their age, or the least that it can be if no day is recorded.
        days: u64,
        /// The allowed age in days.
        limit: u64,
    },
}

/// How much a concern matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Somebody should look at it.
    Warning,
    /// Somebody should do something about it.
    Error,
}

impl Level {
    /// Returns its name, which is that of SARIF.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a mirror knows about a release.
#[derive(Debug, Clone, Copy)]
pub struct ReleaseFacts<'a> {
    /// Its package's registry entry, if a known key has signed it.
    pub entry: Option<&'a Package>,
    /// Whether the mirror records that upstream has no entry of the package.
    pub is_absent: bool,
    /// The licenses that its metadata names. `None` if the mirror does not have it.
    pub licenses: Option<&'a [String]>,
}

impl Concern {
    /// Returns the name of the rule that it breaks.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Vulnerable(_) | Self::UndescribedAdvisory => "vulnerable",
            Self::Retired(_) => "retired",
            Self::Unlisted | Self::NoPackage => "unlisted",
            Self::Unsigned => "unsigned",
            Self::NotMirrored => "not-mirrored",
            Self::License { .. } | Self::NoLicense => "license",
            Self::FirstUse(_) => "first-use",
            Self::OldEntries { .. } => "old-entries",
        }
    }

    /// Returns how much it matters.
    pub fn level(&self) -> Level {
        match self {
            Self::Vulnerable(advisory) => match advisory.severity {
                Some(Severity::High | Severity::Critical) => Level::Error,
                _ => Level::Warning,
            },
            Self::Retired(retired) if retired.reason == RetirementReason::Security => Level::Error,
            Self::License { .. } => Level::Error,
            _ => Level::Warning,
        }
    }

    /// Describes it in one line, without addresses.
    pub fn text(&self) -> String {
        match self {
            Self::Vulnerable(Advisory { id, severity, summary, .. }) => {
                let severity = severity.map_or_else(String::new, |severity| format!(" ({severity})"));
                format!("{}{severity}{}", shortened(id), after_colon(summary))
            }
            Self::Retired(Retirement { reason, message }) => {
                format!("{reason}{}", after_colon(message.as_deref().unwrap_or_default()))
            }
            Self::Unlisted => "its registry entry does not list it".to_owned(),
            Self::NoPackage => "its repository has no such package".to_owned(),
            Self::UndescribedAdvisory => {
                "its registry entry says that an advisory applies to it, but does not describe this advisory".to_owned()
            }
            Self::Unsigned => "the mirror has no registry entry for it that a known key signed".to_owned(),
            Self::NotMirrored => "the mirror does not have it; `git hexmirror update` fetches it".to_owned(),
            Self::License { license } => format!("{} is not an allowed license", shortened(license)),
            Self::NoLicense => "it names no license".to_owned(),
            Self::FirstUse(day) => format!("only its first download vouches for it, on {day}"),
            Self::OldEntries { refreshed: Some(day), days, limit } => {
                format!("they are of {day}, {days} days ago, and may be {limit} days old")
            }
            Self::OldEntries { refreshed: None, days, limit } => {
                format!(
                    "the mirror does not record their day; they are at least {days} days old, and may be {limit} days old"
                )
            }
        }
    }

    /// Returns whether `id` names this concern of a release: the id or an alias of an advisory, or `RULE:PACKAGE`.
    pub fn is_named(&self, release: &ReleaseId, id: &str) -> bool {
        let is_advisory = |advisory: &Advisory| advisory.id == id || advisory.aliases.iter().any(|alias| alias == id);
        let is_rule = || {
            id.split_once(':').is_some_and(|(rule, package)| {
                rule == self.rule() && (package == release.entry().to_string() || package == release.package.as_str())
            })
        };
        matches!(self, Self::Vulnerable(advisory) if is_advisory(advisory)) || is_rule()
    }
}

fn after_colon(text: &str) -> String {
    if text.trim().is_empty() { String::new() } else { format!(": {}", shortened(text)) }
}

/// Returns what is to be said against a release. Licenses are only judged if some are allowed.
pub fn concerns(release: &ReleaseId, facts: ReleaseFacts<'_>, allowed_licenses: &[String]) -> Vec<Concern> {
    let mut concerns = Vec::new();
    match facts.entry {
        None if facts.licenses.is_some() && facts.is_absent => concerns.push(Concern::NoPackage),
        None if facts.licenses.is_some() => concerns.push(Concern::Unsigned),
        None => {}
        Some(entry) if entry.release(&release.version).is_none() => concerns.push(Concern::Unlisted),
        Some(entry) => {
            let is_undescribed = |index: &u32| *index as usize >= entry.advisories.len();
            if entry.release(&release.version).is_some_and(|release| release.advisories.iter().any(is_undescribed)) {
                concerns.push(Concern::UndescribedAdvisory);
            }
            let flags = ReleaseFlags::of(entry, &release.version);
            concerns.extend(flags.advisories.into_iter().map(Concern::Vulnerable));
            concerns.extend(flags.retired.map(Concern::Retired));
        }
    }
    match facts.licenses {
        None => concerns.push(Concern::NotMirrored),
        Some(_) if allowed_licenses.is_empty() => {}
        Some([]) => concerns.push(Concern::NoLicense),
        Some(licenses) => {
            let is_allowed = |one: &str| allowed_licenses.iter().any(|allowed| allowed.eq_ignore_ascii_case(one));
            let refused = licenses.iter().filter(|license| !License::parse(license).is_allowed(is_allowed));
            concerns.extend(refused.map(|license| Concern::License { license: license.clone() }));
        }
    }
    concerns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::registry::Release;
    use crate::model::{InnerChecksum, RepositoryName};

    fn advisory(id: &str, alias: &str, severity: Option<Severity>) -> Advisory {
        Advisory {
            id: id.into(),
            summary: String::new(),
            html_url: String::new(),
            api_url: String::new(),
            severity,
            cvss_score: None,
            aliases: vec![alias.into()],
        }
    }

    fn entry(retired: Option<RetirementReason>, advisories: Vec<Advisory>) -> Package {
        let release = Release {
            version: "1.0.0".parse().unwrap(),
            inner_checksum: InnerChecksum::from_bytes([7; 32]),
            outer_checksum: None,
            dependencies: Vec::new(),
            retired: retired.map(|reason| Retirement { reason, message: None }),
            advisories: (0..advisories.len() as u32).collect(),
            published_at: None,
        };
        Package { name: "plug".parse().unwrap(), releases: vec![release], advisories, skipped: Vec::new() }
    }

    fn release(version: &str) -> ReleaseId {
        let repository = RepositoryName::hexpm();
        ReleaseId { repository, package: "plug".parse().unwrap(), version: version.parse().unwrap() }
    }

    fn rules(found: &[Concern]) -> Vec<&'static str> {
        found.iter().map(Concern::rule).collect()
    }

    #[test]
    fn each_rule_is_broken_by_what_it_is_about_only() {
        let clean = entry(None, Vec::new());
        let bad = entry(Some(RetirementReason::Deprecated), vec![advisory("A", "CVE-1", None)]);
        let mut undescribed = entry(None, vec![advisory("A", "CVE-1", None)]);
        undescribed.advisories.clear();
        let [mit, either] = ["MIT", "GPL-3.0-only OR MIT"].map(|license| [license.to_owned()]);
        let allowed = [String::from("mit"), String::from("Apache-2.0")];
        for (version, entry, licenses, allowed, expected) in [
            ("1.0.0", Some(&clean), Some(&mit[..]), &[][..], &[][..]),
            ("1.0.0", Some(&clean), Some(&mit), &allowed, &[]),
            ("1.0.0", Some(&clean), Some(&[]), &[], &[]),
            ("1.0.0", Some(&clean), Some(&[]), &allowed, &["license"]),
            ("1.0.0", Some(&clean), Some(&mit), &allowed[1..], &["license"]),
            ("1.0.0", Some(&clean), Some(&either), &allowed, &[]),
            ("1.0.0", Some(&clean), None, &[], &["not-mirrored"]),
            ("1.0.0", None, Some(&mit), &[], &["unsigned"]),
            ("2.0.0", Some(&bad), Some(&mit), &[], &["unlisted"]),
            ("1.0.0", Some(&bad), Some(&mit), &[], &["vulnerable", "retired"]),
            ("1.0.0", Some(&undescribed), Some(&mit), &[], &["vulnerable"]),
        ] {
            let facts = ReleaseFacts { entry, is_absent: false, licenses };
            assert_eq!(
                rules(&concerns(&release(version), facts, allowed)),
                expected,
                "{version} {facts:?} {allowed:?}"
            );
        }
    }

    #[test]
    fn nothing_is_said_instead_of_an_empty_text() {
        assert_eq!(Concern::Vulnerable(advisory("A", "CVE-1", None)).text(), "A");
        let retired = Retirement { reason: RetirementReason::Deprecated, message: Some(" ".into()) };
        assert_eq!(Concern::Retired(retired).text(), "deprecated");
    }

    #[test]
    fn a_package_that_upstream_does_not_have_is_unlisted() {
        let of = |is_absent| {
            let facts = ReleaseFacts { entry: None, is_absent, licenses: Some(&[]) };
            concerns(&release("1.0.0"), facts, &[])
        };
        assert_eq!((of(true), of(false)), (vec![Concern::NoPackage], vec![Concern::Unsigned]));
        assert_eq!(rules(&of(true)), ["unlisted"]);
    }

    #[test]
    fn every_license_of_a_release_must_be_allowed() {
        let (entry, both) = (entry(None, Vec::new()), ["MIT".to_owned(), "GPL-3.0-only".to_owned()]);
        let facts = ReleaseFacts { entry: Some(&entry), is_absent: false, licenses: Some(&both) };
        let found = concerns(&release("1.0.0"), facts, &["MIT".to_owned()]);
        assert_eq!(found, [Concern::License { license: "GPL-3.0-only".into() }]);
    }

    #[test]
    fn concerns_are_named_by_advisory_alias_or_rule_and_package() {
        let (release, vulnerable) = (release("1.0.0"), Concern::Vulnerable(advisory("A", "CVE-1", None)));
        for id in ["A", "CVE-1", "vulnerable:plug"] {
            assert!(vulnerable.is_named(&release, id), "{id}");
        }
        for id in ["", "a", "plug", "vulnerable", "vulnerable:", "retired:plug", "vulnerable:plug_crypto"] {
            assert!(!vulnerable.is_named(&release, id), "{id}");
        }
        let acme = ReleaseId { repository: "acme".parse().unwrap(), ..release };
        assert!(Concern::Unsigned.is_named(&acme, "unsigned:acme/plug"));
        assert!(!Concern::Unsigned.is_named(&acme, "unsigned:oban/plug"));
    }

    #[test]
    fn what_attackers_can_use_is_an_error() {
        let level = |severity| Concern::Vulnerable(advisory("A", "B", severity)).level();
        assert_eq!([None, Some(Severity::Medium)].map(level), [Level::Warning; 2]);
        assert_eq!([Some(Severity::High), Some(Severity::Critical)].map(level), [Level::Error; 2]);
        let retired = |reason| Concern::Retired(Retirement { reason, message: None }).level();
        assert_eq!(retired(RetirementReason::Security), Level::Error);
        assert_eq!(retired(RetirementReason::Renamed), Level::Warning);
    }
}
