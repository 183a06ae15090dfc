//! hexmirror.lock: what a build needs and no other lock pins. This program's own format.
//!
//! Each line is one entry of words separated by single spaces, so that git merges the file line by line. Blank lines and
//! lines that begin with `#` are comments. The entries:
//!
//! ```text
//! plugin REPOSITORY PACKAGE VERSION CHECKSUM for NAME…
//! plugin-git NAME URL REVISION REF for NAME…
//! plugin-git NAME URL none REF for NAME…
//! download URL CHECKSUM BYTES [first-use DAY]
//! docs REPOSITORY PACKAGE VERSION CHECKSUM BYTES [first-use DAY]
//! docs REPOSITORY PACKAGE VERSION none DAY
//! git URL REVISION heads/BRANCH as-of DAY
//! target PLATFORM nif VERSION [xla ACCELERATOR]
//! tools elixir VERSION otp RELEASE [PATH CHECKSUM]…
//! asset-tool TOOL VERSION BUILD (URL CHECKSUM BYTES [npm SIGNATURE | first-use DAY] | none)
//! ```
//!
//! `CHECKSUM` is the outer one. `REF` is what the plugin's definition names: `HEAD`,
//! `heads/BRANCH`, `tags/TAG`, or `-` if it names a commit. With `none`, the repository had no such branch or tag, or no such
//! commit, which is then the `REF`. The names after `for` are the packages and applications
//! whose rebar.config asks for the plugin, and those of other plugins that depend on it; `.` is the project itself. A download with
//! a day is trusted because it was fetched first on that day; of one without, a person vouches for the checksum. The same holds for
//! the documentation of a release; that of a release with `none` was not published on that day. A `git` entry
//! is the tip that a branch had on that day; clients that ask for the branch get this revision. A target is a
//! machine that builds. An asset tool with a signature has the one that npm's registry gave for the SHA-512 of the file; `none` is a
//! build that does not exist. Of the files whose checksums packages list, the mirror has those that the machines need.

use serde_json::Value;

use super::{
    ABSENT, AS_OF, AssetSource, DocsFile, DocsSource, DownloadSource, Entry, GitSource, HexSource, Located, LockError,
    Source, ToolsSource, utf8,
};
use crate::model::{Revision, shortened};
use crate::term::{MAX_BYTES, Span};

