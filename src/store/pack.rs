//! Writes new objects as one pack and its index, which avoids thousands of loose files.
//!
//! Objects are deflated by any number of threads. One thread appends them to a temporary file and indexes it. The pack
//! becomes visible only after it is complete and synced to disk.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use gix::progress::Discard;
use gix::{ObjectId, hash, objs};
use gix_pack::data::input::{EntriesToBytesIter, Entry};
use tempfile::{NamedTempFile, TempPath};

use super::files::{Component, Files};
use super::{Result, StoreError};
use crate::file_lock;

/// How many deflated objects may wait for the writing thread. This bounds memory if downloads are faster than the disk.
const QUEUE: usize = 64;
/// The pack header's size in bytes: `PACK`, version, number of objects.
const HEADER: u64 = 12;
/// The prefix of unfinished files. Git's own prefix `tmp_` would not do: `git prune` removes such files even while they
/// are being written.
const TEMPORARY: &str = ".hexmirror-";
/// The extension of the file that makes git's `gc` and `repack` leave a pack alone (git-index-pack(1), `--keep`).
const KEEP: &str = "keep";
/// The extension of a pack's index.
const INDEX: &str = "idx";
/// The extensions of the other files that git writes with a pack (gitformat-pack(5)).
const PARTS: [&str; 3] = ["pack", "rev", "promisor"];
/// The content of this program's `.keep` files.
const KEPT: &str = "git-hexmirror moves a ref to this pack\n";

/// An object as it is stored in a pack: its id and its deflated content.
#[derive(Debug)]
pub struct PackedObject {
    /// The object's id.
    pub id: ObjectId,
    entry: Entry,
}

impl PackedObject {
    /// Deflates the object with the given id.
    ///
    /// # Errors
    /// Fails if the object cannot be deflated.
    pub fn new(kind: objs::Kind, data: &[u8], id: ObjectId, compression: gix::zlib::Compression) -> Result<Self> {
        let data = objs::Data::new(data, kind, hash::Kind::Sha1);
        let entry = Entry::from_data_obj(&data, 0, compression).map_err(StoreError::git("deflate a git object"))?;
        Ok(Self { id, entry })
    }
}

struct Written {
    pack: NamedTempFile,
    index: NamedTempFile,
    name: ObjectId,
    bytes: u64,
}

/// Installed packs, which `git gc` does not remove while this value is alive. Until a ref points to their objects,
/// nothing else protects them. Git's own `.keep` files exist for the same purpose (git-index-pack(1), `--keep`).
#[derive(Default)]
pub struct InstalledPacks {
    /// The size of the packs and their indexes, in bytes.
    pub bytes: u64,
    indexes: Vec<gix_pack::index::File>,
    names: Vec<String>,
    /// The `.keep` files, locked while this process is alive.
    keeps: Vec<(PathBuf, File)>,
}

/// The finished files of a pack that are about to be moved, by extension.
type PackFiles = BTreeMap<String, NamedTempFile>;

impl InstalledPacks {
    /// Returns whether one of the packs has an object, according to the indexes as they were written.
    pub fn has(&self, id: ObjectId) -> bool {
        self.indexes.iter().any(|index| index.lookup(id).is_some())
    }

    /// Returns the names of the packs, without an extension.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Installs a pack and its index that another program wrote.
    ///
    /// # Errors
    /// Fails if the files cannot be written.
    pub fn add(&mut self, files: Files, objects: &Path, pack: &Path) -> Result<()> {
        let directory = pack_folder(files, objects)?;
        let name = pack.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut copies = PackFiles::new();
        for extension in ["pack", INDEX] {
            let (path, mut copy) = (pack.with_extension(extension), temporary(&directory)?);
            let copied = File::open(&path).and_then(|mut from| io::copy(&mut from, copy.as_file_mut()));
            self.bytes += copied.map_err(StoreError::io("copy", &path))?;
            copies.insert(extension.to_owned(), copy);
        }
        self.place(files, &directory, &name, copies)
    }

