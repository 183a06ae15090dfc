//! The precompiled files that packages download while they are compiled.
//!
//! A package that uses rustler_precompiled, elixir_make or XLA lists the SHA-256 of each file that it may download in a
//! file of its own, a [`ChecksumMap`]. The machine decides which of them it needs ([`needed`]). Where they are published is
//! in the package's code, which is read but never evaluated ([`addresses`]).

mod address;
mod map;
mod name;

pub use address::{PackageTexts, addresses};
pub use map::{ChecksumMap, ChecksumMapError, is_map};
pub use name::{ArtefactKind, ArtefactName};

use crate::model::{FileChecksum, Target, Version};

/// The maximum number of files of one package that a machine needs. rustler_precompiled's packages have one for each
/// module with native code and each variant of the platform.
pub const MAX_NEEDED: usize = 64;

/// A precompiled file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Artefact {
    /// The name of the file.
    pub name: ArtefactName,
    /// Its SHA-256.
    pub checksum: FileChecksum,
}

/// Returns the files of a map that a machine needs: those of the package's version, or of all versions that the map has if
/// the native code has versions of its own. As the clients do, takes those for the machine's NIF version or, if
/// there are none, for the highest one below (`find_compatible_nif_version/2` in `RustlerPrecompiled`,
/// `fallback_version/1` in `ElixirMake.Artefact`). All variants of a platform are needed, because the client chooses
/// one when it runs.
pub fn needed<'m>(map: &'m ChecksumMap, version: &Version, target: &Target) -> Vec<&'m Artefact> {
    let has_version = map.artefacts.iter().any(|artefact| artefact.name.version == *version);
    let is_of_version = |artefact: &Artefact| !has_version || artefact.name.version == *version;
    let fits = |artefact: &&Artefact| artefact.name.is_for(target) && is_of_version(artefact);
    let fitting: Vec<&Artefact> = map.artefacts.iter().filter(fits).collect();
    let is_best = |artefact: &&&Artefact| {
        let better =
            |other: &&Artefact| other.name.family() == artefact.name.family() && other.name.nif > artefact.name.nif;
        !fitting.iter().any(better)
    };
    fitting.iter().filter(is_best).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], target: &str) -> Vec<String> {
        let sum = "a".repeat(64);
        let pairs: String = names.iter().map(|name| format!("\"{name}\" => \"sha256:{sum}\",\n")).collect();
        let map = ChecksumMap::parse("checksum.exs", format!("%{{\n{pairs}}}\n").as_bytes()).unwrap().unwrap();
        let needed = needed(&map, &"0.1.0".parse().unwrap(), &target.parse().unwrap());
        needed.into_iter().map(|artefact| artefact.name.to_string()).collect()
    }

    #[test]
    fn the_highest_nif_version_that_the_machine_loads_is_needed() {
        let names = [
            "libx-v0.1.0-nif-2.15-x86_64-unknown-linux-gnu--old_glibc.so.tar.gz",
            "libx-v0.1.0-nif-2.15-x86_64-unknown-linux-gnu.so.tar.gz",
            "libx-v0.1.0-nif-2.16-x86_64-unknown-linux-gnu--old_glibc.so.tar.gz",
            "libx-v0.1.0-nif-2.16-x86_64-unknown-linux-gnu.so.tar.gz",
            "libx-v0.1.0-nif-2.16-aarch64-apple-darwin.so.tar.gz",
            "liby-v0.1.0-nif-2.15-x86_64-unknown-linux-gnu.so.tar.gz",
            "x-nif-2.17-x86_64-linux-gnu-0.1.0.tar.gz",
            "x-nif-2.17-x86_64-linux-gnu-0.2.0.tar.gz",
        ];
        assert_eq!(chosen(&names, "x86_64-linux-gnu nif 2.16"), [names[2], names[3], names[5]]);
        assert_eq!(chosen(&names, "x86_64-linux-gnu nif 2.18"), [names[2], names[3], names[5], names[6]]);
        assert_eq!(chosen(&names, "x86_64-linux-gnu nif 2.15"), [names[0], names[1], names[5]]);
        assert_eq!(chosen(&names, "aarch64-darwin nif 2.17"), [names[4]]);
        for none in ["aarch64-darwin nif 2.15", "x86_64-linux-musl nif 2.16", "x86_64-linux-gnu nif 3.16"] {
            assert!(chosen(&names, none).is_empty(), "{none}");
        }
    }

    #[test]
    fn native_code_can_have_a_version_of_its_own() {
        let names = [
            "libx-v0.0.9-nif-2.15-x86_64-unknown-linux-gnu.so.tar.gz",
            "libx-v0.0.9-nif-2.16-x86_64-unknown-linux-gnu.so.tar.gz",
        ];
        assert_eq!(chosen(&names, "x86_64-linux-gnu nif 2.16"), [names[1]]);
    }

    #[test]
    fn an_accelerator_has_a_file_of_its_own() {
        let names =
            ["xla_extension-0.1.0-x86_64-linux-gnu-cpu.tar.gz", "xla_extension-0.1.0-x86_64-linux-gnu-cuda12.tar.gz"];
        assert_eq!(chosen(&names, "x86_64-linux-gnu nif 2.16"), [names[0]]);
        assert_eq!(chosen(&names, "x86_64-linux-gnu nif 2.16 xla cuda12"), [names[1]]);
        assert!(chosen(&names, "x86_64-linux-gnu nif 2.16 xla cuda13").is_empty());
        assert!(chosen(&names, "x86_64-darwin nif 2.16").is_empty());
    }
}
