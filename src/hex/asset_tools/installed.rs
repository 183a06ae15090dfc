//! What a package installs of a tool: the programs of its archive, under the names by which the package looks for them.

use std::io::{Cursor, Read};

use tar::{Archive, EntryType};
use zip::ZipArchive;

use super::build::{has_legacy_names, of};
use crate::hex::gzip::{GzipError, gunzip};
use crate::model::{AssetTool, AssetToolId, Version};

/// The maximum size of an unpacked archive, in bytes.
const MAX_BYTES: usize = 512 << 20;
/// How programs begin: ELF, Mach-O of one or several processors, PE, and scripts.
const PROGRAMS: [&[u8]; 5] = [b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"MZ", b"#!"];
/// The package tailwind since which profiles can have versions of their own, and the names of files contain the version.
const NAMES_VERSION: &str = "0.5.0-0";
/// The maximum number of members of an archive that are looked at.
const MAX_MEMBERS: usize = 10_000;

/// A file that a package installs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledFile {
    /// Its name in the folder of builds.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
    /// Whether it is a program.
    pub is_executable: bool,
}

/// Why an archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is not compressed as it should be, or too large.
    #[error("it is not such an archive")]
    Gzip(#[from] GzipError),
    /// It is not a zip file.
    #[error("it is not a zip archive")]
    Zip(#[from] zip::result::ZipError),
    /// It is damaged.
    #[error("it is damaged")]
    Damaged(#[from] std::io::Error),
    /// It is too large.
    #[error("it has more than {} MB or {MAX_MEMBERS} files", MAX_BYTES >> 20)]
    TooLarge,
    /// A program is something else, such as a message of the server.
    #[error("{name} is not a program")]
    NotAProgram {
        /// Its name.
        name: String,
    },
    /// A program is missing, or there twice.
    #[error("it does not have exactly one file {name}")]
    NoProgram {
        /// The path in the archive.
        name: String,
    },
}

/// Returns what a package installs of a build, given the published file. `client` is the version of the package, if it is known;
/// otherwise, a tool has all names by which any version looks for it. Nothing else of an archive is used.
///
/// # Errors
/// Fails if the file is not an archive with the programs, or not a program.
pub fn installed_files(
    id: &AssetToolId,
    client: Option<&Version>,
    content: Vec<u8>,
) -> Result<Vec<InstalledFile>, UnpackError> {
    let files = files_of(id, client, content)?;
    match files.iter().find(|file| file.is_executable && !is_program(&file.content)) {
        Some(file) => Err(UnpackError::NotAProgram { name: file.name.clone() }),
        None => Ok(files),
    }
}

/// Returns the version of the package to assume for a version that only profiles have: older packages do not look at those.
pub fn with_profiles(client: Option<&Version>) -> Version {
    let first = of(NAMES_VERSION);
    client.filter(|client| **client > first).cloned().unwrap_or(first)
}

/// Returns the files without a look at them.
fn files_of(id: &AssetToolId, client: Option<&Version>, content: Vec<u8>) -> Result<Vec<InstalledFile>, UnpackError> {
    let AssetToolId { tool, version, build } = id;
    let is_windows = build.to_string().starts_with("win");
    let program = |name: String, content: Vec<u8>| InstalledFile { name, content, is_executable: true };
    Ok(match tool {
        AssetTool::Esbuild => {
            let member = if is_windows { "package/esbuild.exe" } else { "package/bin/esbuild" };
            let [content] = members(&content, false, [member])?;
            let names = esbuild_names(id);
            names.into_iter().map(|name| program(name, content.clone())).collect()
        }
        AssetTool::Tailwind => {
            let target = build.to_string();
            let (bare, extension) = target
                .split_once('.')
                .map_or((&*target, String::new()), |(bare, extension)| (bare, format!(".{extension}")));
            let names =
                [(format!("tailwind-{target}"), false), (format!("tailwind-{bare}-{version}{extension}"), true)];
            let is_used = |is_new: bool| client.is_none_or(|client| (*client >= of(NAMES_VERSION)) == is_new);
            let names = names.into_iter().filter(|(_, is_new)| is_used(*is_new));
            names.map(|(name, _)| program(name, content.clone())).collect()
        }
        AssetTool::DartSass => {
            let dart = if is_windows { "dart-sass/src/dart.exe" } else { "dart-sass/src/dart" };
            let [dart, snapshot] = members(&content, is_windows, [dart, "dart-sass/src/sass.snapshot"])?;
            let name = format!("sass.snapshot-{build}");
            vec![
                program(format!("dart-{build}"), dart),
                InstalledFile { name, content: snapshot, is_executable: false },
            ]
        }
    })
}

/// Returns whether a content begins as programs of Linux, the BSDs, macOS or Windows do, or as a script.
fn is_program(content: &[u8]) -> bool {
    PROGRAMS.iter().any(|begin| content.starts_with(begin))
}

/// Returns the names of esbuild. Of versions before 0.16, the name depends on the version of the package.
fn esbuild_names(AssetToolId { version, build, .. }: &AssetToolId) -> Vec<String> {
    let target = build.to_string();
    let mut names = vec![format!("esbuild-{target}")];
    if has_legacy_names(version)
        && let Some((system, processor)) = target.split_once('-')
    {
        let system = if system == "windows" { "win32" } else { system };
        let renamed = match processor {
            "64" => Some("x64"),
            "32" => Some("ia32"),
            _ => None,
        };
        names.extend(renamed.map(|processor| format!("esbuild-{system}-{processor}")));
    }
    names
}

/// Returns the contents of regular files in an archive.
fn members<const COUNT: usize>(
    archive: &[u8],
    is_zip: bool,
    names: [&str; COUNT],
) -> Result<[Vec<u8>; COUNT], UnpackError> {
    let mut found = vec![Vec::new(); COUNT];
    let mut add = |name: &[u8], content: &mut dyn Read| {
        if let Some(index) = names.iter().position(|wanted| wanted.as_bytes() == name) {
            let mut bytes = Vec::new();
            content.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
            if bytes.len() > MAX_BYTES {
                return Err(UnpackError::TooLarge);
            }
            found[index].push(bytes);
        }
        Ok(())
    };
    if is_zip {
        let mut archive = ZipArchive::new(Cursor::new(archive))?;
        if archive.len() > MAX_MEMBERS {
            return Err(UnpackError::TooLarge);
        }
        for index in 0..archive.len() {
            let mut file = archive.by_index(index)?;
            if file.is_file() {
                let name = file.name_raw().to_owned();
                add(&name, &mut file)?;
            }
        }
    } else {
        let unpacked = gunzip(archive, MAX_BYTES)?;
        for (index, entry) in Archive::new(&unpacked[..]).entries()?.enumerate() {
            let mut entry = entry?;
            if index >= MAX_MEMBERS {
                return Err(UnpackError::TooLarge);
            }
            if entry.header().entry_type() == EntryType::Regular {
                let name = entry.path_bytes().into_owned();
                add(&name, &mut entry)?;
            }
        }
    }
    let mut contents: [Vec<u8>; COUNT] = [const { Vec::new() }; COUNT];
    for ((content, found), name) in contents.iter_mut().zip(found).zip(names) {
        let [one] = <[Vec<u8>; 1]>::try_from(found).map_err(|_| UnpackError::NoProgram { name: name.to_owned() })?;
        *content = one;
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::hex::gzip::gzip;

    const PROGRAM: &[u8] = b"\x7fELF program";

    fn tarball(members: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, content) in members {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            // Without the checks of the crate.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        gzip(&builder.into_inner().unwrap())
    }

    fn names(id: &str, client: Option<&str>, content: &[u8]) -> Vec<(String, Vec<u8>, bool)> {
        let client = client.map(of);
        let files = installed_files(&id.parse().unwrap(), client.as_ref(), content.to_vec()).unwrap();
        files.into_iter().map(|file| (file.name, file.content, file.is_executable)).collect()
    }

    #[test]
    fn files_have_the_names_by_which_the_packages_look_for_them() {
        let file = |name: &str, content: &[u8], is_executable| (name.to_owned(), content.to_vec(), is_executable);
        let esbuild = tarball(&[
            ("package/package.json", EntryType::Regular, b"{}"),
            ("package/bin/esbuild", EntryType::Regular, PROGRAM),
            ("../../etc/x", EntryType::Regular, b"hostile"),
            ("/etc/x", EntryType::Symlink, b""),
        ]);
        assert_eq!(names("esbuild 0.25.0 linux-x64", None, &esbuild), [file("esbuild-linux-x64", PROGRAM, true)]);
        assert_eq!(
            names("esbuild 0.14.0 linux-64", None, &esbuild),
            [file("esbuild-linux-64", PROGRAM, true), file("esbuild-linux-x64", PROGRAM, true)]
        );
        let windows = tarball(&[("package/esbuild.exe", EntryType::Regular, PROGRAM)]);
        assert_eq!(names("esbuild 0.25.0 win32-x64", None, &windows), [file("esbuild-win32-x64", PROGRAM, true)]);
        let (old, new) = (file("tailwind-linux-x64", PROGRAM, true), file("tailwind-linux-x64-4.1.0", PROGRAM, true));
        assert_eq!(names("tailwind 4.1.0 linux-x64", None, PROGRAM), [old.clone(), new.clone()]);
        assert_eq!(names("tailwind 4.1.0 linux-x64", Some("0.4.1"), PROGRAM), [old]);
        assert_eq!(names("tailwind 4.1.0 linux-x64", Some("0.5.0"), PROGRAM), [new]);
        let exe = file("tailwind-windows-x64-4.1.0.exe", PROGRAM, true);
        assert_eq!(names("tailwind 4.1.0 windows-x64.exe", Some("0.5.1"), PROGRAM), [exe]);
        let sass = tarball(&[
            ("dart-sass/sass", EntryType::Regular, b"#!/bin/sh"),
            ("dart-sass/src/dart", EntryType::Regular, PROGRAM),
            ("dart-sass/src/sass.snapshot", EntryType::Regular, b"snapshot"),
        ]);
        assert_eq!(
            names("dart_sass 1.77.8 linux-x64-musl", None, &sass),
            [file("dart-linux-x64-musl", PROGRAM, true), file("sass.snapshot-linux-x64-musl", b"snapshot", false)]
        );
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in [("dart-sass/src/dart.exe", &b"MZ"[..]), ("dart-sass/src/sass.snapshot", b"s")] {
            writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        let zip = writer.finish().unwrap().into_inner();
        assert_eq!(
            names("dart_sass 1.77.8 windows-x64", None, &zip),
            [file("dart-windows-x64", b"MZ", true), file("sass.snapshot-windows-x64", b"s", false)]
        );
    }

    #[test]
    fn hostile_archives_are_refused() {
        let id = "esbuild 0.25.0 linux-x64".parse().unwrap();
        let read = |content: &[u8]| installed_files(&id, None, content.to_vec()).unwrap_err();
        let program = ("package/bin/esbuild", EntryType::Regular, PROGRAM);
        for members in [
            &[][..],
            &[program, program],
            &[("package/bin/esbuild", EntryType::Symlink, b"")],
            &[("package/bin/../bin/esbuild", EntryType::Regular, PROGRAM)],
            &[("../package/bin/esbuild", EntryType::Regular, PROGRAM)],
        ] {
            assert!(matches!(read(&tarball(members)), UnpackError::NoProgram { .. }), "{members:?}");
        }
        assert!(matches!(read(b"<html>"), UnpackError::Gzip(GzipError::NotGzip)));
        let whole = tarball(&[program]);
        assert!(matches!(read(&whole[..whole.len() / 2]), UnpackError::Gzip(_)));
        assert!(matches!(read(&gzip(&[b'x'; 700])), UnpackError::Damaged(_)));
        let many = vec![("x", EntryType::Regular, &b""[..]); MAX_MEMBERS + 1];
        assert!(matches!(read(&tarball(&many)), UnpackError::TooLarge));
        assert!(matches!(
            read(&tarball(&[("package/bin/esbuild", EntryType::Regular, b"<html>")])),
            UnpackError::NotAProgram { .. }
        ));
        for content in [&b"<!DOCTYPE html>"[..], b"{\"error\":1}", b""] {
            let tailwind = "tailwind 4.1.0 linux-x64".parse().unwrap();
            let error = installed_files(&tailwind, None, content.to_vec()).unwrap_err();
            assert!(matches!(error, UnpackError::NotAProgram { .. }));
        }
        let sass = "dart_sass 1.77.8 windows-x64".parse().unwrap();
        assert!(matches!(installed_files(&sass, None, whole), Err(UnpackError::Zip(_))));
    }
}
