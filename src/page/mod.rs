//! The web pages: data to HTML. Pure: `ops::pages` collects the data, `serve` answers browsers.
//!
//! Everything that packages, locks and registries say is hostile. [`maud`] escapes what it inserts; the only addresses that
//! pages link to outside of the server go through `link::outside`. No page has a script, a style of its own or anything from
//! another server, and the policy that `serve` sends, or that the files of a site contain, forbids them.
//!
//! | file | responsibility |
//! |---|---|
//! | `address` | the addresses of the pages: parsed, and written |
//! | `file_name`, `site` | the files of a static site: their names, and which pages it has |
//! | `link` | links between pages, relative to where they are; links to other servers |
//! | `invisible` | characters without a form of their own, by their numbers |
//! | `frame`, `layout` | what all pages say about the mirror, and what else they have in common |
//! | `failure` | the page for an error |
//! | `part` | what several pages have |
//! | `overview` | the first page |
//! | `packages`, `package_query` | the list of packages, and what it is narrowed to |
//! | `package` | one package |
//! | `waiting` | the page that is shown while the mirror is being read |
//! | `source`, `lines` | folders and files of dependencies; lines of code |
//! | `compare`, `changed_file`, `difference` | what differs between two versions; tables of lines |
//! | `source_id` | what sources there can be |
//! | `repository` | the git repositories |
//! | `history` | the history of the mirror, and what changed in the project |
//! | `stored` | everything else that is stored |
//! | `style` | the style sheet and the icon |

mod address;
mod changed_file;
mod compare;
mod difference;
mod failure;
mod file_name;
mod frame;
mod history;
mod invisible;
mod layout;
mod lines;
mod link;
mod overview;
mod package;
mod package_query;
mod packages;
mod part;
mod repository;
mod site;
mod source;
mod source_id;
mod stored;
mod style;
#[cfg(test)]
mod tests;
mod waiting;

pub use address::Address;
pub use changed_file::{ChangedFile, Difference, FileSide};
pub use compare::{Comparison, ComparisonView, comparison, file_comparison, files_on_page};
pub use failure::{failure, missing};
pub use frame::Frame;
pub use history::{MirrorCommit, MirrorHistory, ProjectChanges, history, project_changes};
pub use overview::{LockState, Overview, Update, overview};
pub use package::{History, ListedVersion, PackageDetails, RequiredPackage, StoredVersion, package};
pub use package_query::PackageQuery;
pub use packages::{Letter, PackageList, PackageRow, packages};
pub use part::{Badge, Change, Finding, Tone};
pub use repository::{RepositoryDetails, RepositoryRevision, repositories, repository};
pub use site::{Site, SiteScope};
pub use source::{FolderEntry, MAX_NAMES, SourceFile, SourceFolder, SourceOrigin, source_file, source_folder};
pub use source_id::SourceId;
pub use stored::{StoredThing, StoredThings, stored};
pub use style::{ICON, STYLE};
pub use waiting::waiting;

/// The largest file, in bytes, that can be downloaded: all that is downloaded at a time has to fit in memory.
pub const MAX_DOWNLOAD: u64 = 16 << 20;

/// What a server answers at the address of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// The page's HTML.
    Html(String),
    /// There is no such page. Says what is missing, as a sentence without a final full stop.
    Missing(String),
    /// A file to download.
    Download {
        /// Its name.
        name: String,
        /// Its size in bytes, at most [`MAX_DOWNLOAD`]. Who makes pages reads the content separately, when there is room for it.
        bytes: u64,
    },
    /// The page has another address.
    Moved(Address),
}
