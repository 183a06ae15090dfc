//! The documentation that locks pin, among everything else that they do.

use std::collections::{BTreeMap, BTreeSet};

use super::{DocsPin, FilePin, Wanted};
use crate::lock::{DocsFile, DocsSource, LockError};
use crate::model::{FileId, FilePath, ReleaseId, StoredFile};

impl Wanted {
    /// Adds what a lock says about the documentation of a release. A file counts more than that there was none, because
    /// documentation can be published later.
    pub(super) fn add_docs(&mut self, source: &DocsSource) -> Result<(), LockError> {
        let (release, pin) = DocsPin::of(source)?;
        match (self.docs.get(&release), &pin) {
            (Some(DocsPin::File(one)), DocsPin::File(other)) if one.id != other.id => {
                let span = match &source.file {
                    DocsFile::Pinned { checksum, .. } => checksum.span,
                    DocsFile::Absent(_) => source.version.span,
                };
                return Err(LockError {
                    message: format!("the documentation of {release} is locked twice, with different checksums"),
                    label: format!("another entry has {}", one.id.checksum),
                    span,
                });
            }
            (Some(DocsPin::File(_)), _) => {}
            _ => drop(self.docs.insert(release, pin)),
        }
        Ok(())
    }

    /// Requires the documentation of all releases of hexpm and its organisations.
    pub fn require_docs(&mut self) {
        let has_docs = |id: &&ReleaseId| FilePath::of_docs(id).is_some() && !self.docs.contains_key(*id);
        self.unpinned_docs = self.releases.keys().filter(has_docs).cloned().collect();
    }

    /// Replaces the pins of documentation.
    #[must_use]
    pub fn with_docs(self, docs: &BTreeMap<ReleaseId, DocsPin>) -> Self {
        if docs.is_empty() {
            return self;
        }
        Self { docs: docs.clone(), unpinned_docs: BTreeSet::new(), ..self }
    }

    /// Returns the pinned documentation of pinned releases. That of others is of no use.
    pub fn docs_files(&self) -> impl Iterator<Item = &FilePin> {
        self.docs.iter().filter(|(release, _)| self.releases.contains_key(*release)).filter_map(|(_, pin)| pin.file())
    }

    /// Returns all pinned files: those that an entry names, and documentation.
    pub fn all_files(&self) -> impl Iterator<Item = &FilePin> {
        self.files.values().chain(self.docs_files())
    }

    /// Lets what locks say about their files count, instead of what a mirror records: a lock can be changed after a file was stored.
    pub fn apply_trust(&self, files: &mut BTreeMap<FileId, StoredFile>) {
        for pin in self.all_files() {
            if let Some(stored) = files.get_mut(&pin.id) {
                stored.trust = pin.trust;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Lock;
    use crate::model::Manifest;
    use crate::plan::{Comparison, Needed, Pruning};

    fn wanted(locks: &[(&str, String)]) -> Wanted {
        let mut wanted = Wanted::default();
        locks.iter().for_each(|(file, text)| wanted.add(&Lock::parse(file, text.clone()).unwrap()).unwrap());
        wanted
    }

    fn mix(packages: &[&str]) -> (&'static str, String) {
        let entry =
            |name: &&str| format!(r#""{name}": {{:hex, :{name}, "1.0.0", "{}", [:mix], [], "hexpm"}}"#, "a".repeat(64));
        ("mix.lock", format!("%{{{}}}", packages.iter().map(entry).collect::<Vec<_>>().join(", ")))
    }

    #[test]
    fn lines_are_read_back() {
        let sum = "a".repeat(64);
        for line in [
            format!("docs hexpm x 1.0.0 {sum} 7"),
            format!("docs hexpm:acme x 1.0.0-rc.1+b {sum} 7 first-use 2026-11-28"),
            "docs hexpm x 1.0.0 none 2026-11-28".to_owned(),
        ] {
            let wanted = wanted(&[("hexmirror.lock", format!("{line}\n"))]);
            assert_eq!(wanted.docs.iter().map(|(id, pin)| pin.line(id)).collect::<Vec<_>>(), [line]);
        }
    }

    #[test]
    fn hostile_entries_are_marked() {
        let sum = "a".repeat(64);
        for (line, marked) in [
            (format!("docs acme x 1.0.0 {sum} 7"), "acme"),
            (format!("docs hexpm ../x 1.0.0 {sum} 7"), "../x"),
            (format!("docs hexpm x 1 {sum} 7"), "1"),
            ("docs hexpm x 1.0.0 12 7".to_owned(), "12"),
            (format!("docs hexpm x 1.0.0 {sum} 7 first-use today"), "today"),
            ("docs hexpm x 1.0.0 none today".to_owned(), "today"),
            (format!("docs hexpm x 1.0.0 {sum} 7\ndocs hexpm x 1.0.0 {} 7", "b".repeat(64)), &"b".repeat(64)),
        ] {
            let lock = Lock::parse("hexmirror.lock", line.clone()).unwrap();
            let error = Wanted::default().add(&lock).expect_err(&line);
            assert_eq!(&line[error.span.range()], marked, "{line}");
        }
    }

    #[test]
    fn documentation_is_required_of_pinned_releases_alone() {
        let sum = "a".repeat(64);
        let lock =
            format!("docs hexpm gone 1.0.0 {sum} 7\ndocs hexpm x 1.0.0 {sum} 7\ndocs hexpm y 1.0.0 none 2026-11-28\n");
        let mut wanted = wanted(&[mix(&["x", "y", "z"]), ("hexmirror.lock", lock)]);
        let lacking = |wanted: &Wanted| {
            let comparison = Comparison::new(wanted, &Manifest::default());
            let unpinned = comparison.unpinned_docs.iter().map(ToString::to_string);
            comparison.files.iter().map(|pin| pin.id.to_string()).chain(unpinned).collect::<Vec<_>>()
        };
        assert_eq!(lacking(&wanted), ["docs/x-1.0.0.tar.gz"]);
        wanted.require_docs();
        assert_eq!(lacking(&wanted), ["docs/x-1.0.0.tar.gz", "z 1.0.0"]);
    }

    #[test]
    fn documentation_is_pruned_with_its_release() {
        let line = |package: &str| {
            let path = format!("docs/{package}-1.0.0.tar.gz");
            format!("file {path} {} 7 first-use:2026-11-28 https://repo.hex.pm/{path} unpacked\n", "a".repeat(64))
        };
        let manifest: Manifest = [line("gone"), line("x")].concat().parse().unwrap();
        let entry = |package: &str| format!("docs hexpm {package} 1.0.0 {} 7 first-use 2026-11-28\n", "a".repeat(64));
        let mut needed = Needed::default();
        // Prune reads each lock on its own.
        for lock in [mix(&["x"]), ("hexmirror.lock", entry("gone") + &entry("x"))] {
            needed.add(&wanted(&[lock]));
        }
        let pruned: Vec<String> = Pruning::new(&manifest, needed).files.keys().map(ToString::to_string).collect();
        assert_eq!(pruned, ["docs/gone-1.0.0.tar.gz"]);
    }
}
