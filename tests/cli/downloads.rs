//! Files that addresses name: how they are pinned, what is accepted from upstream, and that every command knows them.

use std::fs;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::http::get;
use crate::support::stage::{Serving, Stage};
use crate::support::upstream::{ALWAYS, Fault};

const FILE: &str = "releases/download/v1/tool-linux.tgz";
const CONTENT: &[u8] = b"\x1f\x8b not really a program";
/// The test's upstream is a host of this machine.
const INTERNAL: (&str, &str) = ("HEXMIRROR_INTERNAL_HOSTS", "127.0.0.1");

fn sum(content: &[u8]) -> String {
    git_hexmirror::model::hex_digits(&Sha256::digest(content))
}

fn url(stage: &Stage) -> String {
    format!("{}/{FILE}", stage.upstream.url())
}

/// The path at which the file is served.
fn path(stage: &Stage) -> String {
    format!("downloads/{}/{FILE}", stage.upstream.address())
}

/// A project whose mirror has what its lock pins, and a file that an address names.
fn offered() -> Stage {
    let stage = Stage::mirrored();
    stage.upstream.put(FILE, CONTENT);
    stage
}

/// Such a project whose hexmirror.lock pins the file, with a mirror that has it.
fn mirrored() -> Stage {
    let stage = offered();
    stage.git(&["config", "hexmirror.downloads", &url(&stage)]);
    stage.git(&["config", "hexmirror.internalHosts", INTERNAL.1]);
    stage.run(&["update"]).ok();
    stage
}

#[test]
fn an_address_is_pinned_once_and_then_held_to_its_checksum() {
    let stage = offered();
    stage.git(&["config", "hexmirror.downloads", &url(&stage)]);
    stage.git(&["config", "hexmirror.internalHosts", INTERNAL.1]);
    let why = "no hexmirror.lock pins it";
    stage.run(&["status"]).exits(1).prints(&url(&stage)).prints(why);
    stage.run(&["update", "--locked"]).exits(1).says("hexmirror.lock would change");
    assert!(!stage.project.join("hexmirror.lock").exists());
    let update = stage.run(&["update", "--json"]).ok().json();
    assert_eq!(update["files"][0]["checksum"], json!(sum(CONTENT)));
    assert_eq!(update["pinned_in"], json!("hexmirror.lock"));
    let lock = fs::read_to_string(stage.project.join("hexmirror.lock")).unwrap();
    let line = lock.lines().last().unwrap();
    let begin = format!("download {} {} {} first-use 20", url(&stage), sum(CONTENT), CONTENT.len());
    assert!(line.starts_with(&begin), "{lock}");
    assert_eq!(stage.git(&["log", "-1", "--format=%s", "hexmirror"]), "Add 1 file: tool-linux.tgz");
    let trailers = stage.git(&["log", "-1", "--format=%b", "hexmirror"]);
    assert!(trailers.contains(&format!("Lock: hexmirror.lock sha256:{}", sum(lock.as_bytes()))), "{trailers}");
    stage.run(&["status"]).ok();
    stage.run(&["list", "tool-linux.tgz"]).ok().prints("trusted on first use, 20");
    stage.run(&["verify"]).ok().says("1 file (1 trusted on first use)");
    let audit = |arguments: &[&str]| stage.run(&[&["audit", "--ignore", "retired:delta"], arguments].concat());
    let found = audit(&[]).exits(1);
    assert!(!found.stderr.contains("not judged"), "it is a finding: {found:?}");
    let expected = format!("first-use {}: only its first download vouches for it, on 2", url(&stage));
    assert!(found.stdout.starts_with(&expected) && found.stdout.ends_with("  hexmirror.lock:3\n"), "{found:#?}");
    for accepted in ["first-use", &format!("first-use:{}", url(&stage))] {
        audit(&["--ignore", accepted]).ok().says("2 findings are ignored");
    }
    audit(&["--ignore", "first-use:https://h.example/"]).exits(1).says("names nothing");
    let sarif = audit(&["--format", "sarif"]).exits(1).stdout;
    assert!(sarif.contains("\"ruleId\": \"first-use\""), "{sarif}");
    crate::support::validators::check("sarif", &[sarif]);
    assert_eq!(stage.run(&["audit", "--json"]).json()["files_first_use"], json!(1));

    // Nothing is asked again, and nothing else is accepted.
    let asked = stage.upstream.count(&format!("/{FILE}"));
    stage.run(&["update", "--refresh"]).ok();
    assert_eq!(stage.upstream.count(&format!("/{FILE}")), asked);
    stage.upstream.put(FILE, b"something else");
    stage.git(&["update-ref", "-d", "refs/heads/hexmirror"]);
    stage.run(&["status"]).exits(1).prints(&format!("missing {}", url(&stage)));
    stage.run(&["update"]).exits(4).says("wrong checksum");
    stage.upstream.put(FILE, CONTENT);
    stage.run(&["update"]).ok();
    assert_eq!(fs::read_to_string(stage.project.join("hexmirror.lock")).unwrap(), lock);

    // Who compared the file removes the two words, which are those of the lock and not of the mirror.
    let day = lock.trim_end().rsplit(' ').next().unwrap();
    stage.write("hexmirror.lock", &lock.replace(&format!(" first-use {day}"), ""));
    stage.run(&["update"]).ok().says("nothing to do");
    stage.run(&["list", "tool-linux.tgz"]).ok().prints("checksum from the lock");
    assert!(!stage.run(&["verify"]).ok().stderr.contains("first use"));
    audit(&[]).ok();
}

