//! The packs that this program added to the object database.
//!
//! Each update and each pull adds a small pack, and each pack slows down every lookup of an object, git's own included.
//! The packs are listed in a file, so that they can be merged without touching packs that are not this program's.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::files::Files;
use super::{Repository, Result, StoreError, storage};
use crate::file_lock;
use crate::model::Revision;

/// The file with the names of the packs, one per line: the digits in `pack-<digits>.pack`.
const LIST: &str = "packs";
/// The maximum size of that file in bytes.
const MAX_LIST: u64 = 1 << 20;
/// The files of a pack that has no special role. Any other file, such as `.keep` or `.promisor`, gives it one
/// (gitformat-pack(5), git-repack(1)).
const PLAIN: [&str; 3] = ["pack", "idx", "rev"];

/// The list of this program's packs.
#[derive(Debug, Clone)]
pub(super) struct PackList {
    path: PathBuf,
    files: Files,
}

impl PackList {
    /// Returns the list of a repository.
    pub fn of(repository: &Repository) -> Result<Self> {
        Ok(Self { path: repository.make_own_dir()?.join(LIST), files: repository.files()? })
    }

    /// Adds packs, given by the names of any of their files. If this fails, they are merely not merged later.
    pub fn add<'n>(&self, names: impl Iterator<Item = &'n str>) {
        let names: BTreeSet<Revision> = names.filter_map(pack_name).collect();
        if !names.is_empty() {
            let _ = self.change(|known| known.extend(&names));
        }
    }

    /// Changes the list. Holds a lock on the file, because fetches add packs without the repository's lock.
    fn change(&self, change: impl FnOnce(&mut BTreeSet<Revision>)) -> Result<()> {
        let error = || StoreError::io("write to", &self.path);
        let mut file = file_lock::open(&self.path).map_err(error())?;
        self.files.share(&self.path)?;
        file_lock::lock(&file, || {}).map_err(error())?;
        let mut known = read(&mut file);
        change(&mut known);
        let text: String = known.iter().map(|name| format!("{name}\n")).collect();
        file.set_len(0).and_then(|()| file.rewind()).map_err(error())?;
        file.write_all(text.as_bytes()).map_err(error())
    }
}

impl Repository {
    /// Returns this program's packs that exist and can be merged, with their sizes in bytes. Returns none if git has a
    /// multi-pack-index, which makes lookups fast already and names the packs that it covers.
    pub fn own_packs(&self) -> BTreeMap<Revision, u64> {
        let Ok(mut list) = File::open(self.own_dir().join(LIST)) else { return BTreeMap::new() };
        let own = read(&mut list);
        let mut existing = BTreeMap::<Revision, BTreeSet<String>>::new();
        for path in storage::files(&self.objects_dir()) {
            if storage::file_name(&path).starts_with("multi-pack-index") {
                return BTreeMap::new();
            }
            if let Some(name) = pack_name(&storage::file_name(&path)).filter(|name| own.contains(name)) {
                let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
                existing.entry(name).or_default().insert(extension);
            }
        }
        let is_plain = |extensions: &BTreeSet<String>| {
            extensions.iter().all(|extension| PLAIN.contains(&extension.as_str()))
                && ["pack", "idx"].iter().all(|needed| extensions.contains(*needed))
        };
        let plain = existing.into_iter().filter(|(_, extensions)| is_plain(extensions));
        plain.filter_map(|(name, _)| Some((name, fs::metadata(self.pack_file(name, "pack")).ok()?.len()))).collect()
    }

    /// Returns whether the pack folder has at least this number of files.
    pub fn has_pack_files(&self, number: usize) -> bool {
        storage::files(&self.objects_dir()).nth(number.saturating_sub(1)).is_some()
    }

