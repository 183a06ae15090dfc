//! A folder of a web server.
//!
//! What this program keeps about it is in its folder `.git-hexmirror`: the list of the files that it wrote, a lock, and
//! files that are being written. Each is moved to its place once it is complete.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::content_check::ContentCheck;
use super::contents::Content;
use super::error::ExportError;
use crate::model::StaticPath;
use crate::ops::{OpError, Result};
use crate::plan::{FileList, Presence};
use crate::progress::{Event, Progress};
use crate::store::Snapshot;

const OWN: &str = ".git-hexmirror";
const NEW: &str = "new";

/// The longest list of files that is read, in bytes.
const MAX_LIST: u64 = 256 << 20;

/// What is written to a folder. A folder can have both, since their files differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The registry and the git repositories.
    Registry,
    /// The pages of a site.
    Site,
}

impl Kind {
    /// Returns the name of the list of files.
    fn list(self) -> &'static str {
        match self {
            Self::Registry => "files",
            Self::Site => "site",
        }
    }
}

/// A folder of a web server.
pub(super) struct Folder {
    root: PathBuf,
    kind: Kind,
    /// The number of files that were begun, which names the next one.
    begun: AtomicUsize,
    lock: Option<File>,
}

/// Whether a file was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Put {
    /// The size of the file in bytes.
    pub bytes: u64,
    /// Whether the file is new or its content changed.
    pub changed: bool,
}

impl Folder {
    /// Opens a folder for reading only. It need not exist.
    ///
    /// # Errors
    /// Fails if it is not a folder, if it is the root of the file system, if this program's folder in it is a link, or if it is in a git repository's own folder, where git
    /// would take files for its own, and remove some.
    pub fn inspect(root: &Path, kind: Kind) -> Result<Self> {
        let existing = root.ancestors().find_map(|folder| fs::canonicalize(folder).ok());
        if let Some(path) = existing.as_ref().filter(|path| !path.is_dir()) {
            return Err(ExportError::NotAFolder { path: path.clone() }.into());
        }
        if fs::canonicalize(root).is_ok_and(|path| path.parent().is_none()) {
            return Err(ExportError::Root { path: root.to_owned() }.into());
        }
        let git_dir = existing.as_deref().and_then(|folder| folder.ancestors().find(|folder| is_git_dir(folder)));
        match git_dir {
            Some(git_dir) => Err(ExportError::GitDir { folder: root.to_owned(), git_dir: git_dir.to_owned() }.into()),
            None => {
                let own = root.join(OWN);
                match fs::symlink_metadata(&own) {
                    Ok(found) if !found.is_dir() => Err(ExportError::Link { path: own }.into()),
                    _ => Ok(Self { root: root.to_owned(), kind, begun: AtomicUsize::new(0), lock: None }),
                }
            }
        }
    }

