//! `index`

use std::path::PathBuf;

use git_hexmirror::model::count;
use git_hexmirror::ops::{self, IndexOptions, IndexUpdate, KeyAction, Project};

use super::documents;
use super::init::short;
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{BOLD, CHANGED, GOOD, Output, styled};
use crate::session::Session;

/// How many packages a warning names before it only counts the rest.
const NAMED: usize = 5;

/// Build a registry that lists only what the mirror has, signed with your own key
///
/// Clients that use this pinned index resolve to mirrored versions only, without any other network. It is stored on the mirror
/// branch and served by `git hexmirror serve --registry pinned`, or under /pinned. Create it once with --init. From then on,
/// update, prune and pull keep it up to date wherever its private key is; elsewhere, it stays behind until someone who has the
/// key runs this command.
///
/// The private key is kept in .git/hexmirror/index-key.pem, or wherever HEXMIRROR_PRIVATE_KEY (the key itself) or
/// HEXMIRROR_PRIVATE_KEY_FILE (a path) say. It is never stored on the mirror branch.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Create a private key, or keep a copy of the one from --private-key, and build the index
    #[arg(long)]
    init: bool,
    /// Replace the private key, or keep a copy of the one from --private-key instead, and sign everything again
    ///
    /// Clients that know the old key refuse the index until they are given the new one. The old private key is kept until
    /// everything is signed with the new one.
    #[arg(long, conflicts_with = "init")]
    rotate_key: bool,
    /// Private key: an unencrypted PEM file with an RSA key of 2048, 3072 or 4096 bits
    #[arg(long, value_name = "FILE")]
    private_key: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let key = match (arguments.init, arguments.rotate_key) {
        (true, _) => KeyAction::Create,
        (false, true) => KeyAction::Rotate,
        (false, false) => KeyAction::Use,
    };
    let private_key = arguments.private_key.as_deref().map(|path| session.path(path));
    let progress = session.progress();
    let update = ops::index(&project, &IndexOptions { key, private_key }, progress.as_ref());
    drop(progress);
    let update = update?;
    if arguments.json.json {
        let document = documents::index(&project.branch.to_string(), &update);
        session.output.json(&document).map_err(CommandError::Print)?;
    } else {
        say(&session.output, &project, &update);
    }
    Ok(0)
}

fn say(output: &Output, project: &Project, update: &IndexUpdate) {
    let warning = || styled(CHANGED, "warning:");
    for left_out in &update.left_out {
        output.say(warning() + format!(" the index does not list {left_out}"));
    }
    if !update.unverified.is_empty() {
        let named: Vec<String> = update.unverified.iter().take(NAMED).map(ToString::to_string).collect();
        let more = update.unverified.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        output.say(warning() + format!(
            " no verified registry entry lists the releases of {}{more}, so the index uses the checksums of their tarballs",
            named.join(", ")
        ));
    }
    if let Some(created) = &update.created {
        output.say(format!(
            "the private key is in {}; keep a copy in a safe place, and never commit it",
            created.display()
        ));
    }
    let packages = count(update.repositories.values().sum(), "package", "packages");
    let (branch, tip) = (&project.branch, short(update.commit));
    if update.commit == update.before {
        output.say(styled(GOOD, "up to date") + format!(": the index of {branch} at {tip} has {packages}"));
    } else {
        let changed = count(update.changed, "changed", "changed");
        output.say(styled(GOOD, "built") + format!(" the index of {branch} at {tip}: {packages}, {changed}"));
    }
    output.say(format!("signed with {}", update.signer));
    if update.created.is_some() {
        output.say(styled(BOLD, "hint:") + format!(
            " serve it with `git hexmirror serve --registry pinned`, and give it to mix with `mix hex.repo set hexpm --url URL --public-key FILE` or `mix hex.repo add hexpm URL --fetch-public-key {}`",
            update.signer
        ));
    }
}
