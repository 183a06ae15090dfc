//! Unusable repositories and branches.

use std::fs;

use crate::refused;
use crate::support::registry::Registry;
use crate::support::stage::{PINNED, Stage};

#[test]
fn there_is_no_repository() {
    let stage = Stage::new();
    for command in ["init", "update", "status", "diff", "verify", "list", "serve"] {
        let ran = stage.run_in("home", &[command]).exits(5).says("is not inside a git repository").says("git init");
        assert_eq!(ran.stdout, "");
    }
    stage.run_in("home", &["run", "--", "true"]).exits(5);
    stage.run_in("", &["-C", "no/such/folder", "status"]).exits(2).says("no/such/folder does not exist");
    assert_eq!(fs::read_dir(stage.sandbox.home()).unwrap().count(), 1, "only git's own settings");
}

#[test]
fn the_branch_is_something_else() {
    let stage = Stage::new();
    stage.git(&["branch", "hexmirror"]);
    refused(&stage, 5, &["the branch hexmirror exists but is not a mirror", "git config hexmirror.branch NAME"]);
    for command in ["init", "status", "verify", "list", "serve", "diff"] {
        stage.run(&[command]).exits(5).says("is not a mirror");
    }
    assert_eq!(stage.upstream.count("*"), 0);
    stage.run(&["update", "--branch=other"]).ok();
}

#[test]
fn the_branch_is_checked_out_as_the_projects_own() {
    let stage = Stage::new();
    stage.sandbox.git("", &["init", "--quiet", "--initial-branch=hexmirror", "young"]);
    fs::write(stage.sandbox.path().join("young/mix.lock"), stage.registry.mix_lock(&PINNED)).unwrap();
    // The branch has no commit yet, but HEAD points to it.
    stage.run_in("young", &["update"]).exits(5).says("is checked out in");
    assert!(!stage.sandbox.try_git("young", &["rev-parse", "--verify", "hexmirror"]).status.success());
}

#[test]
fn the_ref_is_not_a_commit() {
    let stage = Stage::new();
    stage.git(&["add", "mix.lock"]);
    let blob = stage.git(&["rev-parse", ":mix.lock"]);
    stage.git(&["update-ref", "refs/hexmirror/main", &blob]);
    let ran = stage.run(&["update", "--branch=refs/hexmirror/main"]).exits(5);
    assert!(ran.stderr.starts_with("error: "), "{ran:?}");
    assert_eq!(stage.tip_of("refs/hexmirror/main"), Some(blob));
    fs::create_dir_all(stage.project.join(".git/refs/heads")).unwrap();
    fs::write(stage.project.join(".git/refs/heads/hexmirror"), "nonsense\n").unwrap();
    stage.run(&["update"]).exits(5);
    assert_eq!(fs::read_to_string(stage.project.join(".git/refs/heads/hexmirror")).unwrap(), "nonsense\n");
}

#[test]
fn the_projects_branch_cannot_be_read() {
    let stage = Stage::mirrored();
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    let head = stage.git(&["symbolic-ref", "HEAD"]);
    fs::write(stage.project.join(".git").join(head), "nonsense\n").unwrap();
    for command in ["status", "update", "diff"] {
        stage.run(&[command]).exits(5).says("read HEAD");
    }
}

#[test]
fn the_mirror_is_of_a_later_version() {
    let stage = Stage::mirrored();
    stage.sandbox.edit_branch(&stage.project, "hexmirror", "mirror.toml", "format = 99\n");
    let tip = stage.tip();
    for command in ["status", "update", "verify", "list", "init"] {
        stage.run(&[command]).exits(5).says("has format 99").says("update git-hexmirror");
    }
    assert_eq!(stage.tip(), tip);
}

#[test]
fn the_manifest_is_invalid() {
    let stage = Stage::mirrored();
    stage.sandbox.edit_branch(&stage.project, "hexmirror", "manifest/8e", "what is this?\n");
    let tip = stage.tip();
    for command in ["status", "update", "list"] {
        stage.run(&[command]).exits(5).says("manifest").says("git hexmirror verify");
    }
    let verified = stage.run(&["verify"]).exits(1).prints("manifest");
    assert!(!verified.stdout.contains("pinned index"), "{verified:?}");
    assert_eq!(stage.tip(), tip);
}

