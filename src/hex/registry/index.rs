//! The lists of all packages of a repository, one of names and one of versions.

use prost::Message;

use super::{RegistryError, Skipped, Timestamp, check_repository, messages, shortened};
use crate::model::{NameError, PackageName, RepositoryName, Version};

/// All packages of a repository (`/names`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// One entry per package, in the registry's order (by name).
    pub packages: Vec<NamesEntry>,
    /// Packages with an invalid name. Not encoded.
    pub skipped: Vec<Skipped>,
}

/// One package of [`Names`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamesEntry {
    /// The package.
    pub name: PackageName,
    /// When the package's registry entry last changed, if the registry states it.
    pub updated_at: Option<Timestamp>,
}

/// All versions of all packages of a repository (`/versions`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versions {
    /// One entry per package, in the registry's order (by name).
    pub packages: Vec<VersionsEntry>,
    /// Packages with an invalid name, version or index. Not encoded.
    pub skipped: Vec<Skipped>,
}

/// One package of [`Versions`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionsEntry {
    /// The package.
    pub name: PackageName,
    /// The versions, in the registry's order.
    pub versions: Vec<Version>,
    /// Indexes into `versions` of the retired ones.
    pub retired: Vec<i32>,
    /// Indexes into `versions` of those with a security advisory.
    pub with_advisories: Vec<i32>,
}

impl Names {
    /// Decodes the payload of `repository`'s list. Packages with an invalid name are skipped and reported.
    ///
    /// # Errors
    /// Returns an error if the payload is not such a message, or if it is for another repository.
    pub fn decode(payload: &[u8], repository: &RepositoryName) -> Result<Self, RegistryError> {
        let message: messages::Names = super::decode(payload, "Names")?;
        check_repository(&message.repository, repository)?;
        let mut names = Self::default();
        for package in message.packages {
            match package.name.parse() {
                Ok(name) => names.packages.push(NamesEntry { name, updated_at: package.updated_at }),
                Err(error) => {
                    let error: NameError = error;
                    names.skipped.push(Skipped { item: shortened(&package.name), reason: error.to_string() });
                }
            }
        }
        Ok(names)
    }

    /// Encodes the payload of `repository`'s list.
    pub fn encode(&self, repository: &RepositoryName) -> Vec<u8> {
        let package =
            |entry: &NamesEntry| messages::NamesPackage { name: entry.name.to_string(), updated_at: entry.updated_at };
        let packages = self.packages.iter().map(package).collect();
        messages::Names { packages, repository: repository.registry_name().to_owned() }.encode_to_vec()
    }
}

impl Versions {
    /// Decodes the payload of `repository`'s list. Packages with any invalid value are skipped and reported.
    ///
    /// # Errors
    /// Returns an error if the payload is not such a message, or if it is for another repository.
    pub fn decode(payload: &[u8], repository: &RepositoryName) -> Result<Self, RegistryError> {
        let message: messages::Versions = super::decode(payload, "Versions")?;
        check_repository(&message.repository, repository)?;
        let mut versions = Self::default();
        for package in message.packages {
            let item = shortened(&package.name);
            match VersionsEntry::from_message(package) {
                Ok(entry) => versions.packages.push(entry),
                Err(reason) => versions.skipped.push(Skipped { item, reason }),
            }
        }
        Ok(versions)
    }

    /// Encodes the payload of `repository`'s list.
    pub fn encode(&self, repository: &RepositoryName) -> Vec<u8> {
        let package = |entry: &VersionsEntry| messages::VersionsPackage {
            name: entry.name.to_string(),
            versions: entry.versions.iter().map(ToString::to_string).collect(),
            retired: entry.retired.clone(),
            with_advisories: entry.with_advisories.clone(),
        };
        let packages = self.packages.iter().map(package).collect();
        messages::Versions { packages, repository: repository.registry_name().to_owned() }.encode_to_vec()
    }
}

impl VersionsEntry {
    fn from_message(message: messages::VersionsPackage) -> Result<Self, String> {
        let versions = message.versions.iter().map(|version| version.parse::<Version>());
        Ok(Self {
            name: message.name.parse().map_err(|error: NameError| error.to_string())?,
            versions: versions.collect::<Result<_, _>>().map_err(|error| error.to_string())?,
            retired: message.retired,
            with_advisories: message.with_advisories,
        })
    }
}
