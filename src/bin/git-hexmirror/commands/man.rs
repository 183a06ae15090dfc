//! `man`

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap_mangen::roff::{Roff, roman};

use crate::outcome::{CommandError, Outcome};
use crate::output::{CHANGED, styled};
use crate::session::{Session, environment};

/// Print the manual page, or install it so that `git hexmirror --help` finds it
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Write the page to DIR/man1 instead of printing it
    ///
    /// DIR defaults to share/man beside the bin folder that this program is in, because man searches there for programs in
    /// PATH. If that folder is not writable, DIR is ~/.local/share/man.
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    install: Option<Option<PathBuf>>,
}

pub fn run(session: &Session, arguments: &Arguments, program: clap::Command) -> Outcome {
    let page = page(program).map_err(CommandError::Print)?;
    let Some(folder) = &arguments.install else {
        session.output.raw(&page).map_err(CommandError::Print)?;
        return Ok(0);
    };
    let folder = match folder {
        Some(folder) => written(folder, &page)?,
        None => match beside_the_program().map(|folder| written(&folder, &page)) {
            Some(Ok(folder)) => folder,
            _ => written(&of_the_user()?, &page)?,
        },
    };
    session.output.say(format!("wrote {}", folder.join(FILE).display()));
    if is_searched(&folder) == Some(false) {
        let folder = folder.display();
        session.output.say(
            styled(CHANGED, "warning:")
                + format!(" man does not search {folder} (see `manpath`); add it with MANPATH=\"{folder}:\""),
        );
    }
    Ok(0)
}

/// The sections after the commands.
const SECTIONS: &str = include_str!("man.roff");

const FILE: &str = "man1/git-hexmirror.1";

/// Returns `PREFIX/share/man` for a program in `PREFIX/bin`.
fn beside_the_program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let bin = program.parent().filter(|folder| folder.ends_with("bin"))?;
    Some(bin.parent()?.join("share/man"))
}

fn of_the_user() -> Result<PathBuf, CommandError> {
    let home = environment().home.ok_or_else(|| CommandError::Usage {
        message: "cannot install the manual page: the home directory is unknown".to_owned(),
        hint: "pass a folder: git hexmirror man --install DIR",
    })?;
    Ok(home.join(".local/share/man"))
}

/// Writes the page to a folder, and returns the folder.
fn written(folder: &Path, page: &[u8]) -> Result<PathBuf, CommandError> {
    let path = folder.join(FILE);
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, page));
    made.map_err(|error| CommandError::Usage {
        message: format!("cannot write {}: {error}", path.display()),
        hint: "pass a folder that is writable: git hexmirror man --install DIR",
    })?;
    Ok(folder.to_owned())
}

/// Returns whether man searches a folder, or `None` if `manpath` does not answer.
fn is_searched(folder: &Path) -> Option<bool> {
    let asked = Command::new("manpath").arg("--quiet").stdin(Stdio::null()).output().ok()?;
    let folder = folder.canonicalize().ok()?;
    let searched = String::from_utf8(asked.stdout).ok().filter(|_| asked.status.success())?;
    let mut searched = std::env::split_paths(searched.trim_end()).filter_map(|path| path.canonicalize().ok());
    Some(searched.any(|path| path == folder))
}

/// Renders one page: the overview, every command with its options, then the sections that are written by hand.
fn page(mut command: clap::Command) -> io::Result<Vec<u8>> {
    command.build();
    let man = clap_mangen::Man::new(command.clone()).title("GIT-HEXMIRROR");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]).text([roman(usage(&command))]);
    synopsis.to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    writeln!(page, ".SH COMMANDS")?;
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        section(&mut page, subcommand)?;
    }
    page.extend_from_slice(SECTIONS.as_bytes());
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// Renders a command with its own options, without those that all commands have, and its subcommands.
fn section(page: &mut Vec<u8>, command: &clap::Command) -> io::Result<()> {
    let mut title = Roff::new();
    title.control("SS", [usage(command).as_str()]);
    title.to_writer(page)?;
    let own = command.clone().mut_args(|argument| {
        let is_everywhere = argument.is_global_set() || argument.get_id() == "help";
        argument.hide(is_everywhere)
    });
    let man = clap_mangen::Man::new(own);
    for render in [clap_mangen::Man::render_description_section, clap_mangen::Man::render_options_section] {
        let mut text = Vec::new();
        render(&man, &mut text)?;
        // The headings are meant for a separate page per command.
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        page.extend(lines.filter(|line| !line.starts_with(b".SH ")).flatten());
    }
    if command.get_name() != "help" {
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            section(page, below)?;
        }
    }
    Ok(())
}

fn usage(command: &clap::Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned()
}
