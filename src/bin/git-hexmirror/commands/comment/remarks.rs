//! The remarks of a comment: what a reviewer should look at, and what is good to know.

use std::collections::BTreeSet;

use git_hexmirror::git::FileChangeKind;
use git_hexmirror::hex::registry::{Advisory, Retirement};
use git_hexmirror::model::{FileTrust, count};
use git_hexmirror::ops::{CodeChange, Review, ReviewedChange};
use git_hexmirror::plan::{ChangeKind, FileRole, GitPin, LockChange, Locked, ReleaseFlags};

use super::text::code;

/// How many files of a kind are named for each dependency.
const FILES: usize = 8;

/// Returns what a reviewer should look at, one line for each, the most serious first.
pub fn remarks(review: &Review) -> Vec<String> {
    let each = |describe: fn(&ReviewedChange) -> Vec<String>| review.changes.iter().flat_map(describe);
    let signers = review.signers.iter().map(|signer| {
        let [before, after] = [signer.before, signer.after].map(|signer| code(&signer.to_string()));
        format!(
            "**Another signer** of the registry entries of {}: {before} → {after}",
            code(signer.repository.as_str())
        )
    });
    let all = signers
        .chain(each(pins))
        .chain(each(advisories))
        .chain(each(retirement))
        .chain(each(still))
        .chain(each(licenses));
    let all = all.chain(each(files)).chain(each(cut)).chain(each(first_use)).chain(each(lacking));
    all.map(|remark| format!("- {remark}\n")).collect()
}

/// Returns what is good to know, one line for each.
pub fn notes(review: &Review) -> Vec<String> {
    let fixed = review.changes.iter().flat_map(|reviewed| {
        let name = code(reviewed.change.name());
        reviewed.fixed.iter().map(move |advisory| format!("- {name}: no longer affected by {}\n", described(advisory)))
    });
    let new = review.changes.iter().filter(|reviewed| reviewed.change.before().is_none());
    let licensed = new.filter_map(|reviewed| {
        let licenses = listed_licenses(reviewed.licenses[1].as_ref()?);
        Some(format!("- {}: new, under {licenses}\n", code(reviewed.change.name())))
    });
    fixed.chain(licensed).collect()
}

/// Remarks on entries of locks that hold less than before, or lead elsewhere.
fn pins(reviewed: &ReviewedChange) -> Vec<String> {
    let change = &reviewed.change;
    let name = code(change.name());
    let mut remarks = Vec::new();
    match change.kind() {
        ChangeKind::Checksum => remarks.push(format!("**Another checksum** of the same {name}")),
        ChangeKind::Source => {
            let [before, after] = [change.before(), change.after()].map(|side| side.map_or_else(String::new, origin));
            remarks.push(format!("**Another source** of {name}: {before} → {after}"));
        }
        ChangeKind::Lowered => remarks.push(format!("**A lower version** of {name}")),
        ChangeKind::Added | ChangeKind::Removed | ChangeKind::Raised | ChangeKind::Moved => {}
    }
    if reviewed.is_older {
        remarks.push(format!("**An older revision** of {name}"));
    }
    if let (Some(Locked::Release(before)), Some(Locked::Release(after))) = (change.before(), change.after())
        && before.outer.is_some()
        && after.outer.is_none()
    {
        remarks.push(format!("**No checksum** of {name} any more"));
    }
    match change.after() {
        Some(locked @ Locked::Revision(pin)) if change.before().is_none() && pin.as_of.is_none() => {
            remarks.push(format!("**New git repository**: {name} from {}", origin(locked)));
        }
        Some(Locked::Unmirrored(unmirrored)) => {
            remarks.push(format!("**Not mirrored**: {name} ({})", unmirrored.reason));
        }
        Some(Locked::Unknown(unknown)) => remarks.push(format!("**Unknown kind** of {name}: {}", code(&unknown.kind))),
        _ => {}
    }
    remarks
}

/// Describes where a dependency comes from.
fn origin(locked: &Locked) -> String {
    match locked {
        Locked::Release(pin) => format!("the repository {}", code(pin.id.repository.as_str())),
        Locked::Revision(pin) => code(&pin.url.to_string()) + &options(pin),
        Locked::File(pin) => code(&pin.address.to_string()),
        Locked::Target(target) => code(target),
        Locked::Unmirrored(unmirrored) => code(&unmirrored.url),
        Locked::Unknown(unknown) => code(&unknown.kind),
    }
}

/// Describes which part of a repository a dependency is.
fn options(pin: &GitPin) -> String {
    let folders = [("subdir", &pin.subdir), ("sparse", &pin.sparse)];
    let folders = folders.into_iter().filter_map(|(name, folder)| Some(format!("{name} {}", code(folder.as_ref()?))));
    let depth = pin.depth.map(|depth| format!("depth {depth}"));
    let others = pin.submodules.then(|| "submodules".to_owned()).into_iter().chain(depth);
    let all: Vec<String> = folders.chain(others).collect();
    if all.is_empty() { String::new() } else { format!(" ({})", all.join(", ")) }
}

fn advisories(reviewed: &ReviewedChange) -> Vec<String> {
    let name = code(reviewed.change.name());
    reviewed.brought.iter().map(|advisory| format!("**Vulnerable**: {name} {}", described(advisory))).collect()
}

fn described(advisory: &Advisory) -> String {
    let severity = advisory.severity.map_or_else(String::new, |severity| format!(" ({severity})"));
    format!("{}{severity}{}", code(&advisory.id), after_blank(&advisory.summary))
}

fn retirement(reviewed: &ReviewedChange) -> Vec<String> {
    let name = code(reviewed.change.name());
    reviewed.retired.iter().map(|retired| format!("**Retired** {}", retirement_of(&name, retired))).collect()
}

