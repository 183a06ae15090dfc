//! How clients reach a server, and the variables that depend on nothing else.

use std::collections::BTreeMap;

use url::Url;

use super::contents::Registry;
use super::insteadof::InsteadOfRules;
use super::variable::Variable;

/// How clients reach a server.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The server's address, without a trailing slash.
    pub base_url: String,
    /// The registry at the server's root. Hex clients are always led to the one that upstream signed, because they have
    /// upstream's key.
    pub registry: Registry,
    /// The rules that redirect git to the server.
    pub instead_of: InsteadOfRules,
    /// The CA certificate file that verifies the server's certificate, if the server uses its own authority.
    pub authority: Option<String>,
    /// The `HEX_HOME` with the generated `hex.config`, if Hex needs one.
    pub hex_home: Option<String>,
    /// The `XDG_CACHE_HOME` with gleam's packages, if a lock is gleam's.
    pub cache_home: Option<String>,
    /// The folders with precompiled files, by the variables that name them to clients.
    pub artefact_folders: BTreeMap<String, String>,
    /// Whether clients may accept registry entries that name another repository than the one that they come from.
    pub any_origin: bool,
    /// Whether previous values that contain a password are recorded for commands of this program.
    pub records_passwords: bool,
    /// Whether the server is git's proxy too.
    pub is_proxy: bool,
}

impl Access {
    /// Returns the address of the registry that upstream signed.
    pub(super) fn hex_url(&self) -> String {
        hex_url(&self.base_url, self.registry)
    }
}

/// Returns the address of the registry that upstream signed, on a server that has `registry` at its root.
pub(super) fn hex_url(base_url: &str, registry: Registry) -> String {
    match registry {
        Registry::Signed => base_url.to_owned(),
        Registry::Pinned => format!("{base_url}/signed"),
    }
}

/// Returns the changes to all variables except those that contain git's settings.
pub(super) fn changes(access: &Access, existing: impl Fn(&str) -> Option<String>) -> Vec<Variable> {
    let base_url = access.base_url.as_str();
    let hex_url = access.hex_url();
    let set = |name: &'static str, value: &str| Variable::set(name, value);
    let unset = |name: &'static str| Variable::unset(name);
    let host = host(base_url);
    let http_proxy = existing("HTTP_PROXY").or_else(|| existing("http_proxy"));
    let lower = existing("no_proxy");
    let upper = existing("NO_PROXY");
    let extended = |own: &Option<String>, other: &Option<String>| {
        with_host(own.as_ref().or(other.as_ref()).map_or("", String::as_str), &host)
    };
    let mut variables = vec![
        set("HEX_MIRROR", &hex_url),
        set("HEX_MIRROR_URL", &hex_url),
        unset("HEX_TRUSTED_MIRROR"),
        unset("HEX_TRUSTED_MIRROR_URL"),
        set("HEX_CDN", &hex_url),
        set("HEX_BUILDS_URL", &hex_url),
        set("HEX_OFFLINE", "0"),
        unset("REBAR_OFFLINE"),
        set("no_proxy", &extended(&lower, &upper)),
        set("NO_PROXY", &extended(&upper, &lower)),
        unset("http_proxy"),
    ];
    variables.extend(http_proxy.map(|proxy| set("HTTP_PROXY", &proxy)));
    variables.extend(access.hex_home.iter().map(|folder| set("HEX_HOME", folder)));
    variables.extend(access.cache_home.iter().map(|folder| set("XDG_CACHE_HOME", folder)));
    variables.extend(access.artefact_folders.iter().map(|(name, folder)| Variable::set(name.clone(), folder)));
    if access.any_origin {
        variables.extend(["HEX_NO_VERIFY_REPO_ORIGIN", "REBAR_NO_VERIFY_REPO_ORIGIN"].map(|name| set(name, "1")));
    }
    if let Some(authority) = &access.authority {
        variables.push(set("HEX_CACERTS_PATH", authority));
        variables.extend(existing("GIT_SSL_CAINFO").map(|_| unset("GIT_SSL_CAINFO")));
    }
    let scheme = scheme(base_url);
    let allowed = existing("GIT_ALLOW_PROTOCOL").filter(|list| !list.split(':').any(|allowed| allowed == scheme));
    variables.extend(allowed.map(|list| set("GIT_ALLOW_PROTOCOL", &format!("{list}:{scheme}"))));
    variables
}

