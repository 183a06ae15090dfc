//! What `insteadOf` redirects to the server without being meant for it: repositories whose address begins like a
//! mirrored one's, and pushes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::mirror::{Mirror, ask, stderr, succeed};

/// A proxy that connects every client to one address. Returns its own address and the requested ones.
fn proxy(to: std::net::SocketAddr) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let wanted = Arc::<Mutex<Vec<String>>>::default();
    let noted = wanted.clone();
    // Runs until the test process ends.
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).unwrap() == 1 {
                head.push(byte[0]);
            }
            noted.lock().unwrap().push(String::from_utf8(head).unwrap().lines().next().unwrap_or_default().to_owned());
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let server = TcpStream::connect(to).unwrap();
            for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
    (address, wanted)
}

#[test]
fn git_is_redirected_to_a_repository_with_a_mirrored_ones_prefix() {
    let (mirror, _) = Mirror::of_made();
    mirror.pin();
    let server = mirror.serve();
    // The outside world: the repositories that are not mirrored, under their host's name.
    let mut world = Mirror::new();
    let revisions = world.make("extra", 2);
    for address in ["example.org/team/lib_extra", "example.org/team/lib/inner"] {
        world.store(address, &world.sandbox.path().join("extra/.git"));
    }
    world.commit();
    world.pin();
    let (own, authority) = world.serve_securely(&["example.org"]);
    let (proxy, wanted) = proxy(own.local_addr());
    for (number, path) in ["team/lib_extra", "team/lib_extra.git", "team/lib/inner.git"].into_iter().enumerate() {
        let (address, name) = (format!("https://example.org/{path}"), &format!("clone-{number}"));
        let mut command = mirror.led(&server, None, "");
        command.env("https_proxy", &proxy).env("GIT_SSL_CAINFO", &authority);
        succeed(command.args(["clone", "--quiet", &address, name]));
        assert_eq!(mirror.sandbox.git(name, &["rev-parse", "HEAD"]), revisions[1]);
        assert_eq!(mirror.sandbox.git(name, &["config", "remote.origin.url"]), address);
    }
    let asked = std::mem::take(&mut *wanted.lock().unwrap());
    assert!(asked.len() >= 3 && asked.iter().all(|line| line.starts_with("CONNECT example.org:443 ")), "{asked:?}");
    // Mirrored repositories are not redirected.
    let mut command = mirror.led(&server, None, "");
    succeed(command.env("https_proxy", &proxy).args(["ls-remote", "https://example.org/team/lib"]));
    assert!(wanted.lock().unwrap().is_empty());
}

#[test]
fn only_the_first_request_is_redirected_upstream() {
    let (mirror, _) = Mirror::of_made();
    mirror.pin();
    let server = mirror.serve();
    let answer = |request: &str| ask(server.local_addr(), request, b"").0;
    for (service, path) in [("git-upload-pack", "lib_extra"), ("git-receive-pack", "lib_extra.git")] {
        let head = answer(&format!("GET /git/example.org/team/{path}/info/refs?service={service} HTTP/1.1"));
        assert!(head.starts_with("http/1.1 302 "), "{head}");
        assert!(
            head.contains(&format!("location: https://example.org/team/{path}/info/refs?service={service}\r\n")),
            "{head}"
        );
    }
    for (request, status) in [
        ("GET /git/example.org/team/other/info/refs?service=git-upload-pack HTTP/1.1", 404),
        ("GET /git/example.net/team/lib_extra/info/refs?service=git-upload-pack HTTP/1.1", 404),
        ("GET /git/example.org/team/lib_extra/HEAD HTTP/1.1", 404),
        ("GET /git/example.org/team/lib/info/refs?service=git-receive-pack HTTP/1.1", 403),
        ("GET /git/example.org/team/lib/info/refs?service=git-upload-pack HTTP/1.1", 200),
    ] {
        let head = answer(request);
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{request}: {head}");
    }
}

#[test]
fn a_push_is_not_redirected() {
    let (mirror, revisions) = Mirror::of_made();
    mirror.pin();
    let server = mirror.serve();
    let push = |arguments: &[&str]| mirror.led(&server, None, "lib").arg("push").args(arguments).output().unwrap();
    let text = stderr(&push(&["https://example.org/team/lib.git", "main"]));
    assert!(text.contains("https://example.org/team/lib.git") && text.contains("127.0.0.1 port 1"), "{text}");
    assert!(!text.contains("read-only"), "{text}");
    // The user's own rules still apply.
    let real = mirror.sandbox.path().join("real/team/lib.git");
    mirror.sandbox.git("", &["init", "--quiet", "--bare", real.to_str().unwrap()]);
    let base = format!("url.file://{}/real/.insteadOf", mirror.sandbox.path().display());
    mirror.sandbox.git("project", &["config", &base, "https://example.org/"]);
    let output = push(&["https://example.org/team/lib.git", "main"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(mirror.sandbox.git(&real, &["rev-parse", "main"]), revisions[9]);
    // Reading still uses the mirror, because that folder is not a remote of the project.
    succeed(mirror.led(&server, None, "").args(["ls-remote", "https://example.org/team/lib.git"]));
}
