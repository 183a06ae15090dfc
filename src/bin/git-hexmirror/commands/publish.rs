//! `publish`

use git_hexmirror::model::{Destination, DestinationError, count};
use git_hexmirror::ops::{self, PublishOptions};
use git_hexmirror::serve::Registry;

use super::{documents, export};
use crate::options::{Json, ServedRegistry};
use crate::outcome::{CommandError, Outcome};
use crate::session::Session;

/// Publish the mirror to an object store or a folder, for any number of clients
///
/// Writes the same files as `git hexmirror export` to a bucket, from which mix, rebar3 and git install by HTTP. URL is
/// s3://BUCKET/PREFIX for Amazon S3 and services with its interface, gs://BUCKET/PREFIX for Google Cloud Storage,
/// az://CONTAINER/PREFIX for Azure Blob Storage, or file:///FOLDER. Settings and credentials come from the variables of the
/// service, such as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL.
///
/// Beside these files, it writes mirror.bundle, the mirror branch for `git clone --bundle-uri`.
///
/// Run it again after an update: it writes only what changed, tarballs first and lists last, so that clients can install at any
/// time. An interrupted publication is completed by the next one. Of two publications to one place, the second waits. Objects that
/// this program did not write are never changed. In contrast to `export`, it keeps what was published before and is no longer in
/// the mirror, so that older checkouts can still be built; --delete removes it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to publish, without credentials
    #[arg(value_name = "URL")]
    destination: String,
    /// Registry to publish: entries as upstream signed them, or the pinned index, which lists only what the mirror has
    ///
    /// Defaults to the one that the destination has, or to signed for a new destination. If it changes, clients need another key.
    #[arg(long, value_name = "WHICH")]
    registry: Option<ServedRegistry>,
    /// Delete what was published before and is no longer in the mirror
    #[arg(long)]
    delete: bool,
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
    let Arguments { check, dry_run, delete, .. } = arguments;
    let destination = &destination(&arguments.destination)?;
    let project = session.project()?;
    let network = ops::bucket_network(&project.environment);
    let options = PublishOptions {
        registry: arguments.registry.map(Registry::from),
        check: *check,
        dry_run: *dry_run,
        delete: *delete,
    };
    let progress = session.progress();
    let published = ops::publish(&project, destination, &network, options, progress.as_ref());
    drop(progress);
    let published = published?;
    let output = &session.output;
    if arguments.json.json {
        let document = documents::publish(destination, &published, options);
        output.json(&document).map_err(CommandError::Print)?;
    } else {
        let done = ("published", destination.to_string());
        export::print(output, (done.0, &done.1), *dry_run, &published).map_err(CommandError::Print)?;
        if !published.kept.is_empty() {
            let kept = count(published.kept.len(), "file is", "files are");
            output.say(format!("{kept} no longer in the mirror; --delete removes such files"));
        }
    }
    Ok(0)
}

/// Parses the destination. A message of clap would show the text, which may have a password.
fn destination(text: &str) -> Result<Destination, CommandError> {
    text.parse().map_err(|error: DestinationError| CommandError::Usage {
        message: format!("cannot publish to this URL: {error}"),
        hint: "`git hexmirror help publish` lists the services",
    })
}
