//! The OAuth tokens in the Hex client's configuration.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::endpoint::Secret;
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

    pub(super) fn is_valid(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default() + BEFORE_EXPIRY;
        Duration::from_secs(self.expires_at) >= now
    }

    pub(super) fn header(&self) -> Secret {
        Secret::new(format!("Bearer {}", self.access.reveal()))
    }
}
