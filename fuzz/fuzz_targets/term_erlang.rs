//! Any bytes, read as terms of Erlang: no panic, and all places are in the text.
#![no_main]

use git_hexmirror::term::erlang;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &[u8]| match erlang::consult(source) {
    Ok(terms) => assert!(terms.iter().all(|term| source.get(term.span.range()).is_some())),
    Err(error) => assert!(source.get(error.span.range()).is_some()),
});
