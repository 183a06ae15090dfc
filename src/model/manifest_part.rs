//! The files that a manifest is divided into, so that an update rewrites only those whose content changes, and a reader
//! of some packages reads only theirs.
//!
//! Each line of the manifest is in exactly one part: the lines about packages are in the part of their package's shard.
//! The lines of a part are sorted. A part without lines does not exist, except that of git: every manifest has it, so that
//! an empty manifest differs from a missing one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::manifest::{self, ManifestError};
use super::{Manifest, PackageName, Shard, ShardError};

/// A part of a manifest. As text, it is the name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ManifestPart {
    /// The releases, registry entries and absent entries of the packages of a shard.
    Packages(Shard),
    /// The git repositories.
    Git,
    /// The pinned index.
    Index,
    /// The signers of repositories.
    Signers,
}

impl ManifestPart {
    /// Returns the part with the lines about a package.
    pub fn of(package: &PackageName) -> Self {
        Self::Packages(Shard::of(package))
    }

    /// Returns all parts that a manifest can have.
    pub fn all() -> impl Iterator<Item = Self> {
        Shard::all().map(Self::Packages).chain([Self::Git, Self::Index, Self::Signers])
    }
}

impl fmt::Display for ManifestPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packages(shard) => shard.fmt(f),
            Self::Git => f.write_str("git"),
            Self::Index => f.write_str("index"),
            Self::Signers => f.write_str("signers"),
        }
    }
}

impl FromStr for ManifestPart {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        match text {
            "git" => Ok(Self::Git),
            "index" => Ok(Self::Index),
            "signers" => Ok(Self::Signers),
            shard => shard.parse().map(Self::Packages),
        }
    }
}

impl Manifest {
    /// Returns the parts that exist.
    pub fn parts(&self) -> BTreeSet<ManifestPart> {
        let packages = self.releases.keys().map(|id| &id.package);
        let packages = packages.chain(self.entries.keys().chain(&self.absent).map(|id| &id.package));
        let mut parts: BTreeSet<_> = packages.map(ManifestPart::of).collect();
        parts.insert(ManifestPart::Git);
        let has_index = !(self.index.is_empty() && self.index_signers.is_empty());
        parts.extend(has_index.then_some(ManifestPart::Index));
        parts.extend((!self.signers.is_empty()).then_some(ManifestPart::Signers));
        parts
    }

    /// Returns the text of each of these parts that exists.
    pub fn texts(&self, parts: &BTreeSet<ManifestPart>) -> BTreeMap<ManifestPart, String> {
        let mut lines = BTreeMap::<ManifestPart, Vec<String>>::new();
        let mut add = |part, line: &dyn Fn() -> String| {
            if parts.contains(&part) {
                lines.entry(part).or_default().push(line());
            }
        };
        for (id, stored) in &self.releases {
            add(ManifestPart::of(&id.package), &|| manifest::of_release(id, stored));
        }
        for (id, stored) in &self.entries {
            add(ManifestPart::of(&id.package), &|| manifest::of_entry(id, stored));
        }
        for id in &self.absent {
            add(ManifestPart::of(&id.package), &|| manifest::of_absent(id));
        }
        for (repository, fingerprint) in &self.signers {
            add(ManifestPart::Signers, &|| manifest::of_signer(repository, fingerprint));
        }
        for (id, source) in &self.index {
            add(ManifestPart::Index, &|| manifest::of_index(id, *source));
        }
        for (repository, fingerprint) in &self.index_signers {
            add(ManifestPart::Index, &|| manifest::of_index_signer(repository, fingerprint));
        }
        if parts.contains(&ManifestPart::Git) {
            let of_git = self.git.iter().flat_map(|(address, stored)| stored.lines(address));
            lines.insert(ManifestPart::Git, of_git.collect());
        }
        lines.into_iter().map(|(part, lines)| (part, manifest::sorted(lines))).collect()
    }

    /// Parses the text of a part. Its lines must belong to the part, be in order, and have their only spelling.
    ///
    /// # Errors
    /// Fails with the first line that differs from what this program writes.
    pub fn parse_part(part: ManifestPart, text: &str) -> Result<Self, ManifestError> {
        let read = Self::read_lines(text)?;
        let written = read.texts(&BTreeSet::from([part])).remove(&part).unwrap_or_default();
        manifest::check_spelling(text, &written)?;
        if text.is_empty() && part != ManifestPart::Git {
            Err(ManifestError { line: 1, text: String::new() })
        } else {
            Ok(read)
        }
    }

