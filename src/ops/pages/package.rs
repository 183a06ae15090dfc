//! What the page of a package shows.

use super::context::Context;
use super::facts::StoredFacts;
use super::{packages, words};
use crate::hex::metadata::Metadata;
use crate::hex::registry::{Package, Release};
use crate::model::{Day, EntryId, FilePath, ManifestPart, ReleaseId, Storage, bytes, shortened};
use crate::ops::log::log_from;
use crate::ops::release_reader::ReleaseReader;
use crate::ops::{LogOptions, MirrorSource, Result};
use crate::page::{History, ListedVersion, PackageDetails, RequiredPackage, StoredVersion};
use crate::plan::{ReleaseFacts, concerns};
use crate::progress::Silent;

/// How many stored versions are shown.
const VERSIONS: usize = 20;
/// How many versions of the registry entry are shown.
const LISTED: usize = 200;
/// How many releases that need the package are shown.
const NEEDING: usize = 100;
/// How many locks are named for a release.
const LOCKS: usize = 10;
/// How many files, requirements and links of a release are shown.
const FILES: usize = 200;
/// How many files are shown of releases other than the newest.
const OTHER_FILES: usize = 20;
/// How many commits of the history are shown, and read.
const COMMITS: usize = 50;
const READ_COMMITS: usize = 500;
/// The longest description, in characters.
const DESCRIPTION: usize = 2_000;

/// Returns what the page of a package shows. `None` if the mirror has neither a release nor a registry entry of it.
pub(super) fn package(context: &Context<'_>, id: &EntryId) -> Result<Option<PackageDetails>> {
    let reader = ReleaseReader::new(context.project, [&id.repository].into_iter(), context.snapshot, &Silent)?;
    let entry = reader.entry(id)?;
    let facts = context.facts.package(id);
    if facts.is_none() && entry.is_none() {
        return Ok(None);
    }
    let stored: &[StoredFacts] = facts.map_or(&[], |facts| &facts.releases);
    let read: Vec<(&StoredFacts, Result<Option<Metadata>, String>)> =
        stored.iter().rev().take(VERSIONS).map(|release| (release, metadata(&reader, id, release))).collect();
    let newest = read.first().and_then(|(_, metadata)| metadata.as_ref().ok()?.as_ref());
    let needed_by = context.facts.needed_by.get(id).map_or(&[][..], Vec::as_slice);
    let (history, history_note) = history(context, id)?;
    let listed = entry.as_ref().map(|entry| listed(entry, id, stored)).unwrap_or_default();
    Ok(Some(PackageDetails {
        id: id.clone(),
        description: newest
            .and_then(|metadata| metadata.description.as_deref())
            .map(|text| text.chars().take(DESCRIPTION).collect()),
        badges: facts.map(packages::badges).unwrap_or_default(),
        links: newest.iter().flat_map(|metadata| &metadata.links).take(FILES / 10).cloned().collect(),
        versions: read
            .iter()
            .enumerate()
            .map(|(index, (release, metadata))| {
                let files = if index == 0 { FILES } else { OTHER_FILES };
                version(context, id, entry.as_ref(), release, metadata, files)
            })
            .collect::<Result<_>>()?,
        more_versions: stored.len().saturating_sub(VERSIONS),
        needed_by: needed_by.iter().take(NEEDING).cloned().collect(),
        more_needing: needed_by.len().saturating_sub(NEEDING),
        more_listed: listed.len().saturating_sub(LISTED),
        listed: listed.into_iter().take(LISTED).collect(),
        history,
        history_note,
    }))
}

fn release_id(id: &EntryId, release: &StoredFacts) -> ReleaseId {
    ReleaseId { repository: id.repository.clone(), package: id.package.clone(), version: release.version.clone() }
}

/// Reads the metadata of a release, or why it cannot be read.
fn metadata(reader: &ReleaseReader<'_>, id: &EntryId, release: &StoredFacts) -> Result<Option<Metadata>, String> {
    let read = reader.metadata(&release_id(id, release)).map_err(|error| error.with_causes())?;
    read.transpose().map_err(|error| error.to_string())
}

