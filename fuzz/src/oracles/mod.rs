//! The oracles: what must hold for every parser of untrusted input. An oracle takes arbitrary bytes and panics if the
//! program handles them incorrectly. No oracle only checks that the program does not crash.
//!
//! Each oracle is a function. The fuzz target of the same name (`fuzz_targets/`) calls it, and so does the package's
//! `tests/formats/fuzz`, which includes this folder and passes each oracle the seeds in `fuzz/seeds` and thousands of mutations
//! of them.

mod archives;
mod artefacts;
mod build_files;
mod config;
mod git;
mod gzip;
mod manifest;
mod model;
mod registry;
mod requests;
pub mod seal;
mod terms;

/// An oracle and the location of its seeds.
pub struct Target {
    /// The name of the fuzz target.
    pub name: &'static str,
    /// The oracle.
    pub check: fn(&[u8]),
    /// Folders with one seed per file, relative to the package's root. Files for other purposes in these folders serve
    /// as seeds, too.
    pub seeds: &'static [&'static str],
}

macro_rules! targets {
    ($($name:literal: $check:path, [$($seeds:literal),*];)*) => {
        /// All targets.
        pub const TARGETS: &[Target] =
            &[$(Target { name: $name, check: $check, seeds: &[concat!("fuzz/seeds/", $name), $($seeds),*] }),*];
    };
}

targets! {
    "artefacts": artefacts::artefacts, [];
    "asset_archive": build_files::asset_archive, [];
    "asset_config": build_files::asset_config, [];
    "config": config::config, [];
    "contents": archives::contents, [];
    "git_body": requests::git_body, [];
    "git_lock": git::lock, [];
    "git_name": git::name, [];
    "gzip": gzip::gzip, [];
    "hosts": requests::hosts, [];
    "installers": build_files::installers, [];
    "lock": terms::lock, ["fixtures/locks"];
    "manifest": manifest::manifest, [];
    "model": model::model, [];
    "npm": build_files::npm, ["fixtures/keys"];
    "package": registry::package, [];
    "packed_refs": manifest::packed_refs, [];
    "ranges": requests::ranges, [];
    "rebar_config": build_files::rebar_config, ["fixtures/locks"];
    "recipe": archives::recipe, [];
    "registry": registry::registry, [];
    "routes": requests::routes, [];
    "submodule": git::submodule, [];
    "tarball": archives::tarball, ["fixtures/tarballs"];
    "term_elixir": terms::elixir, ["fixtures/locks"];
    "term_erlang": terms::erlang, ["fixtures/locks"];
    "ustar": archives::ustar, ["fuzz/seeds/recipe"];
}

/// Calls the oracle with this name.
///
/// # Panics
/// Panics if there is no such oracle, or if the program handles `bytes` incorrectly.
pub fn check(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of that name");
    (target.check)(bytes);
}

/// Reads values from the front of a byte string. At its end, all values are zero or empty.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        let (byte, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *byte
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn number(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// Reads as many bytes as the first one states.
    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        self.exactly(length)
    }

    fn exactly(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// Reads up to 15 values.
    fn several<T>(&mut self, mut value: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.byte() & 15).map(|_| value(self)).collect()
    }
}
