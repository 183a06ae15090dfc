//! The addresses of the pages.

use std::fmt::{self, Write};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::package_query::PackageQuery;
use super::source_id::{SourceId, git_address, git_segments};
use crate::model::{EntryId, GitAddress, PackageName, percent_decoded};

/// The first component of the paths of all pages except the overview. No client of a registry or of git asks for it.
const ROOT: &str = "-";

/// What is encoded in a component of a path: all but the unreserved characters (RFC 3986, section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The address of a page, relative to the root of the server.
///
/// Displayed as the path and query of a request, percent-encoded and without the slash at the beginning.
/// [`Address::parse`] reads what is displayed, and what people may type instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `/`: the overview.
    Overview,
    /// `/-/packages`: the list of packages.
    Packages(PackageQuery),
    /// `/-/packages/REPOSITORY/NAME`: a package.
    Package(EntryId),
    /// `/-/packages/NAME`: leads to the package of this name, in whichever repository.
    PackageNamed(PackageName),
    /// `/-/style.css`: the style sheet.
    Style,
    /// `/-/icon.svg`: the icon.
    Icon,
    /// `/-/source/REPOSITORY/NAME/VERSION/PATH`, or `/-/git/ADDRESS/-/source/REVISION/PATH`: a folder or file.
    Source {
        /// The sources.
        id: SourceId,
        /// The path, which is empty for the root.
        path: String,
        /// `?line=N`: a line that is shown if the file has several pages. 0 for the first page.
        line: usize,
    },
    /// `/-/raw/…`, as [`Self::Source`]: a file to download.
    Raw {
        /// The sources.
        id: SourceId,
        /// The path.
        path: String,
    },
    /// `/-/compare/REPOSITORY/NAME/OLD..NEW/PATH`, or `/-/git/ADDRESS/-/compare/OLD..NEW/PATH`: a difference.
    Compare {
        /// The old and the new sources, of the same dependency.
        between: Box<[SourceId; 2]>,
        /// The file, or an empty path for all.
        path: String,
        /// `?page=N`: the page, from 1.
        page: usize,
        /// `?view=split`: whether old and new lines are side by side.
        is_split: bool,
    },
    /// `/-/git`: the git repositories.
    Repositories,
    /// `/-/git/ADDRESS`: a git repository.
    Repository(GitAddress),
    /// `/-/history`: the history of the mirror branch.
    History {
        /// `?page=N`: the page, from 1.
        page: usize,
    },
    /// `/-/history/REV..REV`: what changed between two commits of the project, as people typed them.
    Changes(String),
    /// `/-/stored`: policies, tools, plugins, artefacts and downloads.
    Stored,
}

