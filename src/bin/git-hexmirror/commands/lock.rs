//! `lock`

use std::path::PathBuf;

use git_hexmirror::lock::{Lock, LockKind, Source};
use git_hexmirror::model::redacted_address;
use git_hexmirror::ops::{self, LockText, OpError};

use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{DIM, Text, styled};
use crate::session::Session;

/// Print the entries of a lock
///
/// Without FILE, prints the locks of the project, or of the current folder outside a git repository. With --json, several locks
/// are printed as an array. Needs neither Elixir nor a git repository.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Lock file, or - for standard input; the end of its name (rebar.lock, manifest.toml, hexmirror.lock, otherwise mix.lock) determines the format
    file: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let locks = match &arguments.file {
        Some(file) if file.as_os_str() == "-" => {
            let bytes = ops::read_bounded(std::io::stdin().lock());
            let bytes = bytes.map_err(|source| OpError::Read { path: "standard input".into(), source })?;
            vec![LockText { file: "-".into(), bytes }]
        }
        Some(file) => vec![LockText { file: file.display().to_string(), bytes: ops::read_file(&session.path(file))? }],
        None => session.locks()?,
    };
    let read = |LockText { file, bytes }: LockText| {
        let kind = if file == "-" { LockKind::of_contents(&bytes) } else { LockKind::of(&file) };
        let lock = Lock::parse_as(kind, &file, &bytes);
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
                (format!("{} {} {revision}", entry.app, redacted_address(&source.url)), "git".to_owned())
            }
            Source::Download(source) => (redacted_address(&source.url), source.checksum.to_string()),
            Source::Docs(source) => (format!("{} {}", source.package, source.version), "docs".to_owned()),
            Source::Tools(source) => (format!("Elixir {} on OTP {}", source.elixir, source.otp), "tools".to_owned()),
            Source::AssetTool(source) => (source.id.to_string(), "asset-tool".to_owned()),
            Source::Target(target) => (target.to_string(), "target".to_owned()),
            Source::Unknown { kind } => (entry.app.to_string(), kind.clone()),
        };
        session.output.result(Text::from(format!("{what}  ")) + styled(DIM, kind))?;
    }
    Ok(())
}
