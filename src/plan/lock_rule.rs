//! The rule for the locks in force: which files of a project are the locks that every command and hook acts on.
//!
//! The rule looks at one path and at what is beside it, never at the current folder. It can therefore be applied to a
//! commit's tree folder by folder, and only to the folders in which two trees differ.

use std::fmt::{self, Display};

use globset::GlobSet;

use crate::lock::OWN_LOCK;

/// The files that are locks by default, each with the project files that it may belong to.
const LOCKS: [(&str, &[&str]); 4] = [
    ("mix.lock", &["mix.exs"]),
    // rebar3 also reads a configuration that consists of the script alone (`rebar_config:consult_file_/1`).
    ("rebar.lock", &["rebar.config", "rebar.config.script"]),
    ("manifest.toml", &["gleam.toml"]),
    (OWN_LOCK, PROJECTS),
];
/// The files that make a folder a project.
const PROJECTS: &[&str] = &["mix.exs", "rebar.config", "rebar.config.script", "gleam.toml"];
/// A name that other programs use for other files. Such a file is a lock only beside its project file.
const AMBIGUOUS: &str = "manifest.toml";
/// The folders whose locks are not the project's own: fetched dependencies, build output, and samples.
const FOREIGN: [&str; 8] = ["deps", "_build", "node_modules", "vendor", "test", "tests", "fixtures", "examples"];

/// Which files are locks in force.
#[derive(Debug, Clone, Default)]
pub struct LockRule {
    configured: Option<GlobSet>,
}

/// What the rule says about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockVerdict {
    /// The file is a lock in force.
    InForce,
    /// The file looks like a lock but is left out.
    LeftOut(Omission),
    /// The file is not a lock.
    NoLock,
}

/// A file that looks like a lock but is not in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutLock {
    /// Its path from the repository's root.
    pub file: String,
    /// The reason.
    pub reason: Omission,
}

/// Why a file that looks like a lock is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Omission {
    /// It is below a folder with this name, which does not contain projects of this repository.
    Below(&'static str),
    /// None of these project files is beside it.
    WithoutProject(&'static [&'static str]),
    /// The locks are configured, and it is not among them.
    NotConfigured,
    /// It is a symbolic link to a file that does not exist.
    Dangling,
}

impl Display for Omission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(folder) => write!(f, "below a folder {folder}"),
            Self::WithoutProject(files) => write!(f, "no {} beside it", files.join(" or ")),
            Self::NotConfigured => f.write_str("not named by the setting locks"),
            Self::Dangling => f.write_str("a link to a file that does not exist"),
        }
    }
}

impl LockRule {
    /// Returns the rule for a project that configures its locks. `globs` match paths from the repository's root.
    pub fn configured(globs: GlobSet) -> Self {
        Self { configured: Some(globs) }
    }

    /// Judges a file by its path from the repository's root, with `/` as separator. `has_beside` returns whether a file
    /// with a given name is in the same folder.
    pub fn judge(&self, path: &str, has_beside: &dyn Fn(&str) -> bool) -> LockVerdict {
        if let Some(globs) = &self.configured {
            return match (globs.is_match(path), by_default(path, has_beside)) {
                (true, _) => LockVerdict::InForce,
                (false, LockVerdict::InForce) => LockVerdict::LeftOut(Omission::NotConfigured),
                (false, verdict) => verdict,
            };
        }
        by_default(path, has_beside)
    }

    /// Returns whether a folder with this name may contain locks in force.
    pub fn enters(&self, folder: &str) -> bool {
        self.configured.is_some() || !FOREIGN.contains(&folder)
    }

