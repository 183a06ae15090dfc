//! Measures the time to parse locks of 10 MB. The limit is 100 ms.

use std::fmt::Write;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use git_hexmirror::lock::Lock;

const BYTES: usize = 10 << 20;

/// Returns a mix.lock in the current format: three hex entries, then one git entry, repeated.
fn mix_lock() -> String {
    let mut lock = "%{\n".to_owned();
    for number in 0.. {
        let (inner, outer) = checksums(number);
        if number % 4 == 3 {
            let revision = &inner[..40];
            let url = "https://github.com/example/app.git";
            writeln!(lock, "  \"app_{number}\": {{:git, \"{url}\", \"{revision}\", [branch: \"main\"]}},").unwrap();
        } else {
            let dependency = "{:other, \"~> 1.0\", [hex: :other, repo: \"hexpm\", optional: false]}";
            let dependencies = vec![dependency; number % 4].join(", ");
            writeln!(
                lock,
                "  \"app_{number}\": {{:hex, :app_{number}, \"1.2.{number}\", \"{inner}\", [:mix], [{dependencies}], \"hexpm\", \"{outer}\"}},"
            )
            .unwrap();
        }
        if lock.len() > BYTES {
            break;
        }
    }
    lock + "}\n"
}

/// Returns a rebar.lock in the current format.
fn rebar_lock() -> String {
    let (mut entries, mut hashes) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for number in 0.. {
        let (inner, _) = checksums(number);
        entries.push(format!(" {{<<\"app_{number}\">>,{{pkg,<<\"app_{number}\">>,<<\"1.2.{number}\">>}},0}}"));
        hashes.push(format!(" {{<<\"app_{number}\">>, <<\"{}\">>}}", inner.to_uppercase()));
        bytes += 240;
        if bytes > BYTES {
            break;
        }
    }
    let (entries, hashes) = (entries.join(",\n"), hashes.join(",\n"));
    format!("{{\"1.2.0\",\n[{entries}]}}.\n[\n{{pkg_hash,[\n{hashes}]}},\n{{pkg_hash_ext,[\n{hashes}]}}\n].\n")
}

/// Returns two different checksums derived from a number.
fn checksums(number: usize) -> (String, String) {
    let word = |factor: u64| format!("{:016x}", (number as u64 + 1).wrapping_mul(factor));
    (word(0x9e37_79b9_7f4a_7c15).repeat(4), word(0xc2b2_ae3d_27d4_eb4f).repeat(4))
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lock");
    group.sample_size(20).measurement_time(Duration::from_secs(4));
    for (file, contents) in [("mix.lock", mix_lock()), ("rebar.lock", rebar_lock())] {
        assert!(contents.len() >= BYTES, "{file} has only {} bytes", contents.len());
        group.throughput(Throughput::Bytes(contents.len() as u64));
        group.bench_function(file, |bencher| bencher.iter(|| Lock::parse(file, &contents).unwrap()));
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
