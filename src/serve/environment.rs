//! The variables that make unmodified clients ask this server, and how they are written for other programs.
//!
//! | variable | becomes | because |
//! |---|---|---|
//! | `HEX_MIRROR_URL`, `HEX_MIRROR` | the server | Hex reads the first that is set (`hex/state.ex`, `mirror_url`); Hex keeps verifying with the key it has. rebar3 from 3.20 on and `mix local.*` know only the second |
//! | `HEX_TRUSTED_MIRROR_URL`, `HEX_TRUSTED_MIRROR` | unset | they win over the ones above (`hexpm_repo/0` in `hex/repo.ex`); and not emptied, since Hex takes the empty text for an address |
//! | `HEX_CDN` | the server | what rebar3 asks; it wins over `HEX_MIRROR` (`hex_cdn/0` in `rebar3.erl`), and 3.19 knows no other |
//! | `HEX_BUILDS_URL` | the server | what `mix local.hex` and `local.rebar` ask before `HEX_MIRROR` (`Mix.Hex.url/0`) |
//! | `HEX_OFFLINE` | `0` | otherwise Hex asks nobody; set rather than unset, because it also wins over `offline` in Hex's own configuration file |
//! | `REBAR_OFFLINE` | unset | the same for rebar3, which looks for `1` |
//! | `no_proxy`, `NO_PROXY` | what was there, and the server's host | a proxy would be asked for the loopback address otherwise. Hex prefers the first, `mix local.*` the second, rebar3 knows only the first: where one is missing it takes the other's value |
//! | `http_proxy` | unset, and its value moved to `HTTP_PROXY` unless that is set | rebar3 3.19 knows no `no_proxy` and would ask the proxy for the loopback address (seen by running it); it reads `http_proxy` only, Hex and `mix local.*` read both. git and curl read only the first, so they lose a proxy for `http:` addresses, not for `https:` |
//!
//! | `GIT_CONFIG_COUNT` and what it counts | as before, and the rules that lead git to the mirrored repositories | see [`Redirects`] |
//! | `GIT_ALLOW_PROTOCOL` | as before, and the server's protocol, where it is set | it is checked after the rules were applied |
//! | `HEX_CACERTS_PATH`, git's `http.<server>.sslCAInfo` | the authority of the server's certificate, where it has its own | the first replaces all that Hex trusts, and it asks nobody else; git does, so it is told for the server's address alone |
//! | `GIT_SSL_CAINFO` | unset in that case, and its value moved to `http.sslCAInfo` | it would win over the one for the server |
//!
//! Not touched: `GIT_TERMINAL_PROMPT` (the mirror never asks for a password), `HEX_HOME`, keys, `HEX_UNSAFE_REGISTRY`, `HEX_NO_VERIFY_REPO_ORIGIN`. They are the user's.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::{Map, Value};
use url::Url;

use super::redirects::{self, Setting};
pub use super::redirects::{Redirects, is_of_server};

/// Where clients find a server.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The server's address, without a slash at its end.
    pub base_url: String,
    /// What leads git to it.
    pub redirects: Redirects,
    /// The file with the authority that its certificate is to be checked with, where that is one of its own.
    pub authority: Option<String>,
}

/// One change of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The variable's name.
    pub name: Cow<'static, str>,
    /// Its value; `None` where it must not be set at all.
    pub value: Option<String>,
}

impl Variable {
    /// Sets a variable. Control characters are dropped, so that the value fits on a line.
    pub(super) fn set(name: impl Into<Cow<'static, str>>, value: &str) -> Self {
        Self { name: name.into(), value: Some(value.replace(char::is_control, "")) }
    }

    fn unset(name: &'static str) -> Self {
        Self { name: name.into(), value: None }
    }
}

