//! Any bytes, as a tarball, as its contents and as a recipe: no panic, and what is taken apart rebuilds.
#![no_main]

use std::collections::HashMap;

use git_hexmirror::hex::recipe::{self, Recipe};
use git_hexmirror::hex::tarball::{Limits, Tarball};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { tarball: 1 << 20, unpacked: 4 << 20, entries: 1000, ratio: 100 };
    if let Ok(recipe) = String::from_utf8_lossy(bytes).parse::<Recipe>() {
        assert_eq!(recipe.to_string().parse().as_ref(), Ok(&recipe));
        let _ = recipe::rebuild(&recipe, bytes, |_| Ok(b"contents"), &limits);
    }
    let Ok(tarball) = Tarball::open(bytes, &limits) else { return };
    let Ok(unpacked) = recipe::unpack(&tarball, &limits) else { return };
    let files: HashMap<&str, &[u8]> =
        unpacked.files().iter().map(|file| (file.path.as_str(), unpacked.bytes(file))).collect();
    let read = |path: &str| files.get(path).ok_or_else(|| "no such file".into());
    let rebuilt = recipe::rebuild(unpacked.recipe(), tarball.metadata(), read, &limits);
    assert_eq!(rebuilt.expect("unpack proved it"), bytes);
});
