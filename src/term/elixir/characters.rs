//! The characters that have a meaning in Elixir's terms.

pub(super) fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// Returns whether a character can make a text look like a different one: it changes the writing direction, or only some
/// programs treat it as a line ending (`?bidi` and `?break` in `elixir_tokenizer.hrl`; Elixir 1.14 still accepts the
/// latter).
pub(super) fn is_disguise(character: char) -> bool {
    matches!(
        character,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{b}'..='\u{d}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Returns the byte that a backslash followed by `byte` stands for, or `None` if that is `byte` itself
/// (`elixir_interpolation:unescape_map/1`).
pub(super) fn unescaped(byte: u8) -> Option<u8> {
    Some(match byte {
        b'0' => 0,
        b'a' => 7,
        b'b' => 8,
        b'd' => 127,
        b'e' => 27,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b's' => b' ',
        b't' => b'\t',
        b'v' => 11,
        _ => return None,
    })
}

pub(super) fn is_ascii_inner(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@')
}
