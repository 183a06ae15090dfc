//! The Hex client's own configuration, which the environment locates and overrides.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::environment::Environment;
use crate::config::{ConfigError, KeySetting, Layer, RepositoryLayer};
use crate::fetch::hex_home::{HexConfig, HexHome, HexRepository};
use crate::fetch::{Netrc, Secret, WebUrl, WebUrlError};
use crate::model::RepositoryName;
use crate::ops::Result;

/// The variables with which the Hex client configures a mirror of hex.pm. A trusted one receives auth keys.
pub(in crate::ops) const TRUSTED_MIRROR: [&str; 2] = ["HEX_TRUSTED_MIRROR_URL", "HEX_TRUSTED_MIRROR"];
pub(in crate::ops) const MIRROR: [&str; 2] = ["HEX_MIRROR_URL", "HEX_MIRROR"];

/// Reads the Hex client's configuration, including overrides from the environment.
pub(super) fn hex_config(environment: &Environment, hex_home: Option<&HexHome>) -> Result<HexConfig> {
    let mut hex = hex_home.map(HexHome::config).transpose()?.unwrap_or_default();
    hex.repos_key = environment.get("HEX_REPOS_KEY").map(Secret::new).or(hex.repos_key);
    // As Hex reads them (`hex/state.ex`).
    let mirror = |names: &[&str]| {
        let url = environment.first(names);
        url.map(|url| address(&url, &format!("the mirror of the Hex client ({})", names[0]))).transpose()
    };
    hex.trusted_mirror_url = mirror(&TRUSTED_MIRROR)?.or(hex.trusted_mirror_url.take());
    hex.mirror_url = mirror(&MIRROR)?.or(hex.mirror_url.take());
    Ok(hex)
}

/// Returns the Hex client's configuration of repositories as settings. If it cannot be read, assumes that it configures
/// all repositories in the tracked settings.
pub(in crate::ops) fn known_to_hex(environment: &Environment, tracked: &BTreeMap<String, RepositoryLayer>) -> Layer {
    let Ok(mut hex) = hex_config(environment, hex_home(environment).as_ref()) else {
        let repositories = tracked.keys().map(|name| (name.clone(), RepositoryLayer::default())).collect();
        return Layer { repositories, ..Layer::default() };
    };
    if let Some(mirror) = hex.trusted_mirror_url.or(hex.mirror_url) {
        hex.repositories.entry(RepositoryName::hexpm()).or_default().url = Some(mirror);
    }
    let settings = |known: HexRepository| RepositoryLayer {
        signer: None,
        url: known.url.map(|url| url.reveal().to_owned()),
        public_key: known.public_key.map(KeySetting::Pem),
    };
    let repositories = hex.repositories.into_iter().map(|(name, known)| (name.to_string(), settings(known))).collect();
    Layer { repositories, ..Layer::default() }
}

pub(super) fn address(url: &str, origin: &str) -> Result<WebUrl> {
    let error = |error: WebUrlError| ConfigError::new(origin, error);
    Ok(url.parse().map_err(error)?)
}

/// Reads the user's netrc file: `NETRC`, or else `~/.netrc` (`Hex.Netrc.Parser`).
pub(super) fn netrc(environment: &Environment) -> Result<Netrc> {
    let path = environment.get("NETRC").map(PathBuf::from);
    let path = path.or_else(|| Some(environment.home.as_ref()?.join(".netrc")));
    Ok(path.map(|path| Netrc::read(&path)).transpose()?.unwrap_or_default())
}

/// Returns the folder where `mix hex.docs` keeps documentation (`Hex.State`'s `data_home`).
pub(in crate::ops) fn hex_docs(environment: &Environment) -> Option<PathBuf> {
    let data = match (environment.get("HEX_HOME"), environment.home.as_ref()) {
        (Some(home), _) => PathBuf::from(home),
        (None, Some(home)) if has_xdg(environment) => {
            environment.get("XDG_DATA_HOME").map_or_else(|| home.join(".local/share"), PathBuf::from).join("hex")
        }
        (None, home) => home?.join(".hex"),
    };
    Some(data.join("docs"))
}

fn has_xdg(environment: &Environment) -> bool {
    environment.get("MIX_XDG").is_some_and(|value| value == "1" || value == "true")
}

/// Finds the Hex client's folders: `HEX_HOME`, or else `~/.hex`, or the XDG folders under `MIX_XDG` (`Hex.State`).
pub(super) fn hex_home(environment: &Environment) -> Option<HexHome> {
    if let Some(home) = environment.get("HEX_HOME") {
        return Some(HexHome::new(home));
    }
    let home = environment.home.as_ref()?;
    if has_xdg(environment) {
        let folder = |name: &str, default: &str| {
            environment.get(name).map_or_else(|| home.join(default), PathBuf::from).join("hex")
        };
        return Some(HexHome::xdg(folder("XDG_CONFIG_HOME", ".config"), folder("XDG_CACHE_HOME", ".cache")));
    }
    Some(HexHome::new(home.join(".hex")))
}
