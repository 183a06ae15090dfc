//! Determines the repositories' addresses, the auth keys sent to them, and the public keys that verify their
//! registries.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Project;
use super::hex_client::{address, hex_config, hex_home, netrc};
use super::regular_file::read_regular;
use super::worktree::MAX_KEY;
use crate::config::{ConfigError, KeySetting, is_folder};
use crate::fetch::hex_home::{HexConfig, HexHome};
use crate::fetch::{Access, Endpoint, Proxies, RepositoryFolder, Settings, Timeouts, Upstream, WebUrl, retry};
use crate::hex::registry::{PublicKey, hexpm_key};
use crate::model::{Fingerprint, RepositoryName};
use crate::ops::{OpError, Result};
use crate::plan::BUILDS;
use crate::progress::{Event, Progress};

/// What is known of the repositories from this program's settings, the environment and the Hex client's configuration.
pub(in crate::ops) struct HexRepositories<'a> {
    project: &'a Project,
    hex: HexConfig,
    hex_home: Option<HexHome>,
}

impl<'a> HexRepositories<'a> {
    pub fn new(project: &'a Project, progress: &dyn Progress) -> Result<Self> {
        let hex_home = hex_home(&project.environment);
        let mut hex = hex_config(&project.environment, hex_home.as_ref())?;
        for message in hex.problems.drain(..) {
            progress.report(Event::Warning { message: format!("in the Hex client's configuration, {message}") });
        }
        let repositories = Self { project, hex, hex_home };
        if repositories.accepts_any_origin() {
            let message = "registry entries may name another repository than the one they come from (no_verify_repo_origin); their signatures and the lock's checksums are still checked";
            progress.report(Event::Warning { message: message.into() });
        }
        Ok(repositories)
    }

    /// Returns whether registry entries and policies may name another repository than the one that they come from.
    pub fn accepts_any_origin(&self) -> bool {
        self.project.config.no_verify_repo_origin.or(self.hex.no_verify_repo_origin).unwrap_or_default()
    }

