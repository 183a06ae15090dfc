//! The JSON documents. Fields are only ever added, never renamed or removed.

mod parts;

use std::path::Path;

use git_hexmirror::hex::registry::{Advisory, Retirement};
use git_hexmirror::model::{Destination, StaticPath};
use git_hexmirror::ops::{
    Audit, AuditFinding, AuditSubject, Export, ExportOptions, FlaggedRelease, Health, Import, ImportedTarball,
    IndexUpdate, LockDiff, LoggedCommit, MirrorLog, ProjectCommit, ProjectState, Prune, Repair, Status, Update,
};
use git_hexmirror::plan::{
    ArtefactPin, Comparison, Concern, Extra, LockChange, Locked, MirrorChange, MirrorChangeKind, Unmirrored,
};
use git_hexmirror::serve::Registry;
use git_hexmirror::store::{CommitSummary, Damage, StoredItem};
use serde_json::{Value, json};

use self::parts::{
    added_release, added_revision, change, entry, errors, extend, git, git_change, git_pin, ignored, pin,
};
pub use self::parts::{file, release, revision};
use super::concern::describe;

/// Returns the document of `status` and `diff`.
pub fn status(branch: &str, status: &Status) -> Value {
    let mut document = json!({
        "fresh": status.summary.fresh,
        "branch": branch,
        "remote": status.remote,
        "commit": status.commit.map(|commit| commit.to_string()),
        "locks": status.locks,
        "present": status.summary.present + status.summary.git,
        "index_behind": status.summary.index_behind,
    });
    if let Some(comparison) = &status.comparison {
        extend(&mut document, particulars(comparison, &status.extra.clone().unwrap_or_default()));
    }
    document
}

/// Returns the results of a comparison, as lists.
fn particulars(comparison: &Comparison, extra: &Extra) -> Value {
    let missing = comparison.missing.iter().map(pin).chain(comparison.git_missing.iter().map(git_pin));
    let changed = comparison.changed.iter().map(change).chain(comparison.git_changed.iter().map(git_change));
    let (extra, revisions) = (extra.releases.iter().map(release), &extra.revisions);
    let extra = extra.chain(revisions.iter().map(|(address, commit)| revision(address, *commit)));
    json!({
        "missing": missing.collect::<Vec<_>>(),
        "changed": changed.collect::<Vec<_>>(),
        "missing_entries": comparison.entries.iter().map(entry).collect::<Vec<_>>(),
        "missing_policies": comparison.policies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "missing_files": comparison.files.iter().map(|pin| pin.address.to_string()).collect::<Vec<_>>(),
        "missing_artefacts": comparison.artefacts.iter().map(artefact).collect::<Vec<_>>(),
        "unpinned": comparison.unpinned.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "unpinned_git": comparison.unpinned_git.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "unpinned_plugins": comparison.unpinned_plugins.iter().map(unpinned).collect::<Vec<_>>(),
        "unpinned_docs": comparison.unpinned_docs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "unpinned_asset_tools": comparison.unpinned_asset_tools.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "unpinned_tools": comparison.unpinned_tools.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "extra": extra.collect::<Vec<_>>(),
        "git": git(comparison),
        "ignored": comparison.ignored.iter().map(ignored).collect::<Vec<_>>(),
    })
}

fn artefact(pin: &ArtefactPin) -> Value {
    let mut document = release(&pin.release);
    extend(&mut document, json!({ "file": pin.artefact.name.as_str(), "checksum": pin.artefact.checksum.to_string() }));
    document
}

fn unpinned((plugin, by): &(String, String)) -> Value {
    json!({ "plugin": plugin, "by": by })
}

/// Returns the document of `health`.
pub fn health(url: &str, health: &Health) -> Value {
    let Health { status, text, following } = health;
    let (commit, is_stale) = (health.commit(), health.is_stale());
    json!({
        "url": url,
        "healthy": commit.is_some(),
        "commit": commit,
        "status": status,
        "answer": text,
        "following": following,
        "stale": is_stale,
    })
}

/// Returns the document of `diff REV..REV`.
pub fn lock_diff(diff: &LockDiff) -> Value {
    let state = |at: &ProjectState, locks: &[String]| match at {
        ProjectState::Commit { name, id } => json!({ "revision": name, "commit": id.to_string(), "locks": locks }),
        ProjectState::Worktree => json!({ "revision": null, "commit": null, "locks": locks }),
    };
    let change = |change: &LockChange| {
        json!({
            "name": change.name(),
            "change": change.kind().as_str(),
            "from": change.before().map(locked),
            "to": change.after().map(locked),
        })
    };
    let [before, after] = &diff.locks;
    json!({
        "from": state(&diff.between.before, before),
        "to": state(&diff.between.after, after),
        "changes": diff.changes.iter().map(change).collect::<Vec<_>>(),
    })
}

