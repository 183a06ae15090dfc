//! `lock`

use std::path::PathBuf;

use git_hexmirror::lock::{Lock, Source};
use git_hexmirror::ops::{self, OpError};

use super::CommandError;
use crate::cli::{Json, Outcome};
use crate::output::{DIM, styled};
use crate::session::Session;
use git_hexmirror::model::redacted;

/// Print a lock as it is read
///
/// Without FILE, the locks of the project; of several, --json prints an array. No Elixir and no repository is needed for
/// a FILE.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The lock file; one that ends in rebar.lock has that format, any other mix.lock's
    file: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let locks = match &arguments.file {
        Some(file) => {
            vec![(file.display().to_string(), ops::read_file(&session.path(file))?)]
        }
        None => {
            let project = session.project()?;
            let text = |lock: &ops::LockFile| Ok((lock.file.clone(), lock.bytes(&project.repository)?.into_owned()));
            project.locks()?.iter().map(text).collect::<Result<_, OpError>>()?
        }
    };
    let read = |(file, bytes): (String, Vec<u8>)| {
        let lock = Lock::parse(&file, &bytes);
        lock.map_err(|source| OpError::Lock { file, text: bytes, source })
    };
    let locks = locks.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let printed = match &locks[..] {
        [lock] if arguments.json.json => session.output.json(lock),
        locks if arguments.json.json => session.output.json(&locks),
        locks => locks.iter().try_for_each(|lock| print(session, lock)),
    };
    printed.map_err(CommandError::Print)?;
    Ok(0)
}

fn print(session: &Session, lock: &Lock) -> std::io::Result<()> {
    for entry in &lock.entries {
        let (what, kind) = match &entry.source {
            Source::Hex(source) => (format!("{} {}", source.package, source.version), source.repository.text.clone()),
            Source::Package { version } => (format!("{} {version}", entry.app), "hexpm".to_owned()),
            Source::Git(source) => {
                let revision = source.revision.as_ref().map_or("", |revision| &revision.text);
                (format!("{} {} {revision}", entry.app, redacted(&source.url)), "git".to_owned())
            }
            Source::Unknown { kind } => (entry.app.to_string(), kind.clone()),
        };
        session.output.result(format!("{what}  {}", styled(DIM, kind)))?;
    }
    Ok(())
}
