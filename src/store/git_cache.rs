//! The cache of git repositories on disk.
//!
//! They are cached in `hexmirror/git/<tree id>` in the project's git folder, which all worktrees and processes share. A
//! folder is written once under a temporary name, renamed, and never changed afterwards. Readers of a folder hold a
//! shared lock on the file `<tree id>.lock` beside it; whoever creates or removes the folder holds an exclusive one.
//! The cache may be deleted at any time: missing repositories are written again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::files::Files;
use super::{Result, StoreError};
use crate::file_lock;

/// The limits of the cache, not counting the newest repository. The least recently used repositories are removed first.
/// Repositories in use are never removed, so a larger mirror still works, but has its repositories rewritten often.
const BOUNDS: Bounds = Bounds { bytes: 4 << 30, repositories: 1000 };

struct Bounds {
    bytes: u64,
    repositories: usize,
}

/// Separates the final name from a random suffix in the name of a folder that is still being written.
const NEW: &str = ".new-";

/// How often a folder is created again if another process deletes it at the same time.
const ATTEMPTS: usize = 5;

/// Returns a folder of a cache with a lock that prevents its removal, and creates the folder if it does not exist.
pub(super) fn cached_folder(
    files: &Files,
    cache: &Path,
    name: &str,
    write: impl Fn(&Path) -> Result<()>,
) -> Result<(PathBuf, File)> {
    let (folder, lock) = (cache.join(name), cache.join(format!("{name}.lock")));
    for _ in 0..ATTEMPTS {
        files.create_dir_all(cache)?;
        let Some(shared) = locked(&lock, File::lock_shared)? else { continue };
        files.share(&lock)?;
        if folder.join("HEAD").is_file() {
            // Records the last use. If this fails, the folder is merely evicted sooner.
            let _ = shared.set_modified(SystemTime::now());
            return Ok((folder, shared));
        }
        drop(shared);
        let Some(alone) = locked(&lock, File::lock)? else { continue };
        if !folder.join("HEAD").is_file() {
            remove_folder(&folder)?;
            match write_folder(files, &folder, &write) {
                Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => continue,
                written => written?,
            }
            drop(alone);
            make_room(cache, name, BOUNDS)?;
        }
    }
    Err(StoreError::Io { action: "keep", path: folder, source: io::Error::other("another process keeps deleting it") })
}

/// Creates the folder of a bare repository, all or nothing.
pub(super) fn write_folder(files: &Files, folder: &Path, write: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let parent = folder.parent().unwrap_or(Path::new("."));
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let made = tempfile::Builder::new().prefix(&format!("{name}{NEW}")).tempdir_in(parent);
    let made = made.map_err(StoreError::io("create a folder in", parent))?;
    for below in ["refs", "info", "objects/info", "objects/pack"] {
        let path = made.path().join(below);
        fs::create_dir_all(&path).map_err(StoreError::io("create", &path))?;
    }
    write(made.path())?;
    files.share_all(made.path())?;
    match fs::rename(made.path(), folder) {
        Ok(()) => {
            // The folder no longer exists under its temporary name.
            let _ = made.keep();
            Ok(())
        }
        // If the lock file was deleted, another process may have written the same folder first.
        Err(_) if folder.join("HEAD").is_file() => Ok(()),
        Err(source) => Err(StoreError::Io { action: "create", path: folder.to_owned(), source }),
    }
}

/// Returns a folder of a cache that this process can only read, if the folder exists.
pub(super) fn existing_folder(cache: &Path, name: &str) -> Option<(PathBuf, Option<File>)> {
    let folder = cache.join(name);
    let lock = File::open(cache.join(format!("{name}.lock"))).ok().filter(|lock| lock.lock_shared().is_ok());
    let packs = fs::read_dir(folder.join("objects/pack")).ok()?;
    let files = packs.filter_map(io::Result::ok).map(|entry| entry.path());
    let is_readable = files.chain([folder.join("HEAD")]).all(|path| File::open(path).is_ok());
    is_readable.then_some((folder, lock))
}

