//! Bounded gzip (RFC 1952). Members are checked to the last byte and never inflated beyond a limit that the caller sets.

use std::convert::Infallible;

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

/// The first bytes of every member.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];
const FIXED_HEADER: usize = 10;
const TRAILER: usize = 8;
/// The maximum expansion of deflate. A length that implies a higher one is wrong.
const MAX_EXPANSION: usize = 1032;
const OUTPUT_CHUNK: usize = 32 * 1024;
const INPUT_CHUNK: usize = 1 << 20;

/// Why gzipped bytes are rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GzipError {
    /// The bytes do not begin with a gzip member that uses deflate.
    #[error("it is not gzip")]
    NotGzip,
    /// The member is truncated.
    #[error("it is truncated")]
    Truncated,
    /// The deflate stream is invalid.
    #[error("its compressed data is damaged")]
    Corrupt,
    /// The member's CRC-32 or length does not match the inflated bytes.
    #[error("its contents do not match its CRC-32 and length")]
    Checksum,
    /// More bytes follow the member.
    #[error("{count} bytes follow its end")]
    TrailingBytes {
        /// The number of these bytes.
        count: usize,
    },
    /// The bytes inflate to more than the limit.
    #[error("it inflates to more than the limit of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

/// The fields of a gzip header that a recipe can express.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Seconds since 1970; 0 if not set.
    pub mtime: u32,
    /// XFL: a hint at the compression level.
    pub extra_flags: u8,
    /// The operating system. Erlang writes 0, 3 or 0x13, depending on its zlib.
    pub os: u8,
}

impl Header {
    /// The header that Erlang's `zlib:gzip/1` writes with its bundled zlib.
    pub const ERLANG: Self = Self { mtime: 0, extra_flags: 0, os: 0 };

    fn to_bytes(self) -> [u8; FIXED_HEADER] {
        let [a, b, c, d] = self.mtime.to_le_bytes();
        [0x1f, 0x8b, 8, 0, a, b, c, d, self.extra_flags, self.os]
    }
}

/// The result of [`inflate`].
pub(super) struct Inflated {
    /// The header of the first member.
    pub header: Header,
    /// The first feature that Hex's own clients do not write, and that a recipe therefore cannot express.
    pub foreign: Option<&'static str>,
    pub bytes: Vec<u8>,
}

/// Inflates `bytes`, which must be exactly one gzip member, to at most `limit` bytes.
///
/// # Errors
/// Returns an error if the bytes are not exactly one complete member, if its CRC-32 or length is wrong, or if it
/// inflates to more than `limit` bytes.
pub fn gunzip(bytes: &[u8], limit: usize) -> Result<Vec<u8>, GzipError> {
    let mut output = Vec::new();
    let Member { end, .. } = inflate_member(bytes, &mut output, limit)?;
    match bytes.len() - end {
        0 => Ok(output),
        count => Err(GzipError::TrailingBytes { count }),
    }
}

/// Compresses `bytes` into one member. The header does not depend on the time or the machine.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    let mut writer = Writer::new(Header::ERLANG, |chunk: &[u8]| {
        output.extend_from_slice(chunk);
        Ok::<(), Infallible>(())
    });
    match writer.write(bytes).and_then(|()| writer.finish()) {
        Ok(()) => output,
    }
}

