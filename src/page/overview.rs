//! The first page.

use maud::{Markup, html};

use super::layout::page;
use super::link::Links;
use super::part::{change, finding, package_link, table};
use super::{Address, Change, Finding, Frame, Tone};
use crate::model::count;

/// What the first page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The locks in force.
    pub locks: Vec<LockState>,
    /// The number of further locks.
    pub more_locks: usize,
    /// What is stored: names with numbers and sizes.
    pub contents: Vec<(&'static str, String)>,
    /// When upstream was last asked for all registry entries.
    pub age: String,
    /// The number of pinned releases that the mirror has.
    pub judged: usize,
    /// What people should know about pinned releases. `None` if it is not known yet.
    pub findings: Option<Vec<Finding>>,
    /// The number of further findings.
    pub more_findings: usize,
    /// The newest commits of the mirror, newest first.
    pub updates: Vec<Update>,
    /// What clients need: names with commands to copy.
    pub commands: Vec<(&'static str, String)>,
}

/// Whether the mirror has what a lock pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockState {
    /// The path of the lock.
    pub file: String,
    /// What it pins.
    pub pins: String,
    /// What the mirror lacks.
    pub lacks: Vec<String>,
    /// The number of further things that it lacks.
    pub more: usize,
    /// What cannot be mirrored, which does not matter for being fresh.
    pub not_mirrored: Vec<String>,
    /// Why the lock cannot be read, if so.
    pub problem: Option<String>,
}

/// What a commit of the mirror branch changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The day.
    pub day: String,
    /// The first digits of the commit.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// The first changes.
    pub changes: Vec<Change>,
    /// The number of further changes.
    pub more: usize,
    /// Says why the changes are not known, if so.
    pub unknown: Option<&'static str>,
}

impl LockState {
    fn is_stale(&self) -> bool {
        self.problem.is_none() && !self.lacks.is_empty()
    }
}

/// Returns the first page.
pub fn overview(frame: &Frame, overview: &Overview) -> String {
    let links = Links::of(frame, &Address::Overview);
    let content = html! {
        h1 { "The mirror of " bdi { (frame.project) } }
        (freshness(overview))
        section aria-labelledby="findings" {
            h2 #findings { "Findings" }
            (findings(&links, overview))
        }
        section aria-labelledby="contents" {
            h2 #contents { "What is stored" }
            dl.facts {
                @for (name, text) in &overview.contents { dt { (name) } dd { (text) } }
                dt { "Registry entries" } dd { (overview.age) }
            }
        }
        section aria-labelledby="updates" {
            h2 #updates { "Last updates" }
            @for update in &overview.updates { h3 { (update_title(update)) } (an_update(&links, update)) }
            @if overview.updates.is_empty() { p.none { "The mirror has no history." } }
        }
        section aria-labelledby="use" {
            h2 #use { "Use this mirror" }
            @for (name, command) in &overview.commands {
                h3 { (name) }
                pre tabindex="0" { code { (command) } }
            }
        }
    };
    page(frame, "Overview", &Address::Overview, &Address::Overview, &content)
}

fn freshness(overview: &Overview) -> Markup {
    let stale = overview.locks.iter().filter(|lock| lock.is_stale()).count();
    let unread = overview.locks.iter().filter(|lock| lock.problem.is_some()).count();
    let all = count(overview.locks.len() + overview.more_locks, "lock", "locks");
    html! {
        @if overview.locks.is_empty() {
            p.note.dim { "The project has no lock, so nothing says what the mirror must have." }
        } @else if stale == 0 && unread == 0 {
            p.note.(Tone::Good.class()) { "Fresh: the mirror has everything that the locks pin." }
        }
        @if stale > 0 {
            p.note.(Tone::Bad.class()) {
                "Not fresh: the mirror lacks what " (stale) " of " (all) " " (if stale == 1 { "pins" } else { "pin" }) ". Run "
                code { "git hexmirror update" } "."
            }
        }
        @if unread > 0 {
            p.note.(Tone::Bad.class()) {
                (unread) " of " (all) " cannot be read, so it is not known whether the mirror has everything. Correct "
                (if unread == 1 { "it" } else { "them" }) "; nothing is updated until then."
            }
        }
        @if !overview.locks.is_empty() {
            (table("The locks", &html! {
                thead { tr { th scope="col" { "Lock" } th scope="col" { "Pins" } th scope="col" { "State" } } }
                tbody { @for lock in &overview.locks { (a_lock(lock)) } }
            }))
        }
        @if overview.more_locks > 0 { p.dim { "… and " (overview.more_locks) " more locks" } }
    }
}

fn a_lock(lock: &LockState) -> Markup {
    html! {
        tr {
            th scope="row" { bdi { (lock.file) } }
            td { (lock.pins) }
            td {
                @if let Some(problem) = &lock.problem {
                    span.badge.bad { "cannot be read" } " " bdi { (problem) }
                } @else if lock.lacks.is_empty() {
                    span.badge.good { "fresh" }
                } @else {
                    span.badge.bad { "not fresh" } " lacks"
                    ul { @for item in &lock.lacks { li { bdi { (item) } } } }
                    @if lock.more > 0 { "… and " (lock.more) " more" }
                }
                @if !lock.not_mirrored.is_empty() {
                    p.dim { "Cannot be mirrored: " bdi { (lock.not_mirrored.join(", ")) } }
                }
            }
        }
    }
}

fn findings(links: &Links<'_>, overview: &Overview) -> Markup {
    html! {
        @match &overview.findings {
            None => { p.none { "The registry entries are being read; load this page again." } }
            Some(_) if overview.judged == 0 => {
                p.none { "The mirror has no release that a lock pins, so nothing is known about any." }
            }
            Some(found) if found.is_empty() => {
                p { "No pinned release is retired or has a known vulnerability, as far as the mirror knows." }
            }
            Some(found) => {
                ul {
                    @for found in found {
                        li {
                            (package_link(links, &found.release.entry(), &found.release.to_string())) " " (finding(found))
                        }
                    }
                }
                @if overview.more_findings > 0 {
                    p.dim { "… and " (overview.more_findings) " more; " code { "git hexmirror audit" } " lists them" }
                }
            }
        }
    }
}

/// Returns what a commit of the mirror changed, without its title.
pub(super) fn an_update(links: &Links<'_>, update: &Update) -> Markup {
    html! {
        @if let Some(unknown) = update.unknown { p.none { (unknown) } }
        @if !update.changes.is_empty() {
            ul.files { @for found in &update.changes { li { (change(links, found, true)) } } }
        }
        @if update.more > 0 { p.dim { "… and " (update.more) " more changes" } }
    }
}

/// Returns the title of a commit of the mirror.
pub(super) fn update_title(update: &Update) -> Markup {
    html! { time datetime=(update.day) { (update.day) } " " bdi { (update.subject) } " " code.dim { (update.commit) } }
}
