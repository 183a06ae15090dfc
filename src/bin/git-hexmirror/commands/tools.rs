//! `tools`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use git_hexmirror::model::{Target, count};
use git_hexmirror::ops::{self, NotInstalled};
use serde_json::json;

use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{BOLD, CHANGED, GOOD, styled};
use crate::report::NOT_FRESH;
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
///
/// Exits with 1 if something that the project configures was not installed, and names it.
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
    let code = if installed.left_out.is_empty() { 0 } else { NOT_FRESH };
    if json.json {
        let texts = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        let left_out: Vec<String> = installed.left_out.iter().map(ToString::to_string).collect();
        let (written, unchanged) = (texts(&installed.written), texts(&installed.unchanged));
        let document = json!({ "written": written, "unchanged": unchanged, "not_installed": left_out });
        output.json(&document).map_err(CommandError::Print)?;
        return Ok(code);
    }
    for path in &installed.written {
        output.say(styled(GOOD, "installed") + format!(" {}", path.display()));
    }
    if installed.written.is_empty() && !installed.unchanged.is_empty() {
        output.say(styled(GOOD, "up to date") + format!(": {}", count(installed.unchanged.len(), "tool", "tools")));
    }
    for ((tool, version), place) in &installed.superseded {
        let why = format!("{place} names another version, and the package {tool} looks for that one");
        output.say(format!("{tool} {version} of the setting asset_tools is only mirrored: {why}"));
    }
    for left_out in &installed.left_out {
        output.always(styled(CHANGED, "not installed:") + format!(" {left_out}"));
    }
    for hint in installed.left_out.iter().map(hint).collect::<BTreeSet<_>>() {
        output.always(styled(BOLD, "hint:") + format!(" {hint}"));
    }
    if let Some(mix_home) = to.as_deref().map(|to| to.join("mix")).filter(|folder| folder.is_dir()) {
        output.detail(format!("  use it with MIX_HOME={}", absolute(session, &mix_home)));
    }
    Ok(code)
}

/// Returns what to do about something that was not installed.
fn hint(left_out: &NotInstalled) -> String {
    let add = |Target { platform, nif, accelerator }: &Target| {
        let accelerator = accelerator.as_ref().map(|name| format!(" --xla {name}")).unwrap_or_default();
        format!("git hexmirror targets add {platform} --nif {nif}{accelerator}")
    };
    match left_out {
        NotInstalled::NoPair { .. } => "run `git hexmirror update`, and commit hexmirror.lock".to_owned(),
        NotInstalled::Unpinned { machine: None, .. } => {
            "run `git hexmirror update`, and commit hexmirror.lock".to_owned()
        }
        NotInstalled::Unpinned { machine: Some(machine), .. } => format!(
            "run `git hexmirror update` here, which adds this machine; or, where there is a network, `{}` and `git hexmirror update`; then commit hexmirror.lock",
            add(machine)
        ),
        NotInstalled::Unpublished { .. } => {
            "`git hexmirror update --refresh` asks the publisher again; otherwise, configure another version".to_owned()
        }
        NotInstalled::NoBuild { tool, .. } => format!(
            "install {tool} yourself, and name the program with `config :{tool}, path: …`; `git config hexmirror.assetTools off` mirrors and installs no asset tools"
        ),
        NotInstalled::NoMachine { .. } => {
            "name the machine with `git hexmirror targets add`, run `git hexmirror update`, and commit hexmirror.lock"
                .to_owned()
        }
        NotInstalled::Unread { tool, .. } => format!(
            "name the version with `git config --add hexmirror.assetTools {tool}@VERSION`, and run `git hexmirror update`"
        ),
        NotInstalled::Conflict { is_shared: true, .. } => {
            "configure one version in all projects, or install without --to, into the _build of each project".to_owned()
        }
        NotInstalled::Conflict { first, .. } => format!(
            "configure one version for all environments; or choose one with `git config --add hexmirror.assetTools {}@{}`",
            first.tool, first.version
        ),
        NotInstalled::NoWorktree { .. } => "pass a folder with --to".to_owned(),
    }
}

fn absolute(session: &Session, path: &Path) -> String {
    let folder = std::path::absolute(session.directory()).unwrap_or_default();
    folder.join(path).display().to_string()
}
