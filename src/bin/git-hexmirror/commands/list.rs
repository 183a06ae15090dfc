//! `list`

use git_hexmirror::model::{FileId, Manifest, PolicyId, count};
use git_hexmirror::ops::{self, OpError};
use git_hexmirror::plan::{Selection, is_package, is_repository};
use git_hexmirror::store::{Damage, Snapshot};
use serde_json::{Value, json};

use super::documents;
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{CHANGED, DIM, Text, bytes, styled};
use crate::report::NOT_FRESH;
use crate::session::Session;

/// List the contents of the mirror, or what it has of the given packages
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Packages and policies (NAME or REPOSITORY/NAME) and git repositories (the address or its last part); exits with 1 if the mirror has
    /// nothing of one of them
    #[arg(value_name = "PKG")]
    packages: Vec<String>,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.reading_project()?;
    let (_, snapshot) = ops::mirror(&project)?;
    let (output, mut manifest) = (&session.output, snapshot.manifest()?.clone());
    // What the mirror has does not depend on the locks, but which mirror is read does.
    if let Err(error @ OpError::LocksDisagree { .. }) = ops::status(&project, false) {
        output.say(styled(CHANGED, "warning:") + format!(" {}", error.with_causes()));
    }
    // Locks that cannot be read say nothing about files.
    if let Ok(wanted) = project.present_locks().and_then(|locks| project.wanted(&locks)) {
        wanted.apply_trust(&mut manifest.files);
    }
    let absent = select(&mut manifest, &arguments.packages);
    let damage = damage(&snapshot);
    if let Some(damage) = &damage {
        let line = " the manifest does not match what is stored, so this list may be incomplete: ";
        output.say(styled(CHANGED, "warning:") + line + damage.as_str());
        output.say("`git hexmirror verify` lists all damage, `git hexmirror update --repair` restores it");
    }
    let code = if absent.is_empty() && damage.is_none() { 0 } else { NOT_FRESH };
    for package in absent {
        output.say(format!("the mirror has nothing of {package}"));
    }
    if arguments.json.json {
        output.json(&document(&manifest)).map_err(CommandError::Print)?;
        return Ok(code);
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
    for (policy, stored) in &manifest.policies {
        let particulars = styled(DIM, format!("{} policy", bytes(stored.bytes)));
        output.result(Text::from(format!("{policy}  ")) + particulars).map_err(CommandError::Print)?;
    }
    for (id, stored) in &manifest.files {
        let particulars = styled(DIM, format!("{} {}", bytes(stored.bytes), stored.trust.describe()));
        output.result(Text::from(format!("{id}  ")) + particulars).map_err(CommandError::Print)?;
    }
    output.detail(count(manifest.entries.len(), "registry entry", "registry entries"));
    Ok(code)
}

/// Describes the first difference between the manifest and the mirror's tree.
fn damage(snapshot: &Snapshot) -> Option<String> {
    match snapshot.mismatches(None) {
        Ok(damages) => damages.into_iter().next().map(|Damage { path, problem }| format!("{path}: {problem}")),
        Err(error) => Some(error.to_string()),
    }
}

/// Removes everything but the given packages, unless none is given, and returns those that the mirror does not have.
fn select<'a>(manifest: &mut Manifest, packages: &'a [String]) -> Vec<&'a String> {
    if packages.is_empty() {
        return Vec::new();
    }
    let selection = Selection(packages);
    manifest.releases.retain(|id, _| selection.has_package(&id.entry()));
    manifest.policies.retain(|id, _| packages.iter().any(|name| is_policy(id, name)));
    manifest.files.retain(|id, _| packages.iter().any(|name| is_file(id, name)));
    manifest.git.retain(|address, _| selection.has_repository(address));
    manifest.entries.retain(|id, _| selection.has_package(id));
    let has = |package: &str| {
        manifest.releases.keys().any(|id| is_package(&id.entry(), package))
            || manifest.policies.keys().any(|id| is_policy(id, package))
            || manifest.files.keys().any(|id| is_file(id, package))
            || manifest.git.keys().any(|address| is_repository(address, package))
    };
    packages.iter().filter(|package| !has(package)).collect()
}

fn is_policy(id: &PolicyId, policy: &str) -> bool {
    id.to_string() == policy || id.name.as_str() == policy
}

fn is_file(id: &FileId, name: &str) -> bool {
    id.path.as_str() == name || id.path.name() == name
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
    let policies = manifest.policies.iter().map(|(id, stored)| {
        json!({
            "kind": "policy",
            "repository": id.repository,
            "name": id.name,
            "checksum": stored.checksum.to_string(),
            "bytes": stored.bytes,
        })
    });
    let files =
        manifest.files.iter().map(|(id, stored)| documents::file(id, stored.bytes, stored.trust, &stored.address));
    releases.chain(policies).chain(files).chain(revisions).collect()
}