/// Opens and locks a lock file. Returns `None` if the file was deleted meanwhile, because the lock then protects
/// nothing.
fn locked(path: &Path, lock: impl Fn(&File) -> io::Result<()>) -> Result<Option<File>> {
    let file = match file_lock::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(StoreError::io("write to", path))?,
    };
    lock(&file).map_err(StoreError::io("lock", path))?;
    Ok(is_still(&file, path).then_some(file))
}

#[cfg(unix)]
fn is_still(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let (Ok(own), Ok(current)) = (file.metadata(), fs::metadata(path)) else { return false };
    (own.dev(), own.ino()) == (current.dev(), current.ino())
}

#[cfg(not(unix))]
fn is_still(_: &File, path: &Path) -> bool {
    path.is_file()
}

/// Removes the least recently used repositories until the cache is within its limits, and the leftovers of killed
/// processes.
fn make_room(cache: &Path, newest: &str, bounds: Bounds) -> Result<()> {
    let unreadable = || StoreError::io("read", cache);
    let mut cached: BTreeMap<String, CacheEntry> = BTreeMap::new();
    for entry in fs::read_dir(cache).map_err(unreadable())?.filter_map(io::Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let tree = name.split('.').next().unwrap_or_default().to_owned();
        let cached = cached.entry(tree).or_default();
        // Another process may remove an entry at this moment.
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                cached.is_complete |= !name.contains('.');
                cached.folders.push(entry.path());
                cached.bytes += bytes_below(&entry.path());
            }
            Ok(metadata) => cached.used = metadata.modified().ok(),
            Err(_) => {}
        }
    }
    let mut by_age: Vec<(String, CacheEntry)> = cached.into_iter().filter(|(tree, _)| newest != tree).collect();
    by_age.sort_by_key(|(_, cached)| (cached.is_complete, cached.used));
    let mut bytes: u64 = by_age.iter().map(|(_, cached)| cached.bytes).sum();
    let mut count = by_age.len();
    for (tree, cached) in by_age {
        if cached.is_complete && bytes <= bounds.bytes && count < bounds.repositories {
            break;
        }
        if remove(cache, &tree, &cached)? {
            bytes -= cached.bytes;
            count -= 1;
        }
    }
    Ok(())
}

/// Returns whether a cache contains unfinished repositories.
pub(super) fn has_leftovers(cache: &Path) -> bool {
    !unfinished(cache).is_empty()
}

/// Removes the leftovers of killed processes.
pub(super) fn sweep(cache: &Path) {
    for (tree, folders) in unfinished(cache) {
        let path = cache.join(format!("{tree}.lock"));
        let lock = file_lock::open(&path).and_then(|lock| Ok(file_lock::try_lock(&lock)?.then_some(lock)));
        // A process that is still writing the folder holds its lock.
        let Ok(Some(_lock)) = lock else { continue };
        let removed = folders.iter().all(|folder| remove_folder(folder).is_ok());
        if removed && !cache.join(&tree).is_dir() {
            let _ = fs::remove_file(path);
        }
    }
}

/// Returns the trees whose folders are missing or incomplete, with their partial folders.
fn unfinished(cache: &Path) -> BTreeMap<String, Vec<PathBuf>> {
    let mut unfinished = BTreeMap::<String, Vec<PathBuf>>::new();
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if let Some((tree, _)) = name.split_once(NEW) {
            unfinished.entry(tree.to_owned()).or_default().push(entry.path());
        } else if let Some(tree) = name.strip_suffix(".lock").filter(|tree| !cache.join(tree).is_dir()) {
            unfinished.entry(tree.to_owned()).or_default();
        }
    }
    unfinished
}

#[derive(Debug, Default)]
struct CacheEntry {
    /// Whether the repository is complete, rather than parts of an attempt.
    is_complete: bool,
    folders: Vec<PathBuf>,
    bytes: u64,
    used: Option<SystemTime>,
}