#[test]
fn sha256_is_refused_plainly() {
    let stage = Stage::without_lock(Registry::sample());
    stage.sandbox.git("", &["init", "--quiet", "--object-format=sha256", "modern"]);
    fs::write(stage.sandbox.path().join("modern/mix.lock"), stage.registry.mix_lock(&PINNED)).unwrap();
    for command in ["init", "update", "status"] {
        stage.run_in("modern", &[command]).exits(5).says("SHA-256 objects").says("does not support");
    }
    assert_eq!(stage.sandbox.git("modern", &["for-each-ref"]), "");
}

#[test]
fn reftables_are_refused_plainly() {
    let stage = Stage::without_lock(Registry::sample());
    let made = stage.sandbox.try_git("", &["init", "--quiet", "--ref-format=reftable", "modern"]);
    if !made.status.success() {
        eprintln!("skipped: this git makes no reftables");
        return;
    }
    fs::write(stage.sandbox.path().join("modern/mix.lock"), stage.registry.mix_lock(&PINNED)).unwrap();
    for command in ["init", "update", "status"] {
        stage.run_in("modern", &[command]).exits(5).says("reftable").says("does not support");
    }
    assert_eq!(stage.sandbox.git("modern", &["for-each-ref"]), "");
}

#[test]
fn a_repository_that_cannot_be_opened_is_reported_with_the_reason() {
    let stage = Stage::new();
    fs::write(stage.project.join(".git/config"), "[core\n").unwrap();
    let ran = stage.run(&["status"]).exits(5).says("cannot open the repository").says("caused by");
    assert!(!ran.stderr.contains("git init"), "{ran:?}");
}