    /// Prepares to fetch from these repositories.
    pub fn upstream<'r>(
        &self,
        repositories: impl Iterator<Item = &'r RepositoryName>,
        jobs: Option<usize>,
        progress: Arc<dyn Progress>,
    ) -> Result<Upstream> {
        let (mut endpoints, mut folders) = (BTreeMap::new(), BTreeMap::new());
        for repository in repositories {
            if let Some(folder) = self.folder(repository) {
                folders.insert(repository.clone(), folder);
            } else if !endpoints.contains_key(repository)
                && let Some(endpoint) = self.endpoint(repository)?
            {
                endpoints.insert(repository.clone(), endpoint);
            }
        }
        Ok(Upstream::new(self.settings(jobs)?, endpoints, progress)?.with_folders(folders))
    }

    /// Returns the terms in the Hex client's configuration that contain neither addresses nor credentials.
    pub fn client_options(&self) -> &[u8] {
        &self.hex.options
    }

    /// Returns the public key of a repository's registry.
    pub fn public_key(&self, repository: &RepositoryName) -> Result<PublicKey> {
        let key = self.parsed_key(repository)?;
        Ok(if self.accepts_any_origin() { key.of_any_origin() } else { key })
    }

    /// Returns whether the Hex client verifies a repository with the same key if only its address changes: the key in its own
    /// configuration, or hex.pm's, which it contains.
    pub fn client_has_key(&self, repository: &RepositoryName) -> Result<bool> {
        let of_hex = self.hex.repositories.get(repository).and_then(|known| known.public_key.as_deref());
        let of_client = match of_hex {
            // What it cannot use here may not be usable there.
            Some(pem) => PublicKey::from_pem(pem).ok(),
            None => (repository.source() == "hexpm").then(|| hexpm_key().clone()),
        };
        let key = self.known_key(repository)?;
        Ok(key.map(|key| key.fingerprint()) == of_client.map(|key| key.fingerprint()))
    }

    fn parsed_key(&self, repository: &RepositoryName) -> Result<PublicKey> {
        let error = |problem: String| OpError::PublicKey { repository: repository.clone(), problem };
        match self.configured_key(repository) {
            Some(key) => {
                let pem = match key {
                    KeySetting::Pem(pem) => pem,
                    KeySetting::File(file) => self.read_key(&file, repository)?,
                    KeySetting::Tracked { content: Ok(content), .. } => String::from_utf8_lossy(&content).into_owned(),
                    KeySetting::Tracked { content: Err(problem), .. } => return Err(error(problem)),
                };
                PublicKey::from_pem(&pem).map_err(|problem| error(problem.to_string()))
            }
            None if repository.source() == "hexpm" => Ok(hexpm_key().clone()),
            None => Err(OpError::NoPublicKey { repository: repository.clone() }),
        }
    }

    fn configured_key(&self, repository: &RepositoryName) -> Option<KeySetting> {
        let source = self.source(repository);
        [Some(repository), source.as_ref()].into_iter().flatten().find_map(|name| {
            let of_config = self.project.config.repositories.get(name).and_then(|config| config.public_key.clone());
            let of_hex = || self.hex.repositories.get(name).and_then(|hex| hex.public_key.clone());
            of_config.or_else(|| of_hex().map(KeySetting::Pem))
        })
    }

    /// Returns whether a repository's key is hex.pm's for lack of another one.
    pub fn has_default_key(&self, repository: &RepositoryName) -> bool {
        repository.source() == "hexpm" && self.configured_key(repository).is_none()
    }

    /// Returns the only signer that the user's settings allow for a repository, if they name one.
    pub fn signer(&self, repository: &RepositoryName) -> Option<Fingerprint> {
        let source = self.source(repository);
        let mut names = [Some(repository), source.as_ref()].into_iter().flatten();
        names.find_map(|name| self.project.config.repositories.get(name)?.signer)
    }

    /// Returns the public key of a repository's registry, or `None` if no key is known.
    pub fn known_key(&self, repository: &RepositoryName) -> Result<Option<PublicKey>> {
        match self.public_key(repository) {
            Err(OpError::NoPublicKey { .. }) => Ok(None),
            key => key.map(Some),
        }
    }

    /// Returns the known public keys of some repositories.
    pub fn known_keys_of<'r>(
        &self,
        repositories: impl Iterator<Item = &'r RepositoryName>,
    ) -> Result<BTreeMap<RepositoryName, PublicKey>> {
        let distinct: BTreeSet<&RepositoryName> = repositories.collect();
        let key = |name: &RepositoryName| Ok(self.known_key(name)?.map(|key| (name.clone(), key)));
        distinct.into_iter().filter_map(|name| key(name).transpose()).collect()
    }

    /// Returns all known public keys, by the repositories' names in the settings. `None` for an invalid key.
    pub fn known_keys(&self) -> BTreeMap<RepositoryName, Option<PublicKey>> {
        let hexpm = RepositoryName::hexpm();
        let names = self.project.config.repositories.keys().chain(self.hex.repositories.keys()).chain([&hexpm]);
        let distinct: BTreeSet<&RepositoryName> = names.collect();
        let key = |name: &RepositoryName| match self.known_key(name) {
            Ok(None) => None,
            key => Some((name.clone(), key.ok().flatten())),
        };
        distinct.into_iter().filter_map(key).collect()
    }

    /// Returns the public keys of some repositories.
    pub fn public_keys<'r>(
        &self,
        repositories: impl Iterator<Item = &'r RepositoryName>,
    ) -> Result<BTreeMap<RepositoryName, PublicKey>> {
        let distinct: BTreeSet<&RepositoryName> = repositories.collect();
        distinct.into_iter().map(|name| Ok((name.clone(), self.public_key(name)?))).collect()
    }

    /// Reads a public key from a file that the user names, relative to the worktree's root.
    fn read_key(&self, path: &str, repository: &RepositoryName) -> Result<String> {
        let error = |problem: String| OpError::PublicKey { repository: repository.clone(), problem };
        let root = self.project.repository.worktree().unwrap_or(self.project.repository.common_dir());
        let file = root.join(path);
        let read = fs::canonicalize(&file).and_then(|file| read_regular(&file, MAX_KEY));
        let key = read.map_err(|source| error(format!("cannot read {}: {source}", file.display())))?;
        let key = key.map_err(|reason| error(format!("{} {reason}", file.display())))?;
        Ok(String::from_utf8_lossy(&key).into_owned())
    }

    /// Returns the repository that an organisation belongs to.
    fn source(&self, repository: &RepositoryName) -> Option<RepositoryName> {
        repository.organization().and_then(|_| repository.source().parse().ok())
    }

    /// Returns the folder on this machine that is configured as a repository, or that of the repository that an
    /// organisation belongs to. A relative path starts at the worktree's root.
    fn folder(&self, repository: &RepositoryName) -> Option<RepositoryFolder> {
        let url = |name: &RepositoryName| self.project.config.repositories.get(name)?.url.as_deref();
        let root = self.project.repository.worktree().unwrap_or(self.project.repository.common_dir());
        let at = |path: &str| RepositoryFolder::new(root.join(path));
        match url(repository) {
            Some(url) => is_folder(url).then(|| at(url)),
            None => Some(at(url(&self.source(repository)?).filter(|url| is_folder(url))?).of(repository)),
        }
    }

    /// Returns a repository's address, or the folder that is configured as one; `None` if it has neither.
    pub fn address(&self, repository: &RepositoryName) -> Result<Option<String>> {
        if self.folder(repository).is_some() {
            let url = |name: &RepositoryName| self.project.config.repositories.get(name)?.url.clone();
            let folder = url(repository).or_else(|| url(&self.source(repository)?));
            return Ok(folder.map(|folder| format!("the folder {folder}")));
        }
        Ok(self.endpoint(repository)?.map(|endpoint| endpoint.url.to_string()))
    }

    /// Returns a repository's address without credentials. `None` if it has none, or is a folder on this machine.
    pub fn public_address(&self, repository: &RepositoryName) -> Result<Option<String>> {
        if self.folder(repository).is_some() {
            return Ok(None);
        }
        Ok(self.endpoint(repository)?.map(|endpoint| endpoint.url.without_login().to_string()))
    }

    /// Returns whether a folder is configured as a repository and does not exist.
    pub fn lacks_folder(&self, repository: &RepositoryName) -> bool {
        self.folder(repository).is_some_and(|folder| !folder.exists())
    }

    /// Returns a repository's address and auth key. The auth key is only included if the address comes from the user
    /// rather than from the tracked file alone.
    fn endpoint(&self, repository: &RepositoryName) -> Result<Option<Endpoint>> {
        let now = SystemTime::now();
        let access = |trusted: bool| if trusted { self.hex.access(repository, now) } else { Access::default() };
        if let Some((url, trusted)) = self.configured(repository)? {
            return Ok(Some(Endpoint { url, access: access(trusted) }));
        }
        let source = self.source(repository).zip(repository.organization());
        if let Some((source, organization)) = source
            && let Some((url, trusted)) = self.configured(&source)?
            // The user's Hex configuration for this organisation takes precedence over the tracked file's address of
            // its repository.
            && (trusted || self.hex.repositories.get(repository).is_none_or(|own| own.url.is_none()))
        {
            return Ok(Some(Endpoint { access: access(trusted), ..Endpoint::public(url).organization(organization) }));
        }
        Ok(self.hex.endpoint(repository, now))
    }

    /// Returns a repository's address from this program's settings, and whether the user set it.
    fn configured(&self, repository: &RepositoryName) -> Result<Option<(WebUrl, bool)>> {
        let config = self.project.config.repositories.get(repository);
        let Some((url, trusted)) = config.and_then(|config| Some((config.url.as_ref()?, config.trusted))) else {
            return Ok(None);
        };
        Ok(Some((address(url, &format!("the URL of the Hex repository {repository}"))?, trusted)))
    }

    /// Returns where the installers of Hex and rebar3 are fetched from, as mix does (`Mix.Hex.url/0`).
    pub fn builds_url(&self) -> Result<WebUrl> {
        let name = "HEX_BUILDS_URL";
        address(self.project.environment.get(name).as_deref().unwrap_or(BUILDS), name)
    }

    /// Returns the number of concurrent requests. `jobs` overrides the setting.
    pub fn concurrency(&self, jobs: Option<usize>) -> usize {
        let jobs = jobs.or(self.project.config.jobs).or(self.hex.http_concurrency);
        jobs.unwrap_or(Settings::default().concurrency).max(1)
    }

    fn settings(&self, jobs: Option<usize>) -> Result<Settings> {
        let environment = &self.project.environment;
        let first = |names: &[&str]| environment.first(names);
        let of_environment = Proxies::parse(
            first(&["http_proxy", "HTTP_PROXY"]).as_deref(),
            first(&["https_proxy", "HTTPS_PROXY"]).as_deref(),
            first(&["no_proxy", "NO_PROXY"]).as_deref(),
        );
        let of_environment = of_environment.map_err(|error| ConfigError::new("http_proxy or https_proxy", error))?;
        let of_hex = self.hex.proxies.clone();
        let proxies = Proxies {
            http: of_environment.http.or(of_hex.http),
            https: of_environment.https.or(of_hex.https),
            no_proxy: of_environment.no_proxy.or(of_hex.no_proxy),
        };
        let defaults = Settings::default();
        let timeouts = self.project.config.timeout.map(|timeout| Timeouts { connect: timeout, stall: timeout });
        let ca_certificates = environment.get("HEX_CACERTS_PATH").map(PathBuf::from);
        // For tests, which cannot wait, as in cargo (`__CARGO_TEST_FIXED_RETRY_SLEEP_MS`).
        let pause = environment.get("__HEXMIRROR_TEST_RETRY_PAUSE_MS").and_then(|pause| pause.parse().ok());
        let pause = pause.map(Duration::from_millis);
        let retry = pause.map(|pause| retry::Policy { first_pause: pause, longest_pause: pause, ..defaults.retry });
        Ok(Settings {
            concurrency: self.concurrency(jobs),
            proxies,
            ca_certificates: ca_certificates.or_else(|| self.hex.ca_certificates.clone()),
            timeouts: timeouts.unwrap_or(defaults.timeouts),
            retry: retry.unwrap_or(defaults.retry),
            hex_home: self.hex_home.clone(),
            netrc: netrc(environment)?,
            internal_hosts: self.project.config.internal_hosts.clone(),
            ..defaults
        })
    }
}