    /// Installs all packs that another program wrote to a folder on the same file system, by moving their files.
    ///
    /// # Errors
    /// Fails if the files cannot be moved.
    pub fn move_all(&mut self, files: Files, objects: &Path, from: &Path) -> Result<()> {
        let read = || StoreError::io("read", from);
        let mut packs = BTreeMap::<String, PackFiles>::new();
        for entry in fs::read_dir(from).map_err(read())? {
            // A skipped entry would be missing from the mirror.
            let path = entry.map_err(read())?.path();
            let part = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
            let (name, extension) = (part(path.file_stem()), part(path.extension()));
            if name.starts_with("pack-") && extension != KEEP {
                let opened = File::open(&path).and_then(|file| Ok((file, TempPath::try_from_path(&path)?)));
                let (file, moved) = opened.map_err(StoreError::io("open", &path))?;
                packs.entry(name).or_default().insert(extension, NamedTempFile::from_parts(file, moved));
            }
        }
        if packs.is_empty() {
            return Ok(());
        }
        let directory = pack_folder(files, objects)?;
        packs.into_iter().try_for_each(|(name, moved)| self.place(files, &directory, &name, moved))
    }

    /// Installs a pack. Its index is moved last, because git finds a pack by its index. Until then, a `.keep` file marks
    /// the pack as unfinished.
    fn place(&mut self, files: Files, directory: &Path, name: &str, mut written: PackFiles) -> Result<()> {
        self.mark(files, directory, name)?;
        let index = written.remove_entry(INDEX);
        let written: Vec<_> = written.into_iter().chain(index).collect();
        for (extension, file) in &written {
            finish(files, if extension == "pack" { Component::Pack } else { Component::PackMetadata }, file)?;
        }
        for (extension, file) in written {
            let path = directory.join(format!("{name}.{extension}"));
            file.persist(&path).map_err(|error| StoreError::io("write", &path)(error.error))?;
        }
        files.sync_folder(Component::Pack, directory)?;
        let index = directory.join(format!("{name}.idx"));
        let opened = gix_pack::index::File::at(&index, hash::Kind::Sha1);
        self.indexes.push(opened.map_err(StoreError::git("read the index of the new pack"))?);
        self.names.push(name.to_owned());
        Ok(())
    }

    /// Writes a pack's `.keep` file, unless the user has marked this pack to be kept.
    fn mark(&mut self, files: Files, directory: &Path, name: &str) -> Result<()> {
        let keep = directory.join(format!("{name}.{KEEP}"));
        let mut kept = temporary(directory)?;
        kept.write_all(KEPT.as_bytes()).map_err(StoreError::io("write", &keep))?;
        files.share(kept.path())?;
        // Another process that removes leftovers does not touch a locked file. Some file systems have no locks.
        let _ = file_lock::try_lock(kept.as_file());
        match kept.persist_noclobber(&keep) {
            Ok(file) => self.keeps.push((keep, file)),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(StoreError::Io { action: "write", path: keep, source: error.error }),
        }
        Ok(())
    }
}

impl Drop for InstalledPacks {
    fn drop(&mut self) {
        for (keep, _) in &self.keeps {
            // If this fails, the next process that acquires the repository's lock removes the files.
            unfinished_files(keep).iter().chain([keep]).for_each(|path| drop(fs::remove_file(path)));
        }
    }
}

/// Removes the leftovers of killed processes of this program from the pack folder. Call this only while holding the
/// lock of the mirror.
pub(super) fn sweep(objects: &Path) {
    for path in left(objects) {
        let _ = fs::remove_file(path);
    }
}

/// Returns the files in the pack folder that this program removes when it finishes, and the packs that it never
/// finished.
pub(super) fn left(objects: &Path) -> Vec<PathBuf> {
    let mut left = Vec::new();
    for entry in fs::read_dir(objects.join("pack")).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            left.push(path);
        } else if is_kept(&path) && !is_locked(&path) {
            // The `.keep` file comes last, so that what cannot be removed stays marked.
            left.extend(unfinished_files(&path));
            left.push(path);
        }
    }
    left
}

