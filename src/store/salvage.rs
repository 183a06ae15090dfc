//! Moves damaged files out of the object database after rewriting the objects in them that are still readable.

use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use gix::{ObjectId, hash, objs};
use gix_pack::data::input::{BytesToEntriesIter, EntryDataMode, Mode};

use super::files::{Component, Files};
use super::pack::{InstalledPacks, PackWriter, PackedObject, persist, temporary, write_index};
use super::storage::{self, DamagedFile, FileKind};
use super::{Repository, Result, StoreError};

/// What was done about damaged files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Salvage {
    /// The pack indexes that were rebuilt.
    pub indexed: Vec<PathBuf>,
    /// The original paths of the files that were moved.
    pub set_aside: Vec<PathBuf>,
    /// The folder that they were moved to.
    pub folder: PathBuf,
    /// The number of readable objects that were rewritten.
    pub saved: usize,
    /// The number of objects that could not be read.
    pub lost: usize,
}

impl Salvage {
    /// Returns whether nothing had to be done.
    pub fn is_empty(&self) -> bool {
        self.indexed.is_empty() && self.set_aside.is_empty()
    }
}

impl Repository {
    /// Moves damaged files out of the object database, so that each object is either intact or missing. Otherwise git
    /// would keep reading a damaged object even if an intact copy is added. Readable objects are rewritten first, and a
    /// damaged index is rebuilt from its pack. The damaged files are kept in a folder of this program.
    ///
    /// # Errors
    /// Fails if a file cannot be written or moved.
    pub fn salvage(&self) -> Result<Salvage> {
        let objects = self.objects_dir();
        let folder = self.own_dir().join("damaged");
        let mut salvage = Salvage { folder: folder.clone(), ..Salvage::default() };
        let damaged = storage::check(&objects, None);
        if damaged.is_empty() {
            return Ok(salvage);
        }
        let mut saved = Saved {
            pack: PackWriter::begin(&objects, self.files()?)?,
            compression: self.compression()?,
            count: 0,
            lost: 0,
        };
        let mut aside = Vec::new();
        let is_damaged = |path: &Path| damaged.iter().any(|file| file.path == path);
        for DamagedFile { path, kind, .. } in &damaged {
            match kind {
                FileKind::Derived => aside.push(path.clone()),
                FileKind::Loose(id) => {
                    saved.loose(*id, path)?;
                    aside.push(path.clone());
                }
                FileKind::Index if !is_damaged(&path.with_extension("pack")) => match make_index(self.files()?, path) {
                    Ok(()) => salvage.indexed.push(path.clone()),
                    Err(_) => aside.extend(files_of(path)),
                },
                FileKind::Index => {}
                FileKind::Pack => {
                    saved.pack(path)?;
                    aside.extend(files_of(path));
                }
            }
        }
        // These files refer to packs that may be gone. Git recreates them.
        if !aside.is_empty() {
            aside.extend(
                storage::files(&objects).filter(|path| storage::file_name(path).starts_with("multi-pack-index")),
            );
        }
        (salvage.saved, salvage.lost) = (saved.count, saved.lost);
        // The damaged files may only be moved once their readable objects are installed again.
        let _installed = saved.pack.finish()?;
        aside.sort();
        aside.dedup();
        for path in aside.into_iter().filter(|path| path.exists()) {
            move_into(&folder, &path).map_err(StoreError::io("move", &path))?;
            salvage.set_aside.push(path);
        }
        Ok(salvage)
    }

    /// Copies all packs of another object folder into this repository. Loose objects are not copied.
    ///
    /// # Errors
    /// Fails if the packs cannot be copied.
    pub fn adopt_packs(&self, objects: &Path) -> Result<()> {
        let mut installed = InstalledPacks::default();
        for stem in storage::stems(objects) {
            installed.add(self.files()?, &self.objects_dir(), &stem.with_extension("pack"))?;
        }
        Ok(())
    }

    /// Creates a bare repository with the settings of this one. Everything fetched into it is stored as packs.
    ///
    /// # Errors
    /// Fails if the repository cannot be written.
    pub fn init_with_same_settings(&self, folder: &Path) -> Result<()> {
        gix::init_bare(folder).map_err(StoreError::git("create a repository"))?;
        let mut settings = self.settings_included()?;
        settings.extend(b"[core]\n\tbare = true\n[fetch]\n\tunpackLimit = 1\n[transfer]\n\tunpackLimit = 1\n");
        let config = folder.join("config");
        fs::write(&config, settings).map_err(StoreError::io("write", &config))
    }

