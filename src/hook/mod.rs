//! git hooks: installs them alongside existing hooks, and reads git's input to them.
//!
//! Each hook is the template of the same name in `/hooks`: a few lines of POSIX sh that call this program. The program
//! then runs the chained hook, which existed before. [`install`] writes hooks, [`pushed`] and [`head_move`] read what git
//! passes to them (githooks(5)), [`run_chained`] runs the chained hook, and [`call`] finds hooks of the user's own that
//! call this program.

pub mod call;
mod chained;
pub mod head_move;
pub mod install;
pub mod pushed;

pub use chained::run_chained;

/// A hook that this program installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Runs before refs are pushed, and can stop the push.
    PrePush,
    /// Runs after a branch switch.
    PostCheckout,
    /// Runs after a merge or a pull.
    PostMerge,
    /// Runs after a rebase or an amended commit.
    PostRewrite,
}

impl Hook {
    /// All hooks.
    pub const ALL: [Self; 4] = [Self::PrePush, Self::PostCheckout, Self::PostMerge, Self::PostRewrite];

    /// Returns git's name for the hook.
    pub fn name(self) -> &'static str {
        match self {
            Self::PrePush => "pre-push",
            Self::PostCheckout => "post-checkout",
            Self::PostMerge => "post-merge",
            Self::PostRewrite => "post-rewrite",
        }
    }

    /// Returns the hook with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.name() == name)
    }

    fn template(self) -> &'static str {
        match self {
            Self::PrePush => include_str!("../../hooks/pre-push"),
            Self::PostCheckout => include_str!("../../hooks/post-checkout"),
            Self::PostMerge => include_str!("../../hooks/post-merge"),
            Self::PostRewrite => include_str!("../../hooks/post-rewrite"),
        }
    }
}
