//! File systems for a single test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A separate file system, which is unmounted on drop.
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts a file system. `None`, with a message, if the user may not mount any.
    pub fn new(folder: &Path, arguments: &[&str]) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let output = Command::new("mount").args(arguments).arg(folder).output();
        if !output.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: this user may not mount anything");
            return None;
        }
        Some(Self(folder.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