/// Inflates `bytes` to at most `limit` bytes, as the `compressed` mode of Erlang's `file:open/2` does, with which Hex
/// reads contents: bytes without a gzip header are returned unchanged, several members are concatenated, and the last
/// member may be truncated. A caller notices the truncation if it needs the missing part.
///
/// # Errors
/// Returns an error if the data or an existing CRC-32 or length is wrong, if a member is followed by anything other than
/// another member, or if the result is larger than `limit`.
pub(super) fn inflate(bytes: &[u8], limit: usize) -> Result<Inflated, GzipError> {
    if !bytes.starts_with(&MAGIC) {
        if bytes.len() > limit {
            return Err(GzipError::TooLarge { limit });
        }
        return Ok(Inflated { header: Header::ERLANG, foreign: Some("it is not compressed"), bytes: bytes.to_vec() });
    }
    let mut output = Vec::new();
    let (mut header, mut foreign, mut at) = (None, None, 0);
    while at < bytes.len() {
        match inflate_member(&bytes[at..], &mut output, limit) {
            Ok(member) => {
                if header.is_some() {
                    foreign = foreign.or(Some("gzip has several members"));
                } else if member.flags != 0 {
                    foreign = Some("gzip's header has optional fields");
                }
                header = header.or(Some(member.header));
                at += member.end;
            }
            Err(GzipError::Truncated) => {
                foreign = Some("gzip ends early");
                break;
            }
            Err(GzipError::NotGzip) if header.is_some() => {
                return Err(GzipError::TrailingBytes { count: bytes.len() - at });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Inflated { header: header.unwrap_or(Header::ERLANG), foreign, bytes: output })
}

/// An inflated member.
struct Member {
    header: Header,
    /// FLG: the optional header fields that are present.
    flags: u8,
    /// The offset of the member's end.
    end: usize,
}

/// Inflates the first member of `bytes` and appends the result to `output`, which may grow to `limit` bytes. If the
/// member is truncated, appends what can be inflated.
fn inflate_member(bytes: &[u8], output: &mut Vec<u8>, limit: usize) -> Result<Member, GzipError> {
    let (header, flags, start) = read_header(bytes)?;
    let (input, first) = (&bytes[start..], output.len());
    let stated = bytes.last_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    // Reserves one byte more than needed. Otherwise the buffer would have to grow before the end of the stream is
    // reported.
    let honest = input.len().saturating_mul(MAX_EXPANSION);
    output.reserve_exact(stated.min(limit.saturating_sub(first)).min(honest) + 1);
    let mut decompress = Decompress::new(false);
    loop {
        let consumed = decompress.total_in() as usize;
        if output.len() == output.capacity() {
            let room = limit.saturating_add(1) - output.len();
            output.reserve_exact(output.len().clamp(OUTPUT_CHUNK, 1 << 24).min(room));
        }
        let (before, rest) = (output.len(), &input[consumed..]);
        let status = decompress
            .decompress_vec(&rest[..rest.len().min(INPUT_CHUNK)], output, FlushDecompress::None)
            .map_err(|_| GzipError::Corrupt)?;
        if output.len() > limit {
            return Err(GzipError::TooLarge { limit });
        }
        if status == Status::StreamEnd {
            break;
        }
        if output.len() == before && decompress.total_in() as usize == consumed && output.len() < output.capacity() {
            return Err(GzipError::Truncated);
        }
    }
    let end = decompress.total_in() as usize;
    let trailer = input[end..].first_chunk::<TRAILER>().ok_or(GzipError::Truncated)?;
    if *trailer != trailer_of(&output[first..]) {
        return Err(GzipError::Checksum);
    }
    Ok(Member { header, flags, end: start + end + TRAILER })
}

fn trailer_of(bytes: &[u8]) -> [u8; TRAILER] {
    let mut crc = Crc::new();
    crc.update(bytes);
    trailer_bytes(&crc)
}

fn trailer_bytes(crc: &Crc) -> [u8; TRAILER] {
    let (sum, length) = (crc.sum().to_le_bytes(), crc.amount().to_le_bytes());
    [sum[0], sum[1], sum[2], sum[3], length[0], length[1], length[2], length[3]]
}

/// Reads the header with its optional fields. Returns the header, its flags, and the offset of the deflate stream.
fn read_header(bytes: &[u8]) -> Result<(Header, u8, usize), GzipError> {
    const RESERVED: u8 = 0xe0;
    let fixed = match bytes.first_chunk::<FIXED_HEADER>() {
        Some(fixed) => fixed,
        None if [0x1f, 0x8b, 8].starts_with(&bytes[..bytes.len().min(3)]) => return Err(GzipError::Truncated),
        None => return Err(GzipError::NotGzip),
    };
    let [0x1f, 0x8b, 8, flags, a, b, c, d, extra_flags, os] = *fixed else { return Err(GzipError::NotGzip) };
    if flags & RESERVED != 0 {
        return Err(GzipError::NotGzip);
    }
    let mut rest = &bytes[FIXED_HEADER..];
    if flags & 4 != 0 {
        let (length, after) = rest.split_first_chunk::<2>().ok_or(GzipError::Truncated)?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..).ok_or(GzipError::Truncated)?;
    }
    for text in [8, 16] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0).ok_or(GzipError::Truncated)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & 2 != 0 {
        let (stated, after) = rest.split_first_chunk::<2>().ok_or(GzipError::Truncated)?;
        let mut crc = Crc::new();
        crc.update(&bytes[..bytes.len() - rest.len()]);
        if u32::from(u16::from_le_bytes(*stated)) != crc.sum() & 0xffff {
            return Err(GzipError::Checksum);
        }
        rest = after;
    }
    let header = Header { mtime: u32::from_le_bytes([a, b, c, d]), extra_flags, os };
    Ok((header, flags, bytes.len() - rest.len()))
}

