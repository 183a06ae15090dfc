//! The page that is shown while the mirror is being read for the first time.

use maud::html;

use super::Address;
use super::Frame;
use super::layout::page;

/// Returns the page at an address that cannot be made yet, because the mirror is being read.
pub fn waiting(frame: &Frame, address: &Address) -> String {
    let content = html! {
        h1 { "The mirror is being read" }
        p { "This takes a moment after the server started, or after the mirror changed. Load this page again." }
    };
    page(frame, "The mirror is being read", address, address, &content)
}
