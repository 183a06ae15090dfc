//! Where the applications of a rebar3 project are.

use crate::term::Spanned;

/// The folders with the applications of a project (`project_app_dirs`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppFolders {
    /// The folders of applications, relative to the project.
    pub apps: Vec<String>,
    /// The folders whose folders are applications.
    pub parents: Vec<String>,
    /// The patterns of other forms, which are not read.
    pub unread: Vec<String>,
}

impl Default for AppFolders {
    /// Returns the folders of a project that names none (`rebar_dir:project_app_dirs/1`).
    fn default() -> Self {
        Self { apps: Vec::new(), parents: ["apps", "lib"].map(str::to_owned).into(), unread: Vec::new() }
    }
}

impl AppFolders {
    /// Reads the value of `project_app_dirs`.
    pub(super) fn of(term: &Spanned<'_>) -> Self {
        let mut folders = Self { apps: Vec::new(), parents: Vec::new(), unread: Vec::new() };
        let Some(patterns) = term.term.as_list() else {
            folders.unread.push(term.term.describe().to_owned());
            return folders;
        };
        for pattern in patterns {
            match pattern.term.as_text() {
                Some(text) => folders.add(text),
                None => folders.unread.push(pattern.term.describe().to_owned()),
            }
        }
        folders
    }

    /// Adds a pattern: the project itself, a folder below it, or the folders in one.
    fn add(&mut self, pattern: &str) {
        let parts: Vec<&str> = pattern.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        let is_literal = |parts: &[&str]| {
            let is_name = |part: &&str| *part != ".." && !part.contains(['*', '?', '[', ']', '{', '}', '\\', '\0']);
            !pattern.starts_with('/') && parts.iter().all(is_name)
        };
        match parts[..] {
            [ref folder @ .., "*"] if !folder.is_empty() && is_literal(folder) => self.parents.push(folder.join("/")),
            ref folder if !is_literal(folder) => self.unread.push(format!("{pattern:?}")),
            // The project itself is read in any case.
            [] => {}
            ref folder => self.apps.push(folder.join("/")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::RebarConfig;

    #[test]
    fn folders_of_applications_are_read_if_they_are_literal() {
        let read = |text: &str| {
            let text = format!("{{project_app_dirs, {text}}}.");
            let AppFolders { apps, parents, unread } = RebarConfig::read(text.as_bytes()).unwrap().app_folders();
            (apps.join(" "), parents.join(" "), unread.join(" "))
        };
        let of = |apps: &str, parents: &str, unread: &str| (apps.to_owned(), parents.to_owned(), unread.to_owned());
        assert_eq!(read("[\"services/*\", \".\", \"a/b/*\", \"./one/\"]"), of("one", "services a/b", ""));
        for unread in ["*", "**", "a*", "a/*/b", "a/**", "../a", "../*", "a/../b", "/a", "/a/*", "{a,b}/*", "a?/*"] {
            assert_eq!(read(&format!("[\"{unread}\"]")), of("", "", &format!("{unread:?}")));
        }
        assert_eq!(read("[]"), of("", "", ""));
        assert_eq!(read("\"apps/*\""), of("", "", "a charlist"));
        assert_eq!(read("[x]"), of("", "", "an atom"));
        assert_eq!(RebarConfig::default().app_folders().parents, ["apps", "lib"]);
    }
}
