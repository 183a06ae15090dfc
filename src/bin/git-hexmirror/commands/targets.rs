//! `targets`

use git_hexmirror::model::{Target, TargetError, bytes, count};
use git_hexmirror::ops::{self, ListedTarget, OpError};
use serde_json::{Value, json};

use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{CHANGED, DIM, Text, styled};
use crate::session::Session;

/// List, add or remove the machines whose precompiled files and asset tools are mirrored
///
/// Packages that use rustler_precompiled, elixir_make or XLA download a file for the processor, the operating system and the NIF
/// version of the machine that compiles them. The mirror has those for the machines that hexmirror.lock names. `git hexmirror
/// update` adds the machine that it runs on; use `add` for others, such as production servers.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Add a machine to hexmirror.lock; `git hexmirror update` then fetches the files for it
    Add(Machine),
    /// Remove a machine, and the asset tools that only it needs, from hexmirror.lock; once that is committed, `git hexmirror prune`
    /// removes the files for it
    Remove(Machine),
}

#[derive(Debug, clap::Args)]
struct Machine {
    /// Processor and operating system, as Erlang, Rust or a C compiler spell them: x86_64-linux-gnu, aarch64-apple-darwin
    #[arg(value_name = "PLATFORM")]
    platform: String,
    /// NIF version of its Erlang: 2.16 for OTP 24 and 25, 2.17 for OTP 26 and 27
    #[arg(long, value_name = "VERSION")]
    nif: String,
    /// What XLA computes with, as in XLA_TARGET: cuda12, tpu
    #[arg(long, value_name = "ACCELERATOR")]
    xla: Option<String>,
}

impl Machine {
    fn target(&self) -> Result<Target, CommandError> {
        let target = Target::of_parts(&self.platform, &self.nif, self.xla.as_deref());
        target.map_err(|error: TargetError| CommandError::Usage {
            message: error.to_string(),
            hint: "`git hexmirror targets` shows this machine; elsewhere, run `erl -noinput -eval \
                   'io:format(\"~s ~s~n\",[erlang:system_info(system_architecture),erlang:system_info(nif_version)]),halt().'`",
        })
    }
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let output = &session.output;
    match &arguments.action {
        None => {}
        Some(Action::Add(machine)) => {
            let target = machine.target()?;
            match ops::add_target(&project, &target)? {
                Some(file) => {
                    output.say(format!("added {target} to {file}; run `git hexmirror update` and commit the lock"))
                }
                None if project.repository.worktree().is_none() => {
                    let (file, is_bare) = (git_hexmirror::lock::OWN_LOCK.to_owned(), true);
                    return Err(OpError::LockWouldChange { file, is_bare }.into());
                }
                None => output.say(format!("{target} is named already")),
            }
        }
        Some(Action::Remove(machine)) => {
            let target = machine.target()?;
            let changed = ops::remove_target(&project, &target)?;
            output.say(match changed.is_empty() {
                true => format!("no lock names {target}"),
                false => {
                    let files = changed.join(", ");
                    format!("removed {target} from {files}; commit that, and `git hexmirror prune` removes its files")
                }
            });
        }
    }
    if arguments.action.is_none() || arguments.json.json {
        // The locks may have changed.
        let targets = ops::targets(&session.project()?)?;
        return print(session, &targets, arguments.json.json);
    }
    Ok(0)
}

fn print(session: &Session, targets: &[ListedTarget], is_json: bool) -> Outcome {
    let output = &session.output;
    if is_json {
        output.json(&targets.iter().map(document).collect::<Vec<_>>()).map_err(CommandError::Print)?;
        return Ok(0);
    }
    for listed in targets {
        let ListedTarget { target, is_locked, is_this, files, bytes: size, lacking } = listed;
        let what = match (is_locked, files + lacking) {
            (false, 0) => "needs no files".to_owned(),
            (false, needed) => format!("would need {}", count(needed, "file", "files")),
            (true, _) => format!("{}, {}", count(*files, "file", "files"), bytes(*size)),
        };
        let this = if *is_this { ", this machine" } else { "" };
        let mut line = Text::from(format!("{target}  ")) + styled(DIM, what + this);
        if *is_locked && *lacking > 0 {
            line = line + styled(CHANGED, format!(", lacks {lacking}"));
        }
        output.result(line).map_err(CommandError::Print)?;
    }
    if targets.is_empty() {
        output.say("no lock names a machine, and this one has no Erlang");
    }
    Ok(0)
}

fn document(listed: &ListedTarget) -> Value {
    let ListedTarget { target, is_locked, is_this, files, bytes, lacking } = listed;
    json!({
        "target": target.to_string(),
        "locked": is_locked,
        "this_machine": is_this,
        "files": files,
        "bytes": bytes,
        "lacking": lacking,
    })
}
