//! Prints what changed between two states of the locks.

use git_hexmirror::ops::LockDiff;
use git_hexmirror::plan::{ChangeKind, LockChange, Locked};

use crate::output::{BAD, CHANGED, GOOD, Output, styled};

/// Prints the changes, a line each.
pub fn print(output: &Output, diff: &LockDiff) -> std::io::Result<()> {
    diff.changes.iter().try_for_each(|change| output.result(line(change)))?;
    if diff.changes.is_empty() {
        let (before, after) = (diff.between.before.shown(), diff.between.after.shown());
        output.say(format!("no dependency changed between {before} and {after}"));
    }
    Ok(())
}

fn line(change: &LockChange) -> String {
    let kind = change.kind();
    let style = match kind {
        ChangeKind::Added => GOOD,
        ChangeKind::Removed | ChangeKind::Checksum => BAD,
        ChangeKind::Raised | ChangeKind::Lowered | ChangeKind::Moved | ChangeKind::Source => CHANGED,
    };
    let word = styled(style, format!("{:<8}", kind.as_str()));
    let name = printable(change.name());
    match (kind, change.before(), change.after()) {
        (ChangeKind::Checksum, Some(before), Some(after)) => {
            format!("  {word} {name} {} ({} → {})", shown(after), checksum(before), checksum(after))
        }
        // A move within the same place: that is said once.
        (ChangeKind::Moved, Some(before), Some(Locked::Revision(after))) => {
            format!("  {word} {name} {} → {}", shown(before), after.revision.short())
        }
        (_, Some(before), Some(after)) => format!("  {word} {name} {} → {}", shown(before), shown(after)),
        (_, before, after) => format!("  {word} {name} {}", before.or(after).map(shown).unwrap_or_default()),
    }
}

/// Returns what is locked, without its name.
pub fn shown(locked: &Locked) -> String {
    match locked {
        Locked::Release(pin) if pin.id.repository.as_str() == "hexpm" => pin.id.version.to_string(),
        Locked::Release(pin) => format!("{} ({})", pin.id.version, pin.id.repository),
        Locked::Revision(pin) => format!("{} {}", pin.url.address(), pin.revision.short()),
        Locked::Unmirrored(unmirrored) => {
            let revision = unmirrored.revision.as_deref().unwrap_or("without a revision");
            printable(&format!("{} {revision}", unmirrored.url))
        }
        Locked::Unknown(ignored) => printable(&format!("of the unknown kind {}", ignored.kind)),
    }
}

/// Returns what is locked, with its name.
pub fn named(locked: &Locked) -> String {
    format!("{} {}", printable(locked.name()), shown(locked))
}

fn checksum(locked: &Locked) -> String {
    let Locked::Release(pin) = locked else { return String::new() };
    let whole = pin.outer.map(|sum| sum.to_string()).or(pin.inner.map(|sum| sum.to_string()));
    whole.map_or_else(|| "none".to_owned(), |sum| sum[..10].to_owned())
}

/// Returns a text of a lock without characters that would do something to a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
