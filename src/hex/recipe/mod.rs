//! Splits a tarball into its files and a *recipe*, and rebuilds it from them byte for byte.
//!
//! The recipe contains what cannot be derived from the files, their paths and `metadata.config`, and only where it
//! differs from what hex_core writes: the gzip header, the archives' dialect and padding, the order of the members,
//! modes, owners and times. `CHECKSUM` and all lengths are computed. Most recipes have two lines. [`unpack`] only
//! returns a recipe after it has rebuilt the tarball with it.
//!
//! # Text form
//!
//! The text consists of lines of words that are separated by single spaces. A word is `KEY=VALUE`, or a path at the end
//! of its line. In values and paths, bytes up to 0x20, `%` and 0x7f are written as `%XX`.
//!
//! ```text
//! hex-recipe 1                                the format and its version
//! gzip os=3 mtime=1480000000 xfl=2            only if not 0
//! outer dialect=old mode=100600 mtime=… …     the outer archive, only what differs; also order=NAME,NAME,NAME,NAME
//! inner dialect=old uid=501 trailer=3072 …    the contents' archive: the most frequent values of its members
//! files metadata                              the members are those that metadata.config lists, in its order
//! mode=100755 bin/run                         one line for each member that differs from `inner`
//! ```
//!
//! A recipe of documentation, which is a gzipped archive and nothing else, has no line `outer` and lists its members.
//!
//! The alternative to `files metadata` is `files listed`, followed by one line for each member. A path that ends with
//! `/` is a folder. With `kind=folder`, the path is a folder whose name in the archive has no trailing slash.

mod docs;
mod order;
mod rebuild;
mod text;
mod unpack;

pub use docs::{DocsError, check_docs, rebuild_docs, unpack_docs};
pub use rebuild::{RebuildError, rebuild};
pub use text::RecipeError;
pub use unpack::{File, UnpackError, Unpacked, unpack};

use super::gzip;
use super::ustar::{Attributes, Dialect, Member};

/// The names of the outer members, in hex_core's order.
const OUTER_NAMES: [&str; 4] = ["VERSION", "CHECKSUM", "metadata.config", "contents.tar.gz"];

/// The properties of a tarball's bytes that its files and metadata do not determine. The [module](self) describes the
/// text form, which [`Display`](std::fmt::Display) writes and [`FromStr`](std::str::FromStr) parses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    gzip: gzip::Header,
    outer: Archive,
    /// Indexes into [`OUTER_NAMES`].
    outer_order: [usize; 4],
    inner: Archive,
    members: Members,
}

/// The properties of an archive that all of its members share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Archive {
    dialect: Dialect,
    attributes: Attributes,
    /// The number of zero bytes at the end, if it differs from the dialect's.
    trailer: Option<usize>,
}

/// The members of the contents, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Members {
    /// The members that `metadata.config` lists. Contains only those that differ from the archive's shared attributes.
    Metadata(Vec<Member>),
    /// The members themselves.
    Listed(Vec<Member>),
}

impl Recipe {
    /// Returns the recipe of a tarball that hex_core would write with these members.
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
