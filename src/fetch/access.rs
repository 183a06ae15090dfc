//! With which key or token the Hex client asks a repository (`do_resolve_repo_auth/3` in Hex's `mix_hex_cli_auth.erl`).

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::endpoint::{Access, Secret, Withheld};
use super::hex_home::HexConfig;
use crate::model::RepositoryName;
use crate::term::Term;

/// How long before its end a token is no longer used (`EXPIRY_BUFFER_SECONDS` in `mix_hex_cli_auth.erl`).
const BEFORE_EXPIRY: Duration = Duration::from_secs(300);

/// An OAuth token that the Hex client keeps: of the user (`$oauth_token`), or one that it got for a repository's key.
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
    /// Reads a token from the Hex client's configuration; older clients wrote its keys as text.
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
    /// Returns what proves to a repository who asks, wherever it is reached.
    ///
    /// A repository's own key comes first, or the token that Hex got for it. Then, for `hexpm` and its organisations,
    /// `HEX_REPOS_KEY`, the key of `hexpm` and the token of the user's login.
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

    /// Returns what is kept for just this repository.
    ///
    /// Hex trades a key for a token that lives for a short time, and keeps that. hex.pm takes the key itself too, as it did
    /// before: it is sent if there is no token that still lives.
    pub(super) fn own_access(&self, name: &RepositoryName, now: SystemTime) -> Access {
        let Some(own) = self.repositories.get(name) else { return Access::default() };
        let token = own.token.as_ref().filter(|token| own.key.is_some() && token.is_valid(now));
        Access::of(token.map(Token::header).or_else(|| own.key.clone()))
    }
}
