//! What `run`, `shell` and `env` record about the environment before them.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The variable with the previous values.
pub(super) const PREVIOUS: &str = "HEXMIRROR_PREVIOUS";

/// The maximum length of the recorded values, in bytes. Linux limits a variable to 128 KiB.
pub(super) const MAX_RECORD: usize = 64 << 10;

/// The variables that may be recorded and restored. A record with another name is invalid.
pub(super) const RECORDED: [&str; 22] = [
    "ELIXIR_MAKE_CACHE_DIR",
    "GIT_ALLOW_PROTOCOL",
    "GIT_SSL_CAINFO",
    "HEX_BUILDS_URL",
    "HEX_CACERTS_PATH",
    "HEX_CDN",
    "HEX_HOME",
    "HEX_MIRROR",
    "HEX_MIRROR_URL",
    "HEX_NO_VERIFY_REPO_ORIGIN",
    "HEX_OFFLINE",
    "HEX_TRUSTED_MIRROR",
    "HEX_TRUSTED_MIRROR_URL",
    "HTTP_PROXY",
    "NO_PROXY",
    "REBAR_NO_VERIFY_REPO_ORIGIN",
    "REBAR_OFFLINE",
    "RUSTLER_PRECOMPILED_GLOBAL_CACHE_PATH",
    "XDG_CACHE_HOME",
    "XLA_CACHE_DIR",
    "http_proxy",
    "no_proxy",
];

/// What the environment was before.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Previous {
    /// The numbers of the settings that were added to `GIT_CONFIG_COUNT`. They come first, where a shell can find them.
    #[serde(default)]
    pub(super) git_config: Range<usize>,
    /// The values of variables. Those that are not listed were not set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) variables: BTreeMap<String, String>,
    /// The server's CA certificate file, if clients were made to trust one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) authority: Option<String>,
    /// The `HEX_HOME` that Hex was given, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hex_home: Option<String>,
    /// The `XDG_CACHE_HOME` that gleam was given, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cache_home: Option<String>,
    /// The folders with precompiled files, by the variables that named them to clients.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) artefact_folders: BTreeMap<String, String>,
    /// Whether clients were allowed to accept the names of other repositories.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) any_origin: bool,
}

impl Previous {
    /// Returns `None` if the record is too long or invalid.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let previous: Self = serde_json::from_str(Some(text).filter(|text| text.len() <= MAX_RECORD)?).ok()?;
        let mut names = previous.variables.keys().chain(previous.artefact_folders.keys());
        names.all(|name| RECORDED.contains(&name.as_str())).then_some(previous)
    }
}
