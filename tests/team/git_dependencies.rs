//! Diverged mirrors with git dependencies, and their merges.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::forge::Forge;
use crate::support::stage::PINNED;
use crate::team::Team;

/// A team whose members have access to a server of git repositories.
struct Scene {
    team: Team,
    forge: Forge,
}

impl Scene {
    fn new() -> Self {
        let team = Team::new();
        let folder = team.stage.sandbox.path().join("forge");
        fs::create_dir(&folder).unwrap();
        let forge = Forge::start(folder);
        forge.redirect(&team.stage.sandbox, "https://forge.test/");
        Self { team, forge }
    }

    /// Locks the common packages and some revisions of git repositories: name, revision, options.
    fn lock(&self, folder: &Path, pinned: &[(&str, &str, &str)]) {
        let lock = self.team.stage.registry.mix_lock(&PINNED);
        let entry = |(name, revision, options): &(&str, &str, &str)| {
            let app = name.replace('/', "_");
            format!("  \"{app}\": {{:git, \"https://forge.test/{name}.git\", \"{revision}\", [{options}]}},\n")
        };
        let entries: String = pinned.iter().map(entry).collect();
        fs::write(folder.join("mix.lock"), lock.replace("%{\n", &format!("%{{\n{entries}"))).unwrap();
    }

    fn update(&self, folder: &Path, pinned: &[(&str, &str, &str)]) {
        self.lock(folder, pinned);
        self.team.run(folder, &["update"]).ok();
    }

    /// The lines of a clone's manifest with this prefix.
    fn lines(&self, folder: &Path, begin: &str) -> Vec<String> {
        let manifest = self.team.ask(folder, &crate::support::tree::MANIFEST);
        manifest.lines().filter(|line| line.starts_with(begin)).map(str::to_owned).collect()
    }

    /// Checks that a clone's mirror covers its lock and is intact.
    #[track_caller]
    fn is_whole_and_fresh(&self, folder: &Path) {
        self.team.is_whole(folder);
        self.team.run(folder, &["status"]).ok().prints("fresh");
    }

    /// Clones a repository from a clone's mirror, and checks that it has a revision with its ancestry.
    #[track_caller]
    fn serves(&self, folder: &Path, name: &str, revision: &str, commits: usize) {
        let sandbox = &self.team.stage.sandbox;
        let taken = tempfile::tempdir_in(sandbox.path()).unwrap();
        let archive = taken.path().join("tar");
        let tree = format!("hexmirror:git/forge.test/{name}.git");
        self.team.git(folder, &["archive", "--format=tar", "--output", archive.to_str().unwrap(), &tree]).ok();
        let bare = taken.path().join("bare");
        fs::create_dir_all(bare.join("refs")).unwrap();
        let status = std::process::Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&bare).status();
        assert!(status.unwrap().success());
        let bare = bare.to_str().unwrap();
        sandbox.git("", &["--git-dir", bare, "fsck", "--full", "--strict"]);
        let count = sandbox.git("", &["--git-dir", bare, "rev-list", "--count", revision]);
        assert_eq!(count, commits.to_string(), "{name} {revision}");
        let clone = taken.path().join("clone");
        sandbox.git("", &["clone", "--quiet", "--no-checkout", bare, clone.to_str().unwrap()]);
        sandbox.git(&clone, &["checkout", "--quiet", "--detach", revision]);
    }
}

