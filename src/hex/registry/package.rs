//! A package's registry entry, with every name, version and checksum validated.

use std::fmt;

use prost::Message;

use super::{RegistryError, Timestamp, check_repository, messages, shortened};
use crate::model::{EntryId, InnerChecksum, NameError, OuterChecksum, PackageName, RepositoryName, Version};

/// What a registry says about one package.
#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    /// The package.
    pub name: PackageName,
    /// Its releases, in the registry's order (by version).
    pub releases: Vec<Release>,
    /// Security advisories of any release; [`Release::advisories`] points here.
    pub advisories: Vec<Advisory>,
    /// Releases that could not be read and are left out. Never written.
    pub skipped: Vec<Skipped>,
}

/// One release of a package.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// Its version.
    pub version: Version,
    /// The inner checksum of its tarball.
    pub inner_checksum: InnerChecksum,
    /// The outer checksum of its tarball; old self-hosted registries lack it.
    pub outer_checksum: Option<OuterChecksum>,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
    /// Whether, and why, it was retired.
    pub retired: Option<Retirement>,
    /// Indexes into [`Package::advisories`].
    pub advisories: Vec<u32>,
    /// When it was published, where the registry says so.
    pub published_at: Option<Timestamp>,
}

/// A dependency of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The package depended on.
    pub package: PackageName,
    /// The version requirement, as text; [`crate::hex::requirement`] reads it.
    pub requirement: String,
    /// Whether it is only used where something else depends on it too.
    pub optional: bool,
    /// The OTP application, if it is not called like the package.
    pub app: Option<String>,
    /// The repository, if it is not that of the entry.
    pub repository: Option<RepositoryName>,
}

/// That a release was retired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retirement {
    /// Why.
    pub reason: RetirementReason,
    /// What its maintainers say about it.
    pub message: Option<String>,
}

/// A security advisory.
#[derive(Debug, Clone, PartialEq)]
pub struct Advisory {
    /// Its identifier, such as `GHSA-…` or `CVE-…`.
    pub id: String,
    /// One line about it.
    pub summary: String,
    /// Its page.
    pub html_url: String,
    /// Its page for programs.
    pub api_url: String,
    /// Its severity, where it was rated.
    pub severity: Option<Severity>,
    /// Its CVSS score, 0.0 to 10.0, where it was rated.
    pub cvss_score: Option<f32>,
    /// Other identifiers of the same.
    pub aliases: Vec<String>,
}

/// A part of an entry that was left out because something in it is not valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The release's version or the package's name as the registry has it, at most its first 80 characters.
    pub item: String,
    /// What is not valid.
    pub reason: String,
}

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A value that is not known here; kept as it is.
            Unknown(i32),
        }

        impl From<i32> for $name {
            fn from(number: i32) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    other => Self::Unknown(other),
                }
            }
        }

        impl From<$name> for i32 {
            fn from(value: $name) -> i32 {
                match value {
                    $($name::$variant => $number,)*
                    $name::Unknown(other) => other,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($word),)*
                    Self::Unknown(other) => write!(f, "unknown ({other})"),
                }
            }
        }
    };
}

numbered! {
    /// Why a release was retired.
    RetirementReason {
        /// For another reason.
        Other = 0 "other",
        /// It does not work.
        Invalid = 1 "invalid",
        /// It has a security problem.
        Security = 2 "security",
        /// It is no longer maintained.
        Deprecated = 3 "deprecated",
        /// It has another name now.
        Renamed = 4 "renamed",
    }
}

numbered! {
    /// How severe an advisory is. Ordered by the numbers of the protocol.
    Severity {
        /// Not at all.
        None = 0 "none",
        /// Low.
        Low = 1 "low",
        /// Medium.
        Medium = 2 "medium",
        /// High.
        High = 3 "high",
        /// Critical.
        Critical = 4 "critical",
    }
}

impl Package {
    /// Reads the payload of the entry of package `name` in `repository`.
    ///
    /// A release that is not valid (a version, checksum, name or repository that cannot be right) is left out and
    /// reported in [`Self::skipped`]: the others stay usable.
    ///
    /// # Errors
    /// Where the payload is not such a message, or is for another package or repository.
    pub fn decode(payload: &[u8], repository: &RepositoryName, name: &PackageName) -> Result<Self, RegistryError> {
        let message: messages::Package = super::decode(payload, "Package")?;
        check_repository(&message.repository, repository)?;
        if message.name != name.as_str() {
            let expected = name.to_string();
            return Err(RegistryError::OtherPackage { expected, found: shortened(&message.name) });
        }
        let (mut releases, mut skipped) = (Vec::new(), Vec::new());
        for release in message.releases {
            let item = shortened(&release.version);
            match Release::from_message(release, message.advisories.len()) {
                Ok(release) => releases.push(release),
                Err(reason) => skipped.push(Skipped { item, reason }),
            }
        }
        let advisories = message.advisories.into_iter().map(Advisory::from_message).collect();
        Ok(Self { name: name.clone(), releases, advisories, skipped })
    }