    /// Removes packs whose objects are all in the pack `merged`. The caller holds the repository's lock.
    ///
    /// # Errors
    /// Fails if the merged pack lacks an object of another one, or if a file cannot be removed.
    pub fn remove_merged(&self, packs: &BTreeSet<Revision>, merged: Revision) -> Result<()> {
        let index = |name| {
            let path = self.pack_file(name, "idx");
            let opened = gix_pack::index::File::at(&path, gix::hash::Kind::Sha1);
            opened.map_err(StoreError::git_file("read the index", path))
        };
        let all = index(merged)?;
        let others: BTreeSet<Revision> = packs.iter().copied().filter(|name| *name != merged).collect();
        for name in &others {
            if let Some(lost) = index(*name)?.iter().find(|entry| all.lookup(entry.oid).is_none()) {
                return Err(StoreError::git_file("merge packs into", self.pack_file(merged, "pack"))(format!(
                    "it lacks the object {}",
                    lost.oid
                )));
            }
        }
        // As git does, the index goes first, because git finds a pack by it.
        for (name, extension) in others.iter().flat_map(|name| ["idx", "rev", "pack"].map(|file| (*name, file))) {
            let path = self.pack_file(name, extension);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::io("remove", path)(error));
                }
                _ => {}
            }
        }
        let is_there = |name: &Revision| self.pack_file(*name, "pack").exists();
        PackList::of(self)?.change(|known| known.retain(is_there))
    }

    fn pack_file(&self, name: Revision, extension: &str) -> PathBuf {
        self.objects_dir().join("pack").join(format!("pack-{name}.{extension}"))
    }
}

fn read(list: &mut File) -> BTreeSet<Revision> {
    let mut text = String::new();
    // A damaged list only means that some packs are not merged.
    let _ = list.take(MAX_LIST).read_to_string(&mut text);
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Returns the digits in the name of a pack's file.
fn pack_name(file: &str) -> Option<Revision> {
    Path::new(file).file_stem().and_then(OsStr::to_str)?.strip_prefix("pack-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> Revision {
        format!("{number:040x}").parse().unwrap()
    }

    fn repository() -> (tempfile::TempDir, Repository) {
        let folder = tempfile::tempdir().unwrap();
        Repository::init(folder.path()).unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        (folder, repository)
    }

    fn write(repository: &Repository, number: usize, extensions: &[&str]) {
        for extension in extensions {
            fs::write(repository.pack_file(name(number), extension), "1234").unwrap();
        }
    }

    #[test]
    fn only_listed_packs_without_a_special_role_are_own() {
        let (_folder, repository) = repository();
        assert!(repository.own_packs().is_empty());
        for (number, extensions) in [
            (1, &["pack", "idx"][..]),
            (2, &["pack", "idx", "rev"]),
            (3, &["pack", "idx", "keep"]),
            (4, &["pack", "idx", "promisor"]),
            (5, &["pack"]),
            (6, &["pack", "idx", "mtimes"]),
            (7, &["pack", "idx"]),
        ] {
            write(&repository, number, extensions);
        }
        let list = PackList::of(&repository).unwrap();
        for number in 1..=6 {
            list.add([format!("pack-{}.idx", name(number)).as_str(), "tmp_x", "pack-1.idx"].into_iter());
        }
        list.add([format!("pack-{}.pack", name(8)).as_str()].into_iter());
        assert_eq!(repository.own_packs(), BTreeMap::from([(name(1), 4), (name(2), 4)]));
        fs::write(repository.objects_dir().join("pack/multi-pack-index"), "").unwrap();
        assert!(repository.own_packs().is_empty());
    }

    #[test]
    fn a_damaged_list_is_no_error() {
        let (_folder, repository) = repository();
        write(&repository, 1, &["pack", "idx"]);
        PackList::of(&repository).unwrap();
        let list = repository.own_dir().join(LIST);
        for text in [&b"\xff\xfe"[..], b"../../x\n", b"pack-1\n\0"] {
            fs::write(&list, text).unwrap();
            assert!(repository.own_packs().is_empty());
        }
        fs::write(&list, format!("../..\n{}\n", name(1))).unwrap();
        assert_eq!(repository.own_packs().len(), 1);
    }
}
