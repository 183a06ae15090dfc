//! What the local Hex client keeps: tarballs it downloaded and its configuration.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::downloads::{Download, Origin};
use super::endpoint::{Endpoint, Secret, WebUrl};
use super::error::{Cause, FetchError};
use super::hash;
use super::settings::Proxies;
use crate::model::{OuterChecksum, ReleaseId, RepositoryName};
use crate::term::{Spanned, Term, erlang};

/// Where `hexpm` is, unless configured otherwise.
const HEXPM: &str = "https://repo.hex.pm";

/// The longest configuration accepted, in bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// The folders of the local Hex client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HexHome {
    config: PathBuf,
    cache: PathBuf,
}

impl HexHome {
    /// Takes one folder for everything: `HEX_HOME`, or `~/.hex`.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        let home = home.into();
        Self { config: home.clone(), cache: home }
    }

    /// Takes the folders that the client uses under `MIX_XDG`.
    pub fn xdg(config: impl Into<PathBuf>, cache: impl Into<PathBuf>) -> Self {
        Self { config: config.into(), cache: cache.into() }
    }

    /// Returns the tarball that the client downloaded, if it is there and has the checksum (`cache_path/3` in `scm.ex`).
    pub fn tarball(&self, release: &ReleaseId, expected: &OuterChecksum) -> Option<Download> {
        let repository = release.repository.as_str();
        // Windows has no ':' in names; the client writes '-' there.
        let repository = if cfg!(windows) { repository.replace(':', "-") } else { repository.to_owned() };
        let path = self.cache.join("packages").join(repository).join(release.tarball_name());
        // Another program's cache: whatever is wrong with it, upstream has the tarball.
        let (outer_checksum, bytes) = path.is_file().then(|| hash::of_file(&path).ok()).flatten().flatten()?;
        let download = Download { path, outer_checksum, bytes, downloaded_bytes: 0, origin: Origin::HexCache };
        (outer_checksum == *expected).then_some(download)
    }

    /// Reads `hex.config`. Where there is none, nothing is configured.
    ///
    /// # Errors
    /// [`FetchError::HexConfig`] where it is not what the client writes, [`FetchError::Io`] where it cannot be read.
    pub fn config(&self) -> Result<HexConfig, FetchError> {
        let path = self.config.join("hex.config");
        let source = read(&path).map_err(FetchError::io("read", &path))?;
        HexConfig::parse(&source).map_err(|source| FetchError::HexConfig { path, source })
    }
}

/// What the local Hex client is configured to do, as far as it bears on fetching.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HexConfig {
    /// What `mix hex.repo` and `mix hex.organization` keep.
    pub repositories: BTreeMap<RepositoryName, HexRepository>,
    /// The key for `hexpm` and its organisations, as `HEX_REPOS_KEY` gives it.
    pub repos_key: Option<Secret>,
    /// The mirror to use in the place of `hexpm`.
    pub mirror_url: Option<WebUrl>,
    /// The proxies.
    pub proxies: Proxies,
    /// A PEM file with certificate authorities.
    pub ca_certificates: Option<PathBuf>,
    /// How many requests run at once.
    pub http_concurrency: Option<usize>,
    /// What was left out because it makes no sense, one sentence each, without secrets.
    pub problems: Vec<String>,
}

/// What the local Hex client knows of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HexRepository {
    /// Its address, where it is not the usual one.
    pub url: Option<WebUrl>,
    /// Its key.
    pub key: Option<Secret>,
    /// The public key that its registry is signed with, as PEM.
    pub public_key: Option<String>,
}

impl HexConfig {
    fn parse(source: &[u8]) -> Result<Self, Cause> {
        let terms = erlang::consult(source).map_err(|error| {
            let (line, column) = error.span.line_column(source);
            format!("line {line}, column {column}: {error}")
        })?;
        let mut config = Self::default();
        for (key, value) in terms.iter().filter_map(|term| term.term.as_pair()) {
            config.take(key.term.as_atom().unwrap_or_default(), &value.term);
        }
        Ok(config)
    }

