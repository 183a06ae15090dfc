//! Prints results on standard output and messages for users on standard error. All output of the program goes through this
//! module, which escapes it.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
pub use git_hexmirror::model::bytes;
use serde::Serialize;

use crate::options::{Color, Global};
use crate::text::escaped_json;
pub use crate::text::{Text, styled};

pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BAD: Style = AnsiColor::Red.on_default();
pub const CHANGED: Style = AnsiColor::Yellow.on_default();
pub const DIM: Style = Style::new().dimmed();
pub const BOLD: Style = Style::new().bold();

/// How to print.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub quiet: bool,
    pub verbose: bool,
    /// When to use colors.
    pub choice: Color,
    /// Whether standard error is a terminal.
    pub interactive: bool,
}

impl Output {
    pub fn new(global: &Global) -> Self {
        match global.color {
            Color::Auto => {}
            Color::Always => anstream::ColorChoice::Always.write_global(),
            Color::Never => anstream::ColorChoice::Never.write_global(),
        }
        let interactive = io::stderr().is_terminal();
        Self { quiet: global.quiet, verbose: global.verbose, choice: global.color, interactive }
    }

    /// Returns the output to use before the command line is parsed.
    pub fn plain() -> Self {
        Self { quiet: false, verbose: false, choice: Color::Auto, interactive: io::stderr().is_terminal() }
    }

    /// Returns whether standard error supports colors.
    pub fn color(&self) -> bool {
        anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
    }

    /// Prints a message, unless the user passed --quiet.
    pub fn say(&self, line: impl Into<Text>) {
        if !self.quiet {
            self.always(line);
        }
    }

    /// Prints a message if the user passed --verbose.
    pub fn detail(&self, line: impl Into<Text>) {
        if self.verbose {
            self.always(line);
        }
    }

    /// Prints a message, even with --quiet.
    pub fn always(&self, line: impl Into<Text>) {
        // If standard error is closed, there is no other place to report anything.
        let _ = line.into().write(&mut anstream::stderr().lock());
    }

    /// Prints a line of the result.
    pub fn result(&self, line: impl Into<Text>) -> io::Result<()> {
        unless_left(line.into().write(&mut anstream::stdout().lock()))
    }

    /// Prints the result as one JSON document.
    pub fn json(&self, document: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(document)? + "\n";
        self.raw(escaped_json(&text).as_bytes())
    }

    /// Prints the result unescaped: it is meant for other programs, or contains only text of this program.
    pub fn raw(&self, text: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        unless_left(stdout.write_all(text).and_then(|()| stdout.flush()))
    }
}

/// Ignores a closed pipe: the reader does not want more output. The command goes on, because its exit code still matters, as in
/// `verify | head`.
fn unless_left(printed: io::Result<()>) -> io::Result<()> {
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Names the first few items and counts the rest.
pub fn listed(names: &[String], shown: usize) -> String {
    let named = names.iter().take(shown).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(shown) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
