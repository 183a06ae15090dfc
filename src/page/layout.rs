//! What all pages have in common.

use maud::{DOCTYPE, Markup, html};

use super::invisible::revealed;
use super::link::Links;
use super::{Address, Frame, PackageQuery};

/// The policy of a page that is a file: as strict as the one that the server sends. `file:` is for pages that are opened
/// without a server.
const POLICY: &str =
    "default-src 'none'; style-src 'self' file:; img-src 'self' file:; form-action 'none'; base-uri 'none'";

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
    let links = Links::of(frame, address);
    let about = html! {
        // Otherwise every update of the mirror would change all files of a site.
        @if links.is_static() && *address != Address::Overview {
            "Mirror branch " code { (frame.branch) } ". " a href=(links.to(&Address::Overview)) { "The overview" } " names its commit."
        } @else {
            "Mirror branch " code { (frame.branch) } " at commit " code { (frame.commit) } " of " (frame.day) "."
        }
    };
    document(&links, &format!("{title} · {}", frame.project), Some(section), content, &about)
}

/// Returns a document.
pub(super) fn document(
    links: &Links<'_>,
    title: &str,
    section: Option<&Address>,
    content: &Markup,
    about: &Markup,
) -> String {
    let is_current = |address: &Address| section.is_some_and(|section| section == address);
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if links.is_static() {
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="referrer" content="no-referrer";
                }
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
    .into_string();
    revealed(html)
}