#[test]
fn a_bare_repository_mirrors_only_what_is_pinned() {
    let stage = mirrored();
    stage.write(".tool-versions", "elixir 1.14.0-otp-25\n");
    // A request that no update has answered yet.
    let lock = fs::read_to_string(stage.project.join("hexmirror.lock")).unwrap();
    stage.write("hexmirror.lock", &(lock + "tools elixir 1.15.0 otp 26\n"));
    stage.git(&["add", "."]);
    stage.git(&["commit", "--quiet", "--message", "Pin a file"]);
    stage.git(&["clone", "--quiet", "--bare", ".", "../bare.git"]);
    let run = |arguments: &[&str]| {
        let url = url(&stage).replace("/v1/", "/v2/");
        stage.run_with(&[&["-C", "../bare.git"], arguments].concat(), &[INTERNAL, ("HEXMIRROR_DOWNLOADS", &url)])
    };
    run(&["status"]).ok();
    run(&["update"]).ok().says("/v2/tool-linux.tgz is not mirrored");
    run(&["update"]).ok().says("Elixir 1.14.0 otp 25 is not mirrored").says("Elixir 1.15.0 otp 26 is not mirrored");
}

#[test]
fn a_file_is_served_exported_and_pruned() {
    let stage = mirrored();
    let serving = Serving::start(&mut stage.command(&["serve", "--listen", "127.0.0.1:0"]));
    let answer = get(serving.authority(), &format!("/{}", path(&stage)));
    assert_eq!((answer.status, answer.body.as_slice()), (200, CONTENT));
    assert_eq!(get(serving.authority(), "/downloads/h/x").status, 404);
    drop(serving);
    let folder = stage.sandbox.path().join("out");
    stage.run(&["export", folder.to_str().unwrap()]).ok();
    assert_eq!(fs::read(folder.join(path(&stage))).unwrap(), CONTENT);
    let tools = stage.sandbox.path().join("tools");
    stage.run(&["tools", "install", "--to", tools.to_str().unwrap()]).ok();
    assert_eq!(fs::read(tools.join(path(&stage))).unwrap(), CONTENT);

    stage.git(&["config", "--unset", "hexmirror.downloads"]);
    stage.run(&["prune", "--keep-days", "0"]).ok().says("everything in hexmirror");
    fs::remove_file(stage.project.join("hexmirror.lock")).unwrap();
    stage.run(&["prune", "--keep-days", "0", "--json"]).ok();
    assert_eq!(stage.run(&["list", "--json", "tool-linux.tgz"]).exits(1).json(), json!([]));
}

#[test]
fn an_address_of_a_tracked_file_does_not_lead_into_the_users_network() {
    let stage = offered();
    let update = |urls: &str, more: &[(&str, &str)]| {
        stage.write(".hexmirror.toml", &format!("downloads = [\"{urls}\"]\n"));
        stage.run_with(&["update"], more)
    };
    let before = stage.upstream.count("*");
    update(&url(&stage), &[]).exits(2).says("it is not https").says("internal_hosts");
    let https = format!("https://{}/{FILE}", stage.upstream.address());
    update(&https, &[]).exits(2).says("a private network");
    let by_name = format!("https://localhost:{}/{FILE}", stage.upstream.address().port());
    update(&by_name, &[]).exits(2).says("a private network");
    assert_eq!(stage.upstream.count("*"), before);
    // Nor does a lock, or a redirect.
    fs::remove_file(stage.project.join(".hexmirror.toml")).unwrap();
    stage.write("hexmirror.lock", &format!("download {https} {} {}\n", sum(CONTENT), CONTENT.len()));
    stage.run(&["update"]).exits(2).says("a private network");
    stage.write("hexmirror.lock", &format!("download {} {} {}\n", url(&stage), sum(CONTENT), CONTENT.len()));
    let elsewhere = format!("http://localhost:{}/{FILE}", stage.upstream.address().port());
    stage.upstream.fail(&format!("/{FILE}"), 1, Fault::Redirect(302, elsewhere));
    stage.run_with(&["update"], &[INTERNAL]).exits(2).says("it is not https");
    // What a branch says about its own hosts is inactive.
    stage.write(".hexmirror.toml", "internal_hosts = [\"127.0.0.1\"]\n");
    stage.run(&["update"]).exits(2).says("it is not https");
    stage.run_with(&["update"], &[INTERNAL]).ok();
}

