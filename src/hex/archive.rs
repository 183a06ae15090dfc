//! Scans a tar archive in memory: lists its members, rejects malformed and hostile archives, and records the first
//! feature that Hex's own clients do not write.

use std::ops::Range;

use super::path::{self, PathKind};
use super::ustar::{BLOCK, Dialect, RawHeader};

/// Why a tar archive is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The archive ends in the middle of a member, or without an end marker.
    #[error("it is truncated after {length} bytes")]
    Truncated {
        /// The length of the archive in bytes.
        length: usize,
    },
    /// The checksum or the size in a header is wrong.
    #[error("the header at byte {offset} is damaged")]
    BadHeader {
        /// The offset of the header in bytes.
        offset: usize,
    },
    /// The archive has more members than the limit.
    #[error("it has more than {limit} members")]
    TooManyMembers {
        /// The limit.
        limit: usize,
    },
    /// A member would be written outside the folder that the archive is unpacked into.
    #[error("the member name {name:?} is not allowed: {rule}")]
    UnsafePath {
        /// The member's name, truncated to 200 characters.
        name: String,
        /// The violated rule.
        rule: &'static str,
    },
    /// A member is a device or a named pipe.
    #[error("the member {name:?} is a {kind}")]
    Device {
        /// The member's name, truncated to 200 characters.
        name: String,
        /// `character device`, `block device` or `named pipe`.
        kind: &'static str,
    },
}

/// A member of a scanned archive.
pub(super) struct ScannedMember<'a> {
    pub header: &'a [u8; BLOCK],
    pub data: Range<usize>,
    /// The name from a preceding extension header.
    long_name: Option<Vec<u8>>,
}

impl ScannedMember<'_> {
    pub fn name(&self) -> Vec<u8> {
        RawHeader(self.header).name()
    }

    /// Returns whether the member is a regular file.
    pub fn is_file(&self) -> bool {
        matches!(RawHeader(self.header).type_flag(), b'0' | 0 | b'7')
    }

    /// Returns the name that the member is unpacked under.
    pub fn unpacked_name(&self) -> Vec<u8> {
        self.long_name.clone().unwrap_or_else(|| self.name())
    }
}

/// A scanned archive.
pub(super) struct Scan<'a> {
    pub members: Vec<ScannedMember<'a>>,
    /// The total length of the members in bytes.
    pub length: usize,
    /// The number of zero bytes after the last member.
    pub trailer: usize,
    /// The dialect that the first header suggests.
    pub dialect: Dialect,
    /// The first feature that Hex's own clients do not write, and that a recipe therefore cannot express.
    pub foreign: Option<String>,
}

/// Scans `archive`, which may have at most `limit` members.
pub(super) fn scan(archive: &[u8], limit: usize) -> Result<Scan<'_>, ArchiveError> {
    let mut scan = Scan { members: Vec::new(), length: 0, trailer: 0, dialect: Dialect::default(), foreign: None };
    let truncated = || ArchiveError::Truncated { length: archive.len() };
    let (mut offset, mut overrides, mut count) = (0, Overrides::default(), 0);
    loop {
        let header = archive[offset..].first_chunk::<BLOCK>().ok_or_else(truncated)?;
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        let raw = RawHeader(header);
        let bad = || ArchiveError::BadHeader { offset };
        if !raw.is_intact() || !raw.is_readable() {
            return Err(bad());
        }
        count += 1;
        if count > limit {
            return Err(ArchiveError::TooManyMembers { limit });
        }
        let size = raw.size().and_then(|size| usize::try_from(size).ok()).ok_or_else(bad)?;
        let start = offset + BLOCK;
        let end = start.checked_add(size).filter(|end| *end <= archive.len()).ok_or_else(truncated)?;
        let next = end.checked_next_multiple_of(BLOCK).filter(|next| *next <= archive.len()).ok_or_else(truncated)?;
        if archive[end..next].iter().any(|byte| *byte != 0) {
            scan.report_foreign("the padding of a member is not zero");
        }
        if let Some(what) = overrides.read_extension(raw, &archive[start..end]).map_err(|Malformed| bad())? {
            scan.report_foreign(what);
        } else {
            // If the map of a sparse file is longer, its rest follows here. This is not supported.
            if raw.type_flag() == b'S' && size > 0 {
                return Err(bad());
            }
            let Overrides { name: long_name, link } = std::mem::take(&mut overrides);
            for name in long_name.iter().chain([&raw.name()]) {
                check_member(raw, name, &mut scan)?;
                if raw.type_flag() == b'2' {
                    check_link(name, link.as_deref().unwrap_or(raw.link_name()))?;
                }
            }
            scan.members.push(ScannedMember { header, data: start..end, long_name });
        }
        offset = next;
    }
    if let Some(first) = scan.members.first() {
        scan.dialect = RawHeader(first.header).dialect();
    }
    scan.length = offset;
    scan.trailer = archive.len() - offset;
    // One zero block is enough if nothing follows it (`erl_tar:read_block/1`).
    match &archive[offset + BLOCK..] {
        [] => scan.report_foreign("its end mark is only half"),
        rest => match rest.split_first_chunk::<BLOCK>() {
            None => return Err(truncated()),
            Some((second, _)) if second.iter().any(|byte| *byte != 0) => {
                return Err(ArchiveError::BadHeader { offset: offset + BLOCK });
            }
            Some((_, after)) if after.iter().any(|byte| *byte != 0) => {
                scan.report_foreign("something follows the end mark")
            }
            Some(_) => {}
        },
    }
    Ok(scan)
}

