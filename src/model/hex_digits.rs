//! Hexadecimal digits.

/// Returns bytes as hexadecimal digits in lower case.
pub fn hex_digits(bytes: &[u8]) -> String {
    // A manifest of 10,000 packages contains 30,000 checksums, and each `update` reads and writes them all.
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

/// Returns the bytes that a text contains as hexadecimal digits, in upper or lower case. `None` if it contains anything
/// else, or another number of bytes.
pub(super) fn from_hex_digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn digits_are_read_back_in_either_case(bytes: [u8; 20]) {
            let digits = hex_digits(&bytes);
            assert_eq!(digits.to_lowercase(), digits);
            assert_eq!(from_hex_digits(&digits), Some(bytes));
            assert_eq!(from_hex_digits(&digits.to_uppercase()), Some(bytes));
        }
    }

    #[test]
    fn other_lengths_and_characters_are_refused() {
        for text in ["", "0", "000", "0g", "g0", "+1", "é"] {
            assert_eq!(from_hex_digits::<1>(text), None, "{text:?}");
        }
    }
}
