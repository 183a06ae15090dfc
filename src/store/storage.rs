//! Checks the files of the object database byte by byte. Reading objects does not cover all bytes of a file, and git is
//! stricter than gix.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::{Decompress, FlushDecompress, Status};
use gix::{ObjectId, hash};

use super::Damage;
use super::pack::is_unfinished;
use crate::model::hex_digits;

/// The length in bytes of the checksum at the end of packs, indexes and the files that git derives from them.
const TRAILER: u64 = 20;
/// The extensions of files that git derives from a pack and its index, and can recreate (gitformat-pack(5)).
const DERIVED: [&str; 3] = ["rev", "bitmap", "mtimes"];

/// A file of the object database that is missing or differs from what git wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DamagedFile {
    pub path: PathBuf,
    pub problem: String,
    pub kind: FileKind,
}

/// The kind of a damaged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A loose object.
    Loose(ObjectId),
    /// A pack.
    Pack,
    /// A pack index.
    Index,
    /// A file that git derives from packs and indexes.
    Derived,
}

impl DamagedFile {
    /// Describes the file for users, with its path relative to the parent of the object folder.
    pub fn damage(&self, objects: &Path) -> Damage {
        let below = objects.parent().and_then(|parent| self.path.strip_prefix(parent).ok());
        Damage { path: below.unwrap_or(&self.path).display().to_string(), problem: self.problem.clone() }
    }
}

/// Checks the files that contain the given objects, or all files. A pack with an unreadable index is always checked.
pub(super) fn check(objects: &Path, ids: Option<&HashSet<ObjectId>>) -> Vec<DamagedFile> {
    let mut damaged = Vec::new();
    for stem in stems(objects) {
        damaged.extend(check_pack(&stem, ids));
    }
    for path in files(objects).filter(|path| file_name(path).starts_with("multi-pack-index") && path.is_file()) {
        check_trailer(&path, FileKind::Derived, &mut damaged);
    }
    let loose = match ids {
        Some(ids) => ids.iter().map(|id| (*id, loose_path(objects, *id))).filter(|(_, path)| path.exists()).collect(),
        None => all_loose(objects),
    };
    for (id, path) in loose {
        if let Some(problem) = loose_problem(&path, id) {
            damaged.push(DamagedFile { path, problem, kind: FileKind::Loose(id) });
        }
    }
    damaged
}

/// Returns the paths of all packs without extensions. Includes packs that have lost one of their files, but not packs
/// that were never finished.
pub(super) fn stems(objects: &Path) -> BTreeSet<PathBuf> {
    let of_pack = |path: &PathBuf| {
        let name = file_name(path);
        name.starts_with("pack-") && (name.ends_with(".pack") || name.ends_with(".idx"))
    };
    files(objects).filter(|path| of_pack(path) && !is_unfinished(path)).map(|path| path.with_extension("")).collect()
}

