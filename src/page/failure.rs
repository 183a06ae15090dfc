//! The page for an error.

use maud::html;

use super::layout::{document, page};
use super::link::Links;
use super::{Address, Frame};

/// Returns the page for an error at a request's path, which need not be valid. `status` is the number and name of the HTTP
/// status, `text` says what is wrong.
pub fn failure(path: &str, status: &str, text: &str) -> String {
    // A browser resolves a relative address against the folder of the path, which ends at the last slash.
    let links = Links::at_depth(path.matches('/').count().saturating_sub(1));
    let content = html! {
        h1 { (status) }
        p { (text) }
    };
    document(&links, status, None, &content, &html! { "A read-only mirror of Hex packages and git repositories." })
}

/// Returns the page at an address of a site that has nothing to show. `text` says what is missing, without a final full stop.
pub fn missing(frame: &Frame, address: &Address, text: &str) -> String {
    let content = html! {
        h1 { "Not available" }
        p { (text) "." }
    };
    page(frame, "Not available", address, address, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_escaped_and_finds_its_style() {
        for (path, style) in [
            ("/x", "\"-/style.css\""),
            ("/a/b/", "\"../../-/style.css\""),
            ("//a", "\"../-/style.css\""),
            ("", "\"-/style.css\""),
        ] {
            let html = failure(path, "404 Not Found", "<script>x</script> & \"y\"");
            assert!(html.contains(style), "{path}: {html}");
            assert!(html.contains("<p>&lt;script&gt;x&lt;/script&gt; &amp; &quot;y&quot;</p>"), "{html}");
        }
    }
}
