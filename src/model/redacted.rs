//! Redaction of passwords in texts.

use std::collections::BTreeSet;
use std::fmt;

use percent_encoding::percent_decode_str;

/// The placeholder for redacted text.
const HIDDEN: &str = "***";

/// The minimum length of a password, and of a user without a password, that is replaced wherever it occurs. Shorter texts
/// occur by chance, and a plain user name is no secret.
const LEAST_PASSWORD: usize = 4;
const LEAST_TOKEN: usize = 12;

/// Returns whether a character cannot be part of an address.
fn ends(character: char) -> bool {
    character.is_whitespace() || "'\"<>`".contains(character)
}

/// Redacts every address in a text (`scheme://user:password@host/path?query`, or `user:password@host`).
///
/// Hides everything up to the last `@` before the next blank or quote, because a password may contain any other
/// character, even `/`.
pub fn redacted(text: &str) -> String {
    text.split_inclusive(ends)
        .map(|piece| {
            let word = piece.trim_end_matches(ends);
            redacted_address(word) + &piece[word.len()..]
        })
        .collect()
}

/// Redacts the credentials and the query string of an address, because both can contain a password or a token. Keeps the
/// user of an ssh address. Unlike [`redacted`], treats the whole text as one address, even if it contains blanks.
pub fn redacted_address(address: &str) -> String {
    let Parts { scheme, userinfo, rest } = parts(address);
    // Without a scheme, `user@host:path` has no password.
    let rest = match rest.split_once('?') {
        Some((rest, _)) if !scheme.is_empty() => format!("{rest}?{HIDDEN}"),
        _ => rest.to_owned(),
    };
    let Some(userinfo) = userinfo else { return format!("{scheme}{rest}") };
    let is_ssh = scheme.to_ascii_lowercase().ends_with("ssh://");
    let user = match userinfo.split_once(':') {
        Some((user, _)) if is_ssh => user,
        None if is_ssh || scheme.is_empty() => userinfo,
        _ => HIDDEN,
    };
    format!("{scheme}{user}@{rest}")
}

/// An address, in pieces.
struct Parts<'a> {
    /// The text up to `://`, or nothing.
    scheme: &'a str,
    /// The text before the last `@`.
    userinfo: Option<&'a str>,
    rest: &'a str,
}

fn parts(address: &str) -> Parts<'_> {
    let start = address.find("://").map_or(0, |start| start + "://".len());
    // In `user:password@x://y` and `user:pass://word@x`, this is no scheme.
    let is_scheme = !address[..start].trim_end_matches("://").contains(['@', ':']);
    let start = if is_scheme { start } else { 0 };
    let (scheme, rest) = address.split_at(start);
    match rest.rsplit_once('@') {
        Some((userinfo, rest)) => Parts { scheme, userinfo: Some(userinfo), rest },
        None => Parts { scheme, userinfo: None, rest },
    }
}

/// The credentials in addresses that a process uses. Git's messages may contain them in any context.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeSet<String>);

impl Secrets {
    /// Adds the credentials of an address, if it has any.
    pub fn add(&mut self, address: &str) {
        let Parts { scheme, userinfo: Some(userinfo), .. } = parts(address) else { return };
        let is_ssh = scheme.to_ascii_lowercase().ends_with("ssh://");
        let (secret, least) = match userinfo.split_once(':') {
            Some((_, password)) => (password, LEAST_PASSWORD),
            None if is_ssh || scheme.is_empty() => return,
            None => (userinfo.trim_start_matches('/'), LEAST_TOKEN),
        };
        let decoded = percent_decode_str(secret).decode_utf8_lossy().into_owned();
        self.0.extend([secret.to_owned(), decoded].into_iter().filter(|secret| secret.len() >= least));
    }

    /// Replaces the credentials in a text.
    pub fn hide(&self, text: &str) -> String {
        // A secret may be part of another one.
        let mut secrets: Vec<&String> = self.0.iter().collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), HIDDEN))
    }
}

impl<A: AsRef<str>> Extend<A> for Secrets {
    fn extend<I: IntoIterator<Item = A>>(&mut self, addresses: I) {
        addresses.into_iter().for_each(|address| self.add(address.as_ref()));
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({HIDDEN})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn credentials_before_a_host_are_hidden() {
        for (text, expected) in [
            (
                "fatal: unable to access 'https://u:secret@h/x/': and http://t@i\nx",
                "fatal: unable to access 'https://***@h/x/': and http://***@i\nx",
            ),
            ("HTTPS://u:p@h:1/x?token=p&a=b more", "HTTPS://***@h:1/x?*** more"),
            ("ssh://git:p@h/x", "ssh://git@h/x"),
            ("git+SSH://git:p@h/x", "git+SSH://git@h/x"),
            ("https://a@b:p@h", "https://***@h"),
            ("https://h/x@y git@h:x", "https://***@y git@h:x"),
            ("unable to look up u:p@127.0.0.1:1 (port 1)", "unable to look up ***@127.0.0.1:1 (port 1)"),
            ("https:///u:p@h/x", "https://***@h/x"),
            ("'https://u:a/p@h/x' and 'https://u:a?p@h'", "'https://***@h/x' and 'https://***@h'"),
            ("ssh://git:a/p@h/x", "ssh://git@h/x"),
            ("u:p@x://h", "***@x://h"),
            ("refs/heads/a:refs/heads/b at 12:30 HEAD@{1}?", "refs/heads/a:refs/heads/b at 12:30 HEAD@{1}?"),
            ("://@?", "://***@?***"),
        ] {
            assert_eq!(redacted(text), expected);
        }
        assert_eq!(redacted_address("https://u:a 'b@h/x"), "https://***@h/x");
        assert_eq!(redacted_address("git@h:x"), "git@h:x");
    }

    #[test]
    fn known_credentials_are_hidden_in_any_context() {
        let mut secrets = Secrets::default();
        secrets.extend([
            "https://me:s3c 'ret@h/x",
            "git://u:p%40ss@h",
            "https:///u:a/b/c@h",
            "https://token-of-much@h",
        ]);
        secrets.extend(["https://user@h/x", "ssh://somebody-here@h/x", "git@h:x", "https://u:p@h", "origin", ""]);
        for (text, hidden) in [
            ("cannot use 's3c 'ret'", "cannot use '***'"),
            ("p@ss p%40ss", "*** ***"),
            ("x:a/b/c!", "x:***!"),
            ("token-of-much", "***"),
            ("/home/user/somebody-here/u/p git@h", "/home/user/somebody-here/u/p git@h"),
        ] {
            assert_eq!(secrets.hide(text), hidden);
        }
        assert_eq!(format!("{secrets:?}"), "Secrets(***)");
    }

    proptest! {
        /// Whatever a password contains, nothing of it is shown.
        #[test]
        fn no_password_is_shown(
            scheme in "(https|git|ssh|http)://|",
            before in "(|/|//)",
            password in "[A-Z][A-Z/?#:%@.]{5,11}",
            host in "[a-z]{1,5}(:[0-9]{1,4})?(/[a-z]{1,3})?",
        ) {
            let address = format!("{scheme}{before}u:{password}@{host}");
            for shown in [redacted_address(&address), redacted(&format!("fatal: '{address}': no")), redacted(&address)] {
                prop_assert!(!shown.contains(|c: char| c.is_ascii_uppercase()), "{} {}", address, shown);
                prop_assert_eq!(redacted(&shown), shown);
            }
            let mut secrets = Secrets::default();
            secrets.add(&address);
            let shown = secrets.hide(&format!("unable to use {password}"));
            prop_assert!(!shown.contains(&password), "{}", shown);
        }
    }
}
