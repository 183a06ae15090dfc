//! Documentation as it is published for a release: `docs/NAME-VERSION.tar.gz`, a gzipped tar archive of web pages.
//!
//! Neither a checksum nor a signature vouches for it. It is split and rebuilt as the contents of a release are, but for the names of
//! some files: ExDoc puts checksums into those that it generates (`dist/search_data-18DEA0B1.js`), which are other ones in each
//! version. They are stored without the checksum, so that git finds the file of another version that it can be compressed against,
//! and shows what differs. The recipe has the names of the archive.

use std::collections::{HashMap, HashSet};
use std::error::Error;

use super::order::parents;
use super::unpack::{
    Comparison, Files, Unpacked, collect_files, common_attributes, not_reproducible, read_frame, read_members,
};
use super::{Archive, Members, RebuildError, Recipe, UnpackError};
use crate::hex::archive::{self, ArchiveError, Scan};
use crate::hex::gzip::{self, GzipError, Inflated, MAGIC};
use crate::hex::tarball::TarballLimits;

/// Why documentation is rejected. Nothing of it may be stored or served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocsError {
    /// The file is larger than the limit.
    #[error("it is {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The size in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The file is not gzip, such as a web page that says that something failed, or cannot be inflated.
    #[error("the file is not an archive")]
    Gzip {
        /// The cause.
        source: GzipError,
    },
    /// The archive is malformed or hostile.
    #[error("the archive is invalid")]
    Archive {
        /// The cause.
        source: ArchiveError,
    },
}

/// Checks that a client can unpack documentation safely.
///
/// # Errors
/// Fails if it is not a gzipped archive, is above `limits`, or has a member that would be written elsewhere.
pub fn check_docs(bytes: &[u8], limits: &TarballLimits) -> Result<(), DocsError> {
    let inflated = inflate(bytes, limits)?;
    scan(&inflated.bytes, limits).map(drop)
}

fn inflate(bytes: &[u8], limits: &TarballLimits) -> Result<Inflated, DocsError> {
    if bytes.len() > limits.tarball {
        return Err(DocsError::TooLarge { size: bytes.len(), limit: limits.tarball });
    }
    if !bytes.starts_with(&MAGIC) {
        return Err(DocsError::Gzip { source: GzipError::NotGzip });
    }
    gzip::inflate(bytes, limits.inflated(bytes.len())).map_err(|source| DocsError::Gzip { source })
}

fn scan<'a>(archive: &'a [u8], limits: &TarballLimits) -> Result<Scan<'a>, DocsError> {
    archive::scan(archive, limits.entries).map_err(|source| DocsError::Archive { source })
}

/// Splits documentation into its files and a recipe, and proves that these rebuild it byte for byte. `None` if no recipe
/// does, or if the documentation is not valid: [`check_docs`] says why.
pub fn unpack_docs(bytes: &[u8], limits: &TarballLimits) -> Option<Unpacked> {
    let inflated = inflate(bytes, limits).ok()?;
    let scan = scan(&inflated.bytes, limits).ok()?;
    let (recipe, files) = match inflated.foreign {
        None => split(&inflated, &scan, bytes, limits).ok()?,
        Some(_) => return None,
    };
    Some(Unpacked::new(recipe, files, inflated.bytes))
}

fn split(
    inflated: &Inflated,
    scan: &Scan<'_>,
    bytes: &[u8],
    limits: &TarballLimits,
) -> Result<(Recipe, Files), UnpackError> {
    let what = "the archive";
    let (dialect, trailer) = read_frame(scan, what)?;
    let members = read_members(scan, what)?;
    let stored = stored_paths(members.iter().map(|member| member.path.as_str()));
    let files = collect_files(&members, scan, &inflated.bytes)?;
    let files: Files =
        files.into_iter().map(|(path, file)| (stored.get(&*path).cloned().unwrap_or(path), file)).collect();
    let inner = Archive { dialect, attributes: common_attributes(&members), trailer };
    let recipe = Recipe { gzip: inflated.header, inner, ..Recipe::listed(members) };
    let recipe: Recipe =
        recipe.to_string().parse().map_err(|error| not_reproducible(format!("its recipe: {error}")))?;
    let mut rebuilt = Comparison(bytes);
    let read = |path: &str| match files.get(stored.get(path).map_or(path, |stored| stored)) {
        Some((_, range)) => Ok(&inflated.bytes[range.clone()]),
        None => Err(not_reproducible(format!("{path:?} is not among its files"))),
    };
    let members = recipe.members(&[]).map_err(|error| not_reproducible(error.to_string()))?;
    recipe.write_contents(&members, read, limits, |chunk| rebuilt.take(chunk, what))?;
    rebuilt.finish(what)?;
    Ok((recipe, files))
}

