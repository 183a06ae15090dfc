//! The same pages as files of a static site.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::context::{Context, Mirrored};
use super::facts::Facts;
use super::frame::frame;
use super::history::COMMITS;
use super::sources::Sources;
use super::{immediate, judged, source, words};
use crate::model::{GitAddress, Manifest, ReleaseId};
use crate::ops::log::log_from;
use crate::ops::{LogOptions, MirrorSource, OpError, Project, Result};
use crate::page::{self, Address, Frame, Page, Site, SiteScope, SourceId};
use crate::store::Snapshot;

/// The pages of a static site. They only depend on the mirror branch, the locks in force, and the name of the project's folder.
pub(in crate::ops) struct SitePages {
    frame: Frame,
    site: Arc<Site>,
    facts: Arc<Facts>,
    sources: Sources,
}

impl SitePages {
    /// Reads what all pages need, and determines which pages there are: those about what the snapshot has, and the differences
    /// between neighbouring versions of it and those that the newest updates made.
    ///
    /// # Errors
    /// Fails if the mirror or the locks cannot be read.
    pub fn of(project: &Project, snapshot: &Snapshot) -> Result<Self> {
        let locks = match project.present_locks() {
            Err(OpError::NoLock { .. }) => Vec::new(),
            locks => locks?,
        };
        let mut facts = Facts::listed(project, snapshot, &locks)?;
        facts.judge(project, snapshot, None)?;
        let (sources, manifest) = (Sources::default(), snapshot.manifest()?);
        let mirror = Mirrored { project, snapshot, is_reproducible: true };
        let releases = manifest.releases.keys();
        let site = Arc::new(Site::new(SiteScope {
            packages: releases.clone().map(ReleaseId::entry).chain(manifest.entries.keys().cloned()).collect(),
            repositories: manifest.git.keys().cloned().collect(),
            sources: releases.cloned().map(SourceId::Release).chain(revisions(manifest)).collect(),
            comparisons: comparisons(&mirror, manifest, &sources)?,
        }));
        let frame = Frame { site: Some(site.clone()), ..frame(project, snapshot)? };
        Ok(Self { frame, site, facts: Arc::new(facts), sources })
    }

    /// Returns the locks that cannot be read, so that nothing says what the mirror must have for them.
    pub fn unreadable_locks(&self) -> impl Iterator<Item = &str> {
        self.facts.locks.iter().filter(|lock| lock.problem.is_some()).map(|lock| &*lock.file)
    }

    /// Returns the pages that those which were made so far link to and that this did not return before, with the names of their
    /// files. The first call returns the overview.
    pub fn take_found(&self) -> Vec<(String, Address)> {
        self.site.take_found()
    }

    /// Makes the file for the page at an address.
    ///
    /// # Errors
    /// Fails if the mirror cannot be read, or if what the page is about is damaged.
    pub fn file(&self, project: &Project, snapshot: &Snapshot, address: &Address) -> Result<Vec<u8>> {
        let mirror = Mirrored { project, snapshot, is_reproducible: true };
        let page = match address {
            Address::Style => return Ok(page::STYLE.into()),
            Address::Icon => return Ok(page::ICON.into()),
            _ => match immediate(&mirror, &self.frame, &self.sources, address)? {
                Some(page) => page,
                None => {
                    let context = Context { project, snapshot, facts: self.facts.clone(), visit: None };
                    judged(&context, &self.frame, address)?
                }
            },
        };
        Ok(match page {
            Page::Html(html) => html.into_bytes(),
            Page::Download { .. } => source::content(&mirror, &self.sources, address)?.unwrap_or_default(),
            Page::Missing(what) => page::missing(&self.frame, address, &what).into_bytes(),
            Page::Moved(_) => page::missing(&self.frame, address, "the page has another address").into_bytes(),
        })
    }
}

fn revisions(manifest: &Manifest) -> impl Iterator<Item = SourceId> {
    let all = manifest.git.iter().flat_map(|(address, stored)| stored.revisions.keys().map(move |id| (address, id)));
    all.map(|(address, revision)| SourceId::Revision(address.clone(), *revision))
}

/// Returns the differences that the site has.
fn comparisons(mirror: &Mirrored<'_>, manifest: &Manifest, sources: &Sources) -> Result<BTreeSet<[SourceId; 2]>> {
    let releases: Vec<SourceId> = manifest.releases.keys().cloned().map(SourceId::Release).collect();
    let source = MirrorSource { remote: None, commit: mirror.snapshot.commit() };
    let options = LogOptions { limit: Some(COMMITS), ..LogOptions::default() };
    let log = log_from(mirror.project, source, &options)?;
    let changes = log.commits.iter().flat_map(|commit| &commit.changes).flat_map(|changes| &changes.contents);
    let changed = changes.filter_map(words::link).filter_map(|link| match link {
        Address::Compare { between, .. } => Some(*between),
        _ => None,
    });
    let mut pairs: BTreeSet<[SourceId; 2]> = changed.chain(neighbours(&releases)).collect();
    for address in manifest.git.keys() {
        for [old, new] in neighbours(&stored_revisions(mirror, manifest, sources, address)?) {
            // The order of revisions that the mirror got at once says nothing.
            if !pairs.contains(&[new.clone(), old.clone()]) {
                pairs.insert([old, new]);
            }
        }
    }
    Ok(pairs)
}

/// Returns the pairs of versions of the same dependency that follow each other.
fn neighbours(sources: &[SourceId]) -> impl Iterator<Item = [SourceId; 2]> {
    let pairs = sources.windows(2).filter(|pair| pair[0].is_beside(&pair[1]));
    pairs.map(|pair| [pair[0].clone(), pair[1].clone()])
}

/// Returns the stored revisions of a git repository, in the order in which the mirror got them.
fn stored_revisions(
    mirror: &Mirrored<'_>,
    manifest: &Manifest,
    sources: &Sources,
    address: &GitAddress,
) -> Result<Vec<SourceId>> {
    let Some(stored) = manifest.git.get(address).filter(|stored| stored.revisions.len() > 1) else {
        return Ok(Vec::new());
    };
    let is_stored =
        |id: &SourceId| matches!(id, SourceId::Revision(_, revision) if stored.revisions.contains_key(revision));
    let mut known: Vec<SourceId> =
        sources.revisions(mirror, address)?.iter().filter(|id| is_stored(id)).cloned().collect();
    known.reverse();
    Ok(known)
}
