//! Calls of this program from hooks that other programs or users manage, and that are therefore not changed.

use super::Hook;

/// Returns the line that calls this program from a shell script. It does nothing if the program is not installed.
pub fn line(hook: Hook) -> String {
    format!("if command -v git-hexmirror >/dev/null; then git-hexmirror hook {} \"$@\" || exit; fi", hook.name())
}

/// Returns the same line for a hook that git runs in other repositories as well. There, it does nothing without a mirror.
pub fn shared_line(hook: Hook) -> String {
    line(hook).replace(" hook ", " hook --if-mirrored ")
}

/// Returns whether a script, or a hook runner's configuration, calls this program for a hook: `git hexmirror hook NAME`
/// or `git-hexmirror hook NAME`, with or without options, outside of comments.
pub fn is_called(content: &[u8], hook: Hook) -> bool {
    let text = String::from_utf8_lossy(content);
    let mut lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with('#'));
    lines.any(|line| {
        let words: Vec<&str> = line.split(|c: char| c.is_whitespace() || "\"',;".contains(c)).collect();
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let named = |rest: &[&str]| rest.iter().find(|word| !word.starts_with("--")) == Some(&hook.name());
        let calls = |at: usize| words[at].ends_with("hexmirror") && words.get(at + 1) == Some(&"hook");
        (0..words.len()).any(|at| calls(at) && named(&words[at + 2..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_recognised() {
        for hook in Hook::ALL {
            assert!(is_called(line(hook).as_bytes(), hook));
            assert!(is_called(shared_line(hook).as_bytes(), hook));
            assert!(!is_called(format!("# {}", line(hook)).as_bytes(), hook));
        }
        assert!(!is_called(line(Hook::PrePush).as_bytes(), Hook::PostMerge));
    }

    #[test]
    fn configurations_of_hook_runners_are_recognised() {
        for text in [
            "pre-push:\n  jobs:\n    - run: git hexmirror hook pre-push {1} {2}\n",
            r#"{ "pre-push": { "jobs": [{ "run": "git hexmirror hook pre-push {1}" }] } }"#,
            "set -e\ngit-hexmirror hook pre-push \"$@\"\n",
            "/usr/local/bin/git-hexmirror hook pre-push \"$@\"\n",
        ] {
            assert!(is_called(text.as_bytes(), Hook::PrePush), "{text}");
        }
        assert!(!is_called(b"echo hexmirror hooks pre-push", Hook::PrePush));
        assert!(!is_called(b"git hexmirror hook", Hook::PrePush));
        assert!(!is_called(b"\xff\xfe", Hook::PrePush));
    }
}
