//! A remote whose address contains a password: the password is neither printed nor recorded.

use std::fs;
use std::path::Path;

use crate::support::stage::{PINNED, Ran};
use crate::team::{Team, registry};

const PASSWORD: &str = "s3cret";

/// Returns the files below a folder in which git or the program recorded the password.
fn recorded(folder: &Path) -> Vec<String> {
    let files = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap).filter(|file| file.file_type().is_file());
    let has = |path: &Path| fs::read(path).unwrap().windows(PASSWORD.len()).any(|piece| piece == PASSWORD.as_bytes());
    let paths = files.map(walkdir::DirEntry::into_path).filter(|path| has(path));
    paths.map(|path| path.strip_prefix(folder).unwrap().display().to_string()).collect()
}

#[track_caller]
fn is_silent(ran: &Ran) {
    assert!(!ran.stdout.contains(PASSWORD) && !ran.stderr.contains(PASSWORD), "{ran:?}");
}

#[test]
fn a_password_in_the_address_of_a_remote_is_neither_printed_nor_recorded() {
    let team = Team::with(registry(), &PINNED);
    let (one, two) = (team.stage.project.clone(), team.clone("two"));
    let address = format!("https://me:{PASSWORD}@git.example/team/project.git");
    let instead = format!("url.{}.insteadOf", team.remote.display());
    let run = |folder: &Path, arguments: &[&str]| {
        let ran = team.run(folder, arguments);
        is_silent(&ran);
        ran
    };
    for folder in [&one, &two] {
        team.git(folder, &["config", &instead, &address]).ok();
        team.git(folder, &["remote", "remove", "origin"]).ok();
    }
    let shown = "https://***@git.example/team/project.git";
    run(&one, &["pull", &address]).exits(3).says(&format!("{shown} has no branch hexmirror"));
    // As git's default remote, too.
    team.git(&one, &["config", "remote.pushDefault", &address]).ok();
    run(&one, &["status"]).exits(1);
    run(&one, &["list"]).exits(5).says(shown);
    run(&one, &["update"]).ok();
    run(&one, &["push"]).ok().says(&format!("pushed hexmirror to {shown}"));
    let document = run(&two, &["pull", "--json", &address]).ok().json();
    assert_eq!(document["remote"], shown);
    let reflog = team.ask(&two, &["reflog", "-1", "--format=%gs", "hexmirror"]);
    assert_eq!(reflog, format!("hexmirror: adopted from {shown}"));
    // Both clones have commits of their own.
    for (folder, release) in [(&one, "left 1.0.0"), (&two, "right 1.0.0")] {
        team.lock(folder, &[&PINNED[..], &[release]].concat());
        run(folder, &["update"]).ok();
    }
    run(&one, &["push"]).ok();
    let document = run(&two, &["push", "--json", &address]).ok().json();
    assert_eq!((&document["remote"], &document["way"]), (&shown.into(), &"merged".into()));
    assert!(team.ask(&two, &["log", "-1", "--format=%B", "hexmirror"]).contains(&format!("the mirror of {shown}")));
    run(&one, &["pull"]).ok().says(&format!("pulled hexmirror from {shown}"));
    assert_eq!(
        team.ask(&one, &["reflog", "-1", "--format=%gs", "hexmirror"]),
        format!("hexmirror: pulled from {shown}")
    );
    // What was compacted there.
    run(&one, &["compact"]).ok();
    run(&one, &["push"]).says(shown);
    run(&one, &["push", "--force-with-lease"]).ok();
    run(&two, &["pull", &address]).ok().says(shown);
    assert!(team.ask(&two, &["reflog", "-1", "--format=%gs", "hexmirror"]).contains(shown));
    // git's own messages about it.
    fs::rename(&team.remote, team.remote.with_extension("away")).unwrap();
    run(&one, &["pull"]).says(shown);
    run(&one, &["push"]).says(shown);
    for folder in [&one, &two] {
        assert_eq!(recorded(&folder.join(".git")), ["config"]);
        assert!(!team.ask(folder, &["log", "--all", "--reflog", "--format=%B"]).contains(PASSWORD));
    }
}
