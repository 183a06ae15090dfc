//! Texts without passwords.

use std::fmt::Write;

/// Hides what stands before the host in every `scheme://user:password@host` of a text, except for ssh's user.
pub fn redacted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        shown.push_str(before);
        let end = after.find(|c: char| c == '/' || c.is_whitespace() || "'\"<>".contains(c)).unwrap_or(after.len());
        let (authority, after) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, host)) => {
                let shown_user =
                    if before.ends_with("ssh://") { user.split(':').next().unwrap_or_default() } else { "***" };
                let _ = write!(shown, "{shown_user}@{host}");
            }
            None => shown.push_str(authority),
        }
        rest = after;
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_a_host_is_hidden() {
        let text = "fatal: unable to access 'https://u:secret@h/x/': and http://t@i\nx";
        assert_eq!(redacted(text), "fatal: unable to access 'https://***@h/x/': and http://***@i\nx");
    }
}