/// Returns the existing files of the pack that a `.keep` file belongs to, if the pack has no index.
fn unfinished_files(keep: &Path) -> Vec<PathBuf> {
    let files = PARTS.map(|extension| keep.with_extension(extension));
    if is_unfinished(keep) { files.into_iter().filter(|file| file.exists()).collect() } else { Vec::new() }
}

/// Returns whether the process that wrote a `.keep` file is still running.
fn is_locked(keep: &Path) -> bool {
    File::open(keep).and_then(|file| file_lock::try_lock(&file)).is_ok_and(|is_free| !is_free)
}

/// Returns whether a pack, given by any of its files, was installed by this program without its index. Git ignores such
/// a pack.
pub(super) fn is_unfinished(path: &Path) -> bool {
    is_kept(&path.with_extension(KEEP)) && !path.with_extension(INDEX).is_file()
}

fn is_kept(keep: &Path) -> bool {
    keep.extension().is_some_and(|extension| extension == KEEP)
        && fs::read_to_string(keep).is_ok_and(|text| text == KEPT)
}

fn pack_folder(files: Files, objects: &Path) -> Result<PathBuf> {
    let directory = objects.join("pack");
    files.create_dir_all(&directory).map(|()| directory)
}

/// Creates a file that is read-only, like git's own, once it is finished.
pub(super) fn temporary(directory: &Path) -> Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o444));
    builder.prefix(TEMPORARY).tempfile_in(directory).map_err(StoreError::io("write to", directory))
}

/// A pack that is being written. If it is dropped before [`PackWriter::finish`], nothing is left.
pub struct PackWriter {
    directory: PathBuf,
    files: Files,
    /// The queue, and the thread that writes what is in it. `None` after the thread has stopped.
    writing: Option<(SyncSender<Entry>, JoinHandle<Result<Written>>)>,
    seen: HashSet<ObjectId>,
    offset: u64,
}

impl PackWriter {
    /// Begins a pack in `objects/pack` of the given object folder.
    ///
    /// # Errors
    /// Fails if no file can be created in that folder.
    pub fn begin(objects: &Path, files: Files) -> Result<Self> {
        let directory = pack_folder(files, objects)?;
        let (pack, index) = (temporary(&directory)?, temporary(&directory)?);
        Self::start(directory, files, pack, index)
    }

    fn start(directory: PathBuf, files: Files, pack: NamedTempFile, index: NamedTempFile) -> Result<Self> {
        let (entries, queue) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("pack".into()).spawn(move || write(pack, index, queue));
        let thread = thread.map_err(StoreError::io("start a thread that writes to", &directory))?;
        Ok(Self { directory, files, writing: Some((entries, thread)), seen: HashSet::new(), offset: HEADER })
    }

    /// Adds an object unless the pack already has it.
    ///
    /// # Errors
    /// Fails if the pack cannot be written, for example because the disk is full, or if an earlier object could not be.
    pub fn add(&mut self, object: PackedObject) -> Result<ObjectId> {
        let PackedObject { id, mut entry } = object;
        if self.seen.insert(id) {
            entry.pack_offset = self.offset;
            self.offset += entry.bytes_in_pack();
            let is_sent = self.writing.as_ref().is_some_and(|(queue, _)| queue.send(entry).is_ok());
            if !is_sent {
                return Err(self.join().err().unwrap_or_else(|| self.stopped("the writing thread stopped early")));
            }
        }
        Ok(id)
    }

    /// Installs the pack and its index, synced to disk.
    ///
    /// # Errors
    /// Fails if the files cannot be written. Neither of them is left then.
    pub fn finish(mut self) -> Result<InstalledPacks> {
        let mut installed = InstalledPacks::default();
        if self.seen.is_empty() {
            return Ok(installed);
        }
        let Written { pack, index, name, bytes } = self.join()?;
        installed.bytes = bytes;
        let written = PackFiles::from([("pack".to_owned(), pack), (INDEX.to_owned(), index)]);
        installed.place(self.files, &self.directory, &format!("pack-{name}"), written)?;
        Ok(installed)
    }

