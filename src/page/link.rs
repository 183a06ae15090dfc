//! Links.

use maud::{Markup, Render, html};

use super::{Address, Frame, Site};
use crate::model::shortened;

/// The longest address of another server that is linked to, in bytes.
const MAX_ADDRESS: usize = 500;

/// Links from one page to others, relative to where it is, so that they work below any prefix.
#[derive(Debug, Clone)]
pub(super) struct Links<'a> {
    /// The relative address of the root.
    root: String,
    site: Option<&'a Site>,
}

impl<'a> Links<'a> {
    /// Creates the links of the page at an address.
    pub fn of(frame: &'a Frame, address: &Address) -> Self {
        match frame.site.as_deref() {
            None => Self::at_depth(address.depth()),
            site => Self { root: "../".repeat(address.file_name().matches('/').count()), site },
        }
    }

    /// Creates the links of a page that is below this many folders of the server.
    pub fn at_depth(depth: usize) -> Self {
        Self { root: "../".repeat(depth), site: None }
    }

    /// Returns the value of `href` that leads to a page.
    pub fn to(&self, address: &Address) -> String {
        match self.site {
            Some(site) => format!("{}{}", self.root, site.link(address)),
            None => {
                let relative = format!("{}{address}", self.root);
                // An empty reference leads to the page itself.
                if relative.is_empty() { "./".to_owned() } else { relative }
            }
        }
    }

    /// Returns whether a page can be linked to. A static site does not have all pages.
    pub fn has(&self, address: &Address) -> bool {
        self.site.is_none_or(|site| site.has(address))
    }

    /// Returns a link to a page, or only its text if the page cannot be linked to.
    pub fn link(&self, address: &Address, text: &impl Render) -> Markup {
        html! {
            @if self.has(address) { a href=(self.to(address)) { (text) } }
            @else { (text) }
        }
    }

    /// Returns whether the page is a file, which no server answers.
    pub fn is_static(&self) -> bool {
        self.site.is_some()
    }
}

/// Links to another server. Addresses other than those of web pages are shown only, since `javascript:…` is one as well, and so are
/// very long ones. A link leads to the whole address or is none.
pub(super) fn outside(address: &str, text: &str) -> Markup {
    let lower = address.trim().to_ascii_lowercase();
    let is_web = ["http://", "https://"].iter().any(|scheme| lower.starts_with(scheme)) && lower.len() <= MAX_ADDRESS;
    let shown = shortened(address);
    html! {
        @if is_web { a href=(address.trim()) rel="noreferrer noopener external" { bdi { (text) } } }
        @else if text == shown { bdi { (text) } }
        @else { bdi { (text) } " (" bdi { (shown) } ")" }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn links_are_relative_to_the_page_that_has_them() {
        let mut frame = Frame::default();
        let link = |frame: &Frame, from: &Address, to: &Address| Links::of(frame, from).to(to);
        assert_eq!(link(&frame, &Address::Overview, &Address::Overview), "./");
        assert_eq!(link(&frame, &Address::Overview, &Address::Style), "-/style.css");
        assert_eq!(link(&frame, &Address::Style, &Address::Overview), "../");
        frame.site = Some(Arc::default());
        assert_eq!(link(&frame, &Address::Overview, &Address::Overview), "index.html");
        assert_eq!(link(&frame, &Address::Stored, &Address::Overview), "../index.html");
        assert_eq!(link(&frame, &Address::Stored, &Address::Repositories), "../-/git.html");
        assert_eq!(Links::at_depth(3).to(&Address::Style), "../../../-/style.css");
    }

    #[test]
    fn only_web_pages_are_linked_to() {
        let link = outside("HTTPS://x.example/\"><script>", "<b>");
        assert_eq!(
            link.into_string(),
            "<a href=\"HTTPS://x.example/&quot;&gt;&lt;script&gt;\" rel=\"noreferrer noopener external\"><bdi>&lt;b&gt;</bdi></a>"
        );
        for address in
            ["javascript:alert(1)", " javascript:x//https://", "data:text/html,x", "//x.example", "", "ftp://x"]
        {
            assert!(!outside(address, "x").into_string().contains("href"), "{address}");
        }
        let long = format!("https://x.example/{}", "y".repeat(400));
        let html = outside(&long, &shortened(&long)).into_string();
        assert!(html.contains(&format!("href=\"{long}\"")) && html.contains('…'), "{html}");
        let longer = long.repeat(2);
        let html = outside(&longer, &shortened(&longer)).into_string();
        assert!(!html.contains("href") && html.len() < 300, "{html}");
    }
}
