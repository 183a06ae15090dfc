//! Writes files into the repository with the permissions from `core.sharedRepository`, and syncs them to disk according
//! to `core.fsync` (git-config(1)).

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gix::config::tree::Core;

use super::{Repository, Result, StoreError};

/// The permissions and durability of files written into a repository.
#[derive(Debug, Clone, Copy)]
pub(super) struct Files {
    sharing: Sharing,
    synced: Synced,
}

/// The kind of a file, in git's terms. Syncing is configured for each kind separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Component {
    /// A loose object.
    LooseObject,
    /// A pack.
    Pack,
    /// A pack index.
    PackMetadata,
    /// A ref and its reflog.
    Reference,
}

/// `core.sharedRepository` in gix's encoding: 0 for the umask, a positive number for bits to add, a negative one for an
/// exact mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sharing(i32);

/// A bit set of the components that are synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Synced(u8);

/// While this value is alive, new files and folders of this process and its child processes get the permissions from
/// `core.sharedRepository`.
#[derive(Debug)]
pub(super) struct SharedUmask {
    #[cfg(unix)]
    before: rustix::fs::Mode,
}

impl Repository {
    /// Returns the permissions and durability that this repository's settings ask for.
    ///
    /// # Errors
    /// Fails if git would refuse the value of `core.sharedRepository`.
    pub(super) fn files(&self) -> Result<Files> {
        let config = self.git.config_snapshot();
        let shared = config.plumbing().sections_by_name("core").into_iter().flatten();
        let shared = shared.filter_map(|section| section.value_implicit("sharedRepository")).last();
        let sharing = match shared {
            None => Sharing(0),
            Some(value) => Sharing(
                Core::SHARED_REPOSITORY
                    .try_into_shared_repository(value.as_ref())
                    .map_err(StoreError::git("read the setting core.sharedRepository"))?,
            ),
        };
        let loose = config.boolean("core.fsyncObjectFiles").unwrap_or(false);
        Ok(Files { sharing, synced: Synced::parse(self.setting("core.fsync").as_deref(), loose) })
    }

    /// Creates the folder for this program's own files and returns its path.
    ///
    /// # Errors
    /// Fails if the folder cannot be created.
    pub fn make_own_dir(&self) -> Result<PathBuf> {
        let folder = self.own_dir();
        self.files()?.create_dir_all(&folder).map(|()| folder)
    }

    /// Applies the permissions from `core.sharedRepository` to a file or folder that this program created.
    ///
    /// # Errors
    /// Fails if the permissions cannot be changed.
    pub fn share(&self, path: &Path) -> Result<()> {
        self.files()?.share(path)
    }

    /// Returns whether the user configured what git syncs to disk.
    pub fn has_fsync_setting(&self) -> bool {
        self.setting("core.fsync").is_some_and(|value| !value.is_empty())
    }
}

impl Files {
    /// Returns the settings for private files that need not survive a machine crash.
    pub fn temporary() -> Self {
        Self { sharing: Sharing(0), synced: Synced(0) }
    }

    /// Applies the permissions to a file or folder. One that belongs to another user is left unchanged.
    pub fn share(&self, path: &Path) -> Result<()> {
        match gix::fs::set_shared_repository_permissions(path, self.sharing.0) {
            // Only the owner can change the permissions, and did so when creating it.
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound) => Ok(()),
            shared => shared.map_err(StoreError::io("change the permissions of", path)),
        }
    }

    /// Creates a folder and its parents.
    pub fn create_dir_all(&self, path: &Path) -> Result<()> {
        let retries = gix::fs::dir::create::Retries::default();
        match gix::fs::dir::create::all(path, retries, self.sharing.0) {
            Err(_) if path.is_dir() => Ok(()),
            made => made.map(drop).map_err(StoreError::io("create", path)),
        }
    }

    /// Applies the permissions to everything in a folder.
    pub fn share_all(&self, folder: &Path) -> Result<()> {
        if self.sharing.0 == 0 {
            return Ok(());
        }
        let entries = walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok);
        entries.filter(|entry| !entry.path_is_symlink()).try_for_each(|entry| self.share(entry.path()))
    }

    /// Sets the umask of this process according to the permissions.
    pub fn shared_umask(&self) -> Option<SharedUmask> {
        self.sharing.umask()
    }

    /// Syncs a file to disk if syncing is enabled for the component. A missing file is skipped.
    pub fn sync(&self, component: Component, path: &Path) -> Result<()> {
        if !self.synced.has(component) {
            return Ok(());
        }
        // Windows can only flush files that are open for writing.
        match File::options().read(true).write(cfg!(windows)).open(path).and_then(|file| file.sync_all()) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            synced => synced.map_err(StoreError::io("sync to disk", path)),
        }
    }

    /// Syncs a folder to disk if syncing is enabled for the component. This makes renames in the folder durable.
    pub fn sync_folder(&self, component: Component, path: &Path) -> Result<()> {
        if !self.synced.has(component) || cfg!(windows) {
            return Ok(());
        }
        match File::open(path).and_then(|folder| folder.sync_all()) {
            // Some network file systems do not support syncing folders, and do not need it.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
            synced => synced.map_err(StoreError::io("sync to disk", path)),
        }
    }

    /// Syncs a folder and its parents below `root`, because any of them may be new.
    pub fn sync_folders(&self, component: Component, path: &Path, root: &Path) -> Result<()> {
        let folders = path.ancestors().take_while(|folder| *folder != root && folder.starts_with(root));
        folders.into_iter().try_for_each(|folder| self.sync_folder(component, folder))
    }
}