    fn take(&mut self, key: &str, value: &Term<'_>) {
        let text = value.as_text().filter(|text| !text.is_empty());
        match key {
            "$repos" => self.take_repositories(value),
            "repos_key" => self.repos_key = text.map(Secret::new),
            "mirror_url" => self.mirror_url = self.url(key, text, str::parse),
            "http_proxy" => self.proxies.http = self.url(key, text, WebUrl::proxy),
            "https_proxy" => self.proxies.https = self.url(key, text, WebUrl::proxy),
            "no_proxy" => self.proxies.no_proxy = text.map(str::to_owned),
            "cacerts_path" => self.ca_certificates = text.map(PathBuf::from),
            // `mix hex.config` writes numbers as text.
            "http_concurrency" => {
                let number = value.as_integer().and_then(|number| usize::try_from(number).ok());
                self.http_concurrency = number.or_else(|| text?.parse().ok());
            }
            _ => {}
        }
    }

    fn take_repositories(&mut self, repositories: &Term<'_>) {
        for (name, fields) in repositories.as_map().unwrap_or_default() {
            match name.term.as_text().unwrap_or_default().parse::<RepositoryName>() {
                Ok(name) => {
                    let repository = self.repository(&name, fields.term.as_map().unwrap_or_default());
                    self.repositories.insert(name, repository);
                }
                Err(error) => self.problems.push(error.to_string()),
            }
        }
    }

    fn repository(&mut self, name: &RepositoryName, fields: &[(Spanned<'_>, Spanned<'_>)]) -> HexRepository {
        let field = |wanted: &str| {
            let (_, value) = fields.iter().rev().find(|(key, _)| key.term.as_atom() == Some(wanted))?;
            value.term.as_text()
        };
        HexRepository {
            url: self.url(&format!("url of {name}"), field("url"), str::parse),
            key: field("auth_key").map(Secret::new),
            public_key: field("public_key").map(str::to_owned),
        }
    }

    fn url<E: std::fmt::Display>(
        &mut self,
        what: &str,
        text: Option<&str>,
        parse: fn(&str) -> Result<WebUrl, E>,
    ) -> Option<WebUrl> {
        match parse(text?) {
            Ok(url) => Some(url),
            Err(error) => {
                self.problems.push(format!("the {what} is {error}"));
                None
            }
        }
    }