/// Returns the entries in the order of the file.
pub(super) fn read(contents: &[u8]) -> Result<Vec<Entry>, LockError> {
    if contents.len() > MAX_BYTES {
        let message = format!("the file is larger than {} MB", MAX_BYTES >> 20);
        return Err(LockError { message, label: "too large".to_owned(), span: Span::new(0, 0) });
    }
    let text = utf8(contents)?;
    // Some editors begin a file with a byte order mark.
    let marked = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut entries, mut offset) = (Vec::new(), text.len() - marked.len());
    for line in marked.split_inclusive('\n') {
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
                    build_tool: None,
                    dependencies: Vec::new(),
                };
                (package, Source::Hex(release))
            }
            "plugin-git" => {
                let [name, url, revision, reference] = self.fields("plugin-git NAME URL REVISION REF for NAME…")?;
                let options = reference_options(reference, revision)?;
                (name, Source::Git(GitSource { url: url.clone(), revision: Some(revision.clone()), options }))
            }
            "download" => {
                let source = self.download()?;
                (&file_name(&source.url), Source::Download(source))
            }
            "docs" => {
                let source = self.docs()?;
                (&source.package.clone(), Source::Docs(source))
            }
            "git" => {
                let source = self.branch()?;
                (&repository_name(&source.url), Source::Git(source))
            }
            "target" => (kind, Source::Target(self.target()?)),
            "tools" => (kind, Source::Tools(self.tools()?)),
            "asset-tool" => (self.words.get(1).unwrap_or(kind), Source::AssetTool(self.asset_tool()?)),
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

    /// Reads a download.
    fn download(&self) -> Result<DownloadSource, LockError> {
        let source = |url: &Located, checksum: &Located, bytes: &Located, first_use: Option<&Located>| {
            let [url, checksum, bytes] = [url, checksum, bytes].map(Clone::clone);
            DownloadSource { url, checksum, bytes, first_use: first_use.cloned() }
        };
        match &self.words[1..] {
            _ if self.words.iter().any(|word| word.text.is_empty()) => Err(self.malformed(DOWNLOAD)),
            [url, checksum, bytes] => Ok(source(url, checksum, bytes, None)),
            [url, checksum, bytes, word, day] if word.text == "first-use" => {
                Ok(source(url, checksum, bytes, Some(day)))
            }
            _ => Err(self.malformed(DOWNLOAD)),
        }
    }

    /// Reads the documentation of a release.
    fn docs(&self) -> Result<DocsSource, LockError> {
        let [repository, package, version, rest @ ..] = &self.words[1..] else { return Err(self.malformed(DOCS)) };
        let (checksum, bytes, first_use) = match rest {
            _ if self.words.iter().any(|word| word.text.is_empty()) => return Err(self.malformed(DOCS)),
            [none, day] if none.text == "none" => {
                let [repository, package, version] = [repository, package, version].map(Clone::clone);
                return Ok(DocsSource { repository, package, version, file: DocsFile::Absent(day.clone()) });
            }
            [checksum, bytes] => (checksum, bytes, None),
            [checksum, bytes, word, day] if word.text == "first-use" => (checksum, bytes, Some(day.clone())),
            _ => return Err(self.malformed(DOCS)),
        };
        let file = DocsFile::Pinned { checksum: checksum.clone(), bytes: bytes.clone(), first_use };
        let [repository, package, version] = [repository, package, version].map(Clone::clone);
        Ok(DocsSource { repository, package, version, file })
    }

    /// Reads the tip of a branch.
    fn branch(&self) -> Result<GitSource, LockError> {
        match &self.words[1..] {
            [url, revision, reference, word, day]
                if word.text == "as-of" && self.words.iter().all(|word| !word.text.is_empty()) =>
            {
                let Some(branch) = reference.text.strip_prefix("heads/") else { return Err(self.malformed(BRANCH)) };
                let options = vec![("branch".to_owned(), branch.into()), (AS_OF.to_owned(), day.text.clone().into())];
                Ok(GitSource { url: url.clone(), revision: Some(revision.clone()), options })
            }
            _ => Err(self.malformed(BRANCH)),
        }
    }

    /// Reads the installers for a version of Elixir.
    fn tools(&self) -> Result<ToolsSource, LockError> {
        match &self.words[1..] {
            _ if self.words.iter().any(|word| word.text.is_empty()) => Err(self.malformed(TOOLS)),
            [first, elixir, second, otp, files @ ..]
                if first.text == "elixir" && second.text == "otp" && files.len() % 2 == 0 =>
            {
                let files = files.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
                Ok(ToolsSource { elixir: elixir.clone(), otp: otp.clone(), files })
            }
            _ => Err(self.malformed(TOOLS)),
        }
    }

    /// Reads a build of an asset tool.
    fn asset_tool(&self) -> Result<AssetSource, LockError> {
        if self.words.iter().any(|word| word.text.is_empty()) {
            return Err(self.malformed(ASSET_TOOL));
        }
        let [_, tool, version, build, rest @ ..] = &self.words[..] else { return Err(self.malformed(ASSET_TOOL)) };
        let span = Span::new(tool.span.range().start, build.span.range().end);
        let id = Located { text: format!("{tool} {version} {build}"), span };
        let file = |url: &Located, checksum: &Located, bytes: &Located, first_use: Option<&Located>| {
            let [url, checksum, bytes] = [url, checksum, bytes].map(Clone::clone);
            Some(DownloadSource { url, checksum, bytes, first_use: first_use.cloned() })
        };
        let (file, npm) = match rest {
            [none] if none.text == "none" => (None, None),
            [url, checksum, bytes] => (file(url, checksum, bytes, None), None),
            [url, checksum, bytes, word, day] if word.text == "first-use" => {
                (file(url, checksum, bytes, Some(day)), None)
            }
            [url, checksum, bytes, word, signature] if word.text == "npm" => {
                (file(url, checksum, bytes, None), Some(signature.clone()))
            }
            _ => return Err(self.malformed(ASSET_TOOL)),
        };
        Ok(AssetSource { id, file, npm })
    }

    /// Reads a target: the words after the kind.
    fn target(&self) -> Result<Located, LockError> {
        match &self.words[1..] {
            [first, .., last] if self.words.iter().all(|word| !word.text.is_empty()) => {
                let words: Vec<&str> = self.words[1..].iter().map(|word| word.text.as_str()).collect();
                Ok(Located { text: words.join(" "), span: Span::new(first.span.range().start, last.span.range().end) })
            }
            _ => Err(self.malformed(TARGET)),
        }
    }

    fn malformed(&self, form: &str) -> LockError {
        LockError {
            message: format!("this entry does not have the form `{form}`"),
            label: "malformed entry".to_owned(),
            span: self.span,
        }
    }

    /// Returns the words between the kind and `for`.
    fn fields<const COUNT: usize>(&self, form: &str) -> Result<[&Located; COUNT], LockError> {
        let (fields, rest) = self.words[1..].split_at_checked(COUNT).unwrap_or_default();
        let names = rest.split_first().filter(|(word, _)| word.text == "for").map(|(_, names)| names);
        let is_named = names.is_some_and(|names| !names.is_empty());
        let fields = fields.iter().collect::<Vec<_>>().try_into().ok().filter(|_| is_named);
        let has_blank = self.words.iter().any(|word| word.text.is_empty());
        fields.filter(|_| !has_blank).ok_or_else(|| self.malformed(form))
    }
}

