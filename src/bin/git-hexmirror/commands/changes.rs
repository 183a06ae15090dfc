//! Prints the changes between two states of the locks.

use git_hexmirror::ops::LockDiff;
use git_hexmirror::plan::{ChangeKind, GitPin, LockChange, Locked, Pin};

use crate::output::{BAD, CHANGED, GOOD, Output, Text, styled};

/// Prints the changes, one per line.
pub fn print(output: &Output, diff: &LockDiff) -> std::io::Result<()> {
    let (before, after) = (diff.between.before.shown(), diff.between.after.shown());
    for (state, locks) in [before, after].into_iter().zip(&diff.locks) {
        if locks.is_empty() {
            output.say(format!("{state} has no lock"));
        }
    }
    diff.changes.iter().try_for_each(|change| output.result(Text::from("  ") + described(change)))?;
    if diff.changes.is_empty() {
        output.say(format!("no dependency changed between {before} and {after}"));
    }
    Ok(())
}

/// Describes a change in a few words.
pub fn described(change: &LockChange) -> Text {
    let kind = change.kind();
    let style = match kind {
        ChangeKind::Added => GOOD,
        ChangeKind::Removed | ChangeKind::Checksum => BAD,
        ChangeKind::Raised | ChangeKind::Lowered | ChangeKind::Moved | ChangeKind::Source => CHANGED,
    };
    let word = styled(style, format!("{:<8}", kind.as_str()));
    let name = change.name();
    let what = match (kind, change.before(), change.after()) {
        (ChangeKind::Checksum, Some(Locked::Release(before)), Some(Locked::Release(after))) => {
            format!("{name} {} ({})", release(after), checksums(before, after))
        }
        (
            ChangeKind::Raised | ChangeKind::Lowered,
            Some(Locked::Release(before @ Pin { outer: Some(_), .. })),
            Some(Locked::Release(after @ Pin { outer: None, .. })),
        ) => {
            let checksums = checksums(before, after);
            format!("{name} {} → {} (checksum {checksums})", release(before), release(after))
        }
        (ChangeKind::Source, Some(Locked::Revision(before)), Some(Locked::Revision(after)))
            if before.url.address() == after.url.address() =>
        {
            let moved = format!(" → {}", after.revision.short());
            let moved = if before.revision == after.revision { "" } else { &moved };
            format!("{name} {}{moved} ({})", revision(before), differences(before, after))
        }
        // The address is the same on both sides, so it is shown once.
        (ChangeKind::Moved, Some(before), Some(Locked::Revision(after))) => {
            format!("{name} {} → {}", shown(before), after.revision.short())
        }
        (_, Some(before), Some(after)) => format!("{name} {} → {}", shown(before), shown(after)),
        (_, before, after) => format!("{name} {}", before.or(after).map(shown).unwrap_or_default()),
    };
    word + " " + what
}

/// Describes what is locked, without its name.
pub fn shown(locked: &Locked) -> String {
    match locked {
        Locked::Release(pin) => release(pin),
        Locked::Revision(pin) => revision(pin),
        Locked::File(pin) => format!("{} ({})", pin.id.checksum, pin.trust.describe()),
        Locked::Target(_) => "(machine that builds)".to_owned(),
        Locked::Unmirrored(unmirrored) => {
            let revision = unmirrored.revision.as_deref().unwrap_or("(no revision)");
            format!("{} {revision}", unmirrored.url)
        }
        Locked::Unknown(ignored) => format!("(unknown kind {})", ignored.kind),
    }
}

/// Describes what is locked, with its name.
pub fn named(locked: &Locked) -> String {
    format!("{} {}", locked.name(), shown(locked))
}

fn release(pin: &Pin) -> String {
    match pin.id.repository.as_str() {
        "hexpm" => pin.id.version.to_string(),
        repository => format!("{} ({repository})", pin.id.version),
    }
}

fn revision(pin: &GitPin) -> String {
    let of_branch = match (pin.branch(), pin.as_of) {
        (Some(branch), Some(day)) => format!(" (tip of {} on {day})", branch.name_of_branch()),
        _ => String::new(),
    };
    format!("{} {}{of_branch}", pin.url.address(), pin.revision.short())
}

/// Describes the change of a checksum: of the outer one, or of the inner one if the outer one did not change or was absent.
fn checksums(before: &Pin, after: &Pin) -> String {
    let short = |sum: Option<String>| sum.map_or_else(|| "none".to_owned(), |sum| sum[..10].to_owned());
    let outer = [before, after].map(|pin| pin.outer.map(|sum| sum.to_string()));
    let inner = [before, after].map(|pin| pin.inner.map(|sum| sum.to_string()));
    let [before, after] = if outer[0].is_none() || outer[0] == outer[1] { inner } else { outer };
    format!("{} → {}", short(before), short(after))
}

/// Describes how two entries of one git repository differ, apart from their revision.
fn differences(before: &GitPin, after: &GitPin) -> String {
    let folder = |folder: &Option<String>| folder.clone().unwrap_or_else(|| "none".to_owned());
    let of = |pin: &GitPin| {
        let depth = pin.depth.map_or_else(|| "none".to_owned(), |depth| depth.to_string());
        let submodules = if pin.submodules { "yes" } else { "no" }.to_owned();
        let folders = [("subdir ", folder(&pin.subdir)), ("sparse ", folder(&pin.sparse))];
        let others = [("submodules ", submodules), ("depth ", depth)];
        [("", pin.url.scheme().to_owned())].into_iter().chain(folders).chain(others)
    };
    let pairs = of(before).zip(of(after)).filter(|(before, after)| before != after);
    let texts = pairs.map(|((word, before), (_, after))| format!("{word}{before} → {after}"));
    texts.collect::<Vec<_>>().join(", ")
}