fn locked(locked: &Locked) -> Value {
    match locked {
        Locked::Release(release) => pin(release),
        Locked::Revision(revision) => git_pin(revision),
        Locked::File(pin) => file(&pin.id, pin.bytes, pin.trust, &pin.address),
        Locked::Target(target) => json!({ "kind": "target", "target": target }),
        Locked::Unmirrored(Unmirrored { app, url, revision, reason }) => {
            json!({ "kind": "git", "app": app, "url": url, "revision": revision, "reason": reason.to_string() })
        }
        Locked::Unknown(unknown) => ignored(unknown),
    }
}

/// Returns the document of `update`.
pub fn update(update: &Update, dry_run: bool) -> Value {
    let releases = update.added.iter().map(|added| (added.replaced.is_some(), added_release(added)));
    let revisions = update.added_git.iter().map(|added| (added.replaced.is_some(), added_revision(added)));
    let (replaced, added): (Vec<_>, Vec<_>) = releases.chain(revisions).partition(|(replaced, _)| *replaced);
    let documents = |list: Vec<(bool, Value)>| list.into_iter().map(|(_, document)| document).collect::<Vec<_>>();
    json!({
        "added": documents(added),
        "replaced": documents(replaced),
        "repositories": update.repositories,
        "entries": update.entries,
        "changed_entries": update.changed_entries,
        "retired": update.flagged.iter().filter_map(retired).collect::<Vec<_>>(),
        "advisories": update.flagged.iter().flat_map(advisories).collect::<Vec<_>>(),
        "policies": update.policies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "files": update.files.iter().map(|pin| file(&pin.id, pin.bytes, pin.trust, &pin.address)).collect::<Vec<_>>(),
        "pinned_in": update.pinned_in,
        "signers": update.signers.iter().map(|(repository, signer)| json!({
            "repository": repository.to_string(),
            "signer": signer.to_string(),
        })).collect::<Vec<_>>(),
        "superseded_indexes": update.superseded_indexes,
        "written_locks": update.written_locks,
        "removed_locks": update.removed_locks,
        "migrated": update.migrated,
        "downloaded_bytes": update.downloaded_bytes,
        "stored_bytes": update.stored_bytes,
        "commit": update.commit.map(|commit| commit.to_string()),
        "adopted": update.adopted,
        "merged": update.merged.as_ref().map(|merged| &merged.remote),
        "seconds": update.elapsed.as_secs_f64(),
        "new_target": update.new_target.as_ref().map(ToString::to_string),
        "dry_run": dry_run,
        "to_add": update.before.comparison.as_ref().filter(|_| dry_run).map_or_else(Vec::new, |comparison| {
            comparison.to_fetch().map(pin).chain(comparison.git_to_fetch().map(git_pin)).collect()
        }),
        "git": update.before.comparison.as_ref().map_or_else(Vec::new, git),
        "ignored": update.before.comparison.iter().flat_map(|comparison| &comparison.ignored).map(ignored).collect::<Vec<_>>(),
        "incomplete": update.failed.is_some(),
        "errors": update.failed.iter().flat_map(errors).collect::<Vec<_>>(),
    })
}

/// Returns the retirement of a release.
fn retired(FlaggedRelease { id, flags }: &FlaggedRelease) -> Option<Value> {
    let Retirement { reason, message } = flags.retired.as_ref()?;
    let mut document = release(id);
    extend(&mut document, json!({ "reason": reason.to_string(), "message": message }));
    Some(document)
}

/// Returns the security advisories of a release.
fn advisories(FlaggedRelease { id, flags }: &FlaggedRelease) -> Vec<Value> {
    let document = |advisory: &Advisory| {
        let mut document = release(id);
        extend(
            &mut document,
            json!({
                "id": advisory.id,
                "severity": advisory.severity.map(|severity| severity.to_string()),
                "summary": advisory.summary,
                "url": advisory.html_url,
            }),
        );
        document
    };
    flags.advisories.iter().map(document).collect()
}