/// Returns the name of what an address names.
fn file_name(url: &Located) -> Located {
    let path = url.text.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    Located { text: name.to_owned(), span: url.span }
}

/// Returns the name of a git repository.
fn repository_name(url: &Located) -> Located {
    let name = url.text.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
    Located { text: name.strip_suffix(".git").unwrap_or(name).to_owned(), span: url.span }
}

/// The form of the installers for a version of Elixir.
const TOOLS: &str = "tools elixir VERSION otp RELEASE [PATH CHECKSUM]…";
/// The form of documentation.
const DOCS: &str = "docs REPOSITORY PACKAGE VERSION CHECKSUM BYTES [first-use DAY]";
/// The form of a build of an asset tool.
const ASSET_TOOL: &str = "asset-tool TOOL VERSION BUILD (URL CHECKSUM BYTES [npm SIGNATURE | first-use DAY] | none)";
/// The form of a target.
const TARGET: &str = "target PLATFORM nif VERSION [xla ACCELERATOR]";
/// The form of the tip of a branch.
const BRANCH: &str = "git URL REVISION heads/BRANCH as-of DAY";
/// The form of a download.
const DOWNLOAD: &str = "download URL CHECKSUM BYTES [first-use DAY]";

/// Converts a `REF` to the options that a mix.lock has for it.
fn reference_options(reference: &Located, revision: &Located) -> Result<Vec<(String, Value)>, LockError> {
    let option = |key: &str, name: &str| Ok(vec![(key.to_owned(), Value::from(name))]);
    match reference.text.split_once('/') {
        Some(("heads", name)) => option("branch", name),
        Some(("tags", name)) => option("tag", name),
        None if reference.text == "HEAD" => Ok(Vec::new()),
        None if reference.text == "-" && revision.text != ABSENT => option("ref", revision),
        None if revision.text == ABSENT && reference.text.parse::<Revision>().is_ok() => option("ref", reference),
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
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        let line = format!("plugin hexpm pc 1.0.0 {} for x\n", "a".repeat(64));
        let entries = read(format!("\u{feff}{line}").as_bytes()).unwrap();
        assert_eq!(entries[0].span.range(), 3..3 + line.trim_end().len());
        assert_eq!(read(format!("\u{feff}# a comment\n{line}").as_bytes()).unwrap().len(), 1);
        let error = read("\u{feff}tool x\n".as_bytes()).unwrap_err();
        assert_eq!(error.span.range(), 3..7);
    }

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
            ("download https://h/x".to_owned(), "", "malformed entry"),
            ("target x86_64-linux-gnu".to_owned(), "", "malformed entry"),
            (format!("git https://h/x {revision} heads/main"), "", "malformed entry"),
            (format!("git https://h/x {revision} tags/v1 as-of 2026-11-29"), "", "malformed entry"),
            (format!("git https://h/x {revision} heads/main first-use 2026-11-29"), "", "malformed entry"),
            ("target x86_64-linux-gnu  2.16".to_owned(), "", "malformed entry"),
            (format!("download https://h/x {outer} 7 2026-11-28"), "", "malformed entry"),
            ("docs hexpm x".to_owned(), "", "malformed entry"),
            ("docs hexpm x 1.0.0 none".to_owned(), "", "malformed entry"),
            (format!("docs hexpm x 1.0.0 {outer} 7 2026-11-28"), "", "malformed entry"),
            (format!("docs hexpm x  {outer} 7"), "", "malformed entry"),
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