impl Address {
    /// Returns whether a request's path belongs to the pages, and to nothing else that the server has.
    pub fn is_below(path: &str) -> bool {
        path.trim_start_matches('/').strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Parses the path and query of a request, which are percent-encoded. `None` if no page has such an address.
    pub fn parse(path: &str, query: Option<&str>) -> Option<Self> {
        let path = percent_decoded(path)?;
        let path = path.trim_start_matches('/');
        let segments: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
        let number = |name| value(query, name).and_then(|value| value.parse::<usize>().ok());
        let page = || number("page").unwrap_or_default().max(1);
        Some(match segments[..] {
            [""] | [ROOT] => Self::Overview,
            [ROOT, "packages"] => Self::Packages(PackageQuery::parse(query)),
            [ROOT, "packages", name] => Self::PackageNamed(name.parse().ok()?),
            [ROOT, "packages", repository, package] => {
                Self::Package(EntryId { repository: repository.parse().ok()?, package: package.parse().ok()? })
            }
            [ROOT, "style.css"] => Self::Style,
            [ROOT, "icon.svg"] => Self::Icon,
            [ROOT, "git"] => Self::Repositories,
            [ROOT, "stored"] => Self::Stored,
            [ROOT, "history"] => match (value(query, "from"), value(query, "to")) {
                (Some(from), Some(to)) => Self::Changes(format!("{}..{}", entered(from)?, entered(to)?)),
                _ => Self::History { page: page() },
            },
            [ROOT, "history", ..] => Self::Changes(segments[2..].join("/")),
            [ROOT, ..] => {
                let below = &segments[1..];
                if let Some((id, rest)) = SourceId::parse("source", below) {
                    Self::Source { id, path: rest.join("/"), line: number("line").unwrap_or_default() }
                } else if let Some((id, rest)) = SourceId::parse("raw", below) {
                    Self::Raw { id, path: rest.join("/") }
                } else if let Some((between, rest)) = SourceId::parse_pair("compare", below) {
                    let is_split = value(query, "view") == Some("split");
                    Self::Compare { between: Box::new(between), path: rest.join("/"), page: page(), is_split }
                } else {
                    Self::Repository(git_address(below.strip_prefix(&["git"])?)?)
                }
            }
            _ => return None,
        })
    }

    /// Returns the components of the path, decoded.
    pub(super) fn segments(&self) -> Vec<String> {
        let below = |segments: &[&str]| segments.iter().map(|segment| (*segment).to_owned()).collect();
        match self {
            Self::Overview => Vec::new(),
            Self::Packages(_) => below(&[ROOT, "packages"]),
            Self::PackageNamed(name) => below(&[ROOT, "packages", name.as_str()]),
            Self::Package(id) => below(&[ROOT, "packages", id.repository.as_str(), id.package.as_str()]),
            Self::Style => below(&[ROOT, "style.css"]),
            Self::Icon => below(&[ROOT, "icon.svg"]),
            Self::Source { id, path, .. } => with_path(id.segments("source"), path),
            Self::Raw { id, path } => with_path(id.segments("raw"), path),
            Self::Compare { between, path, .. } => with_path(between[0].segments_to(&between[1], "compare"), path),
            Self::Repositories => below(&[ROOT, "git"]),
            Self::Repository(address) => with_path(git_segments(address), ""),
            Self::Stored => below(&[ROOT, "stored"]),
            Self::History { .. } => below(&[ROOT, "history"]),
            Self::Changes(range) => with_path(vec!["history".to_owned()], range),
        }
    }

    /// Returns the query, without the question mark. Empty if there is none.
    fn query(&self) -> String {
        match self {
            Self::Source { line, .. } if *line > 0 => format!("line={line}"),
            Self::Compare { page, is_split, .. } => {
                let page = (*page > 1).then(|| format!("page={page}"));
                let parts: Vec<String> = page.into_iter().chain(is_split.then(|| "view=split".to_owned())).collect();
                parts.join("&")
            }
            Self::History { page } if *page > 1 => format!("page={page}"),
            Self::Packages(query) if *query != PackageQuery::default() => query.to_string(),
            _ => String::new(),
        }
    }

    /// Returns the number of folders that the page is in.
    pub fn depth(&self) -> usize {
        self.segments().len().saturating_sub(1)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments().iter().enumerate() {
            if index > 0 {
                f.write_char('/')?;
            }
            write!(f, "{}", utf8_percent_encode(segment, ENCODED))?;
        }
        match self.query().as_str() {
            "" => Ok(()),
            query => write!(f, "?{query}"),
        }
    }
}

/// Returns the value of a parameter in a query.
fn value<'q>(query: Option<&'q str>, name: &str) -> Option<&'q str> {
    let mut parameters = query.unwrap_or_default().split('&').filter_map(|parameter| parameter.split_once('='));
    parameters.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Returns what people entered into a form.
fn entered(value: &str) -> Option<String> {
    Some(percent_decoded(&value.replace('+', " "))?.trim().to_owned())
}

