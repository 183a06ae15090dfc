//! What several pages have.

use maud::{Markup, html};

use super::Address;
use super::link::{Links, outside};
use crate::model::{EntryId, ReleaseId};

/// How good or bad something is, which decides its colour. Its text says it as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// All is well.
    Good,
    /// Somebody should look at it.
    Warning,
    /// Somebody should do something about it.
    Bad,
    /// Neither.
    Neutral,
}

impl Tone {
    /// Returns the class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warn",
            Self::Bad => "bad",
            Self::Neutral => "dim",
        }
    }
}

/// A word about something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badge {
    /// How good or bad it is.
    pub tone: Tone,
    /// The word.
    pub text: String,
}

/// Something that people should know about a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The release.
    pub release: ReleaseId,
    /// How bad it is.
    pub tone: Tone,
    /// The rule that it breaks, as `audit` names it.
    pub rule: &'static str,
    /// What it is.
    pub text: String,
    /// The address of a web page about it, as the registry names it.
    pub url: Option<String>,
}

/// A change that a commit of the mirror made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// How to show it: good for an addition, bad for a removal.
    pub tone: Tone,
    /// `added`, `updated` or `removed`.
    pub word: &'static str,
    /// What changed, without the package if there is one.
    pub text: String,
    /// The package that changed, if it is one.
    pub package: Option<EntryId>,
    /// The page about it: a difference, or sources.
    pub link: Option<Address>,
}

/// Returns a badge.
pub(super) fn badge(badge: &Badge) -> Markup {
    html! { span.badge.(badge.tone.class()) { (badge.text) } }
}

/// Returns a table that scrolls by itself if it is wider than the window. `label` says what it lists.
pub(super) fn table(label: &str, rows: &Markup) -> Markup {
    html! { div.wide role="region" aria-label=(label) tabindex="0" { table { (rows) } } }
}

/// Returns the way from the overview to a page: the sections with their addresses, without the page itself.
pub(super) fn trail(links: &Links<'_>, sections: &[(&str, Address)], own: &str) -> Markup {
    html! {
        nav.trail aria-label="Position" {
            ul {
                @for (name, address) in sections { li { a href=(links.to(address)) { (name) } } }
                li aria-current="page" { (own) }
            }
        }
    }
}

/// Returns a link to a package. `text` is what is linked.
pub(super) fn package_link(links: &Links<'_>, id: &EntryId, text: &str) -> Markup {
    links.link(&Address::Package(id.clone()), &text)
}

/// Returns what a finding says.
pub(super) fn finding(finding: &Finding) -> Markup {
    let Finding { tone, rule, text, url, .. } = finding;
    html! {
        span.badge.(tone.class()) { (rule) } " " bdi { (text) }
        @if let Some(url) = url { " " (outside(url, "more")) }
    }
}

/// Returns a change. `is_named` decides whether its package is.
pub(super) fn change(links: &Links<'_>, change: &Change, is_named: bool) -> Markup {
    html! {
        span.badge.(change.tone.class()) { (change.word) } " "
        @if let Some(package) = change.package.as_ref().filter(|_| is_named) {
            (package_link(links, package, &package.to_string())) " "
        }
        @match &change.link {
            Some(link) => { (links.link(link, &html! { bdi { (change.text) } })) }
            None => { bdi { (change.text) } }
        }
    }
}
