//! What a remote says when it refuses the content of a push, and what to do about it.

/// What forges say of files and secrets that they do not take, in lower case (GitLab's push rules and secret push protection,
/// GitHub's push rulesets and push protection, Gitea's and others' hooks).
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

/// Returns whether a remote refuses what is in the files of a push, rather than the push as such.
pub fn refuse(message: &str) -> bool {
    let message = message.to_lowercase();
    SAID.iter().any(|said| message.contains(said)) || package(&message).is_some()
}

/// Says what to do next.
pub fn hint(message: &str) -> String {
    let (name, of) = match package(message) {
        Some(name) => (name.clone(), name),
        None => ("NAME".to_owned(), "the package NAME whose file is meant".to_owned()),
    };
    format!(
        "store {of} as its tarball, whose content the remote does not look into: git config --add hexmirror.opaque {name} \
         (or opaque = [\"{name}\"] in .hexmirror.toml), then git hexmirror update; commits that were not pushed yet still have the \
         file, so then git hexmirror compact, and push again"
    )
}

/// Returns the package whose file is named, by its path in the mirror: `hex/REPOSITORY/packages/NAME[@VERSION]/…`.
fn package(message: &str) -> Option<String> {
    let after = message
        .split("hex/")
        .find_map(|rest| rest.split_once("/packages/").filter(|(repository, _)| is_name(repository)));
    let (repository, rest) = after?;
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
    fn the_package_is_named_where_the_remote_names_its_file() {
        for (message, name) in [
            (
                "remote: GitLab: File name hex/hexpm/packages/castore/contents/priv/cacerts.pem was prohibited by the pattern",
                "castore",
            ),
            (
                "remote: - Push cannot contain secrets\nremote:   path: hex/hexpm/packages/joken@2.0.0/contents/test/key:1",
                "joken",
            ),
            ("remote: error: GH013: hex/acme/packages/keys/contents/a.pem", "acme/keys"),
        ] {
            assert!(refuse(message), "{message}");
            assert!(hint(message).contains(&format!("hexmirror.opaque {name} ")), "{}", hint(message));
        }
        assert!(hint("remote: GitLab: Push rule").contains("hexmirror.opaque NAME "));
        for message in
            ["[remote rejected] (pre-receive hook declined); remote: no mirrors here", "protected branch hook declined"]
        {
            assert!(!refuse(message), "{message}");
        }
    }
}
