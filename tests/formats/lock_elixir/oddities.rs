//! Texts that are nearly locks: written by hand, or valid ones with an insertion. Elixir and Erlang may accept what
//! this program rejects (much of it is code), but this program must neither accept what they reject nor read it
//! differently.

use std::collections::{BTreeMap, BTreeSet};

use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::terms::{self, Language};
use super::{ask_elixir, is_installed, read, unusual_elixir, unusual_erlang};

/// The insertions: whitespace and characters that look like it, control and format characters, punctuation and
/// beginnings of tokens.
const INSERTED: &[&str] = &[
    " ",
    "\t",
    "\n",
    "\r\n",
    "\r",
    "\u{b}",
    "\u{c}",
    "\0",
    "\u{1}",
    "\u{8}",
    "\u{1b}",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{ad}",
    "\u{300}",
    "\u{200b}",
    "\u{200d}",
    "\u{200e}",
    "\u{2028}",
    "\u{2029}",
    "\u{202a}",
    "\u{202c}",
    "\u{202e}",
    "\u{2066}",
    "\u{2069}",
    "\u{3000}",
    "\u{feff}",
    "\u{fffd}",
    "\u{e9}",
    "e\u{301}",
    "\u{3c3}",
    "\u{430}",
    "\u{4e2d}",
    "\u{1d538}",
    "\u{1f600}",
    "\\",
    "\\\n",
    "\\\r",
    "\\x",
    "\\x4",
    "\\x{41}",
    "\\u",
    "\\u{41}",
    "\\uD800",
    "\\u{110000}",
    "\\N",
    "#",
    "#\n",
    "#\r\n",
    "#\r",
    "#\u{202e}\n",
    "#{",
    "#{}",
    "%",
    "%\n",
    "%{",
    "$",
    "$ ",
    "?",
    "??",
    ":",
    "::",
    ";",
    ",",
    ".",
    "..",
    "'",
    "\"",
    "\"\"",
    "\"\"\"\n",
    "~",
    "~c",
    "~s(",
    "~S(a)",
    "<",
    "<<",
    ">>",
    "=>",
    "=",
    "|",
    "/",
    "-",
    "+",
    "_",
    "__",
    "0",
    "00",
    "0x",
    "1_",
    "e5",
    ".5",
    "16#",
    "@",
    "!",
    "&",
    "*",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "nil",
    "do",
    "end",
    "fn",
    "in",
    "a",
    "A:",
    "a: ",
    "b ",
];

fn generated(strategy: &BoxedStrategy<String>, runner: &mut TestRunner, count: usize) -> Vec<String> {
    (0..count).map(|_| strategy.new_tree(runner).unwrap().current()).collect()
}

/// Inserts each of [`INSERTED`] somewhere into each text, and removes a character elsewhere.
fn mutated(texts: &[String], runner: &mut TestRunner) -> BTreeSet<String> {
    let mut mutants = BTreeSet::new();
    for text in texts {
        let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let mut pick = || boundaries[(0..boundaries.len()).new_tree(runner).unwrap().current()];
        for inserted in INSERTED {
            let at = pick();
            mutants.insert(format!("{}{inserted}{}", &text[..at], &text[at..]));
        }
        for _ in 0..10 {
            let at = pick();
            mutants
                .insert(text[..at].to_owned() + text[at..].chars().next().map_or("", |c| &text[at + c.len_utf8()..]));
        }
    }
    mutants
}

#[test]
fn elixir_and_erlang_agree_on_every_accepted_text() {
    if !is_installed() {
        return;
    }
    // The same texts every time, because developers would ignore a test that fails occasionally.
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let mut texts = BTreeMap::new();
    let mut add = |extension: &str, found: BTreeSet<String>| {
        texts.extend(found.into_iter().enumerate().map(|(number, text)| (format!("{number:05}.{extension}"), text)));
    };
    let mut elixir = generated(&terms::mix_lock(), &mut runner, 12);
    elixir.extend(generated(&terms::term(Language::Elixir), &mut runner, 25));
    elixir.push("%{\n  \"a\": {:hex, :a, \"1.0.0\", \"ab\", [:mix], [], \"hexpm\", \"cd\"},\n}\n".to_owned());
    elixir.push(
        "# c\n[a: ~c\"b\", \"c d\": <<1, ?a, \"x\">>, e?: {-1, 0x1F, 1.5e3, 'f', :\"g h\", %{i: nil}}]".to_owned(),
    );
    add("mutant", mutated(&elixir, &mut runner));
    let mut elixir: BTreeSet<String> = unusual_elixir::TEXTS.iter().map(|text| (*text).to_owned()).collect();
    for (length, character) in [(255, "a"), (256, "a"), (255, "é"), (256, "é")] {
        let name = character.repeat(length);
        elixir.extend([
            format!("[:{name}]"),
            format!("[:\"{name}\"]"),
            format!("[\"{name}\": 1]"),
            format!("[{name}: 1]"),
        ]);
    }
    add("hand", elixir);
    let erlang = terms::term(Language::Erlang).prop_map(|term| format!("{term}.\n")).boxed();
    let mut erlang = generated(&erlang, &mut runner, 25);
    erlang.push(
        "{\"1.2.0\",\n[{<<\"a\">>,{pkg,<<\"a\">>,<<\"1.0\">>},0}]}.\n[\n{pkg_hash,[\n {<<\"a\">>, <<\"AB\">>}]}\n].\n"
            .to_owned(),
    );
    erlang.push("% c\n#{a => 'b c', $d => 16#1F, \"e\" \"f\" => <<\"g\"/utf8, 1>>, 1.5e3 => -1}.\nz.\n".to_owned());
    let mut erlang = mutated(&erlang, &mut runner);
    erlang.extend(unusual_erlang::TEXTS.iter().map(|text| (*text).to_owned()));
    for (length, character) in [(255, "a"), (256, "a"), (255, "é"), (256, "é")] {
        let name = character.repeat(length);
        erlang.extend([format!("{name}.\n"), format!("'{name}'.\n"), format!("\"{name}\".\n")]);
    }
    add("erl", erlang);

    let answers = ask_elixir(&texts);
    assert_eq!(answers.len(), texts.len());
    let (mut wrong, mut refused, mut agreed) = (Vec::new(), 0, 0);
    for (file, text) in &texts {
        let theirs = &answers[file].0;
        match read(file, text) {
            Err(_) => refused += usize::from(!theirs.starts_with("ERROR")),
            Ok((ours, _)) if &ours == theirs => agreed += 1,
            Ok((ours, _)) => wrong.push(format!("{file} {text:?}\n  we read  {ours}\n  they say {theirs}")),
        }
    }
    eprintln!("{} texts: {agreed} read alike, {refused} refused that they read", texts.len());
    assert!(wrong.is_empty(), "{} of {} texts:\n{}", wrong.len(), texts.len(), wrong.join("\n"));
    // Otherwise, the test would prove nothing.
    assert!(agreed > 500, "only {agreed} texts are read at all");
}
