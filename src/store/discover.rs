//! Finds the project's repository the way git does. Content owned by another user, such as settings that name commands,
//! never takes effect by accident.

use std::fs;
use std::path::{Path, PathBuf};

use gix::bstr::{BString, ByteSlice};
use gix::config::file::Metadata;
use gix::config::source::Kind;
use gix::odb::store::init::Slots;
use gix::sec::Trust;
use gix::sec::trust::{DefaultForLevel, Mapping};

use super::dangling;
use super::repository::not_opened;
use super::settings::refuse_unread;
use super::{Repository, Result, StoreError};

/// The number of packs that gix reserves slots for, unless the repository has more than half as many.
const PACKS: u16 = 1024;

/// Options for finding a repository.
#[derive(Debug, Clone, Copy, Default)]
pub struct Discovery<'a> {
    /// The settings from git's command line, as `KEY=VALUE`.
    pub command_line: &'a [String],
    /// Whether the user names the git folder (`GIT_DIR`, `git --git-dir`).
    pub is_named: bool,
}

impl Repository {
    /// Finds the repository that contains `directory`, the way git does. `GIT_DIR` and related variables are honoured.
    ///
    /// # Errors
    /// Fails if there is no repository, if it belongs to another user (`safe.directory`), or if it is a bare repository
    /// that the user did not name (`safe.bareRepository`). Also fails if it uses a feature that this program does not
    /// support: SHA-256 objects or reftables.
    pub fn discover(directory: &Path, how: Discovery<'_>) -> Result<Self> {
        let open = |settings: fn(Trust) -> gix::open::Options, slots: Slots| {
            let options = |trust| settings(trust).object_store_slots(slots);
            let options = |trust| options(trust).cli_overrides(how.command_line.iter().map(String::as_str));
            let trust = Mapping { full: options(Trust::Full), reduced: options(Trust::Reduced) };
            let found = gix::ThreadSafeRepository::discover_with_environment_overrides_opts(
                directory,
                Default::default(),
                trust,
            );
            let found = found.map_err(|error| match not_opened(directory, error) {
                StoreError::NotARepository { directory } => {
                    let found = dangling::git_file(&directory).or_else(|| dangling::unreadable(&directory));
                    found.unwrap_or(StoreError::NotARepository { directory })
                }
                error => error,
            });
            Ok(found?.to_thread_local())
        };
        // gix would read the metadata of every file in the pack folder to count the packs.
        let mut slots = Slots::Given(PACKS);
        let mut git = open(gix::open::Options::default_for_level, slots)?;
        if packs(&git) > usize::from(PACKS / 2) {
            slots = Slots::AsNeededByDiskState { multiplier: 2.0, minimum: PACKS.into() };
            git = open(gix::open::Options::default_for_level, slots)?;
        }
        if git.git_dir_trust() != Trust::Full {
            let directory = git.workdir().unwrap_or(git.git_dir());
            if !is_safe_by_command(&git, directory) {
                return Err(StoreError::DubiousOwnership { directory: whole(directory) });
            }
            git = open(trusting_options, slots)?;
        }
        if git.is_bare() && !how.is_named && !may_be_discovered(&git) {
            return Err(StoreError::UnnamedBare { directory: whole(git.git_dir()) });
        }
        refuse_unread(&git)?;
        let refs = git.config_snapshot().string("extensions.refStorage");
        match refs {
            Some(storage) if !storage.eq_ignore_ascii_case(b"files") => {
                Err(StoreError::Unsupported { feature: format!("{storage} refs (extensions.refStorage)") })
            }
            _ => Ok(Self { git }),
        }
    }
}

/// Counts the packs of a repository and its alternates. There have to be slots for many more: a long-running server keeps
/// seeing new packs, and repeated push attempts create some.
fn packs(git: &gix::Repository) -> usize {
    let objects = git.objects.store_ref().path().to_owned();
    // gix reports alternates that cannot be read when it opens them.
    let alternates = gix::odb::alternate::resolve(objects.clone(), git.current_dir()).unwrap_or_default();
    let folders = [objects].into_iter().chain(alternates);
    let files = folders.filter_map(|objects| fs::read_dir(objects.join("pack")).ok()).flatten().flatten();
    files.filter(|file| file.file_name().as_encoded_bytes().ends_with(b".idx")).count()
}

