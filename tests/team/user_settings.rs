//! No git setting or variable of a user changes what is transferred between their clone and a remote.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::stage::{PINNED, Ran};
use crate::team::{Team, registry, script};

/// Git settings that influence `fetch`, `push`, and the commands that they start, each with a harmful value. `MARK`
/// stands for a script that leaves a mark.
const SETTINGS: &[(&str, &str)] = &[
    ("remote.origin.promisor", "true"),
    ("remote.origin.partialCloneFilter", "tree:0"),
    ("remote.origin.fetch", "+refs/heads/*:refs/heads/copies/*"),
    ("remote.origin.fetch", "^refs/heads/hexmirror"),
    ("remote.origin.tagOpt", "--tags"),
    ("remote.origin.prune", "true"),
    ("remote.origin.pruneTags", "true"),
    ("remote.origin.mirror", "true"),
    ("remote.origin.push", "+refs/heads/main:refs/heads/elsewhere"),
    ("remote.origin.skipDefaultUpdate", "true"),
    ("remote.origin.skipFetchAll", "true"),
    ("fetch.all", "true"),
    ("fetch.bundleURI", "/nowhere/bundle"),
    ("fetch.fsckObjects", "true"),
    ("fetch.negotiationAlgorithm", "noop"),
    ("fetch.output", "compact"),
    ("fetch.parallel", "7"),
    ("fetch.prune", "true"),
    ("fetch.pruneTags", "true"),
    ("fetch.recurseSubmodules", "true"),
    ("fetch.unpackLimit", "1000000"),
    ("fetch.writeCommitGraph", "true"),
    ("transfer.bundleURI", "true"),
    ("transfer.fsckObjects", "true"),
    ("transfer.unpackLimit", "1000000"),
    ("push.default", "matching"),
    ("push.autoSetupRemote", "true"),
    ("push.followTags", "true"),
    ("push.gpgSign", "if-asked"),
    ("push.negotiate", "true"),
    ("push.recurseSubmodules", "only"),
    ("push.useForceIfIncludes", "true"),
    ("submodule.recurse", "true"),
    ("core.hooksPath", "HOOKS"),
    ("core.fsmonitor", "MARK"),
    ("core.alternateRefsCommand", "MARK"),
    ("core.bigFileThreshold", "1"),
    ("core.compression", "0"),
    ("core.looseCompression", "0"),
    ("core.logAllRefUpdates", "false"),
    ("core.quotePath", "true"),
    ("gc.auto", "1"),
    ("gc.autoPackLimit", "1"),
    ("gc.autoDetach", "false"),
    ("maintenance.auto", "true"),
    ("pack.compression", "0"),
    ("pack.depth", "0"),
    ("pack.indexVersion", "1"),
    ("pack.packSizeLimit", "1m"),
    ("pack.threads", "1"),
    ("pack.useSparse", "true"),
    ("pack.window", "0"),
    ("pack.writeReverseIndex", "true"),
    ("protocol.version", "0"),
    ("protocol.version", "1"),
    ("receive.denyCurrentBranch", "refuse"),
    ("uploadpack.hideRefs", "refs"),
    ("transfer.hideRefs", "refs"),
    ("url.elsewhere:.insteadOf", "refs/"),
    ("color.ui", "always"),
    ("color.advice", "always"),
    ("color.push", "always"),
    ("color.remote", "always"),
    ("color.transport", "always"),
    ("advice.pushNonFastForward", "true"),
    ("i18n.commitEncoding", "ISO-8859-1"),
    ("i18n.logOutputEncoding", "UTF-16"),
];

