//! Version requirements with the syntax and meaning of Elixir's `Version` module: `~> 1.2`, `>= 1.0.0 and < 2.0.0`,
//! `1.2.3 or ~> 2.0`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::model::Version;

const MAX_LENGTH: usize = 1024;
/// The maximum number of digits in a number, as in Elixir (`@max_numeric_component_digits`).
const MAX_DIGITS: usize = 14;

/// An error for a text that is not a version requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a version requirement such as \"~> 1.2\" or \">= 1.0.0 and < 2.0.0\"")]
pub struct RequirementError {
    /// The rejected text, truncated to 80 characters.
    pub text: String,
}

/// A version requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    text: String,
    /// The outer list is joined by `or`, the inner lists by `and`, which binds tighter.
    alternatives: Vec<Vec<Comparison>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Comparison {
    operator: Operator,
    version: semver::Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    /// `~> 1.2.3`: up to the next minor version.
    CompatiblePatch,
    /// `~> 1.2`: up to the next major version.
    CompatibleMinor,
}

impl Requirement {
    /// Returns whether `version` satisfies the requirement.
    ///
    /// Without `allow_pre`, a pre-release satisfies `>`, `>=` and `~>` only if the requirement itself names a
    /// pre-release.
    pub fn matches(&self, version: &Version, allow_pre: bool) -> bool {
        let Ok(version) = semver::Version::parse(&version.to_string()) else { return false };
        let fulfilled = |comparison: &Comparison| comparison.matches(&version, allow_pre);
        self.alternatives.iter().any(|comparisons| comparisons.iter().all(fulfilled))
    }
}

impl Comparison {
    fn matches(&self, version: &semver::Version, allow_pre: bool) -> bool {
        let order = version.cmp_precedence(&self.version);
        let pre_fits = allow_pre || version.pre.is_empty() || !self.version.pre.is_empty();
        match self.operator {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Greater => order.is_gt() && pre_fits,
            Operator::GreaterOrEqual => order.is_ge() && pre_fits,
            Operator::CompatiblePatch => {
                order.is_ge() && is_before(version, self.version.major, self.version.minor + 1) && pre_fits
            }
            Operator::CompatibleMinor => order.is_ge() && is_before(version, self.version.major + 1, 0) && pre_fits,
        }
    }
}

/// Returns whether a version is lower than `major.minor.0` and all of its pre-releases.
fn is_before(version: &semver::Version, major: u64, minor: u64) -> bool {
    (version.major, version.minor).cmp(&(major, minor)) == Ordering::Less
}

