//! Decompresses registry entries, with a size limit.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

/// The first bytes of every gzip member (RFC 1952). A Signed message begins with 0x0a, so the two cannot be confused.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The maximum number of nested compressions. hex.pm compresses the entry itself, and a proxy may compress the response
/// once more.
const MAX_LAYERS: usize = 2;

/// Why a body could not be decompressed.
#[derive(Debug)]
pub(super) enum GzipError {
    /// The decompressed data exceeds the limit.
    TooLarge,
    /// The compressed data is damaged.
    Damaged(io::Error),
}

/// Decompresses `body`. Returns it unchanged if it is not gzip, because a proxy may have decompressed it.
pub(super) fn unpack(mut body: Vec<u8>, limit: u64) -> Result<Vec<u8>, GzipError> {
    for _ in 0..MAX_LAYERS {
        if !body.starts_with(&MAGIC) {
            break;
        }
        let mut unpacked = Vec::new();
        let read = MultiGzDecoder::new(body.as_slice()).take(limit.saturating_add(1)).read_to_end(&mut unpacked);
        read.map_err(GzipError::Damaged)?;
        if unpacked.len() as u64 > limit {
            return Err(GzipError::TooLarge);
        }
        body = unpacked;
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn nested_compression_is_undone() {
        let entry = b"\x0a\x03abc";
        for body in [entry.to_vec(), pack(entry), pack(&pack(entry))] {
            assert_eq!(unpack(body, 50).unwrap(), entry);
        }
        let members = [pack(b"\x0a\x03"), pack(b"abc")].concat();
        assert_eq!(unpack(members, 5).unwrap(), entry);
    }

    #[test]
    fn bombs_and_damage_are_reported() {
        let bomb = pack(&vec![0; 10_000_000]);
        assert!(bomb.len() < 20_000);
        assert!(matches!(unpack(bomb, 9_999_999), Err(GzipError::TooLarge)));
        let packed = pack(&[7; 100]);
        assert!(matches!(unpack(packed[..packed.len() - 9].to_vec(), 100), Err(GzipError::Damaged(_))));
        let mut flipped = packed;
        let crc = flipped.len() - 6;
        flipped[crc] ^= 1;
        assert!(matches!(unpack(flipped, 100), Err(GzipError::Damaged(_))));
    }
}
