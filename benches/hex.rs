//! Unpacks and rebuilds a tarball of about 250 KB. The throughput is in bytes of the tarball per second.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use git_hexmirror::hex::recipe;
use git_hexmirror::hex::registry::{PrivateKey, Signed};
use git_hexmirror::hex::tarball::{BuildFile, Tarball, TarballLimits, build, metadata_text};

/// Builds a tarball with the size and compressibility of a large Elixir package.
fn generated() -> Vec<u8> {
    let words: Vec<String> = (0..900u32).map(|n| format!("{:x}_", n.wrapping_mul(2_654_435_761) >> (n % 20))).collect();
    let mut state = 1u32;
    let texts: Vec<(String, String)> = (0..70)
        .map(|index| {
            let mut text = String::new();
            while text.len() < 10_000 {
                state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                text.push_str(&words[(state >> 16) as usize % words.len()]);
                text.push_str(if state >> 28 == 0 { "\n    def " } else { " " });
            }
            (format!("lib/acme/module_{index}.ex"), text)
        })
        .collect();
    let files: Vec<BuildFile<'_>> =
        texts.iter().map(|(path, text)| BuildFile { path, bytes: text.as_bytes(), executable: false }).collect();
    build(&metadata_text("acme", "1.0.0", &[], &files), &files).expect("the paths are plain and short")
}

/// Returns the generated tarball and, if it is available, a published one of 257,536 bytes.
fn tarballs() -> Vec<(&'static str, Vec<u8>)> {
    let folder = std::env::var_os("HEXMIRROR_TEST_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from);
    let published = std::fs::read(folder.join("sample/.hex_repo/tarballs/ecto-3.7.1.tar")).ok();
    [("generated", generated())].into_iter().chain(published.map(|bytes| ("ecto-3.7.1", bytes))).collect()
}

fn tarball(criterion: &mut Criterion) {
    let limits = TarballLimits::default();
    for (name, bytes) in tarballs() {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("open", |bench| bench.iter(|| Tarball::open(black_box(&bytes), &limits).is_ok()));
        let tarball = Tarball::open(&bytes, &limits).expect("it is sound");
        group.bench_function("unpack", |bench| bench.iter(|| recipe::unpack(black_box(&tarball), &limits).is_ok()));
        let unpacked = recipe::unpack(&tarball, &limits).expect("it is reproducible");
        let files: HashMap<&str, &[u8]> =
            unpacked.files().iter().map(|file| (file.path.as_str(), unpacked.bytes(file))).collect();
        group.bench_function("rebuild", |bench| {
            bench.iter(|| {
                let read = |path: &str| files.get(path).ok_or_else(|| "no such file".into());
                recipe::rebuild(unpacked.recipe(), black_box(tarball.metadata()), read, &limits).map(|it| it.len())
            });
        });
        group.finish();
    }
}

fn signature(criterion: &mut Criterion) {
    let key = PrivateKey::generate().expect("the system has random numbers");
    let public = key.public_key();
    let payload = vec![7; 2000];
    let signed = Signed::sign(payload.clone(), &key);
    criterion.bench_function("sign", |bench| bench.iter(|| Signed::sign(black_box(payload.clone()), &key)));
    criterion.bench_function("verify", |bench| bench.iter(|| black_box(&signed).verify(&public).is_ok()));
}

criterion_group!(benches, tarball, signature);
criterion_main!(benches);
