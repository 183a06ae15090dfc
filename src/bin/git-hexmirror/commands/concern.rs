//! The words for what an audit finds.

use git_hexmirror::model::shortened;
use git_hexmirror::plan::Concern;

/// Describes a concern in one line.
pub fn describe(concern: &Concern) -> String {
    match concern {
        Concern::Vulnerable(advisory) if !advisory.html_url.is_empty() => {
            format!("{} ({})", concern.text(), shortened(&advisory.html_url))
        }
        _ => concern.text(),
    }
}
