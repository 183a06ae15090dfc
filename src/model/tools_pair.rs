//! The versions of Elixir and of OTP that decide which Hex and rebar3 mix installs.

use std::fmt;
use std::str::FromStr;

use super::{FilePath, Version, VersionError};

/// A version of Elixir with the release of OTP that it runs on. Displayed and parsed as `1.18.4 otp 27`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToolsPair {
    /// The version of Elixir.
    pub elixir: Version,
    /// The release of OTP, such as 27.
    pub otp: u32,
}

/// What mix installs for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// Hex, an archive of mix.
    Hex,
    /// rebar3, an escript.
    Rebar3,
}

impl Tool {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Hex, Self::Rebar3];
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hex => "Hex",
            Self::Rebar3 => "rebar3",
        })
    }
}

/// An error for a text that is not a pair.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolsPairError {
    /// The text has another form.
    #[error("expected the versions of Elixir and OTP, such as `1.18.4 otp 27`")]
    Form,
    /// Elixir's version is invalid.
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl ToolsPair {
    /// Returns whether Elixir chooses by the release of OTP as well: since 1.18.4 (`Mix.Tasks.Local.Hex`).
    pub fn has_lists_by_otp(&self) -> bool {
        self.elixir >= "1.18.4-0".parse().expect("a valid version")
    }

    /// Returns the name of mix's folder for rebar3 (`Mix.Rebar.local_rebar_path/1`): `1-14`, or `1-19-otp-28`.
    pub fn folder(&self) -> String {
        let text = self.elixir.to_string();
        let mut numbers = text.split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        let otp = if self.has_lists_by_otp() { format!("-otp-{}", self.otp) } else { String::new() };
        format!("{major}-{minor}{otp}")
    }

    /// Returns the path of the list of a tool's versions.
    pub fn list(&self, tool: Tool) -> FilePath {
        let name = match (tool, self.has_lists_by_otp()) {
            (Tool::Hex, false) => "hex-1.x.csv",
            (Tool::Rebar3, false) => "rebar3-1.x.csv",
            (Tool::Hex, true) => "hex.csv",
            (Tool::Rebar3, true) => "rebar.csv",
        };
        format!("installs/{name}").parse().expect("a valid path")
    }

    /// Returns the path of the signature of that list.
    pub fn signature(&self, tool: Tool) -> FilePath {
        format!("{}.signed", self.list(tool)).parse().expect("a valid path")
    }
}

impl FromStr for ToolsPair {
    type Err = ToolsPairError;

    fn from_str(text: &str) -> Result<Self, ToolsPairError> {
        let (elixir, otp) = text.split_once(" otp ").ok_or(ToolsPairError::Form)?;
        let number: u32 = otp.parse().map_err(|_| ToolsPairError::Form)?;
        match number.to_string() == otp && number < 1000 {
            true => Ok(Self { elixir: elixir.parse()?, otp: number }),
            false => Err(ToolsPairError::Form),
        }
    }
}

impl fmt::Display for ToolsPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} otp {}", self.elixir, self.otp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_back_and_know_their_lists() {
        for (text, hex, rebar, folder) in [
            ("1.14.0 otp 25", "hex-1.x.csv", "rebar3-1.x.csv", "1-14"),
            ("1.18.3 otp 27", "hex-1.x.csv", "rebar3-1.x.csv", "1-18"),
            ("1.18.4 otp 27", "hex.csv", "rebar.csv", "1-18-otp-27"),
            ("1.19.0-rc.0 otp 28", "hex.csv", "rebar.csv", "1-19-otp-28"),
        ] {
            let pair: ToolsPair = text.parse().unwrap();
            assert_eq!((pair.to_string().as_str(), pair.folder().as_str()), (text, folder));
            assert_eq!([Tool::Hex, Tool::Rebar3].map(|tool| pair.list(tool).name().to_owned()), [hex, rebar]);
        }
        for text in ["", "1.18.4", "1.18 otp 27", "1.18.4 otp 27.1", "1.18.4 otp 027", "1.18.4 otp x"] {
            assert!(text.parse::<ToolsPair>().is_err(), "{text}");
        }
    }
}
