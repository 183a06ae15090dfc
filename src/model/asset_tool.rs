//! The programs that build assets: esbuild, Tailwind and Dart Sass, as the packages esbuild, tailwind and dart_sass install them.

use std::fmt;
use std::str::FromStr;

use super::{Version, VersionError, shortened};

/// The longest name of a build, in bytes.
const MAX_BUILD: usize = 64;

/// A program that builds assets, by the package that installs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssetTool {
    /// esbuild, a package of npm.
    Esbuild,
    /// The standalone Tailwind, a release file of GitHub.
    Tailwind,
    /// Dart Sass, a release file of GitHub.
    DartSass,
}

impl AssetTool {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Esbuild, Self::Tailwind, Self::DartSass];

    /// Returns the name of the package and of its configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Esbuild => "esbuild",
            Self::Tailwind => "tailwind",
            Self::DartSass => "dart_sass",
        }
    }
}

impl fmt::Display for AssetTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error for a text that is not an asset tool, or not one for a machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssetToolError {
    /// The name is another one.
    #[error("{:?} is none of esbuild, tailwind and dart_sass", shortened(.text))]
    Name {
        /// The text.
        text: String,
    },
    /// The version is invalid.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The build is invalid.
    #[error("{:?} is not the name of a build such as linux-x64", shortened(.text))]
    Build {
        /// The text.
        text: String,
    },
    /// The text has another form.
    #[error("expected a tool, a version and a build, such as `esbuild 0.25.0 linux-x64`")]
    Form,
}

impl FromStr for AssetTool {
    type Err = AssetToolError;

    fn from_str(text: &str) -> Result<Self, AssetToolError> {
        let named = Self::ALL.into_iter().find(|tool| tool.as_str() == text);
        named.ok_or_else(|| AssetToolError::Name { text: text.to_owned() })
    }
}

/// The name that a tool's publisher gives to its build for a platform: `linux-x64`, `windows-x64.exe`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetBuild(String);

impl FromStr for AssetBuild {
    type Err = AssetToolError;

    fn from_str(text: &str) -> Result<Self, AssetToolError> {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        let is_name = text.starts_with(|first: char| first.is_ascii_lowercase());
        match is_name && text.len() <= MAX_BUILD && text.bytes().all(is_allowed) {
            true => Ok(Self(text.to_owned())),
            false => Err(AssetToolError::Build { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for AssetBuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One build of a tool. Displayed and parsed as `esbuild 0.25.0 linux-x64`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetToolId {
    /// The tool.
    pub tool: AssetTool,
    /// Its version.
    pub version: Version,
    /// The build.
    pub build: AssetBuild,
}

impl FromStr for AssetToolId {
    type Err = AssetToolError;

    fn from_str(text: &str) -> Result<Self, AssetToolError> {
        match text.split(' ').collect::<Vec<_>>()[..] {
            [tool, version, build] => {
                Ok(Self { tool: tool.parse()?, version: version.parse()?, build: build.parse()? })
            }
            _ => Err(AssetToolError::Form),
        }
    }
}

impl fmt::Display for AssetToolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.tool, self.version, self.build)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_are_read_back() {
        for text in
            ["esbuild 0.25.0 linux-x64", "tailwind 4.0.0-beta.1 windows-x64.exe", "dart_sass 1.77.8 macos-arm64"]
        {
            assert_eq!(text.parse::<AssetToolId>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "esbuild 0.25.0",
            "sass 1.0.0 linux-x64",
            "esbuild latest linux-x64",
            "esbuild 0.25.0 ../x",
            "esbuild 0.25.0 ..",
            "esbuild 0.25.0 linux/x64",
            "esbuild 0.25.0 Linux",
            "esbuild 0.25.0 ",
        ] {
            assert!(text.parse::<AssetToolId>().is_err(), "{text}");
        }
    }
}
