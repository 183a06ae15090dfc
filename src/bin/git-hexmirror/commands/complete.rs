//! `__complete`, which the completion scripts call.

use std::collections::BTreeSet;

use clap::ValueEnum;
use git_hexmirror::ops::{self, OpError};

use crate::outcome::{CommandError, Outcome};
use crate::session::Session;

/// Print the names that a completion script offers, one per line
#[derive(Debug, clap::Args)]
pub struct Arguments {
    names: Names,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Names {
    /// The packages and git repositories in the mirror.
    Packages,
    /// The remotes of the project.
    Remotes,
}

/// Prints the names. Without a repository or a mirror, there are none: a message would disturb the line that the user types.
pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let names = names(session, arguments.names).unwrap_or_default();
    let text: String = names.iter().filter(|name| is_plain(name)).map(|name| format!("{name}\n")).collect();
    session.output.raw(text.as_bytes()).map_err(CommandError::Print)?;
    Ok(0)
}

fn names(session: &Session, names: Names) -> Result<BTreeSet<String>, OpError> {
    let project = session.quiet_project()?;
    if names == Names::Remotes {
        return Ok(project.repository.remote_names().iter().map(ToString::to_string).collect());
    }
    let (_, snapshot) = ops::mirror(&project)?;
    let manifest = snapshot.manifest()?;
    let packages = manifest.releases.keys().map(|id| id.package.to_string());
    let last = |address: String| address.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(packages.chain(manifest.git.keys().map(|address| last(address.to_string()))).collect())
}

/// Returns whether a shell takes a name literally. bash expands the words that a completion function offers, and the mirror branch
/// and its names come from other people.
fn is_plain(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn only_names_without_meaning_for_a_shell_are_offered() {
        for (name, expected) in [
            ("phoenix_live_view", true),
            ("lib.erl", true),
            ("team/upstream", true),
            ("$(id)", false),
            ("`id`", false),
            ("a b", false),
            ("a\u{1b}", false),
            ("--help", false),
            ("", false),
        ] {
            assert_eq!(is_plain(name), expected, "{name}");
        }
    }
}
