//! Tarballs and recipes. A tarball is unpacked to the same files that `tar` and zlib find, and rebuilt byte for byte.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use git_hexmirror::hex::recipe::{self, Recipe};
use git_hexmirror::hex::tarball::{FileKind, Tarball, TarballError, TarballLimits};

use super::{Input, seal};

const LIMITS: TarballLimits = TarballLimits { tarball: 1 << 20, unpacked: 4 << 20, entries: 1000, ratio: 100 };
const OUTER: [&str; 4] = ["VERSION", "CHECKSUM", "metadata.config", "contents.tar.gz"];

/// Arbitrary bytes as a tarball.
pub fn tarball(bytes: &[u8]) {
    let Ok(tarball) = Tarball::open(bytes, &LIMITS) else { return };
    let mut files = BTreeMap::new();
    let walked = tarball.each_file(&LIMITS, |path, kind, data| -> Result<(), TarballError> {
        assert!(!path.starts_with(b"/") && !path.split(|byte| b"/\\".contains(byte)).any(|part| part == b".."));
        files.insert(path.to_vec(), (kind, data.to_vec()));
        Ok(())
    });
    let Ok(unpacked) = recipe::unpack(&tarball, &LIMITS) else { return };
    walked.expect("what is taken apart can be looked at");
    // Nothing is lost: rebuilding gives the same bytes.
    let texts: HashMap<&str, &[u8]> =
        unpacked.files().iter().map(|file| (file.path.as_str(), unpacked.bytes(file))).collect();
    let recipe = unpacked.recipe();
    assert_eq!(recipe.to_string().parse().as_ref(), Ok(recipe));
    let rebuilt =
        recipe::rebuild(recipe, tarball.metadata(), |path| texts.get(path).ok_or("no such file".into()), &LIMITS);
    assert!(rebuilt.expect("unpack proved it") == bytes, "the tarball comes out differently");
    // Nothing is added: `tar` and zlib find the same members.
    let outer = members(bytes);
    assert_eq!(outer.len(), OUTER.len());
    let data = |name: &str| &outer.iter().find(|member| member.path == name.as_bytes()).expect("a member").data[..];
    assert!(data("metadata.config") == tarball.metadata() && data("contents.tar.gz") == tarball.contents());
    let found: BTreeMap<Vec<u8>, (FileKind, Vec<u8>)> = members(&inflate(tarball.contents()))
        .into_iter()
        .filter(|member| !member.is_folder)
        .map(|member| {
            let kind = if member.mode & 0o100 == 0 { FileKind::Plain } else { FileKind::Executable };
            (member.path, (kind, member.data))
        })
        .collect();
    assert_eq!(found, files);
    let unpacked = unpacked.files().iter().map(|file| {
        let kind = if file.executable { FileKind::Executable } else { FileKind::Plain };
        (file.path.clone().into_bytes(), (kind, unpacked.bytes(file).to_vec()))
    });
    assert_eq!(unpacked.collect::<BTreeMap<_, _>>(), found);
}

/// Metadata and a contents archive, in a tarball with correct checksums and lengths.
pub fn contents(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (as_it_is, without_end) = (input.byte() & 7 == 7, input.byte() & 7 == 7);
    let length = usize::from(input.byte()) * 4;
    let metadata = input.exactly(length);
    let mut archive = input.0.to_vec();
    archive.resize(archive.len().next_multiple_of(512) + if without_end { 0 } else { 1024 }, 0);
    if !as_it_is {
        seal::seal_archive(&mut archive);
    }
    let sealed = seal::tarball(metadata, &archive);
    let opened = Tarball::open(&sealed, &LIMITS).expect("everything outside of the contents is right");
    assert!(opened.metadata() == metadata && inflate(opened.contents()) == archive);
    tarball(&sealed);
}

