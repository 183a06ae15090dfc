//! Redaction of passwords in texts.

/// The placeholder for redacted text.
const HIDDEN: &str = "***";

/// Returns whether a character cannot be part of an address.
fn ends(character: char) -> bool {
    character.is_whitespace() || "'\"<>".contains(character)
}

/// Redacts every address in a text (`scheme://user:password@host/path?query`) as [`redacted_address`] does.
pub fn redacted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (scheme, after) = rest.split_at(start + 3);
        let (address, after) = after.split_at(after.find(ends).unwrap_or(after.len()));
        shown += scheme;
        shown += &without_secrets(scheme, address);
        rest = after;
    }
    shown + rest
}

/// Redacts the credentials and the query string of an address, because both can contain a password or a token. Keeps the
/// user of an ssh address.
pub(super) fn redacted_address(address: &str) -> String {
    match address.find("://").map(|start| address.split_at(start + 3)) {
        Some((scheme, rest)) => scheme.to_owned() + &without_secrets(scheme, rest),
        None => address.to_owned(),
    }
}

fn without_secrets(scheme: &str, address: &str) -> String {
    let (address, query) = address.split_once('?').map_or((address, ""), |(address, _)| (address, "?***"));
    let (authority, path) = address.split_at(address.find('/').unwrap_or(address.len()));
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let is_ssh = scheme.to_ascii_lowercase().ends_with("ssh://");
            let user = if is_ssh { user.split(':').next().unwrap_or_default() } else { HIDDEN };
            format!("{user}@{host}{path}{query}")
        }
        None => format!("{address}{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_a_host_is_hidden() {
        for (text, expected) in [
            (
                "fatal: unable to access 'https://u:secret@h/x/': and http://t@i\nx",
                "fatal: unable to access 'https://***@h/x/': and http://***@i\nx",
            ),
            ("HTTPS://u:p@h:1/x?token=p&a=b more", "HTTPS://***@h:1/x?*** more"),
            ("ssh://git:p@h/x", "ssh://git@h/x"),
            ("git+SSH://git:p@h/x", "git+SSH://git@h/x"),
            ("https://a@b:p@h", "https://***@h"),
            ("https://h/x@y git@h:x", "https://h/x@y git@h:x"),
            ("://@?", "://***@?***"),
        ] {
            assert_eq!(redacted(text), expected);
        }
        assert_eq!(redacted_address("https://u:a 'b@h/x"), "https://***@h/x");
        assert_eq!(redacted_address("git@h:x"), "git@h:x");
    }
}
