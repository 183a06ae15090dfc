//! The day of the last refresh, in clones that refresh their mirrors independently.

use std::path::Path;

use crate::team::Team;

fn record(team: &Team, folder: &Path, day: &str) {
    let text = format!("# Written by git-hexmirror.\nformat = 3\nrefreshed = {day}\n");
    team.stage.sandbox.edit_branch(folder, "hexmirror", "mirror.toml", &text);
}

fn recorded(team: &Team, folder: &Path) -> String {
    let text = team.ask(folder, &["show", "hexmirror:mirror.toml"]);
    text.lines().find_map(|line| line.strip_prefix("refreshed = ")).unwrap().to_owned()
}

/// Two clones of a mirror that was refreshed long ago.
fn clones() -> (Team, [std::path::PathBuf; 2]) {
    let (team, one) = Team::hooked();
    record(&team, &one, "2020-01-01");
    team.run(&one, &["push"]).ok();
    let two = team.clone("two");
    team.run(&two, &["pull"]).ok();
    (team, [one, two])
}

#[test]
fn clones_that_refresh_on_the_same_day_need_no_merge() {
    let (team, [one, two]) = clones();
    for folder in [&one, &two] {
        // Different commits even within one second.
        team.git(folder, &["config", "user.name", folder.file_name().unwrap().to_str().unwrap()]).ok();
        team.run(folder, &["update", "--refresh"]).ok().says("unchanged");
        team.run(folder, &["status"]).ok().says("not pushed yet");
    }
    assert_ne!(team.tip(&one), team.tip(&two));
    team.run(&one, &["push"]).ok();
    team.run(&two, &["push"]).ok();
    assert_eq!(team.tip(&two), team.tip(&one), "the other one's refresh replaces its own");
    team.received();
    for folder in [&one, &two] {
        team.run(folder, &["push"]).ok();
        team.run(folder, &["pull"]).ok();
    }
    assert_eq!(team.received().concat(), [""; 0]);
    assert_eq!(team.tip(&team.remote), team.tip(&one));
    team.is_whole(&two);
}

#[test]
fn a_merge_has_the_later_day() {
    for (ours, theirs) in [("2020-02-01", "2020-03-01"), ("2020-03-01", "2020-02-01")] {
        let (team, [one, two]) = clones();
        team.lock(&one, &["alpha 1.0.0", "left 1.0.0"]);
        team.lock(&two, &["alpha 1.0.0", "right 1.0.0"]);
        for (folder, day) in [(&one, ours), (&two, theirs)] {
            team.run(folder, &["update"]).ok();
            assert_eq!(recorded(&team, folder), "2020-01-01");
            record(&team, folder, day);
        }
        team.run(&one, &["push"]).ok();
        team.run(&two, &["push"]).ok();
        assert_eq!(recorded(&team, &two), "2020-03-01");
        team.run(&one, &["pull"]).ok();
        assert_eq!(team.tip(&one), team.tip(&two));
        team.is_whole(&one);
    }
}

#[test]
fn an_older_refresh_of_the_same_contents_is_replaced_and_a_newer_one_is_kept() {
    let (team, [one, two]) = clones();
    record(&team, &one, "2020-03-01");
    record(&team, &two, "2020-02-01");
    team.run(&one, &["push"]).ok();
    team.run(&two, &["pull"]).ok();
    assert_eq!(team.tip(&two), team.tip(&one));
    record(&team, &one, "2020-04-01");
    record(&team, &two, "2020-05-01");
    team.run(&one, &["push"]).ok();
    team.run(&two, &["push"]).ok();
    assert_eq!(recorded(&team, &team.remote), "2020-05-01");
    team.run(&one, &["pull"]).ok();
    assert_eq!(team.tip(&two), team.tip(&one));
}

#[test]
fn a_day_in_the_future_does_not_survive_a_merge() {
    let (team, [one, two]) = clones();
    record(&team, &one, "9999-12-31");
    team.lock(&two, &["alpha 1.0.0", "right 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    team.run(&two, &["push"]).ok();
    assert_eq!(recorded(&team, &two), "2020-01-01");
}
