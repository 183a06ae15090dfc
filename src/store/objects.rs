//! Objects read outside of the object database. Their ids are computed from their contents, so they cannot be forged.

use std::collections::{BTreeMap, HashMap};

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::objs::{CommitRef, Kind, TreeRefIter};

use crate::model::Revision;

/// The largest `.gitmodules` that is read, in bytes.
const MAX_GITMODULES: usize = 1 << 20;

/// A set of objects by id.
#[derive(Debug, Default)]
pub struct Objects(HashMap<ObjectId, (Kind, Vec<u8>)>);

impl Objects {
    /// Adds an object. `kind` is `blob`, `tree` or `commit`; other kinds are ignored.
    pub fn add(&mut self, kind: &str, bytes: Vec<u8>) {
        let Ok(kind) = Kind::from_bytes(kind.as_bytes()) else { return };
        // Hashing fails if the content is part of a SHA-1 collision attack.
        let Ok(id) = gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, &bytes) else { return };
        self.0.insert(id, (kind, bytes));
    }

    /// Returns the addresses in a commit's `.gitmodules`, by path, of the submodules that `git submodule update --init`
    /// would check out.
    pub fn gitmodules(&self, commit: Revision) -> BTreeMap<String, String> {
        let blob = self.entry(commit, ".gitmodules").and_then(|id| self.get(id, Kind::Blob));
        let Some(text) = blob.filter(|text| text.len() <= MAX_GITMODULES) else { return BTreeMap::new() };
        let meta = gix::config::file::Metadata::api();
        let Ok(file) = gix::config::File::from_bytes_no_includes(text, meta, Default::default()) else {
            return BTreeMap::new();
        };
        let mut modules = BTreeMap::<String, BTreeMap<&str, String>>::new();
        for section in file.sections_by_name("submodule").into_iter().flatten() {
            let Some(name) = section.header().subsection_name() else { continue };
            let settings = modules.entry(name.to_str_lossy().into_owned()).or_default();
            for key in ["path", "url", "update"] {
                settings.extend(section.value(key).map(|value| (key, value.to_str_lossy().into_owned())));
            }
        }
        let wanted = modules.into_values().filter(|settings| settings.get("update").is_none_or(|how| how != "none"));
        wanted.filter_map(|mut settings| Some((settings.remove("path")?, settings.remove("url")?))).collect()
    }

    /// Returns the commit that a submodule at a path is pinned to.
    pub fn gitlink(&self, commit: Revision, path: &str) -> Option<Revision> {
        self.entry_of(commit, path, |mode| mode.is_commit())?.to_string().parse().ok()
    }

    fn entry(&self, commit: Revision, path: &str) -> Option<ObjectId> {
        self.entry_of(commit, path, |mode| mode.is_blob())
    }

    /// Returns the entry at a path of a commit if it has the right kind and all trees along the path are in the set.
    fn entry_of(
        &self,
        commit: Revision,
        path: &str,
        fits: impl Fn(gix::objs::tree::EntryMode) -> bool,
    ) -> Option<ObjectId> {
        let commit = self.get(ObjectId::from(*commit.as_bytes()), Kind::Commit)?;
        let mut folder = CommitRef::from_bytes(commit, gix::hash::Kind::Sha1).ok()?.tree();
        let mut names = path.split('/').peekable();
        while let Some(name) = names.next() {
            let tree = self.get(folder, Kind::Tree)?;
            let mut entries = TreeRefIter::from_bytes(tree, gix::hash::Kind::Sha1).map_while(Result::ok);
            let entry = entries.find(|entry| entry.filename == name)?;
            let id = entry.oid.to_owned();
            match names.peek() {
                None => return fits(entry.mode).then_some(id),
                Some(_) if entry.mode.is_tree() => folder = id,
                Some(_) => return None,
            }
        }
        None
    }

    fn get(&self, id: ObjectId, kind: Kind) -> Option<&[u8]> {
        self.0.get(&id).filter(|(found, _)| *found == kind).map(|(_, bytes)| bytes.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(kind: Kind, bytes: &[u8]) -> ObjectId {
        gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, bytes).unwrap()
    }

    fn entry(mode: &str, name: &str, id: ObjectId) -> Vec<u8> {
        [format!("{mode} {name}\0").as_bytes(), id.as_bytes()].concat()
    }

    const GITMODULES: &str = "[submodule \"a\"]\n\tpath = lib/a\n\turl = ../old\n[submodule \"n\"]\n\tpath = n\n\turl = ../n\n\
        \tupdate = none\n[submodule \"a\"]\n\turl = ../a.git\n[core]\n\tx = y\n";

    #[test]
    fn submodules_are_read_if_every_object_matches_its_id() {
        let pinned = ObjectId::from_hex(&[b'7'; 40]).unwrap();
        let lib = entry("160000", "a", pinned);
        let gitmodules = id(Kind::Blob, GITMODULES.as_bytes());
        let root = [entry("100644", ".gitmodules", gitmodules), entry("40000", "lib", id(Kind::Tree, &lib))].concat();
        let commit = format!("tree {}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nx\n", id(Kind::Tree, &root));
        let revision: Revision = id(Kind::Commit, commit.as_bytes()).to_string().parse().unwrap();
        let all = [
            ("blob", GITMODULES.as_bytes().to_vec()),
            ("tree", lib),
            ("tree", root),
            ("commit", commit.into_bytes()),
            ("nonsense", b"x".to_vec()),
        ];
        let objects = |without: usize| {
            let mut objects = Objects::default();
            let some = all.iter().enumerate().filter(|(number, _)| *number != without);
            some.for_each(|(_, (kind, bytes))| objects.add(kind, bytes.clone()));
            objects
        };
        let read = |objects: &Objects| {
            (objects.gitmodules(revision), objects.gitlink(revision, "lib/a").map(|id| id.to_string()))
        };
        let modules = BTreeMap::from([("lib/a".to_owned(), "../a.git".to_owned())]);
        assert_eq!(read(&objects(9)), (modules.clone(), Some("7".repeat(40))));
        assert_eq!(read(&objects(0)), (BTreeMap::new(), Some("7".repeat(40))));
        assert_eq!(read(&objects(1)), (modules, None));
        assert_eq!(read(&objects(2)), (BTreeMap::new(), None));
        assert_eq!(read(&objects(3)), (BTreeMap::new(), None));
        for path in ["lib", "lib/b", ".gitmodules", ".gitmodules/a", "", "lib//a"] {
            assert_eq!(objects(9).gitlink(revision, path), None, "{path:?}");
        }
    }

    #[test]
    fn hostile_objects_yield_no_submodules() {
        let mut objects = Objects::default();
        for (kind, bytes) in
            [("commit", &b"tree \n"[..]), ("tree", b"160000"), ("blob", b"[submodule"), ("commit", b"")]
        {
            objects.add(kind, bytes.to_vec());
        }
        for commit in [&b"tree \n"[..], b""] {
            let revision = id(Kind::Commit, commit).to_string().parse().unwrap();
            assert_eq!((objects.gitmodules(revision), objects.gitlink(revision, "a")), (BTreeMap::new(), None));
        }
    }
}
