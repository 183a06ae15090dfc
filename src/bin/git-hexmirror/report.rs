//! Prints errors for users: what happened, where, and what to do next.

use std::collections::BTreeMap;
use std::error::Error;

use git_hexmirror::config::{ConfigError, Excerpt};
use git_hexmirror::hex::registry::RegistryError;
use git_hexmirror::ops::{Failure, FileRefusal, OpError};
use git_hexmirror::plan::{LeftOutLock, Omission};
use git_hexmirror::store::StoreError;

use crate::machine_hints;
use crate::outcome::CommandError;
use crate::output::{BAD, BOLD, CHANGED, Output, Text, listed, styled};
use crate::session::Session;
use crate::snippet::Marked;
use crate::{file_hints, hints, snippet};

/// How many items of a list an error names before it only counts the rest.
const NAMED: usize = 3;

/// The exit code if the mirror is not fresh, or damaged.
pub const NOT_FRESH: u8 = 1;
/// The exit code if a checksum or a signature is wrong.
pub const INTEGRITY: u8 = 4;

/// Prints an error and returns the exit code.
pub fn report(session: &Session, error: &CommandError) -> u8 {
    print(session, &styled(BAD, "error:"), error)
}

/// Prints an error as a warning, for a step that the command can do without.
pub fn warn(session: &Session, error: &CommandError) {
    print(session, &styled(CHANGED, "warning:"), error);
}

fn print(session: &Session, title: &Text, error: &CommandError) -> u8 {
    let output = &session.output;
    match error {
        CommandError::Print(error) => {
            output.always(title.clone() + format!(" cannot write to standard output: {error}"));
            5
        }
        CommandError::Usage { message, hint } => {
            output.always(title.clone() + format!(" {message}"));
            show_hint(output, Some((*hint).to_owned()));
            2
        }
        CommandError::Op(error) => {
            show(output, title, error);
            // Errors about refs and objects do not always name the repository.
            if is_of_machine(error) && !whole_text(error).contains('/') {
                output.always(format!("  in {}", session.directory().display()));
            }
            show_hint(output, missing_hint(session, error).or_else(|| hint(error)));
            exit_code(error.failure())
        }
    }
}

/// Returns whether the system or a library caused the error while working on this repository.
fn is_of_machine(error: &OpError) -> bool {
    let has_cause = match error {
        OpError::Several { errors } => return errors.iter().any(is_of_machine),
        OpError::Git(error) | OpError::Remote(error) => error.is_local(),
        error => error.source().is_some(),
    };
    has_cause && error.failure() == Failure::Repository
}

/// Returns the messages of an error and its causes, one per line.
fn whole_text(error: &OpError) -> String {
    if let OpError::Several { errors } = error {
        return errors.iter().map(whole_text).collect::<Vec<_>>().join("\n");
    }
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text += &format!("\n{error}");
        cause = error.source();
    }
    text
}

fn exit_code(failure: Failure) -> u8 {
    match failure {
        Failure::NotFresh => NOT_FRESH,
        Failure::Usage => 2,
        Failure::Network => 3,
        Failure::Integrity => INTEGRITY,
        Failure::Repository => 5,
    }
}

fn show(output: &Output, title: &Text, error: &OpError) {
    match error {
        OpError::Lock { file, text, source } | OpError::LocksDisagree { file, text, source, .. } => {
            output.always(snippet::render(source, file, text, output.color()));
        }
        OpError::Config(ConfigError { origin, problem, excerpt: Some(Excerpt { text, span }) }) => {
            let marked = Marked::setting(problem, span.clone());
            output.always(snippet::render(marked, origin, text.as_bytes(), output.color()));
        }
        OpError::Several { errors } => {
            let (entries, others) = by_cause(errors);
            let (passing, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|error| is_passing(error));
            for error in others.into_iter().chain(passing.iter().take(NAMED).copied()) {
                show(output, title, error);
            }
            if passing.len() > NAMED {
                let more = passing.len() - NAMED;
                output.always(title.clone() + format!(" {more} more downloads failed for similar reasons"));
            }
            for (cause, mut entries) in entries {
                let rest = entries.split_off(entries.len().min(NAMED)).len();
                let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
                output.always(
                    styled(BAD, "error:") + format!(" refused the registry entries of {}{more}", entries.join(", ")),
                );
                output.always(format!("  caused by: {cause}"));
            }
        }
        error => {
            output.always(title.clone() + format!(" {error}"));
            let mut cause = error.source();
            while let Some(error) = cause {
                output.always(format!("  caused by: {error}"));
                cause = error.source();
            }
        }
    }
}

