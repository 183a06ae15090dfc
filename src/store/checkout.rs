//! Git repositories of the mirror, written out as folders that git can read.
//!
//! They stand in a cache beside the project's repository, `hexmirror/git/<tree id>`, which all its worktrees and all
//! processes share. A folder is written once, under another name, and then renamed; nobody changes it afterwards. A file
//! `<tree id>.lock` beside it is locked: by everybody who reads from the folder, and alone by whoever makes or removes it.
//! All of it may be deleted at any time: what is needed is written again.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::read::ZlibDecoder;
use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice};

use super::files::Files;
use super::{Repository, Result, Snapshot, StoreError};
use crate::model::GitAddress;

/// The most that the cache keeps beside the newest; what was used longest ago goes first. What is in use stays, so a mirror
/// that is larger still works, but writes repositories again and again.
const BOUNDS: Bounds = Bounds { bytes: 4 << 30, repositories: 1000 };

struct Bounds {
    bytes: u64,
    repositories: usize,
}

/// What stands between the name of a folder and the rest while it is written.
const NEW: &str = ".new-";

/// From this size on, in bytes, a file is written without ever being whole in memory.
const LARGE: u64 = 8 << 20;

/// How often a folder is made that somebody deletes at the same time.
const ATTEMPTS: usize = 5;

/// A bare git repository on disk. It is not removed from the cache as long as this is kept.
#[derive(Debug)]
pub struct Checkout {
    tree: ObjectId,
    folder: PathBuf,
    /// Nothing where somebody else's cache has none that can be opened: its owner may then remove the folder under us.
    _lock: Option<File>,
}

impl Checkout {
    /// Returns the repository's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the id of the tree that it was written from.
    pub fn tree(&self) -> ObjectId {
        self.tree
    }
}

impl Snapshot {
    /// Returns the id of the tree of a git repository, or `None` where the mirror does not have it. Two repositories with
    /// one id are the same.
    ///
    /// # Errors
    /// Fails where the snapshot cannot be read.
    pub fn git_repository(&self, address: &GitAddress) -> Result<Option<ObjectId>> {
        Ok(self.lookup(&address.tree_path())?.filter(|(_, mode)| mode.is_tree()).map(|(id, _)| id))
    }

    /// Returns a git repository as a folder of the cache beside the project's repository, or `None` where the mirror does not
    /// have it.
    ///
    /// # Errors
    /// As for [`Repository::checkout`].
    pub fn checkout(&self, address: &GitAddress) -> Result<Option<Checkout>> {
        self.git_repository(address)?.map(|tree| self.repository.checkout(tree)).transpose()
    }

    /// Returns a git repository as a folder of another cache, or `None` where the mirror does not have it.
    ///
    /// # Errors
    /// As for [`Repository::checkout`].
    pub fn checkout_in(&self, cache: &Path, address: &GitAddress) -> Result<Option<Checkout>> {
        self.git_repository(address)?.map(|tree| self.repository.checkout_in(cache, tree)).transpose()
    }
}

impl Repository {
    /// Returns a git repository of the mirror as a folder of the cache, and makes that where it is not there. A cache that may
    /// not be written is used as it is, as far as it can be read.
    ///
    /// # Errors
    /// Fails where the tree is damaged or the cache cannot be written ([`StoreError::is_unwritable`], mostly).
    pub fn checkout(&self, tree: ObjectId) -> Result<Checkout> {
        let cache = self.own_dir().join("git");
        match self.checkout_in(&cache, tree) {
            Err(error) if error.is_unwritable() => {
                let (folder, lock) = there(&cache, &tree.to_string()).ok_or(error)?;
                Ok(Checkout { tree, folder, _lock: lock })
            }
            checkout => checkout,
        }
    }