fn retirement_of(name: &str, Retirement { reason, message }: &Retirement) -> String {
    format!("({reason}): {name}{}", after_blank(message.as_deref().unwrap_or_default()))
}

/// Returns a text as code after a blank, or nothing instead of an empty text.
fn after_blank(text: &str) -> String {
    if text.trim().is_empty() { String::new() } else { format!(" {}", code(text)) }
}

/// Remarks on what the old version had as well.
fn still(reviewed: &ReviewedChange) -> Vec<String> {
    let name = code(reviewed.change.name());
    let ReleaseFlags { retired, advisories } = &reviewed.still;
    let vulnerable = advisories.iter().map(|advisory| format!("**Still vulnerable**: {name} {}", described(advisory)));
    let retired = retired.iter().map(|retired| format!("**Still retired** {}", retirement_of(&name, retired)));
    vulnerable.chain(retired).collect()
}

fn licenses(reviewed: &ReviewedChange) -> Vec<String> {
    let name = code(reviewed.change.name());
    match &reviewed.licenses {
        // Packages list licenses in any order.
        [Some(before), Some(after)] if before.iter().collect::<BTreeSet<_>>() != after.iter().collect() => {
            let [before, after] = [before, after].map(|licenses| listed_licenses(licenses));
            vec![format!("**Another license** of {name}: {before} → {after}")]
        }
        _ => Vec::new(),
    }
}

fn listed_licenses(licenses: &[String]) -> String {
    match licenses {
        [] => "no license".to_owned(),
        some => some.iter().map(|license| code(license)).collect::<Vec<_>>().join(", "),
    }
}

/// Remarks on changed files that run while the package is compiled, or that are native code.
fn files(reviewed: &ReviewedChange) -> Vec<String> {
    let Some(changed) = &reviewed.code else { return Vec::new() };
    // Nobody runs what is removed, and every new package has a build script.
    let is_new = match reviewed.change {
        LockChange::Removed(_) => return Vec::new(),
        LockChange::Added(_) => true,
        LockChange::Replaced { .. } => false,
    };
    let name = code(reviewed.change.name());
    let roles =
        [FileRole::BuildScript, FileRole::NativeCode, FileRole::Binary, FileRole::Executable, FileRole::Checksums];
    let of_role = |role: FileRole| {
        let kinds = [FileChangeKind::Added, FileChangeKind::Changed, FileChangeKind::Removed];
        let of_kind = kinds.into_iter().filter_map(|kind| {
            let of_kind = changed.notable.iter().filter(|(of_file, how, _)| (*of_file, *how) == (role, kind));
            let paths = of_kind.map(|(.., path)| path.as_str()).filter(|path| !(is_new && is_usual(path)));
            let paths: Vec<&str> = paths.collect();
            let verb = match kind {
                FileChangeKind::Added if is_new => "has",
                FileChangeKind::Added => "adds",
                FileChangeKind::Changed => "changes",
                FileChangeKind::Removed => "deletes",
            };
            (!paths.is_empty()).then(|| format!("{verb} {}", listed(&paths)))
        });
        let of_kind: Vec<String> = of_kind.collect();
        (!of_kind.is_empty()).then(|| format!("**{}**: {name} {}", capitalised(role.describe()), of_kind.join("; ")))
    };
    roles.into_iter().filter_map(of_role).chain(native_code(changed, &name)).collect()
}

fn cut(reviewed: &ReviewedChange) -> Vec<String> {
    let (name, what) = (code(reviewed.change.name()), if reviewed.code.is_some() { "completely " } else { "" });
    let remark = || {
        format!(
            "**Not {what}compared**: the code of {name}, because it took too long; `git hexmirror diff --source` shows it"
        )
    };
    reviewed.is_cut.then(remark).into_iter().collect()
}

fn native_code(changed: &CodeChange, name: &str) -> Option<String> {
    let paths: Vec<&str> = changed.loads_native_code.iter().map(String::as_str).collect();
    (!paths.is_empty()).then(|| format!("**Loads native code** (`load_nif`): {name} in {}", listed(&paths)))
}

/// Returns whether every package has such a build script.
fn is_usual(path: &str) -> bool {
    matches!(path, "mix.exs" | "rebar.config" | "gleam.toml")
}

fn listed(paths: &[&str]) -> String {
    let named: Vec<String> = paths.iter().take(FILES).map(|path| code(path)).collect();
    let more = paths.len() - named.len();
    let more = if more > 0 { format!(" and {}", count(more, "more file", "more files")) } else { String::new() };
    named.join(", ") + &more
}

fn capitalised(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    first.to_ascii_uppercase() + rest
}

/// Remarks on what nothing vouches for but the connection of one day.
fn first_use(reviewed: &ReviewedChange) -> Vec<String> {
    let remark = match reviewed.change.after() {
        Some(Locked::File(pin)) => match pin.trust {
            FileTrust::FirstUse(day) => {
                format!("{}: its checksum is that of the first download, on {day}", code(&pin.address.to_string()))
            }
            FileTrust::Lock | FileTrust::Package | FileTrust::Signed | FileTrust::Npm => return Vec::new(),
        },
        Some(Locked::Revision(pin)) => match (pin.as_of, pin.branch()) {
            (Some(day), Some(branch)) => {
                let name = branch.name_of_branch();
                format!("{}: the tip that {} had on {day}", code(&pin.url.to_string()), code(&name))
            }
            _ => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    vec![format!("**Trusted on first use**: {remark}")]
}

fn lacking(reviewed: &ReviewedChange) -> Vec<String> {
    let name = code(reviewed.change.name());
    let remark =
        || format!("**Not in the mirror**: {name}, so its code was not compared; `git hexmirror update` fetches it");
    reviewed.is_lacking.then(remark).into_iter().collect()
}
