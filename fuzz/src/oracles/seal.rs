//! Repairs checksums, lengths and end markers, so that inputs are not rejected before the interesting parts are reached.

use std::fmt::Write;

use git_hexmirror::hex::gzip;
use sha2::{Digest, Sha256};

const BLOCK: usize = 512;

/// Returns a tar header as Erlang writes it.
fn header(name: &str, size: usize) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..148].copy_from_slice(format!("0100644\x000000000\x000000000\0{size:011o}\x0007033241600\0").as_bytes());
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[329..345].copy_from_slice(b"0000000\x000000000\0");
    seal_header(&mut header);
    header
}

/// Writes the checksum of a tar header in the form that its last byte selects.
fn seal_header(header: &mut [u8]) {
    let old = header[155] == b' ';
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let text = if old { format!("{sum:06o}\0 ") } else { format!("{sum:07o}\0") };
    header[148..156].copy_from_slice(text.as_bytes());
}

/// Writes the checksum of each header in a tar archive.
pub fn seal_archive(archive: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = archive.get_mut(at..at + BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        seal_header(header);
        let size = header[124..136].iter().take_while(|byte| byte.is_ascii_digit());
        let size = size.fold(0usize, |size, digit| size.wrapping_mul(8).wrapping_add(usize::from(digit - b'0')));
        at = at.saturating_add(BLOCK).saturating_add(size.min(archive.len()).next_multiple_of(BLOCK));
    }
}

/// Returns the content of `CHECKSUM`.
fn checksum(metadata: &[u8], contents: &[u8]) -> String {
    let digest = Sha256::new().chain_update(b"3").chain_update(metadata).chain_update(contents).finalize();
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// Puts metadata and a contents archive into a Hex tarball that is otherwise valid.
pub fn tarball(metadata: &[u8], archive: &[u8]) -> Vec<u8> {
    let contents = gzip::gzip(archive);
    let checksum = checksum(metadata, &contents);
    let members = [("VERSION", &b"3"[..]), ("CHECKSUM", checksum.as_bytes()), ("metadata.config", metadata)];
    let mut tarball = Vec::new();
    for (name, data) in members.into_iter().chain([("contents.tar.gz", &contents[..])]) {
        tarball.extend_from_slice(&header(name, data.len()));
        tarball.extend_from_slice(data);
        tarball.resize(tarball.len().next_multiple_of(BLOCK), 0);
    }
    tarball.resize(tarball.len() + 2 * BLOCK, 0);
    tarball
}

/// Writes all checksums of a tarball that are still at their place: those of its headers, and `CHECKSUM`.
pub fn seal_tarball(tarball: &mut [u8]) {
    seal_archive(tarball);
    let members: Vec<(Vec<u8>, std::ops::Range<usize>)> = members(tarball);
    let member = |name: &str| members.iter().find(|(found, _)| found == name.as_bytes()).map(|(_, data)| data.clone());
    let (Some(stated), Some(metadata), Some(contents)) =
        (member("CHECKSUM"), member("metadata.config"), member("contents.tar.gz"))
    else {
        return;
    };
    let text = checksum(&tarball[metadata], &tarball[contents]);
    if stated.len() == text.len() {
        tarball[stated].copy_from_slice(text.as_bytes());
    }
}

/// Returns the names and positions of an archive's members.
fn members(archive: &[u8]) -> Vec<(Vec<u8>, std::ops::Range<usize>)> {
    let mut reader = tar::Archive::new(archive);
    let Ok(entries) = reader.entries() else { return Vec::new() };
    let place = |entry: tar::Entry<'_, &[u8]>| {
        let start = usize::try_from(entry.raw_file_position()).ok()?;
        let end = start.checked_add(usize::try_from(entry.size()).ok()?).filter(|end| *end <= archive.len())?;
        Some((entry.path_bytes().into_owned(), start..end))
    };
    entries.take(64).map_while(Result::ok).filter_map(place).collect()
}
