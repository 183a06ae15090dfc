//! `list`

use git_hexmirror::model::Manifest;
use git_hexmirror::store::StoreError;
use serde_json::{Value, json};

use super::{CommandError, documents};
use crate::cli::{Json, Outcome};
use crate::output::{DIM, bytes, styled};
use crate::session::Session;

/// List what the mirror holds
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let snapshot = project.snapshot()?.ok_or_else(|| StoreError::NoMirror { branch: project.branch.to_string() })?;
    let (output, manifest) = (&session.output, snapshot.manifest()?);
    if arguments.json.json {
        output.json(&document(manifest)).map_err(CommandError::Print)?;
        return Ok(0);
    }
    for (id, stored) in &manifest.releases {
        let particulars = styled(DIM, format!("{} {}", bytes(stored.bytes), stored.storage.as_str()));
        output.result(format!("{id}  {particulars}")).map_err(CommandError::Print)?;
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
    releases.collect()
}
