//! manifest.toml: TOML with an array `packages` (gleam's `compiler-core/src/manifest.rs`). All Hex packages are hexpm's.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Dependency, Entry, GitSource, HexSource, Located, LockError, Source, utf8};
use crate::model::shortened;
use crate::term::{MAX_BYTES, Span};

/// The keys of a manifest.
const KEYS: [&str; 2] = ["packages", "requirements"];

/// Returns the entries in the order of the file, including repeated ones. Packages of the source `local` are left out,
/// because they are folders beside the project.
pub(super) fn read(contents: &[u8]) -> Result<Vec<Entry>, LockError> {
    if contents.len() > MAX_BYTES {
        let message = format!("the file is larger than {} MB", MAX_BYTES >> 20);
        return Err(LockError { message, label: "too large".to_owned(), span: Span::new(0, 0) });
    }
    let manifest = DeTable::parse(utf8(contents)?).map_err(|error| LockError {
        message: error.message().to_owned(),
        label: "invalid TOML".to_owned(),
        span: span(&error.span().unwrap_or_default()),
    })?;
    // A key that is not known may pin more packages, so the lock must not count as read.
    if let Some((key, _)) = manifest.get_ref().iter().find(|(key, _)| !KEYS.contains(&key.get_ref().as_ref())) {
        let key_text = shortened(key.get_ref());
        return Err(LockError {
            message: format!(
                "`{key_text}` is not known in a manifest.toml; a newer version of git-hexmirror may know it"
            ),
            label: "unknown key".to_owned(),
            span: span(&key.span()),
        });
    }
    let Some(packages) = manifest.get_ref().get("packages") else { return Ok(Vec::new()) };
    let DeValue::Array(elements) = packages.get_ref() else {
        return Err(expected("an array of packages", packages));
    };
    elements.iter().filter_map(|element| entry(element).transpose()).collect()
}

/// Reads `{ name, version, source, … }`. Returns `None` for a local package.
fn entry(element: &Spanned<DeValue<'_>>) -> Result<Option<Entry>, LockError> {
    let DeValue::Table(table) = element.get_ref() else { return Err(expected("a package", element)) };
    let package = Package { table, span: span(&element.span()) };
    let app = package.required("name")?;
    let source = package.required("source")?;
    let source = match &*source {
        "hex" => Source::Hex(package.release(&app)?),
        "git" => Source::Git(package.revision()?),
        "local" => return Ok(None),
        kind => Source::Unknown { kind: kind.to_owned() },
    };
    Ok(Some(Entry { app, source, level: None, span: package.span }))
}

/// The table of one package.
struct Package<'a> {
    table: &'a DeTable<'a>,
    span: Span,
}

impl Package<'_> {
    fn release(&self, name: &Located) -> Result<HexSource, LockError> {
        let mut checksum = self.required("outer_checksum")?;
        checksum.text.make_ascii_lowercase();
        Ok(HexSource {
            package: name.clone(),
            version: self.required("version")?,
            repository: Located { text: "hexpm".to_owned(), span: self.span },
            inner_checksum: None,
            outer_checksum: Some(checksum),
            build_tool: None,
            dependencies: self.requirements()?,
        })
    }

    fn revision(&self) -> Result<GitSource, LockError> {
        let subdir = self.text("path")?.map(|path| ("subdir".to_owned(), Value::from(path.text)));
        let (url, revision) = (self.required("repo")?, Some(self.required("commit")?));
        Ok(GitSource { url, revision, options: subdir.into_iter().collect() })
    }

    /// Reads the names of the packages that this one requires.
    fn requirements(&self) -> Result<Vec<Dependency>, LockError> {
        let Some(list) = self.table.get("requirements") else { return Ok(Vec::new()) };
        let DeValue::Array(names) = list.get_ref() else { return Err(expected("an array of names", list)) };
        let dependency = |name: &Spanned<DeValue<'_>>| {
            let name = located(name)?.text;
            let (app, package, repository) = (name.clone(), name, "hexpm".to_owned());
            Ok(Dependency { app, package, repository, requirement: None, optional: false })
        };
        names.iter().map(dependency).collect()
    }

    fn text(&self, key: &str) -> Result<Option<Located>, LockError> {
        self.table.get(key).map(located).transpose()
    }

    fn required(&self, key: &str) -> Result<Located, LockError> {
        self.text(key)?.ok_or_else(|| LockError {
            message: format!("this package has no `{key}`"),
            label: format!("`{key}` expected in this table"),
            span: self.span,
        })
    }
}

fn located(value: &Spanned<DeValue<'_>>) -> Result<Located, LockError> {
    match value.get_ref() {
        DeValue::String(text) => Ok(Located { text: text.to_string(), span: span(&value.span()) }),
        _ => Err(expected("a string", value)),
    }
}

fn expected(what: &str, found: &Spanned<DeValue<'_>>) -> LockError {
    LockError {
        message: format!("expected {what}, found {}", found.get_ref().type_str()),
        label: format!("expected {what}"),
        span: span(&found.span()),
    }
}

fn span(range: &Range<usize>) -> Span {
    Span::new(range.start, range.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_packages_are_marked() {
        for (text, marked, message) in [
            ("packages = 1", "1", "expected an array of packages, found integer"),
            (
                "packages = []\n[plugins]\n",
                "plugins",
                "`plugins` is not known in a manifest.toml; a newer version of git-hexmirror may know it",
            ),
            ("packages = [\n  1,\n]", "1", "expected a package, found integer"),
            (r#"packages = [{ source = "hex" }]"#, r#"{ source = "hex" }"#, "this package has no `name`"),
            (r#"packages = [{ name = "a" }]"#, r#"{ name = "a" }"#, "this package has no `source`"),
            (r#"packages = [{ name = 1, source = "hex" }]"#, "1", "expected a string, found integer"),
            (
                r#"packages = [{ name = "a", source = "hex", version = "1.0.0" }]"#,
                r#"{ name = "a", source = "hex", version = "1.0.0" }"#,
                "this package has no `outer_checksum`",
            ),
            (
                r#"packages = [{ name = "a", source = "git", repo = "https://h/x" }]"#,
                r#"{ name = "a", source = "git", repo = "https://h/x" }"#,
                "this package has no `commit`",
            ),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert_eq!((&text[error.span.range()], error.message.as_str()), (marked, message), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let deep = format!("packages = {}", "[".repeat(100_000));
        assert_eq!(read(deep.as_bytes()).unwrap_err().label, "invalid TOML");
    }
}
