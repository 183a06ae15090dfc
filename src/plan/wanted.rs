//! What locks pin, validated: from here on, names and versions are safe in paths and addresses.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Display;
use std::str::FromStr;

use crate::lock::{HexSource, Located, Lock, LockError, Source};
use crate::model::{InnerChecksum, OuterChecksum, ReleaseId, RepositoryName};

/// A release that a lock pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The release.
    pub id: ReleaseId,
    /// The inner checksum that the lock demands; locks of before 2015 have none.
    pub inner: Option<InnerChecksum>,
    /// The outer checksum that the lock demands; locks of before 2019 have none.
    pub outer: Option<OuterChecksum>,
}

/// A revision of a git repository that a lock pins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GitPin {
    /// The application.
    pub app: String,
    /// The repository's address, as the lock has it.
    pub url: String,
    /// The commit; a rebar.lock written by hand may have none.
    pub revision: Option<String>,
}

/// A dependency of a kind that this program does not know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ignored {
    /// The application.
    pub app: String,
    /// The kind, such as `hg`.
    pub kind: String,
}

/// What some locks pin, together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The releases.
    pub releases: BTreeMap<ReleaseId, Pin>,
    /// The git repositories.
    pub git: Vec<GitPin>,
    /// The rest.
    pub ignored: Vec<Ignored>,
}

impl Wanted {
    /// Adds what a lock pins.
    ///
    /// # Errors
    /// Fails where a name, a version or a checksum is not valid, and where the lock contradicts one that was added before.
    pub fn add(&mut self, lock: &Lock) -> Result<(), LockError> {
        for entry in &lock.entries {
            let app = entry.app.text.clone();
            match &entry.source {
                Source::Hex(source) => {
                    self.add_pin(pin(source)?, source)?;
                }
                Source::Package { version } => {
                    let package = valid(&entry.app, "this is not a package's name")?;
                    let version = valid(version, "this is not a version")?;
                    let id = ReleaseId { repository: RepositoryName::hexpm(), package, version };
                    self.releases.entry(id.clone()).or_insert(Pin { id, inner: None, outer: None });
                }
                Source::Git(source) => {
                    let revision = source.revision.as_ref().map(|revision| revision.text.clone());
                    self.git.push(GitPin { app, url: source.url.text.clone(), revision });
                }
                Source::Unknown { kind } => self.ignored.push(Ignored { app, kind: kind.clone() }),
            }
        }
        self.git.sort();
        self.git.dedup();
        self.ignored.sort();
        self.ignored.dedup();
        Ok(())
    }

    /// Adds a pin, or what one knows more than another of the same release.
    fn add_pin(&mut self, pin: Pin, source: &HexSource) -> Result<(), LockError> {
        match self.releases.entry(pin.id.clone()) {
            Entry::Vacant(place) => drop(place.insert(pin)),
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                let differ = |other: &dyn Display, at: &Option<Located>| {
                    Err(LockError {
                        message: format!("{} is locked twice, with different checksums", pin.id),
                        label: format!("another lock has {other}"),
                        span: at.as_ref().map_or(source.version.span, |located| located.span),
                    })
                };
                match (known.outer, pin.outer) {
                    (Some(one), Some(other)) if one != other => {
                        return differ(&one, &source.outer_checksum);
                    }
                    (one, other) => known.outer = one.or(other),
                }
                match (known.inner, pin.inner) {
                    (Some(one), Some(other)) if one != other => {
                        return differ(&one, &source.inner_checksum);
                    }
                    (one, other) => known.inner = one.or(other),
                }
            }
        }
        Ok(())
    }
}

fn pin(source: &HexSource) -> Result<Pin, LockError> {
    let id = ReleaseId {
        repository: valid(&source.repository, "this is not a repository's name")?,
        package: valid(&source.package, "this is not a package's name")?,
        version: valid(&source.version, "this is not a version")?,
    };
    let not_a_checksum = "this is not a SHA-256 checksum";
    let inner = source.inner_checksum.as_ref().map(|text| valid(text, not_a_checksum)).transpose()?;
    let outer = source.outer_checksum.as_ref().map(|text| valid(text, not_a_checksum)).transpose()?;
    Ok(Pin { id, inner, outer })
}

fn valid<T: FromStr<Err: Display>>(located: &Located, label: &str) -> Result<T, LockError> {
    located.text.parse().map_err(|error: T::Err| LockError {
        message: error.to_string(),
        label: label.to_owned(),
        span: located.span,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn wanted(locks: &[&str]) -> Result<Wanted, LockError> {
        let mut wanted = Wanted::default();
        locks.iter().try_for_each(|text| wanted.add(&Lock::parse("mix.lock", text)?)).map(|()| wanted)
    }

    fn plug(checksum: &str) -> String {
        format!(
            r#"%{{"plug": {{:hex, :plug, "1.0.0", "{OUTER}", [:mix], [{{:mime, "~> 1.0", [hex: :mime, repo: "hexpm", optional: true]}}], "hexpm", "{checksum}"}}}}"#
        )
    }

    #[test]
    fn every_kind_finds_its_place() {
        let others = r#"%{"a": {:git, "https://x/y.git", "abc", []}, "b": {:hg, "z"}, "c": {:package, "1.0.0"}}"#;
        let wanted = wanted(&[&plug(OUTER), others]).unwrap();
        let shown: Vec<String> = wanted.releases.keys().map(ToString::to_string).collect();
        assert_eq!(shown, ["c 1.0.0", "plug 1.0.0"]);
        assert_eq!((wanted.git[0].url.as_str(), wanted.ignored[0].kind.as_str()), ("https://x/y.git", "hg"));
    }

    #[test]
    fn hostile_names_are_marked_in_the_lock() {
        for (text, marked) in [
            (r#"%{"a": {:hex, :"../../x", "1.0.0"}}"#, r#":"../../x""#),
            (r#"%{"a": {:hex, :a, "1.0.0/.."}}"#, r#""1.0.0/..""#),
            (r#"%{"a": {:hex, :a, "1.0.0", "zz", [:mix], []}}"#, r#""zz""#),
        ] {
            let error = wanted(&[text]).unwrap_err();
            assert_eq!(&text[error.span.range()], marked);
        }
    }

    #[test]
    fn locks_that_contradict_each_other_are_refused() {
        assert!(wanted(&[&plug(OUTER), &plug(OUTER)]).is_ok());
        let error = wanted(&[&plug(OUTER), &plug(&"b".repeat(64))]).unwrap_err();
        assert!(error.message.contains("plug 1.0.0 is locked twice"), "{}", error.message);
    }
}
