//! A mirror that is damaged, or that was deleted here or on the remote: the user's own work continues and is not
//! modified.

use std::fs;
use std::path::{Path, PathBuf};

use crate::team::{Team, state};

const MAIN: &str = "refs/heads/main";
const MIRROR: &str = "refs/heads/hexmirror";

/// Replaces the mirror with something else.
type Break = fn(&Team, &Path);

/// Ways to damage a mirror, and the resulting messages.
const BROKEN: [(&str, Break); 4] = [
    ("is not a mirror", |team, one| drop(team.git(one, &["update-ref", MIRROR, "main"]).ok())),
    ("cannot read", |_, one| fs::write(one.join(".git/refs/heads/hexmirror"), "1".repeat(40) + "\n").unwrap()),
    ("error:", |_, one| fs::write(one.join(".git/refs/heads/hexmirror"), "nonsense\n").unwrap()),
    ("it lacks", |team, one| drop(team.git(one, &["update-ref", "-d", MIRROR]).ok())),
];

/// A clone on `main` with hooks, whose mirror is damaged. `left` has another lock, and `code` is ahead of `main` by
/// more than that.
fn broken(harm: Break) -> (Team, PathBuf) {
    let (team, one) = Team::hooked();
    team.git(&one, &["switch", "--quiet", "--create", "left"]).ok();
    team.commit_lock(&one, &["alpha 1.0.0", "left 1.0.0"]);
    team.git(&one, &["switch", "--quiet", "--create", "code", "main"]).ok();
    fs::write(one.join("code.ex"), "x").unwrap();
    team.commit(&one, "Code");
    team.git(&one, &["switch", "--quiet", "main"]).ok();
    // The cached answer belongs to the previous mirror.
    harm(&team, &one);
    (team, one)
}

#[test]
fn commands_succeed_despite_a_damaged_mirror() {
    let events = [
        ("main", &["switch", "--quiet", "left"][..]),
        ("code", &["rebase", "--quiet", "left"]),
        ("main", &["merge", "--quiet", "--ff-only", "left"]),
        ("code", &["merge", "--quiet", "--no-edit", "left"]),
        ("main", &["worktree", "add", "--quiet", "../linked", "left"]),
    ];
    for (index, (text, harm)) in BROKEN.into_iter().enumerate() {
        // All hooks with one kind of damage, and with the others only one command per hook.
        let events = if index == 0 { &events[..] } else { &events[..3] };
        for (begin, arguments) in events {
            let (team, one) = broken(harm);
            team.git(&one, &["switch", "--quiet", begin]).ok();
            let mirror = fs::read_to_string(one.join(".git/refs/heads/hexmirror")).ok();
            let ran = team.git(&one, arguments).ok().says(text);
            assert!(!ran.stderr.contains("panicked"), "{ran:#?}");
            let lock = if arguments[0] == "worktree" { one.with_file_name("linked") } else { one.clone() };
            assert!(fs::read_to_string(lock.join("mix.lock")).unwrap().contains("left"), "{arguments:?}");
            assert_eq!(fs::read_to_string(one.join(".git/refs/heads/hexmirror")).ok(), mirror, "{arguments:?}");
        }
    }
}

#[test]
fn a_push_that_needs_a_damaged_mirror_is_blocked() {
    for (text, harm) in BROKEN {
        let (team, one) = broken(harm);
        let here = || {
            (fs::read_to_string(one.join(".git/refs/heads/hexmirror")).ok(), fs::read(one.join("mix.lock")).unwrap())
        };
        let before = here();
        team.git(&one, &["push", "--quiet", "origin", "left"]).exits(1).says(text).says("--no-verify");
        assert_eq!((here(), team.received().len()), (before.clone(), 0));
        // A push that changes no lock succeeds, as does one that skips the hooks.
        team.git(&one, &["push", "--quiet", "origin", "main:refs/tags/x", "main:again"]).ok();
        team.git(&one, &["push", "--quiet", "--no-verify", "origin", "left"]).ok().silent();
        assert_eq!(here(), before);
    }
}

