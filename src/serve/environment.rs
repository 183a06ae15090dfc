//! The environment variables that make unmodified clients use this server, and their formats for other programs.
//!
//! | variable | new value | reason |
//! |---|---|---|
//! | `HEX_MIRROR_URL`, `HEX_MIRROR` | the server | Hex reads the first one that is set (`hex/state.ex`, `mirror_url`) and still verifies signatures with its own key. rebar3 since 3.20 and `mix local.*` only read the second one |
//! | `HEX_TRUSTED_MIRROR_URL`, `HEX_TRUSTED_MIRROR` | unset | they take precedence over the variables above (`hexpm_repo/0` in `hex/repo.ex`). An empty value does not suffice, because Hex interprets it as an address |
//! | `HEX_CDN` | the server | rebar3 reads it and prefers it over `HEX_MIRROR` (`hex_cdn/0` in `rebar3.erl`); 3.19 reads no other variable |
//! | `HEX_BUILDS_URL` | the server | `mix local.hex` and `local.rebar` prefer it over `HEX_MIRROR` (`Mix.Hex.url/0`) |
//! | `HEX_OFFLINE` | `0` | otherwise Hex may make no requests. It is set rather than unset, because it also overrides `offline` in Hex's own configuration file |
//! | `REBAR_OFFLINE` | unset | the equivalent for rebar3, which compares it with `1` |
//! | `no_proxy`, `NO_PROXY` | the previous value and the server's host | otherwise clients would use a proxy for the loopback address. Hex prefers the first one, `mix local.*` prefers the second one, and rebar3 only reads the first one, so if one is missing, it receives the other's value |
//! | `http_proxy` | unset; its value moves to `HTTP_PROXY` unless that is set | rebar3 3.19 does not support `no_proxy` and would use the proxy for the loopback address (observed by running it). It only reads `http_proxy`; Hex and `mix local.*` read both. git and curl only read `http_proxy`, so they lose the proxy for `http:` addresses, but not for `https:` |
//! | `GIT_CONFIG_COUNT` and the variables that it counts | the previous settings and the rules that redirect git for the mirrored repositories | see [`InsteadOfRules`] |
//! | `HEXMIRROR_SERVER`, `HEXMIRROR_PREVIOUS` | the server; the previous values | commands of this program use the previous environment; see [`restoration`] |
//! | `GIT_ALLOW_PROTOCOL` | if set, the previous value and the server's protocol | git checks it after it applies the rules |
//! | `HEX_CACERTS_PATH`, git's `http.<server>.sslCAInfo` | the server's CA certificate, if the server uses its own authority | the variable replaces all CA certificates that Hex trusts, which is acceptable because Hex contacts no other server. git does contact others, so its setting only applies to the server's address |
//! | `HEX_HOME` | a folder with a generated `hex.config`, if the locks pin releases of other repositories than hexpm, or hexpm's key is one that Hex does not know | `HEX_MIRROR` redirects neither an organisation that the user has configured nor a self-hosted repository, and has no key; see `hex_config` |
//! | `HEX_NO_VERIFY_REPO_ORIGIN`, `REBAR_NO_VERIFY_REPO_ORIGIN` | `1`, if the user allows this program to accept registry entries that name another repository | otherwise clients refuse what the mirror has. rebar3 reads its own variable, since 3.8 (`rebar_hex_repos.erl`) |
//! | `XDG_CACHE_HOME` | a folder with the packages that gleam's locks pin, if there are such locks | nothing changes the addresses that gleam asks, but it uses a cached tarball without a request |
//! | `RUSTLER_PRECOMPILED_GLOBAL_CACHE_PATH`, `ELIXIR_MAKE_CACHE_DIR`, `XLA_CACHE_DIR` | folders with the precompiled files of packages, if the mirror has some | packages download them from addresses that nothing changes, but use what they find there |
//! | `GIT_SSL_CAINFO` | in that case unset; its value moves to `http.sslCAInfo` | it would take precedence over the setting for the server |
//!
//! These remain unchanged, because they belong to the user: `GIT_TERMINAL_PROMPT` (the mirror never asks for a password), auth keys, `HEX_UNSAFE_REGISTRY`.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::{Map, Value};
use url::Url;

