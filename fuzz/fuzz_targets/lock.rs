//! Any bytes, read as each kind of lock: no panic, and the place of an error is in the file.
#![no_main]

use git_hexmirror::lock::Lock;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|contents: &[u8]| {
    for file in ["mix.lock", "rebar.lock"] {
        match Lock::parse(file, contents) {
            Ok(lock) => drop(serde_json::to_string(&lock).expect("a lock is JSON")),
            Err(error) => {
                error.line_column(contents);
                assert!(contents.get(error.span.range()).is_some());
            }
        }
    }
});