/// Returns the document of `audit`.
pub fn audit(audit: &Audit) -> Value {
    let finding = |finding: &AuditFinding| {
        let mut document = match &finding.subject {
            AuditSubject::Release(id) => release(id),
            AuditSubject::Address(_) | AuditSubject::Entries => {
                json!({ "repository": null, "package": null, "version": null })
            }
        };
        let (file, line) = finding.place.clone().unzip();
        extend(
            &mut document,
            json!({
                "subject": finding.subject.to_string(),
                "rule": finding.concern.rule(),
                "level": finding.concern.level().as_str(),
                "text": describe(&finding.concern),
                "lock": file,
                "line": line,
            }),
        );
        if let Concern::Vulnerable(advisory) = &finding.concern {
            extend(
                &mut document,
                json!({
                    "id": advisory.id,
                    "aliases": advisory.aliases,
                    "severity": advisory.severity.map(|severity| severity.to_string()),
                    "cvss_score": advisory.cvss_score,
                    "url": advisory.html_url,
                }),
            );
        }
        document
    };
    json!({
        "commit": audit.commit.to_string(),
        "remote": audit.remote,
        "locks": audit.locks,
        "releases": audit.releases,
        "git": audit.git,
        "files": audit.files,
        "files_first_use": audit.first_use,
        "refreshed": audit.refreshed.map(|day| day.to_string()),
        "entry_age_days": audit.age.days,
        "findings": audit.findings.iter().map(finding).collect::<Vec<_>>(),
        "ignored": audit.ignored,
    })
}

/// Returns the document of `log`.
pub fn log(branch: &str, log: &MirrorLog) -> Value {
    let summary = |commit: &CommitSummary| (commit.day.to_string(), commit.subject.clone());
    let project = |project: &ProjectCommit| {
        let (day, subject) = project.known.as_ref().map(summary).unzip();
        json!({
            "commit": project.id.to_string(),
            "recorded": project.is_recorded,
            "day": day,
            "subject": subject,
        })
    };
    let commit = |logged: &LoggedCommit| {
        let changes = logged.changes.clone().unwrap_or_default();
        let of = |kind| {
            changes.contents.iter().filter(|change| change.kind() == kind).map(mirror_change).collect::<Vec<_>>()
        };
        json!({
            "commit": logged.commit.id.to_string(),
            "day": logged.commit.day.to_string(),
            "subject": logged.commit.subject,
            "project": logged.project.as_ref().map(project),
            "known": logged.changes.is_some(),
            "compacted": logged.is_compacted,
            "added": of(MirrorChangeKind::Added),
            "updated": of(MirrorChangeKind::Updated),
            "removed": of(MirrorChangeKind::Removed),
            "entries": changes.entries.iter().map(entry).collect::<Vec<_>>(),
        })
    };
    json!({
        "branch": branch,
        "remote": log.source.remote,
        "shallow": log.is_cut,
        "commits": log.commits.iter().map(commit).collect::<Vec<_>>(),
    })
}

fn mirror_change(change: &MirrorChange) -> Value {
    match change {
        MirrorChange::Release { package, from, to } => {
            let mut document = entry(package);
            extend(&mut document, json!({ "kind": "hex", "from": from, "to": to }));
            document
        }
        MirrorChange::Revision { address, from, to } => {
            json!({ "kind": "git", "repository": address, "from": from, "to": to })
        }
        MirrorChange::Ref { address, name, from, to } => {
            json!({ "kind": "ref", "repository": address, "ref": name, "from": from, "to": to })
        }
        MirrorChange::Policy { policy, from, to } => {
            let [from, to] = [from, to].map(|sum| sum.map(|sum| sum.to_string()));
            json!({ "kind": "policy", "repository": policy.repository, "policy": policy.name.as_str(), "from": from, "to": to })
        }
        MirrorChange::Index { repository, from, to, packages } => {
            let [from, to] = [from, to].map(|signer| signer.map(|signer| signer.to_string()));
            let packages: Vec<_> = packages.iter().map(|id| id.package.to_string()).collect();
            json!({ "kind": "index", "repository": repository, "from": from, "to": to, "packages": packages })
        }
    }
}

/// Returns the document of `export`.
pub fn export(folder: &Path, export: &Export, site: Option<(usize, u64)>, options: ExportOptions) -> Value {
    let mut document = json!({ "folder": folder.to_string_lossy() });
    if let Some((files, bytes)) = site {
        document["site"] = json!({ "files": files, "bytes": bytes });
    }
    extend(&mut document, exported(export, options));
    document
}

