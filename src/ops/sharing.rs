//! Whether the local mirror reaches anyone else: what was not pushed yet, and whether hooks would push it.

use super::hook_callers::canonical;
use super::project::regular_file::read_regular;
use super::sync::history::covers;
use super::{Project, Result, hook_callers};
use crate::config::{PostCheckout, PrePush};
use crate::hook::install::is_ours;
use crate::hook::{Hook, call};
use crate::model::Remote;

/// The maximum size of a hook that is read, in bytes.
const MAX_HOOK: u64 = 1 << 20;

/// A local mirror that the remote does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpushed {
    /// The remote that git pushes to by default.
    pub remote: Remote,
    /// Whether the remote had a mirror when it was last fetched or pushed to.
    pub has_mirror: bool,
}

/// Returns whether the local mirror has commits that the default remote's, as last fetched, lacks.
///
/// # Errors
/// Fails if a ref or a commit cannot be read.
pub fn unpushed(project: &Project) -> Result<Option<Unpushed>> {
    let Project { repository, branch, .. } = project;
    let (Some(local), Some(remote)) = (repository.tip(branch)?, repository.default_remote()) else { return Ok(None) };
    Ok(match repository.remote_tip(&remote, branch)? {
        Some(theirs) if theirs == local || covers(project, theirs, local)? => None,
        Some(_) => Some(Unpushed { remote, has_mirror: true }),
        // Whoever turned the hook off may not want to push the mirror at all.
        None if project.config.pre_push == PrePush::Off => None,
        None => Some(Unpushed { remote, has_mirror: false }),
    })
}

/// Returns whether this clone has none of the hooks, although the settings want them and they can be installed.
///
/// # Errors
/// Fails if git's configuration or index cannot be read.
pub fn lacks_hooks(project: &Project) -> Result<bool> {
    let Project { repository, config, .. } = project;
    let is_off = config.pre_push == PrePush::Off && config.post_checkout == PostCheckout::Off;
    let Some(root) = repository.worktree() else { return Ok(false) };
    if is_off || is_automated(project) {
        return Ok(false);
    }
    let folder = repository.hooks_dir()?;
    let calls = |hook: Hook| {
        let content = read_regular(&folder.join(hook.name()), MAX_HOOK).ok().and_then(Result::ok);
        content.is_some_and(|content| is_ours(&content) || call::is_called(&content, hook))
    };
    // A folder outside of the repository serves other repositories too, so `hooks install` leaves it alone.
    let own = [root, repository.common_dir()];
    let is_own = || own.into_iter().any(|own| canonical(&folder).starts_with(canonical(own)));
    let is_called = |hook| calls(hook) || hook_callers::caller(project, &folder, hook).is_some();
    Ok(!calls(Hook::PrePush) && is_own() && !Hook::ALL.into_iter().any(is_called))
}

/// Returns whether this is a continuous integration job, whose clone lives for one build. All common services set `CI`.
fn is_automated(project: &Project) -> bool {
    project.environment.get("CI").is_some_and(|value| value != "false" && value != "0")
}
