//! Publishes the mirror to an object store, or to a folder.

mod claim;
pub(in crate::ops) mod error;
mod objects;

use super::export::contents::Contents;
use super::export::registry::choose_registry;
use super::export::{Export, export_to, folder_registry};
use super::project::Environment;
use super::{ExportOptions, OpError, Project, Result, served_mirror};
use crate::bucket::{Bucket, Network};
use crate::model::{Destination, StaticPath};
use crate::progress::{Event, Progress};
use objects::Objects;

/// What to publish.
pub type PublishOptions = ExportOptions;

/// Writes the files of the mirror to a destination. Changes only what differs, and never files that this program did not
/// write there. If this is interrupted, the next publication continues. Two publications to a destination never
/// interleave: one waits for the other.
///
/// # Errors
/// Fails if there is no mirror, if it is damaged, if files of others are in the way, or if the destination cannot be
/// written.
pub fn publish(
    project: &Project,
    destination: &Destination,
    network: &Network,
    options: PublishOptions,
    progress: &dyn Progress,
) -> Result<Export> {
    let snapshot = served_mirror(project)?;
    let contents = |registry| {
        let contents = Contents::of(project, &snapshot, registry)?;
        let (contents, no_bundle) = contents.with_bundle(project, &snapshot)?;
        if let Some(reason) = no_bundle {
            progress.report(Event::Warning { message: format!("{reason}, so no {} was made", StaticPath::bundle()) });
        }
        Ok::<_, OpError>(contents)
    };
    match destination {
        Destination::Folder(folder) => {
            let contents = contents(folder_registry(project, &snapshot, (folder, options), progress)?)?;
            export_to(folder, &snapshot, &contents, options, progress)
        }
        Destination::Bucket(address) => {
            let bucket = Bucket::open(address, network)?;
            let list = objects::list(&bucket)?;
            let to = (&*address.to_string(), &list);
            let registry = choose_registry(project, &snapshot, options.registry, to, progress)?;
            let contents = contents(registry)?.with_second_spellings();
            let folder = project.repository.make_own_dir()?;
            let objects = Objects {
                bucket: &bucket,
                snapshot: &snapshot,
                contents: &contents,
                options,
                folder: &folder,
                progress,
            };
            objects.publish()
        }
    }
}

/// Returns what reaches object stores according to the environment's variables.
pub fn bucket_network(environment: &Environment) -> Network {
    // Most services are reached by https. An address by http is one that the user set.
    let is_address = |name: &str| name.contains("ENDPOINT") || name == "GOOGLE_BASE_URL";
    let is_plain = |(name, value): (&String, &String)| is_address(name) && value.starts_with("http://");
    let proxies: &[&str] = match environment.variables.iter().any(is_plain) {
        true => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
        false => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
    };
    let is_of_service = |name: &str| {
        name == "SERVICE_ACCOUNT" || ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|prefix| name.starts_with(prefix))
    };
    let own = environment.variables.iter().filter(|(name, value)| is_of_service(name) && !value.is_empty());
    Network {
        variables: own.map(|(name, value)| (name.clone(), value.clone())).collect(),
        proxy: environment.first(proxies),
        no_proxy: environment.first(&["no_proxy", "NO_PROXY"]),
        ca_certificates: environment.get("AWS_CA_BUNDLE").map(Into::into),
    }
}
