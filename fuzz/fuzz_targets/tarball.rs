#![no_main]

use git_hexmirror_fuzz::oracles::{check, seal};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check("tarball", bytes));

// The checksums would expose almost every mutation, so they are usually rewritten.
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    if seed % 8 != 0 {
        seal::seal_tarball(&mut data[..size]);
    }
    size
});
