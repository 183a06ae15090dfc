//! Diagnoses and recovers the mirror's refs after a machine crash.

use std::fmt;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::lock::acquire::Fail;
use gix::refs::FullName;
use gix::refs::transaction::PreviousValue;

use super::files::Component;
use super::ref_marker::RefMarker;
use super::ref_update::RefUpdate;
use super::{Branch, Repository, Result, Snapshot, StoreError};
use crate::model::Remote;

/// The maximum number of bytes read from a loose ref.
const MAX_REF: usize = 4096;

/// The outcome of recovering a broken branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The branch's full name.
    pub reference: String,
    /// What was wrong with the ref.
    pub problem: String,
    /// The commit that the branch points to now.
    pub commit: ObjectId,
    /// Where that commit was found.
    pub source: RecoverySource,
}

/// Where the commit of a recovered branch was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoverySource {
    /// In the branch's reflog.
    Reflog,
    /// Among the refs that `git pack-refs` packed.
    PackedRefs,
    /// In the tracking ref of a remote.
    Remote(Remote),
}

impl fmt::Display for RecoverySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reflog => f.write_str("its reflog"),
            Self::PackedRefs => f.write_str("packed-refs"),
            Self::Remote(remote) => write!(f, "{remote}, when last fetched"),
        }
    }
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reference, problem, commit, source } = self;
        write!(f, "the ref {reference} was broken ({problem}); recovered it to {commit}, from {source}")
    }
}

impl Repository {
    /// Resets a broken branch to the newest complete mirror that it is known to have pointed to. Candidates come from
    /// its reflog, then packed-refs, then the remotes. Returns `None` if the branch is not broken.
    ///
    /// # Errors
    /// Fails if there is no candidate or the ref cannot be written.
    pub fn recover(&self, branch: &Branch) -> Result<Option<Recovered>> {
        let problem = match self.tip(branch) {
            Err(StoreError::BrokenRef { problem, .. }) => problem,
            tip => return tip.map(|_| None),
        };
        let reference = branch.full_name();
        let path = self.common_dir().join(&reference);
        let Some((commit, source)) =
            self.candidates(branch).find(|(commit, _)| self.is_readable_mirror(branch, *commit))
        else {
            return Err(StoreError::NotRecovered { reference, problem, path });
        };
        let seen = fs::read(&path).unwrap_or_default();
        let still = |path: &Path| match fs::read(path).unwrap_or_default() == seen {
            true => Ok(()),
            false => Err(StoreError::Moved { branch: branch.to_string() }),
        };
        if self.packed(&branch.name) == Some(commit) {
            self.uncover_packed(&path, still)?;
            return Ok(Some(Recovered { reference, problem, commit, source }));
        }
        self.end_reflog(&reference)?;
        if seen.starts_with(commit.to_string().as_bytes()) {
            self.write_again(&path, commit, still)?;
            return Ok(Some(Recovered { reference, problem, commit, source }));
        }
        let log = format!("recovered from {source}");
        let update = RefUpdate {
            name: &branch.name,
            commit,
            expected: PreviousValue::Any,
            log: &log,
            action: "recover the mirror branch",
        };
        self.replace_branch(&update, still)?;
        Ok(Some(Recovered { reference, problem, commit, source }))
    }

    /// Removes the tracking ref of a remote's mirror if it is broken; the next fetch writes it again. Returns what was
    /// wrong with it.
    ///
    /// # Errors
    /// Fails if the ref cannot be read or removed.
    pub fn forget_broken_remote(&self, remote: &Remote, branch: &Branch) -> Result<Option<StoreError>> {
        match self.remote_tip(remote, branch) {
            Err(error @ StoreError::BrokenRef { .. }) => {
                let path = self.common_dir().join(self.tracking_ref(remote, branch));
                fs::remove_file(&path).map_err(StoreError::io("remove", path))?;
                Ok(Some(error))
            }
            tip => tip.map(|_| None),
        }
    }

    /// Returns what is wrong with a loose ref, or `None` if it is valid or does not exist.
    pub(super) fn broken_ref(&self, name: &FullName) -> Option<StoreError> {
        let reference = name.as_bstr().to_string();
        let content = fs::read(self.common_dir().join(&reference)).ok()?;
        // A symbolic ref names another ref, which has a file of its own.
        if content.starts_with(b"ref:") {
            return None;
        }
        target(&content).err().map(|problem| StoreError::BrokenRef { reference, problem })
    }

    /// Returns what is wrong with `packed-refs`, or `None` if it can be read.
    pub(super) fn broken_packed_refs(&self) -> Option<StoreError> {
        type Cause = Box<dyn std::error::Error + Send + Sync>;
        let source: Cause = match self.git.refs.cached_packed_buffer() {
            Err(error) => Box::new(error),
            // gix parses the lines after the header lazily.
            Ok(buffer) => match buffer?.iter() {
                Err(error) => Box::new(error),
                Ok(mut lines) => Box::new(lines.find_map(Result::err)?),
            },
        };
        Some(StoreError::BrokenPackedRefs { path: self.common_dir().join("packed-refs"), source })
    }

