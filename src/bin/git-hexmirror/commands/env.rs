//! `env`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use git_hexmirror::ops::{self, Clients, OpError};
use git_hexmirror::serve::environment::{self, Access, Format};
use git_hexmirror::store::StoreError;

use super::status;
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::session::{self, Session};

/// Print the environment variables that point Hex clients and git at a running `git hexmirror serve`
///
/// In a shell: eval "$(git hexmirror env)". Fetches of git dependencies are redirected with url.*.insteadOf, for revisions that
/// the project's locks pin and the mirror has. The project's own remotes, pushes, and other repositories whose URLs merely start
/// with the same text are not redirected. If the locks pin packages of organisations or self-hosted repositories, HEX_HOME is a
/// folder with a generated configuration that leads Hex to the mirror for them, without keys. If there is a Gleam manifest,
/// XDG_CACHE_HOME is a folder with the packages that it pins. Commands of this program, such as `update`, still ask upstream: they restore the
/// variables of before, which HEXMIRROR_PREVIOUS records. In a shell, eval "$(git hexmirror env --unset)" restores them too.
///
/// Like `run`, prints an error and exits with 4 if the mirror's signers are not those of the keys that are configured here.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// URL of the server
    ///
    /// Defaults to http://127.0.0.1:4040, or with --tls to https://localhost:4040.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Use HTTPS and trust this repository's local certificate authority (see `serve --tls`)
    ///
    /// git trusts the authority only for the server's URL, mix through HEX_CACERTS_PATH. rebar3 has no such variable: add
    /// {ssl_cacerts_path, "FILE"}. to its configuration (~/.config/rebar3/rebar.config), with the FILE that this command prints.
    #[arg(long)]
    tls: bool,
    /// Certificate authority of the server, as a PEM file, if it is not the local one
    ///
    /// With --format docker, the absolute path of the file in the container.
    #[arg(long, value_name = "FILE", conflicts_with = "tls")]
    ca: Option<PathBuf>,
    /// Print what undoes `env`: the previous variables, except for those that were changed since then
    #[arg(long, conflicts_with_all = ["url", "tls", "ca"])]
    unset: bool,
    /// Output format
    #[arg(long, value_enum, default_value = "shell", conflicts_with = "json")]
    format: Shape,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shape {
    /// export NAME='value', for eval in a POSIX shell
    Shell,
    /// set -gx NAME 'value', for `git hexmirror env --format fish | source`
    Fish,
    /// NAME="value", for dotenv readers
    Dotenv,
    /// NAME=value, for docker run --env-file; depends on nothing of this machine but the locks
    Docker,
    /// NAME=value, for the file that $GITHUB_ENV names
    Github,
    /// A configuration file for git alone: git config --global --add include.path FILE
    Gitconfig,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let text = if arguments.unset { restoring(session, arguments)? } else { directing(session, arguments)? };
    session.output.raw(format!("{}\n", text.trim_end()).as_bytes()).map_err(CommandError::Print)?;
    Ok(0)
}

/// Returns the text that directs clients to the server.
fn directing(session: &Session, arguments: &Arguments) -> Result<String, CommandError> {
    let default = if arguments.tls { "https://localhost:4040" } else { "http://127.0.0.1:4040" };
    let given = arguments.url.as_deref().unwrap_or(default);
    let url = server_url(given)?;
    let access = access(session, &url, arguments)?;
    Ok(match format(arguments) {
        Some(Format::Docker) => environment::container_file(&access),
        Some(format) => environment::format(&session::environment().directed_to(&access), format),
        None => environment::git_configuration(&access),
    })
}

/// Parses the address of a server that the user gave.
pub fn server_url(given: &str) -> Result<String, CommandError> {
    environment::base_url(given).map_err(|error| CommandError::Usage {
        // The part before the host may contain a password.
        message: format!("{:?} {error}", given.rsplit_once('@').map_or(given, |(_, rest)| rest)),
        hint: "pass the URL that `git hexmirror serve` prints",
    })
}

/// Returns the text that restores the environment of before `env`.
fn restoring(session: &Session, arguments: &Arguments) -> Result<String, CommandError> {
    let format = format(arguments).ok_or(CommandError::Usage {
        message: "--unset is about variables, and --format gitconfig has none".into(),
        hint: "remove the include.path of that file from git's configuration",
    })?;
    let environment = session::environment();
    if environment.restored().is_empty() {
        session.output.say("nothing to unset: these variables do not point at a mirror");
    }
    Ok(environment::format(environment.restored(), format))
}