impl Sharing {
    #[cfg(unix)]
    fn umask(self) -> Option<SharedUmask> {
        use rustix::fs::Mode;
        use rustix::process::umask;

        if self.0 == 0 {
            return None;
        }
        // Everyone who can read a folder can also enter it.
        let read_write = self.0.unsigned_abs() & 0o666;
        let granted = Mode::from_raw_mode(read_write | (read_write & 0o444) >> 2);
        let before = umask(Mode::from_raw_mode(0o077));
        let denied = if self.0 < 0 { Mode::from_raw_mode(0o777) } else { before };
        umask(denied - granted);
        Some(SharedUmask { before })
    }

    #[cfg(not(unix))]
    fn umask(self) -> Option<SharedUmask> {
        None
    }
}

#[cfg(unix)]
impl Drop for SharedUmask {
    fn drop(&mut self) {
        rustix::process::umask(self.before);
    }
}

impl Synced {
    /// The default is `core.fsync=committed`. Git's own default leaves out refs and loose objects, so a machine crash
    /// could lose the mirror's newest state or its ref.
    const DEFAULT: Self = Self(0b1111);
    /// The components that git starts from if `core.fsync` is set.
    const PLATFORM: Self = Self(Component::Pack.bit() | Component::PackMetadata.bit());

    /// Parses `core.fsync`. `loose` is the deprecated `core.fsyncObjectFiles`, which can only add a component.
    /// `core.fsyncMethod` is ignored: the other methods are cheaper and give weaker guarantees than `fsync`, and git
    /// itself falls back to `fsync`.
    fn parse(value: Option<&str>, loose: bool) -> Self {
        let mut synced = match value.filter(|value| !value.trim().is_empty()) {
            None => Self::DEFAULT,
            Some(value) => {
                let (mut bits, mut added, mut removed) = (Self::PLATFORM.0, 0, 0);
                for name in value.split(',').map(str::trim) {
                    match name.strip_prefix('-') {
                        _ if name == "none" => bits = 0,
                        Some(name) => removed |= Self::named(name),
                        None => added |= Self::named(name),
                    }
                }
                Self(bits & !removed | added)
            }
        };
        if loose {
            synced.0 |= Component::LooseObject.bit();
        }
        synced
    }

    fn named(name: &str) -> u8 {
        let (loose, pack) = (Component::LooseObject.bit(), Component::Pack.bit());
        match name {
            "loose-object" => loose,
            "pack" => pack,
            "pack-metadata" | "derived-metadata" => Component::PackMetadata.bit(),
            "reference" => Component::Reference.bit(),
            "objects" => loose | pack,
            "committed" | "added" => loose | pack | Component::Reference.bit(),
            "all" => Self::DEFAULT.0,
            // The other components are files that this program does not write. Git ignores unknown ones.
            _ => 0,
        }
    }

    fn has(self, component: Component) -> bool {
        self.0 & component.bit() != 0
    }
}

impl Component {
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Returns the entries of a folder whose names begin with a prefix.
pub(super) fn with_prefix(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()));
    named.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fsync_is_parsed_as_git_documents_it() {
        use Component::{LooseObject, Pack, PackMetadata, Reference};
        let synced = |value: &str| {
            let all = [LooseObject, Pack, PackMetadata, Reference];
            let synced = Synced::parse(Some(value), false);
            all.into_iter().filter(|component| synced.has(*component)).collect::<Vec<_>>()
        };
        for (value, expected) in [
            ("", &[LooseObject, Pack, PackMetadata, Reference][..]),
            ("committed", &[LooseObject, Pack, PackMetadata, Reference]),
            ("all", &[LooseObject, Pack, PackMetadata, Reference]),
            ("none", &[]),
            ("none, reference", &[Reference]),
            ("none,pack,-pack", &[Pack]),
            ("reference", &[Pack, PackMetadata, Reference]),
            ("objects", &[LooseObject, Pack, PackMetadata]),
            ("committed,-loose-object", &[LooseObject, Pack, PackMetadata, Reference]),
            ("-pack", &[PackMetadata]),
            ("-derived-metadata", &[Pack]),
            ("index,unheard-of", &[Pack, PackMetadata]),
        ] {
            assert_eq!(synced(value), expected, "{value:?}");
        }
        assert_eq!(Synced::parse(None, false), Synced::DEFAULT);
        assert!(Synced::parse(Some("none"), true).has(LooseObject));
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_the_setting() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (sharing, before, after) in [
            (0, 0o600, 0o600),
            (0o660, 0o600, 0o660),
            (0o664, 0o444, 0o444),
            (-0o640, 0o666, 0o640),
            (0o660, 0o755, 0o775),
        ] {
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(before)).unwrap();
            Files { sharing: Sharing(sharing), synced: Synced(0) }.share(&path).unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, after, "{sharing:o} of {before:o}");
            fs::remove_file(&path).unwrap();
        }
    }
}