    /// Opens the repository again to see the current state on disk.
    ///
    /// # Errors
    /// As for [`Repository::open`].
    pub fn reopened(&self) -> Result<Self> {
        let git = gix::open_opts(self.git.path(), self.git.open_options().clone());
        Ok(Self { git: git.map_err(StoreError::git("open the repository"))? })
    }
}

/// The readable objects of damaged files.
struct Saved {
    pack: PackWriter,
    compression: gix::zlib::Compression,
    count: usize,
    lost: usize,
}

impl Saved {
    fn add(&mut self, kind: objs::Kind, data: &[u8], id: ObjectId) -> Result<bool> {
        if objs::compute_hash(hash::Kind::Sha1, kind, data).ok() != Some(id) {
            return Ok(false);
        }
        self.pack.add(PackedObject::new(kind, data, id, self.compression)?)?;
        self.count += 1;
        Ok(true)
    }

    /// Saves a loose object if only the bytes after its content are damaged.
    fn loose(&mut self, id: ObjectId, path: &Path) -> Result<()> {
        let mut bytes = Vec::new();
        let _ = storage::inflate(path, |piece| bytes.extend_from_slice(piece));
        let is_intact = match objs::decode::loose_header(&bytes) {
            Ok((kind, _, begin)) => self.add(kind, &bytes[begin..], id)?,
            Err(_) => false,
        };
        self.lost += usize::from(!is_intact);
        Ok(())
    }

    /// Saves the objects of a pack that can be read using its index, if it has one.
    fn pack(&mut self, path: &Path) -> Result<()> {
        let opened = gix_pack::Bundle::at(path, hash::Kind::Sha1).ok();
        let mended = if opened.is_none() { with_header(path).ok() } else { None };
        let mended = mended
            .as_ref()
            .and_then(|folder| gix_pack::Bundle::at(folder.path().join("x.pack"), hash::Kind::Sha1).ok());
        let Some(bundle) = opened.or(mended) else { return Ok(()) };
        let (mut data, mut inflate) = (Vec::new(), gix::zlib::Inflate::default());
        for (position, entry) in bundle.index.iter().enumerate() {
            let position = u32::try_from(position).unwrap_or(u32::MAX);
            let found = bundle.get_object_by_index(position, &mut data, &mut inflate, &mut gix_pack::cache::Never);
            let is_intact = match found {
                Ok((object, _)) => self.add(object.kind, object.data, entry.oid)?,
                Err(_) => false,
            };
            self.lost += usize::from(!is_intact);
        }
        Ok(())
    }
}

/// Copies a pack with a readable index to a temporary folder, as `x.pack`, with a corrected header (gitformat-pack(5)).
fn with_header(path: &Path) -> io::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let index = gix_pack::index::File::at(path.with_extension("idx"), hash::Kind::Sha1).map_err(io::Error::other)?;
    fs::copy(path.with_extension("idx"), folder.path().join("x.idx"))?;
    let mut copy = File::create(folder.path().join("x.pack"))?;
    io::copy(&mut File::open(path)?, &mut copy)?;
    io::Seek::rewind(&mut copy)?;
    copy.write_all(&[b"PACK", &2_u32.to_be_bytes()[..], &index.num_objects().to_be_bytes()].concat())?;
    Ok(folder)
}

/// Rebuilds the index of a pack.
fn make_index(files: Files, index: &Path) -> Result<()> {
    let (path, action) = (index.with_extension("pack"), "rebuild the index of a pack");
    let read = BufReader::new(File::open(&path).map_err(StoreError::io("read", &path))?);
    let entries = BytesToEntriesIter::new_from_header(read, Mode::Verify, EntryDataMode::Crc32, hash::Kind::Sha1);
    let entries = entries.map_err(StoreError::git(action))?;
    let (_, file) = write_index(&path, entries, temporary(index.parent().unwrap_or(Path::new(".")))?)?;
    persist(files, Component::PackMetadata, file, index)
}

/// Returns all files of the pack that a file belongs to.
fn files_of(path: &Path) -> Vec<PathBuf> {
    ["pack", "idx", "rev", "bitmap", "mtimes"].map(|extension| path.with_extension(extension)).into()
}

/// Moves a file into a folder, under a name that shows its original location.
fn move_into(folder: &Path, path: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let above = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let to = folder.join(format!("{above}-{name}"));
    match fs::rename(path, &to) {
        // The object database may be on another file system.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            fs::copy(path, &to).and_then(|_| fs::remove_file(path))
        }
        renamed => renamed,
    }
}
