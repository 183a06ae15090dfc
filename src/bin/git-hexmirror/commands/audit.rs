//! `audit`

use clap::ValueEnum;
use git_hexmirror::model::{count, shortened};
use git_hexmirror::ops::{self, Audit, AuditFinding, AuditOptions};
use git_hexmirror::plan::Level;

use super::concern::describe;
use super::{documents, sarif};
use crate::outcome::{CommandError, Outcome};
use crate::output::{BAD, CHANGED, DIM, GOOD, Output, listed, styled};
use crate::report::NOT_FRESH;
use crate::session::Session;

/// How many locks are named.
const LOCKS: usize = 3;

/// Report pinned releases that are vulnerable, retired, unsigned or under a license that is not allowed, and files that are trusted
/// on first use
///
/// Asks nobody: everything comes from the registry entries in the mirror, whose signatures are verified, and from the metadata of
/// the stored releases. The answer is as old as the mirror; `git hexmirror update --refresh` fetches what is new.
///
/// With REV..REV, judges only what the second commit pins and the first one does not. Exits with 1 if anything is found.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Judge only what a change brings in: REV..REV, REV...REV, or REV with the worktree
    #[arg(value_name = "REV..REV")]
    between: Vec<String>,
    /// Accept a finding: the id of an advisory or one of its aliases, RULE:PACKAGE such as retired:plug,
    /// first-use:ADDRESS, or first-use for all addresses; may be repeated
    #[arg(long, value_name = "ID")]
    ignore: Vec<String>,
    /// Allow only this license, as packages name it, such as Apache-2.0; may be repeated or separated by commas
    #[arg(long = "license", value_name = "LICENSE", value_delimiter = ',', value_parser = license)]
    licenses: Vec<String>,
    /// Report registry entries that are older than this many days, or whose age is not known
    #[arg(long, value_name = "DAYS")]
    max_age: Option<u64>,
    /// Form of the result
    #[arg(long, value_enum, default_value = "text", conflicts_with = "json")]
    format: Format,
    /// Same as --format json
    #[arg(long)]
    json: bool,
}

/// The form of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line per finding
    Text,
    /// One JSON document
    Json,
    /// SARIF 2.1.0, which forges show beside the lines of the locks
    Sarif,
}

/// Parses the name of a license.
fn license(text: &str) -> Result<String, &'static str> {
    let name = text.trim();
    if name.is_empty() { Err("a license has a name") } else { Ok(name.to_owned()) }
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.reading_project()?;
    let between = project.diff_arguments(&arguments.between, &[], false)?.between;
    let options = AuditOptions {
        between,
        licenses: arguments.licenses.clone(),
        ignored: arguments.ignore.clone(),
        max_age: arguments.max_age,
    };
    let progress = session.progress();
    let audit = ops::audit(&project, &options, &*progress);
    drop(progress);
    let (output, audit) = (&session.output, audit?);
    for name in &audit.unused {
        output.say(styled(CHANGED, "warning:") + format!(" --ignore {} names nothing that was found", shortened(name)));
    }
    match arguments.format {
        Format::Json => output.json(&documents::audit(&audit)),
        Format::Text if arguments.json => output.json(&documents::audit(&audit)),
        Format::Sarif => output.json(&sarif::log(&audit.findings)),
        Format::Text => print(output, &audit),
    }
    .map_err(CommandError::Print)?;
    Ok(if audit.findings.is_empty() { 0 } else { NOT_FRESH })
}

fn print(output: &Output, audit: &Audit) -> std::io::Result<()> {
    for finding in &audit.findings {
        let AuditFinding { subject, concern, place } = finding;
        let style = if concern.level() == Level::Error { BAD } else { CHANGED };
        let place = place.as_ref().map_or_else(String::new, |(file, line)| format!("  {file}:{line}"));
        output.result(
            styled(style, concern.rule())
                + format!(" {}: {}", shortened(&subject.to_string()), describe(concern))
                + styled(DIM, place),
        )?;
    }
    let age = audit.age.as_of();
    let judged = format!("{} of {}, {age}", count(audit.releases, "release", "releases"), listed(&audit.locks, LOCKS));
    let found = match audit.findings.len() {
        0 => styled(GOOD, "nothing found"),
        number => styled(BAD, count(number, "finding", "findings")),
    };
    output.say(found + format!(" in {judged}"));
    if audit.ignored > 0 {
        output.say(styled(DIM, format!("{} ignored", count(audit.ignored, "finding is", "findings are"))));
    }
    if audit.git > 0 {
        let revisions = count(audit.git, "git dependency", "git dependencies");
        output.say(styled(DIM, format!("{revisions} not judged: no registry says anything about them")));
    }
    // Those that are trusted on first use are findings, or ignored.
    match audit.files.saturating_sub(audit.first_use) {
        0 => {}
        number => {
            let files = count(number, "file", "files");
            let reason = "a lock, a signature or a package vouches for them";
            output.say(styled(DIM, format!("{files} not judged: {reason}; `git hexmirror list` names what is stored")));
        }
    }
    Ok(())
}
