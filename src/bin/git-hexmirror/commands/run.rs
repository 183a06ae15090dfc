//! `run`

use git_hexmirror::ops::{self, Explanation, Failure, OldAnswer, OpError};

use super::offline::{isolated, probe, say_what_left};
use super::serve_log;
use super::status::not_mirrored_line;
use crate::outcome::Outcome;
use crate::output::{Output, listed};
use crate::report::{self, NOT_FRESH};
use crate::session::{Session, say_rebar3_key};

/// How many items a message names before it only counts the rest.
const SHOWN: usize = 20;

/// Run a command that uses the mirror: `git hexmirror run -- mix deps.get`
///
/// Starts a server on a free loopback port, sets the environment variables that point Hex clients and git at it, runs the
/// command, and exits with the command's exit code. Exits with 127 if the command does not exist, with 126 if it cannot be
/// executed, and with 2, 4 or 5 if there is no mirror to serve. Several instances may run at the same time. Afterwards, names every
/// request that the mirror could not answer, with what would fix it, because some clients ignore such failures. With --verbose,
/// logs each request.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Prove that the command needs nothing but the mirror
    ///
    /// The server is also the command's HTTP and HTTPS proxy, which refuses everything that is not mirrored. On Linux, the command
    /// also runs in a network namespace with loopback only, if the system permits it; servers on this machine, such as databases,
    /// cannot be reached then. Only the namespace stops connections that use no proxy, such as git:// and ssh, and those are not
    /// listed. Afterwards, lists which hosts the command tried to reach, and says which of the two protections were in force.
    /// Exits with 1 if there are such hosts and the command succeeded.
    #[arg(long)]
    offline: bool,
    /// Exit with 0 if this process can have a network namespace
    #[arg(long, hide = true)]
    probe_namespace: bool,
    /// Command to run, with its arguments
    #[arg(required_unless_present = "probe_namespace", trailing_var_arg = true, value_name = "CMD")]
    command: Vec<String>,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    if arguments.probe_namespace {
        return Ok(probe(session));
    }
    // Only a process with a single thread can be isolated, so this comes first.
    let isolation = arguments.offline.then(isolated).transpose()?;
    let project = session.reading_project()?;
    let Some((program, arguments)) = arguments.command.split_first() else { return Ok(2) };
    let log = serve_log::request_log(&session.output);
    // Not knowing the answer's age does not stop the command.
    if let Ok(Some(answer)) = ops::old_answer(&project, program, arguments) {
        session.output.say(old_answer_line(&answer));
    }
    say_rebar3_key(&session.output, &project);
    match ops::run_command(&project, (program, arguments), log, isolation.is_some()) {
        Ok(finished) if isolation.is_some() => {
            let status = finished.status;
            let is_proof = finished.failed.left().len() == 0 && finished.failed.lacking() == 0;
            isolation.iter().for_each(|isolation| say_what_left(&session.output, &finished.failed, isolation));
            explain(&session.output, ops::explain(&project, finished.failed, !status.success()));
            Ok(if !is_proof && status.success() { NOT_FRESH } else { exit_code(status) })
        }
        Ok(finished) => {
            let has_failed = finished.status.code().is_some_and(|code| code != 0);
            explain(&session.output, ops::explain(&project, finished.failed, has_failed));
            Ok(exit_code(finished.status))
        }
        Err(error) => not_run(session, error),
    }
}

/// Describes an answer that may have changed upstream.
fn old_answer_line(answer: &OldAnswer) -> String {
    let OldAnswer { command, requirements_changed, day } = answer;
    let reason = if *requirements_changed { " for the changed mix.exs" } else { "" };
    format!(
        "git-hexmirror: `{command}` gets its answers{reason} from the mirror as of {day}; run it without `git hexmirror run` to ask \
         upstream, then `git hexmirror update`"
    )
}

/// Reports why a program was not run, and returns the exit code.
pub fn not_run(session: &Session, error: OpError) -> Outcome {
    // The exit codes of `env`, `timeout` and shells. If this machine caused the error, the exit code says so instead.
    let code = match &error {
        OpError::Run { source, .. } | OpError::Shell { source, .. } if error.failure() == Failure::Usage => {
            match source.kind() {
                std::io::ErrorKind::NotFound => 127,
                _ => 126,
            }
        }
        _ => return Err(error.into()),
    };
    report::report(session, &error.into());
    Ok(code)
}

/// Prints the requests that failed, with what would fix them. Clients only report the response that they received, if at all.
pub fn explain(output: &Output, explanation: Option<Explanation>) {
    let Some(explanation) = explanation else { return };
    let Explanation { errors, locks, pinned, unpinned, docs, unindexed, indexes, not_served, machine, comparison } =
        &explanation;
    let locks = locks.join(", ");
    let say = |items: &[String], text: &dyn Fn(String) -> String| {
        if !items.is_empty() {
            output.say(format!("git-hexmirror: {}", text(listed(items, SHOWN))));
        }
    };
    say(errors, &|errors| format!("the server had errors: {errors}"));
    say(pinned, &|lacks| format!("the mirror lacks what {locks} pins: {lacks}; run `git hexmirror update`"));
    for (repository, signer) in indexes {
        output.say(format!(
            "git-hexmirror: without a network, mix can use the pinned index of {repository} instead of these entries: run `git \
             hexmirror serve`, and in another shell `mix hex.repo add {repository} http://127.0.0.1:4040/pinned --fetch-public-key \
             {signer}`; `mix hex.repo remove {repository}` undoes it"
        ));
    }
    say(unpinned, &|asked| {
        format!(
            "the command requested items that the mirror lacks and no lock pins: {asked}; \
             add them to the lock while online, or plugins of rebar3 to the setting `extra` (`git config --add hexmirror.extra NAME`), then run \
             `git hexmirror update`"
        )
    });
    say(docs, &|asked| {
        format!(
            "the command requested documentation that the mirror lacks: {asked}; `git hexmirror update --docs` mirrors that of what the \
             locks pin, if any was published"
        )
    });
    say(unindexed, &|asked| {
        format!(
            "the command requested files that the pinned index lacks: {asked}; run `git hexmirror index`, or `git hexmirror update` if \
             the index was imported"
        )
    });
    say(not_served, &|asked| format!("the command requested what no mirror has: {asked}"));
    if let Some(machine) = machine {
        output.say(format!(
            "git-hexmirror: packages have precompiled files for this machine, {machine}, and no hexmirror.lock names it; run `git \
             hexmirror update`"
        ));
    }
    if let Some(not_mirrored) = not_mirrored_line(comparison) {
        output.say(format!("git-hexmirror: {not_mirrored}"));
    }
}

/// Returns the exit code; for a signal, 128 plus its number, as shells do.
pub fn exit_code(status: std::process::ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(u8::MAX);
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