use super::access::changes;
pub use super::access::{Access, proxies};
use super::git_config::{self, Setting};
pub use super::hex_config::{HEX_CONFIG, hex_config};
pub use super::insteadof::InsteadOfRules;
use super::outer;
pub use super::outer::restoration;
pub use super::outer_server::OuterServer;
pub use super::variable::Variable;

/// Returns the variables to set and unset so that clients use the server.
///
/// `existing` reads a variable of the environment that the clients would otherwise inherit. That environment must not
/// direct them to another server of this program: see [`restoration`]. A variable without a value has no effect, but is
/// recorded.
pub fn environment(access: &Access, existing: impl Fn(&str) -> Option<String>) -> Vec<Variable> {
    let effective = |name: &str| existing(name).filter(|value| !value.is_empty());
    let mut variables = changes(access, effective);
    let mut settings = settings(access);
    if access.authority.is_some() {
        settings.extend(effective("GIT_SSL_CAINFO").map(|other| of_http("", "sslCAInfo", &other)));
    }
    let (of_git, numbers) = git_config::added(&settings, &effective);
    variables.extend(of_git);
    variables.extend(outer::record(access, numbers, &existing));
    variables
}

/// Returns the variables for a container of which nothing is known here, as a file for `docker run --env-file`. A file can
/// only replace a value, so it leaves the container's lists of hosts without a proxy alone.
pub fn container_file(access: &Access) -> String {
    let is_list = |variable: &Variable| matches!(&*variable.name, "no_proxy" | "NO_PROXY");
    let variables: Vec<_> = environment(access, |_| None).into_iter().filter(|variable| !is_list(variable)).collect();
    let host = super::access::host(&access.base_url);
    format!("# If the container uses a proxy, add {host} to its no_proxy and NO_PROXY.\n")
        + &format(&variables, Format::Docker)
}

/// Returns git's part of the configuration as a file to include.
pub fn git_configuration(access: &Access) -> String {
    let base_url = &access.base_url;
    let mut settings = settings(access);
    // Without this, git would use a proxy for the loopback address.
    settings.push(of_http(base_url, "proxy", ""));
    let made = format!("# Redirects git to the mirror at {base_url}; created by git-hexmirror.\n");
    made + &omission_comment(access) + &git_config::file(&settings)
}

/// Returns a comment that says what is not redirected, if anything.
pub(super) fn omission_comment(access: &Access) -> String {
    access.instead_of.omission().map(|omission| format!("# {omission}\n")).unwrap_or_default()
}

pub(super) fn settings(access: &Access) -> Vec<Setting> {
    let authority = access.authority.iter().map(|authority| of_http(&access.base_url, "sslCAInfo", authority));
    // A proxy in git's configuration takes precedence over the variables.
    let proxy = access.is_proxy.then(|| of_http("", "proxy", &access.base_url));
    authority.chain(proxy).chain(access.instead_of.settings(&access.base_url)).collect()
}

fn of_http(url: &str, name: &'static str, value: &str) -> Setting {
    Setting { section: "http", subsection: url.to_owned(), name, value: value.to_owned() }
}

/// The reason why a text is not a valid server address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BaseUrlError {
    /// The problem, as the predicate of a sentence.
    pub reason: &'static str,
}