/// Returns whether an error is a network failure that may pass. Of many such errors, only the first few are shown.
fn is_passing(error: &OpError) -> bool {
    matches!(error, OpError::Fetch(error) if error.is_network() && !error.is_not_found())
}

/// Groups the registry entries that are refused for the same reason, usually one wrong key. The second part of the result are
/// all other errors.
fn by_cause(errors: &[OpError]) -> (BTreeMap<String, Vec<String>>, Vec<&OpError>) {
    let mut entries = BTreeMap::<String, Vec<String>>::new();
    for error in errors {
        if let OpError::Entry { entry, source } = error {
            entries.entry(source.to_string()).or_default().push(entry.to_string());
        }
    }
    entries.retain(|_, entries| entries.len() > 1);
    // The order of the errors depends on when upstream answers.
    entries.values_mut().for_each(|entries| entries.sort());
    let alone = |error: &&OpError| match error {
        OpError::Entry { source, .. } => !entries.contains_key(&source.to_string()),
        _ => true,
    };
    let others = errors.iter().filter(alone).collect();
    (entries, others)
}

fn show_hint(output: &Output, hint: Option<String>) {
    if let Some(hint) = hint {
        output.always(styled(BOLD, "hint:") + format!(" {hint}"));
    }
}

/// Returns a hint for missing objects that the repository borrows from a folder that does not exist, or that a partial clone has
/// not fetched.
fn missing_hint(session: &Session, error: &OpError) -> Option<String> {
    if !matches!(
        error,
        OpError::Store(StoreError::Damaged { .. } | StoreError::Git { .. } | StoreError::GitFile { .. })
    ) {
        return None;
    }
    let repository = session.quiet_project().ok()?.repository;
    match repository.absent_alternate() {
        Some((file, absent)) => Some(hints::alternate_hint(&file, &absent)),
        None => repository.is_partial().then(|| hints::PARTIAL.to_owned()),
    }
}

