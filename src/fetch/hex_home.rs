//! The local Hex client's files: its configuration and its cache of tarballs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use super::downloads::{Download, Origin};
use super::endpoint::{Endpoint, Secret, WebUrl, Withheld};
use super::error::{Cause, FetchError};
use super::file::read_bounded;
use super::hash;
use super::proxies::Proxies;
use super::token::Token;
use crate::model::{OuterChecksum, ReleaseId, RepositoryName};
use crate::term::{Spanned, Term, erlang};

/// The default address of `hexpm`.
const HEXPM: &str = "https://repo.hex.pm";

/// The settings that decide what the client resolves to and shows (`@config` in `hex/state.ex`). They contain neither
/// addresses nor credentials.
const OPTIONS: [&str; 11] = [
    "cacerts_path",
    "cooldown",
    "cooldown_exclude_repos",
    "diff_command",
    "http_concurrency",
    "http_timeout",
    "ignore_advisories",
    "ignore_retirements",
    "no_short_urls",
    "no_verify_repo_origin",
    "policy",
];

/// The folders of the local Hex client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HexHome {
    config: PathBuf,
    cache: PathBuf,
}

impl HexHome {
    /// Uses one folder for everything: `HEX_HOME` or `~/.hex`.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        let home = home.into();
        Self { config: home.clone(), cache: home }
    }

    /// Uses the folders that the client has if `MIX_XDG` is set.
    pub fn xdg(config: impl Into<PathBuf>, cache: impl Into<PathBuf>) -> Self {
        Self { config: config.into(), cache: cache.into() }
    }

    /// Returns the tarball in the client's cache if it exists and has the checksum (`cache_path/3` in `scm.ex`).
    pub fn tarball(&self, release: &ReleaseId, expected: &OuterChecksum) -> Option<Download> {
        let repository = release.repository.as_str();
        // File names on Windows must not contain ':', so the client writes '-' instead.
        let repository = if cfg!(windows) { repository.replace(':', "-") } else { repository.to_owned() };
        let path = self.cache.join("packages").join(repository).join(release.tarball_name());
        // Errors in another program's cache are ignored, because upstream has the tarball too.
        let (outer_checksum, bytes) = path.is_file().then(|| hash::of_file(&path).ok()).flatten().flatten()?;
        let download = Download { path, outer_checksum, bytes, downloaded_bytes: 0, origin: Origin::HexCache };
        (outer_checksum == *expected).then_some(download)
    }

    /// Reads `hex.config`. If the file does not exist, the configuration is empty.
    ///
    /// # Errors
    /// [`FetchError::HexConfig`] if the file is not in the client's format, [`FetchError::Io`] if it cannot be read.
    pub fn config(&self) -> Result<HexConfig, FetchError> {
        let path = self.config.join("hex.config");
        let source = read_bounded(&path).map_err(FetchError::io("read", &path))?;
        HexConfig::parse(&source).map_err(|source| FetchError::HexConfig { path, source })
    }
}

/// The local Hex client's configuration, as far as it affects fetching.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HexConfig {
    /// The repositories from `mix hex.repo` and `mix hex.organization`.
    pub repositories: BTreeMap<RepositoryName, HexRepository>,
    /// The key for `hexpm` and its organisations from `HEX_REPOS_KEY`.
    pub repos_key: Option<Secret>,
    /// The mirror to use instead of `hexpm`, without keys.
    pub mirror_url: Option<WebUrl>,
    /// The mirror to use instead of `hexpm`, with its keys. It has precedence over `mirror_url`.
    pub trusted_mirror_url: Option<WebUrl>,
    /// The token of the user's login (`mix hex.user auth`), for `hexpm` and its organisations.
    pub login: Option<Token>,
    /// The proxies.
    pub proxies: Proxies,
    /// A PEM file with certificate authorities.
    pub ca_certificates: Option<PathBuf>,
    /// The policy that Hex enforces in all projects that name none, as `REPOSITORY/NAME`.
    pub policy: Option<String>,
    /// Whether what a repository signs may name another repository.
    pub no_verify_repo_origin: Option<bool>,
    /// The number of concurrent requests.
    pub http_concurrency: Option<usize>,
    /// The settings that contain neither addresses nor credentials, as terms in the file's own text.
    pub options: Vec<u8>,
    /// The ignored invalid parts, one sentence each, without secrets.
    pub problems: Vec<String>,
}

/// The local Hex client's configuration of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HexRepository {
    /// The address, unless it is the default.
    pub url: Option<WebUrl>,
    /// The key.
    pub key: Option<Secret>,
    /// The token that Hex exchanged for the key.
    pub token: Option<Token>,
    /// The public key for the registry's signatures, as PEM.
    pub public_key: Option<String>,
}

