//! `update` killed at any moment: the branch stays intact, its contents are correct, and the next update completes.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::leftovers::leftovers;
use crate::support::registry::Registry;
use crate::support::stage::{Ran, Stage, spin};
use crate::support::upstream::Fault;

const KILLS: usize = 200;
const WORKERS: usize = 4;
/// How often a pull and a push are killed, with and without their git processes.
const FAMILIES: usize = 40;
/// The files that an uninterrupted update leaves.
const OWN: [&str; 4] = ["hexmirror", "hexmirror/fresh", "hexmirror/packs", "hexmirror/update.lock"];

/// The contents of a mirror before and after an update.
const BEFORE: [&str; 2] = ["p0 1.0.0", "p1 1.0.0"];

fn registry() -> (Registry, Vec<String>) {
    let mut registry = Registry::default();
    let mut after = vec!["p0 2.0.0".to_owned()];
    after.extend((1..8).map(|number| format!("p{number} 1.0.0")));
    for release in after.iter().map(String::as_str).chain(BEFORE) {
        let text = release.repeat(2000);
        registry.publish(release, &[], &[("lib/a.ex".into(), text), ("mix.exs".into(), release.to_owned())]);
    }
    (registry, after)
}

/// A mirror to copy for every kill, in `template`, and a project without a mirror, in `empty`.
fn template() -> Stage {
    let (registry, after) = registry();
    let stage = Stage::with(registry, &BEFORE);
    let after: Vec<&str> = after.iter().map(String::as_str).collect();
    let lock = stage.registry.mix_lock(&after);
    for name in ["template", "empty"] {
        stage.sandbox.git("", &["init", "--quiet", "--template=", name]);
        let folder = stage.sandbox.path().join(name);
        if name == "template" {
            fs::copy(stage.project.join("mix.lock"), folder.join("mix.lock")).unwrap();
            stage.run_in(name, &["update"]).ok();
        }
        fs::write(folder.join("mix.lock"), &lock).unwrap();
    }
    stage
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// When to kill.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Shortly after upstream has received this many requests.
    Requests(usize, Duration),
    /// When a tarball has been received up to this byte.
    InTheMiddle(usize),
    /// This long after such a file appears below `.git`.
    File(&'static str, Duration),
    /// This long after the start.
    After(Duration),
}

impl Moment {
    /// Selects a moment at random. `whole` is the duration of an update.
    fn draw(random: &mut fastrand::Rng, whole: Duration) -> Self {
        let within = |random: &mut fastrand::Rng, longest: Duration| longest.mul_f64(random.f64());
        match random.u8(..8) {
            0 | 1 => Self::Requests(random.usize(1..=14), within(random, whole / 8)),
            2 => Self::InTheMiddle(random.usize(..6000)),
            3 => Self::File("objects/pack", within(random, whole / 8)),
            4 => Self::File("refs/heads", within(random, whole / 20)),
            5 => Self::File("hexmirror", within(random, whole)),
            _ => Self::After(within(random, whole.mul_f64(1.2))),
        }
    }
}

/// Returns an approximate fingerprint of a folder: the names and times of its contents.
fn listing(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Kills an update in `folder`, and returns whether it was still running.
fn kill(stage: &Stage, upstream: &crate::support::upstream::TestUpstream, folder: &Path, moment: Moment) -> bool {
    let asked = upstream.count("*");
    if let Moment::InTheMiddle(bytes) = moment {
        upstream.fail("/tarballs/p5-1.0.0.tar", 1, Fault::StallAfter(bytes));
    }
    let mut command = stage.command_in(folder, &["update", "--quiet"]);
    command.env("HEXMIRROR_URL", upstream.url());
    let watched = |name: &str| folder.join(".git").join(name);
    let seen = if let Moment::File(name, _) = moment { listing(&watched(name)) } else { Vec::new() };
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program can be run");
    let mut later = Duration::ZERO;
    match moment {
        Moment::Requests(count, after) => {
            spin(&mut child, || upstream.count("*") - asked >= count);
            later = after;
        }
        Moment::InTheMiddle(_) => spin(&mut child, || upstream.count("/tarballs/p5-1.0.0.tar") > 0),
        Moment::File(name, after) => {
            spin(&mut child, || listing(&watched(name)) != seen);
            later = after;
        }
        Moment::After(after) => spin(&mut child, || start.elapsed() >= after),
    }
    let reached = Instant::now();
    spin(&mut child, || reached.elapsed() >= later);
    let running = child.try_wait().expect("a child").is_none();
    let _ = child.kill();
    let _ = child.wait();
    running
}

/// Checks a repository in which an update was killed, and completes the update.
fn check(stage: &Stage, url: &str, folder: &Path, thorough: bool, before: Option<&str>) {
    let run = |arguments: &[&str]| Ran::of(stage.command_in(folder, arguments).env("HEXMIRROR_URL", url));
    let tip = stage.sandbox.try_git(folder, &["rev-parse", "--verify", "--quiet", "hexmirror"]);
    let tip = Some(String::from_utf8(tip.stdout).unwrap().trim().to_owned()).filter(|tip| !tip.is_empty());
    let fsck = if thorough { "--strict" } else { "--connectivity-only" };
    let output = stage.sandbox.try_git(folder, &["fsck", fsck, "--no-dangling"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let status = run(&["status", "--quiet"]);
    if tip.is_some() {
        run(&["verify", "--quiet"]).ok();
    }
    if tip.as_deref() == before {
        status.exits(1);
    } else {
        // The update had completed.
        status.ok();
    }
    run(&["update", "--quiet"]).ok().silent();
    run(&["status", "--quiet"]).ok();
    nothing_is_left(stage, folder, &BTreeSet::from(OWN.map(PathBuf::from)));
    if thorough {
        run(&["verify", "--quiet"]).ok();
        stage.sandbox.git(folder, &["fsck", "--strict", "--no-dangling"]);
    }
}

/// Checks that a repository has no files that it would not have without the kills.
#[track_caller]
fn nothing_is_left(stage: &Stage, folder: &Path, own: &BTreeSet<PathBuf>) {
    let mut left = leftovers(&folder.join(".git"));
    // A process that is killed before it adds its pack to the list leaves a pack that is merely not merged later.
    left.extend(own.get(Path::new("hexmirror/packs")).cloned());
    assert_eq!(&left, own);
    let counted = stage.sandbox.git(folder, &["count-objects", "-v"]);
    assert!(counted.contains("garbage: 0\nsize-garbage: 0"), "{counted}");
}

/// Kills a process, or everything that it has started, or one of these.
fn kill_family(child: &mut Child, random: &mut fastrand::Rng) {
    let group = child.id();
    let kill =
        |target: &str| drop(Command::new("kill").args(["-s", "KILL", "--", target]).stderr(Stdio::null()).status());
    let mut started = vec![];
    let mut next = vec![group];
    while let Some(process) = next.pop() {
        let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
        next.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        started.push(process);
    }
    match random.u8(..3) {
        0 => kill(&format!("-{group}")),
        1 => kill(&started[random.usize(..started.len())].to_string()),
        _ => kill(&group.to_string()),
    }
}

/// Waits until no process of a group is left: a git process whose parent was killed may continue for a moment.
fn wait_for_group(group: u32) {
    let alive = |entry: fs::DirEntry| {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // PID (COMMAND) STATE PPID PGRP …
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.get(2) == Some(&group.to_string().as_str()) && fields[0] != "Z"
    };
    while fs::read_dir("/proc").unwrap().flatten().any(alive) {
        thread::yield_now();
    }
}

/// Ages the folders of a process that was killed before it could mark them as in use: for two seconds, they count as new.
fn age_unmarked(folder: &Path) {
    for entry in fs::read_dir(folder.join(".git/objects")).unwrap().flatten() {
        let is_incoming = entry.file_name().as_encoded_bytes().starts_with(b"hexmirror-incoming-");
        if is_incoming && !entry.path().join("alive").exists() {
            let past = SystemTime::now() - Duration::from_secs(10);
            fs::File::open(entry.path()).unwrap().set_modified(past).unwrap();
        }
    }
}

#[test]
fn pulls_and_pushes_with_their_gits() {
    let mut random = fastrand::Rng::new();
    eprintln!("the seed is {}", random.get_seed());
    let stage = template();
    let root = stage.sandbox.path();
    stage.sandbox.git("", &["init", "--quiet", "--bare", "--template=", "remote.git"]);
    let remote = root.join("remote.git");
    for name in ["empty", "template"] {
        stage.sandbox.git(name, &["remote", "add", "origin", remote.to_str().unwrap()]);
    }
    stage.run_in("template", &["push"]).ok();
    // The files that an uninterrupted run leaves.
    let undisturbed = |name: &str, command: &str| {
        let folder = root.join("undisturbed");
        copy(&root.join(name), &folder);
        let begun = Instant::now();
        stage.run_in(&folder, &[command]).ok();
        let (left, whole) = (leftovers(&folder.join(".git")), begun.elapsed());
        fs::remove_dir_all(folder).unwrap();
        (left, whole)
    };
    for (name, command) in [("empty", "pull"), ("template", "push")] {
        let (expected, whole) = undisturbed(name, command);
        for number in 0..FAMILIES {
            let folder = root.join(format!("{command}{number}"));
            copy(&root.join(name), &folder);
            if command == "push" {
                stage.sandbox.git("remote.git", &["update-ref", "-d", "refs/heads/hexmirror"]);
            }
            let mut program = stage.command_in(&folder, &[command]);
            program.process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = program.spawn().expect("the program can be run");
            let (begun, moment) = (Instant::now(), whole.mul_f64(random.f64()));
            spin(&mut child, || begun.elapsed() >= moment);
            kill_family(&mut child, &mut random);
            child.wait().unwrap();
            wait_for_group(child.id());
            age_unmarked(&folder);
            stage.run_in(&folder, &[command]).ok();
            nothing_is_left(&stage, &folder, &expected);
            stage.sandbox.git(&folder, &["fsck", "--strict", "--no-dangling"]);
            // The user's own git needs these.
            stage.sandbox.git(&folder, &["fetch", "--quiet", "origin"]);
            fs::remove_dir_all(folder).unwrap();
        }
    }
}

#[test]
fn two_hundred_times() {
    let seed = std::env::var("HEXMIRROR_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    eprintln!("HEXMIRROR_TEST_SEED={seed} repeats the draws");
    let stage = template();
    let template_tip = stage.sandbox.git("template", &["rev-parse", "hexmirror"]);
    let root = stage.sandbox.path();
    let (next, running) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                // The duration of an update while the others are running.
                let mut whole = Duration::from_millis(60);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= KILLS {
                        return;
                    }
                    let mut random = fastrand::Rng::with_seed(seed.wrapping_add(number as u64));
                    let (name, before) =
                        if number % 4 == 0 { ("empty", None) } else { ("template", Some(&*template_tip)) };
                    let folder = root.join(format!("kill{number}"));
                    copy(&root.join(name), &folder);
                    let upstream = crate::support::upstream::TestUpstream::serve(root.join("upstream"));
                    let moment = Moment::draw(&mut random, whole);
                    running.fetch_add(usize::from(kill(&stage, &upstream, &folder, moment)), Ordering::Relaxed);
                    upstream.release();
                    let start = Instant::now();
                    check(&stage, &upstream.url(), &folder, number % 20 == 0, before);
                    whole = (whole * 3 + start.elapsed() / 4) / 4;
                    fs::remove_dir_all(folder).unwrap();
                }
            });
        }
    });
    let running = running.into_inner();
    eprintln!("{running} of {KILLS} were killed while they ran");
    assert!(running >= KILLS / 2, "only {running} of {KILLS} were killed while they ran");
}
