//! The JSON of `lock --json`: `{"file": …, "entries": [{"app": …, "kind": …, …}]}`.
//!
//! Every entry has `app` and `kind`, and those of a rebar.lock have `level`. The other fields depend on the kind:
//!
//! - `hex`: `package`, `version`, `repo`, `inner_checksum` and `outer_checksum` (null if the lock has none).
//! - `git`: `url`; in a mix.lock also `rev` and `options`; in the other locks those of `ref`, `tag`, `branch` and
//!   `subdir` that the lock contains.
//! - `package`: `version`.

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};
use serde_json::{Map, Value};

use super::{DocsFile, Entry, Lock, LockKind, Source};
use crate::model::redacted_address;
use crate::term::{Spanned, Term};

impl Serialize for Lock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries: Vec<_> = self.entries.iter().map(|entry| Shaped { entry, kind: self.kind }).collect();
        let mut lock = serializer.serialize_struct("Lock", 2)?;
        lock.serialize_field("file", &self.file)?;
        lock.serialize_field("entries", &entries)?;
        lock.end()
    }
}

/// An entry with the kind of its lock, which determines the fields.
struct Shaped<'a> {
    entry: &'a Entry,
    kind: LockKind,
}

impl Serialize for Shaped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("app", &*self.entry.app)?;
        match &self.entry.source {
            Source::Hex(hex) => {
                map.serialize_entry("kind", "hex")?;
                map.serialize_entry("package", &*hex.package)?;
                map.serialize_entry("version", &*hex.version)?;
                map.serialize_entry("repo", &*hex.repository)?;
                map.serialize_entry("inner_checksum", &hex.inner_checksum.as_deref())?;
                map.serialize_entry("outer_checksum", &hex.outer_checksum.as_deref())?;
            }
            Source::Git(git) => {
                map.serialize_entry("kind", "git")?;
                map.serialize_entry("url", &redacted_address(&git.url))?;
                if self.kind == LockKind::Mix {
                    map.serialize_entry("rev", &git.revision.as_deref())?;
                    map.serialize_entry("options", &object(git.options.iter().cloned()))?;
                } else {
                    if let Some(revision) = &git.revision {
                        map.serialize_entry("ref", &**revision)?;
                    }
                    for (name, value) in object(git.options.iter().cloned()) {
                        map.serialize_entry(&name, &value)?;
                    }
                }
            }
            Source::Package { version } => {
                map.serialize_entry("kind", "package")?;
                map.serialize_entry("version", &**version)?;
            }
            Source::Download(download) => {
                map.serialize_entry("kind", "download")?;
                map.serialize_entry("url", &redacted_address(&download.url))?;
                map.serialize_entry("checksum", &download.checksum.text)?;
                map.serialize_entry("first_use", &download.first_use.as_ref().map(|day| &day.text))?;
            }
            Source::Docs(docs) => {
                map.serialize_entry("kind", "docs")?;
                map.serialize_entry("package", &*docs.package)?;
                map.serialize_entry("version", &*docs.version)?;
                map.serialize_entry("repo", &*docs.repository)?;
                let (checksum, first_use) = match &docs.file {
                    DocsFile::Pinned { checksum, first_use, .. } => (Some(checksum), first_use.as_ref()),
                    DocsFile::Absent(_) => (None, None),
                };
                map.serialize_entry("checksum", &checksum.map(|checksum| &checksum.text))?;
                map.serialize_entry("first_use", &first_use.map(|day| &day.text))?;
            }
            Source::Tools(tools) => {
                map.serialize_entry("kind", "tools")?;
                map.serialize_entry("elixir", &tools.elixir.text)?;
                map.serialize_entry("otp", &tools.otp.text)?;
            }
            Source::AssetTool(asset) => {
                map.serialize_entry("kind", "asset-tool")?;
                map.serialize_entry("build", &asset.id.text)?;
                let file = asset.file.as_ref();
                map.serialize_entry("url", &file.map(|file| redacted_address(&file.url)))?;
                map.serialize_entry("checksum", &file.map(|file| &file.checksum.text))?;
                map.serialize_entry("first_use", &file.and_then(|file| file.first_use.as_ref()).map(|day| &day.text))?;
                map.serialize_entry("npm_signature", &asset.npm.as_ref().map(|signature| &signature.text))?;
            }
            Source::Target(target) => {
                map.serialize_entry("kind", "target")?;
                map.serialize_entry("target", &target.text)?;
            }
            Source::Unknown { kind } => map.serialize_entry("kind", kind)?,
        }
        if let Some(level) = self.entry.level {
            map.serialize_entry("level", &level)?;
        }
        map.end()
    }
}

/// Collects pairs into an object. The first value of a repeated key wins, as in a keyword list.
fn object(pairs: impl Iterator<Item = (String, Value)>) -> Map<String, Value> {
    let mut object = Map::new();
    for (key, value) in pairs {
        object.entry(key).or_insert(value);
    }
    object
}

/// Converts a term to JSON. Atoms and text become strings (except `nil`, `true` and `false`), keyword lists and maps
/// become objects, other lists and tuples become arrays.
pub(super) fn value(term: &Term<'_>) -> Value {
    match term {
        Term::Atom(name) => match &**name {
            "nil" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            name => name.into(),
        },
        Term::Binary(bytes) => String::from_utf8_lossy(bytes).into(),
        Term::Charlist(text) | Term::BigInteger(text) => Value::from(&**text),
        Term::Integer(integer) => (*integer).into(),
        Term::Float(float) => (*float).into(),
        Term::Tuple(elements) => array(elements),
        Term::List(elements) => {
            let pairs: Option<Vec<_>> = elements.iter().map(|element| keyword(&element.term)).collect();
            match pairs {
                Some(pairs) if !pairs.is_empty() => Value::Object(object(pairs.into_iter())),
                _ => array(elements),
            }
        }
        Term::Map(pairs) => {
            let pairs = pairs.iter().map(|(key, element)| (key_text(&key.term), value(&element.term)));
            Value::Object(pairs.collect())
        }
    }
}

fn array(elements: &[Spanned<'_>]) -> Value {
    elements.iter().map(|element| value(&element.term)).collect()
}

fn keyword(element: &Term<'_>) -> Option<(String, Value)> {
    let (key, element) = element.as_pair()?;
    Some((key.term.as_atom()?.to_owned(), value(&element.term)))
}

fn key_text(key: &Term<'_>) -> String {
    match value(key) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
