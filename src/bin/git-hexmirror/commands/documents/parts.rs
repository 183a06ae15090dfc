//! The parts that several documents have.

use git_hexmirror::model::{EntryId, FileAddress, FileId, FileTrust, GitAddress, ReleaseId, Revision};
use git_hexmirror::ops::{Added, AddedGit, OpError};
use git_hexmirror::plan::{Change, Comparison, GitChange, GitPin, Pin, Unmirrored, UnsupportedEntry};
use serde_json::{Value, json};

pub fn file(id: &FileId, bytes: impl Into<Option<u64>>, trust: FileTrust, address: &FileAddress) -> Value {
    json!({
        "kind": "file",
        "path": id.path.to_string(),
        "checksum": id.checksum,
        "bytes": bytes.into(),
        "trust": trust.to_string(),
        "url": address.to_string(),
    })
}

pub fn release(id: &ReleaseId) -> Value {
    json!({ "kind": "hex", "repository": id.repository, "package": id.package, "version": id.version })
}

pub fn revision(address: &GitAddress, revision: Revision) -> Value {
    json!({ "kind": "git", "repository": address, "revision": revision })
}

pub(super) fn added_revision(added: &AddedGit) -> Value {
    let mut document = revision(&added.address, added.revision);
    document["from"] = json!(added.replaced);
    document
}

pub(super) fn git_pin(pin: &GitPin) -> Value {
    let mut document = revision(pin.url.address(), pin.revision);
    extend(
        &mut document,
        json!({ "app": pin.app, "url": pin.url.to_string(), "depth": pin.depth, "names": pin.names, "submodules": pin.submodules, "subdir": pin.subdir, "sparse": pin.sparse, "as_of": pin.as_of.map(|day| day.to_string()) }),
    );
    document
}

pub(super) fn git_change(change: &GitChange) -> Value {
    let mut document = git_pin(&change.pin);
    document["mirrored"] = json!(change.mirrored);
    document
}

/// Returns all git dependencies, whether the mirror has them, and the reason if they cannot be mirrored.
pub(super) fn git(comparison: &Comparison) -> Vec<Value> {
    let pinned = |pin: &GitPin, mirrored: bool| json!({ "app": pin.app, "url": pin.url.to_string(), "revision": pin.revision, "mirrored": mirrored });
    let unmirrored = |Unmirrored { app, url, revision, reason }: &Unmirrored| json!({ "app": app, "url": url, "revision": revision, "mirrored": false, "reason": reason.to_string() });
    let there = comparison.git.iter().map(|pin| pinned(pin, true));
    let lacking = comparison.git_to_fetch().map(|pin| pinned(pin, false));
    there.chain(lacking).chain(comparison.unmirrored.iter().map(unmirrored)).collect()
}

pub(super) fn errors(error: &OpError) -> Vec<String> {
    match error {
        OpError::Several { errors } => errors.iter().map(OpError::with_causes).collect(),
        error => vec![error.with_causes()],
    }
}

pub(super) fn added_release(added: &Added) -> Value {
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

pub(super) fn pin(pin: &Pin) -> Value {
    let mut document = release(&pin.id);
    extend(&mut document, json!({ "outer_checksum": pin.outer, "inner_checksum": pin.inner }));
    document
}

pub(super) fn change(change: &Change) -> Value {
    let mut document = pin(&change.pin);
    extend(&mut document, json!({ "mirrored": change.mirrored, "mirrored_checksum": change.conflict }));
    document
}

pub(super) fn entry(id: &EntryId) -> Value {
    json!({ "repository": id.repository, "package": id.package })
}

pub(super) fn ignored(ignored: &UnsupportedEntry) -> Value {
    json!({ "app": ignored.app, "kind": ignored.kind })
}

/// Adds the fields of one object to another.
pub(super) fn extend(document: &mut Value, more: Value) {
    if let (Value::Object(document), Value::Object(more)) = (document, more) {
        document.extend(more);
    }
}
