//! `env`

use std::path::{Path, PathBuf};

use git_hexmirror::ops::{self, OpError};
use git_hexmirror::serve::environment::{self, Access, Format};
use git_hexmirror::store::StoreError;

use super::CommandError;
use crate::cli::{Json, Outcome};
use crate::session::{self, Session};

/// Print the variables that lead Hex clients and git to a running `git hexmirror serve`
///
/// In a shell: eval "$(git hexmirror env)". git is led there for the revisions that the project's locks pin and the mirror
/// holds now, by url.*.insteadOf, and never for a remote of the project. Pushes go where they went before, and so does what
/// only has an address that begins alike.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The server's address
    ///
    /// http://127.0.0.1:4040 where it is not given, with --tls https://localhost:4040
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The server speaks HTTPS with a certificate of this repository's own authority (`serve --tls`)
    ///
    /// git trusts it for the server's address alone, mix by HEX_CACERTS_PATH. rebar3 knows no such variable: it wants
    /// {ssl_cacerts_path, "FILE"}. in its own configuration (~/.config/rebar3/rebar.config), with the FILE that this prints.
    #[arg(long)]
    tls: bool,
    /// The file with the authority of the server's certificate, where it is another
    #[arg(long, value_name = "FILE", conflicts_with = "tls")]
    ca: Option<PathBuf>,
    /// For whom to write them
    #[arg(long, value_enum, default_value = "shell", conflicts_with = "json")]
    format: Shape,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shape {
    /// export NAME='value', for eval in a POSIX shell
    Shell,
    /// NAME="value", for dotenv readers
    Dotenv,
    /// NAME=value, for docker run --env-file
    Docker,
    /// NAME=value, for the file that $GITHUB_ENV names
    Github,
    /// A configuration file for git alone: git config --global include.path FILE
    Gitconfig,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let default = if arguments.tls { "https://localhost:4040" } else { "http://127.0.0.1:4040" };
    let given = arguments.url.as_deref().unwrap_or(default);
    let url = environment::base_url(given).map_err(|error| CommandError::Usage {
        // What stands before the host may be a password.
        message: format!("{:?} {error}", given.rsplit_once('@').map_or(given, |(_, rest)| rest)),
        hint: "give the address that `git hexmirror serve` prints",
    })?;
    let access = access(session, &url, arguments)?;
    let variables = |format| {
        let existing = session::environment();
        environment::format(&environment::environment(&access, |name| existing.get(name)), format)
    };
    let text = match arguments.format {
        _ if arguments.json.json => variables(Format::Json),
        Shape::Shell => variables(Format::Shell),
        Shape::Dotenv => variables(Format::Dotenv),
        Shape::Docker => variables(Format::Docker),
        Shape::Github => variables(Format::Github),
        Shape::Gitconfig => environment::git_configuration(&access),
    };
    session.output.raw(format!("{}\n", text.trim_end()).as_bytes()).map_err(CommandError::Print)?;
    Ok(0)
}

/// Works outside of a repository too, for Hex clients: only the project's mirror says what git is to be led to.
fn access(session: &Session, url: &str, arguments: &Arguments) -> Result<Access, CommandError> {
    let given = arguments.ca.as_deref().map(|path| absolute(&session.path(path))).transpose()?;
    match session.project() {
        Ok(project) => {
            if project.repository.tip(&project.branch)?.is_none() {
                let branch = &project.branch;
                session.output.say(format!(
                    "there is no mirror branch {branch} here yet, so nothing leads git to the server; `git hexmirror update` makes it"
                ));
            } else if !ops::has_leading_lock(&project)? {
                session.output.say("there is no lock here, so nothing leads git to the server");
            }
            let own = arguments.tls.then(|| absolute(&ops::authority(&project))).transpose()?;
            Ok(ops::access(&project, url, own.or(given).as_deref(), false)?)
        }
        Err(OpError::Store(StoreError::NotARepository { .. })) if !arguments.tls => {
            session.output.say("this is not inside a git repository, so nothing leads git to the server");
            let authority = given.map(|path| path.to_string_lossy().into_owned());
            Ok(Access { base_url: url.to_owned(), authority, ..Access::default() })
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns a path for whoever stands elsewhere; there has to be a file.
fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    let found = std::fs::canonicalize(path);
    found.map_err(|_| CommandError::Usage {
        message: format!("there is no {}", path.display()),
        hint: "`git hexmirror serve --tls` makes the authority when it is first started",
    })
}
