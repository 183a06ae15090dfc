//! Which member names an archive may have: hostile ones are refused, unusual ones are only not taken apart.

/// What a member's name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathKind {
    /// A relative path of ordinary components, in UTF-8.
    Plain,
    /// Harmless, but not the one spelling that a tree of the mirror can hold; with the reason.
    Unusual(&'static str),
    /// It points out of the folder that an archive is unpacked into; with the reason.
    Hostile(&'static str),
}

/// Judges the name of a member as it stands in the archive, without a folder's closing slash.
///
/// Both slashes count as separators when it comes to harm, since archives are unpacked on Windows too.
pub(super) fn judge(name: &[u8]) -> PathKind {
    let separator = |byte: &u8| *byte == b'/' || *byte == b'\\';
    if name.is_empty() {
        return PathKind::Hostile("it is empty");
    }
    if separator(&name[0]) || name.get(1) == Some(&b':') && name.get(2).is_some_and(separator) {
        return PathKind::Hostile("it is absolute");
    }
    if name.split(separator).any(|component| component == b"..") {
        return PathKind::Hostile("it contains '..'");
    }
    if name.contains(&0) {
        return PathKind::Hostile("it contains a NUL");
    }
    if name.split(|byte| *byte == b'/').any(|component| component.is_empty() || component == b".") {
        return PathKind::Unusual("it has empty components or '.'");
    }
    match std::str::from_utf8(name) {
        Ok(_) => PathKind::Plain,
        Err(_) => PathKind::Hostile("it is not UTF-8"),
    }
}

/// Tells whether a name that does not come from an archive (but from a recipe, or from metadata) is fit for one.
pub(super) fn is_plain(name: &str) -> bool {
    judge(name.as_bytes()) == PathKind::Plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        for name in ["a", "lib/a.ex", ".formatter.exs", "a..b/c...", "ä/ö", "a b", "c:", "a\\b"] {
            assert_eq!(judge(name.as_bytes()), PathKind::Plain, "{name}");
        }
        for name in ["./a", "a/./b", "a//b", "a/", "."] {
            assert!(matches!(judge(name.as_bytes()), PathKind::Unusual(_)), "{name}");
        }
        for name in ["", "/a", "\\a", "C:\\a", "c:/a", "..", "a/..", "../a", "a/../b", "a\\..\\b", "a\0b"] {
            assert!(matches!(judge(name.as_bytes()), PathKind::Hostile(_)), "{name}");
        }
        assert!(matches!(judge(b"a\xff"), PathKind::Hostile(_)));
    }
}