/// Rebuilds documentation from its recipe and files. `read` returns the bytes of a file, given the path that it is stored at.
///
/// This function does not verify its input. Before using the result, compare its checksum with the recorded one.
///
/// # Errors
/// Fails if `read` fails, if recipe and files do not match each other, or if they exceed `limits`.
pub fn rebuild_docs<B: AsRef<[u8]>>(
    recipe: &Recipe,
    mut read: impl FnMut(&str) -> Result<B, Box<dyn Error + Send + Sync>>,
    limits: &TarballLimits,
) -> Result<Vec<u8>, RebuildError> {
    let Members::Listed(members) = &recipe.members else { return Err(RebuildError::NoFileList) };
    let stored = stored_paths(members.iter().map(|member| member.path.as_str()));
    let mut docs = Vec::new();
    recipe.write_contents::<_, RebuildError>(
        members,
        |path| {
            let read = read(stored.get(path).map_or(path, |stored| stored));
            read.map_err(|source| RebuildError::File { path: path.to_owned(), source })
        },
        limits,
        |chunk| {
            docs.extend_from_slice(chunk);
            Ok(())
        },
    )?;
    Ok(docs)
}

/// Returns the paths that files are stored at, of those that are stored without the checksum in their name. No two files
/// are stored at the same path. For given paths, every version of this program must return the same result.
fn stored_paths<'p>(paths: impl Iterator<Item = &'p str> + Clone) -> HashMap<String, String> {
    let taken: HashSet<&str> = paths.clone().flat_map(|path| parents(path).chain([path])).collect();
    let shortened: HashMap<&str, String> = paths
        .filter_map(|path| Some((path, without_checksum(path)?)))
        .filter(|(_, short)| !taken.contains(&**short))
        .collect();
    let mut counts = HashMap::<String, usize>::new();
    for short in shortened.values() {
        *counts.entry(short.clone()).or_default() += 1;
    }
    shortened
        .into_iter()
        .filter(|(_, short)| counts[short] == 1)
        .map(|(path, short)| (path.to_owned(), short))
        .collect()
}

