//! Many clones push at the same time.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Instant;

use crate::support::registry::Registry;
use crate::support::stage::{PINNED, PROGRAM, Ran};
use crate::team::{Team, registry, script};

const CLONES: usize = 8;

/// The number of updates per clone. A smaller number suits busy machines.
fn updates() -> usize {
    std::env::var("HEXMIRROR_TEST_UPDATES").map_or(25, |number| number.parse().expect("a number"))
}

/// A clone's lock after some updates: its own package, and one that all clones raise together.
fn pinned(clone: usize, update: usize) -> [String; 2] {
    [format!("own{clone} {update}.0.0"), format!("shared {update}.0.0")]
}

#[test]
fn eight_clones_push_every_update_at_once_and_nothing_is_lost() {
    let updates = updates();
    let mut registry = Registry::default();
    for update in 1..=updates {
        let file = |name: &str| [(format!("lib/{name}.ex"), format!("{name} {update}\n"))];
        registry.publish(&format!("shared {update}.0.0"), &[], &file("shared"));
        for clone in 0..CLONES {
            registry.publish(&format!("own{clone} {update}.0.0"), &["shared >= 0.0.0"], &file(&format!("own{clone}")));
        }
    }
    let team = Team::with(registry, &["shared 1.0.0"]);
    let clones: Vec<_> = (0..CLONES).map(|clone| team.clone(&format!("clone {clone}"))).collect();
    let start = Instant::now();
    let attempts: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = clones
            .iter()
            .enumerate()
            .map(|(clone, folder)| {
                let team = &team;
                scope.spawn(move || (1..=updates).map(|update| work(team, folder, clone, update)).collect::<Vec<_>>())
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no clone failed")).collect()
    });
    eprintln!(
        "{CLONES} clones, {updates} updates each: {:.1} s, {} attempts in all, {} at most for one push",
        start.elapsed().as_secs_f64(),
        attempts.iter().sum::<u64>(),
        attempts.iter().max().unwrap()
    );
    let mut all: Vec<String> =
        (0..CLONES).flat_map(|clone| (1..=updates).flat_map(move |update| pinned(clone, update))).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), (CLONES + 1) * updates);
    let tip = team.tip(&team.remote);
    for (clone, folder) in clones.iter().enumerate() {
        team.run(folder, &["pull"]).ok();
        assert_eq!(team.tip(folder), tip);
        team.run(folder, &["status"]).ok().prints("fresh");
        if clone == 0 {
            let mut releases = team.releases(folder);
            releases.sort();
            assert_eq!(releases, all);
        }
    }
    team.is_whole(&clones[0]);
    team.is_whole(&team.remote);
}

#[test]
fn repeated_attempts_leave_one_merge_and_keep_concurrent_updates() {
    let team = Team::with(registry(), &PINNED);
    let (one, two) = (team.stage.project.clone(), team.clone("two"));
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    team.run(&two, &["pull"]).ok();
    team.lock(&one, &["left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    // The commits that others have pushed by the time each push arrives.
    for (name, pinned) in [("1", ["alpha 1.1.0"]), ("2", ["alpha 2.0.0-rc.1"]), ("3", ["gamma 1.0.0"])] {
        team.lock(&two, &pinned);
        team.run(&two, &["update"]).ok();
        team.git(&two, &["push", "--quiet", "origin", &format!("hexmirror:refs/others/{name}")]).ok();
    }
    // When the second push arrives, its own clone has been updated.
    team.lock(&one, &["right 1.0.0"]);
    let update = format!("cd '{}' && '{PROGRAM}' update --quiet", one.display());
    let overtake = "for name in $(env | sed -n 's/^\\(GIT_[A-Z_]*\\)=.*/\\1/p'); do unset $name; done\n\
                    cat >/dev/null\necho >>seen\nn=$(wc -l <seen)\n\
                    git rev-parse --quiet --verify refs/others/$n >/dev/null || exit 0\n\
                    git update-ref refs/heads/hexmirror refs/others/$n\n";
    script(&team.remote.join("hooks/pre-receive"), &format!("#!/bin/sh\n{overtake}test $n != 2 || ({update})\n"));
    let document = team.run(&one, &["push", "--json"]).ok().json();
    assert_eq!(document["attempts"], 4);
    assert_eq!(document["merged"]["releases"], 3);
    let releases = team.releases(&one);
    for release in ["left 1.0.0", "right 1.0.0", "alpha 1.1.0", "alpha 2.0.0-rc.1", "gamma 1.0.0"] {
        assert!(releases.iter().any(|there| there == release), "{release} is not in {releases:?}");
    }
    assert_eq!(team.tip(&one), team.tip(&team.remote));
    // One merge for the first two attempts, on which the update is based, and one for the rest.
    assert_eq!(team.ask(&one, &["rev-list", "--count", "--merges", "hexmirror"]), "2");
    team.is_whole(&one);
}

/// Raises a clone's lock, updates its mirror and pushes it. Returns the number of attempts.
fn work(team: &Team, folder: &Path, clone: usize, update: usize) -> u64 {
    let pinned = pinned(clone, update);
    fs::write(folder.join("mix.lock"), team.stage.registry.mix_lock(&[&pinned[0], &pinned[1]])).unwrap();
    team.run(folder, &["update", "--quiet"]).ok();
    let ran: Ran = team.run(folder, &["push", "--json"]).ok();
    team.run(folder, &["status", "--quiet"]).ok();
    ran.json()["attempts"].as_u64().unwrap()
}