    /// Returns the locks of the project that the user is in: those in the nearest folder with any, from `folder`
    /// upward to the repository's root. `exists` returns whether there is a file with a path from the root. Empty if
    /// the locks are configured.
    pub fn locks_around(&self, folder: &str, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
        if self.configured.is_some() {
            return Vec::new();
        }
        let ends = folder.match_indices('/').map(|(end, _)| end).chain([folder.len()]);
        let mut folders: Vec<&str> = ends.map(|end| &folder[..end]).filter(|folder| !folder.is_empty()).collect();
        folders.insert(0, "");
        let of_folder = |folder: &str| {
            let within = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            let is_lock =
                |path: &String| exists(path) && self.judge(path, &|name| exists(&within(name))) == LockVerdict::InForce;
            default_locks().map(within).filter(is_lock).collect::<Vec<_>>()
        };
        folders.into_iter().rev().map(of_folder).find(|locks| !locks.is_empty()).unwrap_or_default()
    }
}

/// Returns the names of the files that are locks by default.
pub fn default_locks() -> impl Iterator<Item = &'static str> {
    LOCKS.into_iter().map(|(lock, _)| lock)
}

/// Names the files that are locks by default, for messages.
pub fn default_locks_listed() -> String {
    let names: Vec<_> = default_locks().collect();
    let (last, others) = names.split_last().expect("the list is not empty");
    format!("{} or {last}", others.join(", "))
}