    fn checkout_in(&self, cache: &Path, tree: ObjectId) -> Result<Checkout> {
        let write = |folder: &Path| self.write_files(tree, folder);
        let (folder, lock) = kept(&self.files()?, cache, &tree.to_string(), write)?;
        Ok(Checkout { tree, folder, _lock: Some(lock) })
    }

    /// Writes the tree of a bare repository into a new folder: all of it or nothing. Files that a packed repository does not
    /// have are left out: a branch that brings a `config` or a hook along brings it in vain.
    ///
    /// # Errors
    /// Fails where the tree is damaged or the folder cannot be written.
    pub fn write_tree_to(&self, tree: ObjectId, folder: &Path) -> Result<()> {
        write_folder(&self.files()?, folder, |folder| self.write_files(tree, folder))
    }

    /// Writes the files of a bare repository's tree.
    fn write_files(&self, tree: ObjectId, folder: &Path) -> Result<()> {
        let item = format!("the tree {tree} of a git repository");
        let mut recorder = gix::traverse::tree::Recorder::default();
        let read = self.git.find_tree(tree).map_err(StoreError::damaged(&item))?;
        read.traverse().breadthfirst(&mut recorder).map_err(StoreError::damaged(&item))?;
        for entry in recorder.records.iter().filter(|entry| entry.mode.is_blob() && is_known(entry.filepath.as_bstr()))
        {
            let name = entry.filepath.to_str_lossy();
            self.write_blob_to(entry.oid, &name, &folder.join(name.as_ref()))?;
        }
        if folder.join("HEAD").is_file() { Ok(()) } else { Err(StoreError::damaged(item)("it has no HEAD")) }
    }

    /// Writes a blob to a file; `name` is what it is called in the repository that it is of.
    fn write_blob_to(&self, id: ObjectId, name: &str, path: &Path) -> Result<()> {
        let item = format!("the file {name}");
        let size = self.git.find_header(id).map_err(StoreError::damaged(&item))?.size();
        let write = || StoreError::io("write", path);
        let mut file = File::create(path).map_err(write())?;
        if size < LARGE || !self.copy_packed(id, size, &mut file).map_err(write())? {
            // Small, or loose, or a delta: which packs hardly ever are of one another.
            let object = self.git.find_object(id).map_err(StoreError::damaged(&item))?;
            file.write_all(&object.data).map_err(write())?;
        }
        // Else a crash of the machine could leave a folder that looks whole.
        file.sync_all().map_err(write())
    }

    /// Copies a blob from the pack that holds it undeltified, a piece at a time: the object database would give it whole
    /// only. Returns whether there is such a pack.
    fn copy_packed(&self, id: ObjectId, size: u64, to: &mut File) -> io::Result<bool> {
        let packs = self.objects_dir().join("pack");
        for entry in fs::read_dir(&packs)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "idx") {
                continue;
            }
            let Ok(index) = gix_pack::index::File::at(&path, id.kind()) else { continue };
            let Some(position) = index.lookup(id) else { continue };
            // It may just have been repacked into another one.
            let Ok(mut pack) = File::open(path.with_extension("pack")) else { continue };
            let offset = index.pack_offset_at_index(position);
            pack.seek(SeekFrom::Start(offset))?;
            let mut pack = BufReader::new(pack);
            let entry = gix_pack::data::Entry::from_read(&mut pack, offset, id.kind().len_in_bytes())?;
            if !matches!(entry.header, gix_pack::data::entry::Header::Blob) {
                continue;
            }
            let copied = io::copy(&mut ZlibDecoder::new(pack).take(size + 1), to)?;
            return if copied == size { Ok(true) } else { Err(io::Error::other("its size in the pack is wrong")) };
        }
        Ok(false)
    }
}

/// Returns a folder of a cache, locked against its removal, and makes it if it is not there.
pub(super) fn kept(
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
            // Tells how long ago it was used; where it cannot be written, it is only removed sooner.
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
    Err(StoreError::Io { action: "keep", path: folder, source: io::Error::other("somebody else keeps deleting it") })
}

