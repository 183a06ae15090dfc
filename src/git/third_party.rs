//! The settings for git processes that contact servers other than the project's own.
//!
//! A lock names servers of other people, and git would send them whatever is configured for all servers. For example,
//! CI systems put their token into an unscoped `http.extraHeader`. Therefore git runs with only the settings that this
//! module allows, wherever they are configured (a file, an include, `-c`, `GIT_CONFIG_COUNT`):
//!
//! - settings for an address: `http.<url>.*`, `credential.*`, `url.*`;
//! - settings for leaving this network and for trust: `core.sshCommand`, proxies, certificate authorities;
//! - settings that neither identify the user nor allow anyone to impersonate the server.
//!
//! Every other `http.*` setting without an address (headers, cookies, client certificates, `sslVerify`) applies only to
//! the servers of the project's remotes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;

use url::Url;

/// The `http.*` settings that are allowed without an address.
const HTTP: &[&str] = &[
    "curloptresolve",
    "followredirects",
    "keepalivecount",
    "keepaliveidle",
    "keepaliveinterval",
    "lowspeedlimit",
    "lowspeedtime",
    "maxrequests",
    "minsessions",
    "noepsv",
    "postbuffer",
    "proxy",
    "proxyauthmethod",
    "proxysslcainfo",
    "proxysslcert",
    "proxysslcertpasswordprotected",
    "proxysslkey",
    "schannelcheckrevoke",
    "schannelusesslcainfo",
    "sslbackend",
    "sslcainfo",
    "sslcapath",
    "sslcipherlist",
    "sslversion",
    "useragent",
    "version",
];

/// The other settings that are allowed.
const OTHERS: &[&str] = &[
    "core.askpass",
    "core.gitproxy",
    "core.longpaths",
    "core.sshcommand",
    "pack.threads",
    "protocol.version",
    "ssh.variant",
];

/// The variables that git treats as settings without an address (`http.c`), with the setting and its value. `None`
/// stands for the variable's own value.
pub(super) const VARIABLES: &[(&str, &str, Option<&str>)] = &[
    ("GIT_SSL_CERT", "http.sslcert", None),
    ("GIT_SSL_CERT_PASSWORD_PROTECTED", "http.sslcertpasswordprotected", Some("true")),
    ("GIT_SSL_CERT_TYPE", "http.sslcerttype", None),
    ("GIT_SSL_KEY", "http.sslkey", None),
    ("GIT_SSL_KEY_TYPE", "http.sslkeytype", None),
    ("GIT_SSL_NO_VERIFY", "http.sslverify", Some("false")),
];

/// Settings as keys and values, in order of increasing precedence. `Debug` hides the values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ThirdPartySettings(Vec<(String, OsString)>);

/// A setting as listed by git.
#[derive(Clone, Copy)]
struct Setting<'a> {
    /// The scope, such as `local`.
    scope: &'a [u8],
    section: &'a str,
    subsection: Option<&'a str>,
    name: &'a str,
    value: &'a [u8],
}

impl ThirdPartySettings {
    /// Selects the allowed settings from the output of `git config --null --show-scope --list` in the project, and from
    /// the values of [`VARIABLES`].
    pub(super) fn of(listing: &[u8], variables: &[(&'static str, String)]) -> Self {
        let mut words = listing.split(|byte| *byte == 0);
        let mut settings = Vec::new();
        while let (Some(scope), Some(setting)) = (words.next(), words.next()) {
            settings.extend(Setting::read(scope, setting));
        }
        let variables = variables.iter().filter_map(|(key, value)| Setting::of(b"command", key, value.as_bytes()));
        let own = own_servers(&settings);
        settings.extend(variables);
        Self(settings.iter().flat_map(|setting| setting.allowed(&own)).collect())
    }

    /// Returns the settings.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &(String, OsString)> {
        self.0.iter()
    }
}

impl fmt::Debug for ThirdPartySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(key, _)| key)).finish()
    }
}

impl<'a> Setting<'a> {
    fn read(scope: &'a [u8], setting: &'a [u8]) -> Option<Self> {
        let end = setting.iter().position(|byte| *byte == b'\n');
        let (key, value) = match end {
            Some(end) => (&setting[..end], &setting[end + 1..]),
            // A key without a value means true.
            None => (setting, &b"true"[..]),
        };
        Self::of(scope, std::str::from_utf8(key).ok()?, value)
    }

    fn of(scope: &'a [u8], key: &'a str, value: &'a [u8]) -> Option<Self> {
        let (section, rest) = key.split_once('.')?;
        let (subsection, name) = match rest.rsplit_once('.') {
            Some((subsection, name)) => (Some(subsection), name),
            None => (None, rest),
        };
        Some(Self { scope, section, subsection, name, value })
    }

    fn key(&self) -> String {
        let Self { section, subsection, name, .. } = self;
        subsection.map_or_else(|| format!("{section}.{name}"), |subsection| format!("{section}.{subsection}.{name}"))
    }

    /// Returns the setting as it is allowed: for every server, for each of the project's own, or not at all.
    fn allowed(self, own: &BTreeSet<String>) -> Vec<(String, OsString)> {
        let one = |key: String| (key, os_string(self.value));
        let goes = match (self.section, self.subsection) {
            ("http", None) => HTTP.contains(&self.name),
            ("http" | "url", Some(_)) | ("credential", _) => true,
            ("fetch", Some(subsection)) => subsection == "fsck",
            // Git only trusts this setting if it is configured outside of the repository.
            ("safe", None) => !matches!(self.scope, b"local" | b"worktree"),
            (_, None) => OTHERS.contains(&self.key().as_str()),
            _ => false,
        };
        if goes {
            return vec![one(self.key())];
        }
        if (self.section, self.subsection) == ("http", None) {
            return own.iter().map(|server| one(format!("http.{server}/.{}", self.name))).collect();
        }
        Vec::new()
    }
}

