//! `list`

use git_hexmirror::model::{Manifest, count};
use git_hexmirror::ops;
use serde_json::{Value, json};

use super::documents;
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{DIM, Text, bytes, styled};
use crate::session::Session;

/// List the contents of the mirror
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.reading_project()?;
    let (_, snapshot) = ops::mirror(&project)?;
    let (output, manifest) = (&session.output, snapshot.manifest()?);
    if arguments.json.json {
        output.json(&document(manifest)).map_err(CommandError::Print)?;
        return Ok(0);
    }
    for (id, stored) in &manifest.releases {
        let particulars = styled(DIM, format!("{} {}", bytes(stored.bytes), stored.storage.as_str()));
        output.result(Text::from(format!("{id}  ")) + particulars).map_err(CommandError::Print)?;
    }
    for (address, stored) in &manifest.git {
        for (revision, of_revision) in &stored.revisions {
            let names: String = of_revision.names.iter().map(|name| format!(" {name}")).collect();
            let depth = of_revision.depth.map_or_else(String::new, |depth| format!(" depth {depth}"));
            let particulars = styled(DIM, format!("git{depth}{names}"));
            output
                .result(Text::from(format!("{address} {}  ", revision.short())) + particulars)
                .map_err(CommandError::Print)?;
        }
        let packs = count(stored.packs.len(), "pack", "packs");
        output.detail(styled(DIM, format!("  {} in {packs}", bytes(stored.bytes()))));
    }
    output.detail(format!("{} registry entries", manifest.entries.len()));
    Ok(0)
}

fn document(manifest: &Manifest) -> Vec<Value> {
    let releases = manifest.releases.iter().map(|(id, stored)| {
        let mut document = documents::release(id);
        document["kind"] = json!("hex");
        document["outer_checksum"] = json!(stored.outer);
        document["inner_checksum"] = json!(stored.inner);
        document["storage"] = json!(stored.storage);
        document["bytes"] = json!(stored.bytes);
        document
    });
    let revisions = manifest.git.iter().flat_map(|(address, stored)| {
        stored.revisions.iter().map(move |(revision, of_revision)| {
            let mut document = documents::revision(address, *revision);
            document["depth"] = json!(of_revision.depth);
            document["names"] = json!(of_revision.names);
            document["submodules"] = json!(of_revision.submodules.as_ref().map(|submodules| {
                let pinned = submodules.iter().map(|(address, revision)| documents::revision(address, *revision));
                pinned.collect::<Vec<_>>()
            }));
            document["storage"] = json!("packs");
            // The size of the repository: its revisions share the packs.
            document["bytes"] = json!(stored.bytes());
            document
        })
    });
    releases.chain(revisions).collect()
}
