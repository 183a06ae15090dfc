//! The errors of files that are no packages: installers of Hex and rebar3, precompiled files, asset tools, documentation.

use crate::hex::artefacts::{ChecksumMapError, MAX_NEEDED};
use crate::hex::asset_tools::{NpmError, UnpackError};
use crate::hex::mix_archive::MixArchiveError;
use crate::hex::recipe::DocsError;
use crate::model::{AssetToolId, DownloadError, FileAddress, FilePath, ReleaseId, Target, Tool, ToolsPair, shortened};

/// An error of a file that is no package.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Elixir's key did not sign a list of installers.
    #[error("refused {list}: neither Elixir's key nor one in MIX_HOME/public_keys signed it")]
    UnsignedList {
        /// The path of the list.
        list: FilePath,
    },
    /// A list has no installer for a version of Elixir.
    #[error("{list} has no {tool} for Elixir {pair}")]
    NoInstaller {
        /// The tool.
        tool: Tool,
        /// The versions of Elixir and OTP.
        pair: ToolsPair,
        /// The path of the list.
        list: FilePath,
    },
    /// An installer does not have the checksum that its signed list has.
    #[error("refused {path}: its SHA-512 is not the one in {list}")]
    WrongInstaller {
        /// The path of the installer.
        path: FilePath,
        /// The path of the list.
        list: FilePath,
    },
    /// The archive of Hex cannot be installed.
    #[error("cannot unpack Hex for Elixir {pair}")]
    MixArchive {
        /// The versions of Elixir and OTP.
        pair: ToolsPair,
        /// The reason.
        #[source]
        source: MixArchiveError,
    },
    /// npm does not vouch for a package.
    #[error("refused {package} of npm")]
    NotOfNpm {
        /// The name and the version.
        package: String,
        /// The reason.
        #[source]
        source: NpmError,
    },
    /// A package of npm does not have the content that npm signed.
    #[error("refused {address}: its SHA-512 is not the one that npm signed")]
    WrongIntegrity {
        /// The address.
        address: FileAddress,
    },
    /// A build of an asset tool cannot be installed.
    #[error("cannot use {id}")]
    AssetArchive {
        /// The build.
        id: AssetToolId,
        /// The reason.
        #[source]
        source: UnpackError,
    },
    /// The address of a build of an asset tool cannot be mirrored.
    #[error("cannot fetch {id}")]
    AssetAddress {
        /// The build.
        id: AssetToolId,
        /// The reason.
        #[source]
        source: DownloadError,
    },
    /// The mirror does not have a file that is to be installed.
    #[error("the mirror does not have {path}")]
    NoTool {
        /// The path of the file.
        path: FilePath,
    },
    /// No lock pins an installer that a signed list chooses.
    #[error("no hexmirror.lock pins {path}, which its list chooses")]
    UnpinnedTool {
        /// The path of the installer.
        path: FilePath,
    },
    /// The locks pin no tools.
    #[error("no hexmirror.lock pins tools that could be installed")]
    NoTools {
        /// Whether the locks pin files that addresses name.
        has_downloads: bool,
    },
    /// It is unknown where mix looks for its tools.
    #[error("there is neither MIX_HOME nor a home directory")]
    NoMixHome,
    /// Documentation is malformed or hostile and was refused.
    #[error("refused the documentation of {release}")]
    Docs {
        /// The release.
        release: ReleaseId,
        /// The reason.
        #[source]
        source: DocsError,
    },
    /// A package's list of checksums cannot be read without evaluating it, or is malformed.
    #[error("cannot read {} of {release}", shortened(file))]
    ChecksumList {
        /// The release.
        release: ReleaseId,
        /// The name of the list.
        file: String,
        /// The reason.
        #[source]
        source: ChecksumMapError,
    },
    /// A package lists more precompiled files for one machine than any that exists.
    #[error("{release} lists {files} precompiled files for {target}, more than {MAX_NEEDED}")]
    TooManyArtefacts {
        /// The release.
        release: ReleaseId,
        /// The machine.
        target: Target,
        /// The number of files.
        files: usize,
    },
    /// A precompiled file is at none of the addresses where it could be.
    #[error("cannot find {artefact}{}", where_tried(tried))]
    NoArtefact {
        /// The file, with its release.
        artefact: String,
        /// The addresses.
        tried: Vec<FileAddress>,
    },
}

/// Says where a precompiled file was searched for.
fn where_tried(tried: &[FileAddress]) -> String {
    let tried: Vec<&str> = tried.iter().map(FileAddress::as_str).collect();
    match tried.is_empty() {
        true => ": the package does not say where it is published".to_owned(),
        false => format!("; tried {}", tried.join(", ")),
    }
}