fn by_default(path: &str, has_beside: &dyn Fn(&str) -> bool) -> LockVerdict {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let Some((_, projects)) = LOCKS.into_iter().find(|(lock, _)| *lock == name) else { return LockVerdict::NoLock };
    let foreign = FOREIGN.into_iter().find(|foreign| folder.split('/').any(|component| component == *foreign));
    // A repository may consist of a lock alone. In its root, a lock has no other meaning.
    let has_project = folder.is_empty() && name != AMBIGUOUS || projects.iter().any(|project| has_beside(project));
    match foreign {
        _ if name == AMBIGUOUS && !has_project => LockVerdict::NoLock,
        Some(foreign) => LockVerdict::LeftOut(Omission::Below(foreign)),
        None if has_project => LockVerdict::InForce,
        None => LockVerdict::LeftOut(Omission::WithoutProject(projects)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use globset::{GlobBuilder, GlobSetBuilder};
    use proptest::prelude::*;

    use super::*;

    fn judge(rule: &LockRule, files: &[&str], path: &str) -> LockVerdict {
        let folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        rule.judge(path, &|name| files.contains(&format!("{folder}{name}").as_str()))
    }

    #[test]
    fn a_lock_is_in_force_beside_its_project_file() {
        use LockVerdict::{InForce, LeftOut, NoLock};
        let rule = LockRule::default();
        let files = [
            "backend/mix.exs",
            "erl/rebar.config",
            "script/rebar.config.script",
            "web/gleam.toml",
            "vendor/x/mix.exs",
            "backend/test/support/mix.exs",
            "tests/gleam.toml",
            "my_deps/mix.exs",
        ];
        for (path, verdict) in [
            ("backend/mix.lock", InForce),
            ("erl/rebar.lock", InForce),
            ("script/rebar.lock", InForce),
            ("web/manifest.toml", InForce),
            ("web/hexmirror.lock", InForce),
            ("backend/hexmirror.lock", InForce),
            ("hexmirror.lock", InForce),
            ("tests/hexmirror.lock", LeftOut(Omission::Below("tests"))),
            ("cargo/hexmirror.lock", LeftOut(Omission::WithoutProject(PROJECTS))),
            ("my_deps/mix.lock", InForce),
            ("backend/rebar.lock", LeftOut(Omission::WithoutProject(&["rebar.config", "rebar.config.script"]))),
            ("docs/mix.lock", LeftOut(Omission::WithoutProject(&["mix.exs"]))),
            ("vendor/x/mix.lock", LeftOut(Omission::Below("vendor"))),
            ("backend/test/support/mix.lock", LeftOut(Omission::Below("test"))),
            ("tests/manifest.toml", LeftOut(Omission::Below("tests"))),
            // Other programs have files with this name, too.
            ("cargo/manifest.toml", NoLock),
            ("manifest.toml", NoLock),
            ("backend/mix.lock.orig", NoLock),
            ("backend/mix.exs", NoLock),
            ("", NoLock),
            // The repository's root.
            ("mix.lock", InForce),
            ("rebar.lock", InForce),
        ] {
            assert_eq!(judge(&rule, &files, path), verdict, "{path}");
        }
        assert_eq!(judge(&rule, &["gleam.toml"], "manifest.toml"), InForce);
    }

    #[test]
    fn configured_locks_replace_the_default_ones() {
        let mut globs = GlobSetBuilder::new();
        globs.add(GlobBuilder::new("deps/*/prod.lck").literal_separator(true).build().unwrap());
        let rule = LockRule::configured(globs.build().unwrap());
        assert_eq!(judge(&rule, &[], "deps/a/prod.lck"), LockVerdict::InForce);
        assert!(rule.enters("deps"));
        assert_eq!(judge(&rule, &[], "mix.lock"), LockVerdict::LeftOut(Omission::NotConfigured));
        assert_eq!(judge(&rule, &[], "other.lck"), LockVerdict::NoLock);
        assert_eq!(rule.locks_around("", &|_| true), [""; 0]);
    }

    #[test]
    fn the_nearest_project_upward_is_the_one_the_user_is_in() {
        let files = [
            "mix.lock",
            "a/mix.exs",
            "a/mix.lock",
            "a/rebar.lock",
            "a/b/mix.exs",
            "a/deps/c/mix.exs",
            "a/deps/c/mix.lock",
        ];
        let around = |folder| LockRule::default().locks_around(folder, &|path| files.contains(&path));
        assert_eq!(around(""), ["mix.lock"]);
        assert_eq!(around("x/y"), ["mix.lock"]);
        assert_eq!(around("a"), ["a/mix.lock"]);
        assert_eq!(around("a/b/lib"), ["a/mix.lock"]);
        assert_eq!(around("a/deps/c/lib"), ["a/mix.lock"], "a dependency is not the project");
        assert_eq!(LockRule::default().locks_around("x", &|_| false), [""; 0]);
    }

    proptest! {
        /// Whatever a tree contains, a lock in force is a default lock outside of foreign folders, in the root or beside
        /// its project file; and a walk that only enters what the rule enters finds all of them.
        #[test]
        fn the_rule_is_local_to_a_folder(paths in prop::collection::btree_set(
            prop::collection::vec(prop::sample::select(vec![
                "a", "deps", "test", "é\u{1b}", "mix.exs", "mix.lock", "rebar.lock", "rebar.config", "gleam.toml", "manifest.toml", "hexmirror.lock",
            ]), 1..5).prop_map(|components| components.join("/")), 0..40))
        {
            let files: Vec<&str> = paths.iter().map(String::as_str).collect();
            let rule = LockRule::default();
            let in_force: BTreeSet<&str> =
                files.iter().copied().filter(|path| judge(&rule, &files, path) == LockVerdict::InForce).collect();
            for path in &in_force {
                let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
                prop_assert!(default_locks().any(|lock| lock == name));
                prop_assert!(folder.is_empty() || folder.split('/').all(|folder| rule.enters(folder)));
                let beside = |file: &&str| file.rsplit_once('/').unwrap_or(("", file)).0 == folder;
                let projects = ["mix.exs", "rebar.config", "gleam.toml"];
                let has_project = files.iter().filter(|file| beside(file)).any(|file| projects.iter().any(|name| file.ends_with(name)));
                prop_assert!(folder.is_empty() || has_project);
            }
            // Where the user is adds at most the locks of one folder, all of which the rule accepts.
            for folder in &files {
                let around = rule.locks_around(folder, &|path| files.contains(&path));
                prop_assert!(around.iter().all(|path| in_force.contains(path.as_str())));
            }
        }
    }
}