fn version(
    context: &Context<'_>,
    id: &EntryId,
    entry: Option<&Package>,
    release: &StoredFacts,
    metadata: &Result<Option<Metadata>, String>,
    files: usize,
) -> Result<StoredVersion> {
    let own = release_id(id, release);
    let manifest = context.snapshot.manifest_of(&id.package)?;
    let stored = manifest.releases.get(&own).expect("the facts are about the same snapshot");
    let known = metadata.as_ref().ok().and_then(Option::as_ref);
    let licenses: &[String] = known.map_or(&[], |metadata| &metadata.licenses);
    let is_absent = manifest.absent.contains(id);
    let found = concerns(&own, ReleaseFacts { entry, is_absent, licenses: Some(licenses) }, &[]);
    let all_files: &[String] = known.map_or(&[], |metadata| &metadata.files);
    Ok(StoredVersion {
        version: release.version.clone(),
        published: entry.and_then(|entry| entry.release(&release.version)).and_then(published),
        pinned_by: release
            .locks
            .iter()
            .take(LOCKS)
            .filter_map(|lock| Some(context.facts.locks.get(*lock)?.file.clone()))
            .collect(),
        more_locks: release.locks.len().saturating_sub(LOCKS),
        findings: found.iter().map(|concern| words::finding(&own, concern)).collect(),
        licenses: licenses.iter().take(FILES).map(|license| shortened(license).into_owned()).collect(),
        bytes: release.bytes,
        storage: match release.storage {
            Storage::Unpacked => "unpacked",
            Storage::Tarball => "as it was published",
        },
        outer: stored.outer,
        inner: stored.inner,
        facts: known.map(facts).into_iter().flatten().chain(documentation(context, &own)?).collect(),
        requirements: known.map(|metadata| requirements(context, id, metadata)).unwrap_or_default(),
        files: all_files.iter().take(files).map(|file| shortened(file).into_owned()).collect(),
        more_files: all_files.len().saturating_sub(files),
        problem: metadata.as_ref().err().map(|problem| shortened(problem).into_owned()),
    })
}

/// Returns further facts from the metadata.
fn facts(metadata: &Metadata) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if !metadata.build_tools.is_empty() {
        facts.push(("Build tools", shortened(&metadata.build_tools.join(", ")).into_owned()));
    }
    if let Some(elixir) = &metadata.elixir {
        facts.push(("Elixir", shortened(elixir).into_owned()));
    }
    if metadata.app != metadata.name.as_str() {
        facts.push(("Application", shortened(&metadata.app).into_owned()));
    }
    facts
}

/// Describes the stored documentation of a release, if there is any.
fn documentation(context: &Context<'_>, release: &ReleaseId) -> Result<Option<(&'static str, String)>> {
    let Some(path) = FilePath::of_docs(release) else { return Ok(None) };
    let files = context.snapshot.part(ManifestPart::Files)?;
    let stored = files.files.iter().find(|(id, _)| id.path == path);
    Ok(stored.map(|(_, stored)| ("Documentation", format!("{}, for mix hex.docs", bytes(stored.bytes)))))
}

fn requirements(context: &Context<'_>, own: &EntryId, metadata: &Metadata) -> Vec<RequiredPackage> {
    let required = metadata.requirements.iter().take(FILES);
    required
        .map(|required| {
            let repository = required.repository.as_ref().unwrap_or(&own.repository).clone();
            let id = EntryId { repository, package: required.package.clone() };
            RequiredPackage {
                requirement: shortened(&required.requirement).into_owned(),
                is_optional: required.optional,
                is_stored: context.facts.package(&id).is_some(),
                id,
            }
        })
        .collect()
}

/// Returns the day of a release's publication, if the registry states it.
fn published(release: &Release) -> Option<String> {
    release.published_at.map(|time| Day::of_seconds(time.seconds).to_string())
}

/// Lists the releases of an entry that are not stored, highest version first.
fn listed(entry: &Package, id: &EntryId, stored: &[StoredFacts]) -> Vec<ListedVersion> {
    let is_stored = |release: &&Release| stored.iter().any(|stored| stored.version == release.version);
    let mut others: Vec<&Release> = entry.releases.iter().filter(|release| !is_stored(release)).collect();
    others.sort_by(|one, other| other.version.cmp(&one.version));
    let listed = |release: &&Release| {
        let own = ReleaseId {
            repository: id.repository.clone(),
            package: id.package.clone(),
            version: release.version.clone(),
        };
        let found = concerns(&own, ReleaseFacts { entry: Some(entry), is_absent: false, licenses: Some(&[]) }, &[]);
        ListedVersion { version: own.version, published: published(release), badges: words::badges(found.iter()) }
    };
    others.iter().map(listed).collect()
}

/// Returns what the commits of the mirror changed of a package, and why there may be more.
fn history(context: &Context<'_>, id: &EntryId) -> Result<(Vec<History>, Option<String>)> {
    let source = MirrorSource { remote: None, commit: context.snapshot.commit() };
    let options = LogOptions {
        packages: vec![format!("{}/{}", id.repository, id.package)],
        limit: Some(COMMITS),
        max_read: Some(READ_COMMITS),
        ..LogOptions::default()
    };
    let log = log_from(context.project, source, &options)?;
    let note = match (log.is_partial, log.is_cut) {
        (true, _) => Some(format!("Of the mirror's newest {READ_COMMITS} commits.")),
        (_, true) => Some("This clone is shallow: there may be older commits.".to_owned()),
        _ => None,
    };
    let history = log.commits.iter().map(|logged| History {
        day: logged.commit.day.to_string(),
        commit: words::short(&logged.commit.id.to_string()),
        changes: logged.changes.iter().flat_map(|changes| &changes.contents).map(words::change).collect(),
    });
    Ok((history.filter(|commit| !commit.changes.is_empty()).collect(), note))
}
