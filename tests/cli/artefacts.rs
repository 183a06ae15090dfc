//! Precompiled files of packages: which are mirrored for which machines, what is accepted, and where clients find them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::http::get;
use crate::support::registry::Registry;
use crate::support::stage::{Ran, Serving, Stage};
use crate::support::upstream::{ALWAYS, Fault};

const LINUX: &str = "x86_64-pc-linux-gnu 2.16";
const MACOS: &str = "aarch64-apple-darwin23.4.0 2.17";

const OF_LINUX: &str = "native-nif-2.16-x86_64-linux-gnu-1.0.0.tar.gz";
const OF_MACOS: &str = "native-nif-2.16-aarch64-apple-darwin-1.0.0.tar.gz";
const OF_WINDOWS: &str = "native-nif-2.16-x86_64-windows-msvc-1.0.0.tar.gz";
const RUST: &str = "librusty-v1.0.0-nif-2.15-x86_64-unknown-linux-gnu.so.tar.gz";
const TENSORS: &str = "xla_extension-1.0.0-x86_64-linux-gnu-cpu.tar.gz";

fn content(name: &str) -> Vec<u8> {
    format!("\u{1f}not really a program for {name}").into_bytes()
}

fn sum(content: &[u8]) -> String {
    git_hexmirror::model::hex_digits(&Sha256::digest(content))
}

/// The list of some files, as elixir_make and rustler_precompiled write it.
fn list(names: &[&str]) -> String {
    let line = |name: &&str| format!("  \"{name}\" => \"sha256:{}\",\n", sum(&content(name)));
    format!("%{{\n{}}}\n", names.iter().map(line).collect::<String>())
}

/// A project with a package whose files are listed, published and named as given. Nothing is mirrored yet.
fn with(files: &[(&str, String)], published: &[&str]) -> Stage {
    let mut stage = Stage::without_lock(Registry::default());
    let code = (
        "mix.exs".to_owned(),
        format!("make_precompiler_url: \"{}/v#{{@version}}/@{{artefact_filename}}\",", stage.upstream.url()),
    );
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.clone())).chain([code]);
    stage.registry.publish("native 1.0.0", &[], &files.collect::<Vec<_>>());
    stage.registry.put(&stage.upstream);
    published.iter().for_each(|name| stage.upstream.put(&path(name), &content(name)));
    stage.lock(&["native 1.0.0"]);
    stage.git(&["config", "hexmirror.internalHosts", "127.0.0.1"]);
    stage
}

fn path(name: &str) -> String {
    format!("v1.0.0/{name}")
}

fn listed() -> Stage {
    let all = [OF_LINUX, OF_MACOS, OF_WINDOWS];
    with(&[("checksum.exs", list(&all))], &all)
}