/// Two clones that share a mirror with one revision of `a/both`.
fn two_clones() -> (Scene, PathBuf, PathBuf) {
    let scene = Scene::new();
    let base = scene.forge.commit("a/both", "main", &[("f", "1")]);
    let (one, two) = (scene.team.stage.project.clone(), scene.team.clone("zwei ä"));
    scene.update(&one, &[("a/both", &base, r#"branch: "main""#)]);
    scene.team.run(&one, &["push"]).ok();
    scene.team.run(&two, &["pull"]).ok();
    (scene, one, two)
}

#[test]
fn revisions_of_one_and_several_repositories_are_merged() {
    let (scene, one, two) = two_clones();
    let team = &scene.team;
    let ahead = scene.forge.commit("a/both", "main", &[("f", "2")]);
    let left = scene.forge.commit("b/left", "main", &[("l", "1")]);
    scene.update(&one, &[("a/both", &ahead, r#"branch: "main""#), ("b/left", &left, "")]);
    // The other clone's revision belongs to another branch and is locked under the same name.
    scene.forge.commit("a/both", "side", &[("g", "1")]);
    let aside = scene.forge.commit("a/both", "side", &[("g", "2")]);
    let right = scene.forge.commit("c/right", "main", &[("r", "1")]);
    scene.update(&two, &[("a/both", &aside, r#"branch: "main""#), ("c/right", &right, "")]);
    team.run(&one, &["push"]).ok();
    let (of_one, of_two) = (team.tip(&one).unwrap(), team.tip(&two).unwrap());
    let document = team.run(&two, &["push", "--json"]).ok().json();
    assert_eq!(document["merged"], serde_json::json!({ "releases": 0, "entries": 0, "revisions": 2, "pruned": 0 }));
    assert_eq!(team.ask(&two, &["log", "-1", "--format=%P", "hexmirror"]), format!("{of_two} {of_one}"));
    team.run(&one, &["pull"]).ok().says("pulled hexmirror from origin").says("2 git revisions");
    assert_eq!(team.tip(&one), team.tip(&two));
    for folder in [&one, &two] {
        scene.is_whole_and_fresh(folder);
        assert_eq!(scene.lines(folder, "git forge.test/a/both ").len(), 3);
    }
    team.is_whole(&team.remote);
    for (name, revision, commits) in
        [("a/both", &ahead, 2), ("a/both", &aside, 2), ("b/left", &left, 1), ("c/right", &right, 1)]
    {
        scene.serves(&one, name, revision, commits);
    }
    // The other clone's lock requires no request either.
    let connections = scene.forge.connections();
    scene.update(&one, &[("a/both", &aside, r#"branch: "main""#), ("c/right", &right, "")]);
    assert_eq!(scene.forge.connections(), connections);
}

#[test]
fn a_push_with_the_hook_merges_them_too() {
    let (scene, one, two) = two_clones();
    let team = &scene.team;
    for folder in [&one, &two] {
        team.run(folder, &["hooks", "install"]).ok();
    }
    let ahead = scene.forge.commit("a/both", "main", &[("f", "2")]);
    scene.update(&one, &[("a/both", &ahead, "")]);
    team.commit(&one, "Ahead");
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    let aside = scene.forge.commit("a/both", "side", &[("g", "1")]);
    scene.update(&two, &[("a/both", &aside, "")]);
    team.git(&two, &["switch", "--quiet", "--create", "side"]).ok();
    team.commit(&two, "Aside");
    team.git(&two, &["push", "origin", "side"]).ok().says("merged with 1 git revision");
    assert_eq!(team.tip(&two), team.tip(&team.remote));
    scene.is_whole_and_fresh(&two);
    team.git(&one, &["fetch", "--quiet"]).ok();
    team.git(&one, &["switch", "--quiet", "side"]).ok().says("run `git hexmirror pull origin`");
    team.run(&one, &["pull"]).ok();
    scene.is_whole_and_fresh(&one);
    team.git(&one, &["switch", "--quiet", "main"]).ok().silent();
}

#[test]
fn the_hooks_name_the_missing_revision() {
    let (scene, one, _) = two_clones();
    let team = &scene.team;
    team.run(&one, &["hooks", "install"]).ok();
    team.commit(&one, "Base");
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    let ahead = scene.forge.commit("a/both", "main", &[("f", "2")]);
    scene.lock(&one, &[("a/both", &ahead, "")]);
    team.git(&one, &["switch", "--quiet", "--create", "ahead"]).ok();
    team.commit(&one, "Ahead");
    let lacks = |whose: &str| {
        let short = &ahead[..10];
        format!("the mirror hexmirror is not fresh for {whose}; it lacks forge.test/a/both {short}\nhint: run")
    };
    team.git(&one, &["push", "--quiet", "origin", "ahead"]).exits(1).says(&lacks("the lock on ahead"));
    team.git(&one, &["switch", "--quiet", "main"]).ok().silent();
    team.git(&one, &["switch", "--quiet", "ahead"]).ok().says(&lacks("the lock that is checked out"));
}

#[test]
fn more_packs_than_an_update_leaves_are_kept_by_a_merge_and_fewer_after_the_next_update() {
    let (scene, one, two) = two_clones();
    let team = &scene.team;
    let mut revisions = Vec::new();
    for (folder, branch) in [(&one, "main"), (&two, "side")] {
        for number in 0..7 {
            let revision = scene.forge.commit("a/both", branch, &[(&format!("{branch}{number}"), "x")]);
            scene.update(folder, &[("a/both", &revision, "")]);
            revisions.push(revision);
        }
    }
    team.run(&one, &["push"]).ok();
    team.run(&two, &["push"]).ok();
    team.run(&one, &["pull"]).ok();
    let packs = |folder: &Path| scene.lines(folder, "pack forge.test/a/both ").len();
    assert_eq!(packs(&one), 15);
    scene.is_whole_and_fresh(&one);
    scene.serves(&one, "a/both", &revisions[6], 8);
    let last = scene.forge.commit("a/both", "main", &[("last", "x")]);
    scene.update(&one, &[("a/both", &last, "")]);
    assert!(packs(&one) <= 10, "{} packs", packs(&one));
    scene.is_whole_and_fresh(&one);
    for (number, revision) in revisions.iter().enumerate() {
        scene.serves(&one, "a/both", revision, if number < 7 { number + 2 } else { number - 6 });
    }
    // The other clone has added to packs that are already merged.
    let more = scene.forge.commit("a/both", "side", &[("more", "x")]);
    scene.update(&two, &[("a/both", &more, "")]);
    team.run(&one, &["push"]).ok();
    team.run(&two, &["push"]).ok();
    scene.is_whole_and_fresh(&two);
    scene.serves(&two, "a/both", &last, 9);
    scene.serves(&two, "a/both", &more, 8);
}

#[test]
fn a_pruned_revision_returns_only_if_the_other_side_needs_it() {
    let (scene, one, two) = two_clones();
    let team = &scene.team;
    let inner = scene.forge.commit("b/inner", "main", &[("f", "1")]);
    let base = scene.forge.run("a/both", &["rev-parse", "main"]);
    for folder in [&one, &two] {
        scene.update(folder, &[("a/both", &base, ""), ("b/inner", &inner, "")]);
        team.run(folder, &["push"]).ok();
    }
    let ahead = scene.forge.commit("a/both", "main", &[("f", "2")]);
    scene.update(&one, &[("a/both", &ahead, "")]);
    team.run(&one, &["prune", "--keep-days=0"]).ok().says("removed 2 git revisions");
    team.run(&one, &["push"]).ok();
    // The other clone still has them, and one of them is a submodule of something new there.
    let modules = "[submodule \"inner\"]\n\tpath = inner\n\turl = ../../b/inner.git\n";
    let files = [(".gitmodules", modules), ("inner", &format!("commit {inner}"))];
    let outer = scene.forge.commit("c/outer", "main", &files);
    scene.update(&two, &[("c/outer", &outer, "submodules: true")]);
    team.run(&two, &["push"]).ok();
    let revisions = |folder: &Path| {
        let lines = scene.lines(folder, "git ");
        lines.iter().map(|line| line.split(' ').nth(2).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(revisions(&two), [ahead.clone(), inner, outer]);
    scene.is_whole_and_fresh(&two);
    team.run(&one, &["pull"]).ok();
    scene.is_whole_and_fresh(&one);
    scene.serves(&one, "a/both", &ahead, 2);
}

#[test]
fn a_repository_that_is_stored_to_two_depths_is_merged_to_the_deeper_one() {
    for full_first in [true, false] {
        let (scene, one, two) = two_clones();
        let team = &scene.team;
        for folder in [&one, &two] {
            fs::write(folder.join(".hexmirror.toml"), "shallow = true\n").unwrap();
        }
        let commits: Vec<String> =
            (0..3).map(|number| scene.forge.commit("c/deep", "main", &[("f", &number.to_string())])).collect();
        scene.update(&one, &[("c/deep", &commits[2], if full_first { "" } else { "depth: 1" })]);
        scene.update(&two, &[("c/deep", &commits[2], if full_first { "branch: \"x\", depth: 2" } else { "depth: 2" })]);
        team.run(&one, &["push"]).ok();
        team.run(&two, &["push"]).ok();
        team.run(&one, &["pull"]).ok();
        for folder in [&one, &two] {
            scene.is_whole_and_fresh(folder);
            let (commits_there, cut) = if full_first { (3, 0) } else { (2, 1) };
            scene.serves(folder, "c/deep", &commits[2], commits_there);
            assert_eq!(scene.lines(folder, "shallow forge.test/c/deep ").len(), cut);
            assert_eq!(scene.lines(folder, "pack forge.test/c/deep ").len(), 1);
        }
        // The other clone's lock requires no request.
        let connections = scene.forge.connections();
        fs::copy(two.join("mix.lock"), one.join("mix.lock")).unwrap();
        team.run(&one, &["update"]).ok();
        scene.is_whole_and_fresh(&one);
        assert_eq!(scene.forge.connections(), connections);
    }
}

#[test]
fn a_merge_keeps_the_name_that_a_lock_pins_when_the_revision_that_has_it_was_dropped() {
    let (scene, one, two) = two_clones();
    let team = &scene.team;
    let base = scene.forge.run("a/both", &["rev-parse", "main"]);
    let ahead = scene.forge.commit("a/both", "main", &[("f", "2")]);
    // HEAD is at the later revision; the lock returns to the first one.
    scene.update(&one, &[("a/both", &base, "")]);
    scene.update(&one, &[("a/both", &ahead, "")]);
    team.run(&one, &["push"]).ok();
    team.run(&two, &["pull"]).ok();
    scene.update(&two, &[("a/both", &base, "")]);
    // The lock of the clone that prunes names no branch or tag.
    scene.update(&one, &[("a/both", &base, "ref: \"x\"")]);
    team.run(&one, &["prune", "--keep-days=0"]).ok().says("removed 1 git revision");
    assert_eq!(scene.lines(&one, "git forge.test/a/both "), [format!("git forge.test/a/both {base} full heads/main")]);
    team.run(&one, &["push"]).ok();
    let side = scene.forge.commit("b/side", "main", &[("f", "1")]);
    scene.update(&two, &[("a/both", &base, ""), ("b/side", &side, "")]);
    team.run(&two, &["push"]).ok();
    team.run(&one, &["pull"]).ok();
    for folder in [&one, &two] {
        scene.is_whole_and_fresh(folder);
        let line = format!("git forge.test/a/both {base} full HEAD heads/main");
        assert_eq!(scene.lines(folder, "git forge.test/a/both "), [line]);
    }
}