#[test]
fn what_is_no_such_file_is_refused() {
    let stage = offered();
    for (line, says) in [
        ("download file:///etc/passwd 00 1".to_owned(), "only https:// and http://"),
        (format!("download https://u:secret@h/x {} 1", sum(b"")), "user name or a password"),
        (format!("download https://h/x?token=secret {} 1", sum(b"")), "with a query"),
    ] {
        stage.write("hexmirror.lock", &format!("{line}\n"));
        let ran = stage.run(&["update"]).exits(2);
        ran.says(says);
    }
    fs::remove_file(stage.project.join("hexmirror.lock")).unwrap();
    stage.git(&["config", "hexmirror.internalHosts", INTERNAL.1]);
    stage.git(&["config", "hexmirror.downloads", "file:///etc/passwd"]);
    stage.run(&["update"]).exits(2).says("the setting downloads");
    stage.git(&["config", "hexmirror.downloads", &url(&stage)]);
    stage.upstream.put(FILE, b"<!DOCTYPE html><title>Sign in</title>");
    stage.upstream.set_header("content-type", "text/html; charset=utf-8");
    stage.run(&["update"]).exits(3).says("web page");
    // Whatever type the server declares.
    stage.upstream.set_header("content-type", "application/octet-stream");
    let pages = [&b"<!doctype html><title>Sign in</title>"[..], b"\xef\xbb\xbf\r\n <HTML lang=en>", b"\n<html>"];
    for page in pages {
        stage.upstream.put(FILE, page);
        stage.run(&["update"]).exits(3).says("web page").says("log in");
        assert!(!stage.project.join("hexmirror.lock").exists());
    }
    stage.upstream.fail(&format!("/{FILE}"), ALWAYS, Fault::ClaimLength(1 << 30));
    stage.run(&["update"]).exits(3).says("larger than");
    assert!(!stage.project.join("hexmirror.lock").exists());
    assert!(!stage.paths().iter().any(|path| path.starts_with("files/")));
    // A page is what such an address asks for.
    stage.upstream.heal();
    stage.upstream.put("guide/index.html", pages[0]);
    stage.upstream.set_header("content-type", "text/html");
    stage.git(&["config", "hexmirror.downloads", &format!("{}/guide/index.html", stage.upstream.url())]);
    stage.run(&["update"]).ok();
    stage.upstream.set_header("content-type", "application/octet-stream");
    // Nor is something that only mentions one.
    stage.upstream.put(FILE, b"#!/bin/sh\n<html>");
    stage.git(&["config", "hexmirror.downloads", &url(&stage)]);
    stage.run(&["update"]).ok();
}

#[test]
fn a_file_below_another_one_is_refused_before_anything_is_written() {
    let stage = offered();
    stage.git(&["config", "hexmirror.internalHosts", INTERNAL.1]);
    let (above, below) = (format!("{}/x", stage.upstream.url()), format!("{}/x/y", stage.upstream.url()));
    let line = |url: &str, content: &[u8]| format!("download {url} {} {}\n", sum(content), content.len());
    let both = format!("{above} and {below} cannot both be mirrored");
    stage.git(&["config", "hexmirror.downloads", &format!("{below} {above}")]);
    stage.run(&["update"]).exits(2).says("the setting downloads").says(&both);
    // Also beside a lock, and in locks.
    stage.upstream.put("x", b"file");
    stage.git(&["config", "hexmirror.downloads", &above]);
    stage.run(&["update"]).ok();
    stage.git(&["config", "hexmirror.downloads", &below]);
    stage.run(&["update"]).exits(2).says("which a lock pins, cannot both be mirrored");
    stage.git(&["config", "--unset", "hexmirror.downloads"]);
    for lines in [line(&above, b"file") + &line(&below, b"below"), line(&below, b"below") + &line(&above, b"file")] {
        stage.write("hexmirror.lock", &lines);
        stage.run(&["status"]).exits(2).says("cannot both be mirrored").says("so one would be a file and a folder");
    }
    // Only the first part of a name is not a folder.
    let beside = format!("{above}-y");
    stage.upstream.put("x-y", b"beside");
    stage.write("hexmirror.lock", &(line(&above, b"file") + &line(&beside, b"beside")));
    stage.run(&["update"]).ok();

    // Two branches can pin one each. The server has both, and an export is refused as a whole.
    fs::remove_file(stage.sandbox.path().join("upstream/x")).unwrap();
    stage.upstream.put("x/y", b"below");
    stage.write("hexmirror.lock", &line(&below, b"below"));
    stage.run(&["update"]).ok();
    let serving = Serving::start(&mut stage.command(&["serve", "--listen", "127.0.0.1:0"]));
    for (path, content) in [("x", &b"file"[..]), ("x/y", b"below")] {
        let answer = get(serving.authority(), &format!("/downloads/{}/{path}", stage.upstream.address()));
        assert_eq!((answer.status, answer.body.as_slice()), (200, content));
    }
    drop(serving);
    let out = stage.sandbox.path().join("out");
    let export = || stage.run(&["export", out.to_str().unwrap()]);
    export().exits(2).says("a folder cannot have both").says("git hexmirror prune");
    assert!(!out.exists());
    stage.run(&["prune", "--keep-days", "0"]).ok();
    export().ok();
    assert_eq!(fs::read(out.join(format!("downloads/{}/x/y", stage.upstream.address()))).unwrap(), b"below");
}