/// The `PATH` of a machine whose Erlang says what is given, and counts how often it is asked.
fn machine(stage: &Stage, says: &str) -> String {
    let folder = stage.sandbox.path().join(says.replace(' ', "-"));
    fs::create_dir_all(&folder).unwrap();
    let erl = folder.join("erl");
    let script = format!("#!/bin/sh\necho $PWD $@ >> '{}'\necho '{says}'\n", asked(stage).display());
    if !erl.exists() {
        fs::write(&erl, script).unwrap();
        fs::set_permissions(&erl, fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

fn asked(stage: &Stage) -> PathBuf {
    stage.sandbox.path().join("asked")
}

fn on(stage: &Stage, says: &str, arguments: &[&str]) -> Ran {
    stage.run_with(arguments, &[("PATH", &machine(stage, says))])
}

fn lock(stage: &Stage) -> String {
    fs::read_to_string(stage.project.join("hexmirror.lock")).unwrap_or_default()
}

fn files(stage: &Stage) -> Vec<String> {
    let list = stage.run(&["list", "--json"]).ok().json();
    let files = list.as_array().unwrap().iter().filter(|item| item["trust"] == json!("package"));
    files.map(|item| item["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
}

#[test]
fn the_files_for_the_machines_that_ran_update_are_mirrored() {
    let stage = listed();
    let update = on(&stage, LINUX, &["update", "--json"]).ok().json();
    assert_eq!(update["files"][0]["checksum"], json!(sum(&content(OF_LINUX))));
    assert_eq!(
        (update["files"][0]["trust"].clone(), update["pinned_in"].clone()),
        (json!("package"), json!("hexmirror.lock"))
    );
    assert_eq!(lock(&stage).lines().last(), Some("target x86_64-linux-gnu nif 2.16"));
    assert_eq!(files(&stage), [OF_LINUX]);
    stage.run(&["status"]).ok();
    stage.run(&["list", OF_LINUX]).ok().prints("checksum from its package");
    stage.run(&["verify"]).ok().says("1 file,");
    stage.run(&["export", "--site", "../site"]).ok();
    let stored = fs::read_to_string(stage.sandbox.path().join("site/-/stored.html")).unwrap();
    assert!(stored.contains("<td><bdi>native 1.0.0</bdi></td>"), "{stored}");

    // Neither upstream nor Erlang is asked again.
    let before = (stage.upstream.count("*"), fs::read_to_string(asked(&stage)).unwrap());
    for _ in 0..2 {
        on(&stage, LINUX, &["update"]).ok();
    }
    assert_eq!((stage.upstream.count("*"), fs::read_to_string(asked(&stage)).unwrap()), before);

    // Only what a dry run says depends on it.
    on(&stage, LINUX, &["update", "--dry-run"]).ok();
    on(&stage, MACOS, &["update", "--dry-run"]).exits(1).prints("`target aarch64-darwin nif 2.17` would be added");
    let dry = on(&stage, MACOS, &["update", "--dry-run", "--json"]).exits(1).json();
    assert_eq!(dry["new_target"], json!("aarch64-darwin nif 2.17"));
    // Another machine adds itself. It loads what was made for a lower version.
    on(&stage, MACOS, &["update"]).ok();
    assert!(
        lock(&stage).ends_with("target aarch64-darwin nif 2.17\ntarget x86_64-linux-gnu nif 2.16\n"),
        "{}",
        lock(&stage)
    );
    assert_eq!(files(&stage), [OF_MACOS, OF_LINUX]);
    let listed = on(&stage, MACOS, &["targets", "--json"]).ok().json();
    let shown: Vec<(&Value, &Value)> =
        listed.as_array().unwrap().iter().map(|one| (&one["target"], &one["this_machine"])).collect();
    assert_eq!(
        shown,
        [(&json!("aarch64-darwin nif 2.17"), &json!(true)), (&json!("x86_64-linux-gnu nif 2.16"), &json!(false))]
    );
    // A machine that no file is for, and one whose Erlang does not answer, add nothing.
    let both = lock(&stage);
    on(&stage, "riscv64-unknown-linux-gnu 2.17", &["update", "--refresh"]).ok();
    on(&stage, "", &["update", "--refresh"]).ok();
    assert_eq!(lock(&stage), both);
}

#[test]
fn a_mirror_is_stale_if_no_lock_names_a_machine_and_this_one_needs_files() {
    let stage = listed();
    let unknown = |arguments: &[&str]| on(&stage, "unknown 2.16", arguments);
    unknown(&["update"]).ok();
    assert_eq!(lock(&stage), "");
    for _ in 0..2 {
        unknown(&["status"]).ok();
        on(&stage, LINUX, &["status"]).exits(1).prints(&format!("missing {OF_LINUX} of native 1.0.0"));
    }
    stage.run_with(&["status"], &[("PATH", &machine(&stage, LINUX)), ("HEXMIRROR_ARTEFACTS", "off")]).ok();
    on(&stage, LINUX, &["update"]).ok();
    on(&stage, LINUX, &["status"]).ok();
    on(&stage, LINUX, &["targets", "remove", "x86_64-linux-gnu", "--nif", "2.16"]).ok();
    on(&stage, LINUX, &["status"]).exits(1).prints(&format!("missing {OF_LINUX} of native 1.0.0"));
    on(&stage, LINUX, &["update", "--locked"]).exits(1).says("hexmirror.lock");
    on(&stage, LINUX, &["update"]).ok();
    on(&stage, LINUX, &["status"]).ok();
    // Another machine is no reason for everyone's mirror to be stale.
    on(&stage, MACOS, &["status"]).ok();
    let advice = "no lock names a machine like this one (aarch64-darwin nif 2.17)";
    on(&stage, MACOS, &["doctor"]).exits(1).prints(advice);
    assert!(!on(&stage, LINUX, &["doctor"]).exits(1).stdout.contains("no lock names a machine"));
}

#[test]
fn erlang_loads_nothing_that_a_branch_has() {
    let stage = listed();
    on(&stage, LINUX, &["update"]).ok();
    let asked = fs::read_to_string(asked(&stage)).unwrap();
    let folder = stage.sandbox.path().join(LINUX.replace(' ', "-"));
    assert!(asked.starts_with(&format!("{} -boot no_dot_erlang -mode embedded ", folder.display())), "{asked}");
    // Nor is one of the branch itself started.
    let own = stage.project.join("bin");
    fs::create_dir(&own).unwrap();
    fs::copy(folder.join("erl"), own.join("erl")).unwrap();
    let listed =
        stage.run_with(&["targets", "--json"], &[("PATH", &format!("{}:/nowhere", own.display()))]).ok().json();
    assert_eq!(listed[0]["this_machine"], json!(false));
    // The real one answers although all that it would load is wrong.
    let path = std::env::var_os("PATH").unwrap();
    if !std::env::split_paths(&path).any(|folder| folder.join("erl").is_file()) {
        eprintln!("skipped: there is no Erlang");
        return;
    }
    for name in [".erlang", "no_dot_erlang.boot", "start.boot", "erl_scan.beam", "erl_eval.beam", "lists.beam"] {
        stage.write(name, "halt(1).");
    }
    let listed = stage.run(&["targets", "--json"]).ok().json();
    assert!(listed.as_array().unwrap().iter().any(|one| one["this_machine"] == json!(true)), "{listed}");
}

#[test]
fn machines_are_added_removed_and_compared() {
    let stage = listed();
    let locked = |arguments: &[&str]| on(&stage, LINUX, arguments);
    locked(&["targets", "add", "aarch64-apple-darwin", "--nif", "2.16"]).ok().says("added aarch64-darwin nif 2.16");
    locked(&["targets", "add", "aarch64-darwin", "--nif", "2.16"]).ok().says("named already");
    locked(&["targets", "add", "arm", "--nif", "2.16"]).exits(2).says("is not a platform").says("erl -noinput");
    locked(&["targets", "add", "x86_64-linux-gnu", "--nif", "2"]).exits(2).says("is not a NIF version");
    // In CI, the lock decides alone.
    locked(&["update", "--locked"]).ok();
    assert_eq!(files(&stage), [OF_MACOS]);
    locked(&["targets"]).ok().prints("aarch64-darwin nif 2.16  1 file, ").prints("would need 1 file, this machine");
    stage.git(&["add", "-A"]);
    stage.git(&["commit", "--quiet", "-m", "one"]);

    locked(&["targets", "add", "x86_64-pc-windows-msvc", "--nif", "2.17"]).ok();
    locked(&["status"]).exits(1).prints(&format!("missing {OF_WINDOWS} of native 1.0.0"));
    let missing = locked(&["status", "--json"]).exits(1).json()["missing_artefacts"][0].clone();
    assert_eq!((missing["file"].clone(), missing["package"].clone()), (json!(OF_WINDOWS), json!("native")));
    locked(&["update", "--locked"]).ok();
    stage.run(&["diff", "HEAD"]).ok().prints("added    x86_64-windows-msvc nif 2.17");
    assert_eq!(files(&stage), [OF_MACOS, OF_WINDOWS]);

    locked(&["targets", "remove", "x86_64-windows-msvc", "--nif", "2.17"]).ok().says("from hexmirror.lock");
    locked(&["targets", "remove", "x86_64-windows-msvc", "--nif", "2.17"]).ok().says("no lock names");
    stage.run(&["prune", "--keep-days", "0"]).ok();
    assert_eq!(files(&stage), [OF_MACOS]);
    stage.run(&["verify"]).ok();
}

#[test]
fn a_file_is_served_and_where_clients_look_for_it() {
    let names = [OF_LINUX, RUST, TENSORS];
    let tensors = format!("{}  {TENSORS}\n", sum(&content(TENSORS)));
    let stage = with(
        &[("checksum.exs", list(&[OF_LINUX])), ("checksum-Elixir.Rusty.exs", list(&[RUST])), ("checksum.txt", tensors)],
        &names,
    );
    on(&stage, LINUX, &["update"]).ok();
    let serving = Serving::start(&mut stage.command(&["serve", "--listen", "127.0.0.1:0"]));
    let served = format!("/downloads/{}/{}", stage.upstream.address(), path(OF_LINUX));
    assert_eq!(get(serving.authority(), &served).body, content(OF_LINUX));
    let print = "cat $ELIXIR_MAKE_CACHE_DIR/* $RUSTLER_PRECOMPILED_GLOBAL_CACHE_PATH/* $XLA_CACHE_DIR/1.0.0/download/*";
    let expected: String = names.iter().map(|name| String::from_utf8(content(name)).unwrap()).collect();
    stage.run(&["run", "--", "sh", "-c", print]).ok().prints(&expected);
    // A machine that no lock names is told so if the command fails.
    let named = "x86_64-linux-gnu nif 2.17, and no hexmirror.lock names it";
    let ran = on(&stage, MACOS, &["run", "--", "false"]).exits(1);
    assert!(!ran.stderr.contains("this machine"), "no file is for it: {ran:?}");
    let other = "x86_64-pc-linux-gnu 2.17";
    on(&stage, other, &["run", "--", "false"]).exits(1).says(named);
    assert!(!on(&stage, other, &["run", "--", "true"]).ok().stderr.contains("this machine"));
    // What something else left there is replaced.
    let folder = stage.project.join(".git/hexmirror/artefacts");
    fs::write(folder.join("xla/1.0.0/download").join(TENSORS), "damaged").unwrap();
    stage.run(&["run", "--", "sh", "-c", print]).ok().prints(&expected);
    // What is not needed any more goes after a while.
    let long_ago = SystemTime::now() - Duration::from_secs(40 * 24 * 60 * 60);
    let (old, needed) = (folder.join("elixir_make/old.tar.gz"), folder.join("elixir_make").join(OF_LINUX));
    fs::write(&old, "old").unwrap();
    for path in [&old, &needed] {
        fs::File::options().append(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
    fs::write(folder.join("elixir_make/new.tar.gz"), "").unwrap();
    stage.run(&["run", "--", "sh", "-c", print]).ok().prints(&expected);
    assert!(!old.exists() && folder.join("elixir_make/new.tar.gz").exists());
    let env = stage.run(&["env", "--json", "--url", "http://127.0.0.1:1"]).ok().json();
    assert_eq!(env["XLA_CACHE_DIR"], json!(folder.join("xla").to_str().unwrap()));
    let container = stage.run(&["env", "--format", "docker", "--url", "http://h:1"]).ok();
    assert!(!container.stdout.contains("XLA_CACHE_DIR"), "{}", container.stdout);
    // Inside of `run`, the previous value is restored for commands of this program.
    let nested = "git-hexmirror run -- sh -c 'echo $XLA_CACHE_DIR'";
    let path = format!(
        "{}:{}",
        PathBuf::from(env!("CARGO_BIN_EXE_git-hexmirror")).parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    stage
        .run_with(&["run", "--", "sh", "-c", nested], &[("PATH", &path)])
        .ok()
        .prints(folder.join("xla").to_str().unwrap());
}

#[test]
fn nothing_is_stored_that_the_package_does_not_list() {
    let stage = listed();
    let update = |says: &str, code: i32| {
        on(&stage, LINUX, &["update"]).exits(code).says(says);
        assert_eq!((stage.tip(), lock(&stage).as_str()), (None, ""));
    };
    stage.upstream.put(&path(OF_LINUX), b"something else");
    update("wrong checksum", 4);
    stage.upstream.put(&path(OF_LINUX), b"<!DOCTYPE html><title>Sign in</title>");
    stage.upstream.set_header("content-type", "text/html");
    update("web page", 3);
    let inside = format!("https://localhost:{}/x", stage.upstream.address().port());
    stage.upstream.fail(&format!("/{}", path(OF_LINUX)), ALWAYS, Fault::Redirect(302, inside));
    update("a private network", 2);
    stage.upstream.heal();
    fs::remove_file(stage.sandbox.path().join("upstream").join(path(OF_LINUX))).unwrap();
    update("cannot find native-nif", 3);
    // The user knows where else it is. The address is tried first.
    stage.upstream.put(&format!("other/1.0.0/{OF_LINUX}"), &content(OF_LINUX));
    let own = format!("native={}/other/@{{version}}", stage.upstream.url());
    stage.git(&["config", "hexmirror.artefacts", &own]);
    on(&stage, LINUX, &["update"]).ok();
    assert_eq!(files(&stage), [OF_LINUX]);
    // A file that no package lists any more is damage.
    let list = stage.git(&["ls-tree", "-r", "--name-only", "hexmirror"]);
    let list = list.lines().find(|path| path.ends_with("/checksum.exs")).unwrap();
    stage.sandbox.edit_branch(&stage.project, "hexmirror", list, "%{}\n");
    stage.run(&["verify"]).exits(1).prints("no stored package lists its checksum");
}

#[test]
fn what_is_not_mirrored_is_named() {
    let odd = "evision-nif_2.16-x86_64-linux-gnu-contrib-1.0.0.tar.gz";
    let stage = with(&[("checksum.exs", list(&[OF_LINUX, odd]))], &[OF_LINUX]);
    // Without Erlang, this machine is unknown.
    let folder = stage.sandbox.path().join("bin");
    fs::create_dir(&folder).unwrap();
    for program in ["git", "sh"] {
        let path = std::env::var_os("PATH").unwrap();
        let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.exists());
        let found = found.unwrap();
        std::os::unix::fs::symlink(found, folder.join(program)).unwrap();
    }
    let update = || stage.run_with(&["update", "--refresh"], &[("PATH", folder.to_str().unwrap())]);
    let unknown = "native 1.0.0 lists 1 precompiled file with names of an unknown form";
    update().ok().says(unknown).says("no machine is known that needs them");
    stage.run(&["targets", "add", "x86_64-linux-gnu", "--nif", "2.16"]).ok();
    let ran = update().ok().says(unknown);
    assert!(!ran.stderr.contains("no machine"), "{ran:?}");
    assert_eq!(files(&stage), [OF_LINUX]);
}

#[test]
fn a_hook_does_not_add_the_machine_to_the_branch() {
    let mut stage = listed();
    stage.run_with(&["update"], &[("HEXMIRROR_ARTEFACTS", "off")]).ok();
    let commit = |stage: &Stage| {
        stage.git(&["add", "-A"]);
        stage.git(&["commit", "--quiet", "--allow-empty", "-m", "lock"]);
        stage.git(&["rev-parse", "HEAD"])
    };
    let before = commit(&stage);
    stage.registry.publish("later 1.0.0", &[], &[]);
    stage.registry.put(&stage.upstream);
    stage.lock(&["later 1.0.0", "native 1.0.0"]);
    let after = commit(&stage);
    stage.git(&["config", "hexmirror.postCheckout", "update"]);
    on(&stage, LINUX, &["hook", "post-checkout", &before, &after, "1"]).ok();
    stage.run(&["list", "later"]).ok().prints("later 1.0.0");
    assert_eq!((lock(&stage), stage.git(&["status", "--porcelain"])), (String::new(), String::new()));
    on(&stage, LINUX, &["update"]).ok();
    assert_eq!(files(&stage), [OF_LINUX]);
}

#[test]
fn a_clone_keeps_what_its_machines_need_and_another_one_pruned() {
    let stage = listed();
    stage.write("hexmirror.lock", "target aarch64-darwin nif 2.16\ntarget x86_64-linux-gnu nif 2.16\n");
    stage.run(&["update", "--locked"]).ok();
    stage.git(&["add", "-A"]);
    stage.git(&["commit", "--quiet", "-m", "one"]);
    let two = stage.sandbox.path().join("two");
    stage.sandbox.git("", &["clone", "--quiet", "project", "two"]);
    let run = |arguments: &[&str]| stage.run_in(&two, arguments).ok();
    run(&["pull"]);
    run(&["targets", "remove", "aarch64-darwin", "--nif", "2.16"]);
    stage.sandbox.git(&two, &["commit", "--quiet", "-a", "-m", "two"]);
    stage.sandbox.git(&two, &["remote", "remove", "origin"]);
    run(&["prune", "--keep-days", "0"]).says("removed 1 file");
    stage.git(&["remote", "add", "two", "../two"]);
    stage.run(&["pull", "two"]).ok();
    assert_eq!(files(&stage), [OF_MACOS, OF_LINUX]);
    stage.run(&["status"]).ok();
}

#[test]
fn what_was_fetched_stays_without_a_file_that_is_nowhere() {
    let stage = with(&[("checksum.exs", list(&[OF_LINUX]))], &[]);
    on(&stage, LINUX, &["update", "--keep-going"]).exits(3).says("cannot find native-nif");
    assert_eq!(stage.run(&["list", "--json"]).ok().json()[0]["package"], json!("native"));
    assert_eq!(lock(&stage), "");
    on(&stage, LINUX, &["update"]).exits(3);
    stage.upstream.put(&path(OF_LINUX), &content(OF_LINUX));
    on(&stage, LINUX, &["update"]).ok();
    assert_eq!(files(&stage), [OF_LINUX]);
}

#[test]
fn a_list_that_is_code_is_not_evaluated() {
    let evil = format!("File.write!(\"{}\", \"\")\n%{{}}\n", "/tmp/evaluated");
    for (text, says) in [
        (evil.as_str(), "it is not a literal map"),
        ("%{\"native-nif-2.16-x86_64-linux-gnu-1.0.0.tar.gz\" => \"md5:00\"}", "has no SHA-256 checksum"),
    ] {
        let stage = with(&[("checksum.exs", text.to_owned())], &[]);
        on(&stage, LINUX, &["update"])
            .exits(4)
            .says("cannot read checksum.exs of native 1.0.0")
            .says(says)
            .says("artefacts off");
        assert_eq!((stage.tip(), lock(&stage).as_str()), (None, ""));
        stage.git(&["config", "hexmirror.artefacts", "off"]);
        on(&stage, LINUX, &["update"]).ok();
        stage.run(&["status"]).ok();
        assert_eq!((files(&stage).len(), lock(&stage).as_str()), (0, ""));
    }
    // So are more files than any package has for a machine.
    let name = |number: usize| format!("librusty-v1.0.0-nif-2.15-x86_64-unknown-linux-gnu--v{number}.so.tar.gz");
    let names: Vec<String> = (0..10_000).map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let stage = with(&[("checksum-Elixir.Rusty.exs", list(&names))], &[]);
    on(&stage, LINUX, &["update"])
        .exits(4)
        .says("native 1.0.0 lists 10000 precompiled files for x86_64-linux-gnu nif 2.16");
    assert_eq!(stage.upstream.count(&format!("/{}", path(names[0]))), 0);
}

#[test]
fn a_large_file_is_announced_and_stored_in_pieces() {
    let large = vec![7; 96 << 20];
    let text = format!("%{{\"{OF_LINUX}\" => \"sha256:{}\"}}", sum(&large));
    let stage = with(&[("checksum.exs", text)], &[]);
    stage.upstream.put(&path(OF_LINUX), &large);
    on(&stage, LINUX, &["update"]).ok().says("large download: ").says("MB)");
    let sizes = stage.git(&["ls-tree", "-r", "--format=%(objectsize)", "hexmirror", "files/"]);
    let sizes: Vec<usize> = sizes.lines().map(|size| size.parse().unwrap()).collect();
    assert!(sizes.len() == 2 && sizes.iter().sum::<usize>() == large.len(), "{sizes:?}");
    let check = "cat $ELIXIR_MAKE_CACHE_DIR/* | sha256sum";
    stage.run(&["run", "--", "sh", "-c", check]).ok().prints(&sum(&large));
}