/// Parses a server address that a user typed, and normalises it for clients.
///
/// # Errors
/// Fails if the text is not an HTTP or HTTPS address, or has parts that a server address must not have: clients append
/// paths to it and compare its host with other hosts.
pub fn base_url(text: &str) -> Result<String, BaseUrlError> {
    let error = |reason| Err(BaseUrlError { reason });
    let Some(url) = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    else {
        return error("is not an http or https address");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return error("contains a user or password, but the mirror does not use any");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return error("has a query or a fragment, to which clients cannot append paths");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The format in which variables are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `export NAME='value'` and `unset NAME`, for `eval "$(…)"` in a POSIX shell.
    Shell,
    /// `set -gx NAME 'value'` and `set -e NAME`, for `… | source` in fish.
    Fish,
    /// `NAME="value"`, for dotenv readers. The format cannot unset variables, so those become comments.
    Dotenv,
    /// `NAME=value` without quotes, for `docker run --env-file`, which treats quotes as part of the value. Variables to
    /// unset are omitted, because a container does not inherit the host's variables.
    Docker,
    /// `NAME=value`, to be appended to the file named by `$GITHUB_ENV`. The format cannot unset variables, so those are
    /// omitted.
    Github,
    /// A JSON object with a string for each name, or null for "unset".
    Json,
}

/// Writes the variables in a format, with a trailing line break. Values that do not fit on one line, as some that are
/// [restored](restoration), lose their control characters in formats of lines.
pub fn format(variables: &[Variable], format: Format) -> String {
    if format == Format::Json {
        return json(variables);
    }
    let mut text = String::new();
    for Variable { name, value } in variables {
        let value = value.as_deref().map(|value| match format {
            Format::Shell | Format::Fish => Cow::Borrowed(value),
            _ => Cow::Owned(value.replace(char::is_control, "")),
        });
        let written = match (format, &value) {
            (Format::Shell, Some(value)) => writeln!(text, "export {name}={}", shell_quoted(value)),
            (Format::Shell, None) => writeln!(text, "unset {name}"),
            (Format::Fish, Some(value)) => writeln!(text, "set -gx {name} {}", fish_quoted(value)),
            (Format::Fish, None) => writeln!(text, "set -e {name}"),
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

/// Within single quotes, the shell treats every character except the single quote literally.
pub(super) fn shell_quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// Within single quotes, fish treats every character except the single quote and the backslash literally.
fn fish_quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}

/// Within double quotes, dotenv readers expand `$NAME` and backslashes.
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

    #[test]
    fn clients_are_directed_to_the_server_only() {
        let variables = environment("http://127.0.0.1:4040", |_| None);
        for name in ["HEX_MIRROR", "HEX_MIRROR_URL", "HEX_CDN", "HEX_BUILDS_URL"] {
            assert_eq!(value(&variables, name).unwrap(), "http://127.0.0.1:4040", "{name}");
        }
        for name in ["HEX_TRUSTED_MIRROR", "HEX_TRUSTED_MIRROR_URL", "REBAR_OFFLINE"] {
            assert_eq!(value(&variables, name), None, "{name}");
        }
    }

    #[test]
    fn only_a_url_to_append_paths_to_is_a_base_url() {
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
    fn a_shell_reads_back_the_same_values() {
        let script =
            format!("{}printf %s \"$HEX_MIRROR:${{HEX_TRUSTED_MIRROR-unset}}\"", format(&awkward(), Format::Shell));
        let output = Command::new("sh").args(["-c", &script]).env("HEX_TRUSTED_MIRROR", "set").output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "it's \"$HOME\" `id` \\ a#b:unset");
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
    fn the_users_own_authority_still_applies_to_other_servers() {
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
        assert_eq!(
            format(&awkward(), Format::Fish),
            "set -gx HEX_MIRROR 'it\\'s \"$HOME\" `id` \\\\ a#b'\nset -e HEX_TRUSTED_MIRROR\n"
        );
        let read: Value = serde_json::from_str(&format(&awkward(), Format::Json)).unwrap();
        assert_eq!(read["HEX_MIRROR"], "it's \"$HOME\" `id` \\ a#b");
        assert_eq!(read["HEX_TRUSTED_MIRROR"], Value::Null);
    }
}
