//! The files that locks pin, and which of several stored contents a path has.

use std::collections::BTreeSet;

use crate::lock::{DownloadSource, LockError};
use crate::model::{FileAddress, FileId, FilePath, FileTrust, Manifest, StoredFile, Tool, ToolsPair};

use super::valid::valid;

/// Where Hex's and rebar3's installers are published.
pub const BUILDS: &str = "https://builds.hex.pm";

/// A file that a lock pins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilePin {
    /// The path and the checksum.
    pub id: FileId,
    /// The size in bytes, if it is known.
    pub bytes: Option<u64>,
    /// Why the checksum is trusted.
    pub trust: FileTrust,
    /// The address.
    pub address: FileAddress,
}

impl FilePin {
    /// Reads an entry of a lock.
    ///
    /// # Errors
    /// Returns an error if a part of it is invalid.
    pub(super) fn of_download(source: &DownloadSource) -> Result<Self, LockError> {
        let address: FileAddress = valid(&source.url, "this address cannot be mirrored")?;
        let checksum = valid(&source.checksum, "this is not a SHA-256 checksum")?;
        let bytes = valid(&source.bytes, "this is not a size in bytes")?;
        let day = source.first_use.as_ref().map(|day| valid(day, "this is not a day")).transpose()?;
        let trust = day.map_or(FileTrust::Lock, FileTrust::FirstUse);
        Ok(Self { id: FileId { path: address.download_path(), checksum }, bytes: Some(bytes), trust, address })
    }

    /// Returns the pin of an installer of Hex or rebar3, or of a list of them.
    pub fn of_tool(id: FileId) -> Self {
        let address = format!("{BUILDS}/{}", id.path).parse().expect("a path of installers needs no encoding");
        Self { id, bytes: None, trust: FileTrust::Signed, address }
    }

    /// Returns the entry of a hexmirror.lock that pins this download.
    pub fn download_line(&self) -> String {
        let Self { id, bytes, trust, address } = self;
        let first_use = match trust {
            FileTrust::FirstUse(day) => format!(" first-use {day}"),
            FileTrust::Lock | FileTrust::Package | FileTrust::Signed | FileTrust::Npm => String::new(),
        };
        format!("download {address} {} {}{first_use}", id.checksum, bytes.unwrap_or_default())
    }
}

/// Returns the entry of a hexmirror.lock that pins the installers for a version of Elixir.
pub fn tools_line(pair: &ToolsPair, pins: &[FilePin]) -> String {
    let files = pins.iter().map(|pin| format!(" {} {}", pin.id.path, pin.id.checksum));
    format!("tools elixir {} otp {}{}", pair.elixir, pair.otp, files.collect::<String>())
}

/// Returns whether pins have everything that mix asks for to install both tools: the lists, their signatures, and an installer
/// that each list chose.
pub(super) fn has_all_installers(pair: &ToolsPair, pins: &[FilePin]) -> bool {
    let paths: BTreeSet<&FilePath> = pins.iter().map(|pin| &pin.id.path).collect();
    let lists: Vec<FilePath> = Tool::ALL.iter().flat_map(|tool| [pair.list(*tool), pair.signature(*tool)]).collect();
    lists.iter().all(|path| paths.contains(path)) && paths.len() >= lists.len() + Tool::ALL.len()
}