    /// Returns the commits that a branch is known to have pointed to, in order of preference.
    fn candidates(&self, branch: &Branch) -> impl Iterator<Item = (ObjectId, RecoverySource)> {
        let reflog = self.readable_reflog(&branch.full_name()).into_iter().map(|id| (id, RecoverySource::Reflog));
        let packed = self.packed(&branch.name).map(|id| (id, RecoverySource::PackedRefs));
        // Broken tracking refs are skipped.
        let remotes = self.remote_names().into_iter().filter_map(|remote| {
            let tip = self.remote_tip(&remote, branch).ok().flatten()?;
            Some((tip, RecoverySource::Remote(remote)))
        });
        let remotes: Vec<_> = remotes.collect();
        reflog.chain(packed).chain(remotes)
    }

    /// Removes the loose file of a ref, so that its entry in packed-refs takes effect.
    fn uncover_packed(&self, path: &Path, still: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let lock = gix::lock::Marker::acquire_to_hold_resource(path, Fail::Immediately, None, 0);
        let _lock = lock.map_err(StoreError::git("lock the mirror branch"))?;
        still(path)?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::io("remove", path)(error)),
            _ => self.files()?.sync_folders(Component::Reference, path.parent().unwrap_or(path), self.common_dir()),
        }
    }

    /// Rewrites a loose ref that starts with the commit's id but has trailing bytes. gix ignores those bytes and would
    /// therefore write nothing.
    fn write_again(&self, path: &Path, commit: ObjectId, still: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let name = path.strip_prefix(self.common_dir()).unwrap_or(path).to_string_lossy();
        let _marker = RefMarker::set(self, &name, commit);
        let lock = gix::lock::File::acquire_to_update_resource(path, Fail::Immediately, None, 0);
        let mut lock = lock.map_err(StoreError::git("lock the mirror branch"))?;
        still(path)?;
        lock.write_all(format!("{commit}\n").as_bytes()).map_err(StoreError::io("write", path))?;
        let files = self.files()?;
        files.share(lock.lock_path())?;
        files.sync(Component::Reference, lock.lock_path())?;
        lock.commit().map_err(|error| StoreError::io("write", path)(error.error))?;
        files.sync_folders(Component::Reference, path.parent().unwrap_or(path), self.common_dir())
    }

    /// Ends an incomplete last line of a reflog, so that the next entry starts on a new line.
    fn end_reflog(&self, reference: &str) -> Result<()> {
        let path = self.common_dir().join("logs").join(reference);
        if fs::read(&path).unwrap_or_default().last().is_none_or(|last| *last == b'\n') {
            return Ok(());
        }
        let end = fs::File::options().append(true).open(&path).and_then(|mut file| file.write_all(b"\n"));
        end.map_err(StoreError::io("write to", path))
    }

    /// Returns the commits in a reflog, newest first. Damaged lines are skipped, and a missing reflog counts as empty.
    fn readable_reflog(&self, reference: &str) -> Vec<ObjectId> {
        let text = fs::read(self.common_dir().join("logs").join(reference)).unwrap_or_default();
        let ids = text.lines().rev().flat_map(|line| {
            // OLD SP NEW SP NAME <EMAIL> …. An incomplete line may contain only OLD.
            let mut words = line.split(|byte| *byte == b' ');
            let (old, new) = (words.next(), words.next());
            [new, old].into_iter().flatten().filter_map(|id| ObjectId::from_hex(id).ok()).collect::<Vec<_>>()
        });
        let mut ids: Vec<ObjectId> = ids.filter(|id| !id.is_null()).collect();
        ids.dedup();
        ids
    }

    fn packed(&self, name: &FullName) -> Option<ObjectId> {
        let packed = self.git.refs.cached_packed_buffer().ok()??;
        let reference = packed.try_find(name.as_ref()).ok()??;
        Some(reference.target())
    }

    /// Returns whether a commit is a mirror whose manifest can be read.
    fn is_readable_mirror(&self, branch: &Branch, commit: ObjectId) -> bool {
        Snapshot::at(self, branch, commit).is_ok_and(|snapshot| snapshot.manifest().is_ok())
    }
}

/// Parses a loose ref that must hold an object id (gitrepository-layout(5)). The error describes what is wrong with it.
fn target(content: &[u8]) -> Result<ObjectId, String> {
    let problem = match content {
        [] => "it is empty".to_owned(),
        content if content.iter().all(|byte| *byte == 0) => {
            format!("it holds {} zero bytes", content.len())
        }
        content => {
            let id = content[..content.len().min(MAX_REF)].trim_ascii_end();
            match ObjectId::from_hex(id) {
                Ok(id) => return Ok(id),
                Err(_) => "it holds no commit id".to_owned(),
            }
        }
    };
    Err(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_refs_are_diagnosed() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(target(format!("{id}\n").as_bytes()).unwrap().to_string(), id);
        for (content, problem) in [
            (&b""[..], "it is empty"),
            (&[0; 41], "it holds 41 zero bytes"),
            (b"0123456789abcdef\n", "it holds no commit id"),
            (b"\xff\xfe", "it holds no commit id"),
            (b"\n", "it holds no commit id"),
            (format!("{id}x").as_bytes(), "it holds no commit id"),
        ] {
            assert_eq!(target(content).unwrap_err(), problem);
        }
    }
}