#[test]
fn names_that_git_keeps_for_itself_are_no_mirrors() {
    let stage = Stage::new();
    for name in ["HEAD", "@", "FETCH_HEAD", "refs/stash", "refs/tags/v1", "refs/remotes/origin/x", "refs/notes/commits"]
    {
        for command in ["init", "update", "status"] {
            stage
                .run(&[command, &format!("--branch={name}")])
                .exits(2)
                .says("is not a valid name")
                .says("hexmirror.branch");
        }
    }
    stage.git(&["config", "hexmirror.branch", "refs/replace/x"]);
    stage.run(&["init"]).exits(2).says("refs/replace/x");
    assert_eq!(stage.git(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
}

#[test]
fn a_branch_below_or_above_the_name_stands_in_the_way() {
    let stage = Stage::new();
    stage.git(&["branch", "hexmirror/foo"]);
    for packed in [false, true] {
        if packed {
            stage.git(&["pack-refs", "--all"]);
        }
        for command in ["init", "update"] {
            let ran = stage.run(&[command]).exits(5).says("conflicts with the branch hexmirror/foo");
            assert!(ran.stderr.contains("git config hexmirror.branch NAME"), "{ran:?}");
        }
        stage.run(&["init", "--branch=main/mirror"]).exits(5).says("conflicts with the branch main");
    }
    assert_eq!(stage.upstream.count("*"), 0, "nothing is fetched for nothing");
    stage.git(&["branch", "--move", "hexmirror/foo", "foo"]);
    stage.run(&["init"]).ok();
}

/// Gives everything in the project to another user. If that is impossible, prints that the test is skipped.
fn given_away(stage: &Stage) -> bool {
    let given = std::process::Command::new("chown").args(["-R", "65534:65534"]).arg(&stage.project).output();
    let done = given.is_ok_and(|output| output.status.success());
    if !done {
        eprintln!("skipped: only root gives files to another user");
    }
    done
}

#[test]
fn commands_in_another_users_repository_are_not_run() {
    let stage = Stage::mirrored();
    let trace = stage.sandbox.path().join("trace");
    stage.git(&["config", "core.sshCommand", &format!("touch {}; false", trace.display())]);
    stage.git(&["remote", "add", "origin", "ssh://example.com/x.git"]);
    stage.write("mix.lock", &stage.registry.mix_lock(&["alpha 1.1.0"]));
    if !given_away(&stage) {
        return;
    }
    assert_eq!(stage.sandbox.try_git(&stage.project, &["fetch", "origin"]).status.code(), Some(128), "git refuses it");
    for command in ["pull", "push", "update", "init", "status", "serve", "list"] {
        let ran = stage.run(&[command]).exits(5).says("detected dubious ownership in repository at '");
        let way_out = format!("git config --global --add safe.directory {}", stage.project.display());
        assert!(ran.stderr.contains(&way_out), "{ran:?}");
        assert!(!trace.exists(), "{command}");
    }
    assert_eq!(stage.upstream.requests("*").iter().filter(|asked| asked.path().contains("1.1.0")).count(), 0);
    // For one command, as git itself treats it.
    let project = stage.project.to_str().unwrap();
    let once =
        |value| [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", value)];
    stage.run_with(&["list"], &once(project)).ok();
    let all_beside = format!("{}/*", stage.sandbox.path().display());
    stage.run_with(&["list"], &once(&all_beside)).ok();
    // Its remotes count as well, with their address and transport.
    stage.run_with(&["pull"], &once(project)).exits(3);
    assert!(trace.exists(), "with all of its settings");
    fs::remove_file(&trace).unwrap();
    stage.run_with(&["list"], &once("/somewhere/else")).exits(5);
    stage.run_with(&["list"], &once("")).exits(5);
    stage.sandbox.git("", &["config", "--global", "--add", "safe.directory", project]);
    stage.run(&["list"]).ok();
    stage.run(&["pull"]).exits(3);
    assert!(trace.exists(), "who trusts it has its settings");
}

#[test]
fn a_worktree_of_another_user_is_not_trusted_either() {
    let stage = Stage::mirrored();
    let given = std::process::Command::new("chown").arg("65534:65534").arg(&stage.project).output();
    if !given.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: only root gives files to another user");
        return;
    }
    stage.run(&["status"]).exits(5).says("detected dubious ownership");
}

#[test]
fn settings_of_gits_command_line_count() {
    let stage = Stage::mirrored();
    let ran = stage.run_through_git("project", &["-c", "hexmirror.branch=it's \"one\"\n", "hexmirror", "status"]);
    ran.exits(2).says("it's \\\"one\\\"");
    stage.run_through_git("project", &["-c", "hexmirror.branch=other", "hexmirror", "status"]).exits(1).prints("other");
    let bad = stage.run_with(&["status"], &[("GIT_CONFIG_PARAMETERS", "not what git writes")]);
    bad.exits(5).says("GIT_CONFIG_PARAMETERS");
    let project = stage.project.to_str().unwrap();
    if given_away(&stage) {
        // The mirror is read, and no setting names its key.
        stage.run_through_git("project", &["-c", &format!("safe.directory={project}"), "hexmirror", "status"]).exits(4);
        stage.run_through_git("project", &["hexmirror", "status"]).exits(5);
    }
}

#[test]
fn safe_bare_repository_is_respected() {
    let stage = Stage::mirrored();
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message", "Add"]);
    // An attacker commits a bare repository whose settings contain commands.
    stage.git(&["clone", "--quiet", "--bare", ".", "vendored"]);
    stage.git(&["--git-dir=vendored", "fetch", "--quiet", ".", "hexmirror:hexmirror"]);
    let bare = stage.project.join("vendored");
    stage.run_in(&bare, &["list"]).ok();
    stage.sandbox.git("", &["config", "--global", "safe.bareRepository", "explicit"]);
    assert_eq!(stage.sandbox.try_git(&bare, &["rev-parse"]).status.code(), Some(128), "git refuses it");
    for command in ["list", "status", "pull"] {
        let ran = stage.run_in(&bare, &[command]).exits(5);
        let ran = ran.says("cannot use bare repository").says("--git-dir=");
        assert!(ran.stderr.contains("safe.bareRepository is 'explicit'"), "{ran:?}");
    }
    // Named explicitly, found beside a worktree, or in a .git folder, as in git.
    let named = ["--git-dir", bare.to_str().unwrap(), "hexmirror", "list"];
    stage.run_through_git(&bare, &named).ok();
    stage.run(&["list"]).ok();
    stage.run_in(stage.project.join(".git"), &["list"]).ok();
    // A setting in the repository's own configuration has no effect.
    stage.sandbox.git("", &["config", "--global", "--unset", "safe.bareRepository"]);
    stage.git(&["--git-dir=vendored", "config", "safe.bareRepository", "explicit"]);
    stage.run_in(&bare, &["list"]).ok();
}

#[test]
fn the_users_settings_are_where_git_is_told_they_are() {
    let stage = Stage::new();
    let file = stage.sandbox.path().join("settings");
    let text = fs::read_to_string(stage.sandbox.home().join(".gitconfig")).unwrap();
    fs::write(&file, text + "[hexmirror]\n\tbranch = other\n").unwrap();
    let file = file.to_str().unwrap();
    stage.run_with(&["status"], &[("GIT_CONFIG_GLOBAL", file)]).exits(1).prints("other lacks");
    stage.run_with(&["status"], &[("GIT_CONFIG_SYSTEM", file), ("GIT_CONFIG_GLOBAL", "/dev/null")]).exits(1);
}
