//! `health`

use std::path::PathBuf;
use std::time::Duration;

use git_hexmirror::model::shortened;
use git_hexmirror::ops;

use super::documents;
use super::env::server_url;
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{BAD, CHANGED, GOOD, Text, styled};
use crate::report::NOT_FRESH;
use crate::session::Session;

/// Check that a server answers and can read its mirror
///
/// For health checks in containers, which need no curl then: HEALTHCHECK CMD ["git-hexmirror", "health"]. Asks the server once, for
/// /health, without a proxy. Needs no repository. Exits with 0 if the server can read its mirror, also if it follows a remote and has
/// not fetched from it for too long, which a second line then says; with 1 if it cannot, or if another
/// program answers; with 3 if nothing answers in time, if the server's certificate is not trusted, or if it speaks HTTPS at an address
/// with http://, or the reverse.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// URL of the server
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:4040")]
    url: String,
    /// Certificate authority of a server with HTTPS, as a PEM file
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How long to wait for the answer
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = clap::value_parser!(u16).range(1..))]
    timeout: u16,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let url = server_url(&arguments.url)?;
    let url = url.strip_suffix("/health").unwrap_or(&url);
    let authority = arguments.ca.as_deref().map(|path| session.path(path));
    let health = ops::health(url, authority.as_deref(), Duration::from_secs(arguments.timeout.into()))?;
    let commit = health.commit();
    if arguments.json.json {
        session.output.json(&documents::health(url, &health)).map_err(CommandError::Print)?;
    } else if let Some(commit) = commit {
        let line = styled(GOOD, "healthy") + format!(": {url} serves commit {commit}");
        session.output.result(line).map_err(CommandError::Print)?;
        if let Some(following) = &health.following {
            let line =
                if health.is_stale() { styled(CHANGED, following.clone()) } else { Text::from(following.clone()) };
            session.output.result(line).map_err(CommandError::Print)?;
        }
    } else {
        let line = format!(": {url} answered {} {}", health.status, shortened(&health.text));
        session.output.result(styled(BAD, "not healthy") + line).map_err(CommandError::Print)?;
    }
    Ok(if commit.is_some() { 0 } else { NOT_FRESH })
}