/// Removes a repository, unless it is in use.
fn remove(cache: &Path, tree: &str, cached: &CacheEntry) -> Result<bool> {
    let path = cache.join(format!("{tree}.lock"));
    let Ok(lock) = file_lock::open(&path) else { return Ok(false) };
    if !file_lock::try_lock(&lock).map_err(StoreError::io("lock", &path))? {
        return Ok(false);
    }
    for folder in &cached.folders {
        remove_folder(folder)?;
    }
    // A process that waits for this lock notices that the file is gone, and creates a new one.
    let _ = fs::remove_file(&path);
    Ok(true)
}

/// Removes a repository. `HEAD`, which marks the folder as complete, goes first, in case the removal is interrupted.
fn remove_folder(folder: &Path) -> Result<()> {
    let removed = fs::remove_file(folder.join("HEAD")).and_then(|()| fs::remove_dir_all(folder));
    match removed.or_else(|_| fs::remove_dir_all(folder)) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(StoreError::Io { action: "remove", path: folder.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn bytes_below(folder: &Path) -> u64 {
    let files = walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok);
    files.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file).map(|metadata| metadata.len()).sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gix::ObjectId;

    use super::*;

    fn tree(digit: char) -> ObjectId {
        ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
    }

    /// Adds a repository of `bytes` bytes to a cache, last used at `used` seconds.
    fn put(cache: &Path, digit: char, bytes: usize, used: u64) {
        let folder = cache.join(tree(digit).to_string());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("HEAD"), vec![b'x'; bytes]).unwrap();
        let lock = File::create(cache.join(format!("{}.lock", tree(digit)))).unwrap();
        lock.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(used)).unwrap();
    }

    fn kept(cache: &Path) -> String {
        let entries = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut kept: Vec<char> =
            entries.filter(|name| !name.ends_with(".lock")).map(|name| name.chars().next().unwrap()).collect();
        kept.sort_unstable();
        kept.into_iter().collect()
    }

    #[test]
    fn the_least_recently_used_is_evicted_unless_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path();
        for (digit, used) in [('a', 5), ('b', 1), ('c', 2), ('d', 3), ('e', 4)] {
            put(cache, digit, 100, used);
        }
        make_room(cache, &tree('e').to_string(), Bounds { bytes: 1000, repositories: 10 }).unwrap();
        assert_eq!(kept(cache), "abcde");
        let in_use = locked(&cache.join(format!("{}.lock", tree('b'))), File::lock_shared).unwrap();
        make_room(cache, &tree('e').to_string(), Bounds { bytes: 300, repositories: 10 }).unwrap();
        assert_eq!(kept(cache), "abde", "the oldest is in use");
        make_room(cache, &tree('e').to_string(), Bounds { bytes: 1000, repositories: 2 }).unwrap();
        assert_eq!(kept(cache), "be", "and the newest is never removed");
        file_lock::release(in_use.unwrap());
        make_room(cache, &tree('e').to_string(), Bounds { bytes: 0, repositories: 10 }).unwrap();
        assert_eq!(kept(cache), "e");
        assert_eq!(fs::read_dir(cache).unwrap().count(), 2, "no lock stays without its repository");
    }

    #[test]
    fn leftovers_of_killed_processes_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path();
        put(cache, 'a', 1, 1);
        put(cache, 'b', 1, 1);
        fs::create_dir_all(cache.join(format!("{}.new-x/objects", tree('c')))).unwrap();
        fs::create_dir_all(cache.join(format!("{}.new-y/objects", tree('d')))).unwrap();
        let making = locked(&cache.join(format!("{}.lock", tree('d'))), File::lock).unwrap();
        make_room(cache, &tree('b').to_string(), BOUNDS).unwrap();
        assert_eq!(kept(cache), "abd", "the last one is still being written");
        fs::create_dir_all(cache.join(format!("{}.new-z/objects", tree('a')))).unwrap();
        File::create(cache.join(format!("{}.lock", tree('e')))).unwrap();
        sweep(cache);
        let names = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let (locks, folders): (Vec<_>, Vec<_>) = names.partition(|name| name.ends_with(".lock"));
        assert_eq!((locks.len(), folders.len()), (3, 3), "{locks:?} {folders:?}");
        file_lock::release(making.unwrap());
        sweep(cache);
        assert!(!has_leftovers(cache));
        assert_eq!(kept(cache), "ab");
    }
}
