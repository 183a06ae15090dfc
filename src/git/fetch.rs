//! Fetches revisions and their ancestors from upstream into a scratch repository.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::Refs;
use super::error_message::MessageKind;
use super::run::Run;
use super::scratch::{Scratch, lines};
use super::unsuccessful::Unsuccessful;
use super::{GitError, Result};
use crate::model::{GitName, GitUrl, Revision};

/// The maximum number of refs listed in an error.
const NAMED_REFS: usize = 12;

/// A revision to be fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Want {
    /// The number of generations to fetch, or `None` for the full history.
    pub depth: Option<NonZeroU32>,
    /// The refs that may contain the revision, in case upstream does not serve a commit by its id.
    pub names: BTreeSet<GitName>,
}

/// A callback for the number of bytes received since the last call.
pub type OnReceived<'a> = dyn Fn(u64) + Sync + 'a;

/// Why a fetch of some refs failed.
enum Refusal {
    /// The server does not serve a commit by its id, or does not have it.
    NotOurRef,
    /// One of the revisions is not a commit.
    NotACommit,
    Error(GitError),
}

/// A part of the message of git's refusal to let a branch point to anything but a commit (`refs/files-backend.c`).
const NOT_A_COMMIT: &str = "trying to write non-commit object";

impl Scratch<'_> {
    /// Fetches the revisions that are missing, and nothing else. Returns the number of bytes received.
    ///
    /// # Errors
    /// Fails if the transfer fails or upstream does not have a revision. Whatever was received is kept.
    pub fn fetch(&self, url: &GitUrl, wants: &BTreeMap<Revision, Want>, received: &OnReceived<'_>) -> Result<u64> {
        self.or_forget(self.fetched(url, wants, received))
    }

    fn fetched(&self, url: &GitUrl, wants: &BTreeMap<Revision, Want>, received: &OnReceived<'_>) -> Result<u64> {
        let before = self.pack_bytes();
        let mut lacking = BTreeMap::<Option<NonZeroU32>, Vec<(Revision, &Want)>>::new();
        for (revision, want) in wants {
            if !self.has_ref(&fetched_ref(*revision, want)) {
                lacking.entry(want.depth).or_default().push((*revision, want));
            }
        }
        for (depth, wants) in lacking {
            let spec = |(revision, want): &(Revision, &Want)| format!("+{revision}:{}", fetched_ref(*revision, want));
            match self.fetch_refs(url, depth, wants.iter().map(spec), received) {
                Ok(()) => {}
                Err(Refusal::NotOurRef) => {
                    wants.iter().try_for_each(|(revision, want)| self.fetch_by_name(url, *revision, want, received))?;
                }
                Err(Refusal::NotACommit) => {
                    self.require_commits(url, &wants.iter().map(|(revision, _)| *revision).collect())?;
                    // Unless the repository was changed in between, the check fails.
                    return Err(GitError::Refused { url: url.to_string(), message: NOT_A_COMMIT.to_owned() });
                }
                Err(Refusal::Error(error)) => return Err(error),
            }
        }
        Ok(self.pack_bytes().saturating_sub(before))
    }

    fn fetch_refs(
        &self,
        url: &GitUrl,
        depth: Option<NonZeroU32>,
        specs: impl Iterator<Item = String>,
        received: &OnReceived<'_>,
    ) -> Result<(), Refusal> {
        let last = AtomicU64::new(0);
        let hear = |piece: &str| {
            if let Some(total) = received_bytes(piece) {
                received(total.saturating_sub(last.swap(total, Ordering::Relaxed)));
            }
        };
        let mut arguments: Vec<OsString> = fetch_arguments(depth).into_iter().map(Into::into).collect();
        arguments.push(self.place(url));
        arguments.extend(specs.map(Into::into));
        match self.with_place_allowed(self.run(arguments)).listening(&hear).finish() {
            Ok(_) => Ok(()),
            Err(Unsuccessful::Reported { text, .. }) if text.contains(NOT_A_COMMIT) => Err(Refusal::NotACommit),
            Err(Unsuccessful::Reported { text, .. }) => Err(match MessageKind::of(&text) {
                MessageKind::NotOurRef => Refusal::NotOurRef,
                kind => Refusal::Error(kind.error(url.to_string(), "fetch", &self.folder, text)),
            }),
            Err(Unsuccessful::Stalled { seconds }) => {
                Err(Refusal::Error(GitError::Stalled { url: url.to_string(), seconds }))
            }
            Err(Unsuccessful::Error(error)) => Err(Refusal::Error(error)),
        }
    }

    /// Returns what git fetches from.
    fn place(&self, url: &GitUrl) -> OsString {
        self.source.as_ref().map_or_else(|| url.secret_text().into(), Into::into)
    }

    /// Allows a git process to read from a folder if that is fetched from.
    fn with_place_allowed<'r>(&self, run: Run<'r>) -> Run<'r> {
        if self.source.is_some() { run.variable("GIT_ALLOW_PROTOCOL", "file") } else { run }
    }

    /// Fetches a revision through refs that contain it: first a ref that points to it, then the refs that the lock
    /// names, then all branches and tags. Other objects of these refs stay in the scratch repository.
    fn fetch_by_name(&self, url: &GitUrl, revision: Revision, want: &Want, received: &OnReceived<'_>) -> Result<()> {
        if want.depth.is_some() {
            let (full, wanted) = (self.full()?, Want { depth: None, names: want.names.clone() });
            if !full.has_ref(&fetched_ref(revision, &wanted)) {
                full.fetch_by_name(url, revision, &wanted, received)?;
            }
            return self.fetch_from_folder(&full.folder, revision, want);
        }
        let refs = self.list_refs(url)?;
        let exact = refs.iter().filter(|(_, tip)| *tip == revision).map(|(name, _)| name.as_str()).take(1);
        let named: Vec<String> =
            want.names.iter().filter(|name| **name != GitName::Head).map(|n| format!("refs/{n}")).collect();
        let named = refs.iter().map(|(name, _)| name.as_str()).filter(|name| named.iter().any(|wanted| wanted == name));
        let mut tries: Vec<Vec<String>> = exact.chain(named).map(|name| vec![upstream_spec(name)]).collect();
        tries.push(vec![upstream_spec("refs/heads/*"), upstream_spec("refs/tags/*")]);
        for specs in tries {
            match self.fetch_refs(url, None, specs.into_iter(), received) {
                // Of other refs, this program uses only what leads to the revision.
                Ok(()) | Err(Refusal::NotOurRef | Refusal::NotACommit) => {}
                Err(Refusal::Error(error)) => return Err(error),
            }
            if self.has_object(revision)? {
                self.require_commits(url, &[revision].into())?;
                let (name, id) = (fetched_ref(revision, want), revision.to_string());
                return self.run(["update-ref", &name, &id]).output("keep a revision").map(drop);
            }
        }
        let mut names: Vec<String> = refs
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| name.starts_with("refs/heads/") || name.starts_with("refs/tags/"))
            .map(|name| name.trim_start_matches("refs/").trim_start_matches("heads/").to_owned())
            .collect();
        let more = names.len().saturating_sub(NAMED_REFS);
        names.truncate(NAMED_REFS);
        Err(GitError::NoRevision { url: url.to_string(), revision, refs: Refs { names, more } })
    }

    /// Truncates a history to the wanted depth, as a server would.
    fn fetch_from_folder(&self, full: &Path, revision: Revision, want: &Want) -> Result<()> {
        let mut arguments: Vec<OsString> = fetch_arguments(want.depth).into_iter().map(Into::into).collect();
        arguments.push(full.into());
        arguments.push(format!("+{revision}:{}", fetched_ref(revision, want)).into());
        let run = self.run(arguments).variable("GIT_ALLOW_PROTOCOL", "file");
        run.output("cut a history to its depth").map(drop)
    }

    /// Returns the branches, tags and other refs of upstream with the objects that they point to.
    fn list_refs(&self, url: &GitUrl) -> Result<Vec<(String, Revision)>> {
        self.ls_remote(url, &["--refs"], &[])
    }

    /// Asks upstream for refs with the objects that they point to.
    fn ls_remote(&self, url: &GitUrl, options: &[&str], patterns: &[&str]) -> Result<Vec<(String, Revision)>> {
        let hear = |_: &str| {};
        let options = ["ls-remote", "--quiet"].iter().chain(options).chain(&["--end-of-options"]).map(OsString::from);
        let run = self.run(options.chain([self.place(url)]).chain(patterns.iter().map(OsString::from)));
        let output = match self.with_place_allowed(run).listening(&hear).finish() {
            Ok(output) => output,
            Err(Unsuccessful::Reported { text, .. }) => {
                return Err(MessageKind::of(&text).error(url.to_string(), "ls-remote", &self.folder, text));
            }
            Err(Unsuccessful::Stalled { seconds }) => return Err(GitError::Stalled { url: url.to_string(), seconds }),
            Err(Unsuccessful::Error(error)) => return Err(error),
        };
        let text = String::from_utf8_lossy(&output);
        let read = |line: &str| line.split_once('\t').and_then(|(id, name)| Some((name.to_owned(), id.parse().ok()?)));
        Ok(text.lines().filter_map(read).collect())
    }

    /// Asks upstream for the commit that a ref points to. Returns `None` if there is no such ref.
    ///
    /// # Errors
    /// Fails if upstream cannot be reached.
    pub fn tip_of(&self, url: &GitUrl, name: &GitName) -> Result<Option<Revision>> {
        let reference = if *name == GitName::Head { name.to_string() } else { format!("refs/{name}") };
        let peeled = format!("{reference}^{{}}");
        let refs = self.ls_remote(url, &[], &[&reference, &peeled])?;
        let tip = |wanted: &str| refs.iter().find(|(name, _)| name == wanted).map(|(_, id)| *id);
        // An annotated tag points to a tag object, and its commit is listed separately.
        Ok(tip(&peeled).or_else(|| tip(&reference)))
    }

    /// Reads files of the scratch repository, as [`Git::files`](super::Git::files) does.
    ///
    /// # Errors
    /// Fails if git cannot be run.
    pub fn files(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        self.git.files(&self.folder, names)
    }

    fn has_object(&self, revision: Revision) -> Result<bool> {
        match self.run(["cat-file", "-e", &revision.to_string()]).finish() {
            Ok(_) => Ok(true),
            Err(Unsuccessful::Error(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Fails if any of the revisions is not a commit.
    fn require_commits(&self, url: &GitUrl, revisions: &BTreeSet<Revision>) -> Result<()> {
        let input = lines(revisions.iter()).into_bytes();
        let kinds = self.run_with(["cat-file", "--batch-check=%(objecttype)"], &input).output("read objects")?;
        let kinds = String::from_utf8_lossy(&kinds);
        let mut kinds = kinds.lines();
        for revision in revisions {
            // For a missing object, the line is the revision and `missing`.
            let message = match kinds.next().map(|kind| kind.rsplit(' ').next().unwrap_or_default()) {
                Some("commit") => continue,
                Some("missing") | None => format!("{revision} is missing"),
                Some(kind) => format!("{revision} is a {kind}, not a commit"),
            };
            return Err(GitError::Refused { url: url.to_string(), message });
        }
        Ok(())
    }
}

/// Returns the ref that marks a revision as completely fetched, with the wanted depth. It is a branch, because git makes
/// sure that a branch points to a commit, which would otherwise take another process.
pub(super) fn fetched_ref(revision: Revision, want: &Want) -> String {
    match want.depth {
        None => format!("refs/heads/fetched/{revision}"),
        Some(depth) => format!("refs/heads/fetched/{revision}-{depth}"),
    }
}

fn upstream_spec(name: &str) -> String {
    format!("+{name}:refs/upstream/{}", name.trim_start_matches("refs/"))
}

fn fetch_arguments(depth: Option<NonZeroU32>) -> Vec<String> {
    let switches = [
        "fetch",
        "--quiet",
        "--progress",
        "--force",
        "--no-tags",
        "--no-filter",
        "--no-prune",
        "--no-auto-gc",
        "--no-recurse-submodules",
        "--no-write-fetch-head",
    ];
    let depth = depth.map(|depth| format!("--depth={depth}"));
    let end = "--end-of-options".to_owned();
    switches.into_iter().map(str::to_owned).chain(depth).chain([end]).collect()
}

/// Parses the number of received bytes from git's progress output: `Receiving objects:  12% (3/25), 1.25 MiB | 2.00
/// MiB/s`.
fn received_bytes(piece: &str) -> Option<u64> {
    let line =
        piece.rsplit(['\r', '\n']).find(|line| line.starts_with("Receiving objects:") && line.contains(" | "))?;
    let amount = line.split(" | ").next()?.rsplit(", ").next()?;
    let (number, unit) = amount.trim().split_once(' ')?;
    let (integer, hundredths) = number.split_once('.').unwrap_or((number, "0"));
    let number = integer.parse::<u64>().ok()?.checked_mul(100)?.checked_add(hundredths.parse::<u64>().ok()?)?;
    let unit = match unit {
        "bytes" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    Some(number.checked_mul(unit)? / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_parsed() {
        for (piece, expected) in [
            ("Receiving objects:  12% (3/25), 1.25 MiB | 2.00 MiB/s\r", Some(1_310_720)),
            ("x\rReceiving objects:  1% (1/99), 980 bytes | 980.00 KiB/s", Some(980)),
            ("Receiving objects:  12% (3/25)\r", None),
            ("Resolving deltas: 1% (1/2)", None),
            ("Receiving objects: 1%, 99999999999999999999.00 GiB | x", None),
        ] {
            assert_eq!(received_bytes(piece), expected, "{piece}");
        }
    }
}