/// Returns the document of `publish`.
pub fn publish(destination: &Destination, export: &Export, options: ExportOptions) -> Value {
    let mut document = json!({ "destination": destination.to_string(), "kept": paths(&export.kept) });
    extend(&mut document, exported(export, options));
    document
}

fn exported(export: &Export, options: ExportOptions) -> Value {
    json!({
        "commit": export.commit.to_string(),
        "registry": export.registry.map(|registry| match registry {
            Registry::Signed => "signed",
            Registry::Pinned => "pinned",
        }),
        "dry_run": options.dry_run,
        "written": paths(&export.written),
        "removed": paths(&export.removed),
        "unchanged": export.unchanged,
        "bytes": export.bytes,
    })
}

fn paths(paths: &[StaticPath]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

/// Returns the document of `import`.
pub fn import(import: &Import, dry_run: bool) -> Value {
    let release = |ImportedTarball { added, evidence }: &ImportedTarball| {
        let mut document = added_release(added);
        document["verified_by"] = json!(evidence.as_str());
        document
    };
    let releases = import.added.iter().map(release);
    json!({
        "dry_run": dry_run,
        "added": releases.chain(import.added_git.iter().map(added_revision)).collect::<Vec<_>>(),
        "entries": import.entries,
        "indexes": import.indexes.iter().map(|index| json!({
            "repository": index.repository.to_string(),
            "signer": index.signer.to_string(),
        })).collect::<Vec<_>>(),
        "present": import.present,
        "unpinned": import.unpinned.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
        "unused_git": import.unused_git.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
        "unreadable": import.unreadable.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
        "lacking": import.lacking,
        "before": import.before.map(|commit| commit.to_string()),
        "commit": import.commit.map(|commit| commit.to_string()),
        "stored_bytes": import.stored_bytes,
        "seconds": import.elapsed.as_secs_f64(),
    })
}

/// Returns the document of a repair, which `update --repair` includes in its own.
pub fn repair(repair: &Repair) -> Value {
    let restored = |(item, from): (&StoredItem, &String)| json!({ "item": item.to_string(), "from": from });
    let damage = |damage: &Damage| json!({ "path": damage.path, "problem": damage.problem });
    json!({
        "set_aside": repair.salvage.set_aside,
        "indexed": repair.salvage.indexed,
        "restored": repair.restored.iter().map(restored).collect::<Vec<_>>(),
        "private_keys": repair.private_keys,
        "dropped": repair.dropped.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "damages": repair.left.iter().map(damage).collect::<Vec<_>>(),
        "commit": repair.commit.map(|commit| commit.to_string()),
        "errors": repair.failed.iter().flat_map(errors).collect::<Vec<_>>(),
    })
}

/// Returns the document of `index`.
pub fn index(branch: &str, update: &IndexUpdate) -> Value {
    json!({
        "branch": branch,
        "before": update.before.to_string(),
        "commit": update.commit.to_string(),
        "signer": update.signer.to_string(),
        "private_key": update.key.to_string(),
        "key_created": update.created.is_some(),
        "packages": update.repositories.values().sum::<usize>(),
        "changed": update.changed,
        "written": update.written,
        "left_out": update.left_out.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "unverified": update.unverified.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// Returns the document of `prune`.
pub fn prune(prune: &Prune, dry_run: bool) -> Value {
    let sized = |mut document: Value, bytes: u64| {
        document["bytes"] = json!(bytes);
        document
    };
    let releases = prune.pruning.releases.iter().map(|(id, bytes)| sized(release(id), *bytes));
    let gone =
        prune.pruning.revisions.iter().flat_map(|(address, gone)| gone.iter().map(move |id| revision(address, *id)));
    json!({
        "dry_run": dry_run,
        "releases": releases.collect::<Vec<_>>(),
        "entries": prune.pruning.entries.keys().map(entry).collect::<Vec<_>>(),
        "policies": prune.pruning.policies.keys().map(ToString::to_string).collect::<Vec<_>>(),
        "files": prune.pruning.files.keys().map(ToString::to_string).collect::<Vec<_>>(),
        "git": gone.collect::<Vec<_>>(),
        "bytes": prune.bytes,
        "of_bytes": prune.of_bytes,
        "locks": prune.locks,
        "keep_days": prune.keep_days,
        "before": prune.before.to_string(),
        "commit": prune.commit.to_string(),
    })
}
