//! The files in which packages list the checksums of what they download.

use super::{Artefact, ArtefactName};
use crate::model::FileChecksum;
use crate::term::{Spanned, SyntaxError, elixir};

/// The largest file that is read, in bytes. One with 10,000 files has 2 MB.
const MAX_BYTES: usize = 16 << 20;

/// The files that a package may download, with their checksums.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChecksumMap {
    /// The files whose names have a known form.
    pub artefacts: Vec<Artefact>,
    /// The number of files with other names.
    pub unknown: usize,
}

/// Why a list of checksums is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumMapError {
    /// It is not one literal map: it would have to be evaluated.
    #[error("it is not a literal map of names and checksums")]
    Code {
        /// The error with its position.
        source: SyntaxError,
    },
    /// A name or a checksum is not a string.
    #[error("it is not a map of names and checksums: {message}")]
    Entry {
        /// The problem.
        message: String,
    },
    /// A file has no SHA-256.
    #[error("{name} has no SHA-256 checksum in it")]
    Checksum {
        /// The name of the file.
        name: String,
    },
    /// A file is listed twice, with different checksums.
    #[error("{name} is listed twice in it, with different checksums")]
    Twice {
        /// The name of the file.
        name: String,
    },
    /// The file is too large.
    #[error("it is larger than {} MB", MAX_BYTES >> 20)]
    TooLarge,
    /// The file is not text.
    #[error("it is not UTF-8")]
    NotText,
}

impl From<SyntaxError> for ChecksumMapError {
    fn from(source: SyntaxError) -> Self {
        Self::Code { source }
    }
}

/// Returns whether a file in the root of a package is a list of checksums: `checksum-Elixir.MODULE.exs` of
/// rustler_precompiled, `checksum.exs` of elixir_make, `checksum.txt` of XLA.
pub fn is_map(file: &str) -> bool {
    let of_module = || file.strip_prefix("checksum-").and_then(|rest| rest.strip_suffix(".exs"));
    matches!(file, "checksum.exs" | TEXT) || of_module().is_some_and(|module| !module.is_empty())
}

/// XLA's list.
const TEXT: &str = "checksum.txt";

impl ChecksumMap {
    /// Reads a list of checksums, without evaluating it. `None` if the file is not one of this kind: many things are named
    /// checksum.txt.
    ///
    /// # Errors
    /// Fails if the list contains anything but literals, or a checksum other than SHA-256.
    pub fn parse(file: &str, contents: &[u8]) -> Result<Option<Self>, ChecksumMapError> {
        if file == TEXT {
            return Ok(of_lines(contents));
        }
        if contents.len() > MAX_BYTES {
            return Err(ChecksumMapError::TooLarge);
        }
        let text = std::str::from_utf8(contents).map_err(|_| ChecksumMapError::NotText)?;
        let mut map = Self::default();
        elixir::pairs(text, |name, checksum| {
            let name = text_of(&name)?;
            let wrong = || ChecksumMapError::Checksum { name: name.escape_default().take(100).collect() };
            let checksum = text_of(&checksum)?.strip_prefix("sha256:").and_then(|sum| sum.parse().ok());
            map.add(&name, checksum.ok_or_else(wrong)?)
        })?;
        map.checked().map(Some)
    }

    fn add(&mut self, name: &str, checksum: FileChecksum) -> Result<(), ChecksumMapError> {
        match ArtefactName::parse(name) {
            Some(name) => self.artefacts.push(Artefact { name, checksum }),
            None => self.unknown += 1,
        }
        Ok(())
    }

    /// Sorts the files, and checks that each is listed once.
    fn checked(mut self) -> Result<Self, ChecksumMapError> {
        self.artefacts.sort();
        self.artefacts.dedup();
        match self.artefacts.windows(2).find(|pair| pair[0].name == pair[1].name) {
            Some(pair) => Err(ChecksumMapError::Twice { name: pair[0].name.to_string() }),
            None => Ok(self),
        }
    }
}

fn text_of(term: &Spanned<'_>) -> Result<String, ChecksumMapError> {
    let text = term.term.as_bytes().and_then(|bytes| std::str::from_utf8(bytes).ok());
    let wrong = || ChecksumMapError::Entry { message: format!("expected a string, found {}", term.term.describe()) };
    text.map(str::to_owned).ok_or_else(wrong)
}