/// Returns the components of a path below [`ROOT`] that ends with the path of a file.
fn with_path(segments: Vec<String>, path: &str) -> Vec<String> {
    let path = path.split('/').filter(|_| !path.is_empty()).map(str::to_owned);
    [ROOT.to_owned()].into_iter().chain(segments).chain(path).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::ReleaseId;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        let release = |version: &str| {
            let (repository, package) = ("hexpm:acme".parse().unwrap(), "plug".parse().unwrap());
            SourceId::Release(ReleaseId { repository, package, version: version.parse().unwrap() })
        };
        let git = |address: &str, digit: &str| {
            SourceId::Revision(address.parse().unwrap(), digit.repeat(40).parse().unwrap())
        };
        let path = "lib/<a b>%2F?#&\"'/\u{e9}.ex".to_owned();
        let one = release("1.0.0-rc.1+b");
        let two = git("h.example/a%20b/c", "1");
        let compare = |between, page, is_split| Address::Compare {
            between: Box::new(between),
            path: path.clone(),
            page,
            is_split,
        };
        for address in [
            Address::Source { id: one.clone(), path: path.clone(), line: 7 },
            Address::Source { id: two.clone(), path: String::new(), line: 0 },
            Address::Raw { id: two.clone(), path: path.clone() },
            Address::Raw { id: one.clone(), path: path.clone() },
            compare([one, release("2.0.0")], 1, true),
            compare([two, git("h.example/a%20b/c", "2")], 3, true),
            Address::Repositories,
            Address::Repository("h.example/a%20b/c".parse().unwrap()),
            Address::Repository("h.example/x/-/--/y".parse().unwrap()),
            Address::Source { id: git("h.example/x/-/source", "3"), path: "-/source/x".to_owned(), line: 0 },
            Address::Stored,
            Address::History { page: 1 },
            Address::History { page: 3 },
            Address::Changes("feature/x..main".to_owned()),
        ] {
            let text = format!("/{address}");
            let (path, query) = text.split_once('?').map_or((text.as_str(), None), |(path, query)| (path, Some(query)));
            assert_eq!(Address::parse(path, query).as_ref(), Some(&address), "{text}");
        }
        let package = |repository: &str, package: &str| {
            Address::Package(EntryId { repository: repository.parse().unwrap(), package: package.parse().unwrap() })
        };
        for address in [
            Address::Overview,
            Address::Style,
            Address::Icon,
            Address::Packages(PackageQuery::default()),
            Address::Packages(PackageQuery { text: "a/b?c#d".into(), page: 2, ..PackageQuery::default() }),
            package("hexpm", "plug"),
            package("hexpm:acme", "secret"),
            Address::PackageNamed("plug".parse().unwrap()),
        ] {
            let text = format!("/{address}");
            let (path, query) = text.split_once('?').map_or((text.as_str(), None), |(path, query)| (path, Some(query)));
            assert_eq!(Address::parse(path, query).as_ref(), Some(&address), "{text}");
        }
    }

    #[test]
    fn typed_addresses_are_understood_or_name_no_page() {
        for (path, expected) in [
            ("", Some(Address::Overview)),
            ("//", Some(Address::Overview)),
            ("/-", Some(Address::Overview)),
            ("/-/", Some(Address::Overview)),
            ("//-/style.css", Some(Address::Style)),
            ("/-/style%2Ecss", Some(Address::Style)),
            ("/-/style.css/", Some(Address::Style)),
            ("/-/style.css//", None),
            ("/-/x", None),
            ("/-/packages/", Some(Address::Packages(PackageQuery::default()))),
            ("/-/packages/Plug!", None),
            ("/-/packages/hexpm/..", None),
            ("/-/packages/hexpm/a%2Fb", None),
            ("/-/packages/hexpm/<script>", None),
            ("/-/%", None),
            ("/-/%ff", None),
            ("/packages/plug", None),
            ("/-/compare/hexpm/plug/1.0.0..", None),
            ("/-/compare/hexpm/plug/1.0.0", None),
            ("/-/git/h.example/a/-/compare/1..2", None),
            ("/-/git/h.example/a/-/x", None),
            ("/-/git/--help", None),
        ] {
            assert_eq!(Address::parse(path, None), expected, "{path}");
        }
    }

    #[test]
    fn the_paths_of_clients_are_not_below_the_pages() {
        for path in ["/-", "/-/", "/-/x", "//-/packages"] {
            assert!(Address::is_below(path), "{path}");
        }
        for path in ["/", "", "/packages/-", "/-x", "/git/-/x", "/x/-/"] {
            assert!(!Address::is_below(path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_address_panics(path in "/-/(packages|source|%|/|-|\\.|\\PC|[0-9a-f]){0,20}", query in "(q|page|=|&|%|\\PC){0,20}") {
            if let Some(address) = Address::parse(&path, Some(&query)) {
                let text = format!("/{address}");
                let (path, query) = text.split_once('?').map_or((text.as_str(), None), |(path, query)| (path, Some(query)));
                prop_assert_eq!(Address::parse(path, query), Some(address));
            }
        }
    }
}
