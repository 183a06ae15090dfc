//! The platforms that precompiled files of packages are made for.

use std::fmt;
use std::str::FromStr;

use super::shortened;

/// The longest part of a platform, in bytes.
const MAX_PART: usize = 32;
/// The operating systems, by how their names begin: Erlang appends a version to some.
const SYSTEMS: [&str; 9] =
    ["linux", "darwin", "windows", "freebsd", "openbsd", "netbsd", "dragonfly", "solaris", "illumos"];

/// A processor with an operating system and, on some of these, an ABI: `x86_64-linux-gnu`, `aarch64-darwin`.
///
/// Rust, C compilers and Erlang spell a platform differently, such as `x86_64-unknown-linux-gnu`, `x86_64-linux-gnu` and
/// `x86_64-pc-linux-gnu`. All spellings are accepted and are the same value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform(String);

/// The version of Erlang's interface for native code: `2.16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NifVersion {
    /// Versions with another number are incompatible.
    pub major: u32,
    /// A runtime also loads what was made for a lower number.
    pub minor: u32,
}

/// A machine that builds: it decides which of the precompiled files of a package are needed. Displayed and parsed as
/// `x86_64-linux-gnu nif 2.16`, with `xla cuda12` after it if it uses this accelerator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The platform.
    pub platform: Platform,
    /// The highest version of Erlang's interface that the machine loads.
    pub nif: NifVersion,
    /// What XLA computes with (`XLA_TARGET`), if that is not the processor.
    pub accelerator: Option<String>,
}

/// An error for a text that is not a target or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The text is not a platform.
    #[error("{:?} is not a platform such as x86_64-linux-gnu or aarch64-darwin", shortened(.text))]
    Platform {
        /// The text.
        text: String,
    },
    /// The text is not a version.
    #[error("{:?} is not a NIF version such as 2.16", shortened(.text))]
    Nif {
        /// The text.
        text: String,
    },
    /// The text is not an accelerator.
    #[error("{:?} is not an accelerator such as cuda12", shortened(.text))]
    Accelerator {
        /// The text.
        text: String,
    },
    /// The text has another form.
    #[error("expected a platform and a NIF version, such as `x86_64-linux-gnu nif 2.16`")]
    Form,
}

impl Platform {
    /// Returns the processor, such as `x86_64`.
    pub fn processor(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }

    /// Returns the operating system, such as `linux` or `darwin`.
    pub fn system(&self) -> &str {
        self.0.split('-').nth(1).unwrap_or_default()
    }

    /// Returns the ABI, such as `gnu` or `musl`; empty if the platform names none.
    pub fn abi(&self) -> &str {
        self.0.split('-').nth(2).unwrap_or_default()
    }
}

impl FromStr for Platform {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        // What Erlang says on Windows.
        if text == "win32" {
            return Ok(Self("x86_64-windows-msvc".to_owned()));
        }
        let parts: Vec<&str> = text.split('-').collect();
        let error = || TargetError::Platform { text: text.to_owned() };
        let found = parts.iter().enumerate().skip(1).find_map(|(index, part)| Some((index, system(part)?)));
        let (index, system) = found.ok_or_else(error)?;
        // Before the system, there may be a vendor; after it, an ABI.
        if index > 2 || parts.len() > index + 2 || !parts.iter().all(|part| is_word(part)) {
            return Err(error());
        }
        let processor = match parts[0] {
            "amd64" => "x86_64",
            "arm64" => "aarch64",
            "arm" if system == "darwin" => "aarch64",
            "riscv64gc" => "riscv64",
            other => other,
        };
        let abi = parts.get(index + 1).map(|abi| format!("-{abi}")).unwrap_or_default();
        Ok(Self(format!("{processor}-{system}{abi}")))
    }
}

/// Returns the operating system that a part of a platform names.
fn system(part: &str) -> Option<&'static str> {
    let named = |system: &&str| part.strip_prefix(*system).is_some_and(is_version);
    match part {
        "macos" => Some("darwin"),
        _ => SYSTEMS.into_iter().find(named),
    }
}

