//! `man`

use std::io::Write;
use std::path::PathBuf;

use clap::CommandFactory;

use super::CommandError;
use crate::cli::{Cli, Outcome};
use crate::session::{Session, environment};

/// Print the manual page, or install it where `git hexmirror --help` finds it
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Write it to ~/.local/share/man/man1 (or DIR/man1) instead
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    install: Option<Option<PathBuf>>,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let page = page().map_err(CommandError::Print)?;
    let Some(folder) = &arguments.install else {
        session.output.raw(&page).map_err(CommandError::Print)?;
        return Ok(0);
    };
    let home = || environment().home.map(|home| home.join(".local/share/man"));
    let Some(folder) = folder.clone().or_else(home) else {
        let message = "there is no home directory to install the manual page in".to_owned();
        return Err(CommandError::Usage { message, hint: "name a folder: git hexmirror man --install DIR" });
    };
    let folder = folder.join("man1");
    let path = folder.join("git-hexmirror.1");
    std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, page)).map_err(CommandError::Print)?;
    session.output.say(format!("wrote {}", path.display()));
    Ok(0)
}

/// Renders one page: the overview, then every command with its options.
fn page() -> std::io::Result<Vec<u8>> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).title("GIT-HEXMIRROR").render(&mut page)?;
    for subcommand in command.get_subcommands() {
        let man = clap_mangen::Man::new(subcommand.clone());
        writeln!(page, ".SH {}", subcommand.get_name().to_uppercase())?;
        man.render_description_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    Ok(page)
}
