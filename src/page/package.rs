//! The page of a package.

use maud::{Markup, html};

use super::layout::page;
use super::link::{Links, outside};
use super::part::{badge, change, finding, package_link, table, trail};
use super::{Address, Badge, Change, Finding, Frame, PackageQuery, SourceId};
use crate::model::{EntryId, InnerChecksum, OuterChecksum, ReleaseId, Version, bytes, count, shortened};

/// What the page of a package shows.
#[derive(Debug, Clone, PartialEq)]
pub struct PackageDetails {
    /// The package.
    pub id: EntryId,
    /// What its newest stored release says that it is.
    pub description: Option<String>,
    /// What is to be said about it.
    pub badges: Vec<Badge>,
    /// The addresses that its newest stored release links to.
    pub links: Vec<String>,
    /// The stored releases, highest version first.
    pub versions: Vec<StoredVersion>,
    /// The number of further stored releases.
    pub more_versions: usize,
    /// The stored releases of other packages that require it.
    pub needed_by: Vec<ReleaseId>,
    /// The number of further ones.
    pub more_needing: usize,
    /// The other releases that its registry entry lists, highest version first.
    pub listed: Vec<ListedVersion>,
    /// The number of further ones.
    pub more_listed: usize,
    /// What the commits of the mirror changed of it, newest first.
    pub history: Vec<History>,
    /// Why the history may be longer, if so.
    pub history_note: Option<String>,
}

/// A stored release.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredVersion {
    /// The version.
    pub version: Version,
    /// The day when it was published, if the registry says so.
    pub published: Option<String>,
    /// The locks that pin it.
    pub pinned_by: Vec<String>,
    /// The number of further locks.
    pub more_locks: usize,
    /// What people should know about it.
    pub findings: Vec<Finding>,
    /// Its licenses.
    pub licenses: Vec<String>,
    /// The size of the tarball in bytes.
    pub bytes: u64,
    /// How it is stored.
    pub storage: &'static str,
    /// The SHA-256 of the tarball.
    pub outer: OuterChecksum,
    /// The older checksum, over the parts of the tarball.
    pub inner: InnerChecksum,
    /// Further facts: names with texts.
    pub facts: Vec<(&'static str, String)>,
    /// What it requires.
    pub requirements: Vec<RequiredPackage>,
    /// The paths of its first files.
    pub files: Vec<String>,
    /// The number of further files.
    pub more_files: usize,
    /// Why the metadata cannot be read, if so.
    pub problem: Option<String>,
}

/// A package that a release requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredPackage {
    /// The package.
    pub id: EntryId,
    /// The requirement, as the release states it.
    pub requirement: String,
    /// Whether it is optional.
    pub is_optional: bool,
    /// Whether the mirror has a release of it.
    pub is_stored: bool,
}

/// A release that the registry entry lists and the mirror does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedVersion {
    /// The version.
    pub version: Version,
    /// The day when it was published, if the registry says so.
    pub published: Option<String>,
    /// What is to be said about it.
    pub badges: Vec<Badge>,
}

/// What a commit of the mirror changed of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The day.
    pub day: String,
    /// The first digits of the commit.
    pub commit: String,
    /// The changes.
    pub changes: Vec<Change>,
}

/// Returns the page of a package.
pub fn package(frame: &Frame, details: &PackageDetails) -> String {
    let address = Address::Package(details.id.clone());
    let section = Address::Packages(PackageQuery::default());
    let links = Links::of(frame, &address);
    let name = details.id.to_string();
    let content = html! {
        (trail(&links, &[("Overview", Address::Overview), ("Packages", section.clone())], &name))
        h1 { (name) }
        @if let Some(description) = &details.description { p { bdi { (description) } } }
        @if !details.badges.is_empty() { p { @for note in &details.badges { (badge(note)) " " } } }
        @if !details.links.is_empty() {
            ul { @for link in &details.links { li { (outside(link, &shortened(link))) } } }
        }
        h2 { "Stored versions" }
        @for version in &details.versions { (stored(&links, &details.id, version)) }
        @if details.versions.is_empty() { p.none { "The mirror has none; it only has the registry entry." } }
        @if details.more_versions > 0 { p.dim { "… and " (details.more_versions) " older ones" } }
        h2 { "Needed by" }
        (needed_by(&links, details))
        h2 { "Other versions in the registry" }
        (listed(details))
        h2 { "History in the mirror" }
        (history(&links, details))
    };
    page(frame, &name, &address, &section, &content)
}

