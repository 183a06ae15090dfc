//! git's hooks: where they are installed, beside whatever is there, and what git tells them.
//!
//! Each hook is the template of its name in `/hooks`: a few lines of POSIX sh that call this program, which then runs the
//! hook that was there before. [`install`] writes them, [`pushed`] reads what git tells `pre-push` (githooks(5)),
//! [`run_before`] runs the hook that was there.

mod before;
pub mod install;
pub mod pushed;

pub use before::run_before;

/// A hook that this program installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Before refs are pushed; may stop the push.
    PrePush,
    /// After a branch switch.
    PostCheckout,
    /// After a merge or a pull.
    PostMerge,
    /// After a rebase or an amended commit.
    PostRewrite,
}

impl Hook {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::PrePush, Self::PostCheckout, Self::PostMerge, Self::PostRewrite];

    /// Returns the name that git knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::PrePush => "pre-push",
            Self::PostCheckout => "post-checkout",
            Self::PostMerge => "post-merge",
            Self::PostRewrite => "post-rewrite",
        }
    }

    /// Returns the hook of a name.
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