/// Reads lines `SHA-256  NAME`. `None` if there are others, or none.
fn of_lines(contents: &[u8]) -> Option<ChecksumMap> {
    let text = std::str::from_utf8(contents).ok().filter(|text| text.len() <= MAX_BYTES)?;
    let mut map = ChecksumMap::default();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (checksum, name) = line.split_once("  ")?;
        map.add(name, checksum.parse().ok()?).ok()?;
    }
    map.checked().ok().filter(|map| !map.artefacts.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "x-nif-2.16-x86_64-linux-gnu-0.1.0.tar.gz";

    fn exs(text: &str) -> Result<Option<ChecksumMap>, ChecksumMapError> {
        ChecksumMap::parse("checksum.exs", text.as_bytes())
    }

    #[test]
    fn lists_of_all_kinds_are_recognised() {
        for file in ["checksum.exs", "checksum.txt", "checksum-Elixir.A.B.exs"] {
            assert!(is_map(file), "{file}");
        }
        for file in ["checksum-.exs", "checksum", "checksums.exs", "a/checksum.exs", "checksum-x.ex"] {
            assert!(!is_map(file), "{file}");
        }
        let sum = "a".repeat(64);
        let map = exs(&format!(
            "# by mix\n%{{\n  \"{NAME}\" =>\n    \"sha256:{sum}\",\n  \"other\" => \"sha256:{sum}\"\n}}\n"
        ));
        let map = map.unwrap().unwrap();
        assert_eq!((map.artefacts[0].name.as_str(), map.unknown), (NAME, 1));
        let name = "xla_extension-0.10.0-x86_64-linux-gnu-cpu.tar.gz";
        let map = ChecksumMap::parse("checksum.txt", format!("{sum}  {name}\n").as_bytes()).unwrap().unwrap();
        assert_eq!(map.artefacts[0].name.as_str(), name);
        for other in ["", "hello\n", &format!("{sum}  file.txt\n"), &format!("{sum} {name}\n"), "\u{fffd}  x"] {
            assert_eq!(ChecksumMap::parse("checksum.txt", other.as_bytes()).unwrap(), None, "{other}");
        }
        assert_eq!(ChecksumMap::parse("checksum.txt", b"\xff").unwrap(), None);
    }

    #[test]
    fn code_and_other_checksums_are_refused() {
        let sum = "a".repeat(64);
        for text in [
            format!("File.read!(\"/etc/passwd\"); %{{\"{NAME}\" => \"sha256:{sum}\"}}"),
            format!("%{{\"{NAME}\" => System.get_env(\"X\")}}"),
            format!("%{{\"{NAME}\" => \"sha256:#{{x}}\"}}"),
            format!("Map.new([{{\"{NAME}\", \"sha256:{sum}\"}}])"),
        ] {
            assert!(matches!(exs(&text), Err(ChecksumMapError::Code { .. })), "{text}");
        }
        for text in [
            format!("%{{\"{NAME}\" => \"md5:{}\"}}", "a".repeat(32)),
            format!("%{{\"{NAME}\" => \"{sum}\"}}"),
            format!("%{{\"{NAME}\" => \"sha256:12\"}}"),
        ] {
            assert_eq!(exs(&text), Err(ChecksumMapError::Checksum { name: NAME.into() }), "{text}");
        }
        assert!(matches!(exs(&format!("%{{\"{NAME}\" => 1}}")), Err(ChecksumMapError::Entry { .. })));
        let twice = format!("%{{\"{NAME}\" => \"sha256:{sum}\", \"{NAME}\" => \"sha256:{}\"}}", "b".repeat(64));
        assert_eq!(exs(&twice), Err(ChecksumMapError::Twice { name: NAME.into() }));
        assert_eq!(exs("").unwrap().unwrap(), ChecksumMap::default());
    }

    #[test]
    fn ten_thousand_files_are_read() {
        let sum = "a".repeat(64);
        let lines = (0..10_000)
            .map(|number| format!("\"x{number}-nif-2.16-x86_64-linux-gnu-0.1.0.tar.gz\" => \"sha256:{sum}\",\n"));
        let map = exs(&format!("%{{{}}}", lines.collect::<String>())).unwrap().unwrap();
        assert_eq!(map.artefacts.len(), 10_000);
    }
}
