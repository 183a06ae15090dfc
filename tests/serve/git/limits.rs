//! Limits on clients, and the cleanup after clients that disconnect.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use git_hexmirror::ops::MirrorContents;
use git_hexmirror::serve::{Git, Handle, Limits, Options, Server};

use super::mirror::{Mirror, PATIENCE, ask, succeed, url};
use crate::support::http::read_some;

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
    // The only process is available again.
    mirror.sandbox.git("", &["ls-remote", &url(&server, "example.org/team/lib")]);
}

/// A mirror of a repository that is larger than the buffers between server and client, and its only commit.
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

/// Returns a request for the whole repository of [`large`].
fn wants(commit: &str) -> String {
    let body = format!("0032want {commit}\n00000009done\n");
    format!("{POST}\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A git that writes part of its answer and then runs forever. All processes that it consists of have the FIFO `running` open.
fn endless(mirror: &Mirror) -> Git {
    let program = mirror.sandbox.path().join("endless");
    // Other tests may be starting processes at this moment, and a file that is open for writing cannot be executed.
    let text = "mkfifo running; \
                printf '#!/bin/sh\nexec 3>%s/running\ngit \"$@\" | head -c 100000\nexec sleep 1000 >&1\n' \"$PWD\" >endless; \
                chmod +x endless";
    succeed(mirror.sandbox.command("sh", "".as_ref()).args(["-c", text]));
    Git { program, search_path: std::env::var_os("PATH") }
}

/// Returns what hears when the processes of an [`endless`] git have ended, each time that one is started.
fn ends(mirror: &Mirror) -> Receiver<()> {
    let (fifo, (end, ended)) = (mirror.sandbox.path().join("running"), channel());
    // Opening waits for a process, and reading for the end of all of them.
    thread::spawn(move || while fs::read(&fifo).is_ok() && end.send(()).is_ok() {});
    ended
}

#[test]
fn processes_end_when_their_client_disconnects() {
    let (mirror, commit) = large();
    let limits = Limits { git_processes: 1, ..Limits::default() };
    let contents = Arc::new(MirrorContents::new(&mirror.project()));
    let options = Options { limits, git: endless(&mirror), ..Options::default() };
    let ended = ends(&mirror);
    let server = Server::bind("127.0.0.1:0", contents, options).unwrap().start().unwrap();
    for _ in 0..3 {
        let mut client = TcpStream::connect(server.local_addr()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(wants(&commit).as_bytes()).unwrap();
        let mut first = vec![0; 90_000];
        client.read_exact(&mut first).unwrap();
        assert!(first.starts_with(b"HTTP/1.1 200"));
        assert_eq!(ended.try_recv(), Err(TryRecvError::Empty));
        drop(client);
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(()), "git continues without a client");
    }
}

#[test]
fn slow_readers_do_not_occupy_a_process() {
    let (mirror, commit) = large();
    let server = serve(&mirror, Limits { git_processes: 1, ..Limits::default() });
    let mut stuck = TcpStream::connect(server.local_addr()).unwrap();
    stuck.write_all(wants(&commit).as_bytes()).unwrap();
    let mut others: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(server.local_addr()).unwrap()).collect();
    for other in &mut others {
        other.write_all(wants(&commit).as_bytes()).unwrap();
    }
    // The only permitted process is available again, and a large answer arrives completely.
    mirror.sandbox.git("", &["clone", "--quiet", &url(&server, "example.org/team/lib"), "clone"]);
    assert!(fs::read(mirror.sandbox.path().join("clone/noise")).unwrap().len() == 24 << 20);
    // The clients have received everything.
    for mut client in [stuck].into_iter().chain(others.pop()) {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut answer, mut chunk) = (Vec::new(), vec![0; 1 << 20]);
        while !answer.ends_with(b"0\r\n\r\n") {
            let read = read_some(&mut client, &mut chunk).unwrap();
            assert!(read > 0, "the answer ends after {} bytes", answer.len());
            answer.extend_from_slice(&chunk[..read]);
        }
        assert!(answer.len() > 24 << 20);
    }
}

#[test]
fn slow_requests_do_not_occupy_a_process() {
    let (mirror, _) = Mirror::of_made();
    let server = serve(&mirror, Limits { git_processes: 1, body_time: PATIENCE, ..Limits::default() });
    let slow = |length: usize, encoding: &str| {
        let mut client = TcpStream::connect(server.local_addr()).unwrap();
        let head = format!("{POST}\r\nHost: localhost\r\nContent-Length: {length}{encoding}\r\n\r\n0032want");
        client.write_all(head.as_bytes()).unwrap();
        client
    };
    let slow: Vec<_> =
        (0..8).map(|number| slow(100 + 10_000 * number, ["", "\r\nContent-Encoding: gzip"][number % 2])).collect();
    mirror.sandbox.git("", &["clone", "--quiet", &url(&server, "example.org/team/lib"), "clone"]);
    drop(slow);
}

#[test]
fn a_large_request_is_answered_like_a_small_one() {
    let (mirror, revisions) = Mirror::of_made();
    let server = mirror.serve();
    // What the client has, repeated until it no longer fits in memory.
    let have = format!("0032have {}\n", revisions[0]);
    let body = format!("0032want {}\n0000{}0009done\n", revisions[1], have.repeat(5000));
    let (head, answer) =
        ask(server.local_addr(), &format!("{POST}\r\nContent-Length: {}", body.len()), body.as_bytes());
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(answer.windows(4).any(|bytes| bytes == b"PACK"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn a_deleted_folder_is_written_again() {
    let (mirror, revisions) = Mirror::of_made();
    let server = mirror.serve();
    for revision in &revisions {
        let _ = fs::remove_dir_all(mirror.cache());
        let body = format!("0032want {revision}\n00000009done\n");
        let (head, _) = ask(server.local_addr(), &format!("{POST}\r\nContent-Length: {}", body.len()), body.as_bytes());
        assert!(head.starts_with("http/1.1 200"), "{head}");
    }
}

#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    let (mirror, commit) = large();
    let limits = Limits { connections: 1, write_time: Duration::from_millis(200), ..Limits::default() };
    let server = serve(&mirror, limits);
    let mut stuck = TcpStream::connect(server.local_addr()).unwrap();
    stuck.write_all(wants(&commit).as_bytes()).unwrap();
    // The next client waits for the only place until the first one is cut off.
    mirror.sandbox.git("", &["ls-remote", &url(&server, "example.org/team/lib")]);
}
