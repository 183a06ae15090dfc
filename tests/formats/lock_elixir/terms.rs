//! Generates literal terms as random text, in the many ways to write them, and the notation for comparing them.

use std::collections::BTreeMap;

use git_hexmirror::term::{Spanned, Term};
use proptest::prelude::*;
use proptest::sample::select;

/// The language to generate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Language {
    Elixir,
    Erlang,
}
use Language::{Elixir, Erlang};

type Text = BoxedStrategy<String>;

fn one_of(choices: &'static [&'static str]) -> Text {
    select(choices).prop_map(str::to_owned).boxed()
}

/// The text between two tokens: whitespace, line breaks, comments.
fn gap(language: Language) -> Text {
    match language {
        Elixir => one_of(&["", "", " ", "\n", "\r\n", "\t", " # it's a \"comment\" →\n", "#{\n"]),
        Erlang => one_of(&["", "", " ", "\n", "\r\n", "\t", " % it's a \"comment\" →\n", "%{\n"]),
    }
}

/// The text between quotes. Both kinds of quotes are escaped. With `latin`, contains no character above U+00FF.
fn inside_quotes(language: Language, bytes: bool) -> Text {
    let plain = "[a-zA-Z0-9 _.:/~>=,@{}()<>%\\[\\]-]{1,12}";
    let common =
        one_of(&["\\\"", "\\'", "\\\\", "\\n", "\\r", "\\t", "\\v", "\\b", "\\f", "\\e", "\\s", "\\d", "\n", "é"]);
    let own = match language {
        Elixir if bytes => one_of(&["\\xff", "\\x80", "\\x41", "\\u{1F600}"]),
        Elixir => one_of(&["\\0", "\\a", "\\x41", "\\u00e9", "\\u{41}", "\\#{x}", "# ", "\\\n", "\\q", "\\é", "ł→😀"]),
        Erlang => {
            one_of(&["\\0", "\\12", "\\1234", "\\x41", "\\x{e9}", "\\x{1F600}", "\\^A", "\\q", "\\é", "#{", "ł→😀"])
        }
    };
    let pieces = prop_oneof![4 => plain.boxed(), 2 => common, 2 => own];
    prop::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat()).boxed()
}

fn name() -> Text {
    "[a-z][a-zA-Z0-9_]{0,8}x".boxed()
}

pub fn string(language: Language) -> Text {
    let quoted = inside_quotes(language, language == Elixir).prop_map(|text| format!("\"{text}\""));
    match language {
        Elixir => quoted.boxed(),
        Erlang => (prop::collection::vec((quoted, gap(Erlang)), 1..3), one_of(&["", "/utf8", " / utf8"]))
            .prop_map(|(parts, kind)| {
                let joined: String = parts.into_iter().map(|(part, gap)| part + &gap + " ").collect();
                format!("<<{joined}{kind}>>")
            })
            .boxed(),
    }
}

fn leaf(language: Language) -> Text {
    let integer = any::<i64>().prop_map(|integer| integer.to_string()).boxed();
    let small = (-1000i64..1000).prop_map(|integer| integer.to_string()).boxed();
    let float = (-1e9f64..1e9).prop_map(|float| format!("{float:?}")).boxed();
    let bytes = prop::collection::vec(any::<u8>().prop_map(|byte| byte.to_string()), 0..5);
    let bytes = bytes.prop_map(|bytes| format!("<<{}>>", bytes.join(", "))).boxed();
    let inside = inside_quotes(language, false);
    let (own, atom) = match language {
        Elixir => {
            let charlist = inside.clone().prop_map(|text| format!("'{text}'")).boxed();
            let sigil = "[a-z \"']{0,8}".prop_map(|text| format!("~c({text})")).boxed();
            let quoted = inside.prop_map(|text| format!(":\"{text}\"")).boxed();
            let numbers =
                one_of(&["0xfF", "0b101", "0o17", "1_000_000", "-5", "1.5e-3", "-2.0E10", "?a", "?\\n", "?é", "?\\s"]);
            let bare = "[a-zA-Z_][a-zA-Z0-9_@]{0,6}[?!]?".prop_map(|name| format!(":{name}")).boxed();
            let constants = one_of(&["nil", "true", "false", "123456789012345678901234567890"]);
            (prop_oneof![charlist, sigil, numbers, constants].boxed(), prop_oneof![quoted, bare].boxed())
        }
        Erlang => {
            let charlist = inside.clone().prop_map(|text| format!("\"{text}\"")).boxed();
            let quoted = inside.prop_map(|text| format!("'{text}'")).boxed();
            let numbers = one_of(&[
                "16#fF",
                "2#101",
                "1_000_000",
                "-5",
                "+7",
                "1.5e-3",
                "-2.0E10",
                "$a",
                "$\\n",
                "$é",
                "$\\x{41}",
            ]);
            let mixed = one_of(&["<<\"a\", 10, \"é\"/utf8, $b, -1>>", "123456789012345678901234567890", "<<\"ł\">>"]);
            (prop_oneof![charlist, numbers, mixed].boxed(), prop_oneof![quoted, name()].boxed())
        }
    };
    prop_oneof![integer, small, float, bytes, own.clone(), own, atom, string(language), string(language)].boxed()
}

