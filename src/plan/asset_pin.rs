//! The builds of asset tools that locks pin.

use std::fmt;

use super::FilePin;
use super::valid::valid;
use crate::hex::asset_tools::NpmSignature;
use crate::lock::{AssetSource, LockError};
use crate::model::{AssetToolId, FileId, FileTrust};

/// A build of an asset tool that a lock pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetPin {
    /// The build.
    pub id: AssetToolId,
    /// The file. `None` if its publisher has no such build.
    pub file: Option<AssetFile>,
}

/// The published file of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetFile {
    /// The file.
    pub pin: FilePin,
    /// The signature of npm that vouches for it, if there is one.
    pub npm: Option<NpmSignature>,
}

impl AssetPin {
    /// Reads an entry of a lock.
    ///
    /// # Errors
    /// Returns an error if a part of it is invalid.
    pub(super) fn of_source(source: &AssetSource) -> Result<Self, LockError> {
        let id = valid(&source.id, "not a build of an asset tool")?;
        let Some(file) = &source.file else { return Ok(Self { id, file: None }) };
        let npm: Option<NpmSignature> =
            source.npm.as_ref().map(|text| valid(text, "this is not a signature")).transpose()?;
        let pin = FilePin::of_download(file)?;
        let trust = if npm.is_some() { FileTrust::Npm } else { pin.trust };
        Ok(Self { id, file: Some(AssetFile { pin: FilePin { trust, ..pin }, npm }) })
    }

    /// Returns the entry of a hexmirror.lock that pins this build.
    pub fn line(&self) -> String {
        let Self { id, file } = self;
        let Some(AssetFile { pin, npm }) = file else { return format!("asset-tool {id} none") };
        let FilePin { id: FileId { checksum, .. }, bytes, address, trust } = pin;
        let voucher = match (npm, trust) {
            (Some(signature), _) => format!(" npm {signature}"),
            (None, FileTrust::FirstUse(day)) => format!(" first-use {day}"),
            (None, _) => String::new(),
        };
        format!("asset-tool {id} {address} {checksum} {}{voucher}", bytes.unwrap_or_default())
    }
}

impl fmt::Display for AssetPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}
