//! What many updates leave in a repository: few packs, and git's own maintenance as the user configured it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::stage::{PINNED, Ran, Stage};
use crate::team::{Team, registry, script};

/// The number of this program's packs after which some of them are merged.
const MAX_OWN_PACKS: usize = 30;
/// How long to wait for what happens in the background.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the names of the files in the pack folder that have an extension.
fn packs(folder: &Path, extension: &str) -> Vec<String> {
    let files = fs::read_dir(folder.join(".git/objects/pack")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(extension)).collect()
}

fn loose_objects(team: &Team, folder: &Path) -> usize {
    let counted = team.ask(folder, &["count-objects"]);
    counted.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn many_updates_and_pulls_leave_few_packs() {
    let rounds = MAX_OWN_PACKS + 3;
    let mut registry = registry();
    for round in 0..rounds {
        let text = format!("defmodule Alpha do\n  def round, do: {round}\nend\n");
        registry.publish(&format!("alpha 2.0.{round}"), &[], &[("lib/alpha.ex".into(), text)]);
    }
    let team = Team::with(registry, &PINNED);
    let one = team.stage.project.clone();
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    let two = team.clone("two");
    team.run(&two, &["init", "--no-hooks"]).ok();
    // A pack that the user keeps, and one that this program has not written.
    let kept = packs(&one, ".pack").pop().unwrap().replace(".pack", ".keep");
    fs::write(one.join(".git/objects/pack").join(&kept), "mine\n").unwrap();
    let cloned = packs(&two, ".pack");
    let loose = loose_objects(&team, &two);
    let mut most = 0;
    for round in 0..rounds {
        team.lock(&one, &[&format!("alpha 2.0.{round}"), "beta 0.3.0", "delta 4.5.6+build.7"]);
        team.run(&one, &["update"]).ok();
        team.run(&one, &["push"]).ok();
        team.run(&two, &["pull"]).ok();
        most = most.max(packs(&one, ".pack").len()).max(packs(&two, ".pack").len());
    }
    assert!((MAX_OWN_PACKS - 1..=MAX_OWN_PACKS + 1).contains(&most), "{most} packs");
    assert_eq!(loose_objects(&team, &two), loose, "fetched packs stay packs");
    for folder in [&one, &two] {
        let left = packs(folder, ".pack").len();
        assert!(left < MAX_OWN_PACKS / 2, "{left} packs in {}", folder.display());
        assert_eq!(packs(folder, ".idx").len(), left);
        assert_eq!(team.ask(folder, &["rev-list", "--count", "hexmirror"]), (rounds + 1).to_string());
        team.is_whole(folder);
        team.run(folder, &["status"]).ok();
    }
    assert_eq!(packs(&one, ".keep"), std::slice::from_ref(&kept));
    assert!(packs(&one, ".pack").contains(&kept.replace(".keep", ".pack")));
    assert!(cloned.iter().all(|pack| packs(&two, ".pack").contains(pack)), "it is not this program's");
}

/// A project with several packs, in which git is to merge all packs of a repository that has more than one.
fn with_packs(settings: &[(&str, &str)]) -> Stage {
    let stage = Stage::mirrored();
    stage.git(&["gc", "--quiet"]);
    for (key, value) in [("maintenance.auto", "true"), ("gc.autoPackLimit", "1"), ("gc.autoDetach", "false")] {
        stage.git(&["config", key, value]);
    }
    settings.iter().for_each(|(key, value)| drop(stage.git(&["config", key, value])));
    assert_eq!(packs(&stage.project, ".pack").len(), 1);
    stage.lock(&["alpha 1.1.0", "beta 0.3.0", "delta 4.5.6+build.7"]);
    stage
}

#[test]
fn git_maintains_the_repository_if_the_user_lets_it() {
    for (settings, merges) in [
        (&[][..], true),
        (&[("gc.auto", "0")][..], false),
        (&[("maintenance.auto", "false")], false),
        (&[("maintenance.auto", "true"), ("gc.auto", "100000"), ("gc.autoPackLimit", "50")], false),
    ] {
        let stage = with_packs(settings);
        stage.run(&["update"]).ok();
        let left = packs(&stage.project, ".pack").len();
        assert_eq!(left, if merges { 1 } else { 2 }, "{settings:?}");
        stage.run(&["verify"]).ok();
    }
    let stage = with_packs(&[]);
    script(&stage.project.join(".git/hooks/pre-auto-gc"), "#!/bin/sh\nexit 1\n");
    stage.run(&["update"]).ok();
    assert_eq!(packs(&stage.project, ".pack").len(), 2, "the user's hook declined");
    // A setting of git's command line.
    let stage = with_packs(&[]);
    let upstream = [
        format!("hexmirror.hexpm.url={}", stage.upstream.url()),
        format!("hexmirror.hexpm.publicKey={}", stage.sandbox.path().join("hexpm.pem").display()),
    ];
    let command = ["-c", "gc.auto=0", "-c", &upstream[0], "-c", &upstream[1], "hexmirror", "update"];
    stage.run_through_git("project", &command).ok();
    assert_eq!(packs(&stage.project, ".pack").len(), 2);
}

#[test]
fn nothing_is_maintained_after_nothing_was_done() {
    let stage = with_packs(&[]);
    script(&stage.project.join(".git/hooks/pre-auto-gc"), "#!/bin/sh\n>ran\nexit 1\n");
    stage.run(&["update"]).ok();
    let ran = stage.project.join("ran");
    assert!(ran.exists());
    fs::remove_file(&ran).unwrap();
    stage.run(&["update"]).ok().says("nothing to do");
    stage.run(&["status"]).ok();
    assert!(!ran.exists());
}

#[test]
fn maintenance_in_the_background_holds_nothing() {
    let stage = with_packs(&[("gc.autoDetach", "true")]);
    let fifo = stage.project.join(".git/fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Git runs the hook twice.
    let hook = "#!/bin/sh\n[ -e .git/begun ] || read line <.git/fifo\n>.git/begun\n";
    script(&stage.project.join(".git/hooks/pre-auto-gc"), hook);
    // This waits for the end of the standard streams.
    stage.run(&["update"]).ok();
    assert_eq!(packs(&stage.project, ".pack").len(), 2);
    // The hook has the fifo open, so git waits, and holds none of this program's locks.
    let mut line = wait_for(|| File::options().write(true).open(&fifo).ok());
    stage.lock(&PINNED);
    stage.run(&["update", "--refresh"]).ok();
    assert!(!left_by_this_program(&stage));
    line.write_all(b"go\n").unwrap();
    drop(line);
    wait_for(|| (packs(&stage.project, ".pack").len() == 1).then_some(()));
    wait_for(|| (!stage.project.join(".git/gc.pid").exists()).then_some(()));
    stage.run(&["verify"]).ok();
}

/// Returns whether a killed process would seem to have left something.
fn left_by_this_program(stage: &Stage) -> bool {
    let objects = fs::read_dir(stage.project.join(".git/objects")).unwrap();
    let names = objects.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.into_iter().any(|name| name.starts_with("hexmirror-"))
}

/// Waits until something has happened.
#[track_caller]
fn wait_for<T>(mut happened: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = happened() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "it does not happen");
        std::thread::yield_now();
    }
}

#[test]
fn a_merge_that_was_interrupted_or_cannot_be_made_does_no_harm() {
    let stage = Stage::mirrored();
    let folder: PathBuf = stage.project.join(".git/hexmirror");
    let list = fs::read_to_string(folder.join("packs")).unwrap();
    // As many packs as are merged, some of which are not packs.
    for number in 0..MAX_OWN_PACKS {
        for extension in ["pack", "idx"] {
            let path = stage.project.join(format!(".git/objects/pack/pack-{number:040x}.{extension}"));
            fs::write(path, "not a pack").unwrap();
        }
    }
    let more: String = (0..MAX_OWN_PACKS).map(|number| format!("{number:040x}\n")).collect();
    fs::write(folder.join("packs"), list.clone() + &more + "../../../../x\n").unwrap();
    stage.lock(&["alpha 1.1.0", "beta 0.3.0", "delta 4.5.6+build.7"]);
    let before = packs(&stage.project, ".pack");
    let ran: Ran = stage.run(&["update"]).ok();
    assert!(!ran.stderr.contains("pack"), "{ran:#?}");
    assert!(before.iter().all(|pack| packs(&stage.project, ".pack").contains(pack)), "nothing is removed");
    assert!(!left_by_this_program(&stage));
}
