//! What git says to `post-checkout`, `post-merge` and `post-rewrite` about how `HEAD` moved (githooks(5)).

use super::Hook;

/// How `HEAD` moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadMove {
    /// From one commit to another, as hexadecimal object ids.
    Between(String, String),
    /// From `ORIG_HEAD` to where it is now.
    FromOrigHead,
    /// `HEAD` may have moved, or only the files changed.
    Unknown,
}

/// Parses the arguments and the standard input of a hook. Returns `None` if no commit was checked out.
pub fn head_move(hook: Hook, arguments: &[String], input: &str) -> Option<HeadMove> {
    let words: Vec<&str> = match hook {
        // The flag is 1 if a branch was switched, and 0 if files were checked out.
        Hook::PostCheckout if arguments.get(2).map(String::as_str) != Some("1") => return None,
        Hook::PostCheckout => arguments.iter().map(String::as_str).collect(),
        // A squash merge does not move HEAD, but changes files.
        Hook::PostMerge if arguments.first().map(String::as_str) != Some("1") => return Some(HeadMove::FromOrigHead),
        Hook::PostMerge => Vec::new(),
        // One line `OLD NEW [more]` per commit, the newest last.
        Hook::PostRewrite => input.lines().last().unwrap_or_default().split(' ').collect(),
        Hook::PrePush => return None,
    };
    Some(match words[..] {
        [before, after, ..] => HeadMove::Between(before.to_owned(), after.to_owned()),
        _ => HeadMove::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(hook: Hook, arguments: &[&str], input: &str) -> Option<HeadMove> {
        head_move(hook, &arguments.iter().map(ToString::to_string).collect::<Vec<_>>(), input)
    }

    #[test]
    fn arguments_and_input_of_each_hook() {
        let between = |one: &str, other: &str| Some(HeadMove::Between(one.into(), other.into()));
        assert_eq!(moved(Hook::PostCheckout, &["a", "b", "1"], ""), between("a", "b"));
        assert_eq!(moved(Hook::PostCheckout, &["a", "b", "0"], ""), None);
        assert_eq!(moved(Hook::PostCheckout, &[], ""), None);
        assert_eq!(moved(Hook::PostMerge, &["0"], ""), Some(HeadMove::FromOrigHead));
        assert_eq!(moved(Hook::PostMerge, &[], ""), Some(HeadMove::FromOrigHead));
        assert_eq!(moved(Hook::PostMerge, &["1"], ""), Some(HeadMove::Unknown));
        assert_eq!(moved(Hook::PostRewrite, &["rebase"], "a b\nc d extra\n"), between("c", "d"));
        assert_eq!(moved(Hook::PostRewrite, &["rebase"], ""), Some(HeadMove::Unknown));
        assert_eq!(moved(Hook::PrePush, &["origin", "url"], "x"), None);
    }
}
