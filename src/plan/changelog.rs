//! Finds what a changelog says about the versions between two releases. Changelogs are free text, so this recognises the
//! common forms: a heading per version, newest first or last.

use crate::model::Version;

/// The maximum number of lines of an excerpt, and of its bytes.
const MAX_LINES: usize = 80;
const MAX_BYTES: usize = 6_000;
/// The maximum length of a line of an excerpt, in characters.
const MAX_LINE: usize = 300;
/// The maximum length of the heading of a version, in bytes.
const MAX_HEADING: usize = 200;
/// The number of words at the beginning of a heading among which the version is: `## Version 1.2.0 (2026-11-29)`.
const WORDS: usize = 2;

/// Part of a changelog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangelogExcerpt {
    /// The lines, unchanged except that long ones are cut.
    pub text: String,
    /// The number of lines that are left out at the end.
    pub left_out: usize,
}

/// The heading of a version.
struct Heading {
    line: usize,
    /// The number of `#`; 0 for other headings.
    level: usize,
    version: Version,
}

/// Returns whether a file in the root of a package is its changelog, by its name.
pub fn is_changelog(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let (stem, extension) = lower.split_once('.').unwrap_or((&lower, ""));
    ["changelog", "changes", "history", "news", "release_notes", "releases"].contains(&stem)
        && ["", "md", "markdown", "txt", "rst", "adoc"].contains(&extension)
}

/// Returns the sections about the versions after `before`, up to and including `after`. `None` if there are none.
pub fn changelog_between(text: &str, before: &Version, after: &Version) -> Option<ChangelogExcerpt> {
    let lines: Vec<&str> = text.lines().collect();
    let headings = headings(&lines);
    let is_between = |heading: &&Heading| heading.version > *before && heading.version <= *after;
    let level = headings.iter().find(is_between)?.level;
    // Deeper headings belong to a section, even if they name a version; others end it.
    let ends: Vec<usize> = (0..lines.len())
        .filter(|line| {
            let depth = depth(lines[*line]);
            headings.iter().any(|heading| heading.line == *line && heading.level == level)
                || (depth > 0 && depth < level)
        })
        .collect();
    let mut wanted = Vec::new();
    for heading in headings.iter().filter(|heading| heading.level == level).filter(is_between) {
        let end = ends.iter().copied().find(|end| *end > heading.line).unwrap_or(lines.len());
        wanted.extend_from_slice(&lines[heading.line..end]);
    }
    Some(bounded(&wanted))
}

/// Returns the headings of versions.
fn headings(lines: &[&str]) -> Vec<Heading> {
    let heading = |(line, text): (usize, &&str)| {
        let next = lines.get(line + 1).copied().unwrap_or_default().trim_end();
        let is_underlined = next.len() > 2 && ["=", "-", "~"].iter().any(|sign| next.replace(sign, "").is_empty());
        let version = version_of(text, is_underlined)?;
        Some(Heading { line, level: depth(text), version })
    };
    lines.iter().enumerate().filter_map(heading).collect()
}

/// Returns the number of `#` that a heading begins with; 0 for other lines.
fn depth(line: &str) -> usize {
    let depth = line.bytes().take_while(|byte| *byte == b'#').count();
    if depth <= 6 { depth } else { 0 }
}

/// Returns the version that a line is the heading of.
fn version_of(line: &str, is_underlined: bool) -> Option<Version> {
    if line.len() > MAX_HEADING {
        return None;
    }
    let is_marked = depth(line) > 0 || is_underlined || line.starts_with(['*', '[', '=']);
    let words = line.split(|c: char| c.is_whitespace() || "#*[]()=:,".contains(c)).filter(|word| !word.is_empty());
    // Without a mark, a version at the very beginning of the line is needed.
    let words = words.take(if is_marked { WORDS } else { usize::from(!line.starts_with([' ', '\t', '-', '+'])) });
    words.filter_map(version).next()
}

