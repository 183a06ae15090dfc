//! Compares what a destination has with what it should have.

use super::contents::{Content, Large};
use crate::store::{BlobHasher, ObjectId};

/// Compares a content that is read in pieces with the one that it should be.
pub(in crate::ops) enum ContentCheck {
    /// Compares bytes.
    Bytes {
        expected: Vec<u8>,
        /// How many of them were the same.
        same: usize,
        is_different: bool,
    },
    /// Compares the id of a blob.
    Blob(BlobHasher, ObjectId),
}

impl ContentCheck {
    /// Begins a comparison. `bytes` is the size of what the destination has.
    ///
    /// Of a bundle, only the beginning is compared, which names the commit: git writes the objects in any order, and
    /// verifies them when it reads the bundle.
    pub fn new(content: Content, bytes: u64) -> Self {
        let (is_different, expected) = match content {
            Content::Bytes(expected) => (expected.len() as u64 != bytes, expected),
            Content::Large(Large::Blob { id, .. }) => return Self::Blob(BlobHasher::new(bytes), id),
            Content::Large(Large::Bundle(bundle)) => (false, bundle.header().into_bytes()),
        };
        Self::Bytes { expected, same: 0, is_different }
    }

    /// Takes the next piece. Returns whether further pieces matter.
    pub fn take(&mut self, piece: &[u8]) -> bool {
        match self {
            Self::Blob(hasher, _) => {
                hasher.update(piece);
                true
            }
            Self::Bytes { expected, same, is_different } => {
                let rest = &expected[*same..];
                let compared = rest.len().min(piece.len());
                *is_different |= rest[..compared] != piece[..compared];
                *same += compared;
                !*is_different && *same < expected.len()
            }
        }
    }

    /// Returns whether everything was the same.
    pub fn finish(self) -> bool {
        match self {
            Self::Blob(hasher, id) => hasher.finish() == Some(id),
            Self::Bytes { expected, same, is_different } => !is_different && same == expected.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_compared_with_the_whole() {
        let is_identical = |found: &[u8], pieces: usize| {
            let mut check = ContentCheck::new(Content::Bytes(b"hello".to_vec()), found.len() as u64);
            for piece in found.chunks(pieces) {
                if !check.take(piece) {
                    break;
                }
            }
            check.finish()
        };
        for pieces in 1..7 {
            assert!(is_identical(b"hello", pieces), "{pieces}");
            for other in [&b"hell"[..], b"hello!", b"jello", b"hellO", b""] {
                assert!(!is_identical(other, pieces), "{other:?} {pieces}");
            }
        }
    }
}
