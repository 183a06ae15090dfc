//! Tokenises Rust sources, as far as the architecture test requires: without comments, contents of literals, and code
//! that is only compiled for tests.

use std::collections::BTreeSet;

/// The tokens of a source.
pub type Words = Vec<String>;

/// Splits a source into identifiers and punctuation characters. Every literal becomes one `"`. `::` remains one token.
pub fn words(text: &str) -> Words {
    let (characters, mut at, mut words) = (text.chars().collect::<Vec<_>>(), 0, Vec::new());
    while let Some(&character) = characters.get(at) {
        let rest = &characters[at..];
        let (length, word) = if rest.starts_with(&['/', '/']) {
            (rest.iter().take_while(|c| **c != '\n').count(), None)
        } else if rest.starts_with(&['/', '*']) {
            (block_comment(rest), None)
        } else if let Some(length) = raw_text(rest) {
            (length, Some("\"".to_owned()))
        } else if character == '"' || rest.starts_with(&['b', '"']) {
            (quoted(rest), Some("\"".to_owned()))
        } else if character == '\'' {
            match character_literal(rest) {
                Some(length) => (length, Some("\"".to_owned())),
                None => (1, Some("'".to_owned())),
            }
        } else if character.is_alphanumeric() || character == '_' {
            let word: String = rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
            (word.chars().count(), Some(word))
        } else if rest.starts_with(&[':', ':']) {
            (2, Some("::".to_owned()))
        } else {
            (1, (!character.is_whitespace()).then(|| character.to_string()))
        };
        words.extend(word);
        at += length.max(1);
    }
    words
}

fn block_comment(text: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        match (text[at], text.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Returns the length of a raw string such as `r#"…"#`, if one begins here.
fn raw_text(text: &[char]) -> Option<usize> {
    let prefix = text.iter().take_while(|c| matches!(c, 'b' | 'r' | 'c')).count();
    let hashes = text[prefix..].iter().take_while(|c| **c == '#').count();
    let is_raw = prefix > 0 && text[..prefix].ends_with(&['r']) && text.get(prefix + hashes) == Some(&'"');
    let end = [&['"'], &*vec!['#'; hashes]].concat();
    let body = is_raw.then(|| &text[prefix + hashes + 1..])?;
    let length = body.windows(end.len()).position(|window| window == end).map_or(body.len(), |at| at + end.len());
    Some(prefix + hashes + 1 + length)
}

fn quoted(text: &[char]) -> usize {
    let mut at = text.iter().position(|c| *c == '"').map_or(text.len(), |quote| quote + 1);
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Returns the length of a literal such as `'x'`, or `None` if a lifetime begins here.
fn character_literal(text: &[char]) -> Option<usize> {
    match text.get(1)? {
        '\\' => text.iter().skip(3).position(|c| *c == '\'').map(|at| at + 4),
        _ => (text.get(2) == Some(&'\'')).then_some(3),
    }
}

/// Removes every item under `#[cfg(test)]`.
pub fn without_tests(words: &[String]) -> Words {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < words.len() {
        if words[at..].iter().take(MARK.len()).eq(MARK.iter()) {
            at += MARK.len();
            at += item(&words[at..]);
        } else {
            kept.push(words[at].clone());
            at += 1;
        }
    }
    kept
}

/// Returns the length of an item, up to its `;` or the brace that closes its first block.
fn item(words: &[String]) -> usize {
    let mut depth = 0_usize;
    for (at, word) in words.iter().enumerate() {
        match word.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && word == "}" {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    words.len()
}

/// Returns all paths in a source, such as `std::env::var`, with the groups of `use` expanded. Paths within the crate
/// begin with `crate`: `super` and `self` are resolved from the source's own module (`["ops", "update"]`).
pub fn paths(words: &[String], module: &[&str]) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    for (at, word) in words.iter().enumerate() {
        let begins = is_name(word) && (at == 0 || words[at - 1] != "::");
        if begins && words.get(at + 1).is_some_and(|next| next == "::") {
            read_path(words, at, Vec::new(), &mut found);
        }
    }
    found.into_iter().map(|path| resolved(path, module)).collect()
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads a path from a position, and returns its end.
fn read_path(words: &[String], mut at: usize, mut path: Vec<String>, found: &mut BTreeSet<Vec<String>>) -> usize {
    loop {
        match words.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while words.get(at).is_some_and(|word| word != "}") {
                    at = if words[at] == "," { at + 1 } else { read_path(words, at, path.clone(), found) };
                }
                return at + 1;
            }
            Some(name) if is_name(name) => path.push(name.to_owned()),
            // A star, or the `<` of `::<T>`.
            _ => {
                found.insert(path);
                return at + 1;
            }
        }
        at += 1;
        if words.get(at).is_some_and(|word| word == "::") {
            at += 1;
            continue;
        }
        found.insert(path);
        // A renamed import, as in `use a::b as c`.
        return if words.get(at).is_some_and(|word| word == "as") { at + 2 } else { at };
    }
}

fn resolved(path: Vec<String>, module: &[&str]) -> Vec<String> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    let is_own = ups > 0 || path.first().is_some_and(|name| name == "self");
    let rest = &path[ups.max(usize::from(is_own))..];
    if !is_own {
        return path;
    }
    let stem = &module[..module.len().saturating_sub(ups)];
    ["crate"].iter().chain(stem).map(|name| (*name).to_owned()).chain(rest.iter().cloned()).collect()
}
