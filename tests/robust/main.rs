//! Invalid input and adverse conditions cause a clear error with the right exit code, and nothing is wrongly stored or
//! lost.

#[path = "../support/mod.rs"]
mod support;

mod damage;
mod disk;
mod durable;
mod flaky;
mod gc;
mod hostile;
mod kill;
mod leftovers;
mod lock;
mod race;
mod repair;
mod repository;
mod upstream;

use support::stage::{Ran, Stage};

/// Runs an update that must fail with an exit code and some texts, and checks that it left no trace.
#[track_caller]
fn refused(stage: &Stage, code: i32, texts: &[&str]) -> Ran {
    refused_with(stage, code, texts, &[])
}

/// As above, with additional variables.
#[track_caller]
fn refused_with(stage: &Stage, code: i32, texts: &[&str], variables: &[(&str, &str)]) -> Ran {
    let state = || {
        let refs = stage.git(&["for-each-ref", "--format=%(refname) %(objectname)"]);
        (
            refs,
            stage.git(&["status", "--porcelain"]),
            stage.git(&["rev-parse", "HEAD"]),
            stage.git(&["count-objects", "-v"]),
        )
    };
    let before = state();
    let ran = stage.run_with(&["update"], variables).exits(code);
    for text in texts {
        assert!(ran.stderr.contains(text), "{text:?} is not said: {ran:#?}");
    }
    assert_eq!(ran.stdout, "");
    assert_eq!(state(), before, "{ran:#?}");
    ran
}
