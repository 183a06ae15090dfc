//! The pages about the history of the mirror, and about what changed between two commits of the project.

use maud::html;

use super::compare::numbered;
use super::layout::page;
use super::link::Links;
use super::overview::{an_update, update_title};
use super::part::{change, trail};
use super::{Address, Change, Frame, Update};
use crate::model::count;

/// What the page about the history shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorHistory {
    /// The page, from 1.
    pub page: usize,
    /// The number of pages.
    pub pages: usize,
    /// The commits of this page, newest first.
    pub commits: Vec<MirrorCommit>,
    /// Whether older commits are missing from this clone.
    pub is_cut: bool,
}

/// A commit of the mirror branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorCommit {
    /// What it changed.
    pub update: Update,
    /// The commit of the project that it was made for, if that is known.
    pub project: Option<String>,
    /// What changed in the locks since the commit of the project before.
    pub changes: Option<Address>,
}

/// What changed between two commits of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectChanges {
    /// The commits as typed: `REV..REV`.
    pub range: String,
    /// Both commits.
    pub commits: [String; 2],
    /// The changes, sorted by name, each with the name of the dependency.
    pub changes: Vec<(String, Change)>,
}

/// Returns the page about the history.
pub fn history(frame: &Frame, history: &MirrorHistory) -> String {
    let address = Address::History { page: history.page };
    let links = Links::of(frame, &address);
    let turn = numbered(history.page, history.pages, &|page| links.to(&Address::History { page }));
    let content = html! {
        (trail(&links, &[("Overview", Address::Overview)], "History"))
        h1 { "History of the mirror" }
        @if !links.is_static() {
            form.search action=(links.to(&Address::History { page: 1 })) method="get" {
                label { "From" input name="from" required maxlength="200" autocapitalize="none" spellcheck="false" placeholder="main~5"; }
                label { "To" input name="to" required maxlength="200" autocapitalize="none" spellcheck="false" value="HEAD"; }
                button { "What changed in the project" }
            }
        }
        (turn)
        @for commit in &history.commits {
            section {
                h2 { (update_title(&commit.update)) }
                (an_update(&links, &commit.update))
                @if let Some(project) = &commit.project {
                    p.dim {
                        "Made for the project's commit " bdi { (project) }
                        @if let Some(changes) = &commit.changes { " · " a href=(links.to(changes)) { "what changed in the locks since the update before" } }
                    }
                }
            }
        }
        @if history.is_cut { p.note.warn { "This clone is shallow: older commits exist." } }
        (turn)
    };
    page(frame, "History", &address, &Address::History { page: 1 }, &content)
}

/// Returns the page about what changed between two commits of the project.
pub fn project_changes(frame: &Frame, changes: &ProjectChanges) -> String {
    let address = Address::Changes(changes.range.clone());
    let links = Links::of(frame, &address);
    let section = Address::History { page: 1 };
    let [from, to] = &changes.commits;
    let content = html! {
        (trail(&links, &[("Overview", Address::Overview), ("History", section.clone())], &changes.range))
        h1 { "What changed in " bdi { (changes.range) } }
        dl.facts { dt { "From" } dd { bdi { (from) } } dt { "To" } dd { bdi { (to) } } }
        p { (count(changes.changes.len(), "dependency", "dependencies")) " changed in the locks." }
        @if !changes.changes.is_empty() {
            ul { @for (name, found) in &changes.changes { li { bdi { (name) } " " (change(&links, found, false)) } } }
        }
    };
    page(frame, &format!("What changed in {}", changes.range), &address, &section, &content)
}
