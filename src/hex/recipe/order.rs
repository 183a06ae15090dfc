//! The order of the members according to `metadata.config`. Clients archive files in the order of its `files` list.

use std::collections::HashSet;

/// The longest path that is considered, in bytes; no tar header can contain a longer one. Without a limit, comparing the
/// parent folders of a path of one megabyte would take minutes.
const MAX_PATH: usize = 256;

/// Returns the paths that `metadata.config` lists under `files`, in its order, except folders that contain other listed
/// paths (mix lists these folders but does not archive them). `None` if there is no such list in its usual spelling.
///
/// This function need not be an exact parser of Erlang terms, because its result is compared with the archive before a
/// recipe relies on it. But for given bytes, every version of this program must return the same result.
pub(super) fn listed_files(metadata: &str) -> Option<Vec<String>> {
    let (_, list) = metadata.split_once("{<<\"files\">>,")?;
    let mut rest = list.trim_ascii_start().strip_prefix('[')?.trim_ascii_start();
    let mut paths = Vec::new();
    while !rest.starts_with(']') {
        let (path, after) = rest.strip_prefix("<<\"")?.split_once('"')?;
        if path.contains('\\') || path.len() > MAX_PATH {
            return None;
        }
        paths.push(path);
        rest = after.strip_prefix("/utf8").unwrap_or(after).strip_prefix(">>")?.trim_ascii_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_ascii_start(),
            None if rest.starts_with(']') => {}
            None => return None,
        }
    }
    let parents: HashSet<&str> = paths.iter().flat_map(|path| parents(path)).collect();
    Some(paths.iter().filter(|path| !parents.contains(**path)).map(|path| (*path).to_owned()).collect())
}

/// Returns the parent folders of `path`.
pub(super) fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_both_spellings() {
        let old = "{<<\"name\">>,<<\"x\">>}.\n{<<\"files\">>,\n [<<\"lib\">>,<<\"lib/b.ex\">>,\n  <<\"lib/a\">>]}.\n";
        assert_eq!(listed_files(old).unwrap(), ["lib/b.ex", "lib/a"]);
        let new = "{<<\"files\">>,[<<\"ä/x.ex\"/utf8>>]}.";
        assert_eq!(listed_files(new).unwrap(), ["ä/x.ex"]);
        assert_eq!(listed_files("{<<\"files\">>,[]}.").unwrap(), [""; 0]);
    }

    #[test]
    fn a_path_of_a_megabyte_costs_nothing() {
        let metadata = format!("{{<<\"files\">>,[<<\"{}\">>]}}.", "a/".repeat(500_000));
        assert_eq!(listed_files(&metadata), None);
    }

    #[test]
    fn anything_else_is_left_alone() {
        for metadata in [
            "",
            "{<<\"files\">>,",
            "{<<\"files\">>,[<<\"a",
            "{<<\"files\">>,[<<\"a\\n\">>]}",
            "{<<\"files\">>,[<<\"a\">>;",
        ] {
            assert_eq!(listed_files(metadata), None, "{metadata}");
        }
    }
}
