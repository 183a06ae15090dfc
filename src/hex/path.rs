//! The names that members of an archive may have. Archives with hostile names are rejected. Archives with unusual names
//! are stored as tarballs instead of being unpacked.

/// The classification of a member's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathKind {
    /// A relative UTF-8 path of ordinary components.
    Plain,
    /// A harmless name that a tree of the mirror cannot represent, with the reason.
    Unusual(&'static str),
    /// A name that refers to a place outside the folder that the archive is unpacked into, with the reason.
    Hostile(&'static str),
}

/// Classifies the name of a member. The name of a folder must be passed without its trailing slash.
///
/// Both `/` and `\` count as separators in checks for hostile names, because archives are also unpacked on Windows.
pub(super) fn classify(name: &[u8]) -> PathKind {
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

/// Returns whether a name from a recipe or from metadata can be used as a member's name.
pub(super) fn is_plain(name: &str) -> bool {
    classify(name.as_bytes()) == PathKind::Plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        for name in ["a", "lib/a.ex", ".formatter.exs", "a..b/c...", "ä/ö", "a b", "c:", "a\\b"] {
            assert_eq!(classify(name.as_bytes()), PathKind::Plain, "{name}");
        }
        for name in ["./a", "a/./b", "a//b", "a/", "."] {
            assert!(matches!(classify(name.as_bytes()), PathKind::Unusual(_)), "{name}");
        }
        for name in ["", "/a", "\\a", "C:\\a", "c:/a", "..", "a/..", "../a", "a/../b", "a\\..\\b", "a\0b"] {
            assert!(matches!(classify(name.as_bytes()), PathKind::Hostile(_)), "{name}");
        }
        assert!(matches!(classify(b"a\xff"), PathKind::Hostile(_)));
    }
}
