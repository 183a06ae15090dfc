//! The server under load: the repository is rewritten during requests, and clients exhaust its limits.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::forge::Scene;
use crate::support::http::get;
use crate::support::registry::Registry;
use crate::support::stage::{Serving, Stage};

const LIB: &str = "/git/forge.test/team/lib.git";
/// What every lock in these tests pins.
const KEPT: [&str; 2] = ["large 1.0.0", "alpha 1.0.0"];

/// Text that hardly compresses.
fn noise(bytes: usize) -> String {
    let mut state = 1_u64;
    let digits = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b"0123456789abcdef"[(state >> 60) as usize])
    });
    digits.take(bytes).collect()
}

/// A project with a release that is larger than the server's smallest cache, and a git dependency of about half as many
/// bytes when packed.
fn scene(git_bytes: usize) -> (Scene, String) {
    let mut registry = Registry::sample();
    registry.publish("large 1.0.0", &[], &[("lib/large.ex".into(), noise(2_600_000))]);
    let scene = Scene::of(Stage::without_lock(registry));
    let revision = scene.forge.commit("team/lib", "main", &[("noise", &noise(git_bytes))]);
    (scene, revision)
}

fn lock(scene: &Scene, revision: &str, more: &str) {
    let lock = scene.stage.registry.mix_lock(&[KEPT[0], KEPT[1], more]);
    let entry = format!("%{{\n  \"lib\": {{:git, \"https://forge.test/team/lib.git\", \"{revision}\", []}},\n");
    scene.stage.write("mix.lock", &lock.replace("%{\n", &entry));
}

fn serve(scene: &Scene) -> Serving {
    Serving::start(&mut scene.stage.command(&["serve", "--listen=127.0.0.1:0", "--cache=1"]))
}

#[test]
fn rewriting_the_repository_does_not_affect_clients() {
    let (scene, revision) = scene(200_000);
    lock(&scene, &revision, "beta 0.3.0");
    scene.stage.run(&["update"]).ok();
    let serving = serve(&scene);
    let tarball = |release: &str| scene.stage.registry.get(release).tarball.clone();
    let hex = || {
        for _ in 0..25 {
            for (path, release) in [("/tarballs/large-1.0.0.tar", KEPT[0]), ("/tarballs/alpha-1.0.0.tar", KEPT[1])] {
                let answer = get(serving.authority(), path);
                assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
                assert!(answer.body == tarball(release), "{path}");
            }
            for path in ["/packages/alpha", "/tarballs/beta-0.3.0.tar", "/health"] {
                let answer = get(serving.authority(), path);
                assert!(answer.status < 500, "{path}: {}", String::from_utf8_lossy(&answer.body));
            }
        }
    };
    let git = || {
        for number in 0..4 {
            let url = format!("{}{LIB}", serving.url);
            let clone = format!("clone-{number}");
            scene.sandbox().git("", &["clone", "--quiet", &url, &clone]);
            assert_eq!(scene.sandbox().git(&clone, &["rev-parse", "HEAD"]), revision);
            fs::remove_dir_all(scene.sandbox().path().join(clone)).unwrap();
        }
    };
    let rewrite = |round: usize| {
        lock(&scene, &revision, ["beta 0.3.0", "gamma 1.0.0"][round % 2]);
        scene.stage.run(&["update"]).ok();
        scene.stage.run(&["compact"]).ok();
        scene.stage.git(&["reflog", "expire", "--expire=now", "--all"]);
        scene.stage.git(&["gc", "--quiet", "--prune=now"]);
        scene.stage.git(&["repack", "-a", "-d", "--quiet", "--no-write-bitmap-index"]);
        scene.stage.git(&["pack-refs", "--all"]);
    };
    let rounds = thread::scope(|scope| {
        let clients = [scope.spawn(hex), scope.spawn(hex), scope.spawn(git)];
        let mut rounds = 0;
        while rounds < 3 || !clients.iter().all(thread::ScopedJoinHandle::is_finished) {
            rewrite(rounds);
            rounds += 1;
        }
        rounds
    });
    assert!(rounds >= 3);
    serving.stop("TERM").ok();
}

/// The requests of a client that other clients must not delay.
fn errand(scene: &Scene, serving: &Serving, name: &str) -> Duration {
    let begun = Instant::now();
    for path in ["/health", "/packages/alpha"] {
        assert_eq!(get(serving.authority(), path).status, 200);
    }
    let url = format!("{}{LIB}", serving.url);
    scene.sandbox().git("", &["ls-remote", &url]);
    scene.sandbox().git("", &["clone", "--quiet", "--no-checkout", &url, name]);
    begun.elapsed()
}

/// Returns how many connections, up to a number, this process can open.
fn allowed(connections: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let most = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| usize::try_from(most).unwrap());
    let count = connections.min(most.saturating_sub(1000));
    if count < connections {
        eprintln!("only {count} connections instead of {connections}: this user may not open more files");
    }
    count
}

/// Sends a request and does not read the response.
fn begin(serving: &Serving, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(serving.authority()).unwrap();
    // The connection may be closed to make room for others.
    let _ = stream.write_all(request.as_bytes());
    stream
}

#[test]
fn idle_connections_slow_readers_and_slow_requests_delay_no_other_client() {
    let (scene, revision) = scene(20_000_000);
    lock(&scene, &revision, "beta 0.3.0");
    scene.stage.run(&["update"]).ok();
    let serving = serve(&scene);
    errand(&scene, &serving, "first");
    let alone = errand(&scene, &serving, "second");

    let post = |length: usize, body: &str| {
        format!(
            "POST {LIB}/git-upload-pack HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\
             Content-Type: application/x-git-upload-pack-request\r\n\r\n{body}"
        )
    };
    let wants = format!("0032want {revision}\n00000009done\n");
    let pack = post(wants.len(), &wants);
    // More than fits in the buffers between the two programs.
    let tarballs = "GET /tarballs/large-1.0.0.tar HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(8);
    let body = post(5000, "0032want");
    let mut kept: Vec<TcpStream> = Vec::new();
    for _ in 0..100 {
        kept.push(begin(&serving, &tarballs));
        kept.push(begin(&serving, &pack));
    }
    kept.extend((0..50).map(|_| begin(&serving, &body)));
    let idle: Vec<TcpStream> = (0..allowed(10_000)).map(|_| begin(&serving, "")).collect();
    let among = errand(&scene, &serving, "third");
    drop((kept, idle));
    let status = fs::read_to_string(format!("/proc/{}/status", serving.child.id())).unwrap();
    let memory = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    eprintln!("alone {alone:?}, among others {among:?}, {memory}");
    assert!(among < 10 * alone + Duration::from_secs(10), "{among:?} instead of {alone:?}");
    let kilobytes: usize = memory.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kilobytes < 400 << 10, "{memory}");
    serving.stop("TERM").ok();
}