/// Returns the content that a path has where no lock says which: the one that was trusted last, then the largest one. A
/// list only grows.
pub fn newest_file<'m>(manifest: &'m Manifest, path: &FilePath) -> Option<&'m FileId> {
    let of_path = manifest.files.iter().filter(|(id, _)| id.path == *path);
    let age = |(id, stored): &(&FileId, &StoredFile)| (stored.trust, stored.bytes, id.checksum);
    of_path.max_by_key(age).map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Lock;
    use crate::plan::Wanted;

    #[test]
    fn lines_are_read_back() {
        let sum = "a".repeat(64);
        for line in [
            format!("download https://h.example/a/b.tgz {sum} 7"),
            format!("download https://h.example/a/b.tgz {sum} 7 first-use 2026-11-28"),
        ] {
            let mut wanted = Wanted::default();
            wanted.add(&Lock::parse("hexmirror.lock", format!("{line}\n")).unwrap()).unwrap();
            assert_eq!(wanted.files.values().map(FilePin::download_line).collect::<Vec<_>>(), [line]);
        }
    }

    #[test]
    fn installers_are_pinned_by_one_list() {
        let [one, two] = ["1", "2"].map(|digit| digit.repeat(64));
        let of = |lines: &[String]| {
            let mut wanted = Wanted::default();
            wanted.add(&Lock::parse("hexmirror.lock", lines.join("\n")).unwrap()).unwrap();
            wanted
        };
        let line = |otp: u32, list: &str| {
            let files = ["hex.csv", "hex.csv.signed", "rebar.csv", "rebar.csv.signed", "hex-2.5.1.ez", "rebar3-3.24.0"];
            let id = |name: &str| FileId {
                path: format!("installs/{name}").parse().unwrap(),
                checksum: list.parse().unwrap(),
            };
            let pins: Vec<FilePin> = files.map(|name| FilePin::of_tool(id(name))).into();
            tools_line(&format!("1.18.4 otp {otp}").parse().unwrap(), &pins)
        };
        let same = of(&[line(26, &one), line(27, &one)]);
        assert_eq!((same.tools.len(), same.unpinned_tools.len(), same.files.len()), (2, 0, 6));
        let other = of(&[line(26, &one), line(27, &two)]);
        assert_eq!((other.tools.len(), other.unpinned_tools.len(), other.files.len()), (1, 1, 6));
        // A line that was cut off anywhere is pinned anew, or is invalid.
        let whole = line(27, &one);
        let words: Vec<&str> = whole.split(' ').collect();
        for count in (5..words.len()).step_by(2) {
            let cut = of(&[words[..count].join(" ")]);
            assert_eq!((cut.tools.len(), cut.unpinned_tools.len(), cut.files.len()), (0, 1, 0), "{count}");
            let odd = Lock::parse("hexmirror.lock", words[..=count].join(" ")).expect_err("a path without a checksum");
            assert_eq!(odd.label, "malformed entry");
        }
        let request = of(&["tools elixir 1.18.4 otp 27".to_owned()]);
        assert_eq!((request.tools.len(), request.unpinned_tools.len()), (0, 1));
        let pinned = request.with_tools(&[("1.18.4 otp 27".parse().unwrap(), Vec::new())].into());
        assert_eq!((pinned.tools.len(), pinned.unpinned_tools.len()), (1, 0));
    }

    #[test]
    fn hostile_entries_are_marked_in_the_lock() {
        let sum = "a".repeat(64);
        for (line, marked) in [
            (format!("download file:///etc/passwd {sum} 7"), "file:///etc/passwd"),
            (format!("download https://u:p@h/x {sum} 7"), "https://u:p@h/x"),
            (format!("download https://h/../x {sum} 7"), "https://h/../x"),
            ("download https://h/x 12 7".to_owned(), "12"),
            (format!("download https://h/x {sum} -7"), "-7"),
            (format!("download https://h/x {sum} 7 first-use today"), "today"),
            ("target x86_64-linux-gnu nif 2".to_owned(), "x86_64-linux-gnu nif 2"),
            ("target ../.. nif 2.16".to_owned(), "../.. nif 2.16"),
            (format!("tools elixir 1.x otp 27 installs/x {sum}"), "1.x"),
            (format!("tools elixir 1.18.4 otp 27 ../x {sum}"), "../x"),
        ] {
            let lock = Lock::parse("hexmirror.lock", line.clone()).unwrap();
            let error = Wanted::default().add(&lock).expect_err(&line);
            assert_eq!(&line[error.span.range()], marked, "{line}");
        }
    }

    #[test]
    fn the_content_that_was_trusted_last_is_the_newest() {
        let [one, two, three] = ["1", "2", "3"].map(|digit| digit.repeat(64));
        let text = format!(
            "file downloads/h/x {one} 7 first-use:2026-11-28 https://h/x\n\
             file downloads/h/x {two} 9 first-use:2026-11-27 https://h/x\n\
             file downloads/h/x {three} 99 lock https://h/x\n"
        );
        let manifest: Manifest = text.parse().unwrap();
        let newest = |path: &str| newest_file(&manifest, &path.parse().unwrap()).map(|id| id.checksum.to_string());
        assert_eq!((newest("downloads/h/x"), newest("downloads/h/y")), (Some(one), None));
    }
}
