//! The registry entry of a package, with every name, version and checksum validated.

use std::collections::BTreeSet;
use std::{fmt, iter};

use prost::Message;

use super::{PublicKey, RegistryError, Signed, Timestamp, check_repository, messages, shortened};
use crate::model::{EntryId, InnerChecksum, NameError, OuterChecksum, PackageName, RepositoryName, Version};

/// A package's registry entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    /// The package.
    pub name: PackageName,
    /// The releases, in the registry's order (by version).
    pub releases: Vec<Release>,
    /// The security advisories of all releases. [`Release::advisories`] contains indexes into this list.
    pub advisories: Vec<Advisory>,
    /// Invalid releases, which are not in `releases`. Not encoded.
    pub skipped: Vec<Skipped>,
}

/// A release of a package.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The version.
    pub version: Version,
    /// The inner checksum of the tarball.
    pub inner_checksum: InnerChecksum,
    /// The outer checksum of the tarball. Old self-hosted registries do not state it.
    pub outer_checksum: Option<OuterChecksum>,
    /// The dependencies.
    pub dependencies: Vec<Dependency>,
    /// The retirement, if the release was retired.
    pub retired: Option<Retirement>,
    /// Indexes into [`Package::advisories`].
    pub advisories: Vec<u32>,
    /// When the release was published, if the registry states it.
    pub published_at: Option<Timestamp>,
}

/// A dependency of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The package that the release depends on.
    pub package: PackageName,
    /// The version requirement as text; [`crate::hex::requirement`] parses it.
    pub requirement: String,
    /// Whether the dependency is optional: used only if something else depends on it, too.
    pub optional: bool,
    /// The OTP application, if it differs from the package's name.
    pub app: Option<String>,
    /// The repository, if it differs from the entry's.
    pub repository: Option<RepositoryName>,
}

/// The retirement of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retirement {
    /// The reason.
    pub reason: RetirementReason,
    /// The maintainers' message.
    pub message: Option<String>,
}

/// A security advisory.
#[derive(Debug, Clone, PartialEq)]
pub struct Advisory {
    /// The identifier, such as `GHSA-…` or `CVE-…`.
    pub id: String,
    /// A one-line summary.
    pub summary: String,
    /// The address of the advisory's web page.
    pub html_url: String,
    /// The address of the advisory in an API.
    pub api_url: String,
    /// The severity, if the advisory is rated.
    pub severity: Option<Severity>,
    /// The CVSS score from 0.0 to 10.0, if the advisory is rated.
    pub cvss_score: Option<f32>,
    /// Other identifiers of the same vulnerability.
    pub aliases: Vec<String>,
}

impl Advisory {
    /// Returns the id and the aliases, each once.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let all: BTreeSet<&str> = iter::once(&self.id).chain(&self.aliases).map(String::as_str).collect();
        all.into_iter().filter(|id| !id.is_empty())
    }

    /// Returns whether both are about the same vulnerability: they have an id or an alias in common.
    pub fn is_about_the_same(&self, other: &Self) -> bool {
        self.ids().any(|id| other.ids().any(|of_other| of_other == id))
    }
}

/// A part of an entry that was skipped because it contains an invalid value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The version of the release or the name of the package, as the registry states it, truncated to 80 characters.
    pub item: String,
    /// What is invalid.
    pub reason: String,
}

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A value that this program does not know. It is preserved.
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
        /// Another reason.
        Other = 0 "other",
        /// The release does not work.
        Invalid = 1 "invalid",
        /// The release has a security problem.
        Security = 2 "security",
        /// The release is no longer maintained.
        Deprecated = 3 "deprecated",
        /// The package was renamed.
        Renamed = 4 "renamed",
    }
}

numbered! {
    /// The severity of an advisory. Ordered by the numbers of the protocol.
    Severity {
        /// No severity.
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
    /// Verifies a signed entry with its repository's key and decodes it. If the key permits it
    /// ([`PublicKey::of_any_origin`]), the entry may name another repository.
    ///
    /// # Errors
    /// Fails as [`Signed::verified_payload`] and [`Self::decode`] do.
    pub fn decode_verified(
        signed: &[u8],
        key: &PublicKey,
        repository: &RepositoryName,
        name: &PackageName,
    ) -> Result<Self, RegistryError> {
        let origin = (!key.is_of_any_origin()).then_some(repository);
        Self::decode_from(&Signed::verified_payload(signed, key)?, origin, name)
    }

    /// Returns the security advisories of one of the package's releases. Ignores an index without an advisory.
    pub fn advisories_of(&self, release: &Release) -> impl Iterator<Item = &Advisory> {
        release.advisories.iter().filter_map(|index| self.advisories.get(*index as usize))
    }

    /// Decodes the payload of the entry for package `name` of `repository`.
    ///
    /// A release with an invalid version, checksum, name or repository is skipped and reported in [`Self::skipped`], so
    /// that the other releases stay usable.
    ///
    /// # Errors
    /// Returns an error if the payload is not such a message, or if it is for another package or repository.
    pub fn decode(payload: &[u8], repository: &RepositoryName, name: &PackageName) -> Result<Self, RegistryError> {
        Self::decode_from(payload, Some(repository), name)
    }

    /// Decodes the payload of the entry for package `name` of any repository, for an entry that was verified before.
    ///
    /// # Errors
    /// Fails as [`Self::decode`] does, except for another repository.
    pub fn decode_of_any_origin(payload: &[u8], name: &PackageName) -> Result<Self, RegistryError> {
        Self::decode_from(payload, None, name)
    }

    fn decode_from(payload: &[u8], origin: Option<&RepositoryName>, name: &PackageName) -> Result<Self, RegistryError> {
        let message: messages::Package = super::decode(payload, "Package")?;
        origin.map(|origin| check_repository(&message.repository, origin)).transpose()?;
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

    /// Encodes the payload of this entry for `repository`.
    pub fn encode(&self, repository: &RepositoryName) -> Vec<u8> {
        let message = messages::Package {
            releases: self.releases.iter().map(Release::to_message).collect(),
            name: self.name.to_string(),
            repository: repository.registry_name().to_owned(),
            advisories: self.advisories.iter().map(Advisory::to_message).collect(),
        };
        message.encode_to_vec()
    }

    /// Returns the release with this version.
    pub fn release(&self, version: &Version) -> Option<&Release> {
        self.releases.iter().find(|release| release.version == *version)
    }
}

impl Release {
    /// Returns the ids of the dependencies, including optional ones. `own` is the repository of the entry.
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
            // Some readers treat the presence of the field as `true`.
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