    /// Combines the parts of a manifest.
    pub fn combined<'p>(parts: impl IntoIterator<Item = &'p Self>) -> Self {
        let parts: Vec<&Self> = parts.into_iter().collect();
        // Collecting builds each map once, in order, instead of searching it for each line.
        macro_rules! all {
            ($field:ident) => {
                parts.iter().flat_map(|part| &part.$field).map(|(id, stored)| (id.clone(), stored.clone())).collect()
            };
        }
        Self {
            releases: all!(releases),
            entries: all!(entries),
            signers: all!(signers),
            absent: parts.iter().flat_map(|part| &part.absent).cloned().collect(),
            index: all!(index),
            index_signers: all!(index_signers),
            git: all!(git),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> BTreeSet<ManifestPart> {
        ManifestPart::all().collect()
    }

    /// Has lines of every kind. `alpha` is in the shard `8e`, `beta` in `f4`, `gamma` in `be`.
    fn manifest() -> Manifest {
        let (sum, pack) = ("a".repeat(64), "c".repeat(40));
        let text = format!(
            "absent hexpm gamma\ngit h/x {pack} full HEAD\nhex acme alpha 1.0.0 unpacked 1 {sum} {sum}\n\
             hex hexpm alpha 1.0.0 unpacked 1 {sum} {sum}\nhex hexpm alpha 2.0.0 tarball 1 {sum} {sum}\n\
             hex hexpm beta 1.0.0 unpacked 1 {sum} {sum}\n\
             index hexpm alpha {sum}\nindex-signer hexpm SHA256:O1LOYhHFW4kcrblKAxROaDEzLD8bn1seWbe5tq8TRsk\npack h/x {pack} 7\nregistry hexpm alpha 1 {sum}\n\
             signer hexpm SHA256:O1LOYhHFW4kcrblKAxROaDEzLD8bn1seWbe5tq8TRsk\n"
        );
        text.parse().unwrap()
    }

    #[test]
    fn every_line_is_in_one_part() {
        let (manifest, texts) = (manifest(), manifest().texts(&all()));
        let names: Vec<String> = texts.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["8e", "be", "f4", "git", "index", "signers"]);
        let mut lines: Vec<&str> = texts.values().flat_map(|text| text.split_inclusive('\n')).collect();
        lines.sort_unstable();
        assert_eq!(lines.concat(), manifest.to_string());
        let parts: Vec<_> = texts.iter().map(|(part, text)| Manifest::parse_part(*part, text).unwrap()).collect();
        assert_eq!(Manifest::combined(&parts), manifest);
        assert_eq!(Manifest::combined([]), Manifest::default());
    }

    #[test]
    fn a_part_accepts_only_its_own_lines_in_their_only_spelling() {
        let texts = manifest().texts(&all());
        for (part, text) in &texts {
            for other in ManifestPart::all().filter(|other| other != part) {
                assert!(Manifest::parse_part(other, text).is_err(), "{part} as {other}");
            }
            let (first, rest) = text.split_once('\n').unwrap();
            assert_eq!(Manifest::parse_part(*part, "").is_ok(), *part == ManifestPart::Git);
            for wrong in [text.replace(' ', "  "), format!("{text}\n"), format!("{rest}{first}")] {
                assert!(Manifest::parse_part(*part, &wrong).is_err(), "{part}: {wrong}");
            }
        }
        let alpha = &texts[&"8e".parse().unwrap()];
        let foreign = alpha.clone() + &texts[&"f4".parse().unwrap()];
        let mut lines: Vec<&str> = foreign.split_inclusive('\n').collect();
        lines.sort_unstable();
        assert_eq!(Manifest::parse_part("8e".parse().unwrap(), &lines.concat()).unwrap_err().line, 4);
    }

    #[test]
    fn names_are_read_back() {
        assert!(ManifestPart::all().all(|part| part.to_string().parse() == Ok(part)));
        assert!(["Git", "sign", "", "8E", "README"].iter().all(|name| name.parse::<ManifestPart>().is_err()));
    }
}
