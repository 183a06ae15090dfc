//! Tar headers in the two dialects of Erlang's `erl_tar`, for writing and comparing byte for byte (POSIX.1-1988,
//! "ustar").

pub(super) const BLOCK: usize = 512;
/// The length of an archive's end marker, which is two zero blocks.
pub(super) const END_MARK: usize = 2 * BLOCK;
/// Older versions of `erl_tar` pad archives to a multiple of 20 blocks.
const OLD_RECORD: usize = 20 * BLOCK;

const NAME_LENGTH: usize = 100;
const PREFIX_LENGTH: usize = 155;
const STAR_PREFIX_LENGTH: usize = 131;
const OWNER_LENGTH: usize = 32;

const MODE: usize = 100;
const UID: usize = 108;
const GID: usize = 116;
const SIZE: usize = 124;
const MTIME: usize = 136;
const CHECKSUM: usize = 148;
const TYPE_FLAG: usize = 156;
const MAGIC: usize = 257;
const USER_NAME: usize = 265;
const GROUP_NAME: usize = 297;
const DEVICE_MAJOR: usize = 329;
const DEVICE_MINOR: usize = 337;
const PREFIX: usize = 345;

/// The dialect: how the parts of an archive without meaning are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Dialect {
    /// OTP 20 and later, and hex_core: checksum `%07o\0`, zero device numbers, two zero blocks at the end.
    #[default]
    Erlang,
    /// Before OTP 20: checksum `%06o\0 `, no device numbers, padded to a multiple of 10,240 bytes.
    OldErlang,
}

impl Dialect {
    /// Returns the number of zero bytes at the end of an archive whose members take `length` bytes.
    pub fn trailer(self, length: usize) -> usize {
        match self {
            Self::Erlang => END_MARK,
            Self::OldErlang => (length + END_MARK).next_multiple_of(OLD_RECORD) - length,
        }
    }
}

/// The type of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file.
    File,
    /// A folder. Current versions of `erl_tar` end its name with a slash, older ones do not.
    Folder { slash: bool },
}

/// The fields of a header that differ between real tarballs and do not affect the stored files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attributes {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: u64,
    pub user: String,
    pub group: String,
}

impl Default for Attributes {
    /// Returns the attributes that hex_core writes: mode 0644 with the file type, root, and the first second of the year
    /// 2000.
    fn default() -> Self {
        Self { mode: 0o100644, uid: 0, gid: 0, mtime: 946_684_800, user: String::new(), group: String::new() }
    }
}

/// The header of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// The path, without the trailing slash of a folder.
    pub path: String,
    pub kind: Kind,
    pub attributes: Attributes,
    /// The position at which the path is split into prefix and name, if it is not [`default_split`].
    pub split: Option<u8>,
}

impl Member {
    /// Returns a regular file with hex_core's attributes.
    pub fn file(path: &str) -> Self {
        Self { path: path.to_owned(), kind: Kind::File, attributes: Attributes::default(), split: None }
    }