impl HexConfig {
    fn parse(source: &[u8]) -> Result<Self, Cause> {
        let terms = erlang::consult(source).map_err(|error| {
            let (line, column) = error.span.line_column(source);
            format!("line {line}, column {column}: {error}")
        })?;
        let mut config = Self::default();
        for (term, (key, value)) in terms.iter().filter_map(|term| Some((term, term.term.as_pair()?))) {
            let key = key.term.as_atom().unwrap_or_default();
            config.take(key, &value.term);
            if OPTIONS.contains(&key) {
                config.options.extend_from_slice(&source[term.span.range()]);
                config.options.extend_from_slice(b".\n");
            }
        }
        Ok(config)
    }

    fn take(&mut self, key: &str, value: &Term<'_>) {
        let text = value.as_text().filter(|text| !text.is_empty());
        match key {
            "$repos" => self.take_repositories(value),
            "repos_key" => self.repos_key = text.map(Secret::new),
            "$oauth_token" => self.login = Token::read(value),
            "mirror_url" => self.mirror_url = self.url(key, text, str::parse),
            "trusted_mirror_url" => self.trusted_mirror_url = self.url(key, text, str::parse),
            "http_proxy" => self.proxies.http = self.url(key, text, WebUrl::proxy),
            "https_proxy" => self.proxies.https = self.url(key, text, WebUrl::proxy),
            "no_proxy" => self.proxies.no_proxy = text.map(str::to_owned),
            "policy" => self.policy = text.map(str::to_owned),
            // `mix hex.config` writes booleans as strings.
            "no_verify_repo_origin" => {
                let is_true = text.map(|text| matches!(text, "1" | "true" | "TRUE"));
                self.no_verify_repo_origin = value.as_bool().or(is_true);
            }
            "cacerts_path" => self.ca_certificates = text.map(PathBuf::from),
            // `mix hex.config` writes numbers as strings.
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
            Some(&value.term)
        };
        let text = |wanted: &str| field(wanted)?.as_text();
        HexRepository {
            url: self.url(&format!("url of {name}"), text("url"), str::parse),
            key: text("auth_key").map(Secret::new),
            token: field("oauth_token").and_then(Token::read),
            public_key: text("public_key").map(str::to_owned),
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

    /// Returns the address and credentials that the client uses for a repository, or `None` if the client does not know
    /// the repository.
    ///
    /// A mirror replaces `hexpm` and those of its organisations that are not configured. Only a trusted mirror gets
    /// keys (`hexpm_repo/0` and `update_organizations/1` in Hex's `repo.ex`). An organisation is below its repository
    /// and uses the repository's key unless it has its own (`default_organization/3`). This function is stricter than
    /// the client in one point: it does not send the repository's key to an organisation at another address.
    pub fn endpoint(&self, name: &RepositoryName, now: SystemTime) -> Option<Endpoint> {
        let own = self.repositories.get(name);
        let of_source = |organization: &str, mirrored: bool| {
            let (url, trusted) = self.place(&name.source().parse().ok()?, mirrored)?;
            Some((Endpoint::public(url).organization(organization).url, trusted))
        };
        let (url, trusted, inherits) = match (name.organization(), own.and_then(|own| own.url.clone())) {
            (None, _) => self.place(name, true).map(|(url, trusted)| (url, trusted, true))?,
            (Some(organization), Some(url)) => {
                let inherits = of_source(organization, false).is_some_and(|(below, _)| below == url);
                (url, true, inherits)
            }
            (Some(organization), None) => {
                of_source(organization, own.is_none()).map(|(url, trusted)| (url, trusted, true))?
            }
        };
        let access = if inherits { self.access(name, now) } else { self.own_access(name, now) };
        let access = if trusted { access } else { access.withheld(Withheld::UntrustedMirror) };
        Some(Endpoint { url, access })
    }

    /// Returns the address of a repository that is not an organisation, and whether keys may be sent to it. `mirrored`
    /// is whether to apply the mirror.
    fn place(&self, name: &RepositoryName, mirrored: bool) -> Option<(WebUrl, bool)> {
        let own = self.repositories.get(name).and_then(|own| own.url.clone());
        if *name != RepositoryName::hexpm() {
            return own.map(|url| (url, true));
        }
        let trusted = self.trusted_mirror_url.clone().map(|url| (url, true));
        let mirror = trusted.or_else(|| self.mirror_url.clone().map(|url| (url, false))).filter(|_| mirrored);
        let usual = || HEXPM.parse().expect("the constant is an address");
        Some(mirror.unwrap_or_else(|| (own.unwrap_or_else(usual), true)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// The format in which Hex 2.5 writes it, using `io_lib:print/1`.
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
        let options = "{http_concurrency,<<\"4\">>}.\n{cacerts_path,<<\"/Ã©/x\">>}.\n";
        assert_eq!(config.options, options.as_bytes());
        assert!(!format!("{config:?}").contains("hunter2") && !format!("{config:?}").contains("-key"));
    }

    /// Returns the endpoints of some repositories with their keys, at a time before a token that expires at 10000.
    fn endpoints<const N: usize>(config: &HexConfig, of: [&str; N]) -> [String; N] {
        of.map(|of| match config.endpoint(&name(of), UNIX_EPOCH + Duration::from_secs(9000)) {
            Some(Endpoint { url, access }) => match (access.key, access.withheld) {
                (Some(key), None) => format!("{url} {}", key.reveal()),
                (None, Some(why)) => format!("{url} {why:?}"),
                (None, None) => url.to_string(),
                both => format!("{both:?}"),
            },
            None => "unknown".to_owned(),
        })
    }

    #[test]
    fn endpoints_and_their_keys_are_found_as_the_client_finds_them() {
        let (_folder, home) = home(&format!(r#"{CONFIG}{{repos_key,<<"all">>}}."#));
        let config = home.config().unwrap();
        let of = ["hexpm", "hexpm:one", "hexpm:two", "hexpm:elsewhere", "acme", "acme:x", "other", "other:x"];
        let expected = [
            "https://repo.hex.pm all",
            "https://repo.hex.pm/repos/one one-key",
            "https://repo.hex.pm/repos/two all",
            "https://elsewhere.example",
            "https://user:****@hex.acme.example/x acme-key",
            "https://user:****@hex.acme.example/x/repos/x acme-key",
            "unknown",
            "unknown",
        ];
        assert_eq!(endpoints(&config, of), expected);
    }

    #[test]
    fn only_a_trusted_mirror_gets_keys() {
        let (_folder, home) =
            home(&format!(r#"{CONFIG}{{repos_key,<<"all">>}}. {{mirror_url,<<"http://m.example">>}}."#));
        let mut config = home.config().unwrap();
        let of = ["hexpm", "hexpm:two", "hexpm:one", "hexpm:elsewhere", "acme"];
        let others = [
            // The client does not use the mirror for an organisation that is configured.
            "https://repo.hex.pm/repos/one one-key",
            "https://elsewhere.example",
            "https://user:****@hex.acme.example/x acme-key",
        ];
        let withheld = ["http://m.example UntrustedMirror", "http://m.example/repos/two UntrustedMirror"];
        assert_eq!(endpoints(&config, of)[..2], withheld);
        assert_eq!(endpoints(&config, of)[2..], others);
        config.trusted_mirror_url = Some("http://t.example".parse().unwrap());
        assert_eq!(endpoints(&config, of)[..2], ["http://t.example all", "http://t.example/repos/two all"]);
        assert_eq!(endpoints(&config, of)[2..], others);
        (config.trusted_mirror_url, config.repos_key) = (None, None);
        assert_eq!(endpoints(&config, ["hexpm", "hexpm:two"]), ["http://m.example", "http://m.example/repos/two"]);
    }

    #[test]
    fn tokens_are_sent_until_they_expire() {
        let token = |until: u64| format!("#{{access_token => <<\"t{until}\">>,expires_at => {until}}}");
        let old = r#"#{<<"access_token">> => <<"old">>,<<"expires_at">> => 9999}"#;
        let configured = |login: &str, of_one: &str| {
            let one = format!(r#"<<"hexpm:one">> => #{{auth_key => <<"one-key">>,oauth_token => {of_one}}}"#);
            let (_folder, home) = home(&format!("{{'$repos',#{{{one}}}}}.\n{{'$oauth_token',{login}}}.\n"));
            home.config().unwrap()
        };
        let of = ["hexpm", "hexpm:one", "hexpm:two", "acme"];
        let [hexpm, one, two] = ["", "/repos/one", "/repos/two"].map(|path| format!("https://repo.hex.pm{path}"));
        let expect = |login: &str, of_one: &str, login_shown: &str, one_shown: &str| {
            let expected = [
                format!("{hexpm} {login_shown}"),
                format!("{one} {one_shown}"),
                format!("{two} {login_shown}"),
                "unknown".to_owned(),
            ];
            assert_eq!(endpoints(&configured(login, of_one), of), expected);
        };
        expect(&token(10_000), &token(9300), "Bearer t10000", "Bearer t9300");
        expect(old, &token(9299), "Bearer old", "one-key");
        expect(&token(9299), "nil", "ExpiredLogin", "one-key");
        expect(&token(0), "7", "ExpiredLogin", "one-key");
        let mut mirrored = configured(&token(10_000), "nil");
        mirrored.mirror_url = Some("http://m.example".parse().unwrap());
        assert_eq!(endpoints(&mirrored, ["hexpm"]), ["http://m.example UntrustedMirror"]);
        assert!(!format!("{mirrored:?}").contains("t10000"));
    }

    #[test]
    fn invalid_values_are_reported() {
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
        assert_eq!(config.endpoint(&name("a"), UNIX_EPOCH), None);
        let (folder, missing) = home("");
        std::fs::remove_file(folder.path().join("hex.config")).unwrap();
        assert_eq!(missing.config().unwrap(), HexConfig::default());
        let (_folder, large) = home(&" ".repeat(2 << 20));
        assert!(matches!(large.config().unwrap_err(), FetchError::Io { .. }));
    }
}
