//! The names of precompiled files.

use std::fmt;

use crate::model::{NifVersion, Platform, Target, Version};

/// The longest name, in bytes.
const MAX_LENGTH: usize = 255;

/// What downloads a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArtefactKind {
    /// rustler_precompiled: `libNAME-vVERSION-nif-2.16-PLATFORM[--VARIANT].so.tar.gz`, on Windows without `lib` and with `dll`.
    RustlerPrecompiled,
    /// elixir_make: `APP-nif-2.16-PLATFORM-VERSION.tar.gz`, and for programs `APP-port-PLATFORM-VERSION.tar.gz`.
    ElixirMake,
    /// XLA: `xla_extension-VERSION-PLATFORM-ACCELERATOR.tar.gz`.
    Xla,
}

/// The name of a precompiled file, which says what it is for. Safe as the name of a file and in an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtefactName {
    text: String,
    /// What downloads the file.
    pub kind: ArtefactKind,
    /// The version of Erlang's interface, unless the file is for all.
    pub nif: Option<NifVersion>,
    platform: Platform,
    /// The version that the name says.
    pub version: Version,
    accelerator: Option<String>,
    /// The text without the NIF version.
    family: String,
}

impl ArtefactName {
    /// Reads a name. `None` if it has none of the known forms.
    pub fn parse(text: &str) -> Option<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
        let is_name = text.len() <= MAX_LENGTH && !text.starts_with('.') && text.bytes().all(is_allowed);
        let rest = text.strip_suffix(".tar.gz").filter(|_| is_name)?;
        let Parts { kind, version, nif, platform, accelerator } =
            rustler_precompiled(rest).or_else(|| xla(rest)).or_else(|| elixir_make(rest))?;
        let family = match nif {
            Some(nif) => text.replacen(&format!("-nif-{nif}-"), "-nif-", 1),
            None => text.to_owned(),
        };
        Some(Self { text: text.to_owned(), kind, nif, platform, version, accelerator, family })
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether the machine could use the file, if there is no better one.
    pub(super) fn is_for(&self, target: &Target) -> bool {
        let is_loaded = self.nif.is_none_or(|nif| target.nif.loads(nif));
        let computes = self.kind != ArtefactKind::Xla
            || self.accelerator.as_deref() == Some(target.accelerator.as_deref().unwrap_or("cpu"));
        self.platform == target.platform && is_loaded && computes
    }

    /// Returns what files that only differ in the NIF version have in common.
    pub(super) fn family(&self) -> &str {
        &self.family
    }

    /// Returns the path of the file below the folder where its client looks for it: `RUSTLER_PRECOMPILED_GLOBAL_CACHE_PATH`,
    /// `ELIXIR_MAKE_CACHE_DIR` or `XLA_CACHE_DIR`.
    pub fn path_in_cache(&self) -> String {
        match self.kind {
            ArtefactKind::RustlerPrecompiled | ArtefactKind::ElixirMake => self.text.clone(),
            ArtefactKind::Xla => format!("{}/download/{}", self.version, self.text),
        }
    }
}

impl ArtefactKind {
    /// Returns the variable that names the folder where the client looks for files before it downloads them.
    pub fn variable(self) -> &'static str {
        match self {
            Self::RustlerPrecompiled => "RUSTLER_PRECOMPILED_GLOBAL_CACHE_PATH",
            Self::ElixirMake => "ELIXIR_MAKE_CACHE_DIR",
            Self::Xla => "XLA_CACHE_DIR",
        }
    }

    /// Returns the name of the client.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RustlerPrecompiled => "rustler_precompiled",
            Self::ElixirMake => "elixir_make",
            Self::Xla => "xla",
        }
    }
}

impl fmt::Display for ArtefactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

struct Parts {
    kind: ArtefactKind,
    version: Version,
    nif: Option<NifVersion>,
    platform: Platform,
    accelerator: Option<String>,
}

/// `lib_name/4` and `lib_name_with_ext/2` in `RustlerPrecompiled`.
fn rustler_precompiled(rest: &str) -> Option<Parts> {
    let rest = rest.strip_suffix(".so").or_else(|| rest.strip_suffix(".dll"))?;
    let (before, after) = rest.rsplit_once("-nif-")?;
    // The version of the package has no `-v`, but the name of the library may.
    let (_, version) = before.rsplit_once("-v")?;
    let (nif, platform) = after.split_once('-')?;
    let platform = platform.split_once("--").map_or(platform, |(platform, _)| platform);
    Some(Parts {
        kind: ArtefactKind::RustlerPrecompiled,
        version: version.parse().ok()?,
        nif: Some(nif.parse().ok()?),
        platform: platform.parse().ok()?,
        accelerator: None,
    })
}

