//! Keeps the project's repository small and fast: merges packs, and runs git's automatic maintenance.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;

use super::pack::kept;
use super::transfer::writing_to;
use super::{FetchTarget, Git, GitError, GitSettings, ProjectGit, Result};
use crate::model::Revision;

/// How many packs of this program a repository may have. Git merges all packs of a repository when it has 50
/// (`gc.autoPackLimit`), which takes long if it is large. Because this program merges its own packs before, they are
/// never the reason.
const MAX_OWN_PACKS: usize = 30;

/// How to run git's automatic maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaintenanceRun {
    /// It continues while the caller does something else, or ends.
    Background,
    /// The caller waits for it.
    Foreground,
}

/// Returns which of this program's packs, given with their sizes in bytes, are to be merged into one. Returns none as
/// long as there are not too many.
pub fn merged_packs(packs: &BTreeMap<Revision, u64>) -> BTreeSet<Revision> {
    let kept = kept(packs, MAX_OWN_PACKS);
    packs.keys().copied().filter(|name| !kept.contains(name)).collect()
}

impl ProjectGit {
    /// Writes a pack with all objects of the given packs, and returns its name.
    ///
    /// # Errors
    /// Fails if a pack does not exist any more, or the new one cannot be written.
    pub fn merge_packs(&self, packs: &BTreeSet<Revision>, target: &FetchTarget<'_>) -> Result<Revision> {
        let input: String = packs.iter().map(|name| format!("pack-{name}.pack\n")).collect();
        let folder = target.objects.join("pack");
        let folder = std::fs::canonicalize(&folder).map_err(GitError::io("read", &folder))?;
        let base = folder.join("pack");
        let fixed = ["-c", "pack.packSizeLimit=0", "pack-objects", "--stdin-packs", "--delta-base-offset", "--quiet"];
        let run = self.prepare(&[&fixed[..], &[&*base.to_string_lossy()]].concat());
        let name = writing_to(run, target)?.input(input.into_bytes()).output("merge packs")?;
        let name = String::from_utf8_lossy(name.trim_ascii()).into_owned();
        let message = format!("{name:?} is not the name of a pack");
        name.parse().map_err(|_| GitError::Failed { action: "merge packs", folder, message })
    }
}

/// Runs git's automatic maintenance of the repository with the git folder `git_dir`, as `git fetch` and `git commit` do
/// when they end. It does nothing unless the user's settings call for it. `directory` is git's working directory.
///
/// In the background, it keeps neither the standard streams nor any lock of this process open, and an interrupt at the
/// terminal does not reach it. A failure is not reported: maintenance that does not run today runs tomorrow.
pub fn maintain(directory: &Path, git_dir: &Path, run: MaintenanceRun) {
    let mut command = Git::unchecked(GitSettings::default()).maintenance(directory, git_dir);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if run == MaintenanceRun::Background {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
    }
    if let Ok(mut child) = command.spawn()
        && run == MaintenanceRun::Foreground
    {
        let _ = child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_packs_are_merged_before_git_would_merge_all() {
        let mut packs = BTreeMap::from([("f".repeat(40).parse().unwrap(), 3_000_000)]);
        let (mut most, mut written) = (0, 0);
        for number in 0..1000_usize {
            packs.insert(format!("{number:040x}").parse().unwrap(), 10_000);
            let merged = merged_packs(&packs);
            assert!(merged.len() != 1, "a single pack would be merged into itself");
            if !merged.is_empty() {
                let bytes = merged.iter().map(|name| packs[name]).sum();
                packs.retain(|name, _| !merged.contains(name));
                packs.insert(format!("a{number:039x}").parse().unwrap(), bytes);
                written += bytes;
            }
            most = most.max(packs.len());
        }
        assert!(most < MAX_OWN_PACKS, "{most}");
        assert!(written < 6 * 10_000_000, "{written}");
    }
}
