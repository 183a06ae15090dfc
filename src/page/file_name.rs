//! The names of the files that pages are written to.

use sha2::{Digest, Sha256};

use super::Address;
use crate::model::hex_digits;

/// The longest name, in bytes. Windows allows 260 characters for the whole path of a file.
const MAX_LENGTH: usize = 180;
/// The longest component that keeps its name, in bytes. Two revisions of git and what is between them have 82.
const MAX_COMPONENT: usize = 90;
/// How much of a component that does not keep its name stays readable, in characters.
const READABLE: usize = 30;
/// Names that Windows has for devices, whatever follows them after a dot.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

impl Address {
    /// Returns the name of the file for this page, relative to the root of a site, with `/` between its components.
    ///
    /// Different addresses have different names, also on file systems that ignore case. A name only has lower-case letters,
    /// digits, `.`, `_`, `-` and `~`, which neither links nor file systems have to encode. No component begins with a dot or
    /// an underscore: some web servers hide those.
    pub fn file_name(&self) -> String {
        let (name, extension) = match self {
            Self::Overview => return "index.html".to_owned(),
            Self::Style | Self::Icon => return self.to_string(),
            // The name has no part of the file's own: some web servers run what has `.php` anywhere in its name.
            Self::Raw { id, path } => {
                let sources = Self::Raw { id: id.clone(), path: String::new() };
                (format!("{}/{}", joined(&sources.segments(), true), digest(path)), "txt")
            }
            _ => (format!("{}{}", joined(&self.segments(), false), self.variant()), "html"),
        };
        let name = if name.len() <= MAX_LENGTH { name } else { format!("-/long/{}", digest(&name)) };
        format!("{name}.{extension}")
    }

    /// Returns what distinguishes the file from others with the same path: the page of a list or a text, and the view.
    fn variant(&self) -> String {
        match self {
            Self::Source { line, .. } if *line > 0 => format!("~{line}"),
            Self::Compare { page, is_split: true, .. } => format!("~{page}-split"),
            Self::Compare { page, .. } | Self::History { page } if *page > 1 => format!("~{page}"),
            Self::Packages(query) if query.page > 0 => format!("~{}", query.page.saturating_add(1)),
            _ => String::new(),
        }
    }
}

/// Returns the components as a path. Unless `are_folders`, the last one is the name of a file without its extension.
fn joined(segments: &[String], are_folders: bool) -> String {
    let last = segments.len().saturating_sub(1);
    let components = segments.iter().enumerate();
    let components = components.map(|(index, segment)| component(segment, are_folders || index < last));
    components.collect::<Vec<_>>().join("/")
}

/// Returns a component of a path for a component of an address.
///
/// A tilde before a letter switches between lower and upper case, and `~-` at the beginning stands for nothing. A component with
/// anything else that a file name cannot have ends with two tildes and a checksum of its name.
fn component(name: &str, is_folder: bool) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    // The file of a page could have the name of the folder.
    let is_like_page = is_folder && name.to_ascii_lowercase().ends_with(".html");
    let is_kept = (1..=MAX_COMPONENT).contains(&name.len()) && name.chars().all(is_plain);
    if !is_kept || name.ends_with('.') || is_like_page {
        let readable = |c: char| if is_plain(c) { c.to_ascii_lowercase() } else { '-' };
        let readable: String = name.trim_start_matches(['.', '_']).chars().take(READABLE).map(readable).collect();
        return format!("{readable}~~{}", digest(name));
    }
    let mut file = if name.starts_with(['.', '_']) || is_device(name) { "~-".to_owned() } else { String::new() };
    let mut is_upper = false;
    for c in name.chars() {
        if c.is_ascii_alphabetic() && c.is_ascii_uppercase() != is_upper {
            is_upper = !is_upper;
            file.push('~');
        }
        file.push(c.to_ascii_lowercase());
    }
    file
}

/// Returns whether Windows takes a name for that of a device.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let is_port = |kind: &str| stem.strip_prefix(kind).is_some_and(|rest| matches!(rest.as_bytes(), [b'0'..=b'9']));
    DEVICES.contains(&stem) || is_port("com") || is_port("lpt")
}