/// Makes the folder of a bare repository: all of it or nothing.
fn write_folder(files: &Files, folder: &Path, write: impl Fn(&Path) -> Result<()>) -> Result<()> {
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
            // It is not there any more under this name.
            let _ = made.keep();
            Ok(())
        }
        // Somebody whose lock file was deleted was faster, and wrote the same.
        Err(_) if folder.join("HEAD").is_file() => Ok(()),
        Err(source) => Err(StoreError::Io { action: "create", path: folder.to_owned(), source }),
    }
}

/// Tells whether a packed bare repository has such a file, and git needs it to answer.
fn is_known(path: &BStr) -> bool {
    let Ok(path) = path.to_str() else { return false };
    if matches!(path, "HEAD" | "packed-refs" | "shallow" | "info/refs" | "objects/info/packs") {
        return true;
    }
    let name = path.strip_prefix("objects/pack/pack-").and_then(|name| name.split_once('.'));
    name.is_some_and(|(digits, extension)| {
        digits.len() == 40
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            && matches!(extension, "pack" | "idx" | "rev")
    })
}

/// Returns a folder of a cache that this process may only read, if it is there.
pub(super) fn there(cache: &Path, name: &str) -> Option<(PathBuf, Option<File>)> {
    let folder = cache.join(name);
    let lock = File::open(cache.join(format!("{name}.lock"))).ok().filter(|lock| lock.lock_shared().is_ok());
    let packs = fs::read_dir(folder.join("objects/pack")).ok()?;
    let files = packs.filter_map(io::Result::ok).map(|entry| entry.path());
    let is_readable = files.chain([folder.join("HEAD")]).all(|path| File::open(path).is_ok());
    is_readable.then_some((folder, lock))
}

/// Opens a lock file and locks it; `None` where it was deleted meanwhile, so that the lock means nothing.
fn locked(path: &Path, lock: impl Fn(&File) -> io::Result<()>) -> Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = match file {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(StoreError::io("write to", path))?,
    };
    lock(&file).map_err(StoreError::io("lock", path))?;
    Ok(is_still(&file, path).then_some(file))
}

#[cfg(unix)]
fn is_still(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let (Ok(own), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    (own.dev(), own.ino()) == (there.dev(), there.ino())
}

#[cfg(not(unix))]
fn is_still(_: &File, path: &Path) -> bool {
    path.is_file()
}

/// Removes what was used longest ago until the cache is within its bounds, and what makers that were killed left behind.
fn make_room(cache: &Path, newest: &str, bounds: Bounds) -> Result<()> {
    let unreadable = || StoreError::io("read", cache);
    let mut kept: BTreeMap<String, Kept> = BTreeMap::new();
    for entry in fs::read_dir(cache).map_err(unreadable())?.filter_map(io::Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let tree = name.split('.').next().unwrap_or_default().to_owned();
        let kept = kept.entry(tree).or_default();
        // What somebody removes at this moment counts as nothing.
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                kept.whole |= !name.contains('.');
                kept.folders.push(entry.path());
                kept.bytes += bytes_below(&entry.path());
            }
            Ok(metadata) => kept.used = metadata.modified().ok(),
            Err(_) => {}
        }
    }
    let mut by_age: Vec<(String, Kept)> = kept.into_iter().filter(|(tree, _)| newest != tree).collect();
    by_age.sort_by_key(|(_, kept)| (kept.whole, kept.used));
    let mut bytes: u64 = by_age.iter().map(|(_, kept)| kept.bytes).sum();
    let mut count = by_age.len();
    for (tree, kept) in by_age {
        if kept.whole && bytes <= bounds.bytes && count < bounds.repositories {
            break;
        }
        if remove(cache, &tree, &kept)? {
            bytes -= kept.bytes;
            count -= 1;
        }
    }
    Ok(())
}

/// Returns whether a cache has anything that is not finished.
pub(super) fn has_leftovers(cache: &Path) -> bool {
    !unfinished(cache).is_empty()
}

