//! Where the repositories are, with which keys they are asked, and with which their registries are checked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::project::{Environment, Project};
use super::{OpError, Result};
use crate::config::{ConfigError, RepositoryConfig};
use crate::fetch::hex_home::{HexHome, HexRepository};
use crate::fetch::{Endpoint, Proxies, Secret, Settings, Upstream, WebUrl};
use crate::hex::registry::{PublicKey, hexpm_key};
use crate::model::RepositoryName;
use crate::progress::Progress;

/// The address of hex.pm's repository (`@hexpm_url` in Hex's `repo.ex`).
const HEXPM_URL: &str = "https://repo.hex.pm";

/// What is known of the repositories, from this program's settings, the environment and the Hex client's own configuration.
pub(super) struct Repositories<'a> {
    project: &'a Project,
    of_hex: BTreeMap<RepositoryName, HexRepository>,
    hex_home: Option<HexHome>,
}

impl<'a> Repositories<'a> {
    pub fn new(project: &'a Project) -> Result<Self> {
        let hex_home = hex_home(&project.environment);
        let of_hex = hex_home.as_ref().map(HexHome::repositories).transpose()?.unwrap_or_default();
        Ok(Self { project, of_hex, hex_home })
    }

    /// Prepares to fetch from these repositories.
    pub fn upstream<'r>(
        &self,
        repositories: impl Iterator<Item = &'r RepositoryName>,
        jobs: Option<usize>,
        progress: Arc<dyn Progress>,
    ) -> Result<Upstream> {
        let mut endpoints = BTreeMap::new();
        for repository in repositories {
            if !endpoints.contains_key(repository)
                && let Some(endpoint) = self.endpoint(repository)?
            {
                endpoints.insert(repository.clone(), endpoint);
            }
        }
        Ok(Upstream::new(self.settings(jobs)?, endpoints, progress)?)
    }

    /// Returns the key that a repository's registry is signed with.
    pub fn public_key(&self, repository: &RepositoryName) -> Result<PublicKey> {
        let error = |problem: String| OpError::PublicKey { repository: repository.clone(), problem };
        let source = self.source(repository);
        let configured = [Some(repository), source.as_ref()].into_iter().flatten().find_map(|name| {
            let of_config = self.project.config.repositories.get(name).and_then(|config| config.public_key.clone());
            of_config.or_else(|| self.of_hex.get(name).and_then(|hex| hex.public_key.clone()))
        });
        match configured {
            Some(key) => {
                let pem = if key.trim_start().starts_with("-----BEGIN") { key } else { self.read_key(&key, repository)? };
                PublicKey::from_pem(&pem).map_err(|problem| error(problem.to_string()))
            }
            None if repository.source() == "hexpm" => Ok(hexpm_key().clone()),
            None => Err(OpError::NoPublicKey { repository: repository.clone() }),
        }
    }

    fn read_key(&self, path: &str, repository: &RepositoryName) -> Result<String> {
        let root = self.project.repository.worktree().unwrap_or(self.project.repository.common_dir());
        let path = root.join(path);
        std::fs::read_to_string(&path).map_err(|error| OpError::PublicKey {
            repository: repository.clone(),
            problem: format!("cannot read {}: {error}", path.display()),
        })
    }

    /// Returns the repository that an organisation belongs to.
    fn source(&self, repository: &RepositoryName) -> Option<RepositoryName> {
        repository.organization().and_then(|_| repository.source().parse().ok())
    }

    fn endpoint(&self, repository: &RepositoryName) -> Result<Option<Endpoint>> {
        let config = self.project.config.repositories.get(repository);
        let of_hex = self.of_hex.get(repository);
        let (url, trusted) = match (config.and_then(|config| config.url.clone()), of_hex.and_then(|hex| hex.url.clone())) {
            (Some(url), _) => (url, config.is_some_and(|config: &RepositoryConfig| config.trusted)),
            (None, Some(url)) => (url, true),
            (None, None) => match (repository.as_str(), self.source(repository), repository.organization()) {
                ("hexpm", ..) => (self.hexpm_url(), true),
                (_, Some(source), Some(organization)) => {
                    let Some(endpoint) = self.endpoint(&source)? else { return Ok(None) };
                    let mut endpoint = endpoint.organization(organization);
                    // The organisation's own key counts, but it goes no further than the source's may.
                    let own = of_hex.and_then(|hex| hex.key.clone()).filter(|_| self.is_trusted(&source));
                    endpoint.key = own.map(Secret::new).or(endpoint.key);
                    return Ok(Some(endpoint));
                }
                _ => return Ok(None),
            },
        };
        let url: WebUrl = url.parse().map_err(|error: crate::fetch::WebUrlError| ConfigError {
            origin: format!("the address of the repository {repository}"),
            problem: error.to_string(),
        })?;
        let key = of_hex.and_then(|hex| hex.key.clone()).or_else(|| {
            // Hex gives this key to hexpm and its organisations (`hexpm_repo/0` in its `repo.ex`).
            self.project.environment.get("HEX_REPOS_KEY").filter(|_| repository.source() == "hexpm")
        });
        Ok(Some(Endpoint { url, key: key.filter(|_| trusted).map(Secret::new) }))
    }

    fn is_trusted(&self, repository: &RepositoryName) -> bool {
        self.project.config.repositories.get(repository).is_none_or(|config| config.url.is_none() || config.trusted)
    }

    /// Returns the address that Hex itself would ask (`hexpm_repo/0` in its `repo.ex`).
    fn hexpm_url(&self) -> String {
        let mirrors = ["HEX_TRUSTED_MIRROR_URL", "HEX_TRUSTED_MIRROR", "HEX_MIRROR_URL", "HEX_MIRROR"];
        self.project.environment.first(&mirrors).unwrap_or_else(|| HEXPM_URL.into())
    }

    fn settings(&self, jobs: Option<usize>) -> Result<Settings> {
        let environment = &self.project.environment;
        let first = |names: &[&str]| environment.first(names);
        let proxies = Proxies::parse(
            first(&["http_proxy", "HTTP_PROXY"]).as_deref(),
            first(&["https_proxy", "HTTPS_PROXY"]).as_deref(),
            first(&["no_proxy", "NO_PROXY"]).as_deref(),
        );
        let proxies = proxies.map_err(|error| ConfigError {
            origin: "http_proxy or https_proxy".into(),
            problem: error.to_string(),
        })?;
        let defaults = Settings::default();
        Ok(Settings {
            concurrency: jobs.or(self.project.config.jobs).unwrap_or(defaults.concurrency),
            proxies,
            ca_certificates: environment.get("HEX_CACERTS_PATH").map(PathBuf::from),
            hex_home: self.hex_home.clone(),
            ..defaults
        })
    }
}

/// Finds the Hex client's folders: `HEX_HOME`, else `~/.hex`, or the XDG ones under `MIX_XDG` (`Hex.State`).
fn hex_home(environment: &Environment) -> Option<HexHome> {
    if let Some(home) = environment.get("HEX_HOME") {
        return Some(HexHome::new(home));
    }
    let home = environment.home.as_ref()?;
    if environment.get("MIX_XDG").is_some_and(|value| value == "1" || value == "true") {
        let folder = |name: &str, default: &str| {
            environment.get(name).map_or_else(|| home.join(default), PathBuf::from).join("hex")
        };
        return Some(HexHome::xdg(folder("XDG_CONFIG_HOME", ".config"), folder("XDG_CACHE_HOME", ".cache")));
    }
    Some(HexHome::new(home.join(".hex")))
}
