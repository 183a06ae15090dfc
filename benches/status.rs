//! Measures how long it takes to determine whether mirrors of several sizes are fresh, both from the cached result and
//! with a new comparison.

#[path = "../tests/support/synthetic.rs"]
#[allow(dead_code, reason = "others use the rest")]
mod synthetic;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use git_hexmirror::config::Layer;
use git_hexmirror::ops::{self, Environment, Project};
use tempfile::TempDir;

/// The number of packages that the lock pins, for every size of the mirror.
const PINNED: usize = 100;

fn status(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("status");
    for packages in [100, 10_000] {
        let folder = TempDir::new().expect("a temporary folder");
        synthetic::mirror(folder.path(), packages, PINNED).expect("an empty folder");
        for (name, particulars) in [("remembered", false), ("compared", true)] {
            group.bench_function(BenchmarkId::new(name, packages), |bencher| {
                bencher.iter(|| {
                    // Opens the project anew each time, as every process does.
                    let project = Project::open(folder.path(), Layer::default(), Environment::default());
                    let status = ops::status(&project.expect("a project"), particulars).expect("a mirror");
                    assert!(status.summary.fresh);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, status);
criterion_main!(benches);
