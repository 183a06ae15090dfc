//! The pages about git repositories.

use maud::{Markup, html};

use super::layout::page;
use super::link::Links;
use super::{Address, Frame, SourceId};
use crate::model::{GitAddress, Revision, bytes, count};

/// A git repository of the mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryDetails {
    /// The address.
    pub address: GitAddress,
    /// The size of its packs in bytes.
    pub bytes: u64,
    /// The stored revisions.
    pub revisions: Vec<RepositoryRevision>,
    /// Revisions that only the history of the mirror has, the newest first.
    pub older: Vec<Revision>,
    /// The refs that clients see, with their revisions.
    pub refs: Vec<(String, Revision)>,
}

/// A revision of a git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryRevision {
    /// The commit.
    pub revision: Revision,
    /// The stored number of generations of its ancestry; `None` for all.
    pub depth: Option<u32>,
    /// The dependencies that locks in force pin it for.
    pub wanted_by: Vec<String>,
    /// The repositories and revisions that are its submodules.
    pub submodules: Vec<(GitAddress, Revision)>,
}

/// Returns the list of git repositories.
pub fn repositories(frame: &Frame, repositories: &[RepositoryDetails]) -> String {
    let links = Links::of(frame, &Address::Repositories);
    let content = html! {
        h1 { "Git repositories" }
        p { "The mirror has " (count(repositories.len(), "git repository", "git repositories")) "." }
        @if !repositories.is_empty() {
            div.wide tabindex="0" role="region" aria-label="Git repositories" { table {
                thead { tr { th scope="col" { "Address" } th scope="col" { "Wanted by" } th.number scope="col" { "Revisions" } th.number scope="col" { "Size" } } }
                tbody { @for repository in repositories { tr {
                    th scope="row" { a href=(links.to(&Address::Repository(repository.address.clone()))) { (repository.address) } }
                    td { (wanted_by(&repository.revisions.iter().flat_map(|revision| &revision.wanted_by).collect::<Vec<_>>())) }
                    td.number { (repository.revisions.len()) }
                    td.number { (bytes(repository.bytes)) }
                } } }
            } }
        }
    };
    page(frame, "Git repositories", &Address::Repositories, &Address::Repositories, &content)
}

fn wanted_by(names: &[&String]) -> Markup {
    html! {
        @if names.is_empty() { span.none { "no lock in force" } }
        @for (index, name) in names.iter().enumerate() { @if index > 0 { ", " } bdi { (name) } }
    }
}

/// Returns the page about a git repository.
pub fn repository(frame: &Frame, repository: &RepositoryDetails) -> String {
    let address = Address::Repository(repository.address.clone());
    let links = Links::of(frame, &address);
    let id = |revision: Revision| SourceId::Revision(repository.address.clone(), revision);
    let source = |revision: Revision| {
        let address = Address::Source { id: id(revision), path: String::new(), line: 0 };
        links.link(&address, &html! { code { (revision) } })
    };
    let all: Vec<Revision> =
        repository.revisions.iter().map(|known| known.revision).chain(repository.older.clone()).collect();
    let compare = |revision: Revision, other: Revision| {
        let between = Box::new([id(other), id(revision)]);
        Address::Compare { between, path: String::new(), page: 1, is_split: false }
    };
    let others = |revision: Revision| {
        let others = all.iter().filter(|other| **other != revision).map(|other| (other, compare(revision, *other)));
        let others = others.filter(|(_, address)| links.has(address));
        html! {
            @for (index, (other, address)) in others.take(8).enumerate() {
                @if index > 0 { ", " }
                a href=(links.to(&address)) { (other.short()) }
            }
        }
    };
    let title = repository.address.to_string();
    let content = html! {
        nav.trail aria-label="Sections" { ul { li { a href=(links.to(&Address::Repositories)) { "Git repositories" } } } }
        h1 { (title) }
        p { "Every revision is verified by its own id, and is served only if a lock in force pins it. The packs have " (bytes(repository.bytes)) "." }
        h2 { "Revisions" }
        div.wide tabindex="0" role="region" aria-label="Revisions" { table {
            thead { tr { th scope="col" { "Revision" } th scope="col" { "Wanted by" } th scope="col" { "Ancestry" } th scope="col" { "What changed since" } } }
            tbody { @for known in &repository.revisions { tr {
                td { (source(known.revision)) }
                td { (wanted_by(&known.wanted_by.iter().collect::<Vec<_>>())) }
                td { @match known.depth { Some(depth) => { (count(depth as usize, "commit", "commits")) } None => "complete" } }
                td { (others(known.revision)) }
            } } }
        } }
        @for known in repository.revisions.iter().filter(|known| !known.submodules.is_empty()) {
            h2 { "Submodules of " (known.revision.short()) }
            ul { @for (address, revision) in &known.submodules { li {
                (links.link(&Address::Repository(address.clone()), &address.to_string())) " at " code { (revision.short()) }
            } } }
        }
        @if !repository.refs.is_empty() {
            h2 { "Refs" }
            div.wide tabindex="0" role="region" aria-label="Refs" { table {
                thead { tr { th scope="col" { "Ref" } th scope="col" { "Revision" } } }
                tbody { @for (name, revision) in &repository.refs { tr { td { code { bdi { (name) } } } td { code { (revision.short()) } } } } }
            } }
        }
        @if !repository.older.is_empty() {
            h2 { "In the history of the mirror" }
            ul { @for revision in &repository.older { li { (source(*revision)) } } }
        }
    };
    page(frame, &title, &address, &Address::Repositories, &content)
}
