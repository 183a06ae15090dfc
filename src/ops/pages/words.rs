//! The words for what several pages show.

use crate::model::{EntryChecksum, EntryId, ReleaseId, Revision, Version, count};
use crate::ops::LoggedCommit;
use crate::page::{Address, Badge, Change, Finding, SourceId, Tone, Update};
use crate::plan::{Concern, Level, LockChange, Locked, MirrorChange, MirrorChangeKind, Wanted};

/// How many changes of a commit are shown.
const CHANGES: usize = 20;

/// Describes what a lock pins.
pub(super) fn pins(wanted: &Wanted) -> String {
    let mut parts = vec![count(wanted.releases.len(), "release", "releases")];
    for (number, one, many) in
        [(wanted.git.len(), "git dependency", "git dependencies"), (wanted.files.len(), "file", "files")]
    {
        if number > 0 {
            parts.push(count(number, one, many));
        }
    }
    parts.join(", ")
}

/// Describes a concern about a release.
pub(super) fn finding(release: &ReleaseId, concern: &Concern) -> Finding {
    let url = match concern {
        Concern::Vulnerable(advisory) => Some(advisory.html_url.clone()).filter(|url| !url.is_empty()),
        _ => None,
    };
    Finding { release: release.clone(), tone: tone(concern), rule: concern.rule(), text: concern.text(), url }
}

fn tone(concern: &Concern) -> Tone {
    match concern.level() {
        Level::Error => Tone::Bad,
        Level::Warning => Tone::Warning,
    }
}

/// Returns a badge for each kind of concerns.
pub(super) fn badges<'a>(concerns: impl Iterator<Item = &'a Concern> + Clone) -> Vec<Badge> {
    let advisories = concerns.clone().filter(|concern| matches!(concern, Concern::Vulnerable(_)));
    let number = advisories.clone().count();
    let is_serious = advisories.clone().any(|concern| concern.level() == Level::Error);
    let mut badges = Vec::new();
    if number > 0 {
        let tone = if is_serious { Tone::Bad } else { Tone::Warning };
        badges.push(Badge { tone, text: count(number, "advisory", "advisories") });
    }
    for (rule, text) in [("retired", "retired"), ("unlisted", "unlisted"), ("unsigned", "unsigned")] {
        if let Some(concern) = concerns.clone().find(|concern| concern.rule() == rule) {
            badges.push(Badge { tone: tone(concern), text: text.to_owned() });
        }
    }
    badges
}

/// Describes a commit of the mirror.
pub(super) fn update(logged: &LoggedCommit) -> Update {
    let changes = logged.changes.iter().flat_map(|changes| &changes.contents);
    let unknown = match (&logged.changes, logged.is_compacted) {
        (None, _) => Some("Its changes are not known, because this clone lacks the commit before."),
        (_, true) => Some("It stands for an older history that was removed."),
        _ => None,
    };
    Update {
        day: logged.commit.day.to_string(),
        commit: short(&logged.commit.id.to_string()),
        subject: logged.commit.subject.clone(),
        changes: changes.clone().take(CHANGES).map(change).collect(),
        more: changes.count().saturating_sub(CHANGES),
        unknown,
    }
}

/// Returns the first digits of a commit.
pub(super) fn short(commit: &str) -> String {
    commit.chars().take(12).collect()
}

/// Describes a change of the mirror.
pub(super) fn change(change: &MirrorChange) -> Change {
    let (tone, word) = match change.kind() {
        MirrorChangeKind::Added => (Tone::Good, "added"),
        MirrorChangeKind::Updated => (Tone::Neutral, "updated"),
        MirrorChangeKind::Removed => (Tone::Bad, "removed"),
    };
    let sides = |from: Option<String>, to: Option<String>| match (from, to) {
        (Some(from), Some(to)) if from == to => format!("{to} (other content)"),
        (Some(from), Some(to)) => format!("{from} → {to}"),
        (from, to) => from.or(to).unwrap_or_default(),
    };
    let revisions = |from: &Option<Revision>, to: &Option<Revision>| {
        sides(from.as_ref().map(Revision::short), to.as_ref().map(Revision::short))
    };
    let link = link(change);
    let (package, text) = match change {
        MirrorChange::Release { package, from, to } => {
            (Some(package.clone()), sides(from.as_ref().map(ToString::to_string), to.as_ref().map(ToString::to_string)))
        }
        MirrorChange::Revision { address, from, to } => (None, format!("{address} {}", revisions(from, to))),
        MirrorChange::Ref { address, name, from, to } => (None, format!("{address} {name} {}", revisions(from, to))),
        MirrorChange::Policy { policy, from, to } => {
            let short = |sum: &EntryChecksum| short(&sum.to_string());
            (None, format!("policy {policy} {}", sides(from.as_ref().map(short), to.as_ref().map(short))))
        }
        MirrorChange::Index { repository, packages, .. } => {
            (None, format!("pinned index of {repository}: {}", count(packages.len(), "package", "packages")))
        }
    };
    Change { tone, word, text, package, link }
}

/// Returns the page about a change: the difference, or the sources if there is only one side.
pub(super) fn link(change: &MirrorChange) -> Option<Address> {
    match change {
        MirrorChange::Release { package: EntryId { repository, package }, from, to } => {
            let id = |version: &Version| {
                let (repository, package) = (repository.clone(), package.clone());
                SourceId::Release(ReleaseId { repository, package, version: version.clone() })
            };
            between(from.as_ref().map(id), to.as_ref().map(id))
        }
        MirrorChange::Revision { address, from, to } => {
            let id = |revision: &Revision| SourceId::Revision(address.clone(), *revision);
            between(from.as_ref().map(id), to.as_ref().map(id))
        }
        MirrorChange::Ref { .. } | MirrorChange::Policy { .. } | MirrorChange::Index { .. } => None,
    }
}

fn between(from: Option<SourceId>, to: Option<SourceId>) -> Option<Address> {
    match (from, to) {
        (Some(from), Some(to)) if from != to => {
            let between = Box::new([from, to]);
            Some(Address::Compare { between, path: String::new(), page: 1, is_split: false })
        }
        (from, to) => to.or(from).map(|id| Address::Source { id, path: String::new(), line: 0 }),
    }
}

/// Describes a change of a lock, and returns the page about it.
pub(super) fn locked(change: &LockChange) -> (String, Option<Address>) {
    let id = |locked: &Locked| match locked {
        Locked::Release(pin) => Some(SourceId::Release(pin.id.clone())),
        Locked::Revision(pin) => Some(SourceId::Revision(pin.url.address().clone(), pin.revision)),
        Locked::File(_) | Locked::Target(_) | Locked::Unmirrored(_) | Locked::Unknown(_) => None,
    };
    let [from, to] = [change.before().and_then(id), change.after().and_then(id)];
    let is_beside = matches!((&from, &to), (Some(from), Some(to)) if from.is_beside(to));
    let text = match (&from, &to) {
        (Some(from), Some(to)) if is_beside => format!("{} → {}", from.version(), to.version()),
        (Some(from), Some(to)) => format!("{from} → {to}"),
        (from, to) => to.as_ref().or(from.as_ref()).map(ToString::to_string).unwrap_or_default(),
    };
    let link = if is_beside { between(from, to) } else { between(None, to.or(from)) };
    (text, link)
}
