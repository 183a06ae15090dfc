//! Collects what web pages show, from one snapshot of the mirror and the project's locks.
//!
//! Each page has a file, which returns the data that the template of the same name in `page` makes HTML of. `facts` has what
//! takes long to read, `facts_cache` keeps it. `site` makes the same pages for files.

mod compare;
mod context;
mod facts;
mod facts_cache;
mod frame;
mod history;
mod overview;
mod package;
mod packages;
mod repository;
mod site;
mod source;
mod sources;
mod stored;
mod words;

use std::error::Error;
use std::sync::{Mutex, PoisonError};

use super::{Project, Result};
use crate::page::{self, Address, ComparisonView, Frame, Page};
use crate::serve::Visit;
use crate::store::Snapshot;
use context::{Context, Mirrored};
use facts_cache::FactsCache;
pub(in crate::ops) use site::SitePages;
use sources::Sources;

/// The pages of a project's mirror.
pub(in crate::ops) struct Pages {
    project: Mutex<Project>,
    facts: FactsCache,
    sources: Sources,
}

impl Pages {
    /// Creates the pages of a project, whose mirror branch may not exist yet.
    pub fn new(project: &Project) -> Self {
        Self { project: Mutex::new(project.clone()), facts: FactsCache::default(), sources: Sources::default() }
    }

    /// Returns the page at an address, from a snapshot of the mirror.
    ///
    /// # Errors
    /// Fails if the snapshot cannot be read.
    pub fn page(
        &self,
        snapshot: &Snapshot,
        address: &Address,
        visit: &Visit,
    ) -> Result<Page, Box<dyn Error + Send + Sync>> {
        let project = self.project.lock().unwrap_or_else(PoisonError::into_inner).reopened()?;
        let frame = frame::frame(&project, snapshot)?;
        if let Some(page) = immediate(&Mirrored::of(&project, snapshot), &frame, &self.sources, address)? {
            return Ok(page);
        }
        let Some(facts) = self.facts.get(&project, snapshot)? else {
            return Ok(Page::Html(page::waiting(&frame, address)));
        };
        Ok(judged(&Context { project: &project, snapshot, facts, visit: Some(visit) }, &frame, address)?)
    }

    /// Returns the content of the file that an address of [`Page::Download`] leads to. `None` if there is no such file.
    ///
    /// # Errors
    /// Fails if the snapshot cannot be read.
    pub fn download(
        &self,
        snapshot: &Snapshot,
        address: &Address,
    ) -> Result<Option<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        let project = self.project.lock().unwrap_or_else(PoisonError::into_inner).reopened()?;
        Ok(source::content(&Mirrored::of(&project, snapshot), &self.sources, address)?)
    }
}

/// Returns a page that needs what takes long to read about the mirror.
fn judged(context: &Context<'_>, frame: &Frame, address: &Address) -> Result<Page> {
    Ok(match address {
        Address::Overview => Page::Html(page::overview(frame, &overview::overview(context)?)),
        Address::Packages(query) if context.visit.is_none() => {
            Page::Html(page::packages(frame, &packages::all_packages(&context.facts, query.page)))
        }
        Address::Packages(query) => Page::Html(page::packages(frame, &packages::packages(&context.facts, query))),
        Address::Package(id) => match package::package(context, id)? {
            Some(details) => Page::Html(page::package(frame, &details)),
            None => Page::Missing(format!("{id} is not in the mirror at commit {}", frame.commit)),
        },
        Address::PackageNamed(name) => match context.facts.named(name) {
            Some(id) => Page::Moved(Address::Package(id.clone())),
            None => Page::Missing(format!("no package {name} is in the mirror at commit {}", frame.commit)),
        },
        _ => Page::Missing("this is not a page".to_owned()),
    })
}

/// Returns a page that does not need what takes long to read about the mirror. `None` if the address is of another.
fn immediate(mirror: &Mirrored<'_>, frame: &Frame, sources: &Sources, address: &Address) -> Result<Option<Page>> {
    Ok(Some(match address {
        Address::Source { id, path, line } => source::source(mirror, frame, sources, (id, path, *line))?,
        Address::Raw { id, path } => source::raw(mirror, sources, id, path)?,
        Address::Compare { between, path, page, is_split } => {
            let view = ComparisonView { page: *page, is_split: *is_split };
            compare::compare(mirror, frame, sources, between, (path, view))?
        }
        Address::Repositories => Page::Html(page::repositories(frame, &repository::repositories(mirror)?)),
        Address::Repository(address) => match repository::repository(mirror, sources, address)? {
            Some(details) => Page::Html(page::repository(frame, &details)),
            None => Page::Missing(format!("neither the mirror nor its history has {address}")),
        },
        Address::History { page } => Page::Html(page::history(frame, &history::history(mirror, *page)?)),
        Address::Changes(range) => match history::changes(mirror, range)? {
            Ok(changes) => Page::Html(page::project_changes(frame, &changes)),
            Err(problem) => Page::Missing(problem),
        },
        Address::Stored => Page::Html(page::stored(frame, &stored::stored(mirror)?)),
        _ => return Ok(None),
    }))
}
