//! Version requirements as rebar3 reads them.

use crate::hex::requirement::{Requirement, RequirementError};
use crate::model::Version;

/// A version requirement in rebar3's sense.
pub(super) struct Range {
    requirement: Requirement,
    /// rebar3 considers pre-releases and builds only if the requirement names one
    /// (`rebar_semver:is_prerelease_or_build/1`).
    with_unstable: bool,
}

impl Range {
    pub fn parse(text: &str) -> Result<Self, String> {
        let requirement = text.parse().map_err(|error: RequirementError| error.to_string())?;
        Ok(Self { requirement, with_unstable: text.contains(['-', '+']) })
    }

    pub fn has(&self, version: &Version) -> bool {
        (self.with_unstable || is_stable(version)) && self.requirement.matches(version, self.with_unstable)
    }
}

pub(super) fn is_stable(version: &Version) -> bool {
    !version.to_string().contains(['-', '+'])
}
