//! `git hexmirror`: parses the command line, prints, and picks the exit code. The library does all other work.

mod bars;
mod cli;
mod commands;
mod file_hints;
mod hints;
mod last_resort;
mod machine_hints;
mod options;
mod outcome;
mod output;
mod push_rules;
mod report;
mod session;
mod snippet;
mod text;

use std::process::ExitCode;

fn main() -> ExitCode {
    last_resort::guarded(cli::run)
}
