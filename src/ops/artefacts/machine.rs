//! This machine as a target: what its Erlang says of itself, which is what decides for clients.
//!
//! Starting Erlang takes longer than everything else that an update without anything to do does. So what was found out is
//! kept beside the repository, under a digest of what it depends on.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::{ReleaseLists, needed_by};
use crate::model::{Target, hex_digits};
use crate::ops::today::today;
use crate::ops::{OpError, Project, Result, own_file};

/// The file with what is known of this machine.
const KNOWN_IN: &str = "machine";
/// The maximum number of lines in it: one for each branch that users switch between.
const KNOWN: usize = 32;
/// The word before a target in it.
const TARGET: &str = "target";
/// The word before a digest of locks that need no further target in it.
const SETTLED: &str = "settled";
/// How long Erlang may take to start.
const TIMEOUT: Duration = Duration::from_secs(30);
/// What makes Erlang describe itself, without running a `.erlang`. Embedded, it loads code from its own folders only.
const ARGUMENTS: [&str; 7] = [
    "-boot",
    "no_dot_erlang",
    "-mode",
    "embedded",
    "-noinput",
    "-eval",
    "io:format(\"~s ~s~n\",[erlang:system_info(system_architecture),erlang:system_info(nif_version)]),halt().",
];
/// The variables that add arguments to Erlang's.
const FLAGS: [&str; 3] = ["ERL_AFLAGS", "ERL_FLAGS", "ERL_ZFLAGS"];

/// The Erlang that is first on the path, and how it is told from others.
struct Erlang {
    path: PathBuf,
    /// The folder of the file that the path leads to.
    folder: PathBuf,
    /// The digest of all that decides what it says.
    digest: String,
    accelerator: Option<String>,
}

impl Erlang {
    fn find(project: &Project) -> Option<Self> {
        let environment = &project.environment;
        let folders = environment.get("PATH").unwrap_or_default();
        let found = folders.split(':').map(|folder| PathBuf::from(folder).join("erl"));
        let root = project.repository.worktree().and_then(|root| fs::canonicalize(root).ok());
        let (path, folder, data) = found.filter(|path| path.is_absolute()).find_map(|path| {
            let data = path.metadata().ok().filter(fs::Metadata::is_file)?;
            let file = fs::canonicalize(&path).ok()?;
            // A branch can contain such a file.
            let is_foreign = root.as_ref().is_none_or(|root| !file.starts_with(root));
            is_foreign.then(|| Some((path, file.parent()?.to_owned(), data))).flatten()
        })?;
        let changed = data.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let bytes = data.len();
        let accelerator = environment.get("XLA_TARGET");
        let mut digest = Sha256::new();
        // The script of a version manager does not show that the version behind it changed.
        digest.update(format!("{path:?} {bytes} {changed:?} {accelerator:?} {}", today()));
        Some(Self { path, folder, digest: hex_digits(&digest.finalize()), accelerator })
    }

    /// Asks Erlang. `None` if it does not answer, or this program does not know such a platform.
    ///
    /// It looks for boot files in the current folder, which therefore must not be one that a branch can write to.
    fn target(&self) -> Result<Option<Target>> {
        let mut command = Command::new(&self.path);
        command.args(ARGUMENTS).current_dir(&self.folder).env("ERL_CRASH_DUMP_SECONDS", "0").kill_on_drop(true);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        for name in FLAGS {
            command.env_remove(name);
        }
        let runtime = crate::runtime::current_thread().map_err(OpError::machine("run", &self.path))?;
        let output = runtime.block_on(async { tokio::time::timeout(TIMEOUT, command.output()).await });
        let Ok(Ok(output)) = output else { return Ok(None) };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut words = text.split_whitespace();
        let (Some(platform), Some(nif)) = (words.next(), words.next()) else { return Ok(None) };
        Ok(Target::of_parts(platform, nif, self.accelerator.as_deref()).ok())
    }
}

/// Returns this machine, if it has Erlang.
///
/// # Errors
/// Fails if the system cannot start a program.
pub(in crate::ops) fn this_machine(project: &Project) -> Result<Option<Target>> {
    let Some(erlang) = Erlang::find(project) else { return Ok(None) };
    let before = format!("{TARGET} {} ", erlang.digest);
    let known = read(project);
    if let Some(known) = known.lines().find_map(|line| line.strip_prefix(&before)) {
        return Ok(known.parse().ok());
    }
    let target = erlang.target()?;
    if let Some(target) = &target {
        add(project, &known, &format!("{before}{target}"));
    }
    Ok(target)
}

/// Returns this machine if some releases have files for it, and it is none of the known ones.
///
/// # Errors
/// Fails if a list of checksums cannot be read.
pub(in crate::ops) fn new_target(
    project: &Project,
    lists: &ReleaseLists,
    known: &BTreeSet<Target>,
) -> Result<Option<Target>> {
    if lists.is_empty() || project.config.artefacts.is_none() {
        return Ok(None);
    }
    let Some(machine) = this_machine(project)?.filter(|machine| !known.contains(machine)) else { return Ok(None) };
    let needed = needed_by(project, lists, &BTreeSet::from([machine.clone()]))?;
    Ok((!needed.is_empty()).then_some(machine))
}

/// Returns what tells this machine's Erlang from others, without starting it. `None` if it has none.
pub(in crate::ops) fn identity(project: &Project) -> Option<String> {
    Erlang::find(project).map(|erlang| erlang.digest)
}

/// Returns the digest of locks, given by a digest of their own, with this machine. `None` if it has no Erlang.
pub(in crate::ops) fn locks_digest(project: &Project, locks: &str) -> Option<String> {
    identity(project).map(|erlang| hex_digits(&Sha256::digest(format!("{locks} {erlang}"))))
}

/// Returns whether it is known that locks need no further target on this machine.
pub(in crate::ops) fn is_settled(project: &Project, digest: &str) -> bool {
    read(project).lines().any(|line| line.strip_prefix(SETTLED).is_some_and(|known| known.trim() == digest))
}

/// Remembers that locks need no further target on this machine.
pub(in crate::ops) fn settle(project: &Project, digest: &str) {
    add(project, &read(project), &format!("{SETTLED} {digest}"));
}

fn read(project: &Project) -> String {
    fs::read_to_string(project.repository.own_dir().join(KNOWN_IN)).unwrap_or_default()
}

fn add(project: &Project, known: &str, line: &str) {
    let lines = std::iter::once(line).chain(known.lines()).take(KNOWN);
    own_file::write(&project.repository, KNOWN_IN, &lines.map(|line| format!("{line}\n")).collect::<String>());
}