fn stored(links: &Links<'_>, id: &EntryId, version: &StoredVersion) -> Markup {
    let source = |path: &str| {
        let EntryId { repository, package } = id.clone();
        let id = SourceId::Release(ReleaseId { repository, package, version: version.version.clone() });
        links.to(&Address::Source { id, path: path.to_owned(), line: 0 })
    };
    html! {
        section aria-label=(version.version) {
            h3 id={ "v" (version.version) } { (version.version) }
            @if !version.findings.is_empty() { ul { @for found in &version.findings { li { (finding(found)) } } } }
            @if let Some(problem) = &version.problem { p.note.bad { bdi { (problem) } } }
            dl.facts {
                dt { "Pinned by" }
                dd {
                    @if version.pinned_by.is_empty() { span.none { "no lock in force" } }
                    @else { bdi { (version.pinned_by.join(", ")) } }
                    @if version.more_locks > 0 { " and " (version.more_locks) " more" }
                }
                @if let Some(day) = &version.published { dt { "Published" } dd { time datetime=(day) { (day) } } }
                dt { "Source" } dd { a href=(source("")) { "Files, and differences to other versions" } }
                dt { "License" }
                dd {
                    @if version.licenses.is_empty() { span.none { "none named" } }
                    @else { bdi { (version.licenses.join(", ")) } }
                }
                dt { "Tarball" } dd { (bytes(version.bytes)) ", stored " (version.storage) }
                dt { "Outer checksum" } dd { code { (version.outer) } }
                dt { "Inner checksum" } dd { code { (version.inner) } }
                @for (name, text) in &version.facts { dt { (name) } dd { bdi { (text) } } }
            }
            (requirements(links, version))
            @if !version.files.is_empty() {
                details {
                    summary { (count(version.files.len() + version.more_files, "file", "files")) }
                    ul.files { @for file in &version.files { li { code { bdi { (file) } } } } }
                    @if version.more_files > 0 { p.dim { "… and " (version.more_files) " more" } }
                }
            }
        }
    }
}

fn requirements(links: &Links<'_>, version: &StoredVersion) -> Markup {
    let rows = html! {
        thead { tr { th scope="col" { "Requires" } th scope="col" { "Version" } th scope="col" { "Notes" } } }
        tbody {
            @for required in &version.requirements {
                tr {
                    th scope="row" {
                        @if required.is_stored { (package_link(links, &required.id, &required.id.to_string())) }
                        @else { (required.id) }
                    }
                    td { code { bdi { (required.requirement) } } }
                    td {
                        @if required.is_optional { span.badge.dim { "optional" } " " }
                        @if !required.is_stored { span.badge.dim { "not in the mirror" } }
                    }
                }
            }
        }
    };
    html! { @if !version.requirements.is_empty() { (table("Requirements", &rows)) } }
}

fn needed_by(links: &Links<'_>, details: &PackageDetails) -> Markup {
    html! {
        @if details.needed_by.is_empty() { p.none { "No other stored release requires it." } }
        @else {
            ul.files {
                @for release in &details.needed_by { li { (package_link(links, &release.entry(), &release.to_string())) } }
            }
        }
        @if details.more_needing > 0 { p.dim { "… and " (details.more_needing) " more" } }
    }
}

fn listed(details: &PackageDetails) -> Markup {
    html! {
        @if details.listed.is_empty() { p.none { "None that the mirror knows of." } }
        @else {
            details {
                summary { (count(details.listed.len() + details.more_listed, "version", "versions")) " that the mirror does not have" }
                ul.files {
                    @for version in &details.listed {
                        li {
                            (version.version)
                            @if let Some(day) = &version.published { " " span.dim { (day) } }
                            @for note in &version.badges { " " (badge(note)) }
                        }
                    }
                }
                @if details.more_listed > 0 { p.dim { "… and " (details.more_listed) " older ones" } }
            }
        }
    }
}

fn history(links: &Links<'_>, details: &PackageDetails) -> Markup {
    html! {
        @if details.history.is_empty() { p.none { "Nothing is known." } }
        @else {
            ul {
                @for commit in &details.history {
                    @for found in &commit.changes {
                        li {
                            time datetime=(commit.day) { (commit.day) } " " code.dim { (commit.commit) } " "
                            (change(links, found, false))
                        }
                    }
                }
            }
        }
        @if let Some(note) = &details.history_note { p.dim { (note) } }
    }
}