    /// Closes the queue and waits for the thread. The first call returns why the thread failed.
    fn join(&mut self) -> Result<Written> {
        let writing = self.writing.take();
        let (queue, thread) = writing.ok_or_else(|| self.stopped("an earlier object could not be written"))?;
        drop(queue);
        thread.join().unwrap_or_else(|_| Err(self.stopped("the writing thread panicked")))
    }

    fn stopped(&self, why: &'static str) -> StoreError {
        StoreError::git_file("write a pack to", &self.directory)(why)
    }
}

impl Drop for PackWriter {
    fn drop(&mut self) {
        if self.writing.is_some() {
            // The temporary files remove themselves when dropped.
            drop(self.join());
        }
    }
}

/// Renames a finished file to its final name, and replaces an existing file. By its name the existing file should have
/// the same content, but it may be damaged.
pub(super) fn persist(files: Files, component: Component, file: NamedTempFile, path: &Path) -> Result<()> {
    finish(files, component, &file)?;
    file.persist(path).map(drop).map_err(|error| StoreError::io("write", path)(error.error))
}

/// Sets the permissions of a file and syncs it to disk.
fn finish(files: Files, component: Component, file: &NamedTempFile) -> Result<()> {
    let path = file.path();
    #[cfg(not(unix))]
    {
        let write = || StoreError::io("write", path);
        let mut permissions = file.as_file().metadata().map_err(write())?.permissions();
        permissions.set_readonly(true);
        file.as_file().set_permissions(permissions).map_err(write())?;
    }
    files.share(path)?;
    files.sync(component, path)
}

fn entry_slice(range: gix_pack::data::EntryRange, pack: &gix_pack::data::File) -> Option<&[u8]> {
    pack.entry_slice(range)
}

/// Writes the index of the pack at `path`. `entries` are in the order of the pack. Also returns the pack's checksum.
pub(super) fn write_index(
    path: &Path,
    mut entries: impl Iterator<Item = std::result::Result<Entry, gix::Error>>,
    index: NamedTempFile,
) -> Result<(ObjectId, NamedTempFile)> {
    let mut out = io::BufWriter::new(index);
    let outcome = gix_pack::index::write_data_iter_to_stream(
        gix_pack::index::Version::V2,
        || Ok((entry_slice, gix_pack::data::File::at(path, hash::Kind::Sha1).map_err(io::Error::other)?)),
        &mut entries,
        None,
        &mut Discard,
        &mut out,
        &AtomicBool::new(false),
        hash::Kind::Sha1,
        None,
        gix_pack::data::Version::V2,
    )
    .map_err(StoreError::git_file("write the index of", path))?;
    out.flush().map_err(StoreError::io("write the index of", path))?;
    let index = out.into_inner().map_err(|error| StoreError::io("write the index of", path)(error.into_error()))?;
    Ok((outcome.data_hash, index))
}

