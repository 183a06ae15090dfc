//! Builds tar archives and Hex tarballs byte by byte, so that they can be invalid in one place.

/// Writes a tar header for a regular file, as current versions of `erl_tar` do.
pub fn header(name: &str, size: usize) -> [u8; 512] {
    raw_header(name, size, b'0')
}

/// Writes a tar header with any type flag.
pub fn raw_header(name: &str, size: usize, kind: u8) -> [u8; 512] {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..148].copy_from_slice(format!("0100644\x000000000\x000000000\0{size:011o}\x0007033241600\0").as_bytes());
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[329..345].copy_from_slice(b"0000000\x000000000\0");
    seal(&mut header);
    header
}

/// Writes the correct checksum into a tar header.
pub fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:07o}\0").as_bytes());
}

/// Combines members into a tar archive.
pub fn archive(members: &[([u8; 512], &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (header, data) in members {
        archive.extend_from_slice(header);
        archive.extend_from_slice(data);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// Compresses an archive as Hex does.
pub fn contents(archive: &[u8]) -> Vec<u8> {
    git_hexmirror::hex::gzip::gzip(archive)
}

/// Builds a Hex tarball with empty metadata from an archive of contents.
pub fn outer(archive: &[u8]) -> Vec<u8> {
    outer_of(&contents(archive))
}

/// Builds a Hex tarball with empty metadata from the bytes of a `contents.tar.gz`.
pub fn outer_of(contents: &[u8]) -> Vec<u8> {
    let sum = checksum(b"", contents);
    let members =
        [("VERSION", &b"3"[..]), ("CHECKSUM", sum.as_bytes()), ("metadata.config", b""), ("contents.tar.gz", contents)];
    archive(&members.map(|(name, data)| (header(name, data.len()), data)))
}

/// Returns the text of the CHECKSUM member.
pub fn checksum(metadata: &[u8], contents: &[u8]) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest([b"3", metadata, contents].concat());
    digest.iter().map(|byte| format!("{byte:02X}")).collect()
}