/// A key in a map, and the separator after it.
fn map_key(language: Language) -> Text {
    match language {
        Elixir => (leaf(Elixir), gap(Elixir)).prop_map(|(key, gap)| format!("{key} =>{gap}")).boxed(),
        Erlang => (leaf(Erlang), gap(Erlang), gap(Erlang)).prop_map(|(key, a, b)| format!("{key}{a} =>{b} ")).boxed(),
    }
}

fn keyword_key() -> Text {
    let quoted = inside_quotes(Elixir, false).prop_map(|text| format!("\"{text}\": "));
    prop_oneof![name().prop_map(|name| format!("{name}: ")), quoted, one_of(&["nil: ", "do: ", "a@b?: ", "'c d':\n"])]
        .boxed()
}

/// Writes elements between brackets, each after a gap, with or without a trailing comma.
fn bracketed(language: Language, open: &str, elements: Vec<(String, String)>, close: &str, comma: bool) -> String {
    let mut text = open.to_owned();
    let count = elements.len();
    for (index, (gap, element)) in elements.into_iter().enumerate() {
        text += &format!("{gap}{element}");
        if index + 1 < count || (comma && language == Elixir) {
            text += ",";
        }
    }
    text + if language == Elixir && comma { "\n" } else { " " } + close
}

/// A term of any kind, nested up to four levels.
pub fn term(language: Language) -> Text {
    leaf(language)
        .prop_recursive(4, 40, 6, move |inner| {
            let elements = |item: Text| prop::collection::vec((gap(language), item), 0..5);
            let keyed = |key: Text| elements((key, inner.clone()).prop_map(|(key, value)| key + &value).boxed());
            let brackets =
                select(if language == Elixir { &[("{", "}"), ("[", "]")][..] } else { &[("{", "}"), ("[", "]")] });
            let plain = (brackets, elements(inner.clone()), any::<bool>());
            let plain = plain.prop_map(move |((open, close), elements, comma)| {
                let comma = comma && !elements.is_empty();
                bracketed(language, open, elements, close, comma)
            });
            let open = if language == Elixir { "%{" } else { "#{" };
            let map = (keyed(map_key(language)), any::<bool>()).prop_map(move |(pairs, comma)| {
                let comma = comma && !pairs.is_empty();
                bracketed(language, open, pairs, "}", comma)
            });
            if language == Erlang {
                return prop_oneof![2 => plain, 1 => map].boxed();
            }
            let with_keys =
                (select(&[("{", "}"), ("[", "]"), ("%{", "}")][..]), elements(inner.clone()), keyed(keyword_key()));
            let with_keys = with_keys.prop_map(|((open, close), mut elements, keyed)| {
                match open {
                    "%{" => elements.clear(),
                    "{" if elements.is_empty() => elements.push((String::new(), "0".to_owned())),
                    _ => {}
                }
                elements.extend(keyed);
                bracketed(Elixir, open, elements, close, false)
            });
            prop_oneof![2 => plain, 1 => map, 2 => with_keys].boxed()
        })
        .boxed()
}