    /// Parses a header. If [`Self::header`] would not write the same bytes, returns the reason.
    pub fn read(header: &[u8; BLOCK], dialect: Dialect) -> Result<Self, &'static str> {
        let kind = match header[TYPE_FLAG] {
            b'0' => Kind::File,
            b'5' => Kind::Folder { slash: text(&header[..NAME_LENGTH]).ends_with(b"/") },
            _ => return Err("it is neither a regular file nor a folder"),
        };
        let (prefix, name) = prefix_and_name(header);
        let mut path = String::from_utf8([prefix, name].join(&b"/"[..])).map_err(|_| "its name is not UTF-8")?;
        let mut split = Some(prefix.len() as u8);
        if prefix.is_empty() {
            path.remove(0);
        }
        if kind == (Kind::Folder { slash: true }) {
            path.pop();
        }
        if usize::from(split.unwrap_or_default()) == default_split(&path) {
            split = None;
        }
        let number = |start, length| octal(&header[start..start + length]).ok_or("a number is not octal");
        let owner = |start| {
            String::from_utf8(text(&header[start..start + OWNER_LENGTH]).to_vec()).map_err(|_| "its owner is not UTF-8")
        };
        let attributes = Attributes {
            mode: number(MODE, 8)? as u32,
            uid: number(UID, 8)? as u32,
            gid: number(GID, 8)? as u32,
            mtime: number(MTIME, 12)?,
            user: owner(USER_NAME)?,
            group: owner(GROUP_NAME)?,
        };
        let member = Self { path, kind, attributes, split };
        let size = number(SIZE, 12)?;
        match member.header(size, dialect) {
            Some(again) if again == *header => Ok(member),
            _ => Err("its header is not one that Erlang writes"),
        }
    }

    /// Writes the header. Returns `None` if a value does not fit into its field.
    pub fn header(&self, size: u64, dialect: Dialect) -> Option<[u8; BLOCK]> {
        let mut header = [0; BLOCK];
        let slash = if self.kind == (Kind::Folder { slash: true }) { "/" } else { "" };
        let (prefix, name) = match self.split.map_or_else(|| default_split(&self.path), usize::from) {
            0 => ("", &self.path[..]),
            at if self.path.as_bytes().get(at) == Some(&b'/') => (&self.path[..at], &self.path[at + 1..]),
            _ => return None,
        };
        put_text(&mut header[..NAME_LENGTH], &[name, slash].concat())?;
        put_text(&mut header[PREFIX..PREFIX + PREFIX_LENGTH], prefix)?;
        let Attributes { mode, uid, gid, mtime, user, group } = &self.attributes;
        put_octal(&mut header[MODE..UID], u64::from(*mode))?;
        put_octal(&mut header[UID..GID], u64::from(*uid))?;
        put_octal(&mut header[GID..SIZE], u64::from(*gid))?;
        put_octal(&mut header[SIZE..MTIME], size)?;
        put_octal(&mut header[MTIME..CHECKSUM], *mtime)?;
        header[TYPE_FLAG] = if self.kind == Kind::File { b'0' } else { b'5' };
        header[MAGIC..USER_NAME].copy_from_slice(b"ustar\x0000");
        put_text(&mut header[USER_NAME..GROUP_NAME], user)?;
        put_text(&mut header[GROUP_NAME..DEVICE_MAJOR], group)?;
        if dialect == Dialect::Erlang {
            put_octal(&mut header[DEVICE_MAJOR..DEVICE_MINOR], 0)?;
            put_octal(&mut header[DEVICE_MINOR..PREFIX], 0)?;
        }
        let sum = checksum(&header);
        match dialect {
            Dialect::Erlang => put_octal(&mut header[CHECKSUM..TYPE_FLAG], sum)?,
            Dialect::OldErlang => {
                put_octal(&mut header[CHECKSUM..TYPE_FLAG - 1], sum)?;
                header[TYPE_FLAG - 1] = b' ';
            }
        }
        Some(header)
    }
}

/// Returns the position at which `erl_tar` splits a path into prefix and name: 0 (no split) for up to 100 bytes,
/// otherwise the last slash.
fn default_split(path: &str) -> usize {
    if path.len() <= NAME_LENGTH { 0 } else { path.rfind('/').unwrap_or(0) }
}

/// A header of an archive. Only its length is validated.
#[derive(Clone, Copy)]
pub(super) struct RawHeader<'a>(pub &'a [u8; BLOCK]);

impl<'a> RawHeader<'a> {
    /// Returns whether the checksum is correct. It is a sum of unsigned bytes or, as some old programs write it, of
    /// signed bytes.
    pub fn is_intact(self) -> bool {
        let stated = octal(&self.0[CHECKSUM..TYPE_FLAG]);
        let high = |bytes: &[u8]| bytes.iter().filter(|byte| **byte > 0x7f).count() as u64;
        let unsigned = checksum(self.0);
        let signed = unsigned.checked_sub(256 * (high(&self.0[..CHECKSUM]) + high(&self.0[TYPE_FLAG..])));
        stated == Some(unsigned) || stated.is_some() && stated == signed
    }

