//! `serve --follow`: a replica of a server.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::process::{ChildStderr, Stdio};
use std::time::{Duration, Instant};

use crate::support::http::get;
use crate::support::stage::{PINNED, Ran, Serving, Stage, send};

/// A server, and what it says.
struct Replica {
    serving: Serving,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Replica {
    fn start(stage: &Stage, folder: &str, follow: &str) -> Self {
        let mut command = stage.command_in(folder, &["serve", "--listen=127.0.0.1:0", "--follow", follow]);
        let mut serving = Serving::start(&mut command);
        let lines = BufReader::new(serving.child.stderr.take().unwrap()).lines();
        Self { serving, lines }
    }

    /// Waits until the server says a text.
    fn says(&mut self, text: &str) -> String {
        let line = self.lines.find_map(|line| Some(line.unwrap()).filter(|line| line.contains(text)));
        line.unwrap_or_else(|| panic!("{text:?} was not said"))
    }

    fn get(&self, path: &str) -> (u16, String) {
        let answer = get(self.serving.authority(), path);
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Asks for the health until it has a text, which only takes time.
    fn becomes(&self, text: &str) {
        let begun = Instant::now();
        while !self.get("/health").1.contains(text) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", self.get("/health"));
        }
    }
}

/// Makes a remote with the project's branches, and another clone of it.
fn with_replica() -> Stage {
    let stage = Stage::mirrored();
    stage.sandbox.git("", &["clone", "--quiet", "--bare", "project", "hub.git"]);
    stage.sandbox.git("", &["clone", "--quiet", "hub.git", "replica"]);
    stage
}

/// Updates the project's mirror, and pushes it to the remote.
fn push(stage: &Stage) -> String {
    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    stage.run(&["update"]).ok();
    stage.git(&["push", "--quiet", "../hub.git", "hexmirror"]);
    stage.tip().unwrap()
}

#[test]
fn a_replica_serves_what_its_remote_gets() {
    let stage = with_replica();
    let mut replica = Replica::start(&stage, "replica", "origin=1");
    let is_timed = |line: String| {
        let time = line.split(' ').next().unwrap_or_default();
        assert!(time.ends_with('Z') && time.contains('T') && time.len() == 24, "{line}");
    };
    is_timed(replica.says("adopted hexmirror from origin"));
    assert_eq!(replica.get("/tarballs/alpha-1.0.0.tar").0, 200);
    assert_eq!(replica.get("/tarballs/alpha-1.1.0.tar").0, 404);
    let tip = push(&stage);
    is_timed(replica.says("pulled hexmirror from origin"));
    assert_eq!(replica.get("/tarballs/alpha-1.1.0.tar").0, 200);
    let (status, health) = replica.get("/health");
    assert_eq!((status, health.lines().next()), (200, Some(&*format!("ok {tip}"))), "{health}");
    assert!(health.lines().nth(1).unwrap().starts_with("following origin, last fetched "), "{health}");
}

#[test]
fn a_remote_that_dies_is_told_and_served_on_until_it_comes_back() {
    let stage = with_replica();
    let mut replica = Replica::start(&stage, "replica", "origin=1");
    let (hub, gone) = (stage.sandbox.path().join("hub.git"), stage.sandbox.path().join("gone.git"));
    fs::rename(&hub, &gone).unwrap();
    let said = replica.says("warning: ");
    assert!(said.contains("serving what was fetched before"), "{said}");
    replica.becomes("stale: following origin, last fetched ");
    assert_eq!(replica.get("/health").0, 200, "a balancer must not remove all servers at once");
    assert_eq!(replica.get("/tarballs/alpha-1.0.0.tar").0, 200);
    let health =
        |options: &[&str]| Ran::of(&mut stage.command(&[&["health", &replica.serving.url], options].concat())).ok();
    health(&[]).prints("healthy: ").prints("stale: following origin, last fetched ");
    let document = health(&["--json"]).json();
    assert_eq!((&document["healthy"], &document["stale"]), (&true.into(), &true.into()));
    assert!(document["following"].as_str().unwrap().starts_with("stale: following origin"), "{document}");
    let metrics = replica.get("/metrics").1;
    assert!(
        metrics.contains("\nhexmirror_follow_up 0\n") && metrics.contains("\nhexmirror_follow_stale 1\n"),
        "{metrics}"
    );
    fs::rename(&gone, &hub).unwrap();
    let tip = push(&stage);
    replica.says("pulled hexmirror from origin");
    replica.becomes(&format!("ok {tip}\nfollowing origin"));
    send(replica.serving.child.id(), "TERM");
    // It is told once, however often the remote was asked.
    let rest: Vec<_> = replica.lines.by_ref().map(Result::unwrap).collect();
    assert!(!rest.iter().any(|line| line.contains("warning")), "{rest:?}");
}

#[test]
fn without_a_mirror_the_first_fetch_must_succeed() {
    let stage = with_replica();
    fs::rename(stage.sandbox.path().join("hub.git"), stage.sandbox.path().join("gone.git")).unwrap();
    let serve = ["serve", "--listen=127.0.0.1:0", "--follow", "../hub.git=1"];
    stage.sandbox.git("replica", &["update-ref", "-d", "refs/remotes/origin/hexmirror"]);
    let ran = stage.run_in("replica", &serve);
    assert!(ran.code == Some(3) && ran.stdout.is_empty(), "{ran:?}");
}

#[test]
fn typos_are_refused_even_if_there_is_a_mirror() {
    let stage = with_replica();
    stage.sandbox.git("replica", &["remote", "add", "hub", "../hub.git"]);
    for wait in [&[][..], &["--wait"]] {
        let serve = |follow: &str| stage.run_in("replica", &[&["serve", "--follow", follow], wait].concat());
        for (follow, said) in [
            ("", "--follow needs the name or the URL of a remote"),
            ("=5", "--follow needs the name or the URL of a remote"),
            ("origin=0", "--follow takes 1 to 86400 seconds"),
            ("nope", "there is no remote \"nope\""),
            ("origin=5s", "there is no remote \"origin=5s\""),
        ] {
            serve(follow).exits(2).says(said);
        }
        serve("nope").says("the name of a remote: origin, hub");
        let ran = serve("https://joe:very-secret@forge.test/x=0").exits(2);
        assert!(!ran.stderr.contains("secret"), "{ran:?}");
    }
}

/// The remote may get its mirror later than the server starts.
#[test]
fn waiting_includes_what_the_remote_gets() {
    let stage = Stage::mirrored();
    stage.sandbox.git("", &["clone", "--quiet", "--bare", "--single-branch", "--branch=main", "project", "hub.git"]);
    stage.sandbox.git("", &["clone", "--quiet", "hub.git", "replica"]);
    let mut command = stage.command_in("replica", &["serve", "--listen=127.0.0.1:0", "--wait", "--follow=origin=1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut says = |text: &str| assert!(lines.any(|line| line.contains(text)), "{text} was not said");
    says("waiting for a mirror: origin has no branch hexmirror");
    let (hub, gone) = (stage.sandbox.path().join("hub.git"), stage.sandbox.path().join("gone.git"));
    fs::rename(&hub, &gone).unwrap();
    says("waiting for a mirror: ");
    fs::rename(&gone, &hub).unwrap();
    stage.git(&["push", "--quiet", "../hub.git", "hexmirror"]);
    says("serving hexmirror");
    send(child.id(), "TERM");
    child.wait().unwrap();
}

/// A replica needs nothing but the mirror branch.
#[test]
fn a_bare_clone_of_the_branch_is_enough() {
    let stage = with_replica();
    let arguments = ["clone", "--quiet", "--bare", "--single-branch", "--branch=hexmirror", "hub.git", "replica.git"];
    stage.sandbox.git("", &arguments);
    let mut replica = Replica::start(&stage, "replica.git", "origin=1");
    replica.says("up to date");
    push(&stage);
    replica.says("pulled hexmirror from origin");
    assert_eq!(replica.get("/tarballs/alpha-1.1.0.tar").0, 200);
}