    /// Opens a folder for changes, creates it if necessary, and waits until no other process changes it.
    ///
    /// # Errors
    /// Fails if the folder cannot be written.
    pub fn open(root: &Path, kind: Kind, progress: &dyn Progress) -> Result<Self> {
        let mut folder = Self::inspect(root, kind)?;
        let own = root.join(OWN);
        fs::create_dir_all(&own).map_err(OpError::machine("create the folder", &own))?;
        let path = own.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(OpError::machine("write to", &path))?;
        let locked = match lock.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                progress
                    .report(Event::Waiting { reason: format!("another command that writes to {}", root.display()) });
                lock.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
        };
        locked.map_err(OpError::machine("lock", &path))?;
        let new = own.join(NEW);
        match fs::remove_dir_all(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(OpError::machine("remove", new)(error)),
            _ => fs::create_dir(&new).map_err(OpError::machine("create the folder", &new))?,
        }
        folder.lock = Some(lock);
        Ok(folder)
    }

    /// Removes what opening the folder created, if nothing was ever written to it.
    pub fn abandon(self) {
        let own = self.root.join(OWN);
        let has_list = [Kind::Registry, Kind::Site].iter().any(|kind| own.join(kind.list()).exists());
        drop(self);
        if !has_list {
            let _ = fs::remove_file(own.join("lock"));
            let _ = fs::remove_dir(own);
        }
    }

    /// Returns the list of the files that this program wrote.
    ///
    /// # Errors
    /// Fails if the list cannot be read.
    pub fn list(&self) -> Result<FileList> {
        let path = self.list_path();
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_LIST).read_to_string(&mut text));
        match read {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(FileList::default()),
            Err(error) => Err(OpError::machine("read", path)(error)),
            Ok(_) => {
                let list = match self.kind {
                    Kind::Registry => text.parse(),
                    Kind::Site => FileList::of_site(&text),
                };
                Ok(list.map_err(|source| ExportError::List { path, source })?)
            }
        }
    }

    /// Replaces the list of the files that this program wrote.
    ///
    /// # Errors
    /// Fails if the list cannot be written.
    pub fn save(&self, list: &FileList) -> Result<()> {
        let (new, path) = (self.new_file(), self.list_path());
        let written = File::create(&new).and_then(|mut file| {
            io::Write::write_all(&mut file, list.to_string().as_bytes())?;
            file.sync_all()
        });
        written.and_then(|()| fs::rename(&new, &path)).map_err(OpError::machine("write", path))
    }

    /// Returns the error for a folder that another mirror wrote.
    pub fn of_other_mirror(&self) -> ExportError {
        let list = self.list_path().display().to_string();
        ExportError::OtherMirror { destination: self.root.display().to_string(), list }
    }

    /// Returns what the folder has at a path. Links are not followed.
    pub fn presence(&self, path: &StaticPath) -> Presence {
        let mut at = self.root.clone();
        let mut components = path.as_str().split('/').peekable();
        while let Some(component) = components.next() {
            at.push(component);
            match fs::symlink_metadata(&at) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Presence::Absent,
                Ok(found) if components.peek().is_some() && found.is_dir() => {}
                Ok(found) if components.peek().is_none() && found.is_file() => {
                    return Presence::File { bytes: found.len() };
                }
                _ => return Presence::Other,
            }
        }
        Presence::Other
    }

    /// Returns the error for a path at which there is something that this program did not write.
    pub fn obstacle(&self, path: &StaticPath, more: usize) -> ExportError {
        let mut at = self.root.clone();
        for component in path.as_str().split('/') {
            at.push(component);
            match fs::symlink_metadata(&at) {
                Ok(found) if found.is_symlink() => return ExportError::Link { path: at },
                Ok(found) if found.is_dir() => {}
                _ => break,
            }
        }
        ExportError::Foreign { path: at, more }
    }

    /// Returns whether a file has this content. `bytes` is its size.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub fn has(&self, path: &StaticPath, content: Content, bytes: u64) -> Result<bool> {
        let file = self.file(path);
        let mut check = ContentCheck::new(content, bytes);
        let mut buffer = vec![0; 64 << 10];
        let mut read = || -> io::Result<()> {
            let mut file = File::open(&file)?;
            loop {
                match file.read(&mut buffer)? {
                    0 => return Ok(()),
                    count if !check.take(&buffer[..count]) => return Ok(()),
                    _ => {}
                }
            }
        };
        read().map_err(OpError::machine("read", &file))?;
        Ok(check.finish())
    }

    /// Writes a file. If it has this content already, it keeps its time.
    ///
    /// # Errors
    /// Fails if the content is damaged or the file cannot be written.
    pub fn put(&self, snapshot: &Snapshot, path: &StaticPath, content: &Content) -> Result<Put> {
        let (file, new) = (self.file(path), self.new_file());
        match content {
            Content::Bytes(bytes) => {
                if fs::read(&file).is_ok_and(|found| found == *bytes) {
                    return Ok(Put { bytes: bytes.len() as u64, changed: false });
                }
                fs::write(&new, bytes).map_err(OpError::machine("write", &file))?;
            }
            Content::Large(large) => large.write_to(snapshot, &new)?,
        }
        self.place(&new, path)
    }

    /// Writes the content of a file beside those of the folder, until [`Folder::place`] moves it to its place.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn prepare(&self, path: &StaticPath, content: &[u8]) -> Result<PathBuf> {
        let new = self.new_file();
        fs::write(&new, content).map_err(OpError::machine("write", self.file(path)))?;
        Ok(new)
    }

    /// Moves a complete file to its place.
    ///
    /// # Errors
    /// Fails if the folder cannot be written.
    pub fn place(&self, new: &Path, path: &StaticPath) -> Result<Put> {
        let file = self.file(path);
        let folder = file.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(OpError::machine("create the folder", folder))?;
        if file.ends_with("HEAD") && path.as_str().starts_with("git/") {
            // git does not take a folder without it for a repository.
            let refs = file.with_file_name("refs");
            fs::create_dir_all(&refs).map_err(OpError::machine("create the folder", &refs))?;
        }
        fs::rename(new, &file).map_err(OpError::machine("write", &file))?;
        let bytes = fs::metadata(&file).map_err(OpError::machine("read", &file))?.len();
        Ok(Put { bytes, changed: true })
    }

    /// Removes a file, and the folders that it leaves empty.
    ///
    /// # Errors
    /// Fails if the file cannot be removed.
    pub fn remove(&self, path: &StaticPath) -> Result<()> {
        let file = self.file(path);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(OpError::machine("remove", file)(error)),
            _ => {}
        }
        if file.ends_with("HEAD") && path.as_str().starts_with("git/") {
            let _ = fs::remove_dir(file.with_file_name("refs"));
        }
        let above = file.ancestors().skip(1).take_while(|folder| *folder != self.root);
        for folder in above {
            // A folder with other files stays.
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Returns the file at a path.
    pub fn file(&self, path: &StaticPath) -> PathBuf {
        self.root.join(path.as_str())
    }

    fn list_path(&self) -> PathBuf {
        self.root.join(OWN).join(self.kind.list())
    }

    fn new_file(&self) -> PathBuf {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        self.root.join(OWN).join(NEW).join(number.to_string())
    }
}

fn is_git_dir(folder: &Path) -> bool {
    folder.join("HEAD").is_file() && ["objects", "refs"].iter().all(|name| folder.join(name).is_dir())
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.lock.is_some() {
            let _ = fs::remove_dir_all(self.root.join(OWN).join(NEW));
        }
    }
}
