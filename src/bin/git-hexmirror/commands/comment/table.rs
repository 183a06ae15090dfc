//! The table of a comment: one row for each changed dependency.

use git_hexmirror::model::{count, shortened};
use git_hexmirror::ops::ReviewedChange;
use git_hexmirror::plan::{LockChange, Locked, compare_page};

use super::text::code;

/// The head of the table.
pub const HEAD: &str = "| change | dependency | from | to | code |\n|---|---|---|---|---|\n";

/// Returns the row of a change.
pub fn row(reviewed: &ReviewedChange) -> String {
    let change = &reviewed.change;
    let side = |locked: Option<&Locked>| locked.map(pin).unwrap_or_default();
    format!(
        "| {} | {} | {} | {} | {} |\n",
        change.kind().as_str(),
        code(change.name()),
        side(change.before()),
        side(change.after()),
        code_of(reviewed)
    )
}

/// Describes what is locked, without its name.
fn pin(locked: &Locked) -> String {
    match locked {
        Locked::Release(pin) => {
            let repository = pin.id.repository.as_str();
            let of = if repository == "hexpm" { String::new() } else { format!(" {}", code(repository)) };
            code(&pin.id.version.to_string()) + &of
        }
        Locked::Revision(pin) => code(&pin.revision.short()),
        Locked::File(pin) => code(&pin.id.checksum.to_string()[..10]),
        Locked::Target(_) => "yes".to_owned(),
        Locked::Unmirrored(unmirrored) => code(&shortened(unmirrored.revision.as_deref().unwrap_or("no revision"))),
        Locked::Unknown(unknown) => code(&shortened(&unknown.kind)),
    }
}

/// Describes the size of the change of the code.
fn code_of(reviewed: &ReviewedChange) -> String {
    let page = compared(&reviewed.change).map(|page| format!("[compare](<{page}>)"));
    let size = match &reviewed.code {
        Some(code) if code.files == 0 => Some("same code".to_owned()),
        Some(code) => Some(format!("{}, +{} −{}", count(code.files, "file", "files"), code.added, code.removed)),
        None if reviewed.is_cut => Some("not compared".to_owned()),
        None if reviewed.is_lacking => Some("not in the mirror".to_owned()),
        None => None,
    };
    size.into_iter().chain(page).collect::<Vec<_>>().join(", ")
}

/// Returns the forge's page that compares two revisions of a repository.
fn compared(change: &LockChange) -> Option<String> {
    match (change.before(), change.after()) {
        (Some(Locked::Revision(before)), Some(Locked::Revision(after)))
            if before.url.address() == after.url.address() && before.revision != after.revision =>
        {
            compare_page(after.url.address(), before.revision, after.revision)
        }
        _ => None,
    }
}
