//! What all pages say about the mirror.

use std::sync::Arc;

use super::Site;

/// What a page says about the mirror that it is about.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// The name of the project: that of its folder.
    pub project: String,
    /// The mirror branch, as people name it.
    pub branch: String,
    /// The first digits of the commit that the page was made from.
    pub commit: String,
    /// The day of this commit.
    pub day: String,
    /// The site that the page is a file of. `None` if a server answers requests for it.
    pub site: Option<Arc<Site>>,
}
