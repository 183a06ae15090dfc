//! Writes new objects as one pack with its index, so that nothing ever leaves thousands of loose files.
//!
//! Entries arrive already deflated, from any number of threads; one thread appends them to a temporary file and indexes
//! it. The pack becomes visible only when it is whole and on disk.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use gix::progress::Discard;
use gix::{ObjectId, hash, objs};
use gix_pack::data::input::{EntriesToBytesIter, Entry};
use tempfile::NamedTempFile;

use super::{Result, StoreError};

/// How many deflated objects may wait for the writing thread: bounds memory while downloads outrun the disk.
const QUEUE: usize = 64;
/// The pack header's size in bytes: `PACK`, version, number of objects.
const HEADER: u64 = 12;

/// An object as it stands in a pack: deflated, with its id.
#[derive(Debug)]
pub struct PackedObject {
    /// The object's id.
    pub id: ObjectId,
    entry: Entry,
}

impl PackedObject {
    /// Deflates the object that has this id.
    ///
    /// # Errors
    /// Fails where it cannot be deflated.
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

/// A pack that is being written. Dropped before [`PackWriter::finish`], it leaves nothing.
pub struct PackWriter {
    directory: PathBuf,
    entries: Option<SyncSender<Entry>>,
    thread: Option<JoinHandle<Result<Written>>>,
    seen: HashSet<ObjectId>,
    offset: u64,
}

impl PackWriter {
    /// Begins a pack in `objects/pack` of the given object folder.
    ///
    /// # Errors
    /// Fails where no file can be made there.
    pub fn begin(objects: &Path) -> Result<Self> {
        let directory = objects.join("pack");
        std::fs::create_dir_all(&directory).map_err(StoreError::io("create", &directory))?;
        // git's own name for a pack that is not finished, so that `git gc` clears what a killed process leaves.
        let temporary = |prefix| {
            tempfile::Builder::new()
                .prefix(prefix)
                .tempfile_in(&directory)
                .map_err(StoreError::io("write to", &directory))
        };
        let (pack, index) = (temporary("tmp_pack_")?, temporary("tmp_idx_")?);
        let (entries, queue) = sync_channel(QUEUE);
        let thread = std::thread::spawn(move || write(pack, index, queue));
        Ok(Self { directory, entries: Some(entries), thread: Some(thread), seen: HashSet::new(), offset: HEADER })
    }

    /// Adds an object, unless it is in the pack already.
    ///
    /// # Errors
    /// Fails where the pack cannot be written, for example on a full disk.
    pub fn add(&mut self, object: PackedObject) -> Result<ObjectId> {
        let PackedObject { id, mut entry } = object;
        if self.seen.insert(id) {
            entry.pack_offset = self.offset;
            self.offset += entry.bytes_in_pack();
            let queue = self.entries.as_ref().expect("the queue is open until the pack is finished");
            if queue.send(entry).is_err() {
                return Err(self.join().err().unwrap_or_else(|| StoreError::Git {
                    action: "write a pack",
                    source: "the writing thread stopped early".into(),
                }));
            }
        }
        Ok(id)
    }

    /// Puts the pack and its index in place, synced to disk. Returns their size in bytes.
    ///
    /// # Errors
    /// Fails where they cannot be written; then nothing of them is left.
    pub fn finish(mut self) -> Result<u64> {
        if self.seen.is_empty() {
            return Ok(0);
        }
        let Written { pack, index, name, bytes } = self.join()?;
        for (file, extension) in [(pack, "pack"), (index, "idx")] {
            let path = self.directory.join(format!("pack-{name}.{extension}"));
            persist(file, &path).map_err(StoreError::io("write", &path))?;
        }
        Ok(bytes)
    }

    fn join(&mut self) -> Result<Written> {
        self.entries = None;
        let thread = self.thread.take().expect("joined once");
        thread.join().unwrap_or_else(|_| {
            Err(StoreError::Git { action: "write a pack", source: "the writing thread panicked".into() })
        })
    }
}

impl Drop for PackWriter {
    fn drop(&mut self) {
        if self.thread.is_some() {
            // The files remove themselves.
            drop(self.join());
        }
    }
}

/// Makes a finished file visible, read-only like git's own. One that is there already has the same content, by its name.
fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    let mut permissions = file.as_file().metadata()?.permissions();
    permissions.set_readonly(true);
    #[cfg(unix)]
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o444);
    file.as_file().set_permissions(permissions)?;
    file.as_file().sync_all()?;
    if path.exists() { Ok(()) } else { file.persist(path).map(drop).map_err(|error| error.error) }
}

fn entry_slice(range: gix_pack::data::EntryRange, pack: &gix_pack::data::File) -> Option<&[u8]> {
    pack.entry_slice(range)
}

fn write(mut pack: NamedTempFile, index: NamedTempFile, queue: Receiver<Entry>) -> Result<Written> {
    let action = "write a pack";
    let path = pack.path().to_owned();
    let version = gix_pack::data::Version::V2;
    let mut entries = EntriesToBytesIter::new(queue.into_iter().map(Ok), pack.as_file_mut(), version, hash::Kind::Sha1);
    let mut out = io::BufWriter::new(index);
    let outcome = gix_pack::index::write_data_iter_to_stream(
        gix_pack::index::Version::V2,
        || {
            let file = gix_pack::data::File::at(&path, hash::Kind::Sha1).map_err(io::Error::other)?;
            Ok((entry_slice, file))
        },
        &mut entries,
        None,
        &mut Discard,
        &mut out,
        &AtomicBool::new(false),
        hash::Kind::Sha1,
        None,
        version,
    )
    .map_err(StoreError::git(action))?;
    out.flush().map_err(StoreError::io("write to", &path))?;
    let index = out.into_inner().map_err(|error| StoreError::io("write to", &path)(error.into_error()))?;
    let length = |file: &NamedTempFile| file.as_file().metadata().map(|data| data.len());
    let bytes = length(&pack).and_then(|pack| Ok(pack + length(&index)?)).map_err(StoreError::io("read", &path))?;
    Ok(Written { pack, index, name: outcome.data_hash, bytes })
}