    /// Writes the payload of the entry in `repository`.
    pub fn encode(&self, repository: &RepositoryName) -> Vec<u8> {
        let message = messages::Package {
            releases: self.releases.iter().map(Release::to_message).collect(),
            name: self.name.to_string(),
            repository: repository.registry_name().to_owned(),
            advisories: self.advisories.iter().map(Advisory::to_message).collect(),
        };
        message.encode_to_vec()
    }

    /// Returns the release of a version.
    pub fn release(&self, version: &Version) -> Option<&Release> {
        self.releases.iter().find(|release| release.version == *version)
    }
}

impl Release {
    /// Returns the packages that it depends on, optional dependencies included; `own` is the repository of the entry.
    pub fn mentions(&self, own: &RepositoryName) -> impl Iterator<Item = EntryId> {
        self.dependencies.iter().map(|dependency| EntryId {
            repository: dependency.repository.as_ref().unwrap_or(own).clone(),
            package: dependency.package.clone(),
        })
    }

    fn from_message(message: messages::Release, advisories: usize) -> Result<Self, String> {
        if let Some(index) = message.advisory_indexes.iter().find(|index| **index as usize >= advisories) {
            return Err(format!("it points to advisory {index}, of {advisories}"));
        }
        let retirement =
            |status: messages::RetirementStatus| Retirement { reason: status.reason.into(), message: status.message };
        let text = |error: &dyn fmt::Display| error.to_string();
        Ok(Self {
            version: message.version.parse().map_err(|error| text(&error))?,
            inner_checksum: message.inner_checksum[..].try_into().map_err(|error| text(&error))?,
            outer_checksum: message
                .outer_checksum
                .map(|checksum| checksum[..].try_into())
                .transpose()
                .map_err(|error| text(&error))?,
            dependencies: message.dependencies.into_iter().map(Dependency::from_message).collect::<Result<_, _>>()?,
            retired: message.retired.map(retirement),
            advisories: message.advisory_indexes,
            published_at: message.published_at,
        })
    }

    fn to_message(&self) -> messages::Release {
        let retirement = |retired: &Retirement| messages::RetirementStatus {
            reason: retired.reason.into(),
            message: retired.message.clone(),
        };
        messages::Release {
            version: self.version.to_string(),
            inner_checksum: self.inner_checksum.as_bytes().to_vec(),
            dependencies: self.dependencies.iter().map(Dependency::to_message).collect(),
            retired: self.retired.as_ref().map(retirement),
            outer_checksum: self.outer_checksum.map(|checksum| checksum.as_bytes().to_vec()),
            advisory_indexes: self.advisories.clone(),
            published_at: self.published_at,
        }
    }
}

impl Dependency {
    fn from_message(message: messages::Dependency) -> Result<Self, String> {
        let repository = message.repository.map(|name| name.parse::<RepositoryName>()).transpose();
        Ok(Self {
            package: message.package.parse().map_err(|error: NameError| error.to_string())?,
            requirement: message.requirement,
            optional: message.optional.unwrap_or_default(),
            app: message.app,
            repository: repository.map_err(|error| error.to_string())?,
        })
    }

    fn to_message(&self) -> messages::Dependency {
        messages::Dependency {
            package: self.package.to_string(),
            requirement: self.requirement.clone(),
            // Some readers take the field's presence for true.
            optional: self.optional.then_some(true),
            app: self.app.clone(),
            repository: self.repository.as_ref().map(ToString::to_string),
        }
    }
}

impl Advisory {
    fn from_message(message: messages::SecurityAdvisory) -> Self {
        let messages::SecurityAdvisory { id, summary, html_url, severity, cvss_score, api_url, aliases } = message;
        Self { id, summary, html_url, api_url, severity: severity.map(Severity::from), cvss_score, aliases }
    }

    fn to_message(&self) -> messages::SecurityAdvisory {
        let Self { id, summary, html_url, api_url, severity, cvss_score, aliases } = self.clone();
        let severity = severity.map(i32::from);
        messages::SecurityAdvisory { id, summary, html_url, severity, cvss_score, api_url, aliases }
    }
}
