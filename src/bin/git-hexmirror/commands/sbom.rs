//! `sbom`

use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;
use git_hexmirror::model::shortened;
use git_hexmirror::ops;

use super::bill::{Bill, LAST_SECOND};
use super::{cyclonedx, spdx};
use crate::outcome::{CommandError, Outcome};
use crate::output::{CHANGED, listed, styled};
use crate::report::NOT_FRESH;
use crate::session::Session;

/// How many things and repositories are named.
const NAMED: usize = 5;

/// Print a bill of materials: everything that the locks pin, what requires what, licenses, checksums and advisories
///
/// Asks nobody: everything comes from the locks, from the registry entries in the mirror, whose signatures are verified, and from
/// the metadata of the stored releases. The same locks and mirror give the same document.
///
/// Exits with 1 if the mirror lacks something, after printing what is known.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Format of the document
    #[arg(long, value_enum, default_value = "cyclonedx")]
    format: Format,
    /// Name of the project; by default, the last part of its remote's address, otherwise of its folder
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// Version of the project
    #[arg(long, value_name = "VERSION", value_parser = NonEmptyStringValueParser::new())]
    project_version: Option<String>,
    /// Time to state, in seconds since 1970; by default none, or where the format demands one, that of the mirror's commit
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH", hide_env_values = true)]
    #[arg(value_parser = seconds)]
    timestamp: Option<Seconds>,
}

/// A time to state, or none if the text is empty: an empty variable counts as unset.
#[derive(Debug, Clone, Copy)]
struct Seconds(Option<i64>);

fn seconds(text: &str) -> Result<Seconds, String> {
    if text.is_empty() {
        return Ok(Seconds(None));
    }
    let seconds = text.parse().ok().filter(|seconds| (0..=LAST_SECOND).contains(seconds));
    let problem = || format!("must be a number of seconds from 0 to {LAST_SECOND}");
    seconds.map(|seconds| Seconds(Some(seconds))).ok_or_else(problem)
}

/// The format of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// CycloneDX 1.6, as JSON
    #[value(name = "cyclonedx")]
    CycloneDx,
    /// SPDX 2.3, as JSON
    Spdx,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.reading_project()?;
    let progress = session.progress();
    let report = ops::sbom(&project, &*progress);
    drop(progress);
    let (output, report) = (&session.output, report?);
    let bill = Bill {
        report: &report,
        name: arguments.name.as_deref().unwrap_or(&report.name),
        version: arguments.project_version.as_deref(),
        seconds: arguments.timestamp.and_then(|Seconds(seconds)| seconds),
    };
    let document = match arguments.format {
        Format::CycloneDx => cyclonedx::document(&bill),
        Format::Spdx => spdx::document(&bill),
    };
    output.json(&document).map_err(CommandError::Print)?;
    let warning = |text: String| output.say(styled(CHANGED, "warning:") + " " + text);
    if !report.unknown.is_empty() {
        let names: Vec<String> = report.unknown.iter().map(ToString::to_string).collect();
        let names = listed(&names, NAMED);
        warning(format!(
            "the packages of {names} have no package URL: no web address of that repository is known here"
        ));
    }
    if report.lacking.is_empty() {
        return Ok(0);
    }
    let lacking: Vec<String> = report.lacking.iter().map(|lacking| shortened(lacking).into_owned()).collect();
    let lacking = listed(&lacking, NAMED);
    warning(format!("the document is incomplete: the mirror lacks {lacking}; `git hexmirror update` fetches it"));
    Ok(NOT_FRESH)
}
