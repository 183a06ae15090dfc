//! The JSON documents. Their fields are documented in the manual (`git hexmirror man`) and only ever added to.

use git_hexmirror::model::{EntryId, ReleaseId};
use git_hexmirror::ops::{Added, Status, Update};
use git_hexmirror::plan::{Change, Comparison, GitPin, Ignored, Pin};
use serde_json::{Value, json};

/// What `status` and `diff` print.
pub fn status(branch: &str, status: &Status) -> Value {
    let mut document = json!({
        "fresh": status.summary.fresh,
        "branch": branch,
        "commit": status.commit.map(|commit| commit.to_string()),
        "locks": status.locks,
        "present": status.summary.present,
    });
    if let Some(comparison) = &status.comparison {
        extend(&mut document, particulars(comparison));
    }
    document
}

/// What a comparison found, in lists.
fn particulars(comparison: &Comparison) -> Value {
    json!({
        "missing": comparison.missing.iter().map(pin).collect::<Vec<_>>(),
        "changed": comparison.changed.iter().map(change).collect::<Vec<_>>(),
        "missing_entries": comparison.entries.iter().map(entry).collect::<Vec<_>>(),
        "extra": comparison.extra.iter().map(release).collect::<Vec<_>>(),
        "git": comparison.git.iter().map(git).collect::<Vec<_>>(),
        "ignored": comparison.ignored.iter().map(ignored).collect::<Vec<_>>(),
    })
}

/// What `update` prints.
pub fn update(update: &Update, dry_run: bool) -> Value {
    let (replaced, added): (Vec<_>, Vec<_>) = update.added.iter().partition(|release| release.replaced.is_some());
    json!({
        "added": added.into_iter().map(added_release).collect::<Vec<_>>(),
        "replaced": replaced.into_iter().map(added_release).collect::<Vec<_>>(),
        "entries": update.entries,
        "downloaded_bytes": update.downloaded_bytes,
        "stored_bytes": update.stored_bytes,
        "commit": update.commit.map(|commit| commit.to_string()),
        "adopted": update.adopted,
        "seconds": update.elapsed.as_secs_f64(),
        "dry_run": dry_run,
        "to_add": update.before.comparison.as_ref().filter(|_| dry_run).map_or_else(Vec::new, |comparison| {
            comparison.to_fetch().map(pin).collect()
        }),
        "git": update.before.comparison.iter().flat_map(|comparison| comparison.git.iter().map(git)).collect::<Vec<_>>(),
    })
}

pub fn release(id: &ReleaseId) -> Value {
    json!({ "repository": id.repository, "package": id.package, "version": id.version })
}

fn added_release(added: &Added) -> Value {
    let mut document = release(&added.id);
    extend(
        &mut document,
        json!({
            "outer_checksum": added.stored.outer,
            "storage": added.stored.storage,
            "bytes": added.stored.bytes,
            "reason": added.fallback,
            "from": added.replaced,
        }),
    );
    document
}

fn pin(pin: &Pin) -> Value {
    let mut document = release(&pin.id);
    extend(&mut document, json!({ "outer_checksum": pin.outer, "inner_checksum": pin.inner }));
    document
}

fn change(change: &Change) -> Value {
    let mut document = pin(&change.pin);
    extend(&mut document, json!({ "mirrored": change.mirrored, "mirrored_checksum": change.conflict }));
    document
}

fn entry(id: &EntryId) -> Value {
    json!({ "repository": id.repository, "package": id.package })
}

fn git(pin: &GitPin) -> Value {
    json!({ "app": pin.app, "url": redacted(pin.url.secret_text()), "revision": pin.revision, "mirrored": false })
}

fn ignored(ignored: &Ignored) -> Value {
    json!({ "app": ignored.app, "kind": ignored.kind })
}

/// Hides what stands before the host of an address: a password or a token.
pub fn redacted(url: &str) -> String {
    match url.parse::<git_hexmirror::fetch::WebUrl>() {
        Ok(url) => url.to_string(),
        Err(_) => url.to_owned(),
    }
}

/// Adds the fields of one object to another.
fn extend(document: &mut Value, more: Value) {
    if let (Value::Object(document), Value::Object(more)) = (document, more) {
        document.extend(more);
    }
}