/// Returns a path without the checksum before its extension: a dash with eight digits and capital letters.
fn without_checksum(path: &str) -> Option<String> {
    let (before, extension) = path.rsplit_once('.')?;
    let (name, checksum) = before.rsplit_once('-')?;
    let is_checksum =
        checksum.len() == 8 && checksum.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    let is_name = !name.is_empty() && !name.ends_with('/') && !extension.is_empty() && !extension.contains('/');
    (is_checksum && is_name).then(|| format!("{name}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::recipe::rebuild::RebuildError;
    use crate::hex::ustar::{Dialect, Kind, Member};

    /// Documentation as hex_core makes it.
    fn docs(files: &[(&str, &str)]) -> Vec<u8> {
        let recipe = Recipe::listed(files.iter().map(|(path, _)| Member::file(path)).collect());
        let of = |path: &str, is_it: &dyn Fn(&str) -> bool| {
            files.iter().find(|(name, _)| *name == path || is_it(name)).map(|(_, text)| *text)
        };
        let read = |path: &str| {
            let stored = || of(path, &|name| without_checksum(name).as_deref() == Some(path));
            of(path, &|_| false).or_else(stored).ok_or("none".into())
        };
        rebuild_docs(&recipe, read, &TarballLimits::default()).unwrap()
    }

    #[test]
    fn documentation_is_split_and_rebuilt() {
        let (limits, page) = (TarballLimits::default(), "<p>x</p>".repeat(1000));
        let bytes = docs(&[("index.html", &page), ("dist/a.js", "1"), ("404.html", "")]);
        assert_eq!(check_docs(&bytes, &limits), Ok(()));
        let unpacked = unpack_docs(&bytes, &limits).unwrap();
        let files = unpacked.files();
        assert_eq!(
            files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(),
            ["404.html", "dist/a.js", "index.html"]
        );
        let read = |path: &str| {
            let file = files.iter().find(|file| file.path == path).ok_or("none")?;
            Ok(unpacked.bytes(file).to_vec())
        };
        let recipe: Recipe = unpacked.recipe().to_string().parse().unwrap();
        assert_eq!(rebuild_docs(&recipe, read, &limits).unwrap(), bytes);
        let refused = |_: &str| Err::<Vec<u8>, _>("gone".into());
        assert!(matches!(rebuild_docs(&recipe, refused, &limits), Err(RebuildError::File { .. })));
    }

    #[test]
    fn generated_files_are_stored_without_the_checksum_in_their_name() {
        let limits = TarballLimits::default();
        let bytes = docs(&[
            ("dist/search_data-18DEA0B1.js", "one"),
            ("dist/html-GLKUQ4XR.js", "two"),
            ("dist/html-GLKUQ4XR.css", "three"),
            ("a-12345678.js", "four"),
            ("a-12345678-12345678.js", "five"),
            ("b-11111111.js", "six"),
            ("b-22222222.js", "seven"),
            ("c-11111111.js", "eight"),
            ("c.js/x", "nine"),
        ]);
        let unpacked = unpack_docs(&bytes, &limits).unwrap();
        let stored: Vec<_> = unpacked.files().iter().map(|file| file.path.as_str()).collect();
        assert_eq!(
            stored,
            [
                "a-12345678-12345678.js",
                "a.js",
                "b-11111111.js",
                "b-22222222.js",
                "c-11111111.js",
                "c.js/x",
                "dist/html.css",
                "dist/html.js",
                "dist/search_data.js"
            ]
        );
        let read = |path: &str| {
            let file = unpacked.files().iter().find(|file| file.path == path).ok_or("none")?;
            Ok(unpacked.bytes(file).to_vec())
        };
        assert_eq!(rebuild_docs(unpacked.recipe(), read, &limits).unwrap(), bytes);
    }

    #[test]
    fn only_checksums_are_left_out() {
        for path in [
            "search_data.js",
            "a-1234567.js",
            "a-123456789.js",
            "a-abcdef12.js",
            "-12345678.js",
            "d/-12345678.js",
            "a-12345678",
            "a-12345678.",
            "a-12345678.d/x",
        ] {
            assert_eq!(without_checksum(path), None, "{path}");
        }
        assert_eq!(without_checksum("d-1/a-b-1234567A.min.js").as_deref(), None);
        assert_eq!(without_checksum("d-1/a-b-1234567A.js").as_deref(), Some("d-1/a-b.js"));
    }

    #[test]
    fn other_compressions_are_valid_but_not_split() {
        let bytes = docs(&[("index.html", "x")]);
        let stored = [&bytes[..10], &[1, 0x10, 0, 0xef, 0xff]].concat();
        assert!(check_docs(&stored, &TarballLimits::default()).is_err());
        let twice = [&bytes[..], &gzip::gzip(b"")].concat();
        assert_eq!(check_docs(&twice, &TarballLimits::default()), Ok(()));
        assert!(unpack_docs(&twice, &TarballLimits::default()).is_none());
    }

    #[test]
    fn hostile_documentation_is_rejected() {
        let limits = TarballLimits::default();
        let html = check_docs(b"<!DOCTYPE html><p>Not found</p>", &limits);
        assert_eq!(html, Err(DocsError::Gzip { source: GzipError::NotGzip }));
        let zipped_html = check_docs(&gzip::gzip("<!DOCTYPE html>".repeat(100).as_bytes()), &limits);
        assert!(matches!(zipped_html, Err(DocsError::Archive { .. })), "{zipped_html:?}");
        for path in ["../index.html", "/etc/passwd", "a/../../b"] {
            let member = Member { kind: Kind::File, ..Member::file(path) };
            let archive = [&member.header(0, Dialect::Erlang).unwrap()[..], &[0; 1024]].concat();
            let error = check_docs(&gzip::gzip(&archive), &limits).unwrap_err();
            assert!(
                matches!(&error, DocsError::Archive { source: ArchiveError::UnsafePath { .. } }),
                "{path}: {error:?}"
            );
        }
        let bomb = gzip::gzip(&vec![0; 64 << 20]);
        let error = check_docs(&bomb, &limits).unwrap_err();
        assert!(matches!(error, DocsError::Gzip { source: GzipError::TooLarge { .. } }), "{error:?}");
        let many = docs(&[("a", ""), ("b", ""), ("c", "")]);
        let few = TarballLimits { entries: 2, ..limits };
        let error = check_docs(&many, &few).unwrap_err();
        assert!(matches!(error, DocsError::Archive { source: ArchiveError::TooManyMembers { limit: 2 } }));
        let error = check_docs(&many, &TarballLimits { tarball: 10, ..limits }).unwrap_err();
        assert!(matches!(error, DocsError::TooLarge { limit: 10, .. }));
    }
}
