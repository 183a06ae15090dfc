//! Invalid or hostile locks in another user's branch.

use crate::refused;
use crate::support::registry::Registry;
use crate::support::stage::Stage;

/// Checks that an update with such a lock is rejected before any request.
#[track_caller]
fn is_refused(lock: &str, texts: &[&str]) {
    let stage = Stage::without_lock(Registry::sample());
    stage.write("mix.lock", lock);
    refused(&stage, 2, texts);
    stage.run(&["status"]).exits(2).says("mix.lock:");
    stage.run(&["diff", "--json"]).exits(2);
    assert_eq!(stage.upstream.count("*"), 0);
}

fn entry(package: &str, version: &str, repository: &str) -> String {
    let sum = "a".repeat(64);
    format!(
        "%{{\n  \"x\": {{:hex, :\"{package}\", \"{version}\", \"{sum}\", [:mix], [], \"{repository}\", \"{sum}\"}},\n}}\n"
    )
}

#[test]
fn hostile_names() {
    for name in
        ["../../etc/passwd", "a/b", "..", "", ".git", "A\\u0000b", "-rf", "a b", "a%2fb", "naïve", &"x".repeat(5000)]
    {
        is_refused(&entry(name, "1.0.0", "hexpm"), &["mix.lock:2:", "error:"]);
    }
}

#[test]
fn hostile_repositories() {
    for name in ["../x", "hexpm:../x", "hexpm:a:b", "http://evil.example", "hexpm/x", "@", ""] {
        is_refused(&entry("x", "1.0.0", name), &["mix.lock:2:"]);
    }
}

#[test]
fn hostile_versions() {
    for version in ["1.0.0/../../x", "../1.0.0", "1.0", "", "1.0.0 ", "1.0.0\\n", "99999999999999999999.0.0", "v1.0.0"]
    {
        is_refused(&entry("x", version, "hexpm"), &["mix.lock:2:"]);
    }
}

#[test]
fn invalid_checksums_are_refused() {
    let sum = "a".repeat(64);
    let lock = format!("%{{\"x\": {{:hex, :x, \"1.0.0\", \"{sum}\", [:mix], [], \"hexpm\", \"{}\"}}}}", "g".repeat(64));
    is_refused(&lock, &["mix.lock:1:"]);
    let lock = lock.replace(&"g".repeat(64), "abc");
    is_refused(&lock, &["mix.lock:1:"]);
}

#[test]
fn two_locks_that_pin_other_bytes_for_one_release() {
    let stage = Stage::without_lock(Registry::sample());
    stage.write("mix.lock", &entry("x", "1.0.0", "hexpm"));
    stage.write("sub/mix.lock", &entry("x", "1.0.0", "hexpm").replace(&"a".repeat(64), &"b".repeat(64)));
    stage.git(&["config", "hexmirror.locks", "**/mix.lock"]);
    refused(&stage, 4, &["x 1.0.0 is locked twice", "sub/mix.lock:2:", "the other lock is mix.lock"]);
    // Within one lock, it is the lock that is invalid.
    let twice = entry("x", "1.0.0", "hexpm");
    let other = twice.replace("\"x\": ", "\"y\": ").replace(&"a".repeat(64), &"b".repeat(64));
    stage.write("mix.lock", &format!("{}{}", twice.trim_end().trim_end_matches('}'), other.trim_start_matches("%{")));
    refused(&stage, 2, &["mix.lock:"]);
}

#[test]
fn code_is_not_run() {
    let stage = Stage::without_lock(Registry::sample());
    stage.write("mix.lock", "%{\"x\": File.write!(\"escaped\", \"\")}\n");
    refused(&stage, 2, &["mix.lock:1:"]);
    stage.write("mix.lock", "%{\"x\": {:hex, :\"a#{File.write!(:escaped, :x)}\", \"1.0.0\"}}\n");
    refused(&stage, 2, &["mix.lock:1:"]);
    assert!(!stage.project.join("escaped").exists());
}

#[test]
fn git_addresses_start_no_program() {
    let stage = Stage::without_lock(Registry::sample());
    for url in
        ["ext::sh -c touch% escaped", "--upload-pack=touch escaped", "-oProxyCommand=touch escaped", "file:///etc"]
    {
        stage.write("mix.lock", &format!("%{{\"x\": {{:git, \"{url}\", \"{}\", []}}}}\n", "a".repeat(40)));
        for command in ["update", "status", "diff", "lock"] {
            let ran = stage.run(&[command]);
            assert!(ran.code.is_some_and(|code| code <= 5) && !ran.stderr.contains("panicked"), "{url}: {ran:?}");
        }
    }
    assert!(!stage.project.join("escaped").exists());
}

#[test]
fn nested_too_deeply_or_too_large() {
    is_refused(&format!("%{{\"x\": {}", "[".repeat(100_000)), &["mix.lock:1:"]);
    is_refused(&"[".repeat(2_000_000), &["mix.lock:1:"]);
    let stage = Stage::without_lock(Registry::sample());
    let file = std::fs::File::create(stage.project.join("mix.lock")).unwrap();
    file.set_len(1 << 30).unwrap();
    refused(&stage, 2, &["mix.lock"]);
    stage.run(&["lock", "mix.lock"]).exits(2).says("file too large");
    // A single line of the maximum size, of which the error only shows an excerpt.
    file.set_len(60 << 20).unwrap();
    let ran = stage.run(&["lock", "mix.lock"]).exits(2).says("mix.lock:1:1");
    assert!(ran.stderr.len() < 2000);
}

#[test]
fn not_text() {
    let stage = Stage::without_lock(Registry::sample());
    std::fs::write(stage.project.join("mix.lock"), b"%{\"x\": \xff\xfe\x00}").unwrap();
    refused(&stage, 2, &["mix.lock:1:"]);
}

#[test]
fn zeros_that_a_power_cut_left() {
    for file in ["mix.lock", "rebar.lock"] {
        let stage = Stage::without_lock(Registry::sample());
        stage.write(file, &"\0".repeat(4096));
        refused(&stage, 2, &[&format!("{file}:1:1")]);
    }
}

#[test]
fn no_lock() {
    let stage = Stage::without_lock(Registry::sample());
    refused(&stage, 2, &["found no mix.lock, rebar.lock, manifest.toml or hexmirror.lock in"]);
    std::fs::create_dir(stage.project.join("mix.lock")).unwrap();
    refused(&stage, 2, &["mix.lock is a folder, not a regular file"]);
}

#[test]
fn an_empty_lock_pins_nothing() {
    let stage = Stage::without_lock(Registry::sample());
    stage.write("mix.lock", "%{}\n");
    stage.run(&["update"]).ok();
    stage.run(&["status"]).ok();
    assert_eq!(stage.upstream.count("*"), 0);
}
