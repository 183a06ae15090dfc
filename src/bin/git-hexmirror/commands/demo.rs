//! `demo`

use git_hexmirror::ops::{self, OpError};

use crate::outcome::{CommandError, Outcome};
use crate::output::{BOLD, DIM, GOOD, styled};
use crate::session::Session;

const TRY: &str = "
Next, in your own project with a mix.lock or rebar.lock:
  git hexmirror init
  git hexmirror update
  git hexmirror run -- mix deps.get      (or rebar3 get-deps; works offline)
  git hexmirror --help                   (all commands)";

/// Demonstrate all steps on a sample project, without network access and without touching your files
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Keep the sample project and print its path
    #[arg(long)]
    keep: bool,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let output = &session.output;
    let not_made =
        |source| OpError::Machine { action: "create a temporary folder in", path: std::env::temp_dir(), source };
    let folder = tempfile::Builder::new().prefix("hexmirror-demo-").tempdir().map_err(not_made)?;
    let mut printed = Ok(());
    let outcome = ops::demo(folder.path(), |step| {
        let print = || {
            output.result(styled(BOLD, format!("› {}", step.command)))?;
            step.outcome.iter().try_for_each(|line| output.result(format!("    {line}")))
        };
        if printed.is_ok() {
            printed = print();
        }
    });
    if arguments.keep {
        output.say(styled(DIM, format!("the sample project is in {}", folder.keep().display())));
    }
    outcome?;
    let finish = || {
        output.result(styled(GOOD, "All steps succeeded."))?;
        TRY.lines().try_for_each(|line| output.result(line))
    };
    printed.and_then(|()| finish()).map_err(CommandError::Print)?;
    Ok(0)
}
