//! The dumb protocol, which consists of plain files.

use std::fs;

use super::mirror::{Mirror, NSQ, NSQ_REVISION, RUMMAGE, RUMMAGE_REVISION, ask, url};
use crate::support::nginx::Nginx;

#[test]
fn a_client_without_the_smart_protocol_clones_too() {
    let (mirror, revisions) = Mirror::of_made();
    let (server, git) = (mirror.serve(), &mirror.sandbox);
    let mut command = git.command("git", "".as_ref());
    command.args(["clone", "--quiet", &url(&server, "example.org/team/lib"), "clone"]);
    assert!(command.env("GIT_SMART_HTTP", "0").status().unwrap().success());
    assert_eq!(git.git("clone", &["rev-parse", "HEAD"]), revisions[9]);
    git.git("clone", &["fsck", "--strict"]);
}

#[test]
fn files_are_served_completely_or_in_ranges() {
    let (mirror, revisions) = Mirror::of_made();
    let server = mirror.serve();
    let get = |method: &str, path: &str, field: &str| {
        let (head, body) = ask(
            server.local_addr(),
            &format!("{method} /git/example.org/team/lib.git/{path} HTTP/1.1\r\nX: x{field}"),
            b"",
        );
        (head[9..12].to_owned(), head, body)
    };
    let (status, _, body) = get("GET", "HEAD", "");
    assert_eq!((status.as_str(), body.as_slice()), ("200", &b"ref: refs/heads/main\n"[..]));
    let (_, head, body) = get("GET", "info/refs", "");
    assert!(head.contains("content-type: text/plain") && String::from_utf8(body).unwrap().contains(&revisions[9]));
    let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    assert_eq!(get("GET", "info/refs", &format!("\r\nIf-None-Match: {etag}")).0, "304");

    let packs = String::from_utf8(get("GET", "objects/info/packs", "").2).unwrap();
    let pack = format!("objects/pack/{}", packs.trim().strip_prefix("P ").unwrap());
    let (_, head, whole) = get("GET", &pack, "");
    assert!(head.contains("application/x-git-packed-objects") && whole.starts_with(b"PACK"), "{head}");
    let (status, head, part) = get("GET", &pack, "\r\nRange: bytes=4-11");
    assert_eq!((status.as_str(), part.as_slice()), ("206", &whole[4..12]));
    assert!(head.contains(&format!("content-range: bytes 4-11/{}", whole.len())), "{head}");
    assert_eq!(get("GET", &pack, "\r\nRange: bytes=99999999-").0, "416");
    let (status, head, body) = get("HEAD", &pack, "");
    assert_eq!((status.as_str(), body.len()), ("200", 0));
    assert!(head.contains(&format!("content-length: {}", whole.len())), "{head}");
    for path in ["config", "objects/info/alternates", "objects/12/3456", "objects/pack/../../HEAD/x", "packed-refs"] {
        assert_eq!(get("GET", path, "").0, "404", "{path}");
    }
}

#[test]
fn nginx_can_serve_the_branch_itself() {
    let Some(mirror) = Mirror::of_sample() else { return };
    let (git, root) = (&mirror.sandbox, mirror.sandbox.path());
    fs::create_dir(root.join("www")).unwrap();
    let archive = root.join("mirror.tar");
    git.git("project", &["archive", "--output", archive.to_str().unwrap(), "hexmirror", "git"]);
    assert!(git.command("tar", "www".as_ref()).arg("-xf").arg(&archive).status().unwrap().success());
    let Some(nginx) = Nginx::serve(git, &root.join("www")) else { return };
    for (address, revision) in [(NSQ, NSQ_REVISION), (RUMMAGE, RUMMAGE_REVISION)] {
        git.git("", &["clone", "--quiet", &format!("{}/git/{address}.git", nginx.url), revision]);
        git.git(revision, &["checkout", "--quiet", revision]);
        git.git(revision, &["fsck", "--strict"]);
    }
}
