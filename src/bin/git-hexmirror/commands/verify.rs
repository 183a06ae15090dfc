//! `verify`

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use git_hexmirror::model::{FileTrust, count};
use git_hexmirror::ops::{self, Project, Unvouched};
use git_hexmirror::store::Damage;
use serde_json::json;

use super::init::short;
use super::status;
use crate::file_hints;
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{BAD, BOLD, DIM, GOOD, Output, styled};
use crate::report::{INTEGRITY, NOT_FRESH};
use crate::session::Session;

/// Verify every byte of the mirror
///
/// Reads every git object and compares it with its id. Checks byte by byte the packs, indexes and loose objects that hold parts
/// of the mirror. Compares the manifest with the tree, in both directions. Rebuilds every tarball and compares it with the
/// manifest, the locks and the registry. Checks the signature of every registry entry and policy, and that the pinned index follows from
/// what is stored. Names files with a private key that nobody published. Lets git check every object and the
/// history of every git revision. Warns about repositories without a configured public key, because the signatures of their
/// entries are not checked.
///
/// Exits with 1 if anything is damaged; `git hexmirror update --repair` restores it. Exits with 4 if a registry entry or policy is not
/// signed with its repository's key, if the manifest records another signer, or if neither Elixir's nor npm's keys vouch for a file that
/// they should have signed, which a repair cannot change.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.reading_project()?;
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
            "policies": verification.policies,
            "files": verification.files.len(),
            "first_use": verification.files.iter().filter(|(_, trust)| matches!(trust, FileTrust::FirstUse(_))).map(|(id, _)| id.to_string()).collect::<Vec<_>>(),
            "git": verification.revisions,
            "index": verification.indexed,
            "index_behind": verification.index_behind,
            "unverified": verification.unverified.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "damages": damages.iter().map(|damage| json!({ "path": damage.path, "problem": damage.problem })).collect::<Vec<_>>(),
        });
        output.json(&document).map_err(CommandError::Print)?;
    } else {
        for damage in damages {
            print_damage(output, damage, &verification.unvouched).map_err(CommandError::Print)?;
        }
        let policies = match verification.policies {
            0 => String::new(),
            number => format!(", {}", count(number, "policy", "policies")),
        };
        let first_use = verification.files.values().filter(|trust| matches!(trust, FileTrust::FirstUse(_))).count();
        let files = match (verification.files.len(), first_use) {
            (0, _) => String::new(),
            (number, 0) => format!(", {}", count(number, "file", "files")),
            (number, first_use) => {
                format!(", {} ({first_use} trusted on first use)", count(number, "file", "files"))
            }
        };
        let checked = format!(
            "{}, {}{policies}{files}, {} at {}",
            status::contents(verification.releases, verification.revisions),
            count(verification.entries, "registry entry", "registry entries"),
            count(verification.objects, "object", "objects"),
            short(verification.commit)
        );
        if verification.index_behind > 0 {
            output.say(styled(DIM, status::index_behind_line(verification.index_behind)));
        }
        if damages.is_empty() {
            output.say(styled(GOOD, "intact") + format!(": {checked}"));
        } else {
            let refused = verification.unvouched.len();
            let found = match damages.len() - refused.min(damages.len()) {
                0 => count(refused, "refused file", "refused files"),
                _ => count(damages.len(), "damaged item", "damaged items"),
            };
            output.say(styled(BAD, found) + format!(" in {checked}"));
            if damages.len() > refused {
                output.say(styled(BOLD, "hint:") + format!(" {}", way_out(&project)));
            }
            hint_unvouched(output, &verification.unvouched);
        }
    }
    Ok(match damages.is_empty() {
        true => 0,
        false if verification.foreign => INTEGRITY,
        false => NOT_FRESH,
    })
}

/// Prints what is wrong with an item.
pub fn print_damage(output: &Output, damage: &Damage, unvouched: &BTreeMap<String, Unvouched>) -> io::Result<()> {
    let kind = if unvouched.contains_key(&damage.path) { "refused:" } else { "damaged:" };
    output.result(styled(BAD, kind) + format!(" {}: {}", damage.path, damage.problem))
}

/// Prints what to do about files that a repair cannot change.
pub fn hint_unvouched(output: &Output, unvouched: &BTreeMap<String, Unvouched>) {
    let reasons: BTreeSet<Unvouched> = unvouched.values().copied().collect();
    // An installer is refused for the lack of a list that has it.
    let is_told = |why: &Unvouched| *why != Unvouched::Installer || !reasons.contains(&Unvouched::List);
    for why in reasons.iter().filter(|why| is_told(why)) {
        let hint = match why {
            Unvouched::Npm => file_hints::UNSIGNED_PACKAGE,
            Unvouched::List => file_hints::UNSIGNED_LIST,
            Unvouched::Installer => {
                "run `git hexmirror update --refresh`, which pins what the newest lists choose, and `git hexmirror prune`, which removes what no lock pins"
            }
            Unvouched::Unlisted => "run `git hexmirror prune`, which removes files that no package needs",
        };
        output.say(styled(BOLD, "hint:") + format!(" {hint}"));
    }
}

/// Returns a hint on how to restore the mirror.
fn way_out(project: &Project) -> String {
    let remote = project.repository.default_remote().map_or_else(String::new, |remote| format!("{remote}, "));
    format!(
        "run `git hexmirror update --repair` to restore it from {remote}the Hex cache or upstream; do not delete the branch"
    )
}
