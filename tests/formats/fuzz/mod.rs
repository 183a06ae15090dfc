//! A short form of fuzzing: every oracle in `fuzz/src/oracles` runs on its seeds and on some thousand mutations of
//! them, the same ones each time. `fuzz/run.sh` runs longer and is guided by coverage.

#[path = "../../../fuzz/src/oracles/mod.rs"]
mod oracles;

mod generated;
mod mutate;
mod real_git;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use oracles::{TARGETS, Target};

/// The number of mutations per target, if time permits.
const MUTATIONS: u64 = 20_000;
/// The time limit per target.
const TIME: Duration = Duration::from_secs(20);

#[test]
fn every_target_has_seeds_of_its_own() {
    for target in TARGETS {
        assert!(!seeds(target).is_empty(), "{}", target.name);
    }
}

#[test]
fn no_seed_or_mutation_violates_an_oracle() {
    let runs = std::thread::scope(|scope| {
        let run = |target: &'static Target| (target, scope.spawn(|| mutations(target)));
        let runs: Vec<_> = TARGETS.iter().map(run).collect();
        runs.into_iter().map(|(target, run)| (target.name, run.join())).collect::<Vec<_>>()
    });
    let failed: Vec<_> = runs.iter().filter(|(_, run)| run.is_err()).map(|(name, _)| name).collect();
    assert!(failed.is_empty(), "wrong: {failed:?}; the input and the assertion stand above");
    for (name, run) in runs {
        println!("{name:12} {} executions", run.unwrap());
    }
}

/// Runs a target on its seeds and on mutations of them. Returns the number of inputs.
fn mutations(target: &Target) -> u64 {
    let (seeds, begin) = (seeds(target), Instant::now());
    let mut random = fastrand::Rng::with_seed(0x5eed);
    seeds.iter().for_each(|seed| check(target, seed));
    let mut count = seeds.len() as u64;
    while count < MUTATIONS && begin.elapsed() < TIME {
        let mut input = mutate::mutated(&seeds, &mut random);
        if target.name == "tarball" && random.u8(0..8) > 0 {
            // Checksums would detect almost any change.
            oracles::seal::seal_tarball(&mut input);
        }
        check(target, &input);
        count += 1;
    }
    count
}

fn check(target: &Target, bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| oracles::check(target.name, bytes))).is_err() {
        panic!("{}: the input is {:?}", target.name, bytes.escape_ascii().to_string());
    }
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = target
        .seeds
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}")))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}
