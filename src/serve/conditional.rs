//! Conditional and range requests (RFC 9110, sections 13 and 14), as far as needed for contents that never change under
//! their `ETag`.

use std::ops::Range;

use hyper::header::{HeaderMap, HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE};

/// Returns whether the client already has these bytes: a tag in `If-None-Match` equals `etag` under weak comparison, or
/// the field is `*`.
pub(super) fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().any(|list| matches_any(list.as_bytes(), etag.as_bytes()))
}

/// Searches a list of entity tags. Tags may contain commas, so the quotes determine where a tag ends.
fn matches_any(list: &[u8], etag: &[u8]) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    let mut rest = list;
    while let Some(open) = rest.iter().position(|byte| *byte == b'"') {
        let Some(length) = rest[open + 1..].iter().position(|byte| *byte == b'"') else { return false };
        let end = open + 1 + length + 1;
        if &rest[open..end] == etag {
            return true;
        }
        rest = &rest[end..];
    }
    false
}

/// The part of the contents that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The complete contents.
    Whole,
    /// One non-empty range.
    Bytes(Range<u64>),
    /// A range outside the contents.
    Unsatisfiable,
}

/// Evaluates `Range` and `If-Range` for contents of `length` bytes. Invalid fields and multiple ranges select the
/// complete contents, as RFC 9110 permits.
pub(super) fn part(headers: &HeaderMap, etag: &HeaderValue, length: u64) -> Part {
    let Some(range) = headers.get(RANGE) else { return Part::Whole };
    // This is a strong comparison: a weak tag or a date never matches.
    if headers.get(IF_RANGE).is_some_and(|condition| condition != etag) {
        return Part::Whole;
    }
    range.to_str().ok().and_then(|range| parse_range(range, length)).unwrap_or(Part::Whole)
}

fn parse_range(range: &str, length: u64) -> Option<Part> {
    let (unit, spec) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = spec.trim().split_once('-')?;
    let wanted = match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => return None,
        (Some(first), Some(last)) => first..last.saturating_add(1).min(length),
        (Some(first), None) if last.is_empty() => first..length,
        (None, Some(suffix)) if first.is_empty() => length.saturating_sub(suffix)..length,
        _ => return None,
    };
    Some(if wanted.is_empty() { Part::Unsatisfiable } else { Part::Bytes(wanted) })
}

/// Parses a number that consists only of digits. Saturates on overflow.
fn number(digits: &str) -> Option<u64> {
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.append(IF_NONE_MATCH, value.parse().unwrap());
        is_known(&headers, &HeaderValue::from_static("\"abc\""))
    }

    #[test]
    fn lists_weak_tags_and_the_wildcard_are_supported() {
        for value in ["\"abc\"", "W/\"abc\"", " * ", "\"x\", \"abc\"", "\"x,y\",W/\"abc\"", "\"\" , \"abc\""] {
            assert!(known(value), "{value}");
        }
        for value in ["", "abc", "\"ab\"", "\"abcd\"", "\"abc", "\"x\", abc", "\",\"abc\",\""] {
            assert!(!known(value), "{value}");
        }
    }

    fn of_ten(range: &str) -> Part {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, range.parse().unwrap());
        part(&headers, &HeaderValue::from_static("\"abc\""), 10)
    }

    #[test]
    fn ranges() {
        assert_eq!(of_ten("bytes=0-0"), Part::Bytes(0..1));
        assert_eq!(of_ten("bytes=2-5"), Part::Bytes(2..6));
        assert_eq!(of_ten("bytes=5-"), Part::Bytes(5..10));
        assert_eq!(of_ten("bytes=5-99999999999999999999999"), Part::Bytes(5..10));
        assert_eq!(of_ten("Bytes=-3"), Part::Bytes(7..10));
        assert_eq!(of_ten("bytes=-30"), Part::Bytes(0..10));
        for range in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(of_ten(range), Part::Unsatisfiable, "{range}");
        }
        for range in
            ["bytes=5-2", "bytes=-", "bytes=a-b", "bytes=1-2,4-5", "items=1-2", "bytes", "bytes=+1-2", "bytes=1"]
        {
            assert_eq!(of_ten(range), Part::Whole, "{range}");
        }
    }

    #[test]
    fn ranges_of_empty_contents_are_unsatisfiable() {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, "bytes=0-".parse().unwrap());
        assert_eq!(part(&headers, &HeaderValue::from_static("\"abc\""), 0), Part::Unsatisfiable);
    }

    #[test]
    fn a_range_of_other_bytes_is_not_given() {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, "bytes=2-5".parse().unwrap());
        for (condition, expected) in [
            ("\"abc\"", Part::Bytes(2..6)),
            ("W/\"abc\"", Part::Whole),
            ("\"x\"", Part::Whole),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Part::Whole),
        ] {
            headers.insert(IF_RANGE, condition.parse().unwrap());
            assert_eq!(part(&headers, &HeaderValue::from_static("\"abc\""), 10), expected, "{condition}");
        }
    }
}