/// A mix.lock: a map, or the keyword list of 2014, with entries in any historical format.
pub fn mix_lock() -> Text {
    let version = "[0-9]{1,2}\\.[0-9]{1,2}\\.[0-9](-rc\\.[0-9])?".prop_map(|version| format!("\"{version}\"")).boxed();
    let checksum =
        prop_oneof![4 => "[0-9a-f]{64}".prop_map(|sum| format!("\"{sum}\"")).boxed(), 1 => one_of(&["nil"])].boxed();
    let package = prop_oneof![name().prop_map(|name| format!(":{name}")), Just(":\"a-b\"".to_owned())].boxed();
    let dependency = "\\{:[a-z]{2,5}, \"~> 1\\.0\", \\[hex: :[a-z]{2,5}, repo: \"hexpm\", optional: (true|false)\\]\\}";
    let dependencies =
        prop::collection::vec(dependency.boxed(), 0..3).prop_map(|list| format!("[{}]", list.join(", ")));
    let repository = one_of(&["\"hexpm\"", "\"hexpm:acme\"", "nil"]);
    let later = (
        checksum.clone(),
        one_of(&["[:mix]", "[:make, :rebar3]", "[]"]),
        dependencies,
        repository,
        checksum,
        term(Elixir),
    );
    let hex = (package, version.clone(), later, 0usize..=6).prop_map(|(name, version, later, length)| {
        let later = [later.0, later.1, later.2, later.3, later.4, later.5];
        let mut elements = vec![":hex".to_owned(), name, version];
        elements.extend(later.into_iter().take(length));
        format!("{{{}}}", elements.join(", "))
    });
    let options =
        one_of(&["[]", "[branch: \"main\"]", "[{:tag, \"v1\"}]", "[ref: \"a1\", depth: 1, submodules: true]"]);
    let git = ("[0-9a-f]{40}", options)
        .prop_map(|(revision, options)| format!("{{:git, \"https://example.com/a.git\", \"{revision}\", {options}}}"));
    let old = version.prop_map(|version| format!("{{:package, {version}}}"));
    let other = term(Elixir).prop_map(|term| format!("{{:elsewhere, {term}}}"));
    let entry = prop_oneof![6 => hex, 2 => git, 1 => old, 1 => other];
    let keyed = prop::collection::vec((gap(Elixir), keyword_key(), entry), 1..8);
    let brackets = select(&[("%{", "}"), ("[", "]")][..]);
    (gap(Elixir), brackets, keyed, any::<bool>(), gap(Elixir))
        .prop_map(|(before, (open, close), keyed, comma, after)| {
            let elements = keyed.into_iter().map(|(gap, key, entry)| (gap, key + &entry)).collect();
            before + &bracketed(Elixir, open, elements, close, comma) + &after
        })
        .boxed()
}

/// Returns a term in the notation of oracle.exs.
pub fn dump(term: &Term<'_>) -> String {
    let all =
        |elements: &[Spanned<'_>]| elements.iter().map(|element| dump(&element.term)).collect::<Vec<_>>().join(",");
    match term {
        Term::Atom(name) => format!("a{}", hex(name.as_bytes())),
        Term::Binary(bytes) => format!("b{}", hex(bytes)),
        Term::Charlist(text) => {
            let codes: Vec<_> = text.chars().map(|character| format!("i{}", u32::from(character))).collect();
            format!("[{}]", codes.join(","))
        }
        Term::Integer(integer) => format!("i{integer}"),
        Term::BigInteger(text) => format!("i{text}"),
        Term::Float(float) => format!("f{}", hex(&float.to_be_bytes())),
        Term::Tuple(elements) => format!("{{{}}}", all(elements)),
        Term::List(elements) => format!("[{}]", all(elements)),
        Term::Map(pairs) => {
            let pairs: BTreeMap<_, _> = pairs.iter().map(|(key, value)| (dump(&key.term), dump(&value.term))).collect();
            let mut pairs: Vec<_> = pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
            pairs.sort();
            format!("%{{{}}}", pairs.join(","))
        }
    }
}

/// Returns bytes as uppercase hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
