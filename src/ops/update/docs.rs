//! Fetches the documentation of the pinned releases. Nothing vouches for it, so a lock pins what is fetched first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::concurrent::fetch_all;
use super::fetching::Fetched;
use crate::fetch::{Download, Downloads, Upstream};
use crate::hex::recipe::check_docs;
use crate::hex::tarball::TarballLimits;
use crate::model::{FileChecksum, ReleaseId, RepositoryName};
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::today::today;
use crate::ops::{FileError, Result};
use crate::plan::{DocsPin, Wanted};
use crate::progress::{Download as Shown, Event, Progress};
use crate::store::Transaction;

/// The part of an update that pins documentation.
pub(super) struct DocsUpdate<'a> {
    pub repositories: &'a HexRepositories<'a>,
    pub downloads: &'a Arc<Downloads>,
    pub wanted: &'a Wanted,
    pub jobs: Option<usize>,
    /// Whether to ask again for documentation that was not published.
    pub refresh: bool,
    pub progress: &'a Arc<dyn Progress>,
}

/// A release with its documentation, if it has any.
type Found = (ReleaseId, Option<Download>);

impl DocsUpdate<'_> {
    /// Fetches the documentation about which no lock says anything into a transaction. Returns the pins of all pinned
    /// releases, or none if nothing was asked for.
    ///
    /// # Errors
    /// Fails if upstream cannot be asked, or if what it sends is no documentation.
    pub fn pin(
        &self,
        fetched: &mut Fetched,
        transaction: &mut Transaction<'_>,
    ) -> Result<BTreeMap<ReleaseId, DocsPin>> {
        let Wanted { docs, releases, unpinned_docs, .. } = self.wanted;
        let known = docs.iter().filter(|(release, _)| releases.contains_key(*release));
        let known: BTreeMap<_, _> = known.map(|(release, pin)| (release.clone(), pin.clone())).collect();
        let absent = known.iter().filter(|(_, pin)| self.refresh && matches!(pin, DocsPin::Absent(_)));
        let asked: BTreeSet<_> = unpinned_docs.iter().chain(absent.map(|(release, _)| release)).cloned().collect();
        if asked.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut pins = known;
        for (release, download) in self.download(asked)? {
            let Some(download) = download else {
                pins.entry(release).or_insert(DocsPin::Absent(today()));
                continue;
            };
            let content = download.read()?;
            check_docs(&content, &TarballLimits::default())
                .map_err(|source| FileError::Docs { release: release.clone(), source })?;
            fetched.downloaded_bytes += download.downloaded_bytes;
            let checksum = FileChecksum::from_bytes(*download.outer_checksum.as_bytes());
            let Some(pin) = DocsPin::first_used(&release, checksum, content.len() as u64, today()) else { continue };
            if let Some(file) = pin.file() {
                transaction.put_file(file.id.path.clone(), &content, file.trust, file.address.clone())?;
                fetched.files.push(file.clone());
            }
            pins.insert(release, pin);
        }
        Ok(pins)
    }

    /// Downloads documentation concurrently.
    fn download(&self, releases: BTreeSet<ReleaseId>) -> Result<Vec<Found>> {
        self.progress.report(Event::Planned { items: releases.len() as u64 });
        let names: BTreeSet<&RepositoryName> = releases.iter().map(|release| &release.repository).collect();
        let upstream = self.repositories.upstream(names.into_iter(), self.jobs, Arc::clone(self.progress))?;
        let upstream = Arc::new(upstream);
        let task =
            |release| docs_of(release, Arc::clone(&upstream), Arc::clone(self.downloads), Arc::clone(self.progress));
        let mut found = fetch_all(self.downloads.folder(), releases.into_iter().map(task))?;
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    }
}

/// Fetches the documentation of a release, if any was published.
async fn docs_of(
    release: ReleaseId,
    upstream: Arc<Upstream>,
    downloads: Arc<Downloads>,
    progress: Arc<dyn Progress>,
) -> Result<Found> {
    let item = format!("documentation of {release}");
    let _shown = Shown::begin(progress.as_ref(), item.clone());
    let download = match upstream.docs(&release, None, &downloads).await {
        Ok(download) => Some(download),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    progress.report(Event::Finished { item });
    Ok((release, download))
}