/// Arbitrary text as a recipe. The recipe survives a round trip, and the archive that it builds can be unpacked again.
pub fn recipe(bytes: &[u8]) {
    let Some((recipe, _)) = read_recipe(bytes) else { return };
    let metadata = b"{<<\"files\">>,[<<\"mix.exs\">>,<<\"lib/a.ex\">>,<<\"lib\">>]}.";
    let Ok(rebuilt) = recipe::rebuild(&recipe, metadata, |path| Ok(path.to_owned()), &LIMITS) else { return };
    let outer = members(&rebuilt);
    let mut names: Vec<_> = outer.iter().map(|member| String::from_utf8_lossy(&member.path).into_owned()).collect();
    names.sort();
    let mut expected = OUTER.map(str::to_owned);
    expected.sort();
    assert_eq!(names, expected);
    for member in members(&inflate(&outer.iter().find(|m| m.path == b"contents.tar.gz").expect("a member").data)) {
        let path = String::from_utf8(member.path).expect("paths are UTF-8");
        assert!(member.is_folder && member.data.is_empty() || member.data == path.as_bytes(), "{path:?}");
    }
    tarball(&rebuilt);
}

/// Arbitrary text as a recipe. In each header, `tar` finds the values of the recipe's line.
pub fn ustar(bytes: &[u8]) {
    let Some((recipe, text)) = read_recipe(bytes) else { return };
    let Some((head, lines)) = text.split_once("files listed\n") else { return };
    let Ok(rebuilt) = recipe::rebuild(&recipe, b"", |_| Ok(b""), &LIMITS) else { return };
    let contents = members(&rebuilt).into_iter().find(|member| member.path == b"contents.tar.gz").expect("a member");
    let archive = inflate(&contents.data);
    let common = head.lines().find_map(|line| line.strip_prefix("inner ")).unwrap_or_default();
    let found = members(&archive);
    assert_eq!(found.len(), lines.lines().count());
    for (line, member) in lines.lines().zip(found) {
        let (words, path) = line.rsplit_once(' ').unwrap_or(("", line));
        let said = |key: &str| {
            let value = |word: &str| word.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
            words.split(' ').find_map(value).or_else(|| common.split(' ').find_map(value))
        };
        let number =
            |key: &str, radix, default| said(key).map_or(default, |n| u64::from_str_radix(&n, radix).expect("digits"));
        let expected = (
            number("mode", 8, 0o100_644),
            number("uid", 10, 0),
            number("gid", 10, 0),
            number("mtime", 10, 946_684_800),
        );
        assert_eq!((member.mode, member.uid, member.gid, member.mtime), expected, "{line:?}");
        let owner = ["user", "group"].map(|key| unescaped(&said(key).unwrap_or_default()));
        assert_eq!([member.user, member.group], owner, "{line:?}");
        assert_eq!(member.path, unescaped(path), "{line:?}");
        assert_eq!(member.is_folder, path.ends_with('/') || said("kind").is_some(), "{line:?}");
    }
}

fn read_recipe(bytes: &[u8]) -> Option<(Recipe, String)> {
    let recipe: Recipe = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    let text = recipe.to_string();
    assert_eq!(text.parse().as_ref(), Ok(&recipe), "{text}");
    Some((recipe, text))
}

/// Decodes `%XX` independently of the program.
fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.as_bytes().split(|byte| *byte == b'%');
    let mut bytes = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        let digits = std::str::from_utf8(&part[..2]).expect("two digits");
        bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
        bytes.extend_from_slice(&part[2..]);
    }
    bytes
}

fn inflate(bytes: &[u8]) -> Vec<u8> {
    let mut inflated = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut inflated).expect("zlib inflates it too");
    inflated
}

/// A member as the `tar` crate reads it.
struct Found {
    path: Vec<u8>,
    is_folder: bool,
    mode: u64,
    uid: u64,
    gid: u64,
    mtime: u64,
    user: Vec<u8>,
    group: Vec<u8>,
    data: Vec<u8>,
}

fn members(archive: &[u8]) -> Vec<Found> {
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.expect("tar reads it too");
        let mut data = Vec::new();
        entry.read_to_end(&mut data).expect("tar reads it too");
        let header = entry.header();
        Found {
            path: entry.path_bytes().into_owned(),
            is_folder: header.entry_type().is_dir(),
            mode: u64::from(header.mode().expect("a number")),
            uid: header.uid().expect("a number"),
            gid: header.gid().expect("a number"),
            mtime: header.mtime().expect("a number"),
            user: header.username_bytes().unwrap_or_default().to_vec(),
            group: header.groupname_bytes().unwrap_or_default().to_vec(),
            data,
        }
    };
    tar::Archive::new(archive).entries().expect("an archive").map(read).collect()
}
