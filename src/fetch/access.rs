//! Selects the key or token for a repository as the Hex client does (`do_resolve_repo_auth/3` in Hex's
//! `mix_hex_cli_auth.erl`).

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::endpoint::{Access, Secret, Withheld};
use super::hex_home::HexConfig;
use crate::model::RepositoryName;
use crate::term::Term;

/// A token is no longer used this long before it expires (`EXPIRY_BUFFER_SECONDS` in `mix_hex_cli_auth.erl`).
const BEFORE_EXPIRY: Duration = Duration::from_secs(300);

/// An OAuth token stored by the Hex client: the user's (`$oauth_token`), or one that was exchanged for a repository's
/// key.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    access: Secret,
    /// In seconds since 1970.
    expires_at: u64,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(****, expires at {})", self.expires_at)
    }
}

impl Token {
    /// Reads a token from the Hex client's configuration. Older clients wrote the property names as strings.
    pub(super) fn read(term: &Term<'_>) -> Option<Self> {
        let fields = term.as_map()?;
        let field = |wanted: &str| {
            let is = |key: &Term<'_>| key.as_atom().or_else(|| key.as_text()) == Some(wanted);
            fields.iter().rev().find(|(key, _)| is(&key.term)).map(|(_, value)| &value.term)
        };
        let access = field("access_token")?.as_text()?;
        let expires_at = field("expires_at")?.as_integer()?;
        Some(Self { access: Secret::new(access), expires_at: u64::try_from(expires_at).unwrap_or(0) })
    }

    fn is_valid(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default() + BEFORE_EXPIRY;
        Duration::from_secs(self.expires_at) >= now
    }

    fn header(&self) -> Secret {
        Secret::new(format!("Bearer {}", self.access.reveal()))
    }
}

impl HexConfig {
    /// Returns the credentials for a repository, whatever address it is fetched from.
    ///
    /// The repository's own key, or the token that Hex exchanged for it, has precedence. Then, for `hexpm` and its
    /// organisations, follow `HEX_REPOS_KEY`, the key of `hexpm`, and the token of the user's login.
    pub fn access(&self, name: &RepositoryName, now: SystemTime) -> Access {
        let own = self.own_access(name, now);
        let of_hexpm = name.source() == "hexpm";
        let repos_key = self.repos_key.clone().filter(|_| of_hexpm);
        if name.organization().is_none() && repos_key.is_some() {
            return Access::of(repos_key);
        }
        if own.key.is_some() {
            return own;
        }
        if repos_key.is_some() {
            return Access::of(repos_key);
        }
        let source = name.organization().and_then(|_| name.source().parse().ok());
        if let Some(access) = source.map(|source| self.own_access(&source, now)).filter(|access| access.key.is_some()) {
            return access;
        }
        match self.login.as_ref().filter(|_| of_hexpm) {
            Some(token) if token.is_valid(now) => Access::of(Some(token.header())),
            Some(_) => Access { key: None, withheld: Some(Withheld::ExpiredLogin) },
            None => Access::default(),
        }
    }

    /// Returns the credentials stored for this repository itself.
    ///
    /// Hex exchanges a key for a short-lived token and stores it. hex.pm still accepts the key too, so the key is sent
    /// if there is no unexpired token.
    pub(super) fn own_access(&self, name: &RepositoryName, now: SystemTime) -> Access {
        let Some(own) = self.repositories.get(name) else { return Access::default() };
        let token = own.token.as_ref().filter(|token| own.key.is_some() && token.is_valid(now));
        Access::of(token.map(Token::header).or_else(|| own.key.clone()))
    }
}
