//! Records the commit that a release build is made from, for `git hexmirror version`.
//!
//! The same sources give the same result: it depends on the commit, never on the time or the machine. In order of precedence, the
//! commit comes from `HEXMIRROR_COMMIT`, from an archive of `git archive`, from a package of `cargo package`, or from the clone.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The variable that the program reads at compile time.
const VARIABLE: &str = "HEXMIRROR_COMMIT";
/// `git archive` replaces the text of this file (see .gitattributes).
const ARCHIVED: &str = "archived-commit";
/// `cargo package` adds this file.
const PACKAGED: &str = ".cargo_vcs_info.json";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let commit = env::var(VARIABLE).ok().or_else(|| archived(&root)).or_else(|| packaged(&root));
    // Development builds have no commit: it would be wrong as soon as a file is edited, and each commit would compile
    // everything again.
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = commit.or_else(|| if is_release { cloned(&root) } else { None });
    if let Some(commit) = commit.filter(|commit| !commit.is_empty() && !commit.contains(char::is_control)) {
        println!("cargo::rustc-env={VARIABLE}={commit}");
    }
}

/// Returns the commit and its day from an archive, such as `0123456789ab 2026-01-31`.
fn archived(root: &Path) -> Option<String> {
    println!("cargo::rerun-if-changed={ARCHIVED}");
    let text = fs::read_to_string(root.join(ARCHIVED)).ok()?;
    let commit = text.lines().next()?;
    let is_replaced = !commit.contains("Format:");
    let (hash, day) = commit.split_once(' ').filter(|_| is_replaced)?;
    Some(format!("{} {day}", hash.get(..12)?))
}

/// Returns the commit of a package.
fn packaged(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join(PACKAGED)).ok()?;
    let (_, rest) = text.split_once("\"sha1\": \"")?;
    rest.get(..12).map(str::to_owned)
}

/// Returns the commit of the clone that contains the sources, and whether files differ from it.
fn cloned(root: &Path) -> Option<String> {
    let top = git(root, &["rev-parse", "--show-toplevel"])?;
    // The sources may be part of another repository, such as a vendored copy.
    if fs::canonicalize(top).ok()? != fs::canonicalize(root).ok()? {
        return None;
    }
    for name in ["HEAD", "logs/HEAD"] {
        println!("cargo::rerun-if-changed={}", git(root, &["rev-parse", "--git-path", name])?);
    }
    for path in ["src", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let commit = git(root, &["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])?;
    let day = git(root, &["show", "--no-patch", "--format=%cs", "HEAD"])?;
    Some(match commit.strip_suffix("-dirty") {
        Some(commit) => format!("{commit} {day}, with changes"),
        None => format!("{commit} {day}"),
    })
}

/// Runs git in the folder of the sources, whatever repository the caller's environment names.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.current_dir(root).arg("--no-optional-locks").args(arguments);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim_end().to_owned())
}