fn is_version(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn is_word(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.".contains(&byte);
    !text.is_empty() && text.len() <= MAX_PART && text.bytes().all(is_allowed)
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl NifVersion {
    /// Returns whether a runtime with this version loads what was made for `other`.
    pub fn loads(self, other: Self) -> bool {
        self.major == other.major && other.minor <= self.minor
    }
}

impl FromStr for NifVersion {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let error = || TargetError::Nif { text: text.to_owned() };
        let (major, minor) = text.split_once('.').ok_or_else(error)?;
        let [Ok(major), Ok(minor)] = [major, minor].map(str::parse::<u32>) else { return Err(error()) };
        let version = Self { major, minor };
        if version.to_string() == text && major < 1000 && minor < 1000 { Ok(version) } else { Err(error()) }
    }
}

impl fmt::Display for NifVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Target {
    /// Reads the parts of a target. The accelerator `cpu` is none.
    ///
    /// # Errors
    /// Fails if a part is invalid.
    pub fn of_parts(platform: &str, nif: &str, accelerator: Option<&str>) -> Result<Self, TargetError> {
        let accelerator = accelerator.filter(|name| *name != "cpu");
        if let Some(text) = accelerator.filter(|name| !is_word(name)) {
            return Err(TargetError::Accelerator { text: text.to_owned() });
        }
        let accelerator = accelerator.map(str::to_owned);
        Ok(Self { platform: platform.parse()?, nif: nif.parse()?, accelerator })
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        match text.split(' ').collect::<Vec<_>>()[..] {
            [platform, "nif", nif] => Self::of_parts(platform, nif, None),
            [platform, "nif", nif, "xla", accelerator] => Self::of_parts(platform, nif, Some(accelerator)),
            _ => Err(TargetError::Form),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} nif {}", self.platform, self.nif)?;
        self.accelerator.as_ref().map_or(Ok(()), |accelerator| write!(f, " xla {accelerator}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_a_platform_are_the_same() {
        for (text, platform) in [
            ("x86_64-linux-gnu", "x86_64-linux-gnu"),
            ("x86_64-pc-linux-gnu", "x86_64-linux-gnu"),
            ("x86_64-unknown-linux-gnu", "x86_64-linux-gnu"),
            ("x86_64-alpine-linux-musl", "x86_64-linux-musl"),
            ("aarch64-apple-darwin21.0.0", "aarch64-darwin"),
            ("arm-apple-darwin", "aarch64-darwin"),
            ("arm64-apple-darwin", "aarch64-darwin"),
            ("x86_64-darwin", "x86_64-darwin"),
            ("arm-unknown-linux-gnueabihf", "arm-linux-gnueabihf"),
            ("riscv64gc-unknown-linux-gnu", "riscv64-linux-gnu"),
            ("amd64-portbld-freebsd13.2", "x86_64-freebsd"),
            ("x86_64-pc-windows-msvc", "x86_64-windows-msvc"),
            ("win32", "x86_64-windows-msvc"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), platform, "{text}");
        }
        for text in ["", "linux", "x86_64", "x86_64-linuxen", "a-b-c-linux", "x-linux-gnu-x", "../-linux", "X-linux"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn targets_are_read_back() {
        for text in ["x86_64-linux-gnu nif 2.16", "x86_64-linux-gnu nif 2.17 xla cuda12"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!("a-linux nif 2.1 xla cpu".parse::<Target>().unwrap().to_string(), "a-linux nif 2.1");
        for text in ["", "x86_64-linux-gnu", "a-linux nif 2", "a-linux nif 02.1", "a-linux nif 2.1 xla ../x"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
        let version = |text: &str| text.parse::<NifVersion>().unwrap();
        assert!(version("2.17").loads(version("2.15")) && version("2.17").loads(version("2.17")));
        assert!(!version("2.15").loads(version("2.16")) && !version("3.1").loads(version("2.16")));
    }
}
