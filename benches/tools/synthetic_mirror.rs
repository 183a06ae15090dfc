//! Fills the mirror branch of a new repository with synthetic packages, without an upstream, for `benches/figures.sh`.
//!
//! `cargo run --example synthetic_mirror -- FOLDER PACKAGES [PINNED]` creates a repository in FOLDER with a mirror of
//! this many packages, and a mix.lock that pins the first PINNED of them (by default all).

#[path = "../../tests/support/synthetic.rs"]
#[allow(dead_code, reason = "others use the rest")]
mod synthetic;

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, packages, rest @ ..] = &*arguments else {
        return Err("usage: synthetic_mirror FOLDER PACKAGES [PINNED]".into());
    };
    let packages = packages.parse()?;
    let pinned = rest.first().map_or(Ok(packages), |text| text.parse())?;
    synthetic::mirror(Path::new(folder), packages, pinned)
}