/// Returns what has to be set and unset so that clients ask the server.
///
/// `existing` reads a variable of the environment that the clients would otherwise see.
pub fn environment(access: &Access, existing: impl Fn(&str) -> Option<String>) -> Vec<Variable> {
    let base_url = access.base_url.as_str();
    let (set, unset) = (Variable::set, Variable::unset);
    let host = host(base_url);
    let http_proxy = existing("HTTP_PROXY").or_else(|| existing("http_proxy"));
    let lower = existing("no_proxy");
    let upper = existing("NO_PROXY");
    let extended = |own: &Option<String>, other: &Option<String>| {
        with_host(own.as_ref().or(other.as_ref()).map_or("", String::as_str), &host)
    };
    let mut variables = vec![
        set("HEX_MIRROR", base_url),
        set("HEX_MIRROR_URL", base_url),
        unset("HEX_TRUSTED_MIRROR"),
        unset("HEX_TRUSTED_MIRROR_URL"),
        set("HEX_CDN", base_url),
        set("HEX_BUILDS_URL", base_url),
        set("HEX_OFFLINE", "0"),
        unset("REBAR_OFFLINE"),
        set("no_proxy", &extended(&lower, &upper)),
        set("NO_PROXY", &extended(&upper, &lower)),
        unset("http_proxy"),
    ];
    variables.extend(http_proxy.map(|proxy| set("HTTP_PROXY", &proxy)));
    let mut settings = settings(access);
    if let Some(authority) = &access.authority {
        variables.push(set("HEX_CACERTS_PATH", authority));
        if let Some(other) = existing("GIT_SSL_CAINFO") {
            variables.push(unset("GIT_SSL_CAINFO"));
            settings.push(of_http("", "sslCAInfo", &other));
        }
    }
    variables.extend(redirects::variables(&settings, &existing));
    let scheme = base_url.split_once("://").map_or("http", |(scheme, _)| scheme);
    let allowed = existing("GIT_ALLOW_PROTOCOL").filter(|list| !list.split(':').any(|allowed| allowed == scheme));
    variables.extend(allowed.map(|list| set("GIT_ALLOW_PROTOCOL", &format!("{list}:{scheme}"))));
    variables
}

/// Returns what leads git alone to the server, as a configuration file to include.
pub fn git_configuration(access: &Access) -> String {
    let base_url = &access.base_url;
    let mut settings = settings(access);
    // Otherwise a proxy would be asked for the loopback address.
    settings.push(of_http(base_url, "proxy", ""));
    let made = format!("# Leads git to the mirror at {base_url}; made by `git hexmirror env --format gitconfig`.\n");
    made + &redirects::file(&settings)
}

fn settings(access: &Access) -> Vec<Setting> {
    let authority = access.authority.iter().map(|authority| of_http(&access.base_url, "sslCAInfo", authority));
    authority.chain(access.redirects.settings(&access.base_url)).collect()
}

fn of_http(url: &str, name: &'static str, value: &str) -> Setting {
    Setting { section: "http", subsection: url.to_owned(), name, value: value.to_owned() }
}

/// Why a text is not the address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BaseUrlError {
    /// What is wrong with it, as a sentence's predicate.
    pub reason: &'static str,
}