/// Returns the options for opening another user's repository that the command line declares safe, which gix does not
/// take into account. All of the repository's settings take effect, and objects of any size are read.
fn trusting_options(_: Trust) -> gix::open::Options {
    gix::open::Options::default_for_level(Trust::Full)
        .filter_config_section(|_| true)
        .config_overrides(["gitoxide.objects.allocLimitIfReducedTrust=0"])
}

/// Returns whether settings of the command (`git -c`, `GIT_CONFIG_COUNT`), which the repository cannot control, declare
/// a folder safe (git-config(1), `safe.directory`). gix has already checked the owner and the settings of the system
/// and the user.
fn is_safe_by_command(git: &gix::Repository, directory: &Path) -> bool {
    let values = settings(git, "safe.directory", |kind| kind == Kind::Override);
    let directory = whole(directory);
    let is_it = |value: &str| match value.strip_suffix("/*") {
        Some(above) => directory.starts_with(whole(Path::new(above))),
        None => value == "*" || whole(Path::new(value)) == directory,
    };
    // An empty value discards the values before it.
    values
        .iter()
        .map(|value| value.to_str_lossy())
        .fold(false, |safe, value| !value.is_empty() && (safe || is_it(&value)))
}

/// Returns whether git would use this bare repository without being given its path (git-config(1),
/// `safe.bareRepository`). Like git, it does not treat a folder inside a `.git` as bare (`is_implicit_bare_repo` in
/// git's `setup.c`).
fn may_be_discovered(git: &gix::Repository) -> bool {
    let values = settings(git, "safe.bareRepository", |kind| kind != Kind::Repository);
    if values.last().is_none_or(|value| value.as_slice() != b"explicit") {
        return true;
    }
    let folder = whole(git.git_dir());
    let names: Vec<_> = folder.iter().collect();
    let is_below = |name: &str| names.windows(2).any(|pair| pair[0] == ".git" && pair[1] == name);
    folder.ends_with(".git") || is_below("worktrees") || is_below("modules")
}

/// Returns the values of a setting from the kinds of sources for which `counts` holds.
fn settings(git: &gix::Repository, key: &str, counts: impl Fn(Kind) -> bool) -> Vec<BString> {
    let of_kind = |section: &Metadata| counts(section.source.kind());
    let snapshot = git.config_snapshot();
    snapshot.plumbing().strings_filter(key, of_kind).unwrap_or_default()
}

fn whole(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::store::files::Files;
    use crate::store::pack::{PackWriter, PackedObject};

    #[test]
    fn there_are_slots_for_any_number_of_packs() {
        let folder = tempfile::tempdir().unwrap();
        Repository::init(folder.path()).unwrap();
        let objects = folder.path().join(".git/objects");
        let pack = |text: &[u8]| {
            let id = Repository::blob_id(text).unwrap();
            let mut pack = PackWriter::begin(&objects, Files::temporary()).unwrap();
            let object = PackedObject::new(gix::objs::Kind::Blob, text, id, gix::zlib::Compression::NONE).unwrap();
            pack.add(object).unwrap();
            (id, objects.join("pack").join(pack.finish().unwrap().names().next().unwrap()))
        };
        // gix looks into the packs that were modified last first.
        let ((id, oldest), (_, other)) = (pack(b"one"), pack(b"other"));
        let past = SystemTime::now() - Duration::from_secs(1000);
        File::open(oldest.with_extension("idx")).unwrap().set_modified(past).unwrap();
        let discover = || Repository::discover(folder.path(), Discovery::default()).unwrap();
        assert!(discover().read_blob(id, "x").is_ok());
        for number in 0..u32::from(PACKS) + 100 {
            for extension in ["pack", "idx"] {
                let copy = objects.join(format!("pack/pack-{number:040x}.{extension}"));
                fs::hard_link(other.with_extension(extension), copy).unwrap();
            }
        }
        assert_eq!(packs(&discover().git), usize::from(PACKS) + 102);
        assert_eq!(discover().read_blob(id, "x").unwrap(), b"one");
    }
}
