//! The pinned index: built over what is stored, signed with a key of its own, kept up to date, and verified.

mod contents;
mod keys;
mod serving;
mod upkeep;

use std::fs;
use std::path::PathBuf;

use crate::support::stage::Stage;
use git_hexmirror::hex::registry::{Names, Package, PublicKey, Signed, Versions};
use git_hexmirror::model::{IndexFile, Manifest, RepositoryName};
use git_hexmirror::store::{Repository, Snapshot};

/// The pinned index of the mirror branch, read without the operations.
pub struct Index {
    snapshot: Snapshot,
    repository: RepositoryName,
}

impl Index {
    /// The index of hexpm at the branch's tip.
    pub fn of(stage: &Stage) -> Self {
        let repository = Repository::open(&stage.project).unwrap();
        let branch = repository.branch("hexmirror").unwrap();
        Self { snapshot: repository.snapshot(&branch).unwrap().unwrap(), repository: RepositoryName::hexpm() }
    }

    pub fn manifest(&self) -> &Manifest {
        self.snapshot.manifest().unwrap()
    }

    /// Returns a file, or panics if there is none.
    pub fn file(&self, file: &IndexFile) -> Vec<u8> {
        self.snapshot.index_file(&self.repository, file).unwrap().unwrap_or_else(|| panic!("there is no {file}"))
    }

    pub fn key(&self) -> PublicKey {
        PublicKey::from_pem(&String::from_utf8(self.file(&IndexFile::PublicKey)).unwrap()).unwrap()
    }

    fn payload(&self, file: &IndexFile) -> Vec<u8> {
        Signed::decode(&self.file(file)).unwrap().verify(&self.key()).unwrap().to_vec()
    }

    pub fn package(&self, name: &str) -> Package {
        let name = name.parse().unwrap();
        let payload = self.payload(&IndexFile::Package(Clone::clone(&name)));
        Package::decode(&payload, &self.repository, &name).unwrap()
    }

    pub fn names(&self) -> Names {
        Names::decode(&self.payload(&IndexFile::Names), &self.repository).unwrap()
    }

    pub fn versions(&self) -> Versions {
        Versions::decode(&self.payload(&IndexFile::Versions), &self.repository).unwrap()
    }
}

/// The file in which the program keeps the private key.
pub fn key_file(stage: &Stage) -> PathBuf {
    stage.project.join(".git/hexmirror/index-key.pem")
}

/// A mirrored project with an index.
pub fn indexed() -> Stage {
    let stage = Stage::mirrored();
    stage.run(&["index", "--init"]).ok();
    stage
}

/// Replaces a file of the mirror branch, as someone who may write the branch can do. Returns the commit.
pub fn replace(stage: &Stage, path: &str, bytes: &[u8]) -> String {
    let (file, index) = (stage.sandbox.path().join("replacement"), stage.sandbox.path().join("index"));
    fs::write(&file, bytes).unwrap();
    let git = |arguments: &[&str]| {
        let mut command = stage.sandbox.command("git", &stage.project);
        let output = command.env("GIT_INDEX_FILE", &index).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let blob = git(&["hash-object", "-w", file.to_str().unwrap()]);
    git(&["read-tree", "hexmirror"]);
    git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")]);
    let tree = git(&["write-tree"]);
    let commit = stage.git(&["commit-tree", "-p", "hexmirror", "-m", "by hand", &tree]).trim().to_owned();
    stage.git(&["update-ref", "refs/heads/hexmirror", &commit]);
    commit
}
