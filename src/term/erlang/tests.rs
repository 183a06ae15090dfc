//! Tests of accepted forms, syntax errors and limits.

use super::*;

/// Reads a single term, without its span.
fn read(source: &[u8]) -> Term<'_> {
    let mut terms = consult(source).unwrap_or_else(|error| panic!("{}: {error:?}", source.escape_ascii()));
    assert_eq!(terms.len(), 1);
    terms.pop().unwrap().term
}

fn binary(bytes: &[u8]) -> Term<'_> {
    Term::Binary(bytes.into())
}

#[test]
fn metadata_terms_are_read_in_order_with_their_positions() {
    let source = br#"{<<"name">>,<<"ranch">>}. % the name
        {<<"build_tools">>,[<<"make">>,rebar3]}."#;
    let terms = consult(source).unwrap();
    let (key, value) = terms[0].term.as_pair().unwrap();
    assert_eq!((key.term.as_text(), value.term.as_text()), (Some("name"), Some("ranch")));
    assert_eq!(&source[value.span.range()], br#"<<"ranch">>"#);
    let tools = terms[1].term.as_pair().unwrap().1.term.as_list().unwrap();
    assert_eq!((tools[0].term.as_text(), tools[1].term.as_atom()), (Some("make"), Some("rebar3")));
    assert_eq!(consult(b" % nothing\n").unwrap(), []);
}

#[test]
fn a_plain_binary_has_a_byte_per_character_and_a_typed_one_has_utf8() {
    assert_eq!(read("<<\"é\">>.".as_bytes()), binary(b"\xe9"));
    assert_eq!(read("<<\"é\"/utf8>>.".as_bytes()), binary("é".as_bytes()));
    assert_eq!(read("<<\"a\" % and\n \"ł\" / utf8, \"b\", 10, -1, $c>>.".as_bytes()), binary(b"a\xc5\x82b\n\xffc"));
    assert_eq!(read(b"<<1,2,255>>."), binary(&[1, 2, 255]));
    assert_eq!(read(b"<<>>."), binary(b""));
}

#[test]
fn text_that_is_not_utf8_or_declares_latin1_is_latin1() {
    assert_eq!(read(b"<<\"\xe9\"/utf8>>."), binary("é".as_bytes()));
    assert_eq!(read(b"'\xe9t\xe9'."), Term::Atom("été".into()));
    assert_eq!(read("\"é\".".as_bytes()), Term::Charlist("é".into()));
    assert_eq!(read("%% -*- coding: latin-1 -*-\n\"é\".".as_bytes()), Term::Charlist("Ã©".into()));
    assert_eq!(read("%% coding: utf-8\n\"é\".".as_bytes()), Term::Charlist("é".into()));
}

#[test]
fn escapes_and_character_literals() {
    let escapes = br#""\n\r\t\v\b\f\e\s\d\0\12\1234\x41\x{1F600}\^A\"\\\q""#;
    let text = "\n\r\t\x0b\x08\x0c\x1b \x7f\0\nS4A😀\x01\"\\q";
    assert_eq!(read(&[escapes.as_slice(), b"."].concat()), Term::Charlist(text.into()));
    for (source, code) in [("$a.", 97), ("$\\n.", 10), ("$\\x{e9}.", 233), ("$é.", 233), ("$ .", 32), ("-$a.", -97)] {
        assert_eq!(read(source.as_bytes()), Term::Integer(code), "{source}");
    }
}

#[test]
fn numbers() {
    for (source, integer) in [("0.", 0), ("-1_000.", -1000), ("16#fF.", 255), ("-2#101.", -5), ("+7.", 7)] {
        assert_eq!(read(source.as_bytes()), Term::Integer(integer), "{source}");
    }
    assert_eq!(read(b"-9223372036854775808."), Term::Integer(i64::MIN));
    assert_eq!(read(b"9223372036854775808."), Term::BigInteger("9223372036854775808".into()));
    assert_eq!(read(b"-1.5e-3."), Term::Float(-0.0015));
    assert_eq!(read(b"2.").as_integer(), Some(2));
}

#[test]
fn maps_atoms_and_nesting() {
    let source = b"#{ 'a b' => {}, <<\"k\">> => [#{}] }.";
    let Term::Map(pairs) = read(source) else { panic!("not a map") };
    assert_eq!(pairs[0].0.term, Term::Atom("a b".into()));
    assert_eq!(pairs[1].1.term.as_list().unwrap()[0].term, Term::Map(vec![]));
    assert_eq!(read(b"foo_Bar@1."), Term::Atom("foo_Bar@1".into()));
}

#[test]
fn nonliteral_terms_are_refused_with_their_position() {
    let cases: &[(&str, &str, &str)] = &[
        ("{a, B}.", "B", "variables are not supported"),
        ("{a b}.", "b", "unexpected `b`"),
        ("[1,", "[", "this list is never closed"),
        ("{<<\"a>>}.", "\"", "this string is never closed"),
        ("a", "", "unexpected end of the text"),
        ("f(x).", "(", "unexpected `(`"),
        ("[a|b].", "|", "unexpected `|`"),
        ("\"\\x{110000}\".", "\\x{110000}", "not a character"),
        ("\"\\xq\".", "q", "unexpected `q`"),
        ("1.0e999.", "1.0e999", "out of range"),
        ("37#1.", "37", "base"),
        ("<<1:8>>.", ":", "unexpected `:`"),
        ("<<300000000000000000000>>.", "300000000000000000000", "bytes"),
    ];
    for (source, marked, message) in cases {
        let error = consult(source.as_bytes()).unwrap_err();
        assert_eq!(&source[error.span.range()], *marked, "{source}: {error:?}");
        assert!(error.message.contains(message), "{source}: {error:?}");
    }
}

#[test]
fn nesting_and_number_of_terms_are_bounded() {
    let nested = |levels: usize| [b"[".repeat(levels), b"]".repeat(levels), b".".to_vec()].concat();
    assert!(consult(&nested(crate::term::MAX_NESTING)).is_ok());
    assert!(consult(&nested(1_000_000)).unwrap_err().message.contains("nested"));
    let many = format!("[{}1].", "1,".repeat(crate::term::MAX_TERMS));
    assert!(consult(many.as_bytes()).unwrap_err().message.contains("more than 4000000 terms"));
}