/// Variables that do the same.
const VARIABLES: &[(&str, &str)] = &[
    ("GIT_ADVICE", "1"),
    ("GIT_ALTERNATE_OBJECT_DIRECTORIES", "/nowhere"),
    ("GIT_CONFIG", "/nowhere"),
    ("GIT_CURL_VERBOSE", "1"),
    ("GIT_DEFAULT_HASH", "sha256"),
    ("GIT_FLUSH", "0"),
    ("GIT_INDEX_FILE", "/nowhere"),
    ("GIT_LITERAL_PATHSPECS", "1"),
    ("GIT_NO_LAZY_FETCH", "0"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_PREFIX", "elsewhere/"),
    ("GIT_REF_PARANOIA", "0"),
    ("GIT_SHALLOW_FILE", "/nowhere"),
    ("GIT_TEMPLATE_DIR", "/nowhere"),
    ("GIT_TRACE", "1"),
    ("GIT_TRACE2", "1"),
    ("GIT_TRACE_PACKET", "1"),
    ("GIT_TRACE_SETUP", "1"),
    ("LANG", "de_DE.UTF-8"),
    ("LANGUAGE", "de"),
    ("LC_ALL", "tr_TR.UTF-8"),
];

/// A remote with a mirror of two releases, a clone without a mirror (`puller`), and one whose mirror has a third
/// release (`pusher`). The clones refer to the remote by a relative path, so that all can be copied together.
struct Template {
    team: Team,
    folder: PathBuf,
    tip: String,
}

impl Template {
    fn new() -> Self {
        let team = Team::with(registry(), &PINNED);
        let sandbox = team.stage.sandbox.path().to_owned();
        team.clone("puller");
        let pusher = team.stage.project.clone();
        team.commit_lock(&pusher, &PINNED[..2]);
        team.run(&pusher, &["update"]).ok();
        team.run(&pusher, &["push"]).ok();
        team.commit_lock(&pusher, &PINNED);
        team.run(&pusher, &["update"]).ok();
        team.git(&team.remote, &["tag", "a-tag", "main"]).ok();
        team.git(&pusher, &["tag", "--annotate", "--message=x", "own-tag", "hexmirror"]).ok();
        let folder = sandbox.join("template");
        for clone in [&pusher, &sandbox.join("puller"), &team.remote] {
            let _ = fs::remove_dir_all(clone.join(".git/hooks"));
            let _ = fs::remove_dir_all(clone.join("hooks"));
        }
        fs::create_dir(&folder).unwrap();
        fs::rename(&pusher, folder.join("pusher")).unwrap();
        fs::rename(sandbox.join("puller"), folder.join("puller")).unwrap();
        fs::rename(&team.remote, folder.join("remote.git")).unwrap();
        for clone in ["pusher", "puller"] {
            team.git(folder.join(clone), &["config", "remote.origin.url", "../remote.git"]).ok();
            script(&folder.join(clone).join("elsewhere/mark"), &marking(&folder));
            // Not pre-auto-gc, with which users decide about git's maintenance.
            for hook in ["pre-push", "reference-transaction", "post-update", "pre-receive"] {
                script(&folder.join(clone).join("hooks").join(hook), &marking(&folder));
            }
        }
        let tip = team.tip(folder.join("pusher")).unwrap();
        Self { team, folder, tip }
    }

    /// Pushes and pulls in a copy with these settings and variables. Returns the problems found.
    fn faults(&self, name: &str, settings: &[(&str, &str)], variables: &[(&str, &str)]) -> Vec<String> {
        let copy = self.team.stage.sandbox.path().join(format!("copy {name}"));
        let status = Command::new("cp").arg("-a").arg(&self.folder).arg(&copy).status();
        assert!(status.unwrap().success());
        let (pusher, puller) = (copy.join("pusher"), copy.join("puller"));
        for clone in [&pusher, &puller] {
            let mut config = fs::read_to_string(clone.join(".git/config")).unwrap();
            for (key, value) in settings {
                let value = value.replace("HOOKS", clone.join("hooks").to_str().unwrap());
                let value = value.replace("MARK", clone.join("elsewhere/mark").to_str().unwrap());
                let (section, name) = key.rsplit_once('.').unwrap();
                let section = section.split_once('.').map_or(section.to_owned(), |(a, b)| format!("{a} \"{b}\""));
                config += &format!("[{section}]\n\t{name} = {value:?}\n");
            }
            fs::write(clone.join(".git/config"), config).unwrap();
        }
        let mut faults = Vec::new();
        let mut check = |holds: bool, fault: String| {
            if !holds {
                faults.push(fault);
            }
        };
        for (clone, command) in [(&pusher, "push"), (&puller, "pull")] {
            let mut run = self.team.stage.bare_command_in(clone, &[command]);
            let ran = Ran::of(run.envs(variables.iter().copied()));
            check(ran.code == Some(0), format!("{command}: {ran:?}"));
        }
        // Read without the settings.
        for clone in [&pusher, &puller] {
            fs::copy(self.folder.join("puller/.git/config"), clone.join(".git/config")).unwrap();
        }
        for (clone, refs) in [
            (
                pusher,
                &["heads/main", "heads/hexmirror", "remotes/origin/hexmirror", "remotes/origin/main", "tags/own-tag"][..],
            ),
            (
                puller,
                &[
                    "heads/main",
                    "heads/hexmirror",
                    "remotes/origin/HEAD",
                    "remotes/origin/hexmirror",
                    "remotes/origin/main",
                ],
            ),
            (copy.join("remote.git"), &["heads/main", "heads/hexmirror", "tags/a-tag"]),
        ] {
            let shown = clone.file_name().unwrap().to_string_lossy().into_owned();
            let listed = self.team.git(&clone, &["rev-list", "--objects", "--quiet", "hexmirror"]);
            check(listed.code == Some(0), format!("{shown} lacks objects: {listed:?}"));
            let found = self.team.ask(&clone, &["for-each-ref", "--format=%(objectname) %(refname:lstrip=1)"]);
            let found: BTreeMap<&str, &str> =
                found.lines().map(|line| line.split_once(' ').unwrap()).map(|(id, name)| (name, id)).collect();
            check(found.get("heads/hexmirror") == Some(&self.tip.as_str()), format!("{shown} has another mirror"));
            check(
                found.keys().eq(&refs.iter().copied().collect::<BTreeSet<_>>()),
                format!("{shown} has the refs {found:?}"),
            );
        }
        check(!self.folder.join("mark").exists(), "something of the user's ran".to_owned());
        let _ = fs::remove_file(self.folder.join("mark"));
        let _ = fs::remove_dir_all(copy);
        faults
    }
}

fn marking(folder: &Path) -> String {
    format!("#!/bin/sh\necho \"$0\" >>'{}'\nexit 1\n", folder.join("mark").display())
}

#[test]
fn no_setting_and_no_variable_changes_what_moves() {
    let template = Template::new();
    let mut faults = template.faults("all", SETTINGS, VARIABLES);
    for (number, setting) in SETTINGS.iter().enumerate() {
        let found = template.faults(&format!("setting {number}"), &[*setting], &[]);
        faults.extend(found.into_iter().map(|fault| format!("{}={}: {fault}", setting.0, setting.1)));
    }
    for (number, variable) in VARIABLES.iter().enumerate() {
        let found = template.faults(&format!("variable {number}"), &[], &[*variable]);
        faults.extend(found.into_iter().map(|fault| format!("{}={}: {fault}", variable.0, variable.1)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A team whose remote supports filters, and a partial clone of it.
fn partial(team: &Team, filter: &str, name: &str) -> PathBuf {
    team.git(&team.remote, &["config", "uploadpack.allowFilter", "true"]).ok();
    let address = format!("file://{}", team.remote.display());
    team.stage.sandbox.git("", &["clone", "--quiet", &format!("--filter={filter}"), &address, name]);
    let folder = team.stage.sandbox.path().join(name);
    team.configure(&folder);
    folder
}

const FILTERS: [&str; 3] = ["blob:none", "tree:0", "blob:limit=100"];

#[test]
fn a_partial_clone_gets_a_complete_mirror() {
    let (team, one) = Team::hooked();
    let early = FILTERS.map(|filter| partial(&team, filter, &format!("early {filter}")));
    team.run(&one, &["push"]).ok();
    let late = FILTERS.map(|filter| partial(&team, filter, &format!("late {filter}")));
    for folder in early.iter().chain(&late) {
        team.git(folder, &["pull", "--quiet"]).ok();
        team.run(folder, &["pull"]).ok();
        complete(&team, folder);
    }
    // And again, with objects of an update that the user's own fetch has left out.
    team.run(&one, &["update", "--refresh"]).ok();
    team.commit_lock(&one, &[&PINNED[..], &["left 1.0.0"]].concat());
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet"]).ok();
    for folder in early.iter().chain(&late) {
        team.git(folder, &["pull", "--quiet"]).ok();
        team.run(folder, &["pull"]).ok();
        complete(&team, folder);
        assert_eq!(team.tip(folder), team.tip(&one));
    }
}

#[test]
fn every_way_into_a_partial_clone_is_complete() {
    let (team, one) = Team::hooked();
    team.run(&one, &["push"]).ok();
    for command in [&["init", "--no-hooks"][..], &["update"], &["push"]] {
        let folder = partial(&team, "blob:none", command[0]);
        if command[0] == "push" {
            team.run(&folder, &["init", "--no-hooks"]).ok();
        }
        team.run(&folder, command).ok();
        complete(&team, &folder);
    }
    // A hook that pulls.
    let folder = partial(&team, "blob:none", "hooked");
    team.run(&folder, &["init"]).ok();
    team.git(&folder, &["config", "hexmirror.postCheckout", "pull"]).ok();
    team.commit_lock(&one, &[&PINNED[..], &["left 1.0.0"]].concat());
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet"]).ok();
    team.git(&folder, &["pull", "--quiet"]).ok();
    assert_eq!(team.tip(&folder), team.tip(&one));
    complete(&team, &folder);
}

/// Checks that a partial clone has the whole mirror with its history.
#[track_caller]
fn complete(team: &Team, folder: &Path) {
    let listed = team.ask(folder, &["rev-list", "--objects", "--missing=print", "hexmirror"]);
    assert!(!listed.contains('?'), "{listed}");
    team.run(folder, &["verify"]).ok();
    team.run(folder, &["status"]).ok().prints("fresh");
}
