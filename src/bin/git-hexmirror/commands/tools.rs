//! `tools`

use std::path::{Path, PathBuf};

use git_hexmirror::model::count;
use git_hexmirror::ops;
use serde_json::json;

use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{GOOD, styled};
use crate::session::Session;

/// Install the tools that hexmirror.lock pins, without any server
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Install(Install),
}

/// Write Hex, rebar3, esbuild, Tailwind and Dart Sass to where mix looks for them
///
/// Hex and rebar3 are verified from Elixir's own key on. They go to MIX_HOME (or ~/.mix) and MIX_ARCHIVES, as for `mix local.hex` and
/// `mix local.rebar`. Other versions of Hex there are removed, because mix would load all of them. The other tools go to _build, as for
/// `mix esbuild.install`, `mix tailwind.install` and `mix sass.install`.
#[derive(Debug, clap::Args)]
struct Install {
    /// Write to this folder instead: mix/ is the MIX_HOME, _build/ has the other tools, and downloads/HOST/PATH the files that
    /// addresses name
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let Action::Install(Install { to, json }) = &arguments.action;
    let project = session.project()?;
    let to = to.as_deref().map(|folder| session.path(folder));
    let installed = ops::install_tools(&project, to.as_deref())?;
    let output = &session.output;
    if json.json {
        let texts = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        let document = json!({ "written": texts(&installed.written), "unchanged": texts(&installed.unchanged) });
        output.json(&document).map_err(CommandError::Print)?;
        return Ok(0);
    }
    for path in &installed.written {
        output.say(styled(GOOD, "installed") + format!(" {}", path.display()));
    }
    if installed.written.is_empty() {
        output.say(styled(GOOD, "up to date") + format!(": {}", count(installed.unchanged.len(), "tool", "tools")));
    }
    if let Some(mix_home) = to.as_deref().map(|to| to.join("mix")).filter(|folder| folder.is_dir()) {
        output.detail(format!("  use it with MIX_HOME={}", absolute(session, &mix_home)));
    }
    Ok(0)
}

fn absolute(session: &Session, path: &Path) -> String {
    let folder = std::path::absolute(session.directory()).unwrap_or_default();
    folder.join(path).display().to_string()
}