/// Returns the format of variables. `None` for a configuration file.
fn format(arguments: &Arguments) -> Option<Format> {
    match arguments.format {
        _ if arguments.json.json => Some(Format::Json),
        Shape::Shell => Some(Format::Shell),
        Shape::Fish => Some(Format::Fish),
        Shape::Dotenv => Some(Format::Dotenv),
        Shape::Docker => Some(Format::Docker),
        Shape::Github => Some(Format::Github),
        Shape::Gitconfig => None,
    }
}

/// Returns how clients reach the server. Outside of a repository, that is for Hex clients only, because the redirects for git
/// depend on the project's mirror.
fn access(session: &Session, url: &str, arguments: &Arguments) -> Result<Access, CommandError> {
    let is_elsewhere = format(arguments) == Some(Format::Docker);
    let given = match &arguments.ca {
        Some(path) if is_elsewhere => Some(inside(path)?),
        given => given.as_deref().map(|path| absolute(&session.path(path))).transpose()?,
    };
    if is_elsewhere && arguments.tls {
        return Err(CommandError::Usage {
            message: "--tls names a file of this machine, which a container does not have".into(),
            hint: "mount the authority, and pass its path in the container with --ca PATH and the server's address with --url",
        });
    }
    match session.reading_project() {
        Ok(project) => {
            if ops::mirror_source(&project)?.is_none() {
                session.output.say("git is not redirected to the server, because there is no mirror");
                session.output.say(status::no_mirror(&project));
            } else {
                // Otherwise, clients would be led to what no server of this clone serves.
                ops::served_mirror(&project)?;
                if !ops::has_redirecting_lock(&project)? {
                    session.output.say("this project has no lock, so git is not redirected to the server");
                }
            }
            if !is_elsewhere {
                session::say_rebar3_key(&session.output, &project);
            }
            let own = arguments.tls.then(|| absolute(&ops::authority(&project))).transpose()?;
            let clients = if is_elsewhere { Clients::Elsewhere } else { Clients::Here };
            let access = ops::access(&project, url, own.or(given).as_deref(), clients)?;
            if let Some(omission) = access.instead_of.omission() {
                session.output.say(omission);
            }
            // Variables of a container or a file for git have no use for folders of this machine.
            let has_home = !is_elsewhere && format(arguments).is_some();
            let hex_home = if has_home { ops::hex_home(&project, url)? } else { None };
            let cache_home = if has_home { ops::cache_home(&project)? } else { None };
            let artefact_folders = if has_home { ops::artefact_folders(&project)? } else { BTreeMap::new() };
            let text = |folder: PathBuf| folder.to_string_lossy().into_owned();
            let (hex_home, cache_home) = (hex_home.map(text), cache_home.map(text));
            Ok(Access { records_passwords: is_evaluated(arguments), hex_home, cache_home, artefact_folders, ..access })
        }
        Err(OpError::Store(StoreError::NotARepository { .. })) if !arguments.tls => {
            session.output.say("this is not a git repository, so git is not redirected to the server");
            let authority = given.map(|path| path.to_string_lossy().into_owned());
            let records_passwords = is_evaluated(arguments);
            Ok(Access { base_url: url.to_owned(), authority, records_passwords, ..Access::default() })
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns whether a shell evaluates the output. Other formats are for files.
fn is_evaluated(arguments: &Arguments) -> bool {
    matches!(format(arguments), Some(Format::Shell | Format::Fish))
}

/// Returns the path of a file in a container, which need not exist on this machine.
fn inside(path: &Path) -> Result<PathBuf, CommandError> {
    let is_absolute = path.to_string_lossy().starts_with('/');
    is_absolute.then(|| path.to_owned()).ok_or_else(|| CommandError::Usage {
        message: format!("{} is not an absolute path", path.display()),
        hint: "with --format docker, --ca is the path of the file in the container",
    })
}

/// Returns the absolute path of a file that must exist.
fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    let found = std::fs::canonicalize(path);
    found.map_err(|_| CommandError::Usage {
        message: format!("the file {} does not exist", path.display()),
        hint: "`git hexmirror serve --tls` creates the authority when it starts for the first time",
    })
}