/// Compresses a stream as Erlang's `zlib:gzip/1` does (level 6, memLevel 8, default strategy, classic zlib) and passes
/// the compressed bytes to a sink in pieces.
pub(super) struct Writer<F> {
    compress: Compress,
    crc: Crc,
    header: Option<Header>,
    buffer: Vec<u8>,
    sink: F,
}

impl<E, F: FnMut(&[u8]) -> Result<(), E>> Writer<F> {
    pub fn new(header: Header, sink: F) -> Self {
        let compress = Compress::new(Compression::new(6), false);
        Self { compress, crc: Crc::new(), header: Some(header), buffer: Vec::with_capacity(OUTPUT_CHUNK), sink }
    }

    /// Compresses more bytes.
    ///
    /// # Errors
    /// Fails if the sink fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), E> {
        self.crc.update(bytes);
        self.run(bytes, FlushCompress::None)
    }

    /// Ends the stream. Must be called once, after all writes.
    ///
    /// # Errors
    /// Fails if the sink fails.
    pub fn finish(&mut self) -> Result<(), E> {
        self.run(&[], FlushCompress::Finish)?;
        self.drain()?;
        (self.sink)(&trailer_bytes(&self.crc))
    }

    fn run(&mut self, mut input: &[u8], flush: FlushCompress) -> Result<(), E> {
        loop {
            if self.buffer.len() == self.buffer.capacity() {
                self.drain()?;
            }
            let (before, piece) = (self.compress.total_in(), &input[..input.len().min(INPUT_CHUNK)]);
            let status = self
                .compress
                .compress_vec(piece, &mut self.buffer, flush)
                .expect("deflate fails only on a stream that was not set up");
            input = &input[(self.compress.total_in() - before) as usize..];
            let more = match flush {
                FlushCompress::Finish => status != Status::StreamEnd,
                _ => !input.is_empty() || self.buffer.len() == self.buffer.capacity(),
            };
            if !more {
                return Ok(());
            }
        }
    }

    fn drain(&mut self) -> Result<(), E> {
        if let Some(header) = self.header.take() {
            (self.sink)(&header.to_bytes())?;
        }
        (self.sink)(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_comes_back() {
        for length in [0, 1, 1000, 200_000, 3_000_000] {
            let bytes: Vec<u8> = (0..length).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 20) as u8).collect();
            let packed = gzip(&bytes);
            assert_eq!(gunzip(&packed, bytes.len()).as_deref(), Ok(&bytes[..]));
            if length > 0 {
                assert_eq!(gunzip(&packed, bytes.len() - 1), Err(GzipError::TooLarge { limit: bytes.len() - 1 }));
            }
        }
    }

    #[test]
    fn every_cut_and_every_flip_is_noticed() {
        let packed = gzip("a registry entry, a registry entry, and something else".repeat(5).as_bytes());
        for end in 0..packed.len() {
            assert_eq!(gunzip(&packed[..end], 10_000), Err(GzipError::Truncated), "{end}");
        }
        for position in FIXED_HEADER..packed.len() {
            let mut damaged = packed.clone();
            damaged[position] ^= 1;
            assert!(gunzip(&damaged, 10_000).is_err(), "{position}");
        }
        let mut longer = packed;
        longer.extend([0, 0]);
        assert_eq!(gunzip(&longer, 10_000), Err(GzipError::TrailingBytes { count: 2 }));
    }

    #[test]
    fn optional_header_fields_are_skipped() {
        let packed = gzip(b"text");
        let mut other = packed[..FIXED_HEADER].to_vec();
        other[3] = 2 | 4 | 8 | 16;
        other.extend(b"\x03\x00abcname\0comment\0");
        let mut crc = Crc::new();
        crc.update(&other);
        other.extend(&crc.sum().to_le_bytes()[..2]);
        other.extend(&packed[FIXED_HEADER..]);
        assert_eq!(gunzip(&other, 100).as_deref(), Ok(&b"text"[..]));
        for end in 0..other.len() {
            assert_eq!(gunzip(&other[..end], 100), Err(GzipError::Truncated), "{end}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![0; 64 << 20]);
        assert_eq!(gunzip(&bomb, 1 << 20), Err(GzipError::TooLarge { limit: 1 << 20 }));
    }
}
