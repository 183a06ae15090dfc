//! Walks through a tar archive in memory: finds the members, refuses what is malformed or hostile, and notes what is
//! foreign to the archives that Hex's own clients write.

use std::ops::Range;

use super::path::{self, PathKind};
use super::ustar::{BLOCK, Dialect, RawHeader};

/// What a tar archive is refused for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The archive ends in the middle of a member, or without its end mark.
    #[error("it ends in the middle, after {length} bytes")]
    Truncated {
        /// How many bytes there are.
        length: usize,
    },
    /// A header's checksum or size cannot be right.
    #[error("the header at byte {offset} is damaged")]
    BadHeader {
        /// Where the header begins.
        offset: usize,
    },
    /// There are more members than the limit.
    #[error("it has more than {limit} members")]
    TooManyMembers {
        /// The limit.
        limit: usize,
    },
    /// A member's name would leave the folder that the archive is unpacked into.
    #[error("the member name {name:?} is not allowed: {rule}")]
    UnsafePath {
        /// The name, at most its first 200 characters.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// A member is a device or a named pipe.
    #[error("the member {name:?} is a {kind}")]
    Device {
        /// The name, at most its first 200 characters.
        name: String,
        /// `character device`, `block device` or `named pipe`.
        kind: &'static str,
    },
}

/// One member, as found.
pub(super) struct Found<'a> {
    pub header: &'a [u8; BLOCK],
    pub data: Range<usize>,
    /// The name that an extension header gives it.
    long_name: Option<Vec<u8>>,
}

impl Found<'_> {
    pub fn name(&self) -> Vec<u8> {
        RawHeader(self.header).name()
    }

    /// Returns the name that it is unpacked under.
    pub fn whole_name(&self) -> Vec<u8> {
        self.long_name.clone().unwrap_or_else(|| self.name())
    }
}

/// A whole archive, as found.
pub(super) struct Scan<'a> {
    pub members: Vec<Found<'a>>,
    /// How many bytes the members take.
    pub length: usize,
    /// How many zero bytes follow the last member.
    pub trailer: usize,
    /// The dialect that the first header looks like.
    pub dialect: Dialect,
    /// The first thing that Hex's own clients do not write, and no recipe carries.
    pub foreign: Option<String>,
}

/// Walks through `archive`, which may have at most `limit` members.
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
        if !raw.is_intact() {
            return Err(bad());
        }
        count += 1;
        if count > limit {
            return Err(ArchiveError::TooManyMembers { limit });
        }
        let stated = if Overrides::is_extension(raw) { None } else { overrides.size };
        let size = stated.or(raw.size()).and_then(|size| usize::try_from(size).ok()).ok_or_else(bad)?;
        let start = offset + BLOCK;
        let end = start.checked_add(size).filter(|end| *end <= archive.len()).ok_or_else(truncated)?;
        let next = end.checked_next_multiple_of(BLOCK).filter(|next| *next <= archive.len()).ok_or_else(truncated)?;
        if archive[end..next].iter().any(|byte| *byte != 0) {
            scan.note("the padding of a member is not zero");
        }
        if let Some(what) = overrides.take_from(raw, &archive[start..end]) {
            scan.note(what);
        } else {
            let long_name = overrides.name.take();
            for name in long_name.iter().chain([&raw.name()]) {
                check_member(raw, name, &mut scan)?;
            }
            overrides = Overrides::default();
            scan.members.push(Found { header, data: start..end, long_name });
        }
        offset = next;
    }
    if let Some(first) = scan.members.first() {
        scan.dialect = RawHeader(first.header).dialect();
    }
    scan.length = offset;
    scan.trailer = archive.len() - offset;
    if archive[offset..].iter().any(|byte| *byte != 0) {
        scan.note("something follows the end mark");
    } else if scan.trailer < 2 * BLOCK {
        return Err(truncated());
    }
    Ok(scan)
}

impl Scan<'_> {
    fn note(&mut self, what: impl Into<String>) {
        self.foreign.get_or_insert_with(|| what.into());
    }
}

fn check_member(raw: RawHeader<'_>, name: &[u8], scan: &mut Scan<'_>) -> Result<(), ArchiveError> {
    let is_folder = raw.type_flag() == b'5';
    let bare = if is_folder { name.strip_suffix(b"/").unwrap_or(name) } else { name };
    let shown = || String::from_utf8_lossy(name).chars().take(200).collect::<String>();
    match path::judge(bare) {
        PathKind::Plain => {}
        PathKind::Unusual(rule) => scan.note(format!("the member name {:?} is unusual: {rule}", shown())),
        PathKind::Hostile(rule) => return Err(ArchiveError::UnsafePath { name: shown(), rule }),
    }
    match raw.type_flag() {
        b'0' | b'5' => {}
        b'3' => return Err(ArchiveError::Device { name: shown(), kind: "character device" }),
        b'4' => return Err(ArchiveError::Device { name: shown(), kind: "block device" }),
        b'6' => return Err(ArchiveError::Device { name: shown(), kind: "named pipe" }),
        b'1' | b'2' => scan.note(format!("{:?} is a link", shown())),
        other => scan.note(format!("{:?} has the member type {:?}", shown(), char::from(other))),
    }
    Ok(())
}

/// What PAX records and GNU's long names say about the next member. Only read so that nothing hostile hides in them.
#[derive(Default)]
struct Overrides {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Overrides {
    fn is_extension(raw: RawHeader<'_>) -> bool {
        matches!(raw.type_flag(), b'x' | b'g' | b'L' | b'K')
    }

    /// Takes in an extension header; returns what it is, or `None` for an ordinary member.
    fn take_from(&mut self, raw: RawHeader<'_>, data: &[u8]) -> Option<&'static str> {
        if !Self::is_extension(raw) {
            return None;
        }
        match raw.type_flag() {
            b'L' => self.name = Some(data.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()),
            b'K' => {}
            _ => self.read_pax(data),
        }
        Some(if matches!(raw.type_flag(), b'x' | b'g') { "it has a PAX header" } else { "it has a GNU long name" })
    }

    /// Reads records of the form `LENGTH KEY=VALUE\n`; stops at the first that is not.
    fn read_pax(&mut self, mut data: &[u8]) {
        while let Some((record, rest)) = pax_record(data) {
            if let Some(path) = record.strip_prefix(b"path=") {
                self.name = Some(path.to_vec());
            } else if let Some(size) = record.strip_prefix(b"size=") {
                self.size = std::str::from_utf8(size).ok().and_then(|size| size.parse().ok());
            }
            data = rest;
        }
    }
}

fn pax_record(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = data.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
    let record = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    Some((record, &data[length..]))
}
