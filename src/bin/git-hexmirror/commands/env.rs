//! `env`

use git_hexmirror::serve::environment::{self, Format};

use super::CommandError;
use crate::cli::{Json, Outcome};
use crate::session::{self, Session};

/// Print the variables that lead Hex clients to a running `git hexmirror serve`
///
/// In a shell: eval "$(git hexmirror env)"
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The server's address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4040")]
    url: String,
    /// For whom to write them
    #[arg(long, value_enum, default_value = "shell")]
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
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let url = arguments.url.trim_end_matches('/');
    if url.parse::<git_hexmirror::fetch::WebUrl>().is_err() {
        let message = format!("{url:?} is not an http or https address");
        return Err(CommandError::Usage { message, hint: "give the address that `git hexmirror serve` prints" });
    }
    let format = match arguments.format {
        _ if arguments.json.json => Format::Json,
        Shape::Shell => Format::Shell,
        Shape::Dotenv => Format::Dotenv,
        Shape::Docker => Format::Docker,
        Shape::Github => Format::Github,
    };
    let variables = session::environment();
    let variables = environment::environment(url, |name| variables.get(name));
    let text = environment::format(&variables, format);
    session.output.result(text.trim_end()).map_err(CommandError::Print)?;
    Ok(0)
}
