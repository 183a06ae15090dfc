//! `export`

use std::io;
use std::path::PathBuf;

use git_hexmirror::model::count;
use git_hexmirror::ops::{self, Export, ExportOptions};

use super::documents;
use super::init::short;
use crate::options::{Json, ServedRegistry};
use crate::outcome::{CommandError, Outcome};
use crate::output::{BAD, DIM, GOOD, Output, Text, bytes, styled};
use crate::session::Session;

/// How many files are listed before the rest is only counted.
const SHOWN: usize = 40;

/// Write the mirror to a folder that any web server can serve
///
/// Writes the files of a Hex registry (packages, tarballs, public_key; names and versions of the pinned index; organisations and
/// other repositories below repos/), and git repositories as bare repositories below git/HOST/PATH.git, for git's dumb and smart
/// protocols. Of git repositories, only what the project's locks pin is visible, as for `git hexmirror serve`.
///
/// Run it again after an update: it changes only the files that differ, each at once, and removes those that the mirror no longer
/// has. Files that it did not write are never changed. An interrupted export is completed by the next one. The list of written
/// files is in the folder .git-hexmirror.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder to write to
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Registry to export: entries as upstream signed them, or the pinned index, which lists only what the mirror has
    #[arg(long, value_name = "WHICH", default_value = "signed")]
    registry: ServedRegistry,
    /// Only show what would be changed
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let folder = session.path(&arguments.folder);
    let options = ExportOptions { registry: arguments.registry.into(), dry_run: arguments.dry_run };
    let progress = session.progress();
    let export = ops::export(&project, &folder, options, progress.as_ref());
    drop(progress);
    let export = export?;
    if arguments.json.json {
        let document = documents::export(&folder, &export, options);
        session.output.json(&document).map_err(CommandError::Print)?;
    } else {
        print(&session.output, arguments, &export).map_err(CommandError::Print)?;
    }
    Ok(0)
}

fn print(output: &Output, arguments: &Arguments, export: &Export) -> io::Result<()> {
    let dry_run = arguments.dry_run;
    let written = export.written.iter().map(|path| (styled(GOOD, "+"), path));
    let changes = written.chain(export.removed.iter().map(|path| (styled(BAD, "-"), path)));
    // The plan is the result of a dry run; otherwise it is a detail for the user.
    for (sign, path) in changes.take(if output.verbose { usize::MAX } else { SHOWN }) {
        let line = Text::from("  ") + sign + format!(" {path}");
        if dry_run { output.result(line)? } else { output.detail(line) }
    }
    let number = export.written.len() + export.removed.len();
    if dry_run && number > SHOWN && !output.verbose {
        output.say(styled(DIM, format!("  … and {} more", number - SHOWN)));
    }
    let verb = match (number, dry_run) {
        (0, _) => styled(GOOD, "up to date"),
        (_, true) => Text::from("would change"),
        (_, false) => styled(GOOD, "exported"),
    };
    let size = if export.bytes > 0 { format!(" ({})", bytes(export.bytes)) } else { String::new() };
    output.say(
        verb + format!(
            ": {} with the mirror at {}: {}{size} written, {} removed, {} unchanged",
            arguments.folder.display(),
            short(export.commit),
            count(export.written.len(), "file", "files"),
            export.removed.len(),
            export.unchanged,
        ),
    );
    Ok(())
}
