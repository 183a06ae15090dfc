//! Numbers, for which both languages have almost the same syntax.

use std::borrow::Cow;

use super::cursor::{Cursor, error};
use super::{SyntaxError, Term};

/// The longest number accepted, in bytes. Limits the work on hostile numbers.
const MAX_DIGITS: usize = 4096;

/// Reads an integer of digits in `radix` at the current position. Single underscores between digits are allowed. `start`
/// is the position of its sign or prefix.
pub(super) fn integer<'a>(cursor: &mut Cursor<'a>, start: usize, radix: u32) -> Result<Term<'a>, SyntaxError> {
    let negative = cursor.source[start] == b'-';
    let digits = digits(cursor, radix)?;
    let magnitude = i128::from_str_radix(&without_underscores(digits), radix);
    let value = magnitude.ok().and_then(|value| i64::try_from(if negative { -value } else { value }).ok());
    Ok(match value {
        Some(value) => Term::Integer(value),
        None => Term::BigInteger(without_underscores(&cursor.source[start..cursor.at])),
    })
}

/// Reads a decimal integer, or a floating point number if a fraction follows. `start` is the position of its sign.
pub(super) fn decimal<'a>(cursor: &mut Cursor<'a>, start: usize) -> Result<Term<'a>, SyntaxError> {
    let integer = integer(cursor, start, 10)?;
    if cursor.peek() != Some(b'.') || !cursor.peek_at(1).is_some_and(|byte| byte.is_ascii_digit()) {
        return Ok(integer);
    }
    cursor.at += 1;
    digits(cursor, 10)?;
    if matches!(cursor.peek(), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(cursor.peek_at(1), Some(b'-' | b'+')));
        if cursor.peek_at(1 + signed).is_some_and(|byte| byte.is_ascii_digit()) {
            cursor.at += 1 + signed;
            digits(cursor, 10)?;
        }
    }
    match without_underscores(&cursor.source[start..cursor.at]).parse::<f64>() {
        Ok(float) if float.is_finite() => Ok(Term::Float(float)),
        _ => Err(error(cursor.span(start), "this number is out of range", "not a finite float")),
    }
}

fn digits<'a>(cursor: &mut Cursor<'a>, radix: u32) -> Result<&'a [u8], SyntaxError> {
    let start = cursor.at;
    let is_digit = |byte: Option<u8>| byte.is_some_and(|byte| char::from(byte).is_digit(radix));
    while is_digit(cursor.peek()) || (cursor.at > start && cursor.peek() == Some(b'_') && is_digit(cursor.peek_at(1))) {
        cursor.at += 1;
    }
    if cursor.at == start {
        return Err(cursor.unexpected("a digit"));
    }
    if cursor.at - start > MAX_DIGITS {
        return Err(error(cursor.span(start), format!("this number has more than {MAX_DIGITS} digits"), "too long"));
    }
    Ok(&cursor.source[start..cursor.at])
}

/// Returns ASCII `digits` as text without underscores.
fn without_underscores(digits: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(digits);
    if text.contains('_') { Cow::Owned(text.replace('_', "")) } else { text }
}