fn write(mut pack: NamedTempFile, index: NamedTempFile, queue: Receiver<Entry>) -> Result<Written> {
    let path = pack.path().to_owned();
    let version = gix_pack::data::Version::V2;
    let entries = EntriesToBytesIter::new(queue.into_iter().map(Ok), pack.as_file_mut(), version, hash::Kind::Sha1);
    let (name, index) = write_index(&path, entries, index)?;
    let length = |file: &NamedTempFile| file.as_file().metadata().map(|data| data.len());
    let bytes = length(&pack).and_then(|pack| Ok(pack + length(&index)?)).map_err(StoreError::io("read", &path))?;
    Ok(Written { pack, index, name, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Repository, storage};

    /// A repository, and a folder in its object database with a finished pack.
    fn fetched() -> (tempfile::TempDir, Repository, PathBuf, String) {
        let folder = tempfile::tempdir().unwrap();
        Repository::init(folder.path()).unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        let incoming = repository.objects_dir().join("incoming");
        let mut writer = PackWriter::begin(&incoming, Files::temporary()).unwrap();
        let id = objs::compute_hash(hash::Kind::Sha1, objs::Kind::Blob, b"one").unwrap();
        writer.add(PackedObject::new(objs::Kind::Blob, b"one", id, gix::zlib::Compression::NONE).unwrap()).unwrap();
        let name = writer.finish().unwrap().names().next().unwrap().to_owned();
        fs::write(incoming.join("pack").join(format!("{name}.rev")), "").unwrap();
        fs::write(incoming.join("pack/tmp_pack_x"), "unfinished").unwrap();
        (folder, repository, incoming.join("pack"), name)
    }

    fn files(repository: &Repository) -> Vec<String> {
        let mut names: Vec<String> =
            storage::files(&repository.objects_dir()).map(|p| storage::file_name(&p)).collect();
        names.sort();
        names
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_writer_on_a_full_disk_fails_at_each_further_object() {
        let folder = tempfile::tempdir().unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let place = NamedTempFile::new_in(folder.path()).unwrap().into_temp_path();
        let (pack, index) = (NamedTempFile::from_parts(full, place), temporary(folder.path()).unwrap());
        let mut writer = PackWriter::start(folder.path().to_owned(), Files::temporary(), pack, index).unwrap();
        let mut add = |number: u32| {
            let bytes = number.to_string();
            let id = objs::compute_hash(hash::Kind::Sha1, objs::Kind::Blob, bytes.as_bytes()).unwrap();
            writer.add(PackedObject::new(objs::Kind::Blob, bytes.as_bytes(), id, gix::zlib::Compression::NONE).unwrap())
        };
        let failed: Vec<_> = (0..1000).filter_map(|number| add(number).err()).collect();
        assert!(failed.len() > 1);
        assert!(failed[0].to_string().contains("write"), "{:?}", failed[0]);
        assert!(writer.finish().is_err());
    }

    #[test]
    fn moved_packs_are_complete_and_marked_until_they_are_dropped() {
        let (_folder, repository, from, name) = fetched();
        let mut installed = InstalledPacks::default();
        installed.move_all(Files::temporary(), &repository.objects_dir(), &from).unwrap();
        let complete = ["idx", "keep", "pack", "rev"].map(|extension| format!("{name}.{extension}"));
        assert_eq!(files(&repository), complete);
        assert!(left(&repository.objects_dir()).is_empty(), "this process is still running");
        sweep(&repository.objects_dir());
        assert_eq!(files(&repository), complete);
        drop(installed);
        assert_eq!(files(&repository), ["idx", "pack", "rev"].map(|extension| format!("{name}.{extension}")));
    }

    #[test]
    fn nothing_stays_of_a_pack_whose_index_cannot_be_moved() {
        let (_folder, repository, from, name) = fetched();
        let index = repository.objects_dir().join("pack").join(format!("{name}.idx"));
        fs::create_dir_all(&index).unwrap();
        let moved = InstalledPacks::default().move_all(Files::temporary(), &repository.objects_dir(), &from);
        assert!(matches!(moved, Err(StoreError::Io { .. })));
        assert_eq!(files(&repository), [format!("{name}.idx")]);
    }

    #[test]
    fn a_pack_that_a_killed_process_did_not_finish_is_no_damage_and_is_removed() {
        let (_folder, repository, from, name) = fetched();
        let mut installed = InstalledPacks::default();
        installed.move_all(Files::temporary(), &repository.objects_dir(), &from).unwrap();
        // As if it had been killed: the files stay, and the lock is released.
        let keeps = std::mem::take(&mut installed.keeps);
        fs::remove_file(keeps[0].0.with_extension(INDEX)).unwrap();
        drop(keeps);
        assert_eq!(files(&repository), ["keep", "pack", "rev"].map(|extension| format!("{name}.{extension}")));
        assert!(storage::stems(&repository.objects_dir()).is_empty());
        sweep(&repository.objects_dir());
        assert_eq!(files(&repository), [""; 0]);
    }
}
