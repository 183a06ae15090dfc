//! Which mirror is read if this clone knows several: its own branch, and a remote's as last fetched.

use std::path::{Path, PathBuf};

use crate::support::stage::PINNED;
use crate::team::{Team, registry, told};

/// A colleague's clone with a local mirror, after `git pull` brought a lock that pins `left` and the mirror that has it.
fn pulled() -> (Team, PathBuf) {
    pulled_after(|_, _| {})
}

/// Does something in the colleague's clone before the `git pull`.
fn pulled_after(first: impl Fn(&Team, &Path)) -> (Team, PathBuf) {
    let (team, one) = Team::hooked();
    team.git(&one, &["push", "--quiet", "origin", "main", "hexmirror"]).ok();
    let two = team.clone("two");
    team.run(&two, &["pull"]).ok();
    team.commit_lock(&one, &["left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    first(&team, &two);
    team.git(&two, &["pull", "--quiet"]).ok();
    (team, two)
}

/// Asks the mirror for a tarball as a client does, and returns its content.
fn tarball(team: &Team, clone: &Path, name: &str) -> Vec<u8> {
    let ask = format!("curl --silent --show-error --fail $HEX_MIRROR/tarballs/{name}.tar >served");
    team.run(clone, &["run", "--", "sh", "-c", &ask])
        .ok()
        .says("git-hexmirror: reading origin's hexmirror, as last fetched");
    std::fs::read(clone.join("served")).unwrap()
}

#[test]
fn a_remotes_mirror_is_read_if_the_local_one_lacks_something() {
    let (team, two) = pulled();
    let (before, asked) = (team.tip(&two), team.stage.upstream.count("*"));
    let behind = "the local hexmirror is behind: run `git hexmirror pull origin`";
    team.run(&two, &["status"]).ok().prints("fresh: origin's hexmirror at").says(behind);
    assert_eq!(team.run(&two, &["status", "--json"]).ok().json()["remote"], "origin");
    team.run(&two, &["list"]).ok().prints("left 1.0.0").says(behind);
    team.run(&two, &["verify"]).ok().says(behind);
    assert_eq!(team.run(&two, &["diff", "--exit-code"]).ok().says(behind).stdout.matches("missing").count(), 0);
    team.run(&two, &["env"]).ok().says(behind);
    team.run(&two, &["update", "--dry-run"]).ok().prints("nothing would be fetched");
    assert_eq!(tarball(&team, &two, "left-1.0.0"), team.stage.registry.get("left 1.0.0").tarball);
    assert_eq!((team.tip(&two), team.stage.upstream.count("*")), (before, asked), "reading changes nothing");
    // One update merges it, without upstream.
    team.git(&two, &["config", "hexmirror.hexpm.url", "http://127.0.0.1:9"]).ok();
    team.run(&two, &["update"]).ok().says("pulled hexmirror from origin");
    assert_eq!(team.tip(&two), team.tip(&team.remote));
    let status = team.run(&two, &["status"]).ok().prints("fresh: hexmirror at");
    assert!(!status.stderr.contains("origin"), "{status:?}");
    team.is_whole(&two);
}

#[test]
fn hooks_after_a_checkout_look_at_the_mirror_that_is_read() {
    let (team, two) = pulled_after(|team, two| {
        team.run(two, &["hooks", "install"]).ok();
    });
    let reading = "git-hexmirror: reading origin's hexmirror, as last fetched; the local hexmirror is behind: \
                   run `git hexmirror pull origin`\n";
    team.git(&two, &["switch", "--quiet", "--detach", "HEAD^"]).ok().silent();
    let ran = team.git(&two, &["switch", "--quiet", "main"]).ok();
    assert_eq!(told(&ran), reading);
    // Neither mirror has it.
    team.git(&two, &["switch", "--quiet", "--create", "other"]).ok().silent();
    team.commit_lock(&two, &["left 1.0.0", "right 1.0.0"]);
    team.git(&two, &["switch", "--quiet", "main"]).ok();
    let ran = team.git(&two, &["switch", "--quiet", "other"]).ok();
    let lacks = "git-hexmirror: origin's hexmirror, as last fetched, is not fresh for the lock that is checked out; it lacks \
                 right 1.0.0\nhint: run `git hexmirror update`\n";
    assert_eq!(told(&ran), lacks);
    // A hook that acts brings the local mirror up to date.
    team.git(&two, &["config", "hexmirror.postCheckout", "pull"]).ok();
    team.git(&two, &["switch", "--quiet", "main"]).ok().says("pulled hexmirror from origin");
    assert_eq!(team.tip(&two), team.tip(&team.remote));
}

#[test]
fn what_was_dropped_here_is_not_pulled_or_pushed() {
    let (team, one) = Team::hooked();
    team.git(&one, &["tag", "v0"]).ok();
    team.commit_lock(&one, &["left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    team.run(&one, &["prune", "--keep-days=0"]).ok().says("removed 3 releases");
    team.run(&one, &["status"]).ok().says("not pushed yet");
    team.git(&one, &["switch", "--quiet", "--detach", "v0"]).ok();
    // A pull would not restore it, and a push would take it from everyone.
    let dropped = "the local hexmirror has dropped some of it: run `git hexmirror update`";
    let ran = team.run(&one, &["status"]).ok().prints("fresh: origin's hexmirror at").says(dropped);
    assert!(!ran.stderr.contains("not pushed yet"), "{ran:?}");
    let ran = team.run(&one, &["doctor"]).exits(1).prints("the local one has dropped some of it");
    assert!(ran.stdout.contains("git hexmirror update") && !ran.stdout.contains("git hexmirror push"), "{ran:?}");
    team.run(&one, &["update"]).ok();
    let ran = team.run(&one, &["status"]).ok().prints("fresh: hexmirror at");
    assert!(!ran.stderr.contains("dropped"), "{ran:?}");
}

#[test]
fn a_clone_behind_a_compacted_mirror_is_not_told_to_push() {
    let (team, two) = pulled();
    let one = team.stage.project.clone();
    // The second clone never sees the commit that the compacted one replaces.
    team.lock(&one, &["left 1.0.0", "right 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    team.run(&one, &["compact"]).ok();
    team.run(&one, &["push", "--force-with-lease", "origin"]).ok();
    team.git(&two, &["fetch", "--quiet"]).ok();
    let ran = team.run(&two, &["status"]).ok().says("the local hexmirror is behind: run `git hexmirror pull origin`");
    assert!(!ran.stderr.contains("push"), "{ran:?}");
    team.run(&two, &["pull", "origin"]).ok();
    let ran = team.run(&two, &["status"]).ok().prints("fresh: hexmirror at");
    assert!(!ran.stderr.contains("origin"), "{ran:?}");
}

#[test]
fn an_update_merges_a_diverged_mirror_before_it_asks_upstream() {
    let (team, two) = pulled_after(|team, two| {
        team.lock(two, &["right 1.0.0"]);
        team.run(two, &["update"]).ok();
        team.git(two, &["checkout", "--quiet", "mix.lock"]).ok();
    });
    let asked = team.stage.upstream.count("*");
    team.run(&two, &["status"]).ok();
    let document = team.run(&two, &["update", "--json"]).ok().json();
    assert_eq!((&document["merged"], &document["added"]), (&"origin".into(), &serde_json::json!([])));
    assert_eq!(team.stage.upstream.count("*"), asked);
    assert!(["left 1.0.0", "right 1.0.0"].iter().all(|id| team.releases(&two).contains(&(*id).to_owned())));
    team.is_whole(&two);
}

#[test]
fn if_no_mirror_has_everything_the_newer_one_is_read_and_only_the_rest_is_fetched() {
    let (team, two) = pulled();
    team.lock(&two, &["left 1.0.0", "right 1.0.0"]);
    team.run(&two, &["status"]).exits(1).prints("not fresh: origin's hexmirror lacks").prints("missing right 1.0.0");
    let asked = |name: &str| team.stage.upstream.count(&format!("/tarballs/{name}-1.0.0.tar"));
    let before = [asked("left"), asked("right")];
    team.run(&two, &["update"]).ok().says("pulled hexmirror from origin");
    assert_eq!([asked("left"), asked("right")], [before[0], before[1] + 1]);
    // The local mirror now is the newer one.
    team.lock(&two, &["left 1.0.0", "gamma 1.0.0"]);
    team.run(&two, &["status"]).exits(1).prints("not fresh: hexmirror lacks");
}

#[test]
fn a_remotes_branch_that_is_no_mirror_is_not_read() {
    let (team, two) = pulled();
    team.git(&two, &["update-ref", "refs/remotes/origin/hexmirror", "main"]).ok();
    team.run(&two, &["status"]).exits(1).prints("not fresh: hexmirror lacks");
    team.run(&two, &["update"]).ok().says("warning: cannot merge origin's hexmirror").says("asking upstream instead");
    team.run(&two, &["status"]).ok().prints("fresh: hexmirror at");
}

/// Returns the advice in the output of `status`, `env` and `run`, which must be the same.
#[track_caller]
fn advice(team: &Team, clone: &Path) -> String {
    let of = |arguments: &[&str], code| {
        let ran = team.run(clone, arguments).exits(code);
        let start = ran.stderr.find("run `git hexmirror").unwrap_or_else(|| panic!("{arguments:?}: {ran:?}"));
        ran.stderr[start..].lines().next().unwrap().to_owned()
    };
    let advice = [of(&["status"], 1), of(&["env"], 0), of(&["run", "--", "true"], 5)];
    assert!(advice.iter().all(|one| *one == advice[0]), "{advice:#?}");
    advice[0].clone()
}

#[test]
fn clones_that_know_no_mirror_give_the_same_advice_everywhere() {
    let team = Team::with(registry(), &PINNED);
    let one = team.stage.project.clone();
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    team.git(&team.remote, &["update-ref", "refs/pull/7/merge", "refs/heads/main"]).ok();
    let url = format!("file://{}", team.remote.display());
    let folder = |name: &str| team.stage.sandbox.path().join(name);
    let git = |name: &str, arguments: &[&str]| team.ask(folder(name), arguments);
    for (name, options) in [("shallow", &["--depth=1"][..]), ("single", &["--single-branch", "--branch=main"])] {
        team.git("", &[&["clone", "--quiet"], options, &[&url, name]].concat()).ok();
    }
    // As a CI system checks out a pull request.
    team.git("", &["init", "--quiet", "request"]).ok();
    git("request", &["remote", "add", "origin", &url]);
    let refspec = "+refs/pull/7/merge:refs/remotes/pull/7/merge";
    git("request", &["fetch", "--quiet", "--no-tags", "--depth=1", "origin", refspec]);
    git("request", &["checkout", "--quiet", "--detach", "refs/remotes/pull/7/merge"]);
    for name in ["shallow", "single", "request"] {
        team.configure(&folder(name));
        assert!(advice(&team, &folder(name)).starts_with("run `git hexmirror pull origin` to fetch it from origin"));
        // The advice is right.
        team.run(folder(name), &["pull", "origin"]).ok();
        team.run(folder(name), &["status"]).ok().prints("fresh: hexmirror at");
        team.run(folder(name), &["run", "--", "true"]).ok();
    }
    // In a usual clone, the remote's mirror is read, and nobody has to do anything.
    let full = team.clone("full");
    let status = team.run(&full, &["status"]).ok().prints("fresh: origin's hexmirror at");
    assert!(!status.stderr.contains("origin"), "{status:?}");
    team.run(&full, &["run", "--", "true"]).ok();
}
