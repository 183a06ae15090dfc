//! Recognises messages of remotes that refuse the content of a push, and returns what to do about it.

/// Parts of the messages, in lower case, with which forges refuse files and secrets (GitLab's push rules and secret push
/// protection, GitHub's push rulesets and push protection, the hooks of Gitea and others).
const SAID: [&str; 8] = [
    "gh013",
    "gh009",
    "push rule",
    "prohibited by",
    "secret",
    "private key",
    "file name",
    "repository rule violations",
];

/// Returns whether a remote refuses the files in a push, rather than the push as such.
pub fn refuse(message: &str) -> bool {
    let message = message.to_lowercase();
    SAID.iter().any(|said| message.contains(said)) || package(&message).is_some()
}

/// Returns a hint on what to do next.
pub fn hint(message: &str) -> String {
    let (name, of) = match package(message) {
        Some(name) => (name.clone(), name),
        None => ("NAME".to_owned(), "the package NAME that the file belongs to".to_owned()),
    };
    format!(
        "store {of} as a tarball, which the remote does not scan: run `git config --add hexmirror.opaque {name}` (or set \
         opaque = [\"{name}\"] in .hexmirror.toml), then `git hexmirror update`; unpushed commits still contain the file, so run \
         `git hexmirror compact` before you push again"
    )
}

/// Returns the package that a message names, found by a path in the mirror:
/// `hex/REPOSITORY/packages/SHARD/NAME[@VERSION]/…`.
fn package(message: &str) -> Option<String> {
    let after = message
        .split("hex/")
        .find_map(|rest| rest.split_once("/packages/").filter(|(repository, _)| is_name(repository)));
    let (repository, rest) = after?;
    let (_, rest) = rest.split_once('/')?;
    let name = rest.split(['/', '@']).next().filter(|name| is_name(name))?;
    Some(if repository == "hexpm" { name.to_owned() } else { format!("{repository}/{name}") })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:.-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_names_the_package_if_the_remote_names_its_file() {
        for (message, name) in [
            (
                "remote: GitLab: File name hex/hexpm/packages/71/castore/contents/priv/cacerts.pem was prohibited by the pattern",
                "castore",
            ),
            (
                "remote: - Push cannot contain secrets\nremote:   path: hex/hexpm/packages/9a/joken@2.0.0/contents/test/key:1",
                "joken",
            ),
            ("remote: error: GH013: hex/acme/packages/1b/keys/contents/a.pem", "acme/keys"),
        ] {
            assert!(refuse(message), "{message}");
            assert!(hint(message).contains(&format!("hexmirror.opaque {name}`")), "{}", hint(message));
        }
        assert!(hint("remote: GitLab: Push rule").contains("hexmirror.opaque NAME`"));
        for message in
            ["[remote rejected] (pre-receive hook declined); remote: no mirrors here", "protected branch hook declined"]
        {
            assert!(!refuse(message), "{message}");
        }
    }
}
