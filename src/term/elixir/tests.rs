//! Tests of accepted forms, syntax errors and limits.

use super::*;

fn read(source: &str) -> Term<'_> {
    parse(source).unwrap_or_else(|error| panic!("{source}: {error:?}")).term
}

fn binary(bytes: &[u8]) -> Term<'_> {
    Term::Binary(bytes.into())
}

fn atom(name: &str) -> Term<'_> {
    Term::Atom(name.into())
}

#[test]
fn keys_are_read_in_every_notation() {
    let source = r#"%{"k" => 1, :"q r" => 2, "s t": 3, 'u': 4, v?: 5,}"#;
    let Term::Map(pairs) = read(source) else { panic!("not a map") };
    let keys: Vec<_> = pairs.iter().map(|(key, _)| key.term.clone()).collect();
    assert_eq!(keys, [binary(b"k"), atom("q r"), atom("s t"), atom("u"), atom("v?")]);
    assert_eq!(&source[pairs[2].0.span.range()], "\"s t\"");
    assert_eq!(&source[pairs[4].1.span.range()], "5");
}

#[test]
fn keys_at_the_end_of_a_tuple_are_a_list() {
    let source = "{:git, \"u\", tag: \"v1\", depth: 1}";
    let Term::Tuple(elements) = read(source) else { panic!("not a tuple") };
    assert_eq!(elements.len(), 3);
    assert_eq!(&source[elements[2].span.range()], "tag: \"v1\", depth: 1");
    let (key, value) = elements[2].term.as_list().unwrap()[1].term.as_pair().unwrap();
    assert_eq!((key.term.as_atom(), value.term.as_integer()), (Some("depth"), Some(1)));
    assert_eq!(read("[a: 1]").as_list().unwrap()[0].term.as_pair().unwrap().0.term, atom("a"));
    assert!(matches!(read("[1, a: 1]"), Term::List(elements) if elements.len() == 2));
}

#[test]
fn strings_charlists_and_binaries() {
    let escapes = r#""\0\a\b\d\e\f\n\r\s\t\v\"\\\q\#{x}#\x41\xff\u00e9\u{1F600}é""#;
    let expected = b"\0\x07\x08\x7f\x1b\x0c\n\r \t\x0b\"\\q#{x}#A\xff\xc3\xa9\xf0\x9f\x98\x80\xc3\xa9";
    assert_eq!(read(escapes), binary(expected));
    assert_eq!(read("\"a\\\nb\\\r\nc\nd\""), binary(b"abc\nd"));
    for source in ["'a\\'b'", "~c\"a'b\"", "~c(a'b)", "~c|a'b|", "~c'a\\'b'"] {
        assert_eq!(read(source), Term::Charlist("a'b".into()), "{source}");
    }
    assert_eq!(read("~s<a\\>b>"), binary(b"a>b"));
    assert_eq!(read("<<1, \"a\", ?b, 0xff>>"), binary(b"\x01ab\xff"));
    assert_eq!(read("\"a#\""), binary(b"a#"));
}

#[test]
fn numbers_and_atoms() {
    let integers =
        [("-1_000", -1000), ("0xfF", 255), ("-0b11", -3), ("0o17", 15), ("?a", 97), ("?\\n", 10), ("?é", 233)];
    for (source, integer) in integers {
        assert_eq!(read(source), Term::Integer(integer), "{source}");
    }
    assert_eq!(read("1.5e3"), Term::Float(1500.0));
    assert_eq!(read("123456789012345678901"), Term::BigInteger("123456789012345678901".into()));
    for (source, name) in [(":a@b!", "a@b!"), (":\"a b\"", "a b"), (":\"é\"", "é"), ("nil", "nil"), (" # c\n ", "nil")]
    {
        assert_eq!(read(source), atom(name), "{source}");
    }
}

#[test]
fn code_and_mistakes_are_refused_with_their_position() {
    let cases: &[(&str, &str, &str)] = &[
        ("%{\"a\": System.halt(1)}", "System", "`System` is code"),
        ("[\"a#{b}\"]", "#{", "interpolation is not supported"),
        ("{1, 2", "{", "this tuple is never closed"),
        ("%{\"a: 1}", "\"", "this string is never closed"),
        ("[1 2]", "2", "unexpected `2`"),
        ("[1,, 2]", ",", "unexpected `,`"),
        ("\"a\" <> \"b\"", "<", "unexpected `<`"),
        ("%{a:1}", "a", "`a` is code"),
        ("[a: 1, 2]", "2", "elements with a key must come last"),
        ("{a: 1}", "a", "cannot begin with a key"),
        ("a: 1", "a", "without the brackets"),
        ("~w[a b]", "~w", "only the sigils"),
        ("\"\"\"\na\n\"\"\"", "\"\"\"", "heredocs"),
        ("\"\\x4\"", "\\x4", "missing hexadecimal digits"),
        ("\"\\u{d800}\"", "\\u{d800}", "not a character"),
        (":\"\\xff\"", "\"\\xff\"", "invalid UTF-8"),
        ("%{} %{}", "%", "unexpected `%`"),
        ("%Foo{}", "%", "unexpected `%`"),
        ("[1 | 2]", "|", "unexpected `|`"),
        (":", "", "unexpected end of the text"),
        ("→", "→", "non-ASCII letters"),
        (":aé", "aé", "non-ASCII letters"),
        ("[1\r]", "\r", "unexpected `\\r`"),
        ("[1\u{c}]", "\u{c}", "unexpected `\\u{c}`"),
        ("[1 # \u{202e}\n]", "\u{202e}", "unexpected `\\u{202e}`"),
        ("[\"a\u{2028}\"]", "\u{2028}", "unexpected `\\u{2028}`"),
        ("[1\n, 2]", ",", "unexpected `,`"),
        ("\u{feff}[]", "\u{feff}", "non-ASCII letters"),
    ];
    for (source, marked, message) in cases {
        let error = parse(source).expect_err(source);
        assert_eq!(&source[error.span.range()], *marked, "{source}: {error:?}");
        assert!(error.message.contains(message), "{source}: {error:?}");
    }
}

#[test]
fn nesting_and_number_of_terms_are_bounded() {
    let nested = |levels: usize| format!("{}{}", "{".repeat(levels), "}".repeat(levels));
    assert!(parse(&nested(crate::term::MAX_NESTING)).is_ok());
    assert!(parse(&nested(1_000_000)).unwrap_err().message.contains("nested"));
    assert!(parse(&"a: ".repeat(1_000_000)).unwrap_err().message.contains("nested"));
    let many = format!("[{}1]", "1,".repeat(crate::term::MAX_TERMS));
    assert!(parse(&many).unwrap_err().message.contains("more than 4000000 terms"));
}
