//! What the list of packages is narrowed to, as the query of its address.

use std::fmt;

use url::form_urlencoded::{Serializer, parse};

/// The longest text that is searched for, in characters.
const MAX_TEXT: usize = 200;

/// What the list of packages is narrowed to. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackageQuery {
    /// A part of the package's or repository's name, in any case.
    pub text: String,
    /// Whether a lock pins an older release than the newest one that the mirror knows.
    pub outdated: bool,
    /// Whether a stored release was retired.
    pub retired: bool,
    /// Whether a security advisory applies to a stored release.
    pub advisories: bool,
    /// Whether a release is stored as its tarball.
    pub tarball: bool,
    /// A license, or nothing for all.
    pub license: String,
    /// A lock that pins a release, or nothing for all.
    pub lock: String,
    /// The page of the list, counted from 0.
    pub page: usize,
}

impl PackageQuery {
    /// Parses the query of a request. Anything unknown or invalid is ignored, as it may be typed by hand.
    pub(super) fn parse(query: Option<&str>) -> Self {
        let mut parsed = Self::default();
        for (name, value) in parse(query.unwrap_or_default().as_bytes()) {
            let text = || value.trim().chars().take(MAX_TEXT).collect();
            let is_set = || !matches!(&*value, "" | "0");
            match &*name {
                "q" => parsed.text = text(),
                "outdated" => parsed.outdated = is_set(),
                "retired" => parsed.retired = is_set(),
                "advisories" => parsed.advisories = is_set(),
                "tarball" => parsed.tarball = is_set(),
                "license" => parsed.license = text(),
                "lock" => parsed.lock = text(),
                "page" => parsed.page = value.parse::<usize>().unwrap_or(1).saturating_sub(1),
                _ => {}
            }
        }
        parsed
    }

    /// Returns the same query for another page of the list.
    pub(super) fn at(&self, page: usize) -> Self {
        Self { page, ..self.clone() }
    }
}

impl fmt::Display for PackageQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = Serializer::new(String::new());
        for (name, value) in [("q", &self.text), ("license", &self.license), ("lock", &self.lock)] {
            if !value.is_empty() {
                fields.append_pair(name, value);
            }
        }
        let flags = [
            ("outdated", self.outdated),
            ("retired", self.retired),
            ("advisories", self.advisories),
            ("tarball", self.tarball),
        ];
        for (name, _) in flags.into_iter().filter(|(_, is_set)| *is_set) {
            fields.append_pair(name, "1");
        }
        if self.page > 0 {
            fields.append_pair("page", &self.page.saturating_add(1).to_string());
        }
        f.write_str(&fields.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_it_is_written() {
        let all = PackageQuery {
            text: "a&b=ü <x>".into(),
            outdated: true,
            retired: true,
            advisories: true,
            tarball: true,
            license: "MIT + x".into(),
            lock: "apps/a/mix.lock".into(),
            page: 4,
        };
        for query in [PackageQuery::default(), all] {
            assert_eq!(PackageQuery::parse(Some(&query.to_string())), query);
        }
    }

    #[test]
    fn what_is_typed_by_hand_is_never_an_error() {
        let long = format!("q={}", "x".repeat(10_000));
        for query in ["", "&&=", "page=0", "page=-1", "page=x", "outdated=0", "retired=", "x=y", "q=%ff%", "%", "q=+++"]
        {
            let parsed = PackageQuery { text: String::new(), ..PackageQuery::parse(Some(query)) };
            assert_eq!(parsed, PackageQuery::default(), "{query}");
        }
        assert_eq!(PackageQuery::parse(Some(&long)).text.len(), MAX_TEXT);
        assert_eq!(PackageQuery::parse(Some("page=99999999999999999999999")).page, 0);
        assert_eq!(
            PackageQuery::parse(Some(&format!("page={}", usize::MAX))).at(usize::MAX).to_string(),
            format!("page={}", usize::MAX)
        );
    }
}
