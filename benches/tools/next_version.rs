//! Publishes a synthetic patch release in a copy of a Hex repository, and updates a lock to it, for
//! `benches/figures.sh` and `benches/pulls.sh`.
//!
//! `cargo run --example next_version -- REPOSITORY` signs all entries anew with a key of its own, which becomes the files
//! `public_key` and `private_key`. `… REPOSITORY LOCK NAME FROM TO [KEY]` changes the folder and the file in place. The
//! release is version FROM with another number in its metadata and its `mix.exs`, and with ten additional lines in its
//! largest source. The private key in the file KEY (`private_key` in the folder) signs the package's registry entry.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use git_hexmirror::hex::recipe;
use git_hexmirror::hex::registry::{Package, PrivateKey, Signed};
use git_hexmirror::hex::tarball::{BuildFile, Tarball, TarballLimits, build};
use git_hexmirror::model::{RepositoryName, Version};

const USAGE: &str = "usage: next_version REPOSITORY [LOCK NAME FROM TO [KEY]]";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [repository] = &*arguments {
        return sign_anew(Path::new(repository));
    }
    let ([repository, lock, name, from, to], key) = (match &*arguments {
        [fixed @ .., key] if fixed.len() == 5 => (fixed, key.clone()),
        fixed => (fixed, format!("{}/private_key", fixed.first().ok_or(USAGE)?)),
    }) else {
        return Err(USAGE.into());
    };
    let (folder, key) = (Path::new(repository), PrivateKey::from_pem(&fs::read_to_string(key)?)?);
    let old = fs::read(folder.join(format!("tarballs/{name}-{from}.tar")))?;
    let old = Tarball::open(&old, &TarballLimits::default())?;
    let new = bumped(&old, from, to)?;
    fs::write(folder.join(format!("tarballs/{name}-{to}.tar")), &new)?;
    let new = Tarball::open(&new, &TarballLimits::default())?;
    list(folder, name, [from, to], &new, &key)?;
    let (inner, outer) = (old.inner_checksum().to_string(), old.outer_checksum().to_string());
    let text = fs::read_to_string(lock)?;
    let line = text.lines().find(|line| line.contains(&outer)).ok_or("the lock does not pin it")?;
    let moved = line.replace(&format!("\"{from}\""), &format!("\"{to}\""));
    let moved = moved.replace(&inner, &new.inner_checksum().to_string());
    let moved = moved.replace(&outer, &new.outer_checksum().to_string());
    Ok(fs::write(lock, text.replace(line, &moved))?)
}

/// Builds the release with the next version.
fn bumped(old: &Tarball<'_>, from: &str, to: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let unpacked = recipe::unpack(old, &TarballLimits::default())?;
    let largest = unpacked.files().iter().filter(|file| file.path.ends_with(".ex"));
    let largest = largest.max_by_key(|file| unpacked.bytes(file).len()).map(|file| file.path.clone());
    let mut contents = Vec::new();
    for file in unpacked.files() {
        let mut bytes = unpacked.bytes(file).to_vec();
        if file.path == "mix.exs" {
            bytes = String::from_utf8(bytes)?.replace(from, to).into_bytes();
        }
        if Some(&file.path) == largest.as_ref() {
            bytes.extend((0..10).flat_map(|number| format!("# what line {number} of the patch says\n").into_bytes()));
        }
        contents.push(bytes);
    }
    let files = unpacked.files().iter().zip(&contents);
    let files: Vec<BuildFile<'_>> =
        files.map(|(file, bytes)| BuildFile { path: &file.path, bytes, executable: file.executable }).collect();
    let metadata = std::str::from_utf8(old.metadata())?.replace(&format!("<<\"{from}\">>"), &format!("<<\"{to}\">>"));
    Ok(build(&metadata, &files)?)
}

/// Adds the release to the package's registry entry, and signs it.
fn list(
    folder: &Path,
    name: &str,
    [from, to]: [&str; 2],
    new: &Tarball<'_>,
    key: &PrivateKey,
) -> Result<(), Box<dyn Error>> {
    let (path, hexpm) = (folder.join("packages").join(name), RepositoryName::hexpm());
    let mut package = Package::decode(&payload(&path)?, &hexpm, &name.parse()?)?;
    let from: Version = from.parse()?;
    let listed = package.releases.iter().find(|release| release.version == from);
    let mut release = listed.ok_or("the registry does not list it")?.clone();
    release.version = to.parse()?;
    release.inner_checksum = new.inner_checksum();
    release.outer_checksum = Some(new.outer_checksum());
    package.releases.push(release);
    sign(&path, package.encode(&hexpm), key)
}

/// Signs all entries of a repository with a new key.
fn sign_anew(folder: &Path) -> Result<(), Box<dyn Error>> {
    let key = PrivateKey::generate()?;
    for entry in fs::read_dir(folder.join("packages"))? {
        let path = entry?.path();
        sign(&path, payload(&path)?, &key)?;
    }
    fs::write(folder.join("private_key"), key.to_pem())?;
    Ok(fs::write(folder.join("public_key"), key.public_key().to_pem())?)
}

/// Reads an entry. Its signature need not be verified, because the folder belongs to the caller.
fn payload(path: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut message = Vec::new();
    GzDecoder::new(&*fs::read(path)?).read_to_end(&mut message)?;
    Ok(Signed::decode(&message)?.unverified_payload().to_vec())
}

fn sign(path: &Path, payload: Vec<u8>, key: &PrivateKey) -> Result<(), Box<dyn Error>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&Signed::sign(payload, key).encode())?;
    Ok(fs::write(path, gzip.finish()?)?)
}
