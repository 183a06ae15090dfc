//! The command line.

use std::borrow::Cow;
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    audit, compact, complete, completions, demo, diff, doctor, env, export, health, hook, hooks, import, index, init,
    list, lock, log, man, open, prune, publish, pull, push, run, sbom, serve, shell, status, targets, tools, trust,
    update, verify, version,
};
use crate::options::Global;
use crate::outcome::Outcome;
use crate::output::{Output, Text};
use crate::report;
use crate::session::Session;
use crate::text;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXIT_CODES: &str = "\
Exit codes:
  0  success, and the mirror is fresh
  1  the mirror is not fresh, verify found damage, or audit found something
  2  invalid command line, setting or lock
  3  upstream or network failure
  4  wrong checksum or signature
  5  the repository, its mirror branch or this machine (disk, limits) is not usable
`run` exits with the exit code of its command.

Settings, in order of precedence: command-line options; variables such as HEXMIRROR_BRANCH; git config hexmirror.branch and the \
like; the tracked file .hexmirror.toml. `git hexmirror status --settings` lists them with their origins, the manual page and \
docs/settings.md describe them. Settings in the tracked file that do more than describe \
the project need your permission (`git hexmirror trust` or HEXMIRROR_TRUST). HEX_HOME, HEX_MIRROR, HEX_TRUSTED_MIRROR, \
HEX_REPOS_KEY, HEX_CACERTS_PATH, HEX_HTTP_CONCURRENCY, NETRC, http_proxy, https_proxy, no_proxy and the Hex client's \
configuration have the same effect as for Hex.";

/// Store everything that mix.lock, rebar.lock and manifest.toml pin in this git repository, and serve it to Hex clients
#[derive(Debug, Parser)]
#[command(name = "git-hexmirror", bin_name = "git hexmirror", version, styles = STYLES, after_help = EXIT_CODES)]
#[command(max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Arguments),
    Update(update::Arguments),
    Status(status::Arguments),
    Diff(diff::Arguments),
    Verify(verify::Arguments),
    List(list::Arguments),
    Log(log::Arguments),
    Audit(audit::Arguments),
    Sbom(sbom::Arguments),
    Lock(lock::Arguments),
    Serve(serve::Arguments),
    Open(open::Arguments),
    Run(run::Arguments),
    Shell(shell::Arguments),
    Env(env::Arguments),
    Health(health::Arguments),
    Push(push::Arguments),
    Pull(pull::Arguments),
    Prune(prune::Arguments),
    Compact(compact::Arguments),
    Index(index::Arguments),
    Export(export::Arguments),
    Publish(publish::Arguments),
    Import(import::Arguments),
    Hooks(hooks::Arguments),
    Doctor(doctor::Arguments),
    Targets(targets::Arguments),
    Tools(tools::Arguments),
    Trust(trust::Arguments),
    Hook(hook::Arguments),
    Demo(demo::Arguments),
    Completions(completions::Arguments),
    #[command(name = "__complete", hide = true)]
    Complete(complete::Arguments),
    Man(man::Arguments),
    Version(version::Arguments),
}

/// The command line of a hook. git waits for the hook, and building the definition of all other commands takes 0.15 ms.
#[derive(Debug, Parser)]
#[command(name = "git-hexmirror", bin_name = "git hexmirror", disable_help_subcommand = true)]
struct HookCli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: HookCommand,
}

#[derive(Debug, Subcommand)]
enum HookCommand {
    Hook(hook::Arguments),
}

/// Parses the command line, runs the command, and returns the exit code.
pub fn run() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == "hook") {
        let HookCli { global, command: HookCommand::Hook(arguments) } = HookCli::parse();
        let session = Session::new(&global, Output::new(&global));
        return exit_code(&session, hook::run(&session, &arguments));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refused(&error),
    };
    let output = Output::new(&cli.global);
    let session = Session::new(&cli.global, output);
    let outcome = match &cli.command {
        Command::Init(arguments) => init::run(&session, arguments),
        Command::Update(arguments) => update::run(&session, arguments),
        Command::Status(arguments) => status::run(&session, arguments),
        Command::Diff(arguments) => diff::run(&session, arguments),
        Command::Verify(arguments) => verify::run(&session, arguments),
        Command::List(arguments) => list::run(&session, arguments),
        Command::Log(arguments) => log::run(&session, arguments),
        Command::Audit(arguments) => audit::run(&session, arguments),
        Command::Sbom(arguments) => sbom::run(&session, arguments),
        Command::Lock(arguments) => lock::run(&session, arguments),
        Command::Serve(arguments) => serve::run(&session, arguments),
        Command::Open(arguments) => open::run(&session, arguments),
        Command::Run(arguments) => run::run(&session, arguments),
        Command::Shell(arguments) => shell::run(&session, arguments),
        Command::Env(arguments) => env::run(&session, arguments),
        Command::Health(arguments) => health::run(&session, arguments),
        Command::Push(arguments) => push::run(&session, arguments),
        Command::Pull(arguments) => pull::run(&session, arguments),
        Command::Prune(arguments) => prune::run(&session, arguments),
        Command::Compact(arguments) => compact::run(&session, arguments),
        Command::Index(arguments) => index::run(&session, arguments),
        Command::Export(arguments) => export::run(&session, arguments),
        Command::Publish(arguments) => publish::run(&session, arguments),
        Command::Import(arguments) => import::run(&session, arguments),
        Command::Hooks(arguments) => hooks::run(&session, arguments),
        Command::Doctor(arguments) => doctor::run(&session, arguments),
        Command::Targets(arguments) => targets::run(&session, arguments),
        Command::Tools(arguments) => tools::run(&session, arguments),
        Command::Trust(arguments) => trust::run(&session, arguments),
        Command::Hook(arguments) => hook::run(&session, arguments),
        Command::Demo(arguments) => demo::run(&session, arguments),
        Command::Completions(arguments) => completions::run(&session, arguments, &Cli::command()),
        Command::Complete(arguments) => complete::run(&session, arguments),
        Command::Man(arguments) => man::run(&session, arguments, Cli::command()),
        Command::Version(arguments) => version::run(&session.output, arguments),
    };
    exit_code(&session, outcome)
}

fn exit_code(session: &Session, outcome: Outcome) -> ExitCode {
    ExitCode::from(outcome.unwrap_or_else(|error| report::report(session, &error)))
}

/// Prints clap's output for a command line that runs no command: the requested help, or an error.
fn refused(error: &clap::Error) -> ExitCode {
    if error.kind() == ErrorKind::DisplayVersion {
        return match version::print(&Output::plain()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(5),
        };
    }
    if !error.use_stderr() {
        error.exit();
    }
    let rendered = error.render();
    // An argument may come from an untrusted source, such as the name of a branch in a script. clap prints it unescaped, between
    // its own styles.
    let is_safe =
        std::env::args_os().all(|argument| matches!(text::escaped(&argument.to_string_lossy()), Cow::Borrowed(_)));
    let text = if is_safe { rendered.ansi().to_string() } else { rendered.to_string() };
    // git handles `git hexmirror --help` itself and opens the manual page, which may not be installed.
    let text = match text.rsplit_once("--help") {
        Some((before, after)) if error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            format!("{before}-h{after}")
        }
        _ => text,
    };
    let output = Output::plain();
    if is_safe {
        output.always(Text::rendered(text.trim_end()));
    } else {
        text.trim_end().lines().for_each(|line| output.always(line));
    }
    ExitCode::from(2)
}
