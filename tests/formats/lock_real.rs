//! Reads the lock files of public projects and compares the result with that of Elixir's and Erlang's own parsers.

use git_hexmirror::lock::Lock;
use serde_json::Value;

use crate::support::data::real_input;

#[test]
fn real_locks_read_as_elixir_and_erlang_read_them() {
    let Some(folder) = real_input("locks") else { return };
    let expected = std::fs::read_to_string(folder.join("expected.jsonl")).unwrap();
    let (mut entries, mut refused) = (0, Vec::new());
    for line in expected.lines() {
        let expected: Value = serde_json::from_str(line).unwrap();
        let file = expected["file"].as_str().unwrap();
        let contents = std::fs::read(folder.join(file)).unwrap();
        match Lock::parse(file, &contents) {
            Ok(lock) => {
                entries += lock.entries.len();
                assert_eq!(serde_json::to_value(&lock).unwrap(), expected, "{file}");
            }
            Err(error) => {
                assert!(expected.get("error").is_some(), "{file}: {error:?}");
                refused.push((file.to_owned(), error.message.clone(), error.line_column(&contents)));
            }
        }
    }
    let conflict = |file: &str, place| (file.to_owned(), "unresolved merge conflict".to_owned(), place);
    let conflicts =
        [conflict("hexpm+hexpm-1c3a2813-mix.lock", (27, 1)), conflict("vernemq+vernemq-dca50b46-rebar.lock", (1, 1))];
    assert_eq!(refused, conflicts);
    assert_eq!((expected.lines().count(), entries), (203, 6083));
}

#[test]
fn spans_of_real_locks_are_exact() {
    let Some(folder) = real_input("locks") else { return };
    let mut checked = 0;
    for path in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        let contents = std::fs::read_to_string(&path).unwrap();
        let Ok(lock) = Lock::parse(path.to_str().unwrap(), &contents) else { continue };
        for entry in &lock.entries {
            let mut pieces = vec![&entry.app];
            if let git_hexmirror::lock::Source::Hex(hex) = &entry.source {
                pieces.extend([&hex.package, &hex.version]);
                pieces.extend(hex.inner_checksum.iter().chain(&hex.outer_checksum));
            }
            for piece in pieces {
                let written = contents[piece.span.range()].to_lowercase();
                let text = piece.text.to_lowercase();
                let forms = [text.clone(), format!("\"{text}\""), format!(":{text}"), format!("<<\"{text}\">>")];
                assert!(forms.contains(&written), "{}: {written} is not {text}", path.display());
                checked += 1;
            }
        }
    }
    assert!(checked > 20_000, "{checked}");
}
