//! Globs for the names of locks and tags, and the files that they are matched against.

use std::path::Path;

use crate::config::ConfigError;
use crate::ops::Result;

/// The maximum length of a glob, in bytes.
const MAX_GLOB: usize = 1024;
/// The maximum number of alternatives in braces per glob, because the glob compiler is recursive.
const MAX_BRACES: usize = 16;
/// The folders that a glob with `**` does not enter, because their contents do not belong to the project.
pub(in crate::ops) const SKIPPED: [&str; 5] = [".git", "deps", "_build", "node_modules", ".elixir_ls"];

pub(in crate::ops) fn are_literal(globs: &[String]) -> bool {
    globs.iter().all(|glob| !glob.contains(['*', '?', '[', '{', '\\']))
}

/// Parses globs. `origin` describes their source in errors. With `literal_separator`, `*` does not match slashes, as in
/// paths.
pub(in crate::ops) fn glob_set(origin: &str, globs: &[String], literal_separator: bool) -> Result<globset::GlobSet> {
    let unusable = |error: globset::Error| match error.kind() {
        // The text is only that of the regular expressions, which the user did not write.
        globset::ErrorKind::Regex(_) => ConfigError::new(origin, "the globs are too large or too many"),
        _ => ConfigError::new(origin, error),
    };
    let mut set = globset::GlobSetBuilder::new();
    for glob in globs {
        if glob.len() > MAX_GLOB || glob.matches('{').count() > MAX_BRACES {
            let start: String = glob.chars().take(20).collect();
            let problem = format!("the glob {start:?}… has more than {MAX_GLOB} bytes or {MAX_BRACES} brace groups");
            return Err(ConfigError::new(origin, problem).into());
        }
        set.add(globset::GlobBuilder::new(glob).literal_separator(literal_separator).build().map_err(unusable)?);
    }
    Ok(set.build().map_err(unusable)?)
}

/// Returns the files below a folder, as relative paths, without the skipped folders.
pub(in crate::ops) fn walk(root: &Path) -> impl Iterator<Item = String> {
    let entries = walkdir::WalkDir::new(root).into_iter().filter_entry(|entry| {
        let skipped = entry.file_name().to_str().is_some_and(|name| SKIPPED.contains(&name));
        !(skipped && entry.file_type().is_dir())
    });
    let root = root.to_owned();
    entries
        .filter_map(Result::ok)
        // A link to a file counts as a file. Anything that is neither a file nor a folder is rejected when it is read.
        .filter(|entry| !(entry.file_type().is_dir() || entry.path_is_symlink() && entry.path().is_dir()))
        .filter_map(move |entry| entry.path().strip_prefix(&root).ok()?.to_str().map(str::to_owned))
}
