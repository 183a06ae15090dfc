//! gzip, compared with flate2's own reader.

use std::io::Read;

use flate2::{Crc, Decompress, FlushDecompress, Status};
use git_hexmirror::hex::gzip::{self, GzipError};

const LIMIT: usize = 1 << 16;

/// Arbitrary bytes as gzip, as bytes to compress, and as a deflate stream in a member with correct checksums.
pub fn gzip(bytes: &[u8]) {
    compare(bytes);
    let packed = gzip::gzip(bytes);
    assert!(gzip::gunzip(&packed, bytes.len()).as_deref() == Ok(bytes));
    assert!(read(&packed, usize::MAX).as_deref() == Some(bytes));
    if let Some((flags, deflated)) = bytes.split_first()
        && let Some(member) = sealed(*flags & 0x1f, deflated)
    {
        compare(&member);
        let mut two = member.clone();
        two.extend_from_slice(&member);
        compare(&two);
    }
}

/// Asserts that only bytes that flate2 inflates are inflated, and that every single member that flate2 inflates is.
fn compare(bytes: &[u8]) {
    let ours = gzip::gunzip(bytes, LIMIT);
    if let Ok(inflated) = &ours {
        assert!(inflated.len() <= LIMIT && read(bytes, LIMIT).as_ref() == Some(inflated));
    }
    let mut rest = bytes;
    let mut one = flate2::bufread::GzDecoder::new(&mut rest);
    let mut inflated = Vec::new();
    let whole = (&mut one).take(LIMIT as u64 + 1).read_to_end(&mut inflated).is_ok();
    if whole && inflated.len() <= LIMIT && one.into_inner().is_empty() {
        assert!(ours.as_ref() == Ok(&inflated), "{ours:?} instead of {} bytes", inflated.len());
    } else if whole && inflated.len() > LIMIT {
        assert_eq!(ours, Err(GzipError::TooLarge { limit: LIMIT }));
    }
}

/// Inflates all members with flate2; `None` if that fails or exceeds the limit.
fn read(bytes: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut inflated = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = flate2::read::MultiGzDecoder::new(bytes).take(limit).read_to_end(&mut inflated);
    read.ok().filter(|count| (*count as u64) < limit).map(|_| inflated)
}

/// Wraps a deflate stream into a member with the optional fields that the flags select; `None` if the stream is invalid.
fn sealed(flags: u8, deflated: &[u8]) -> Option<Vec<u8>> {
    let mut inflated = Vec::with_capacity(LIMIT + 1);
    let mut stream = Decompress::new(false);
    let status = stream.decompress_vec(deflated, &mut inflated, FlushDecompress::Finish).ok()?;
    if status != Status::StreamEnd {
        return None;
    }
    let mut member = vec![0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 2, 3];
    let fields: [(u8, &[u8]); 3] = [(4, b"\x03\x00abc"), (8, b"name\0"), (16, b"comment\0")];
    for (flag, field) in fields {
        if flags & flag != 0 {
            member.extend_from_slice(field);
        }
    }
    let mut crc = Crc::new();
    if flags & 2 != 0 {
        crc.update(&member);
        member.extend_from_slice(&crc.sum().to_le_bytes()[..2]);
        crc.reset();
    }
    member.extend_from_slice(&deflated[..usize::try_from(stream.total_in()).ok()?]);
    crc.update(&inflated);
    member.extend_from_slice(&crc.sum().to_le_bytes());
    member.extend_from_slice(&crc.amount().to_le_bytes());
    Some(member)
}
