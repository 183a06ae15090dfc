//! The list of packages.

use maud::{Markup, html};

use super::layout::page;
use super::link::Links;
use super::part::{badge, package_link, table};
use super::{Address, Badge, Frame, PackageQuery};
use crate::model::{EntryId, bytes, count};

/// A page of the list of packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageList {
    /// What the list is narrowed to.
    pub query: PackageQuery,
    /// The packages of this page.
    pub rows: Vec<PackageRow>,
    /// The number of packages that were found.
    pub found: usize,
    /// The number of pages that they fill, at least one.
    pub pages: usize,
    /// The licenses to choose from.
    pub licenses: Vec<String>,
    /// The locks to choose from.
    pub locks: Vec<String>,
    /// Whether retirements, advisories and licenses are known yet.
    pub is_complete: bool,
    /// Where the packages of each first letter begin, for a list that cannot be searched.
    pub letters: Vec<Letter>,
}

/// Where the packages with a first letter begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letter {
    /// The letter.
    pub letter: char,
    /// The page, counted from 0.
    pub page: usize,
    /// The row of the page, counted from 0.
    pub row: usize,
}

/// A package of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRow {
    /// The package.
    pub id: EntryId,
    /// Its stored versions, highest first.
    pub versions: String,
    /// Its licenses.
    pub licenses: String,
    /// The size of its tarballs in bytes.
    pub bytes: u64,
    /// The number of locks that pin it.
    pub locks: usize,
    /// What is to be said about it.
    pub badges: Vec<Badge>,
}

/// Returns a page of the list of packages.
pub fn packages(frame: &Frame, list: &PackageList) -> String {
    let address = Address::Packages(list.query.clone());
    let links = Links::of(frame, &address);
    let content = html! {
        h1 { "Packages" }
        @if links.is_static() { (letters(&links, list)) } @else { (form(&links, list)) }
        @if !list.is_complete {
            p.note.warn role="status" {
                "The registry entries and the metadata are being read. Until then, retirements, advisories and licenses are not \
                 shown; load this page again."
            }
        }
        p role="status" { (count(list.found, "package", "packages")) }
        @if list.rows.is_empty() { p.none { "Nothing was found." } } @else { (rows(&links, list)) }
        (pages(&links, list))
    };
    page(frame, "Packages", &address, &Address::Packages(PackageQuery::default()), &content)
}

fn form(links: &Links<'_>, list: &PackageList) -> Markup {
    let query = &list.query;
    let flags = [
        ("outdated", "outdated", query.outdated),
        ("retired", "retired", query.retired),
        ("advisories", "with advisories", query.advisories),
        ("tarball", "stored as tarball", query.tarball),
    ];
    html! {
        form.search role="search" method="get" action=(links.to(&Address::Packages(PackageQuery::default()))) {
            label { "Name" input type="search" name="q" value=(query.text) maxlength="200" size="20"; }
            (choice("License", "license", &query.license, &list.licenses))
            @if list.locks.len() > 1 { (choice("Pinned by", "lock", &query.lock, &list.locks)) }
            fieldset {
                legend { "Only packages that are" }
                @for (name, text, is_set) in flags {
                    label { input type="checkbox" name=(name) value="1" checked[is_set]; (text) }
                }
            }
            button { "Search" }
        }
    }
}

/// Returns a list to choose from, with the current choice even if it is not among them.
fn choice(label: &str, name: &str, chosen: &str, all: &[String]) -> Markup {
    html! {
        label {
            (label)
            select name=(name) {
                option value="" { "any" }
                @if !chosen.is_empty() && !all.iter().any(|option| option == chosen) {
                    option value=(chosen) selected { (chosen) }
                }
                @for option in all { option value=(option) selected[option == chosen] { (option) } }
            }
        }
    }
}

/// Returns the links to the first letters of names.
fn letters(links: &Links<'_>, list: &PackageList) -> Markup {
    let to = |page: usize| links.to(&Address::Packages(list.query.at(page)));
    html! {
        @if !list.letters.is_empty() {
            nav aria-label="First letters" {
                ul { @for Letter { letter, page, .. } in &list.letters {
                    li { a href={ (to(*page)) "#letter-" (letter) } { (letter) } }
                } }
            }
        }
    }
}

fn rows(links: &Links<'_>, list: &PackageList) -> Markup {
    let letter = |row: usize| {
        let letter = list.letters.iter().find(|letter| letter.page == list.query.page && letter.row == row);
        letter.map(|letter| format!("letter-{}", letter.letter))
    };
    table(
        "Packages",
        &html! {
            thead {
                tr {
                    th scope="col" { "Package" } th scope="col" { "Stored versions" } th scope="col" { "Notes" }
                    th scope="col" { "License" } th.number scope="col" { "Locks" } th.number scope="col" { "Size" }
                }
            }
            tbody {
                @for (index, row) in list.rows.iter().enumerate() {
                    tr id=[letter(index)] {
                        th scope="row" { (package_link(links, &row.id, &row.id.to_string())) }
                        td { (row.versions) }
                        td { @for note in &row.badges { (badge(note)) " " } }
                        td.brief { bdi { (row.licenses) } }
                        td.number { (row.locks) }
                        td.number { (bytes(row.bytes)) }
                    }
                }
            }
        },
    )
}

fn pages(links: &Links<'_>, list: &PackageList) -> Markup {
    let (page, last) = (list.query.page, list.pages.saturating_sub(1));
    let to = |page: usize| links.to(&Address::Packages(list.query.at(page)));
    html! {
        @if last > 0 {
            nav.pages aria-label="Pages of the list" {
                ul {
                    @if page > 0 {
                        li { a href=(to(0)) { "First" } }
                        li { a href=(to(page - 1)) rel="prev" { "Previous" } }
                    }
                    li aria-current="page" { "Page " (page + 1) " of " (last + 1) }
                    @if page < last {
                        li { a href=(to(page + 1)) rel="next" { "Next" } }
                        li { a href=(to(last)) { "Last" } }
                    }
                }
            }
        }
    }
}