impl Scan<'_> {
    fn report_foreign(&mut self, what: impl Into<String>) {
        self.foreign.get_or_insert_with(|| what.into());
    }
}

fn check_member(raw: RawHeader<'_>, name: &[u8], scan: &mut Scan<'_>) -> Result<(), ArchiveError> {
    let is_folder = raw.type_flag() == b'5';
    let bare = if is_folder { name.strip_suffix(b"/").unwrap_or(name) } else { name };
    let shown = || String::from_utf8_lossy(name).chars().take(200).collect::<String>();
    match path::classify(bare) {
        PathKind::Plain => {}
        PathKind::Unusual(_)
            if !is_folder && name.split(|byte| *byte == b'/').all(|part| matches!(part, b"" | b".")) =>
        {
            return Err(ArchiveError::UnsafePath { name: shown(), rule: "it is a folder's" });
        }
        PathKind::Unusual(rule) => scan.report_foreign(format!("the member name {:?} is unusual: {rule}", shown())),
        PathKind::Hostile(rule) => return Err(ArchiveError::UnsafePath { name: shown(), rule }),
    }
    match raw.type_flag() {
        b'0' | b'5' => {}
        b'3' => return Err(ArchiveError::Device { name: shown(), kind: "character device" }),
        b'4' => return Err(ArchiveError::Device { name: shown(), kind: "block device" }),
        b'6' => return Err(ArchiveError::Device { name: shown(), kind: "named pipe" }),
        b'1' | b'2' => scan.report_foreign(format!("{:?} is a link", shown())),
        other => scan.report_foreign(format!("{:?} has the member type {:?}", shown(), char::from(other))),
    }
    Ok(())
}

/// Rejects a symbolic link whose target is outside the folder that the archive is unpacked into
/// (`erl_tar:safe_link_name/2`), and one without a target, on which Hex's client hangs.
fn check_link(name: &[u8], target: &[u8]) -> Result<(), ArchiveError> {
    let slash = |byte: &u8| *byte == b'/';
    let mut depth = name.split(slash).filter(|part| !matches!(*part, b"" | b".")).count().saturating_sub(1);
    let inside = !target.is_empty()
        && !target.starts_with(b"/")
        && target.split(slash).all(|part| {
            match part {
                b"" | b"." => {}
                b".." if depth == 0 => return false,
                b".." => depth -= 1,
                _ => depth += 1,
            }
            true
        });
    if inside && std::str::from_utf8(target).is_ok() {
        return Ok(());
    }
    let name = String::from_utf8_lossy(name).chars().take(200).collect();
    Err(ArchiveError::UnsafePath { name, rule: "it is a link that leads out of the release" })
}

/// Values for the next member from PAX records and GNU long names.
#[derive(Default)]
struct Overrides {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

/// An extension header that `erl_tar` cannot read.
struct Malformed;

impl Overrides {
    /// Reads an extension header. Returns a description of its kind, or `None` for an ordinary member.
    fn read_extension(&mut self, raw: RawHeader<'_>, data: &[u8]) -> Result<Option<&'static str>, Malformed> {
        let until_nul = || data.split(|byte| *byte == 0).next().unwrap_or_default();
        match raw.type_flag() {
            b'L' | b'K' if data.is_empty() || std::str::from_utf8(until_nul()).is_err() => return Err(Malformed),
            b'L' => self.name = Some(until_nul().to_vec()),
            b'K' => self.link = Some(until_nul().to_vec()),
            b'x' => self.read_pax(data)?,
            // `erl_tar` ignores global PAX headers, like all members of an unknown type.
            b'g' => {}
            _ => return Ok(None),
        }
        Ok(Some(if matches!(raw.type_flag(), b'x' | b'g') { "it has a PAX header" } else { "it has a GNU long name" }))
    }

    /// Reads records of the form `LENGTH KEY=VALUE\n`. As `erl_tar` does, ignores the length (`parse_pax_record/1`) and
    /// the value of `size`, which must be a number nevertheless.
    fn read_pax(&mut self, data: &[u8]) -> Result<(), Malformed> {
        let Some(records) = data.strip_suffix(b"\n") else {
            return if data.is_empty() { Ok(()) } else { Err(Malformed) };
        };
        for record in records.split(|byte| *byte == b'\n') {
            let record = std::str::from_utf8(record).map_err(|_| Malformed)?;
            let (length, record) = record.split_once(' ').ok_or(Malformed)?;
            let (key, value) = record.split_once('=').ok_or(Malformed)?;
            if length.is_empty() || key.is_empty() || value.is_empty() {
                return Err(Malformed);
            }
            let is_number = |text: &str| text.parse::<i64>().is_ok();
            match key {
                "path" => self.name = Some(value.as_bytes().to_vec()),
                "linkpath" => self.link = Some(value.as_bytes().to_vec()),
                "uid" | "gid" | "size" if !is_number(value) => return Err(Malformed),
                "atime" | "mtime" | "ctime" => {
                    let (seconds, fraction) = value.split_once('.').unwrap_or((value, "0"));
                    let digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
                    if !is_number(seconds) || !digits {
                        return Err(Malformed);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
