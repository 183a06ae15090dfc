//! The files that a manifest is divided into, so that an update rewrites only those whose content changes, and a reader
//! of some packages reads only theirs.
//!
//! Each line of the manifest is in exactly one part: the lines about packages are in the part of their package's shard.
//! The lines of a part are sorted. A part without lines does not exist, except that of git: every manifest has it, so that
//! an empty manifest differs from a missing one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::manifest::{ManifestError, Subject};
use super::{Manifest, PackageName, Shard, ShardError, manifest_line};

/// A part of a manifest. As text, it is the name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ManifestPart {
    /// The releases, registry entries, absent entries and entries in the pinned index of the packages of a shard.
    Packages(Shard),
    /// The git repositories.
    Git,
    /// The signers of pinned indexes.
    Index,
    /// The policies.
    Policies,
    /// The files.
    Files,
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
        Shard::all().map(Self::Packages).chain(Self::besides_packages())
    }

    /// Returns the parts that are not about packages.
    pub fn besides_packages() -> impl Iterator<Item = Self> {
        [Self::Git, Self::Index, Self::Policies, Self::Files, Self::Signers].into_iter()
    }
}

impl fmt::Display for ManifestPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packages(shard) => shard.fmt(f),
            Self::Git => f.write_str("git"),
            Self::Index => f.write_str("index"),
            Self::Policies => f.write_str("policies"),
            Self::Files => f.write_str("files"),
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
            "policies" => Ok(Self::Policies),
            "files" => Ok(Self::Files),
            "signers" => Ok(Self::Signers),
            shard => shard.parse().map(Self::Packages),
        }
    }
}

impl Manifest {
    /// Returns the parts that exist.
    pub fn parts(&self) -> BTreeSet<ManifestPart> {
        let packages = self.releases.keys().map(|id| &id.package);
        let listed = self.entries.keys().chain(&self.absent).chain(self.index.keys());
        let packages = packages.chain(listed.map(|id| &id.package));
        let mut parts: BTreeSet<_> = packages.map(ManifestPart::of).collect();
        parts.insert(ManifestPart::Git);
        parts.extend((!self.index_signers.is_empty()).then_some(ManifestPart::Index));
        parts.extend((!self.policies.is_empty()).then_some(ManifestPart::Policies));
        parts.extend((!self.files.is_empty()).then_some(ManifestPart::Files));
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
            add(ManifestPart::of(&id.package), &|| manifest_line::of_release(id, stored));
        }
        for (id, stored) in &self.entries {
            add(ManifestPart::of(&id.package), &|| manifest_line::of_entry(id, stored));
        }
        for id in &self.absent {
            add(ManifestPart::of(&id.package), &|| manifest_line::of_absent(id));
        }
        for (id, stored) in &self.policies {
            add(ManifestPart::Policies, &|| manifest_line::of_policy(id, stored));
        }
        for (id, stored) in &self.files {
            add(ManifestPart::Files, &|| manifest_line::of_file(id, stored));
        }
        for (repository, fingerprint) in &self.signers {
            add(ManifestPart::Signers, &|| manifest_line::of_signer(repository, fingerprint));
        }
        for (id, source) in &self.index {
            add(ManifestPart::of(&id.package), &|| manifest_line::of_index(id, *source));
        }
        for (repository, fingerprint) in &self.index_signers {
            add(ManifestPart::Index, &|| manifest_line::of_index_signer(repository, fingerprint));
        }
        if parts.contains(&ManifestPart::Git) {
            let of_git = self.git.iter().flat_map(|(address, stored)| stored.lines(address));
            lines.insert(ManifestPart::Git, of_git.collect());
        }
        lines.into_iter().map(|(part, lines)| (part, manifest_line::sorted(lines))).collect()
    }

    /// Parses the text of a part. Its lines must belong to the part, be in order, and have their only spelling.
    ///
    /// # Errors
    /// Fails with the first line that differs from what this program writes.
    pub fn parse_part(part: ManifestPart, text: &str) -> Result<Self, ManifestError> {
        if text.is_empty() && part != ManifestPart::Git {
            return Err(ManifestError { line: 1, text: String::new() });
        }
        Self::read_lines(text, |subject| match subject {
            Subject::Package(name) => part == ManifestPart::Packages(Shard::of_name(name)),
            Subject::Git => part == ManifestPart::Git,
            Subject::Index => part == ManifestPart::Index,
            Subject::Files => part == ManifestPart::Files,
            Subject::Policies => part == ManifestPart::Policies,
            Subject::Signers => part == ManifestPart::Signers,
        })
    }

    /// Adds a part that has no lines in common with this manifest.
    pub fn extend(&mut self, part: Self) {
        self.releases.extend(part.releases);
        self.entries.extend(part.entries);
        self.signers.extend(part.signers);
        self.policies.extend(part.policies);
        self.files.extend(part.files);
        self.absent.extend(part.absent);
        self.index.extend(part.index);
        self.index_signers.extend(part.index_signers);
        self.git.extend(part.git);
    }

    /// Combines the parts of a manifest.
    pub fn combined(parts: impl IntoIterator<Item = Arc<Self>>) -> Self {
        let mut combined = Self::default();
        let parts: Vec<Self> = parts.into_iter().map(Arc::unwrap_or_clone).collect();
        // Collecting builds each map once, in order, instead of searching it for each line.
        macro_rules! all {
            ($($field:ident),*) => {
                $(let mut $field = Vec::new();)*
                for part in parts {
                    $($field.extend(part.$field);)*
                }
                $(combined.$field = $field.into_iter().collect();)*
            };
        }
        all!(releases, entries, policies, files, signers, absent, index, index_signers, git);
        combined
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
            "absent hexpm gamma\nfile downloads/h/x {sum} 7 lock https://h/x\ngit h/x {pack} full HEAD\nhex acme alpha 1.0.0 unpacked 1 {sum} {sum}\n\
             hex hexpm alpha 1.0.0 unpacked 1 {sum} {sum}\nhex hexpm alpha 2.0.0 tarball 1 {sum} {sum}\n\
             hex hexpm beta 1.0.0 unpacked 1 {sum} {sum}\n\
             index hexpm alpha {sum}\nindex-signer hexpm SHA256:O1LOYhHFW4kcrblKAxROaDEzLD8bn1seWbe5tq8TRsk\npack h/x {pack} 7\npolicy acme strict 1 {sum}\nregistry hexpm alpha 1 {sum}\n\
             signer hexpm SHA256:O1LOYhHFW4kcrblKAxROaDEzLD8bn1seWbe5tq8TRsk\n"
        );
        text.parse().unwrap()
    }

    #[test]
    fn every_line_is_in_one_part() {
        let (manifest, texts) = (manifest(), manifest().texts(&all()));
        let names: Vec<String> = texts.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["8e", "be", "f4", "git", "index", "policies", "files", "signers"]);
        let mut lines: Vec<&str> = texts.values().flat_map(|text| text.split_inclusive('\n')).collect();
        lines.sort_unstable();
        assert_eq!(lines.concat(), manifest.to_string());
        let parts: Vec<_> =
            texts.iter().map(|(part, text)| Arc::new(Manifest::parse_part(*part, text).unwrap())).collect();
        assert_eq!(Manifest::combined(parts), manifest);
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
