//! Harmful tarballs with valid signatures and matching checksums in the lock: they are never stored, whoever signs
//! them.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::refused;
use crate::support::registry::{Registry, wrap};
use crate::support::stage::Stage;

/// Returns this many zeros, gzipped.
pub fn zeros(count: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let block = vec![0; 1 << 20];
    for _ in 0..count >> 20 {
        encoder.write_all(&block).unwrap();
    }
    encoder.finish().unwrap()
}

/// Adds a member with any name, including names that the `tar` crate refuses to write.
fn member(archive: &mut Vec<u8>, name: &[u8], kind: tar::EntryType, link: &[u8], bytes: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    archive.extend_from_slice(header.as_bytes());
    archive.extend_from_slice(bytes);
    archive.resize(archive.len().next_multiple_of(512), 0);
}

fn gzipped(mut archive: Vec<u8>) -> Vec<u8> {
    archive.resize(archive.len() + 1024, 0);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&archive).unwrap();
    encoder.finish().unwrap()
}

fn with_member(name: &str, kind: tar::EntryType, link: &str) -> Vec<u8> {
    let mut archive = Vec::new();
    member(&mut archive, b"mix.exs", tar::EntryType::Regular, b"", b"fine");
    member(&mut archive, name.as_bytes(), kind, link.as_bytes(), b"");
    wrap(&gzipped(archive))
}

/// Checks that an update with such a tarball reports the problem and keeps nothing of it.
#[track_caller]
fn is_refused(tarball: Vec<u8>, texts: &[&str]) {
    let mut registry = Registry::sample();
    registry.publish_tarball("hostile 1.0.0", tarball);
    let stage = Stage::with(registry, &["alpha 1.0.0", "hostile 1.0.0"]);
    let mut texts = texts.to_vec();
    texts.push("refused hostile-1.0.0.tar");
    refused(&stage, 4, &texts);
    // It is refused again when the tarball is already on disk.
    refused(&stage, 4, &texts);
    assert!(!stage.sandbox.path().join("escaped").exists() && !stage.project.join("escaped").exists());
}

#[test]
fn a_name_leads_out_of_the_folder() {
    for name in ["../escaped", "a/../../escaped", "/tmp/escaped", "a/./../b/../../../escaped"] {
        is_refused(with_member(name, tar::EntryType::Regular, ""), &["is not allowed"]);
    }
}

#[test]
fn a_member_is_a_device() {
    is_refused(with_member("null", tar::EntryType::Char, ""), &["is a character device"]);
    is_refused(with_member("disk", tar::EntryType::Block, ""), &["is a block device"]);
    is_refused(with_member("pipe", tar::EntryType::Fifo, ""), &["is a named pipe"]);
}

#[test]
fn the_contents_are_a_bomb() {
    is_refused(wrap(&zeros(256 << 20)), &["contents.tar.gz"]);
}

#[test]
fn there_are_too_many_members() {
    let mut archive = Vec::new();
    for number in 0..120_000_u64 {
        // The names do not compress, so their number is what exceeds the limit.
        let name = format!(
            "{:016x}{:016x}",
            number.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            number.wrapping_mul(0xD1B5_4A32_D192_ED03)
        );
        member(&mut archive, name.as_bytes(), tar::EntryType::Regular, b"", b"");
    }
    is_refused(wrap(&gzipped(archive)), &["more than 100000 members"]);
}

#[test]
fn the_contents_are_cut_off_or_no_archive() {
    let mut archive = Vec::new();
    member(&mut archive, b"mix.exs", tar::EntryType::Regular, b"", &[b'x'; 2000]);
    archive.truncate(1024);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&archive).unwrap();
    is_refused(wrap(&encoder.finish().unwrap()), &["contents.tar.gz"]);
    is_refused(wrap(b"not gzip"), &["contents.tar.gz"]);
}

#[test]
fn the_tarballs_own_checksum_is_wrong() {
    let mut tarball = wrap(&gzipped(Vec::new()));
    let at = tarball.windows(8).position(|window| window == b"CHECKSUM").unwrap() + 512;
    tarball[at] = if tarball[at] == b'0' { b'1' } else { b'0' };
    is_refused(tarball, &["CHECKSUM says"]);
}

#[test]
fn names_that_git_refuses_are_stored_as_the_tarball_and_pushed() {
    let mut registry = Registry::sample();
    let names = [".git/config", "a/.GIT/hooks/post-checkout", ".gitmodules", "b/.gitmodules", "git~1/x", "c/.git "];
    for (number, name) in names.iter().enumerate() {
        let text = "[submodule \"x\"]\n\tpath = x\n\turl = --upload-pack=touch${IFS}escaped\n".to_owned();
        let files = [("lib/fine.ex".to_owned(), "fine".to_owned()), ((*name).to_owned(), text)];
        registry.publish(&format!("odd{number} 1.0.0"), &[], &files);
    }
    let pinned: Vec<String> = (0..names.len()).map(|number| format!("odd{number} 1.0.0")).collect();
    let pinned: Vec<&str> = pinned.iter().map(String::as_str).chain(["alpha 1.0.0"]).collect();
    let stage = Stage::with(registry, &pinned);
    let document = stage.run(&["update", "--json"]).ok().json();
    for added in document["added"].as_array().unwrap() {
        let expected = if added["package"] == "alpha" { "unpacked" } else { "tarball" };
        // git considers a trailing space harmless, except on Windows.
        if added["package"] != "odd5" {
            assert_eq!(added["storage"], expected, "{added}");
        }
    }
    stage.run(&["verify"]).ok();
    stage.git(&["fsck", "--strict", "--no-dangling"]);
    stage.sandbox.git("", &["init", "--quiet", "--bare", "strict.git"]);
    stage.sandbox.git("strict.git", &["config", "transfer.fsckObjects", "true"]);
    stage.git(&["push", "--quiet", "../strict.git", "hexmirror"]);
    assert_eq!(stage.sandbox.git("strict.git", &["rev-parse", "hexmirror"]), stage.tip().unwrap());
    // A clone checks out nothing harmful.
    stage.sandbox.git("", &["clone", "--quiet", "--branch=hexmirror", "strict.git", "out"]);
    assert!(!stage.sandbox.path().join("out/escaped").exists());
    let serving = crate::support::stage::Serving::start(&mut stage.command(&["serve", "--listen=127.0.0.1:0"]));
    for release in pinned {
        let path = format!("/tarballs/{}.tar", release.replace(' ', "-"));
        let answer = crate::support::http::get(serving.authority(), &path);
        assert!(answer.body == stage.registry.get(release).tarball, "{path}");
    }
}