    /// Returns where the client reaches a repository and with which key, mirrors left aside; `None` where it does not know it.
    ///
    /// An organisation is below its repository, with that one's key, unless it has its own (`default_organization/3` in
    /// `repo.ex`). In one point this is stricter than the client: the repository's key is not sent to another address.
    pub fn endpoint(&self, name: &RepositoryName) -> Option<Endpoint> {
        let own = self.repositories.get(name).cloned().unwrap_or_default();
        let Some(organization) = name.organization() else {
            let hexpm = *name == RepositoryName::hexpm();
            let usual = hexpm.then(|| HEXPM.parse().expect("the constant is an address"));
            let key = self.repos_key.clone().filter(|_| hexpm).or(own.key);
            return Some(Endpoint { url: own.url.or(usual)?, key });
        };
        let source = name.source().parse().ok().and_then(|source| self.endpoint(&source));
        let below = source.map(|source| source.organization(organization));
        match (own.url, below) {
            (Some(url), Some(below)) if url == below.url => Some(Endpoint { url, key: own.key.or(below.key) }),
            (Some(url), _) => Some(Endpoint { url, key: own.key }),
            (None, Some(below)) => Some(Endpoint { key: own.key.or(below.key), ..below }),
            (None, None) => None,
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut source = Vec::new();
    file.take(MAX_CONFIG + 1).read_to_end(&mut source)?;
    let fits = source.len() as u64 <= MAX_CONFIG;
    fits.then_some(source).ok_or_else(|| io::Error::other("it is larger than 1 MiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Hex 2.5 writes it, with `io_lib:print/1`.
    const CONFIG: &str = r#"{'$repos',#{<<"acme">> =>
                #{auth_key => <<"acme-key">>,fetch_public_key => nil,
                  oauth_exchange => false,oauth_exchange_url => nil,
                  public_key =>
                      <<"-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n">>,
                  url => <<"https://user:hunter2@hex.acme.example/x">>},
            <<"hexpm">> =>
                #{oauth_token =>
                      #{access_token => <<"x">>,expires_at => 1720000000}},
            <<"hexpm:elsewhere">> => #{url => <<"https://elsewhere.example">>},
            <<"hexpm:one">> =>
                #{auth_key => <<"one-key">>,auth_key_owner => organization}}}.
{http_proxy,<<"http://user:hunter2@proxy.example:3128">>}.
{http_concurrency,<<"4">>}.
{cacerts_path,<<"/Ã©/x">>}.
{'$oauth_token',nil}.
"#;

    fn name(name: &str) -> RepositoryName {
        name.parse().unwrap()
    }

    fn home(config: &str) -> (tempfile::TempDir, HexHome) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("hex.config"), config).unwrap();
        let home = HexHome::new(folder.path());
        (folder, home)
    }

    #[test]
    fn the_client_s_configuration_is_read() {
        let (_folder, home) = home(CONFIG);
        let config = home.config().unwrap();
        let acme = &config.repositories[&name("acme")];
        assert_eq!(acme.url.as_ref().unwrap().reveal(), "https://user:hunter2@hex.acme.example/x");
        assert_eq!(acme.key, Some(Secret::new("acme-key")));
        let pem = "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n";
        assert_eq!(acme.public_key.as_deref(), Some(pem));
        assert_eq!(config.proxies.http, Some(WebUrl::proxy("user:hunter2@proxy.example:3128").unwrap()));
        assert_eq!((config.http_concurrency, config.ca_certificates.as_deref()), (Some(4), Some(Path::new("/é/x"))));
        assert!(config.problems.is_empty(), "{:?}", config.problems);
        assert!(!format!("{config:?}").contains("hunter2") && !format!("{config:?}").contains("-key"));
    }

    #[test]
    fn endpoints_and_their_keys_are_found_as_the_client_finds_them() {
        let (_folder, home) = home(&format!(r#"{CONFIG}{{repos_key,<<"all">>}}."#));
        let config = home.config().unwrap();
        let endpoint = |of: &str| {
            let Endpoint { url, key } = config.endpoint(&name(of))?;
            Some((url.to_string(), key.map(|key| key.reveal().to_owned())))
        };
        let some = |url: &str, key: Option<&str>| Some((url.to_owned(), key.map(str::to_owned)));
        assert_eq!(endpoint("hexpm"), some("https://repo.hex.pm", Some("all")));
        assert_eq!(endpoint("hexpm:one"), some("https://repo.hex.pm/repos/one", Some("one-key")));
        assert_eq!(endpoint("hexpm:two"), some("https://repo.hex.pm/repos/two", Some("all")));
        assert_eq!(endpoint("hexpm:elsewhere"), some("https://elsewhere.example", None));
        assert_eq!(endpoint("acme"), some("https://user:****@hex.acme.example/x", Some("acme-key")));
        assert_eq!(endpoint("acme:x"), some("https://user:****@hex.acme.example/x/repos/x", Some("acme-key")));
        assert_eq!((endpoint("other"), endpoint("other:x")), (None, None));
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let (_folder, broken) = home("{a,1}.\n{b,<<\"hunter2\">>");
        let error = broken.config().unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.starts_with("line 2, column "), "{cause}");
        let (_folder, odd) = home(
            r#"{'$repos', #{<<"../x">> => #{}, <<"a">> => #{url => <<"ftp://u:hunter2@x">>}, b => 1}}. {mirror_url, 7}. x. {}."#,
        );
        let config = odd.config().unwrap();
        assert_eq!(config.problems.len(), 3, "{:?}", config.problems);
        assert!(!config.problems.concat().contains("hunter2"));
        assert_eq!(config.endpoint(&name("a")), None);
        let (folder, missing) = home("");
        std::fs::remove_file(folder.path().join("hex.config")).unwrap();
        assert_eq!(missing.config().unwrap(), HexConfig::default());
        let (_folder, large) = home(&" ".repeat(2 << 20));
        assert!(matches!(large.config().unwrap_err(), FetchError::Io { .. }));
    }
}
