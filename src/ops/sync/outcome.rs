//! What a pull and a push return.

use crate::model::Remote;
use crate::plan::MergeStatistics;
use crate::store::ObjectId;

/// How a remote's mirror was integrated into the local one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Integration {
    /// The local mirror already had everything.
    #[default]
    UpToDate,
    /// The local branch did not exist and was created at the remote's tip.
    Adopted,
    /// The local branch was fast-forwarded.
    FastForwarded,
    /// The two mirrors had diverged and were merged.
    Merged,
    /// The remote's history was compacted. The local branch was moved onto it, and the local mirror's own contents were
    /// added on top.
    Rebased,
}

/// The outcome of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullOutcome {
    /// The remote.
    pub remote: Remote,
    /// How the remote's mirror was integrated.
    pub integration: Integration,
    /// What the local mirror received.
    pub statistics: MergeStatistics,
    /// The branch's tip after the pull.
    pub commit: ObjectId,
    /// Whether the local mirror has something that the remote lacks.
    pub ahead: bool,
}

/// The outcome of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushOutcome {
    /// The remote.
    pub remote: Remote,
    /// Whether anything was pushed. `false` if the remote already had everything.
    pub pushed: bool,
    /// How the remote's mirror was integrated into the local one before the push.
    pub integration: Integration,
    /// What the local mirror received.
    pub statistics: MergeStatistics,
    /// The tip of both branches after the push.
    pub commit: ObjectId,
    /// The number of attempts.
    pub attempts: u32,
}
