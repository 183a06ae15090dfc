//! The precompiled files that the pinned packages download while they are compiled.
//!
//! No lock names them. They follow from the machines that locks name and from the lists of checksums in the packages,
//! which locks pin.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::hex::artefacts::{Artefact, ChecksumMap, MAX_NEEDED, needed};
use crate::model::{FileChecksum, FileId, FileTrust, Manifest, ReleaseId, Target};

/// A precompiled file that a package needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArtefactPin {
    /// The release whose list has the file.
    pub release: ReleaseId,
    /// The file.
    pub artefact: Artefact,
}

impl fmt::Display for ArtefactPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.artefact.name, self.release)
    }
}

/// A package lists more files for one machine than any that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooManyArtefacts {
    /// The machine.
    pub target: Target,
    /// The number of files.
    pub files: usize,
}

/// Returns the files of a release that some machines need.
///
/// # Errors
/// Fails if a machine would need more than [`MAX_NEEDED`].
pub fn artefact_pins(
    release: &ReleaseId,
    maps: &[ChecksumMap],
    targets: &BTreeSet<Target>,
) -> Result<BTreeSet<ArtefactPin>, TooManyArtefacts> {
    let mut pins = BTreeSet::new();
    for target in targets {
        let of_target: Vec<&Artefact> = maps.iter().flat_map(|map| needed(map, &release.version, target)).collect();
        if of_target.len() > MAX_NEEDED {
            return Err(TooManyArtefacts { target: target.clone(), files: of_target.len() });
        }
        let pin = |artefact: &Artefact| ArtefactPin { release: release.clone(), artefact: artefact.clone() };
        pins.extend(of_target.into_iter().map(pin));
    }
    Ok(pins)
}

/// The precompiled files that a mirror has, at whichever address and under whichever name they were found.
#[derive(Debug)]
pub struct StoredArtefacts<'m>(BTreeMap<FileChecksum, &'m FileId>);

impl<'m> StoredArtefacts<'m> {
    /// Lists those of a manifest.
    pub fn of(manifest: &'m Manifest) -> Self {
        let files = manifest.files.keys().filter(|id| !id.path.is_of_tools());
        Self(files.map(|id| (id.checksum, id)).collect())
    }

    /// Returns the stored file that a precompiled file is, if there is one.
    pub fn find(&self, artefact: &Artefact) -> Option<&'m FileId> {
        self.0.get(&artefact.checksum).copied()
    }

    /// Returns those that are only trusted because a package lists them, and that none of some packages' lists has.
    pub fn unlisted(manifest: &'m Manifest, listed: &BTreeSet<FileChecksum>) -> Vec<&'m FileId> {
        let of_packages = manifest.files.iter().filter(|(_, stored)| stored.trust == FileTrust::Package);
        of_packages.map(|(id, _)| id).filter(|id| !listed.contains(&id.checksum)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Comparison, Wanted};

    fn map(count: usize) -> ChecksumMap {
        let line = |number: usize| {
            let sum = format!("{number:064x}");
            format!("\"libx-v1.0.0-nif-2.15-x86_64-unknown-linux-gnu--v{number}.so.tar.gz\" => \"sha256:{sum}\",\n")
        };
        let text = format!("%{{{}}}", (0..count).map(line).collect::<String>());
        ChecksumMap::parse("checksum-Elixir.X.exs", text.as_bytes()).unwrap().unwrap()
    }

    fn release() -> ReleaseId {
        let [repository, package, version] = ["hexpm", "x", "1.0.0"];
        ReleaseId {
            repository: repository.parse().unwrap(),
            package: package.parse().unwrap(),
            version: version.parse().unwrap(),
        }
    }

    #[test]
    fn a_mirror_is_fresh_if_it_has_the_files_of_all_machines() {
        let targets = ["x86_64-linux-gnu nif 2.16", "aarch64-darwin nif 2.16"].map(|text| text.parse().unwrap());
        let pins = artefact_pins(&release(), &[map(1)], &targets.into()).unwrap();
        assert_eq!(pins.len(), 1);
        let name = "libx-v1.0.0-nif-2.15-x86_64-unknown-linux-gnu--v0.so.tar.gz";
        let sum = "0".repeat(64);
        for (line, is_fresh) in [
            (String::new(), false),
            (format!("file downloads/h/{name} {sum} 7 package https://h/{name}\n"), true),
            (format!("file downloads/other/at/{name} {sum} 7 first-use:2026-11-28 https://other/at/{name}\n"), true),
            (format!("file downloads/h/{name} {} 7 package https://h/{name}\n", "1".repeat(64)), false),
            (format!("file downloads/h/x {sum} 7 package https://h/x\n"), true),
        ] {
            let manifest: Manifest = line.parse().unwrap();
            let comparison = Comparison::new(&Wanted::default(), &manifest).with_artefacts(&pins, &manifest);
            assert_eq!((comparison.is_fresh(), comparison.files_present), (is_fresh, usize::from(is_fresh)), "{line}");
            let lacking: Vec<String> = (!is_fresh).then(|| format!("{name} of x 1.0.0")).into_iter().collect();
            assert_eq!(comparison.lacking(), lacking);
        }
    }

    #[test]
    fn only_so_many_files_are_needed_by_one_machine() {
        let targets: BTreeSet<Target> = ["x86_64-linux-gnu nif 2.16".parse().unwrap()].into();
        assert_eq!(artefact_pins(&release(), &[map(MAX_NEEDED)], &targets).unwrap().len(), MAX_NEEDED);
        let error = artefact_pins(&release(), &[map(10_000)], &targets).unwrap_err();
        assert_eq!((error.files, error.target.to_string().as_str()), (10_000, "x86_64-linux-gnu nif 2.16"));
        assert!(artefact_pins(&release(), &[map(10_000)], &BTreeSet::new()).unwrap().is_empty());
    }
}
