//! What all pages have in common.

use maud::{DOCTYPE, Markup, html};

use super::link::Links;
use super::{Address, PackageQuery};

/// What a page says about the mirror that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The name of the project: that of its folder.
    pub project: String,
    /// The mirror branch, as people name it.
    pub branch: String,
    /// The first digits of the commit that the page was made from.
    pub commit: String,
    /// The day of this commit.
    pub day: String,
}

/// Returns the sections of the navigation.
fn sections() -> [(&'static str, Address); 5] {
    [
        ("Overview", Address::Overview),
        ("Packages", Address::Packages(PackageQuery::default())),
        ("Git", Address::Repositories),
        ("Stored", Address::Stored),
        ("History", Address::History { page: 1 }),
    ]
}

/// Returns a complete page. `section` is the address of the section that it belongs to.
pub(super) fn page(frame: &Frame, title: &str, address: &Address, section: &Address, content: &Markup) -> String {
    let links = Links::of(address);
    let about = html! {
        "Mirror branch " code { (frame.branch) } " at commit " code { (frame.commit) } " of " (frame.day) "."
    };
    document(&links, &format!("{title} · {}", frame.project), Some(section), content, &about)
}

/// Returns a document.
pub(super) fn document(
    links: &Links,
    title: &str,
    section: Option<&Address>,
    content: &Markup,
    about: &Markup,
) -> String {
    let is_current = |address: &Address| section.is_some_and(|section| section == address);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="stylesheet" href=(links.to(&Address::Style));
                link rel="icon" type="image/svg+xml" href=(links.to(&Address::Icon));
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header {
                    a.name href=(links.to(&Address::Overview)) { "git-hexmirror" }
                    nav aria-label="Sections" {
                        ul {
                            @for (name, address) in &sections() {
                                li {
                                    @if is_current(address) { a href=(links.to(address)) aria-current="page" { (name) } }
                                    @else { a href=(links.to(address)) { (name) } }
                                }
                            }
                        }
                    }
                }
                main #main tabindex="-1" { (content) }
                footer { p { (about) } }
            }
        }
    }
    .into_string()
}