/// Returns the files in the pack folder.
pub(super) fn files(objects: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(objects.join("pack")).into_iter().flatten().flatten().map(|entry| entry.path())
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Checks the files of a pack. An incomplete pack is checked twice, because `git repack` may be removing it file by
/// file. A pack that has disappeared is not damage, because a missing object is reported when it is read.
fn check_pack(stem: &Path, ids: Option<&HashSet<ObjectId>>) -> Vec<DamagedFile> {
    let is_gone = || ["pack", "idx"].iter().all(|extension| !stem.with_extension(extension).exists());
    let mut damaged = check_pack_once(stem, ids);
    if !damaged.is_empty() {
        damaged = check_pack_once(stem, ids);
    }
    if is_gone() {
        damaged.clear();
    }
    damaged.retain(|file| file.kind != FileKind::Derived || file.path.exists());
    damaged
}

fn check_pack_once(stem: &Path, ids: Option<&HashSet<ObjectId>>) -> Vec<DamagedFile> {
    let mut damaged = Vec::new();
    let (pack, index) = (stem.with_extension("pack"), stem.with_extension("idx"));
    let opened = check_trailer(&index, FileKind::Index, &mut damaged).then(|| {
        let opened = gix_pack::index::File::at(&index, hash::Kind::Sha1);
        let problem = |error| format!("it cannot be read: {error}");
        opened
            .map_err(|error| {
                damaged.push(DamagedFile { path: index.clone(), problem: problem(error), kind: FileKind::Index })
            })
            .ok()
    });
    let opened = opened.flatten();
    let holds =
        |index: &gix_pack::index::File| ids.is_none_or(|ids| index.iter().any(|entry| ids.contains(&entry.oid)));
    if opened.as_ref().is_some_and(|index| !holds(index)) {
        return damaged;
    }
    if check_trailer(&pack, FileKind::Pack, &mut damaged)
        && let Some(index) = opened
        && trailer(&pack).ok() != Some(index.pack_checksum())
    {
        damaged.push(DamagedFile {
            path: pack,
            problem: "it is not the pack of its index".into(),
            kind: FileKind::Pack,
        });
    }
    for derived in DERIVED.map(|extension| stem.with_extension(extension)) {
        if derived.exists() {
            check_trailer(&derived, FileKind::Derived, &mut damaged);
        }
    }
    damaged
}

/// Checks a file against the checksum at its end. Returns whether the file is intact.
fn check_trailer(path: &Path, kind: FileKind, damaged: &mut Vec<DamagedFile>) -> bool {
    let problem = match content_checksum(path).and_then(|found| Ok((found, trailer(path)?))) {
        Ok((found, expected)) if found == expected => return true,
        Ok(_) => "its content does not match its checksum".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "it is missing".to_owned(),
        Err(error) => format!("it cannot be read: {error}"),
    };
    damaged.push(DamagedFile { path: path.to_owned(), problem, kind });
    false
}

/// Returns the checksum stored at the end of a file.
fn trailer(path: &Path) -> io::Result<ObjectId> {
    let mut file = File::open(path)?;
    let start = file.metadata()?.len().checked_sub(TRAILER).ok_or(io::ErrorKind::UnexpectedEof)?;
    io::Seek::seek(&mut file, io::SeekFrom::Start(start))?;
    let mut checksum = [0; TRAILER as usize];
    file.read_exact(&mut checksum)?;
    Ok(ObjectId::from(checksum))
}

/// Computes the checksum of a file's content up to the stored checksum.
fn content_checksum(path: &Path) -> io::Result<ObjectId> {
    let file = File::open(path)?;
    let length = file.metadata()?.len().checked_sub(TRAILER).ok_or(io::ErrorKind::UnexpectedEof)?;
    let (mut content, mut hasher, mut buffer) = (file.take(length), hash::hasher(hash::Kind::Sha1), vec![0; 64 << 10]);
    loop {
        match content.read(&mut buffer)? {
            0 => return hasher.try_finalize().map_err(io::Error::other),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// Returns the path of an object's loose file (gitrepository-layout(5)).
pub(super) fn loose_path(objects: &Path, id: ObjectId) -> PathBuf {
    let digits = id.to_string();
    objects.join(&digits[..2]).join(&digits[2..])
}

fn all_loose(objects: &Path) -> Vec<(ObjectId, PathBuf)> {
    let mut all = Vec::new();
    for first in 0..=255_u8 {
        let begin = hex_digits(&[first]);
        for entry in fs::read_dir(objects.join(&begin)).into_iter().flatten().flatten() {
            let digits = begin.clone() + &entry.file_name().to_string_lossy();
            if let Ok(id) = ObjectId::from_hex(digits.as_bytes()) {
                all.push((id, entry.path()));
            }
        }
    }
    all
}

/// Returns what git would find wrong with a loose object, which must end where its file ends.
fn loose_problem(path: &Path, id: ObjectId) -> Option<String> {
    let mut hasher = hash::hasher(hash::Kind::Sha1);
    match inflate(path, |bytes| hasher.update(bytes)) {
        Err(error) => Some(format!("it cannot be read: {error}")),
        Ok(false) => Some("it does not end where its file ends".into()),
        Ok(true) => match hasher.try_finalize() {
            Ok(found) if found == id => None,
            _ => Some("its content does not match its id".into()),
        },
    }
}

/// Inflates a file in chunks. Returns whether the stream has a valid checksum and ends where the file ends.
pub(super) fn inflate(path: &Path, mut piece: impl FnMut(&[u8])) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let (mut stream, mut input, mut output) = (Decompress::new(true), vec![0; 16 << 10], vec![0; 64 << 10]);
    loop {
        let count = file.read(&mut input)?;
        if count == 0 {
            return Ok(false);
        }
        let mut left = &input[..count];
        while !left.is_empty() {
            let (before_in, before_out) = (stream.total_in(), stream.total_out());
            let status = stream.decompress(left, &mut output, FlushDecompress::None).map_err(io::Error::other)?;
            let (taken, given) = (stream.total_in() - before_in, stream.total_out() - before_out);
            piece(&output[..given as usize]);
            left = &left[taken as usize..];
            if status == Status::StreamEnd {
                return Ok(left.is_empty() && file.read(&mut input)? == 0);
            }
            if taken == 0 && given == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}
