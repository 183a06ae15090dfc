//! Remembers the blob ids of the locks in a worktree, so that a project with many locks does not hash them every time.
//!
//! As in git's index, a file counts as unchanged if its metadata is. A file that was changed shortly before it was hashed
//! may change again without a new timestamp, so it is not remembered (git's `Documentation/technical/racy-git.txt`).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::store::ObjectId;

/// How old a file must be when it is hashed. Some file systems store times in units of two seconds.
const SETTLED: Duration = Duration::from_secs(3);

/// The remembered locks of one worktree.
#[derive(Debug)]
pub(super) struct LockStats {
    root: PathBuf,
    known: BTreeMap<String, (String, ObjectId)>,
    /// Whether anything was added since the file was read.
    pub is_changed: bool,
}

impl LockStats {
    /// Reads the file at `saved`. A file that is damaged or of another worktree counts as empty.
    pub fn load(saved: &Path, root: &Path) -> Self {
        let text = fs::read_to_string(saved).unwrap_or_default();
        let known = text.strip_prefix(&header(root)).and_then(|lines| lines.lines().map(line).collect());
        Self { root: root.to_owned(), known: known.unwrap_or_default(), is_changed: false }
    }

    /// Returns the blob id of a lock that has not changed since it was added.
    pub fn get(&self, file: &str) -> Option<ObjectId> {
        let (stat, blob) = self.known.get(file)?;
        (*stat == self::stat(&self.root.join(file).symlink_metadata().ok()?)?).then_some(*blob)
    }

    /// Adds a lock. `since` is a time before it was read.
    pub fn add(&mut self, file: &str, blob: ObjectId, since: SystemTime) {
        let Ok(metadata) = self.root.join(file).symlink_metadata() else { return };
        let is_settled =
            metadata.modified().is_ok_and(|changed| since.duration_since(changed).is_ok_and(|age| age >= SETTLED));
        if let (true, false, Some(stat)) = (is_settled, file.contains('\n'), stat(&metadata)) {
            self.known.insert(file.to_owned(), (stat, blob));
            self.is_changed = true;
        }
    }

    /// Returns the text to save: a header, and a line for each lock with its metadata, its blob id and its path.
    pub fn text(&self) -> String {
        let mut text = header(&self.root);
        for (file, (stat, blob)) in &self.known {
            let _ = writeln!(text, "{stat} {blob} {file}");
        }
        text
    }
}

fn header(root: &Path) -> String {
    format!("{} {:?}\n", env!("CARGO_PKG_VERSION"), root)
}

fn line(line: &str) -> Option<(String, (String, ObjectId))> {
    let mut fields = line.splitn(3, ' ');
    let (stat, blob, file) = (fields.next()?, fields.next()?, fields.next()?);
    Some((file.to_owned(), (stat.to_owned(), ObjectId::from_hex(blob.as_bytes()).ok()?)))
}

/// Returns everything that changes with a regular file's content. `None` for other files: what a link points to may
/// change alone.
#[cfg(unix)]
fn stat(metadata: &Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;

    let numbers = [
        metadata.dev().to_string(),
        metadata.ino().to_string(),
        metadata.size().to_string(),
        format!("{}.{}", metadata.mtime(), metadata.mtime_nsec()),
        format!("{}.{}", metadata.ctime(), metadata.ctime_nsec()),
    ];
    metadata.is_file().then(|| numbers.join(":"))
}

#[cfg(not(unix))]
fn stat(_: &Metadata) -> Option<String> {
    None
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_replaced_or_recent_file_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let (root, saved) = (folder.path(), folder.path().join("saved"));
        let path = root.join("a/mix.lock");
        fs::create_dir(root.join("a")).unwrap();
        let blob = ObjectId::from_hex(&[b'1'; 40]).unwrap();
        let write = |text: &str, age: Duration| {
            fs::write(&path, text).unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        };
        let hour = Duration::from_secs(3600);
        let mut stats = LockStats::load(&saved, root);
        write("one", Duration::ZERO);
        stats.add("a/mix.lock", blob, SystemTime::now());
        assert_eq!((stats.get("a/mix.lock"), stats.is_changed), (None, false), "it may still change unnoticed");
        write("one", hour);
        stats.add("a/mix.lock", blob, SystemTime::now());
        assert_eq!(stats.get("a/mix.lock"), Some(blob));
        fs::write(&saved, stats.text()).unwrap();
        let load = || LockStats::load(&saved, root).get("a/mix.lock");
        assert_eq!(load(), Some(blob));
        assert_eq!(LockStats::load(&saved, &root.join("a")).get("a/mix.lock"), None, "another worktree");
        // The same size and time, but written again.
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "two").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert_eq!(load(), None);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("../saved", &path).unwrap();
        stats.add("a/mix.lock", blob, SystemTime::now() + hour);
        assert_eq!(stats.get("a/mix.lock"), None, "a link");
        fs::write(&saved, "damaged").unwrap();
        assert_eq!(load(), None);
    }
}