/// Removes what makers that were killed left behind.
pub(super) fn sweep(cache: &Path) {
    for (tree, folders) in unfinished(cache) {
        let path = cache.join(format!("{tree}.lock"));
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        // Whoever still makes it has its lock.
        let Some(_lock) = lock.ok().filter(|lock| lock.try_lock().is_ok()) else { continue };
        let removed = folders.iter().all(|folder| remove_folder(folder).is_ok());
        if removed && !cache.join(&tree).is_dir() {
            let _ = fs::remove_file(path);
        }
    }
}

/// Returns the trees whose folders are not there, or are being written beside them, with what there is of these.
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
struct Kept {
    /// Whether the repository is there, or only parts of an attempt.
    whole: bool,
    folders: Vec<PathBuf>,
    bytes: u64,
    used: Option<SystemTime>,
}

/// Removes a repository, unless it is in use.
fn remove(cache: &Path, tree: &str, kept: &Kept) -> Result<bool> {
    let path = cache.join(format!("{tree}.lock"));
    let Ok(lock) = File::options().create(true).truncate(false).write(true).open(&path) else { return Ok(false) };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(source)) => return Err(StoreError::Io { action: "lock", path, source }),
    }
    for folder in &kept.folders {
        remove_folder(folder)?;
    }
    // Whoever waits for the lock sees that its file is gone, and makes a new one.
    let _ = fs::remove_file(&path);
    Ok(true)
}

/// Removes a repository, beginning with the file that tells that it is whole: for the case that this is interrupted.
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

    use super::*;

    fn tree(digit: char) -> ObjectId {
        ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
    }

    /// Puts a repository of so many bytes into a cache, last used so many seconds after the others.
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
    fn what_was_used_longest_ago_is_removed_unless_it_is_in_use() {
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
        drop(in_use);
        make_room(cache, &tree('e').to_string(), Bounds { bytes: 0, repositories: 10 }).unwrap();
        assert_eq!(kept(cache), "e");
        assert_eq!(fs::read_dir(cache).unwrap().count(), 2, "no lock stays without its repository");
    }

    #[test]
    fn what_a_killed_process_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path();
        put(cache, 'a', 1, 1);
        put(cache, 'b', 1, 1);
        fs::create_dir_all(cache.join(format!("{}.new-x/objects", tree('c')))).unwrap();
        fs::create_dir_all(cache.join(format!("{}.new-y/objects", tree('d')))).unwrap();
        let making = locked(&cache.join(format!("{}.lock", tree('d'))), File::lock).unwrap();
        make_room(cache, &tree('b').to_string(), BOUNDS).unwrap();
        assert_eq!(kept(cache), "abd", "somebody still makes the last one");
        fs::create_dir_all(cache.join(format!("{}.new-z/objects", tree('a')))).unwrap();
        File::create(cache.join(format!("{}.lock", tree('e')))).unwrap();
        sweep(cache);
        let names = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let (locks, folders): (Vec<_>, Vec<_>) = names.partition(|name| name.ends_with(".lock"));
        assert_eq!((locks.len(), folders.len()), (3, 3), "{locks:?} {folders:?}");
        drop(making);
        sweep(cache);
        assert!(!has_leftovers(cache));
        assert_eq!(kept(cache), "ab");
    }

    #[test]
    fn only_the_files_of_a_packed_repository_are_written() {
        let pack = format!("objects/pack/pack-{}", "0123456789".repeat(4));
        for path in ["HEAD", "packed-refs", "shallow", "info/refs", "objects/info/packs", &format!("{pack}.idx")] {
            assert!(is_known(path.into()), "{path}");
        }
        for path in ["config", "hooks/x", "refs/heads/x", "objects/info/alternates", &format!("{pack}.keep"), "../HEAD"]
        {
            assert!(!is_known(path.into()), "{path}");
        }
    }
}
