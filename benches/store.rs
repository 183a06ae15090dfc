//! Stores releases on the mirror branch and rebuilds them from it. The throughput is in bytes of the tarballs per
//! second.

use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use git_hexmirror::hex::tarball::{BuildFile, Tarball, TarballLimits, build, metadata_text};
use git_hexmirror::model::{ReleaseId, RepositoryName};
use git_hexmirror::store::{Branch, ReleaseEncoder, Repository, Transaction};
use tempfile::TempDir;

/// The number of releases in one commit.
const RELEASES: usize = 8;

/// Builds a release of about 50 different files.
fn release(number: usize) -> (ReleaseId, Vec<u8>) {
    let name = format!("package_{number}");
    let text = |file: usize| {
        let line =
            |line: usize| format!("  def number_{}, do: {}\n", line * 7 + file, (line * 31 + number * 17) % 1009);
        format!("defmodule Module{file} do\n{}end\n", (0..200).map(line).collect::<String>())
    };
    let contents: Vec<(String, String)> =
        (0..50).map(|file| (format!("lib/module_{file:02}.ex"), text(file))).collect();
    let files = contents.iter().map(|(path, text)| BuildFile { path, bytes: text.as_bytes(), executable: false });
    let files: Vec<BuildFile<'_>> = files.collect();
    let tarball = build(&metadata_text(&name, "1.0.0", &[], &files), &files).expect("plain paths");
    let package = name.parse().expect("a plain name");
    (ReleaseId { repository: RepositoryName::hexpm(), package, version: "1.0.0".parse().expect("a version") }, tarball)
}

fn repository(folder: &Path) -> (Repository, Branch) {
    Repository::init(folder).expect("an empty folder");
    let repository = Repository::open(folder).expect("a repository");
    let branch = repository.branch("hexmirror").expect("a plain name");
    (repository, branch)
}

/// Stores the releases as an update does: encodes, packs and commits them, and syncs them to disk.
fn publish(folder: &Path, releases: &[(ReleaseId, Vec<u8>)]) {
    let (repository, branch) = repository(folder);
    let encoder = ReleaseEncoder::new(&repository, TarballLimits::default()).expect("a repository");
    let mut transaction = Transaction::begin(&repository, &branch, None).expect("a repository");
    for (id, bytes) in releases {
        let tarball = Tarball::open(bytes, &TarballLimits::default()).expect("a tarball");
        transaction.add_release(encoder.encode(id.clone(), &tarball).expect("a release")).expect("a writable folder");
    }
    transaction.publish("Add packages\n").expect("a writable folder");
}

fn store(criterion: &mut Criterion) {
    let releases: Vec<_> = (0..RELEASES).map(release).collect();
    let bytes: usize = releases.iter().map(|(_, tarball)| tarball.len()).sum();
    let mut group = criterion.benchmark_group("store");
    group.sample_size(10).throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("publish", |bencher| {
        let folder = || TempDir::new().expect("a temporary folder");
        let routine = |folder: TempDir| {
            publish(folder.path(), &releases);
            folder
        };
        bencher.iter_batched(folder, routine, BatchSize::PerIteration);
    });
    let folder = TempDir::new().expect("a temporary folder");
    publish(folder.path(), &releases);
    let repository = Repository::open(folder.path()).expect("a repository");
    let branch = repository.branch("hexmirror").expect("a plain name");
    group.bench_function("rebuild", |bencher| {
        bencher.iter(|| {
            let snapshot = repository.snapshot(&branch).expect("a mirror").expect("a mirror");
            for (id, tarball) in &releases {
                assert!(snapshot.tarball(id).expect("a whole mirror").as_ref() == Some(tarball));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, store);
criterion_main!(benches);
