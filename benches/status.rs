//! Whether a mirror is fresh, by how many packages it holds: remembered from the last time, and compared anew.

#[path = "../tests/support/synthetic.rs"]
mod synthetic;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use git_hexmirror::config::Layer;
use git_hexmirror::ops::{self, Environment, Project};
use tempfile::TempDir;

/// How many packages the lock pins, however many the mirror holds.
const PINNED: usize = 100;

fn status(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("status");
    for packages in [100, 10_000] {
        let folder = TempDir::new().expect("a temporary folder");
        synthetic::mirror(folder.path(), packages, PINNED).expect("an empty folder");
        for (name, particulars) in [("remembered", false), ("compared", true)] {
            group.bench_function(BenchmarkId::new(name, packages), |bencher| {
                bencher.iter(|| {
                    // As a process does it: nothing is known of the repository before.
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