/// Returns the variables that make the server the proxy of a command that must not leave the mirror, to be set after
/// those that direct clients to the server. Other servers on this machine need no proxy.
pub fn proxies(base_url: &str) -> Vec<Variable> {
    let proxies = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let exceptions = ["no_proxy", "NO_PROXY"];
    let proxies = proxies.into_iter().map(|name| Variable::set(name, base_url));
    proxies.chain(exceptions.into_iter().map(|name| Variable::set(name, "localhost,127.0.0.1,::1"))).collect()
}

/// Returns the protocol of a base URL.
pub(super) fn scheme(base_url: &str) -> &str {
    base_url.split_once("://").map_or("http", |(scheme, _)| scheme)
}

/// Returns the host of a base URL in the form that clients compare: without a port and without the brackets of IPv6.
pub(super) fn host(base_url: &str) -> String {
    let url = Url::parse(base_url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    host.trim_matches(['[', ']']).to_owned()
}

/// Adds `host` to a list of hosts, unless the list contains it. Inserts no spaces, because rebar3 and `mix local.*` do
/// not trim.
fn with_host(list: &str, host: &str) -> String {
    if list.split(',').any(|item| item == host) {
        return list.to_owned();
    }
    match list.trim_end_matches([',', ' ']) {
        "" => host.to_owned(),
        list => format!("{list},{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(base_url: &str, existing: impl Fn(&str) -> Option<String>) -> Vec<Variable> {
        super::changes(&Access { base_url: base_url.to_owned(), ..Access::default() }, existing)
    }

    fn value(variables: &[Variable], name: &str) -> Option<String> {
        variables.iter().find(|variable| variable.name == name).unwrap().value.clone()
    }

    fn proxies(lower: Option<&str>, upper: Option<&str>) -> (String, String) {
        let existing = |name: &str| match name {
            "no_proxy" => lower.map(str::to_owned),
            "NO_PROXY" => upper.map(str::to_owned),
            "LD_PRELOAD" | "HEX_REPOS_KEY" => panic!("{name} is nobody's business"),
            _ => None,
        };
        let variables = changes("http://127.0.0.1:4040", existing);
        (value(&variables, "no_proxy").unwrap(), value(&variables, "NO_PROXY").unwrap())
    }

    #[test]
    fn the_host_is_added_to_no_proxy() {
        let both = |text: &str| (text.to_owned(), text.to_owned());
        assert_eq!(proxies(None, None), both("127.0.0.1"));
        assert_eq!(proxies(Some(".corp,::1"), None), both(".corp,::1,127.0.0.1"));
        assert_eq!(proxies(None, Some(".corp, ")), both(".corp,127.0.0.1"));
        assert_eq!(proxies(Some("a"), Some("b")), ("a,127.0.0.1".into(), "b,127.0.0.1".into()));
        assert_eq!(
            proxies(Some("127.0.0.1,a"), Some("127.0.0.10")),
            ("127.0.0.1,a".into(), "127.0.0.10,127.0.0.1".into())
        );
        assert_eq!(proxies(Some("a\nLD_PRELOAD=x"), None), both("aLD_PRELOAD=x,127.0.0.1"));
    }

    #[test]
    fn a_proxy_moves_to_a_variable_that_rebar3_does_not_read() {
        let with = |set: &[(&str, &str)]| {
            let existing = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            let variables = changes("http://127.0.0.1:4040", existing);
            assert_eq!(value(&variables, "http_proxy"), None);
            variables.into_iter().find(|variable| variable.name == "HTTP_PROXY").and_then(|variable| variable.value)
        };
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[("http_proxy", "http://a:1")]).unwrap(), "http://a:1");
        assert_eq!(with(&[("http_proxy", "http://a:1"), ("HTTP_PROXY", "http://b:2")]).unwrap(), "http://b:2");
    }

    #[test]
    fn hosts_of_base_urls() {
        for (url, expected) in [
            ("http://127.0.0.1:4040", "127.0.0.1"),
            ("http://[::1]:4040", "::1"),
            ("http://localhost:80/x:y", "localhost"),
            ("http://mirror", "mirror"),
        ] {
            assert_eq!(host(url), expected);
        }
    }

    #[test]
    fn an_existing_list_of_protocols_is_extended() {
        let with = |list: &'static str| {
            let find = move |name: &str| (name == "GIT_ALLOW_PROTOCOL").then(|| list.to_owned());
            changes("http://h", find).into_iter().find(|variable| variable.name == "GIT_ALLOW_PROTOCOL")
        };
        assert_eq!(with("https:ssh").unwrap().value.unwrap(), "https:ssh:http");
        assert_eq!(with("https:http"), None);
    }
}
