//! Selects the key or token for a repository as the Hex client does (`do_resolve_repo_auth/3` in Hex's
//! `mix_hex_cli_auth.erl`).

use std::time::SystemTime;

use super::endpoint::{Access, Withheld};
use super::hex_home::HexConfig;
use super::token::Token;
use crate::model::RepositoryName;

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