/// `archive_filename/3` in `ElixirMake.Artefact`.
fn elixir_make(rest: &str) -> Option<Parts> {
    let (nif, after) = match rest.split_once("-nif-") {
        Some((_, after)) => {
            let (nif, after) = after.split_once('-')?;
            (Some(nif.parse().ok()?), after)
        }
        None => (None, rest.split_once("-port-")?.1),
    };
    // A version can contain hyphens, and a platform has no part that is a version.
    let cuts = after.match_indices('-').map(|(at, _)| (&after[..at], &after[at + 1..]));
    let (platform, version) =
        cuts.filter_map(|(platform, version)| Some((platform.parse().ok()?, version.parse().ok()?))).next()?;
    Some(Parts { kind: ArtefactKind::ElixirMake, version, nif, platform, accelerator: None })
}

/// `archive_filename/1` and `target/0` in `XLA`.
fn xla(rest: &str) -> Option<Parts> {
    let rest = rest.strip_prefix("xla_extension-")?;
    let (rest, accelerator) = rest.rsplit_once('-')?;
    let cuts = rest.match_indices('-').map(|(at, _)| (&rest[..at], &rest[at + 1..]));
    // A version can contain hyphens: the longest one.
    let (version, platform) =
        cuts.filter_map(|(version, platform)| Some((version.parse().ok()?, platform.parse().ok()?))).next_back()?;
    Some(Parts { kind: ArtefactKind::Xla, version, nif: None, platform, accelerator: Some(accelerator.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_file_is_for() {
        use ArtefactKind::{ElixirMake, RustlerPrecompiled, Xla};
        for (text, kind, version, nif, platform, path) in [
            (
                "libmy-v2-v0.7.0-nif-2.16-aarch64-apple-darwin.so.tar.gz",
                RustlerPrecompiled,
                "0.7.0",
                "2.16",
                "aarch64-darwin",
                "",
            ),
            (
                "x-v1.0.0-rc.1-nif-2.15-x86_64-pc-windows-msvc.dll.tar.gz",
                RustlerPrecompiled,
                "1.0.0-rc.1",
                "2.15",
                "x86_64-windows-msvc",
                "",
            ),
            (
                "libx-v1.0.0-nif-2.15-x86_64-unknown-linux-gnu--avx2.so.tar.gz",
                RustlerPrecompiled,
                "1.0.0",
                "2.15",
                "x86_64-linux-gnu",
                "",
            ),
            (
                "exqlite-nif-2.16-armv7l-linux-gnueabihf-0.13.14.tar.gz",
                ElixirMake,
                "0.13.14",
                "2.16",
                "armv7l-linux-gnueabihf",
                "",
            ),
            (
                "a_b-nif-2.17-aarch64-apple-darwin-1.0.0-rc.1.tar.gz",
                ElixirMake,
                "1.0.0-rc.1",
                "2.17",
                "aarch64-darwin",
                "",
            ),
            ("prog-port-x86_64-linux-musl-1.2.3.tar.gz", ElixirMake, "1.2.3", "", "x86_64-linux-musl", ""),
            (
                "xla_extension-0.10.0-x86_64-linux-gnu-cuda12.tar.gz",
                Xla,
                "0.10.0",
                "",
                "x86_64-linux-gnu",
                "0.10.0/download/",
            ),
            ("xla_extension-0.10.0-aarch64-darwin-cpu.tar.gz", Xla, "0.10.0", "", "aarch64-darwin", "0.10.0/download/"),
        ] {
            let name = ArtefactName::parse(text).expect(text);
            let nif_text = name.nif.map(|nif| nif.to_string()).unwrap_or_default();
            assert_eq!(
                (name.kind, name.version.to_string().as_str(), nif_text.as_str()),
                (kind, version, nif),
                "{text}"
            );
            assert_eq!(name.platform.to_string(), platform, "{text}");
            assert_eq!(name.path_in_cache(), format!("{path}{text}"));
        }
    }

    #[test]
    fn other_names_and_hostile_ones_are_nothing() {
        for text in [
            "",
            "README.md",
            "x-1.0.0.tar.gz",
            "../libx-v1.0.0-nif-2.15-x86_64-linux-gnu.so.tar.gz",
            "a/libx-v1.0.0-nif-2.15-x86_64-linux-gnu.so.tar.gz",
            ".x-nif-2.16-x86_64-linux-gnu-0.1.0.tar.gz",
            "x-nif-2.16-x86_64-linux-gnu-0.1.0.tar.gz?x",
            "libx-v1.0.0-nif-2-x86_64-linux-gnu.so.tar.gz",
            "libx-v../..-nif-2.15-x86_64-linux-gnu.so.tar.gz",
            "xla_extension-1.0.0/../-x86_64-linux-gnu-cpu.tar.gz",
            "evision-nif_2.16-aarch64-apple-darwin-contrib-0.1.30.tar.gz",
        ] {
            assert_eq!(ArtefactName::parse(text), None, "{text}");
        }
    }
}
