//! The real project in the shared data: its lock, and its Hex repository behind a [`TestUpstream`].

use std::fs;
use std::path::{Path, PathBuf};

use super::data::real_input;
use super::git::Sandbox;
use super::registry::Registry;
use super::stage::Stage;
use super::upstream::TestUpstream;

/// The real project in a sandbox.
pub struct Sample {
    pub stage: Stage,
    /// The folder `sample` in the shared data.
    pub data: PathBuf,
}

impl Sample {
    /// Prepares the project with its whole lock. `None`, with a message, if the data is missing.
    pub fn new() -> Option<Self> {
        let data = real_input("sample")?;
        let sandbox = Sandbox::new();
        let folder = data.join(".hex_repo");
        let upstream = TestUpstream::serve(&folder);
        fs::copy(folder.join("public_key"), sandbox.path().join("hexpm.pem")).expect("a writable folder");
        let project = sandbox.repository("project");
        let lock = fs::read_to_string(data.join("mix.lock")).expect("the sample has a lock");
        let stage = Stage { sandbox, registry: Registry::default(), upstream, project };
        stage.write("mix.lock", &lock);
        Some(Self { stage, data })
    }

    /// Removes the entries of git dependencies from the lock, and returns the rest.
    pub fn without_git(&self) -> String {
        let lock = fs::read_to_string(self.data.join("mix.lock")).expect("the sample has a lock");
        let kept = lock.lines().filter(|line| !line.contains("{:git,")).map(|line| format!("{line}\n"));
        let kept: String = kept.collect();
        assert!(kept.len() < lock.len());
        self.stage.write("mix.lock", &kept);
        kept
    }

    /// Returns the published tarballs by name.
    pub fn tarballs(&self) -> Vec<(String, Vec<u8>)> {
        files(&self.data.join(".hex_repo/tarballs"))
    }

    /// Returns the published registry entries (gzipped) by name.
    pub fn entries(&self) -> Vec<(String, Vec<u8>)> {
        files(&self.data.join(".hex_repo/packages"))
    }
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().expect("a name");
        (name, fs::read(entry.path()).expect("a readable file"))
    };
    let mut files: Vec<_> = folder.read_dir().expect("a folder").map(|entry| read(entry.expect("a folder"))).collect();
    files.sort();
    files
}
