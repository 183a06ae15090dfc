//! A tarball taken apart into its files and a *recipe*, and rebuilt from them byte for byte.
//!
//! The recipe holds what the files, their paths and `metadata.config` do not say, and of that only what deviates from
//! what hex_core writes: gzip's header, the archives' dialect and padding, the order of the members, modes, owners and
//! times. `CHECKSUM` and all lengths are computed. Most recipes are two lines. [`unpack`] only returns a recipe that it
//! has seen rebuild the very tarball.
//!
//! # Text form
//! Lines of words, separated by single spaces; a word is `KEY=VALUE`, or a path at the end of its line. In values and
//! paths, bytes up to 0x20, `%` and 0x7f are written as `%XX`.
//! ```text
//! hex-recipe 1                                the format and its version
//! gzip os=3 mtime=1480000000 xfl=2            only if not 0
//! outer dialect=old mode=100600 mtime=… …     the outer archive, only what deviates; also order=NAME,NAME,NAME,NAME
//! inner dialect=old uid=501 trailer=3072 …    the contents' archive: what most members share
//! files metadata                              the members are those that metadata.config lists, in its order
//! mode=100755 bin/run                         one line for each that deviates from `inner`
//! ```
//! or `files listed`, followed by one line for each member. A path that ends with `/` is a folder; so is one with
//! `kind=folder`, whose name has no slash in the archive.

mod order;
mod rebuild;
mod text;
mod unpack;

pub use rebuild::{RebuildError, rebuild};
pub use text::RecipeError;
pub use unpack::{File, UnpackError, Unpacked, unpack};

use super::gzip;
use super::ustar::{Attributes, Dialect, Member};

/// The outer members, in hex_core's order.
const OUTER_NAMES: [&str; 4] = ["VERSION", "CHECKSUM", "metadata.config", "contents.tar.gz"];

/// What a tarball's files and metadata do not say about its bytes. See the [module](self) for its text form, which
/// [`Display`](std::fmt::Display) writes and [`FromStr`](std::str::FromStr) reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    gzip: gzip::Header,
    outer: Archive,
    /// Indexes into [`OUTER_NAMES`].
    outer_order: [usize; 4],
    inner: Archive,
    members: Members,
}

/// What an archive's members share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Archive {
    dialect: Dialect,
    attributes: Attributes,
    /// The zero bytes at the end, if not as many as the dialect has.
    trailer: Option<usize>,
}

/// Which members the contents have, in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Members {
    /// Those that `metadata.config` lists; here only those that deviate from what the archive's members share.
    Metadata(Vec<Member>),
    /// These.
    Listed(Vec<Member>),
}

impl Recipe {
    /// Returns the recipe of a tarball that hex_core would write, with these members.
    pub(super) fn listed(members: Vec<Member>) -> Self {
        Self {
            gzip: gzip::Header::ERLANG,
            outer: Archive::default(),
            outer_order: [0, 1, 2, 3],
            inner: Archive::default(),
            members: Members::Listed(members),
        }
    }
}
