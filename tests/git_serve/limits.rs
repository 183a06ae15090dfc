//! How clients are bounded, and what is left of those that vanish.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use git_hexmirror::serve::{Handle, Limits, Options};

use super::mirror::{Mirror, PATIENCE, ask, url};

const POST: &str = "POST /git/example.org/team/lib.git/git-upload-pack HTTP/1.1\r\n\
                    Content-Type: application/x-git-upload-pack-request";

fn serve(mirror: &Mirror, limits: Limits) -> Handle {
    mirror.serve_with(Options { limits, ..Options::default() })
}

#[test]
fn a_request_that_is_too_large_or_too_slow_is_cut_off() {
    let (mirror, _) = Mirror::of_made();
    let server = serve(&mirror, Limits { body_bytes: 1000, ..Limits::default() });
    let (head, body) = ask(server.local_addr(), &format!("{POST}\r\nContent-Length: 5000"), &[b'0'; 5000]);
    assert!(head.starts_with("http/1.1 413"), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("1000 bytes"));

    let limits = Limits { body_time: Duration::from_millis(100), git_processes: 1, ..Limits::default() };
    let server = serve(&mirror, limits);
    let (head, _) = ask(server.local_addr(), &format!("{POST}\r\nContent-Length: 5000"), b"0032want");
    assert!(head.starts_with("http/1.1 408"), "{head}");
    // The only process is free again.
    mirror.sandbox.git("", &["ls-remote", &url(&server, "example.org/team/lib")]);
}

/// A mirror of a repository with more than the buffers between server and client hold, and its only commit.
fn large() -> (Mirror, String) {
    let mut mirror = Mirror::new();
    mirror.sandbox.git("", &["init", "--quiet", "lib"]);
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    });
    fs::write(mirror.sandbox.path().join("lib/noise"), noise.take(24 << 20).collect::<Vec<u8>>()).unwrap();
    mirror.sandbox.git("lib", &["add", "noise"]);
    mirror.sandbox.git("lib", &["-c", "core.compression=0", "commit", "--quiet", "--message=Noise"]);
    mirror.store("example.org/team/lib", &mirror.sandbox.path().join("lib/.git"));
    mirror.commit();
    let commit = mirror.sandbox.git("lib", &["rev-parse", "HEAD"]);
    (mirror, commit)
}

#[test]
fn a_client_that_vanishes_takes_its_processes_along() {
    let (mirror, commit) = large();
    let server = serve(&mirror, Limits { git_processes: 1, ..Limits::default() });
    for _ in 0..3 {
        let body = format!("0032want {commit}\n00000009done\n");
        let mut client = TcpStream::connect(server.local_addr()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("{POST}\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        client.write_all(head.as_bytes()).unwrap();
        client.write_all(body.as_bytes()).unwrap();
        let mut first = [0; 4096];
        client.read_exact(&mut first).unwrap();
        assert!(first.starts_with(b"HTTP/1.1 200"));
        assert_eq!(processes_over(&mirror), 2, "upload-pack and pack-objects work");
        drop(client);
        let begun = Instant::now();
        while processes_over(&mirror) > 0 {
            assert!(begun.elapsed() < PATIENCE, "git works on for nobody");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    // The only process that is allowed is free again; and what is large arrives whole.
    mirror.sandbox.git("", &["clone", "--quiet", &url(&server, "example.org/team/lib"), "clone"]);
    assert!(fs::read(mirror.sandbox.path().join("clone/noise")).unwrap().len() == 24 << 20);
}

#[test]
fn a_client_that_takes_nothing_is_cut_off() {
    let (mirror, commit) = large();
    let limits = Limits { git_processes: 1, write_time: Duration::from_millis(200), ..Limits::default() };
    let server = serve(&mirror, limits);
    let body = format!("0032want {commit}\n00000009done\n");
    let mut stuck = TcpStream::connect(server.local_addr()).unwrap();
    let head = format!("{POST}\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stuck.write_all(head.as_bytes()).unwrap();
    // Whoever comes next waits for the only process, which the first one has until it is cut off.
    mirror.sandbox.git("", &["ls-remote", &url(&server, "example.org/team/lib")]);
}

/// Counts the processes of git that work in the mirror's cache.
fn processes_over(mirror: &Mirror) -> usize {
    let cache = mirror.cache();
    let entries = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let works_there = |process: &std::path::PathBuf| {
        let cwd = fs::read_link(process.join("cwd")).unwrap_or_default();
        cwd.starts_with(&cache)
    };
    entries.filter(works_there).count()
}
