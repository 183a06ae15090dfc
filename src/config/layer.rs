//! The settings of one source, as the source has them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer};

/// The settings of one source. An absent setting is taken from the next source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Layer {
    /// The mirror branch: a branch name, or the full name of a ref.
    pub branch: Option<String>,
    /// The lock files, as globs relative to the root of the worktree.
    pub locks: Option<Vec<String>>,
    /// The number of parallel requests.
    pub jobs: Option<usize>,
    /// The number of seconds without a connection or a byte after which an attempt fails.
    pub timeout: Option<usize>,
    /// The packages that are stored as tarballs: `NAME`, or `REPOSITORY/NAME`.
    pub opaque: Option<Vec<String>>,
    /// The rebar3 plugins to pin that no rebar.config shows, as `NAME` or `NAME REQUIREMENT`.
    pub extra: Option<Vec<String>>,
    /// The policies to mirror, as `REPOSITORY/NAME`.
    pub policies: Option<Vec<String>>,
    /// The addresses of files to mirror: texts, or tables with `url`.
    #[serde(deserialize_with = "downloads")]
    pub downloads: Option<Vec<String>>,
    /// The branches of git repositories to mirror besides the dependencies.
    pub git: Option<Vec<GitLayer>>,
    /// The versions of Elixir and OTP whose Hex and rebar3 are mirrored: `auto`, `off`, or `ELIXIR-otp-OTP`.
    pub tools: Option<Vec<String>>,
    /// Whether precompiled files of packages are mirrored: `auto`, `off`, or where they are published, as `PACKAGE=URL`.
    pub artefacts: Option<Vec<String>>,
    /// Whether the documentation of the pinned releases is mirrored.
    pub docs: Option<bool>,
    /// Whether esbuild, Tailwind and Dart Sass are mirrored: `auto`, `off`, or versions and addresses, as `TOOL@VERSION` and
    /// `TOOL=URL`.
    pub asset_tools: Option<Vec<String>>,
    /// Public keys that may sign packages of npm, besides npm's own. The tracked file cannot set this.
    #[serde(skip)]
    pub npm_keys: Option<KeySetting>,
    /// The hosts of files that may be in a private network and may be asked by `http`.
    pub internal_hosts: Option<Vec<String>>,
    /// Whether registry entries may name another repository than the one that they come from.
    pub no_verify_repo_origin: Option<bool>,
    /// Settings by Hex repository.
    pub repositories: BTreeMap<String, RepositoryLayer>,
    /// The behaviour of the hooks.
    pub hooks: HooksLayer,
    /// The settings of `prune`.
    pub prune: PruneLayer,
    /// Whether git entries with a `depth` are stored with only that depth.
    pub shallow: Option<bool>,
    /// The applications whose git repositories are mirrored with their submodules, even if the lock does not ask for them.
    pub submodules: Option<Vec<String>>,
    /// The age of registry entries above which `status` mentions it, in days; 0 for never.
    pub max_age: Option<usize>,
}

/// The address of a file to mirror, as a source names it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an address, or a table with `url`")]
enum DownloadLayer {
    Text(String),
    Table(DownloadTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DownloadTable {
    url: String,
}

fn downloads<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let url = |download| match download {
        DownloadLayer::Text(url) | DownloadLayer::Table(DownloadTable { url }) => url,
    };
    Ok(Some(Vec::deserialize(deserializer)?.into_iter().map(url).collect()))
}

/// A branch of a git repository to mirror, as a source names it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitLayer {
    /// The address of the repository.
    pub url: String,
    /// The name of the branch.
    pub branch: String,
}

/// The settings of one source for the hooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HooksLayer {
    /// The action before a push.
    pub pre_push: Option<PrePush>,
    /// The action after a branch switch, a merge or a rebase.
    pub post_checkout: Option<PostCheckout>,
}

/// The action of the hook before a push of commits with locks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrePush {
    /// The hook fails unless the mirror is fresh, and pushes it too.
    #[default]
    Push,
    /// The hook fails unless the mirror is fresh and on the remote.
    Check,
    /// The hook does nothing.
    Off,
}

impl PrePush {
    /// Returns the word for it in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Check => "check",
            Self::Off => "off",
        }
    }
}

/// The action of the hooks after a branch switch, a merge or a rebase that changed a lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PostCheckout {
    /// The hook prints what the mirror lacks.
    #[default]
    Notify,
    /// The hook pulls the mirror.
    Pull,
    /// The hook updates the mirror from upstream.
    Update,
    /// The hook does nothing.
    Off,
}

impl PostCheckout {
    /// Returns the word for it in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notify => "notify",
            Self::Pull => "pull",
            Self::Update => "update",
            Self::Off => "off",
        }
    }
}

/// The settings of one source for `prune`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PruneLayer {
    /// The number of days for which everything is kept.
    pub keep_days: Option<usize>,
    /// The tags whose locks are respected, as globs.
    pub keep_tags: Option<Vec<String>>,
}

/// The settings of one source for a Hex repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepositoryLayer {
    /// The URL of the repository.
    pub url: Option<String>,
    /// The public key that verifies the registry.
    pub public_key: Option<KeySetting>,
    /// The fingerprint of the only key that may sign registry entries. The tracked file cannot set this.
    #[serde(skip)]
    pub signer: Option<String>,
}

/// A repository's public key, as a setting specifies it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum KeySetting {
    /// The key in PEM format.
    Pem(String),
    /// The path of a PEM file, relative to the root of the worktree.
    File(String),
    /// A file that the tracked settings name, together with its content, so that the content that the user allowed is the content
    /// that is used.
    Tracked {
        /// The path of the file, relative to the root of the worktree.
        file: String,
        /// The content of the file, or the reason why it cannot be read.
        content: Result<Vec<u8>, String>,
    },
}

impl From<String> for KeySetting {
    fn from(text: String) -> Self {
        if text.trim_start().starts_with("-----BEGIN") { Self::Pem(text) } else { Self::File(text) }
    }
}

impl fmt::Display for KeySetting {
    /// Shows the text of the setting.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pem(text) | Self::File(text) | Self::Tracked { file: text, .. } => f.write_str(text),
        }
    }
}

impl Layer {
    /// Reads the key files that the settings name.
    pub fn with_key_files(mut self, read: impl Fn(&str) -> Result<Vec<u8>, String>) -> Self {
        for repository in self.repositories.values_mut() {
            if let Some(KeySetting::File(file)) = &repository.public_key {
                let (file, content) = (file.clone(), read(file));
                repository.public_key = Some(KeySetting::Tracked { file, content });
            }
        }
        self
    }
}