/// Returns 128 bits of a checksum. Nobody can make another text with the same ones.
fn digest(text: &str) -> String {
    hex_digits(&Sha256::digest(text.as_bytes())[..16])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::ReleaseId;
    use crate::page::{PackageQuery, SourceId};

    fn id(version: &str) -> SourceId {
        let (repository, package) = ("hexpm:acme".parse().unwrap(), "plug".parse().unwrap());
        SourceId::Release(ReleaseId { repository, package, version: version.parse().unwrap() })
    }

    fn source(path: &str, line: usize) -> Address {
        Address::Source { id: id("1.0.0"), path: path.to_owned(), line }
    }

    #[test]
    fn names_are_readable() {
        let acme = format!("hexpm-acme~~{}", digest("hexpm:acme"));
        let page = |page| Address::Packages(PackageQuery { page, ..PackageQuery::default() });
        let compare = |page, is_split| Address::Compare {
            between: Box::new([id("1.0.0"), id("2.0.0-rc.1")]),
            path: "lib/a.ex".to_owned(),
            page,
            is_split,
        };
        for (address, expected) in [
            (Address::Overview, "index.html".to_owned()),
            (Address::Style, "-/style.css".to_owned()),
            (page(0), "-/packages.html".to_owned()),
            (page(1), "-/packages~2.html".to_owned()),
            (Address::History { page: 1 }, "-/history.html".to_owned()),
            (Address::Repository("h.example/a/b".parse().unwrap()), "-/git/h.example/a/b.html".to_owned()),
            (source("", 0), format!("-/source/{acme}/plug/1.0.0.html")),
            (source("README.md", 0), format!("-/source/{acme}/plug/1.0.0/~readme.~md.html")),
            (source("lib/aB.ex", 70), format!("-/source/{acme}/plug/1.0.0/lib/a~b.~ex~70.html")),
            (source(".formatter.exs", 0), format!("-/source/{acme}/plug/1.0.0/~-.formatter.exs.html")),
            (source("aux.c", 0), format!("-/source/{acme}/plug/1.0.0/~-aux.c.html")),
            (compare(1, false), format!("-/compare/{acme}/plug/1.0.0..2.0.0-rc.1/lib/a.ex.html")),
            (compare(2, true), format!("-/compare/{acme}/plug/1.0.0..2.0.0-rc.1/lib/a.ex~2-split.html")),
            (
                Address::Raw { id: id("1.0.0"), path: "a/x.php".to_owned() },
                format!("-/raw/{acme}/plug/1.0.0/{}.txt", digest("a/x.php")),
            ),
        ] {
            assert_eq!(address.file_name(), expected);
        }
        let far = source(&"deep/".repeat(100), 0).file_name();
        assert!(far.starts_with("-/long/") && far.len() < 60, "{far}");
    }

    #[test]
    fn hostile_names_stay_in_the_folder_and_apart() {
        let paths = [
            "..", ".", "a/../b", "a//b", "a", "A", "~a", "a~", "a.html/x", "a.", "a ", "con", "CON", "~-con", "com1",
            "a\\b", "a:b", "a\0", "a\n", "<script>", "%2e%2e", "\u{e9}", "e\u{301}", "_x", ".x", "x~~0", "a~70",
            "index", "-", "--",
        ];
        let mut names: Vec<String> = paths.iter().map(|path| source(path, 0).file_name()).collect();
        names.push(source("a", 70).file_name());
        for name in &names {
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-~/".contains(&b)),
                "{name}"
            );
            for component in name.split('/') {
                assert!(!component.is_empty() && !component.starts_with(['.', '_']), "{name}");
                assert!(!component.ends_with('.') && component.len() < 100, "{name}");
            }
        }
        let number = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), number);
    }

    proptest! {
        #[test]
        fn different_components_have_different_names(
            one in "[aA.~_-]{0,4}|[a-cA-C]{1,3}(\\.html)?|con|\\PC{0,3}",
            other in "[aA.~_-]{0,4}|[a-cA-C]{1,3}(\\.html)?|con|\\PC{0,3}",
            lines: [bool; 2],
        ) {
            let names = |text: &str, line: bool| source(text, usize::from(line) * 7).file_name();
            let segments = |text: &str| source(text, 0).segments();
            let is_same = segments(&one) == segments(&other) && lines[0] == lines[1];
            prop_assert_eq!(names(&one, lines[0]) == names(&other, lines[1]), is_same);
            // A folder is never in the place of a page.
            prop_assert_ne!(format!("{}/", names(&one, lines[0])), format!("{}/", joined(&segments(&other), true)));
        }
    }
}
