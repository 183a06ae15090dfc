//! hexmirror.lock: what a build needs and no other lock pins. This program's own format.
//!
//! Each line is one entry of words separated by single spaces, so that git merges the file line by line. Blank lines and
//! lines that begin with `#` are comments. The entries:
//!
//! ```text
//! plugin REPOSITORY PACKAGE VERSION CHECKSUM for NAME…
//! plugin-git NAME URL REVISION REF for NAME…
//! ```
//!
//! `CHECKSUM` is the outer one. `REF` is what the plugin's definition names: `HEAD`,
//! `heads/BRANCH`, `tags/TAG`, or `-` if it names a commit. The names after `for` are the packages and applications
//! whose rebar.config asks for the plugin, and those of other plugins that depend on it; `.` is the project itself.

use serde_json::Value;

use super::{Entry, GitSource, HexSource, Located, LockError, Source, utf8};
use crate::model::shortened;
use crate::term::{MAX_BYTES, Span};

/// Returns the entries in the order of the file.
pub(super) fn read(contents: &[u8]) -> Result<Vec<Entry>, LockError> {
    if contents.len() > MAX_BYTES {
        let message = format!("the file is larger than {} MB", MAX_BYTES >> 20);
        return Err(LockError { message, label: "too large".to_owned(), span: Span::new(0, 0) });
    }
    let (mut entries, mut offset) = (Vec::new(), 0);
    for line in utf8(contents)?.split_inclusive('\n') {
        let text = line.trim_end_matches(['\n', '\r']);
        if !text.is_empty() && !text.starts_with('#') {
            entries.push(Line::new(text, offset).entry()?);
        }
        offset += line.len();
    }
    Ok(entries)
}

/// A line with an entry.
struct Line {
    words: Vec<Located>,
    span: Span,
}

impl Line {
    fn new(text: &str, offset: usize) -> Self {
        let mut start = offset;
        let words = text.split(' ').map(|word| {
            let span = Span::new(start, start + word.len());
            start += word.len() + 1;
            Located { text: word.to_owned(), span }
        });
        Self { words: words.collect(), span: Span::new(offset, offset + text.len()) }
    }

    fn entry(&self) -> Result<Entry, LockError> {
        let kind = &self.words[0];
        let (app, source) = match kind.text.as_str() {
            "plugin" => {
                let [repository, package, version, checksum] =
                    self.fields("plugin REPOSITORY PACKAGE VERSION CHECKSUM for NAME…")?;
                let release = HexSource {
                    package: package.clone(),
                    version: version.clone(),
                    repository: repository.clone(),
                    inner_checksum: None,
                    outer_checksum: Some(checksum.clone()),
                    dependencies: Vec::new(),
                };
                (package, Source::Hex(release))
            }
            "plugin-git" => {
                let [name, url, revision, reference] = self.fields("plugin-git NAME URL REVISION REF for NAME…")?;
                let options = reference_options(reference, revision)?;
                (name, Source::Git(GitSource { url: url.clone(), revision: Some(revision.clone()), options }))
            }
            unknown => {
                let kind_text = shortened(unknown);
                return Err(LockError {
                    message: format!(
                        "`{kind_text}` is not known in a hexmirror.lock; a newer version of git-hexmirror may know it"
                    ),
                    label: "unknown kind of entry".to_owned(),
                    span: kind.span,
                });
            }
        };
        Ok(Entry { app: app.clone(), source, level: None, span: self.span })
    }

    /// Returns the words between the kind and `for`.
    fn fields<const COUNT: usize>(&self, form: &str) -> Result<[&Located; COUNT], LockError> {
        let (fields, rest) = self.words[1..].split_at_checked(COUNT).unwrap_or_default();
        let names = rest.split_first().filter(|(word, _)| word.text == "for").map(|(_, names)| names);
        let is_named = names.is_some_and(|names| !names.is_empty());
        let fields = fields.iter().collect::<Vec<_>>().try_into().ok().filter(|_| is_named);
        let has_blank = self.words.iter().any(|word| word.text.is_empty());
        fields.filter(|_| !has_blank).ok_or_else(|| LockError {
            message: format!("this entry does not have the form `{form}`"),
            label: "malformed entry".to_owned(),
            span: self.span,
        })
    }
}

/// Converts a `REF` to the options that a mix.lock has for it.
fn reference_options(reference: &Located, revision: &Located) -> Result<Vec<(String, Value)>, LockError> {
    let option = |key: &str, name: &str| Ok(vec![(key.to_owned(), Value::from(name))]);
    match reference.text.split_once('/') {
        Some(("heads", name)) => option("branch", name),
        Some(("tags", name)) => option("tag", name),
        None if reference.text == "HEAD" => Ok(Vec::new()),
        None if reference.text == "-" => option("ref", revision),
        _ => Err(LockError {
            message: "expected HEAD, heads/BRANCH, tags/TAG or -".to_owned(),
            label: "this is not a ref".to_owned(),
            span: reference.span,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_entries_are_marked() {
        let (outer, revision) = ("a".repeat(64), "1".repeat(40));
        for (line, marked, label) in [
            ("tool hex 2.5.1".to_owned(), "tool", "unknown kind of entry"),
            ("plugin hexpm pc 1.0.0".to_owned(), "plugin hexpm pc 1.0.0", "malformed entry"),
            (format!("plugin hexpm pc 1.0.0 {outer} for"), "", "malformed entry"),
            (format!("plugin hexpm pc 1.0.0 {outer} by x"), "", "malformed entry"),
            (format!("plugin hexpm pc  1.0.0 {outer} for x"), "", "malformed entry"),
            (format!("plugin-git pc https://h/pc {revision} main for x"), "main", "this is not a ref"),
            (format!(" plugin hexpm pc 1.0.0 {outer} for x"), "", "unknown kind of entry"),
        ] {
            let text = format!("# a comment\n\n{line}\n");
            let error = read(text.as_bytes()).expect_err(&line);
            assert_eq!(error.label, label, "{line}");
            let expected = if label == "malformed entry" { line.as_str() } else { marked };
            assert_eq!(&text[error.span.range()], expected, "{line}");
        }
    }
}
