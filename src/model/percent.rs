//! Percent-encoding (RFC 3986, section 2.1), decoded strictly.

use percent_encoding::percent_decode_str;

/// Decodes `%XX` sequences; `None` if one is malformed or the result is not UTF-8.
pub fn percent_decoded(text: &str) -> Option<String> {
    let is_encoded = |rest: &str| rest.as_bytes().get(..2).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit));
    if !text.split('%').skip(1).all(is_encoded) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::percent_decoded;

    #[test]
    fn malformed_sequences_are_refused() {
        for (text, decoded) in [("", ""), ("a%2fb%2F", "a/b/"), ("%25%34%31", "%41"), ("%c3%BC", "\u{fc}")] {
            assert_eq!(percent_decoded(text).as_deref(), Some(decoded), "{text}");
        }
        for text in ["%", "%4", "%%41", "%4%31", "%zz", "%+1", "%\u{fc}", "%ff"] {
            assert_eq!(percent_decoded(text), None, "{text}");
        }
    }
}
