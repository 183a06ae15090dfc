//! Links.

use maud::{Markup, html};

use super::Address;

/// Links from one page to others, relative to where it is, so that they work below any prefix.
#[derive(Debug, Clone)]
pub(super) struct Links {
    /// The relative address of the server's root.
    root: String,
}

impl Links {
    /// Creates the links of the page at an address.
    pub fn of(address: &Address) -> Self {
        Self::at_depth(address.depth())
    }

    /// Creates the links of a page that is below this many folders of the server.
    pub fn at_depth(depth: usize) -> Self {
        Self { root: "../".repeat(depth) }
    }

    /// Returns the value of `href` that leads to a page.
    pub fn to(&self, address: &Address) -> String {
        let relative = format!("{}{address}", self.root);
        // An empty reference leads to the page itself.
        if relative.is_empty() { "./".to_owned() } else { relative }
    }
}

/// Links to another server. Addresses other than those of web pages are shown only, since `javascript:…` is one as well.
pub(super) fn outside(address: &str, text: &str) -> Markup {
    let lower = address.trim().to_ascii_lowercase();
    let is_web = ["http://", "https://"].iter().any(|scheme| lower.starts_with(scheme));
    html! {
        @if is_web { a href=(address.trim()) rel="noreferrer noopener external" { bdi { (text) } } }
        @else { bdi { (text) } " (" bdi { (address) } ")" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative_to_the_page_that_has_them() {
        assert_eq!(Links::of(&Address::Overview).to(&Address::Overview), "./");
        assert_eq!(Links::of(&Address::Overview).to(&Address::Style), "-/style.css");
        assert_eq!(Links::of(&Address::Style).to(&Address::Overview), "../");
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
    }
}
