//! `version`

use std::io;

use git_hexmirror::git::{Git, GitSettings};
use git_hexmirror::store::layout::{FORMAT, OLDEST_FORMAT};
use serde_json::json;

use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::Output;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit and its day, unless this is a development build (see build.rs).
const COMMIT: Option<&str> = option_env!("HEXMIRROR_COMMIT");

/// Print the version and commit of this program, and the version of the git that it runs
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    json: Json,
}

pub fn run(output: &Output, arguments: &Arguments) -> Outcome {
    if arguments.json.json {
        let document = json!({
            "version": VERSION,
            "commit": COMMIT,
            "git": git_version().ok(),
            "format": FORMAT,
            "oldest_format": OLDEST_FORMAT,
        });
        output.json(&document).map_err(CommandError::Print)?;
    } else {
        print(output).map_err(CommandError::Print)?;
    }
    Ok(0)
}

/// Prints the versions.
pub fn print(output: &Output) -> io::Result<()> {
    output.result(format!("git-hexmirror {}", own()))?;
    output.result(match git_version() {
        Ok(version) => format!("git {version}"),
        Err(error) => format!("git: {error}"),
    })?;
    output.result(format!("writes format {FORMAT} of the mirror branch, reads formats {OLDEST_FORMAT} to {FORMAT}"))
}

/// Returns the version and commit of this program.
pub fn own() -> String {
    format!("{VERSION} ({})", COMMIT.unwrap_or("development build"))
}

fn git_version() -> git_hexmirror::git::Result<String> {
    Git::find(GitSettings::default())?.version()
}
