//! Publishes synthetic packages in a folder with the layout of a Hex repository, for `campaigns/run`.
//!
//! `cargo run --example hex_world -- FOLDER PACKAGES` writes `upstream/` (the repository), `hexpm.pem` (its key) and
//! `lock-lines`: for each release its package, its version and its line of a mix.lock, separated by tabs. Every package
//! has three versions and depends on the package before it. Every tenth package is large.

#[path = "../tests/support/registry.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod registry;
#[path = "../tests/support/upstream.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod upstream;

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

const VERSIONS: [&str; 3] = ["1.0.0", "1.1.0", "2.0.0"];
/// The number of lines in a package's source, and in that of a large package.
const LINES: (usize, usize) = (40, 6_000);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, packages] = &*arguments else { return Err("usage: hex_world FOLDER PACKAGES".into()) };
    let (folder, packages) = (Path::new(folder), packages.parse::<usize>()?);
    let mut registry = registry::Registry::default();
    let mut releases = Vec::new();
    for number in 0..packages {
        let name = format!("package_{number:03}");
        let dependency = number.checked_sub(1).map(|before| format!("package_{before:03} >= 0.0.0"));
        for version in VERSIONS {
            let release = format!("{name} {version}");
            let lines = if number % 10 == 9 { LINES.1 } else { LINES.0 };
            let source = source(number, version, lines)?;
            let files = [(format!("lib/{name}.ex"), source), ("mix.exs".to_owned(), mix_exs(number, version))];
            registry.publish(&release, &dependency.iter().map(String::as_str).collect::<Vec<_>>(), &files);
            releases.push((name.clone(), version, release));
        }
    }
    let server = upstream::TestUpstream::serve(folder.join("upstream"));
    registry.put(&server);
    fs::write(folder.join("hexpm.pem"), registry::key().public_key().to_pem())?;
    let mut text = String::new();
    for (name, version, release) in &releases {
        let lock = registry.mix_lock(&[release]);
        writeln!(text, "{name}\t{version}\t{}", lock.lines().nth(1).ok_or("a lock of one line")?)?;
    }
    Ok(fs::write(folder.join("lock-lines"), text)?)
}

/// Writes a project file that mix accepts.
fn mix_exs(number: usize, version: &str) -> String {
    format!(
        "defmodule Package{number}.MixProject do\n  use Mix.Project\n  def project, do: [app: :package_{number:03}, version: \"{version}\"]\nend\n"
    )
}

/// Writes a source that hardly compresses. Versions differ in few of its lines.
fn source(number: usize, version: &str, lines: usize) -> Result<String, std::fmt::Error> {
    let mut random = fastrand::Rng::with_seed(number as u64);
    let mut text = format!("# package {number} {version}\n");
    for line in 0..lines {
        let word = random.u64(..);
        writeln!(text, "def f{line}, do: {word:016x}{}", if line % 20 == 0 { version } else { "" })?;
    }
    Ok(text)
}