/// Reads the address of a server as a person writes it, and returns it as clients are given it.
///
/// # Errors
/// Fails where it is not an http or https address, or has what no server's address has: clients append paths to it, and
/// compare its host with others.
pub fn base_url(text: &str) -> Result<String, BaseUrlError> {
    let error = |reason| Err(BaseUrlError { reason });
    let Some(url) = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    else {
        return error("is not an http or https address");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return error("has a user or a password, which the mirror does not ask for");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return error("has a query or a fragment, and clients append paths to it");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Returns the host of a base URL as the clients compare it: without port, and without the brackets of IPv6.
fn host(base_url: &str) -> String {
    let url = Url::parse(base_url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    host.trim_matches(['[', ']']).to_owned()
}

/// Adds `host` to a list of hosts, unless it is there. Without blanks: rebar3 and `mix local.*` do not trim.
fn with_host(list: &str, host: &str) -> String {
    if list.split(',').any(|item| item == host) {
        return list.to_owned();
    }
    match list.trim_end_matches([',', ' ']) {
        "" => host.to_owned(),
        list => format!("{list},{host}"),
    }
}

/// How variables are written for another program to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `export NAME='value'` and `unset NAME`, for `eval "$(…)"` in a POSIX shell.
    Shell,
    /// `NAME="value"`, for dotenv readers. They cannot unset: such a name becomes a comment.
    Dotenv,
    /// `NAME=value` with nothing quoted, for `docker run --env-file`, where quotes would be part of the value. Nothing has to
    /// be unset: a container starts without the variables of its host.
    Docker,
    /// `NAME=value`, to be appended to the file that `$GITHUB_ENV` names. Its format cannot unset, so such names are
    /// left out.
    Github,
    /// An object with a string, or null for "unset", for each name.
    Json,
}

/// Writes the variables in a format; ends with a line break. Values must hold no line break, as [`environment`] sees to.
pub fn format(variables: &[Variable], format: Format) -> String {
    if format == Format::Json {
        return json(variables);
    }
    let mut text = String::new();
    for Variable { name, value } in variables {
        let written = match (format, value) {
            (Format::Shell, Some(value)) => writeln!(text, "export {name}={}", shell_quoted(value)),
            (Format::Shell, None) => writeln!(text, "unset {name}"),
            (Format::Dotenv, Some(value)) => writeln!(text, "{name}={}", dotenv_quoted(value)),
            (Format::Dotenv, None) => writeln!(text, "# {name} must not be set"),
            (Format::Docker | Format::Github, Some(value)) => writeln!(text, "{name}={value}"),
            (Format::Docker | Format::Github, None) | (Format::Json, _) => Ok(()),
        };
        written.expect("writing to memory does not fail");
    }
    text
}

fn json(variables: &[Variable]) -> String {
    let entry =
        |variable: &Variable| (variable.name.to_string(), variable.value.clone().map_or(Value::Null, Value::from));
    let object: Map<String, Value> = variables.iter().map(entry).collect();
    format!("{:#}\n", Value::Object(object))
}

/// Within single quotes a shell leaves everything alone but the single quote.
fn shell_quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// Within double quotes dotenv readers expand `$NAME` and backslashes.
fn dotenv_quoted(value: &str) -> String {
    let mut quoted = String::from('"');
    for character in value.chars() {
        if matches!(character, '"' | '\\' | '$' | '`') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn environment(base_url: &str, existing: impl Fn(&str) -> Option<String>) -> Vec<Variable> {
        super::environment(&Access { base_url: base_url.to_owned(), ..Access::default() }, existing)
    }

    fn value(variables: &[Variable], name: &str) -> Option<String> {
        variables.iter().find(|variable| variable.name == name).unwrap().value.clone()
    }

    fn proxies(lower: Option<&str>, upper: Option<&str>) -> (String, String) {
        let existing = |name: &str| match name {
            "no_proxy" => lower.map(str::to_owned),
            "NO_PROXY" => upper.map(str::to_owned),
            "http_proxy" | "HTTP_PROXY" | "GIT_ALLOW_PROTOCOL" => None,
            _ => panic!("{name} is nobody's business"),
        };
        let variables = environment("http://127.0.0.1:4040", existing);
        (value(&variables, "no_proxy").unwrap(), value(&variables, "NO_PROXY").unwrap())
    }

    #[test]
    fn clients_are_sent_to_the_server_and_nowhere_else() {
        let variables = environment("http://127.0.0.1:4040", |_| None);
        for name in ["HEX_MIRROR", "HEX_MIRROR_URL", "HEX_CDN", "HEX_BUILDS_URL"] {
            assert_eq!(value(&variables, name).unwrap(), "http://127.0.0.1:4040", "{name}");
        }
        for name in ["HEX_TRUSTED_MIRROR", "HEX_TRUSTED_MIRROR_URL", "REBAR_OFFLINE"] {
            assert_eq!(value(&variables, name), None, "{name}");
        }
    }

    #[test]
    fn the_host_is_added_to_what_is_not_proxied() {
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
    fn a_proxy_that_rebar3_would_ask_moves_where_only_others_read_it() {
        let with = |set: &[(&str, &str)]| {
            let existing = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            let variables = environment("http://127.0.0.1:4040", existing);
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
    fn only_what_paths_can_be_appended_to_is_a_base_url() {
        for (text, expected) in [
            ("http://Mirror:80/", "http://mirror"),
            ("https://h:1/hex/", "https://h:1/hex"),
            ("http://[::1]:4040", "http://[::1]:4040"),
        ] {
            assert_eq!(base_url(text).unwrap(), expected);
        }
        for text in
            ["", "mirror:4040", "ftp://h", "http://", "http://u:p@h", "http://u@h", "http://h?q=1", "http://h#f"]
        {
            assert!(base_url(text).is_err(), "{text}");
        }
    }

    fn awkward() -> Vec<Variable> {
        vec![Variable::set("HEX_MIRROR", "it's \"$HOME\" `id` \\ a#b"), Variable::unset("HEX_TRUSTED_MIRROR")]
    }

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        let script =
            format!("{}printf %s \"$HEX_MIRROR:${{HEX_TRUSTED_MIRROR-unset}}\"", format(&awkward(), Format::Shell));
        let output = Command::new("sh").args(["-c", &script]).env("HEX_TRUSTED_MIRROR", "set").output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "it's \"$HOME\" `id` \\ a#b:unset");
    }

    #[test]
    fn a_list_of_protocols_is_extended_where_there_is_one() {
        let with = |list: &'static str| {
            let find = move |name: &str| (name == "GIT_ALLOW_PROTOCOL").then(|| list.to_owned());
            environment("http://h", find).into_iter().find(|variable| variable.name == "GIT_ALLOW_PROTOCOL")
        };
        assert_eq!(with("https:ssh").unwrap().value.unwrap(), "https:ssh:http");
        assert_eq!(with("https:http"), None);
    }

    #[test]
    fn an_authority_of_its_own_is_named_to_git_and_to_hex() {
        let access =
            Access { base_url: "https://h:1".into(), authority: Some("/x/ca.pem".into()), ..Access::default() };
        let variables = super::environment(&access, |_| None);
        assert_eq!(value(&variables, "HEX_CACERTS_PATH").unwrap(), "/x/ca.pem");
        assert_eq!(value(&variables, "GIT_CONFIG_KEY_0").unwrap(), "http.https://h:1.sslCAInfo");
        assert_eq!(value(&variables, "GIT_CONFIG_VALUE_0").unwrap(), "/x/ca.pem");
        assert!(git_configuration(&access).contains("[http \"https://h:1\"]\n\tsslCAInfo = \"/x/ca.pem\"\n"));
    }

    #[test]
    fn an_authority_of_the_users_own_stays_in_force_for_everybody_else() {
        let access =
            Access { base_url: "https://h:1".into(), authority: Some("/x/ca.pem".into()), ..Access::default() };
        let find = |name: &str| (name == "GIT_SSL_CAINFO").then(|| "/company.pem".to_owned());
        let variables = super::environment(&access, find);
        assert!(variables.contains(&Variable::unset("GIT_SSL_CAINFO")));
        assert_eq!(value(&variables, "GIT_CONFIG_KEY_1").unwrap(), "http.sslCAInfo");
        assert_eq!(value(&variables, "GIT_CONFIG_VALUE_1").unwrap(), "/company.pem");
    }

    #[test]
    fn the_other_formats() {
        assert_eq!(
            format(&awkward(), Format::Dotenv),
            "HEX_MIRROR=\"it's \\\"\\$HOME\\\" \\`id\\` \\\\ a#b\"\n# HEX_TRUSTED_MIRROR must not be set\n"
        );
        for line_format in [Format::Docker, Format::Github] {
            assert_eq!(format(&awkward(), line_format), "HEX_MIRROR=it's \"$HOME\" `id` \\ a#b\n");
        }
        let read: Value = serde_json::from_str(&format(&awkward(), Format::Json)).unwrap();
        assert_eq!(read["HEX_MIRROR"], "it's \"$HOME\" `id` \\ a#b");
        assert_eq!(read["HEX_TRUSTED_MIRROR"], Value::Null);
    }
}