fn version(word: &str) -> Option<Version> {
    let word = word.trim_start_matches(['v', 'V']);
    let numbers = word.split(['-', '+']).next()?;
    if !numbers.starts_with(|c: char| c.is_ascii_digit()) || !numbers.contains('.') {
        return None;
    }
    let rest = &word[numbers.len()..];
    match numbers.matches('.').count() {
        1 => format!("{numbers}.0{rest}").parse().ok(),
        _ => word.parse().ok(),
    }
}

/// Shortens lines and their number.
fn bounded(lines: &[&str]) -> ChangelogExcerpt {
    let end = lines.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
    let mut text = String::new();
    let mut kept = 0;
    for line in lines[..end].iter().take(MAX_LINES) {
        let cut: String = line.trim_end().chars().take(MAX_LINE).collect();
        if text.len() + cut.len() + 1 > MAX_BYTES {
            break;
        }
        text += &cut;
        if cut.len() < line.trim_end().len() {
            text.push('…');
        }
        text.push('\n');
        kept += 1;
    }
    ChangelogExcerpt { text, left_out: end - kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(text: &str, before: &str, after: &str) -> Option<String> {
        let excerpt = changelog_between(text, &before.parse().unwrap(), &after.parse().unwrap());
        excerpt.map(|excerpt| excerpt.text.replace('\n', "|"))
    }

    #[test]
    fn the_sections_after_the_old_version_up_to_the_new_one_are_found() {
        let keep = "# Changelog for v1.2\n\n## [Unreleased]\n\n## [1.2.0] - 2026-11-29\n### Elixir 1.14\n- c\n\n## [1.1.0]\n- b\n\n## 1.0.0\n- a\n";
        assert_eq!(
            between(keep, "1.0.0", "1.2.0").as_deref(),
            Some("## [1.2.0] - 2026-11-29|### Elixir 1.14|- c||## [1.1.0]|- b|")
        );
        assert_eq!(between(keep, "1.1.0", "1.2.0").as_deref(), Some("## [1.2.0] - 2026-11-29|### Elixir 1.14|- c|"));
        assert_eq!(between(keep, "1.2.0", "1.3.0"), None);
        for (text, expected) in [
            ("Version 1.1\n===========\n* b\n\nVersion 1.0\n===========\n* a\n", "Version 1.1|===========|* b|"),
            ("1.0.0\n* a\n\nv1.1.0 (today)\n* b uses 2.0.0\n", "v1.1.0 (today)|* b uses 2.0.0|"),
            ("**1.1.0**\n\nb\n**1.0.0**\na\n", "**1.1.0**||b|"),
            ("# 1.1.0-rc.1\nb\n# 1.0.0\na\n", "# 1.1.0-rc.1|b|"),
            ("## 1.1.0\nb\n# Older\n## 1.0.5\nmoved\n", "## 1.1.0|b|## 1.0.5|moved|"),
        ] {
            assert_eq!(between(text, "1.0.0", "1.1.0").as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn an_excerpt_is_bounded() {
        let text = format!("# 1.1.0\n{}\n{}", "x".repeat(100_000), "line\n".repeat(10_000));
        let excerpt = changelog_between(&text, &"1.0.0".parse().unwrap(), &"1.1.0".parse().unwrap()).unwrap();
        assert_eq!((excerpt.text.lines().count(), excerpt.left_out), (MAX_LINES, 10_002 - MAX_LINES));
        assert!(excerpt.text.len() < MAX_BYTES && excerpt.text.lines().nth(1).unwrap().ends_with('…'));
    }

    #[test]
    fn changelogs_are_known_by_their_names() {
        for name in ["CHANGELOG.md", "changelog", "CHANGES.txt", "NEWS", "History.md"] {
            assert!(is_changelog(name), "{name}");
        }
        for name in ["CHANGELOG.exs", "lib", "changelog.d", "README.md"] {
            assert!(!is_changelog(name), "{name}");
        }
    }
}
