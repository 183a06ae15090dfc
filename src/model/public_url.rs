//! Addresses of web pages that packages and registries name.

use url::Url;

/// The maximum length, in bytes.
const MAX_LENGTH: usize = 2000;
/// The characters besides letters and digits that RFC 3986 allows in an address, without those that only IPv6 needs.
const SIGNS: &[u8] = b"-._~:/?#@!$&'()*+,;=%";

/// Returns a text if it is an address that can be shown as a link and that every reader of documents accepts: an `http` or
/// `https` address with a host, without a user name, and with nothing that would have to be encoded.
pub fn public_url(text: &str) -> Option<&str> {
    let is_encoded = |at: usize| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || SIGNS.contains(&byte);
    let is_plain = text.bytes().all(is_allowed) && text.match_indices('%').all(|(at, _)| is_encoded(at));
    let has_scheme = ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme));
    let is_fine = |url: Url| url.has_host() && url.username().is_empty() && url.password().is_none();
    let is_short = text.len() <= MAX_LENGTH && text.matches('#').count() <= 1;
    (is_short && is_plain && has_scheme && Url::parse(text).is_ok_and(is_fine)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_web_addresses_are_public() {
        for text in ["https://h", "http://h.example:80/a?b=c#d", "https://h/%e2%82%ac", "https://h/a@b"] {
            assert_eq!(public_url(text), Some(text));
        }
        let long = format!("https://h/{}", "x".repeat(2000));
        for text in [
            "",
            "h",
            "//h",
            "ftp://h",
            "javascript:alert(1)",
            "https://",
            "https://u@h",
            "https://u:p@h",
            "https://h/ x",
            "https://h/<",
            "https://h/%zz",
            "https://h/%2",
            "https://h/ä",
            "https://h/#a#b",
            "https://h/\n",
            &long,
        ] {
            assert_eq!(public_url(text), None, "{text}");
        }
    }
}
