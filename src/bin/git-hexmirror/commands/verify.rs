//! `verify`

use git_hexmirror::ops::{self, Project};
use serde_json::json;

use super::init::short;
use super::{CommandError, status};
use crate::cli::{Json, Outcome};
use crate::output::{BAD, BOLD, GOOD, count, styled};
use crate::report::{INTEGRITY, NOT_FRESH};
use crate::session::Session;

/// Check every byte of the mirror again
///
/// Reads every git object and compares it with its id; checks the packs, indexes and loose objects that hold any of the
/// mirror byte by byte; compares the manifest with the tree, in both directions; rebuilds every tarball and compares it
/// with the manifest, the locks and the registry; checks the signature of every registry entry; has git check every object
/// and the ancestry of every git revision. Exits with 1 if anything is damaged; `git hexmirror update --repair` restores it.
/// Exits with 4 if another key signed a registry entry than its repository's, or the manifest records another signer.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let progress = session.progress();
    let verification = ops::verify(&project, &progress);
    drop(progress);
    let verification = verification?;
    let (output, damages) = (&session.output, &verification.damages);
    if arguments.json.json {
        let document = json!({
            "commit": verification.commit.to_string(),
            "objects": verification.objects,
            "releases": verification.releases,
            "entries": verification.entries,
            "git": verification.revisions,
            "damages": damages.iter().map(|damage| json!({ "path": damage.path, "problem": damage.problem })).collect::<Vec<_>>(),
        });
        output.json(&document).map_err(CommandError::Print)?;
    } else {
        for damage in damages {
            let line = styled(BAD, "damaged:") + format!(" {}: {}", damage.path, damage.problem);
            output.result(line).map_err(CommandError::Print)?;
        }
        let checked = format!(
            "{}, {}, {} at {}",
            status::contents(verification.releases, verification.revisions),
            count(verification.entries, "registry entry", "registry entries"),
            count(verification.objects, "object", "objects"),
            short(verification.commit)
        );
        if damages.is_empty() {
            output.say(styled(GOOD, "intact") + format!(": {checked}"));
        } else {
            output.say(styled(BAD, count(damages.len(), "damage", "damages")) + format!(" in {checked}"));
            output.say(styled(BOLD, "hint:") + format!(" {}", way_out(&project)));
        }
    }
    Ok(match damages.is_empty() {
        true => 0,
        false if verification.foreign => INTEGRITY,
        false => NOT_FRESH,
    })
}

/// Says how to come by a mirror without damage.
fn way_out(project: &Project) -> String {
    let remote = project.repository.default_remote().map_or_else(String::new, |remote| format!("{remote}, "));
    format!(
        "restore it from {remote}the Hex cache or upstream with `git hexmirror update --repair`; no branch has to be deleted"
    )
}
