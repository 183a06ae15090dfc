//! The dumb protocol, which consists of plain files.

use std::fs;
use std::net::TcpListener;
use std::process::Stdio;

use super::mirror::{Mirror, NSQ, NSQ_REVISION, RUMMAGE, RUMMAGE_REVISION, ask, url};

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
fn nginx_can_serve_the_exported_tree() {
    let nginx = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| fs::exists(path).unwrap());
    let Some(nginx) = nginx else { return eprintln!("skipped: there is no nginx") };
    let Some(mirror) = Mirror::of_sample() else { return };
    let (git, root) = (&mirror.sandbox, mirror.sandbox.path());
    fs::create_dir(root.join("www")).unwrap();
    let archive = root.join("mirror.tar");
    git.git("project", &["archive", "--output", archive.to_str().unwrap(), "hexmirror", "git"]);
    assert!(git.command("tar", "www".as_ref()).arg("-xf").arg(&archive).status().unwrap().success());
    #[cfg(unix)]
    fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let root_text = root.display();
    let settings = format!(
        "pid {root_text}/nginx.pid; error_log {root_text}/nginx.err; events {{}}\n\
         http {{ access_log off; server {{ listen 127.0.0.1:{port}; root {root_text}/www; }} }}\n"
    );
    fs::write(root.join("nginx.conf"), settings).unwrap();
    let nginx = || {
        let mut command = git.command(nginx, "".as_ref());
        command.arg("-c").arg(root.join("nginx.conf")).arg("-e").arg(root.join("nginx.err"));
        command
    };
    // It goes into the background once it listens.
    assert!(nginx().stderr(Stdio::null()).status().unwrap().success());
    for (address, revision) in [(NSQ, NSQ_REVISION), (RUMMAGE, RUMMAGE_REVISION)] {
        git.git("", &["clone", "--quiet", &format!("http://127.0.0.1:{port}/git/{address}.git"), revision]);
        git.git(revision, &["checkout", "--quiet", revision]);
        git.git(revision, &["fsck", "--strict"]);
    }
    assert!(nginx().args(["-s", "stop"]).status().unwrap().success());
}
