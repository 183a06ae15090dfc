//! The versions of this program and of git.

use serde_json::Value;

use crate::support::stage::{Ran, Stage};

#[test]
fn the_versions_of_the_program_and_of_git_are_printed() {
    let stage = Stage::new();
    let own = format!("git-hexmirror {} (", env!("CARGO_PKG_VERSION"));
    let git = stage.git(&["version"]).replace("git version ", "git ");
    // Neither needs a repository.
    for arguments in [&["version"][..], &["--version"], &["-V"]] {
        let ran = stage.run_in("home", arguments).ok().silent();
        assert!(ran.stdout.starts_with(&own), "{ran:?}");
        assert!(ran.stdout.contains(&format!(")\n{}\n", git.trim())), "{ran:?}");
        assert!(ran.stdout.ends_with("reads formats 1 to 3\n"), "{ran:?}");
    }
    let document: Value = stage.run_in("home", &["version", "--json"]).ok().silent().json();
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(format!("git {}", document["git"].as_str().unwrap()), git.trim());
    assert_eq!((&document["format"], &document["oldest_format"]), (&3.into(), &1.into()));
}

#[test]
fn a_missing_git_is_named() {
    let stage = Stage::new();
    let mut command = stage.command(&["version"]);
    Ran::of(command.env("PATH", stage.sandbox.path())).ok().prints("\ngit: ");
}
