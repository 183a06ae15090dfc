//! Hints on what to do about errors of files that are no packages.

use git_hexmirror::hex::asset_tools::NpmError;
use git_hexmirror::ops::FileError;

/// What to do about a list of installers that no known key signed.
pub const UNSIGNED_LIST: &str = "put the PEM file of the key into MIX_HOME/public_keys if you trust another one, as for mix; otherwise, this is not \
    Elixir's list: `git hexmirror update --refresh` pins the newest one, and `git hexmirror prune` removes what no lock pins";

/// What to do about a package that npm did not sign.
pub const UNSIGNED_PACKAGE: &str = "do not use this package; if npm has a new key, or your registry signs with its own, name it in the setting npm_keys; \
    if the signature in hexmirror.lock was changed, remove the line and run `git hexmirror update`";

/// Returns what to do about a file that is no package.
pub fn hint(error: &FileError) -> Option<String> {
    let hint = match error {
        FileError::ChecksumList { .. } | FileError::TooManyArtefacts { .. } => {
            "look at the package before you use it; `git config hexmirror.artefacts off` mirrors no precompiled files of packages"
        }
        FileError::UnsignedList { .. } => UNSIGNED_LIST,
        FileError::WrongInstaller { .. } | FileError::MixArchive { .. } => {
            "do not install this file; `git hexmirror update --refresh` pins what the newest list at https://builds.hex.pm chooses"
        }
        FileError::NotOfNpm { source: NpmError::NotSigned, .. } => UNSIGNED_PACKAGE,
        FileError::NotOfNpm { .. } | FileError::WrongIntegrity { .. } => {
            "do not use this package; if your registry is a proxy, compare it with https://registry.npmjs.org"
        }
        FileError::AssetArchive { .. } => {
            "compare the file with the one that the publisher shows; `git config hexmirror.assetTools off` mirrors no asset tools"
        }
        FileError::AssetAddress { .. } => "correct the address in the setting asset_tools",
        FileError::NoTool { .. } => "run `git hexmirror update`, or fetch the mirror with `git hexmirror pull`",
        FileError::UnpinnedTool { .. } | FileError::NoInstaller { .. } => {
            "`git hexmirror update --refresh` pins what the newest list chooses; if that has nothing for these versions, correct them in the setting \
             `tools`, mise.toml or .tool-versions, and remove their line from hexmirror.lock"
        }
        FileError::NoTools { has_downloads: true } => "the files that addresses name are written with --to DIR",
        FileError::NoTools { has_downloads: false } => {
            "name your versions of Elixir and OTP: git config hexmirror.tools \"1.18.4-otp-27\"; then run `git hexmirror update`"
        }
        FileError::NoMixHome => "pass the folder with --to, or set MIX_HOME",
        FileError::NoArtefact { .. } => {
            "say where it is published with `git config --add hexmirror.artefacts PACKAGE=URL`, or remove the machine that needs it \
             with `git hexmirror targets remove`"
        }
        FileError::Docs { .. } => {
            "nothing of it was stored; `git hexmirror update --keep-going` commits everything else, and `git config hexmirror.docs false` \
             mirrors no documentation"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}