/// Returns the servers of the project's HTTP remotes, as scheme, host and port.
fn own_servers(settings: &[Setting<'_>]) -> BTreeSet<String> {
    let text = |setting: &Setting<'_>| String::from_utf8_lossy(setting.value).into_owned();
    let instead: Vec<(&str, String)> = settings
        .iter()
        .filter(|setting| (setting.section, setting.name) == ("url", "insteadof"))
        .filter_map(|setting| Some((setting.subsection?, text(setting))))
        .collect();
    let addresses = settings
        .iter()
        .filter(|setting| setting.section == "remote" && matches!(setting.name, "url" | "pushurl"))
        .filter(|setting| setting.subsection.is_some());
    let origin = |address: String| {
        let longest =
            instead.iter().filter(|(_, begin)| address.starts_with(begin)).max_by_key(|(_, begin)| begin.len());
        let address = longest.map_or(address.clone(), |(base, begin)| format!("{base}{}", &address[begin.len()..]));
        let url = Url::parse(&address).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        url.origin().is_tuple().then(|| url.origin().ascii_serialization())
    };
    addresses.filter_map(|setting| origin(text(setting))).collect()
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStringExt;

    OsString::from_vec(bytes.to_owned())
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the allowed settings among `settings`, which are written as `SCOPE KEY=VALUE`.
    fn allowed(settings: &[&str]) -> Vec<String> {
        let listed = |setting: &&str| {
            let (scope, rest) = setting.split_once(' ').unwrap();
            format!("{scope}\0{}\0", rest.replacen('=', "\n", 1))
        };
        let listing: String = settings.iter().map(listed).collect();
        let settings = ThirdPartySettings::of(listing.as_bytes(), &[]);
        settings.iter().map(|(key, value)| format!("{key}={}", value.to_str().unwrap())).collect()
    }

    #[test]
    fn settings_for_addresses_proxies_and_authorities_are_allowed() {
        let goes = [
            "local http.https://github.com/.extraheader=AUTHORIZATION: basic x",
            "global http.https://h/.sslverify=false",
            "system credential.helper=store",
            "command credential.https://h.username=me",
            "local url.git@h:.insteadof=https://h/",
            "local core.sshcommand=ssh -i key",
            "local http.proxy=http://p:1",
            "global http.sslcainfo=/ca.pem",
            "global fetch.fsck.missingemail=error",
            "global safe.directory=*",
        ];
        let expected: Vec<&str> = goes.iter().map(|setting| setting.split_once(' ').unwrap().1).collect();
        assert_eq!(allowed(&goes), expected);
    }

    #[test]
    fn credentials_are_limited_to_the_servers_of_remotes() {
        let private = [
            "extraheader=X: y",
            "cookiefile=c",
            "savecookies=true",
            "sslcert=c",
            "sslkey=k",
            "sslverify=false",
            "delegation=always",
            "emptyauth=true",
            "proactiveauth=basic",
            "somethingnew=1",
        ];
        for setting in private {
            for scope in ["system", "global", "local", "worktree", "command"] {
                let setting = format!("{scope} http.{setting}");
                assert_eq!(allowed(&[&setting]), [""; 0], "{setting}");
                assert_eq!(allowed(&[&setting, "local remote.origin.url=git@h:x"]), [""; 0], "{setting}");
            }
            let remotes = [
                "local remote.origin.url=https://me:pw@H:443/x.git",
                "local remote.second.pushurl=http://i:8080/x",
                "global url.https://j/.insteadof=gh:",
                "local remote.a.b.url=gh:x",
            ];
            let setting = format!("local http.{setting}");
            let (_, written) = setting.split_once("http.").unwrap();
            let expected =
                ["http://i:8080", "https://h", "https://j"].map(|server| format!("http.{server}/.{written}"));
            let goes = allowed(&[&[setting.as_str()][..], &remotes].concat());
            assert_eq!(goes[..3], expected);
            assert_eq!(goes[3..], ["url.https://j/.insteadof=gh:"]);
        }
    }

    #[test]
    fn other_settings_are_not_allowed() {
        for setting in [
            "local safe.directory=*",
            "worktree safe.barerepository=all",
            "global core.hookspath=/x",
            "local core.fsmonitor=/x",
            "local remote.origin.promisor=true",
            "local include.path=/x",
            "global alias.x=y",
            "local fetch.bundleuri=/x",
            "global extensions.partialclone=origin",
        ] {
            assert_eq!(allowed(&[setting]), [""; 0], "{setting}");
        }
    }

    #[test]
    fn variables_become_settings_and_values_are_hidden() {
        let listing = b"local\0remote.origin.url\nhttps://h/x\0local\0http.sslverify\0global\0broken\0";
        let settings = ThirdPartySettings::of(listing, &[("http.sslcert", "secret.pem".into())]);
        let expected = [("http.https://h/.sslverify", "true"), ("http.https://h/.sslcert", "secret.pem")];
        let expected = expected.map(|(key, value)| (key.to_owned(), OsString::from(value)));
        assert!(settings.iter().eq(&expected), "{settings:?}");
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