    /// Returns whether `erl_tar` can read the other numbers and texts.
    pub fn is_readable(self) -> bool {
        let numbers = [MODE..UID, UID..GID, GID..SIZE, MTIME..CHECKSUM];
        let mut texts = vec![0..NAME_LENGTH, TYPE_FLAG + 1..MAGIC];
        if self.0[MAGIC..].starts_with(b"ustar") {
            texts.extend([USER_NAME..GROUP_NAME, GROUP_NAME..DEVICE_MAJOR]);
        }
        let utf8 = |range: std::ops::Range<usize>| std::str::from_utf8(text(&self.0[range])).is_ok();
        numbers.into_iter().all(|range| octal(&self.0[range]).is_some()) && texts.into_iter().all(utf8)
    }

    /// Returns the length of the data that follows. Only octal numbers are supported: `erl_tar` rejects GNU's binary
    /// form as too large.
    pub fn size(self) -> Option<u64> {
        match self.type_flag() {
            // Links and folders have no data, whatever the header states (`is_header_only_type/1`).
            b'1' | b'2' | b'5' => Some(0),
            _ => octal(&self.0[SIZE..MTIME]),
        }
    }

    /// Returns the type flag.
    pub fn type_flag(self) -> u8 {
        self.0[TYPE_FLAG]
    }

    /// Returns whether the owner may execute the member.
    pub fn is_executable(self) -> bool {
        octal(&self.0[NAME_LENGTH..NAME_LENGTH + 8]).is_some_and(|mode| mode & 0o100 != 0)
    }

    /// Returns the target of a link, as far as the header contains it.
    pub fn link_name(self) -> &'a [u8] {
        text(&self.0[TYPE_FLAG + 1..TYPE_FLAG + 101])
    }

    /// Returns the joined prefix and name.
    pub fn name(self) -> Vec<u8> {
        match prefix_and_name(self.0) {
            ([], name) => name.to_vec(),
            (prefix, name) => [prefix, name].join(&b"/"[..]),
        }
    }

    /// Guesses the dialect from the last byte of the checksum.
    pub fn dialect(self) -> Dialect {
        if self.0[TYPE_FLAG - 1] == b' ' { Dialect::OldErlang } else { Dialect::Erlang }
    }
}

fn prefix_and_name(header: &[u8; BLOCK]) -> (&[u8], &[u8]) {
    // GNU's own format ("ustar ") stores times in the place of the prefix, star's format stores them after a shorter
    // prefix.
    let length = if header.ends_with(b"tar\0") { STAR_PREFIX_LENGTH } else { PREFIX_LENGTH };
    let prefix = if header[MAGIC..].starts_with(b"ustar\0") { text(&header[PREFIX..PREFIX + length]) } else { b"" };
    (prefix, text(&header[..NAME_LENGTH]))
}

fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Parses octal digits. As `erl_tar:parse_octal/1` does, ignores blanks and NULs at any position.
fn octal(field: &[u8]) -> Option<u64> {
    field.iter().try_fold(0u64, |number, digit| match digit {
        0 | b' ' => Some(number),
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

fn checksum(header: &[u8; BLOCK]) -> u64 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    sum(&header[..CHECKSUM]) + 8 * u64::from(b' ') + sum(&header[TYPE_FLAG..])
}

/// Writes octal digits with leading zeros and a final NUL.
fn put_octal(field: &mut [u8], mut number: u64) -> Option<()> {
    let (_, digits) = field.split_last_mut()?;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 8) as u8;
        number /= 8;
    }
    (number == 0).then_some(())
}

fn put_text(field: &mut [u8], text: &str) -> Option<()> {
    field.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Some(())
}