impl FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, RequirementError> {
        let error = || RequirementError { text: text.chars().take(80).collect() };
        if text.len() > MAX_LENGTH {
            return Err(error());
        }
        let mut tokens = tokens(text).into_iter();
        let mut alternatives = vec![Vec::new()];
        loop {
            let (Some(Token::Operator(operator)), Some(Token::Version(version))) = (tokens.next(), tokens.next())
            else {
                return Err(error());
            };
            let comparison = comparison(operator, version).ok_or_else(error)?;
            alternatives.last_mut().ok_or_else(error)?.push(comparison);
            match tokens.next() {
                Some(Token::And) => {}
                Some(Token::Or) => alternatives.push(Vec::new()),
                Some(_) => return Err(error()),
                None => return Ok(Self { text: text.to_owned(), alternatives }),
            }
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Operator(&'static str),
    And,
    Or,
    Version(&'a str),
}

/// The operators. Longer ones come before their prefixes. A single `!` is an old spelling of `!=`.
const OPERATORS: [&str; 8] = [">=", "<=", "~>", ">", "<", "==", "!=", "!"];

/// Splits a requirement into tokens, as `Version.Parser.lexer/1` does. A version without an operator gets `==`.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut word) = (text, 0);
    loop {
        let operator = OPERATORS.iter().find(|operator| rest[word..].starts_with(**operator));
        let (token, length) = match (&rest[word..], operator) {
            (_, Some(operator)) => (Some(Token::Operator(operator)), operator.len()),
            (after, None) if after.starts_with(" or ") => (Some(Token::Or), 4),
            (after, None) if after.starts_with(" and ") => (Some(Token::And), 5),
            (after, None) if after.starts_with(' ') => (None, 1),
            ("", None) => (None, 0),
            (after, None) => {
                word += after.chars().next().map_or(1, char::len_utf8);
                continue;
            }
        };
        if word > 0 {
            if !matches!(tokens.last(), Some(Token::Operator(_))) {
                tokens.push(Token::Operator("=="));
            }
            tokens.push(Token::Version(&rest[..word]));
        }
        tokens.extend(token);
        if rest.len() == word {
            return tokens;
        }
        (rest, word) = (&rest[word + length..], 0);
    }
}

fn comparison(operator: &str, text: &str) -> Option<Comparison> {
    let is_too_long = |part: &str| part.len() > MAX_DIGITS && part.bytes().all(|byte| byte.is_ascii_digit());
    let without_build = text.split('+').next().unwrap_or_default();
    if without_build.split(['.', '-']).any(is_too_long) {
        return None;
    }
    let operator = match operator {
        "==" => Operator::Equal,
        "!=" | "!" => Operator::NotEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        _ => match semver::Version::parse(text) {
            Ok(version) => return Some(Comparison { operator: Operator::CompatiblePatch, version }),
            Err(_) => {
                let version = semver::Version::parse(&with_patch(text)).ok()?;
                return Some(Comparison { operator: Operator::CompatibleMinor, version });
            }
        },
    };
    Some(Comparison { operator, version: semver::Version::parse(text).ok()? })
}

/// Inserts the patch version 0 into `MAJOR.MINOR`, before its pre-release and build parts.
fn with_patch(text: &str) -> String {
    let numbers = text.find(['-', '+']).unwrap_or(text.len());
    format!("{}.0{}", &text[..numbers], &text[numbers..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(requirement: &str, version: &str) -> bool {
        requirement.parse::<Requirement>().unwrap().matches(&version.parse().unwrap(), false)
    }

    #[test]
    fn requirements_hold_where_elixir_says_so() {
        for (requirement, yes, no) in [
            ("~> 1.2", &["1.2.0", "1.9.9"][..], &["1.1.9", "2.0.0", "2.0.0-rc.1", "1.3.0-rc.1"][..]),
            ("~> 1.2.3", &["1.2.3", "1.2.10"], &["1.2.2", "1.3.0", "1.3.0-dev"]),
            ("~> 1.0.0-rc.1", &["1.0.0-rc.1", "1.0.0-rc.2", "1.0.5"], &["1.0.0-beta", "1.1.0"]),
            (">= 1.0.0 and < 2.0.0", &["1.0.0", "1.5.0"], &["0.9.0", "2.0.0", "1.5.0-rc.1"]),
            ("1.0.0 or ~> 2.0 and != 2.0.1", &["1.0.0", "2.0.0"], &["2.0.1", "1.0.1"]),
            ("== 1.0.0", &["1.0.0", "1.0.0+build"], &["1.0.1"]),
            ("<= 1.0.0", &["1.0.0", "0.1.0-rc"], &["1.0.1"]),
            ("!1.0.0", &["1.0.1"], &["1.0.0"]),
        ] {
            for version in yes {
                assert!(matches(requirement, version), "{requirement} {version}");
            }
            for version in no {
                assert!(!matches(requirement, version), "{requirement} {version}");
            }
        }
        let any: Requirement = ">= 0.0.0".parse().unwrap();
        assert!(any.matches(&"1.0.0-rc.1".parse().unwrap(), true));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            " ",
            "~>",
            "~> 1",
            ">= 1.0",
            "1.0",
            "a",
            "1.0.0 and",
            "and 1.0.0",
            "1.0.0 2.0.0",
            "1.0.0 or or 2.0.0",
            "=> 1.0.0",
            "~> 1.0.0.0",
            "1.0.0\n",
            "~> 123456789012345.0",
            "~> 1.2-",
            "^1.0.0",
            "*",
            &"1.0.0 or ".repeat(200),
        ] {
            assert!(text.parse::<Requirement>().is_err(), "{text}");
        }
    }
}