#[test]
fn a_mirror_deleted_on_the_remote_is_restored_once_known() {
    let (team, one) = Team::hooked();
    team.git(&one, &["push", "--quiet", "origin", "main", "hexmirror"]).ok();
    team.git(&team.remote, &["update-ref", "-d", MIRROR]).ok();
    team.received();
    // As far as is known here, the remote has it. A push that changes no lock makes no request.
    let before = state(&team, &one);
    team.git(&one, &["push", "--quiet", "origin", "main:same"]).ok().silent();
    team.git(&one, &["push", "--quiet", "--no-verify", "origin", ":same"]).ok();
    assert_eq!(state(&team, &one), before);
    team.git(&one, &["fetch", "--quiet", "--prune"]).ok();
    fs::write(one.join("code.ex"), "x").unwrap();
    team.commit(&one, "Code");
    team.received();
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    assert_eq!(team.received(), [[MIRROR], [MAIN]]);
    // The same if a lock changed and nothing was pruned.
    team.git(&team.remote, &["update-ref", "-d", MIRROR]).ok();
    team.lock(&one, &["left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.commit(&one, "Lock");
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    assert_eq!(team.tip(&team.remote), team.tip(&one));
    team.is_whole(&team.remote);
}

#[test]
fn a_locally_deleted_mirror_is_restored_from_the_remote() {
    let (team, one) = Team::hooked();
    team.git(&one, &["push", "--quiet", "origin", "main", "hexmirror"]).ok();
    let tip = team.tip(&one);
    team.git(&one, &["branch", "--quiet", "--delete", "--force", "hexmirror"]).ok();
    team.git(&one, &["switch", "--quiet", "--create", "left"]).ok();
    team.commit_lock(&one, &["alpha 1.0.0", "left 1.0.0"]);
    team.received();
    team.git(&one, &["push", "--quiet", "origin", "left"]).exits(1).says("it lacks alpha 1.0.0, left 1.0.0");
    assert_eq!(team.received(), [[""; 0]; 0]);
    let asked = team.stage.upstream.count("*");
    // What the remote has is fetched from there.
    team.git(&one, &["switch", "--quiet", "main"]).ok().silent();
    team.run(&one, &["status"]).ok().prints("fresh: origin's hexmirror");
    team.run(&one, &["pull"]).ok();
    assert_eq!((team.tip(&one), team.stage.upstream.count("*")), (tip, asked));
    team.git(&one, &["switch", "--quiet", "left"]).ok().says("it lacks left 1.0.0");
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "left"]).ok();
    team.is_whole(&one);
}

#[test]
fn a_mirror_deleted_everywhere_is_created_again() {
    let (team, one) = Team::hooked();
    team.git(&one, &["push", "--quiet", "origin", "main", "hexmirror"]).ok();
    for folder in [&one, &team.remote] {
        team.git(folder, &["branch", "--quiet", "--delete", "--force", "hexmirror"]).ok();
    }
    team.git(&one, &["fetch", "--quiet", "--prune"]).ok();
    fs::write(one.join("code.ex"), "x").unwrap();
    team.commit(&one, "Code");
    team.received();
    // In a project without a mirror, pushes print no reminder.
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok().silent();
    assert_eq!(team.received(), [[MAIN]]);
    team.commit_lock(&one, &["alpha 1.0.0"]);
    let ran = team.git(&one, &["push", "--quiet", "origin", "main"]).exits(1);
    let hint = "it lacks alpha 1.0.0\nhint: this repository has no mirror branch hexmirror yet; run `git hexmirror pull origin`";
    assert!(ran.stderr.contains(hint), "{ran:#?}");
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    assert_eq!(team.received(), [[MIRROR], [MAIN]]);
    team.is_whole(&team.remote);
}
