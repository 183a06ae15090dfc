//! `export`

use std::io;
use std::path::{Path, PathBuf};

use git_hexmirror::model::count;
use git_hexmirror::ops::{self, Export, ExportOptions};
use git_hexmirror::serve::Registry;

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
///
/// With --site, writes the web pages that `git hexmirror open` shows instead, as files that need no server: all packages, sources,
/// git repositories and the history, and the differences between neighbouring versions and of the newest updates. A folder can
/// have both.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder to write to
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Registry to export: entries as upstream signed them, or the pinned index, which lists only what the mirror has
    ///
    /// Defaults to the one that the destination has, or to signed for a new destination. If it changes, clients need another key.
    #[arg(long, value_name = "WHICH")]
    registry: Option<ServedRegistry>,
    /// Write the web pages instead of the registry
    #[arg(long, conflicts_with = "registry")]
    site: bool,
    /// Compare the content of every file, and not only its size, and write those that differ again
    #[arg(long)]
    check: bool,
    /// Only show what would be changed
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    if is_url(&arguments.folder) {
        return Err(CommandError::Usage {
            message: "export writes to a folder, and this is a URL".into(),
            hint: "`git hexmirror publish URL` writes to s3://, gs://, az:// and file:// addresses; for a folder whose path looks like a URL, write ./PATH",
        });
    }
    let project = session.project()?;
    let folder = session.path(&arguments.folder);
    let (registry, dry_run) = (arguments.registry.map(Registry::from), arguments.dry_run);
    let options = ExportOptions { registry, check: arguments.check, dry_run, delete: true };
    let progress = session.progress();
    let (export, size) = if arguments.site {
        let site = ops::export_site(&project, &folder, options, progress.as_ref())?;
        (site.export, Some((site.files, site.bytes)))
    } else {
        (ops::export(&project, &folder, options, progress.as_ref())?, None)
    };
    drop(progress);
    if arguments.json.json {
        let document = documents::export(&folder, &export, size, options);
        session.output.json(&document).map_err(CommandError::Print)?;
    } else {
        let to = arguments.folder.display().to_string();
        print(&session.output, ("exported", &to), dry_run, &export).map_err(CommandError::Print)?;
        if let Some((files, size)) = size {
            session.output.say(Text::from(format!("the site has {} ({})", count(files, "file", "files"), bytes(size))));
        }
    }
    Ok(0)
}

/// Returns whether a destination was meant as a URL: it starts with a scheme (RFC 3986, section 3.1) and a slash.
fn is_url(destination: &Path) -> bool {
    let text = destination.to_string_lossy();
    let Some((scheme, _)) = text.split_once(":/") else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// Prints what an export changed, or would change. `done` is what was done, and where.
pub fn print(output: &Output, done: (&'static str, &str), dry_run: bool, export: &Export) -> io::Result<()> {
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
        (_, false) => styled(GOOD, done.0),
    };
    let size = if export.bytes > 0 { format!(" ({})", bytes(export.bytes)) } else { String::new() };
    output.say(
        verb + format!(
            ": {} with the mirror at {}: {}{size} written, {} removed, {} unchanged",
            done.1,
            short(export.commit),
            count(export.written.len(), "file", "files"),
            export.removed.len(),
            export.unchanged,
        ),
    );
    Ok(())
}
