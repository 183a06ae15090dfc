//! Publishes synthetic packages in a folder with the layout of a Hex repository, for `benches/growth.sh`,
//! `benches/index.sh` and `benches/pulls.sh`.
//!
//! `cargo run --example synthetic_upstream -- FOLDER PACKAGES` writes `upstream/` (the repository), `private_key` (which
//! signs it), `mix.lock`, and `next/` and `next.lock` with a patch release of one package.

#[path = "../../tests/support/synthetic.rs"]
#[allow(dead_code, reason = "others use the rest")]
mod synthetic;

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, packages] = &*arguments else { return Err("usage: synthetic_upstream FOLDER PACKAGES".into()) };
    synthetic::upstream(Path::new(folder), packages.parse()?)
}
