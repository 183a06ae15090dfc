#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| git_hexmirror_fuzz::oracles::check("rebar_config", bytes));
