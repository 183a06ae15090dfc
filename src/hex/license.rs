//! The licenses that packages name, as far as they are SPDX's
//! (<https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/>).

use std::collections::BTreeSet;

use spdx::identifiers::LICENSES;
use spdx::{Expression, ParseMode};

/// The length in bytes from which on a text is not read as an expression.
const MAX_EXPRESSION: usize = 1000;
/// A value of SPDX's fields that the list of the crate `spdx` has, and SPDX's list of licenses does not.
const NO_ASSERTION: &str = "NOASSERTION";
/// SPDX's own licenses only, but those whose names SPDX has replaced as well: old releases have them.
const MODE: ParseMode = ParseMode { allow_deprecated: true, ..ParseMode::STRICT };

/// A license as a package names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum License {
    /// The identifier of a license in SPDX's list, in SPDX's spelling.
    Id(&'static str),
    /// Several identifiers, or one with an exception or a `+`, such as `MIT OR Apache-2.0`.
    Expression(String),
    /// Any other text.
    Named(String),
}

impl License {
    /// Reads a text of a package's metadata. Case does not matter in identifiers. Blanks around and between words do not
    /// count.
    pub fn parse(text: &str) -> Self {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let known = LICENSES.iter().map(|license| license.name).filter(|name| *name != NO_ASSERTION);
        if let Some(id) = known.into_iter().find(|name| name.eq_ignore_ascii_case(&text)) {
            return Self::Id(id);
        }
        match expression(&text) {
            Some(_) => Self::Expression(text),
            None => Self::Named(text),
        }
    }

    /// Reads all licenses of a package, without repetitions and empty texts.
    pub fn all<'t>(texts: impl IntoIterator<Item = &'t String>) -> BTreeSet<Self> {
        texts.into_iter().filter(|text| !text.trim().is_empty()).map(|text| Self::parse(text)).collect()
    }

    /// Returns the identifier, the expression or the text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Id(id) => id,
            Self::Expression(text) | Self::Named(text) => text,
        }
    }

    /// Returns whether what `is_allowed` accepts is enough to use a package under this license. It is asked about the whole
    /// text first, and then about each license of an expression: one of those joined by `OR`, all of those joined by
    /// `AND`.
    pub fn is_allowed(&self, is_allowed: impl Fn(&str) -> bool) -> bool {
        let of_parts = || expression(self.as_str()).map(|all| all.evaluate(|one| is_allowed(&one.to_string())));
        is_allowed(self.as_str()) || matches!(self, Self::Expression(_)) && of_parts() == Some(true)
    }
}

/// Parses an expression of licenses and exceptions in SPDX's lists only.
fn expression(text: &str) -> Option<Expression> {
    if text.len() > MAX_EXPRESSION {
        return None;
    }
    let parsed = Expression::parse_mode(text, MODE).ok()?;
    let is_listed = parsed.requirements().all(|part| {
        let id = part.req.license.id().filter(|id| id.name != NO_ASSERTION);
        id.is_some() && part.req.addition.as_ref().is_none_or(|addition| addition.id().is_some())
    });
    is_listed.then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_spdx_is_a_name() {
        for (text, expected) in [
            ("MIT", License::Id("MIT")),
            (" apache-2.0\n", License::Id("Apache-2.0")),
            ("GPL-3.0", License::Id("GPL-3.0")),
            ("MIT OR  Apache-2.0", License::Expression("MIT OR Apache-2.0".into())),
            ("Apache-2.0 WITH LLVM-exception", License::Expression("Apache-2.0 WITH LLVM-exception".into())),
            ("MPL-2.0+", License::Expression("MPL-2.0+".into())),
            ("Apache 2", License::Named("Apache 2".into())),
            ("MIT License", License::Named("MIT License".into())),
            ("NOASSERTION", License::Named("NOASSERTION".into())),
            ("NOASSERTION OR MIT", License::Named("NOASSERTION OR MIT".into())),
            ("LicenseRef-own", License::Named("LicenseRef-own".into())),
            ("DocumentRef-x:LicenseRef-own", License::Named("DocumentRef-x:LicenseRef-own".into())),
            ("MIT WITH AdditionRef-own", License::Named("MIT WITH AdditionRef-own".into())),
            ("(MIT", License::Named("(MIT".into())),
            ("", License::Named(String::new())),
        ] {
            assert_eq!(License::parse(text), expected, "{text:?}");
        }
        let long = vec!["MIT"; 1000].join(" OR ");
        assert_eq!(License::parse(&long), License::Named(long));
        assert!(matches!(License::parse(&"(".repeat(900)), License::Named(_)));
    }

    #[test]
    fn repetitions_and_empty_texts_are_left_out() {
        let texts = ["MIT", "mit", " ", "", "Own"].map(str::to_owned);
        assert_eq!(Vec::from_iter(License::all(&texts)), [License::Id("MIT"), License::Named("Own".into())]);
    }

    #[test]
    fn one_of_several_alternatives_is_enough() {
        let is_allowed = |text: &str, allowed: &[&str]| {
            License::parse(text).is_allowed(|one| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(one)))
        };
        for (text, allowed, expected) in [
            ("MIT", &["mit"][..], true),
            ("MIT OR GPL-3.0-only", &["MIT"], true),
            ("MIT AND GPL-3.0-only", &["MIT"], false),
            ("MIT AND (GPL-3.0-only OR ISC)", &["MIT", "ISC"], true),
            ("MIT AND GPL-3.0-only", &["mit and gpl-3.0-only"], true),
            ("Apache-2.0 WITH LLVM-exception", &["Apache-2.0"], false),
            ("Apache-2.0 WITH LLVM-exception", &["Apache-2.0 WITH LLVM-exception"], true),
            ("MIT or something", &["MIT"], false),
            ("Beerware 42", &["Beerware 42"], true),
        ] {
            assert_eq!(is_allowed(text, allowed), expected, "{text} {allowed:?}");
        }
    }
}