/// Returns a hint on what to do next, if there is one.
pub fn hint(error: &OpError) -> Option<String> {
    if error.failure() == Failure::Repository
        && !matches!(error, OpError::Several { .. })
        && let Some(hint) = machine_hints::hint(&whole_text(error))
    {
        return Some(hint.to_owned());
    }
    let hint = match error {
        OpError::Store(error) => return hints::store_hint(error),
        OpError::Export(error) => return Some(hints::export_hint(error)),
        OpError::Publish(error) => return Some(hints::publish_hint(error)),
        OpError::Bucket(error) => return hints::bucket_hint(error),
        OpError::Tls(error) => return hints::tls_hint(error),
        OpError::Probe { source, .. } => hints::probe_hint(source),
        OpError::ServerUrl { .. } => "pass the URL that `git hexmirror serve` prints",
        OpError::Import(error) => return hints::import_hint(error),
        OpError::File(error) => return file_hints::hint(error),
        OpError::Fetch(error) => return hints::fetch_hint(error),
        OpError::Git(error) => return hints::git_hint(error),
        OpError::Remote(error) => return hints::remote_hint(error),
        OpError::Several { errors } => return errors.iter().find_map(hint),
        OpError::NoLock { left_out, .. } if !left_out.is_empty() => {
            let named = left_out.iter().take(NAMED).map(|LeftOutLock { file, reason }| format!("{file} ({reason})"));
            let named = named.collect::<Vec<_>>().join(", ");
            let action = match left_out.iter().all(|lock| lock.reason == Omission::Dangling) {
                true => "correct the link, or replace it with the file itself",
                false => "to use such a lock, pass its path with --lock or set `locks`",
            };
            return Some(format!("left out: {named}; {action}"));
        }
        OpError::LocksDisagree { file, other, .. } => {
            return Some(format!(
                "the other lock is {other}; find out which one is right (`git log -- {file} {other}`), and correct the other"
            ));
        }
        OpError::Shell { .. } => "set SHELL to the path of an installed shell, or unset it to use /bin/sh",
        OpError::LockWouldChange { is_bare: true, .. } => {
            "the mirror was not changed; run `git hexmirror update` in a clone with a worktree, and commit the lock there"
        }
        OpError::LockWouldChange { is_bare: false, .. } => {
            "the mirror was not changed; run `git hexmirror update` without --locked, and commit the lock"
        }
        OpError::NoBranch { .. } => {
            "correct the setting `git` (`git hexmirror status --settings` says where it comes from), or remove the line from hexmirror.lock"
        }
        OpError::TooManyLocks { .. } => "name the locks that count with the setting `locks`",
        OpError::NoLock { .. } => {
            "run this inside a project with a lock (`mix deps.get`, `rebar3 lock` and `gleam deps download` create one), or pass the lock's path with --lock"
        }
        OpError::Lock { file, .. } if file.starts_with("refs/") => {
            "nothing was changed; fix the lock there, or delete the ref if you no longer need it"
        }
        OpError::NoLockAt { .. } => {
            "choose a commit that has one; if the lock is not in the root of the worktree, pass its path with --lock or run this in its folder"
        }
        OpError::Refused { reason: FileRefusal::Outside, .. } => {
            "locks, .hexmirror.toml and the key files that it names must be inside the worktree: replace the link with the file itself"
        }
        OpError::Refused { .. } => {
            "the file may come from a branch that you checked out (see `git log -- FILE`); remove it, or replace it with a regular file"
        }
        OpError::NoRevision { .. } => {
            "`git log --oneline -- mix.lock` lists the commits that changed the lock; if this clone is shallow, run `git fetch --unshallow` first"
        }
        OpError::TooManyRevisions => {
            "pass REV..REV to compare two commits, or REV to compare a commit with the worktree"
        }
        OpError::RevisionAndPackage { name } => {
            return Some(format!("use `{name}..` for the revision, or `-- {name}` for the package"));
        }
        OpError::NoPackage { near, .. } if !near.is_empty() => {
            return Some(format!("did you mean {}?", near.join(" or ")));
        }
        OpError::NoPackage { .. } => "`git hexmirror lock` lists the packages in the locks",
        OpError::NoPublicKey { repository } => {
            return Some(format!(
                "set it with `git config hexmirror.{repository}.publicKey PATH` or `mix hex.repo add {repository} URL --public-key PATH`"
            ));
        }
        OpError::NoPrivateKey { signer: None, .. } => {
            "create one with `git hexmirror index --init`, or pass one with --private-key FILE"
        }
        OpError::NoPrivateKey { path, signer: Some(signer) } => {
            return Some(format!(
                "the index is signed with {signer}: copy that key from whoever has it, or from a backup, to {}, or pass it with --private-key FILE; if it is lost, `git hexmirror index --rotate-key` creates another one and signs everything again, and clients need its public key",
                path.display()
            ));
        }
        OpError::PrivateKey { .. } => {
            "it must be one unencrypted RSA key of 2048, 3072 or 4096 bits in PEM form; `openssl genrsa 2048` makes one, and `openssl rsa -in KEY -out FILE` removes a passphrase"
        }
        OpError::OtherIndexKey { .. } => {
            "nothing was changed; use the key that signed it (--private-key FILE or HEXMIRROR_PRIVATE_KEY_FILE), or sign everything again with `git hexmirror index --rotate-key`"
        }
        OpError::SameIndexKey { .. } => {
            "nothing was changed; pass another key with --private-key FILE, or unset HEXMIRROR_PRIVATE_KEY and HEXMIRROR_PRIVATE_KEY_FILE so that a new one is created"
        }
        OpError::PrivateKeyInMirror { commit: Some(_), .. } => {
            return Some(format!("nothing was sent; {}", hints::LEAKED_KEY));
        }
        OpError::PrivateKeyInMirror { commit: None, .. } => {
            "nothing was changed; everyone who can read the branch has the key, so never use it again: in the clone that pushed it, run `git hexmirror update --repair` and, if it is the key of the pinned index, `git hexmirror index --rotate-key`, and push from there"
        }
        OpError::NotListed { release } => {
            let package = &release.package;
            return Some(format!(
                "the release may have been removed upstream, or the registry may not list it yet; `mix hex.info {package}` shows the available releases"
            ));
        }
        OpError::InvalidRelease { .. } => {
            "nothing was stored; the entry is signed, so only whoever runs the registry can correct it: tell them, or pin another version"
        }
        OpError::RegistryDisagrees { release, .. } | OpError::InnerChecksum { release, .. } => {
            return Some(format!(
                "nothing was stored; find out whether the lock or upstream was changed; if upstream is right, `mix deps.update {}` corrects the lock",
                release.package
            ));
        }
        OpError::Entry { source: RegistryError::OtherRepository { .. }, .. }
        | OpError::Policy { source: RegistryError::OtherRepository { .. }, .. } => {
            "if this is a mirror that signs in its own name, and you trust it, set HEX_NO_VERIFY_REPO_ORIGIN=1 or `git config hexmirror.noVerifyRepoOrigin true`; its signatures and the lock's checksums are still checked"
        }
        OpError::Policy { policy, .. } => {
            return Some(format!(
                "nothing was stored; check the repository's URL and public key (git config hexmirror.{0}.url and hexmirror.{0}.publicKey)",
                policy.repository
            ));
        }
        OpError::Entry { entry, .. } => {
            return Some(format!(
                "nothing was stored; check the repository's URL and public key (git config hexmirror.{0}.url and hexmirror.{0}.publicKey)",
                entry.repository
            ));
        }
        OpError::Signer { repository, found, .. } => {
            return Some(format!(
                "nothing was changed; if {repository} announced a new key, set it (git config hexmirror.{repository}.publicKey PATH), allow it with `git config hexmirror.{repository}.signer {found}`, and run `git hexmirror update`; otherwise someone may have replaced the key"
            ));
        }
        OpError::SignerUnknown { repository, signer, .. } => {
            let source = repository.source();
            return Some(format!(
                "if your {source} is a mirror with a key of its own, name it: git config hexmirror.{source}.publicKey PATH (a PEM file with the fingerprint {signer}); otherwise someone may have replaced the entries"
            ));
        }
        OpError::Unverifiable { entry, .. } => {
            let repository = &entry.repository;
            return Some(format!(
                "the mirror was not changed; set the key with `git config hexmirror.{repository}.publicKey PATH`, or check out a branch whose .hexmirror.toml describes {repository}"
            ));
        }
        OpError::UnverifiedPush { repository, .. } => {
            return Some(format!(
                "nothing was pushed; push from a branch whose .hexmirror.toml describes {repository}, or set its key with `git config hexmirror.{repository}.publicKey PATH`; if no local branch needs {repository} any more, remove its packages with `git hexmirror prune --keep-days 0`"
            ));
        }
        OpError::OlderEntry { entry, .. } => {
            return Some(format!(
                "the mirror keeps its newer entry; upstream or a cache may lag behind, or someone may be replaying old entries; `git hexmirror update --keep-going` commits everything else; if upstream removed this on purpose, run `git hexmirror update --refresh --accept-older {entry}`"
            ));
        }
        OpError::Tarball { .. } => {
            "this tarball was not stored; please tell the package's maintainers; `git hexmirror update --keep-going` commits everything else"
        }
        OpError::NoRemote => {
            "pass the name or URL of a remote, add one with `git remote add origin URL`, or choose a default with `git config remote.pushDefault NAME`"
        }
        OpError::UnknownRemote { known, .. } if known.is_empty() => {
            "this repository has no remotes: add one with `git remote add origin URL`, or pass a URL"
        }
        OpError::UnknownRemote { known, .. } => {
            let known = known.iter().map(ToString::to_string).collect::<Vec<_>>();
            return Some(format!("pass a URL, or the name of a remote: {}", listed(&known, NAMED)));
        }
        OpError::RemoteLacks { remote, .. } => {
            return Some(format!(
                "someone who has the mirror can push it with `git hexmirror push {remote}`; or create it here with `git hexmirror update`"
            ));
        }
        OpError::Compacted { remote, .. } => {
            return Some(format!(
                "run `git hexmirror push --force-with-lease {remote}` to replace it; this fails if someone else has pushed in the meantime"
            ));
        }
        OpError::RemoteHasMore { remote, .. } => {
            return Some(format!("nothing was changed; run `git hexmirror pull {remote}` first"));
        }
        OpError::RemoteKeptMoving { .. } => "nothing is lost; run the command again",
        OpError::TwoTarballs { .. } => {
            "nothing was changed; run `git hexmirror update --refresh` to fetch the registry entry that says which one is right"
        }
        OpError::NestedShell => "`exit` leaves it",
        OpError::SharedHooks { .. } => {
            "add the lines that `git hexmirror hooks status` prints to the hooks there; or give this repository hooks of its own \
             instead (git config core.hooksPath .githooks), and run `git hexmirror hooks install`"
        }
        OpError::StillLacking { .. } => {
            "the branch was not changed; this is a bug in git-hexmirror, please report it and attach the lock"
        }
        OpError::KeptMoving { .. } => "try again when no other process writes to the branch",
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests;
