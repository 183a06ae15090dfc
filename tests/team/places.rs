//! Where hooks run: with a minimal `PATH`, in bare repositories, with `GIT_DIR` set by git or the user, in read-only
//! folders.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::stage::{Ran, install_program};
use crate::team::{Team, told};

/// Runs git with additional variables.
fn git_with(team: &Team, folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let mut command = team.stage.sandbox.command("git", folder);
    Ran::of(command.envs(variables.iter().copied()).args(arguments))
}

#[test]
fn a_bare_path_as_programs_with_windows_have_it() {
    let (team, one) = Team::hooked();
    team.run(&one, &["hooks", "uninstall"]).ok();
    let folder = team.stage.sandbox.path().join("it's ünder/here");
    fs::create_dir_all(&folder).unwrap();
    let installed = folder.join("git-hexmirror");
    install_program(&installed);
    Ran::of(team.stage.sandbox.command(&installed, &one).args(["hooks", "install"])).ok();
    let path = [("PATH", "/usr/bin:/bin")];
    team.git(&one, &["switch", "--quiet", "--create", "left"]).ok();
    team.commit_lock(&one, &["left 1.0.0"]);
    git_with(&team, &one, &path, &["push", "--quiet", "origin", "left"]).exits(1).says("it lacks left 1.0.0");
    git_with(&team, &one, &path, &["switch", "--quiet", "main"]).ok().silent();
    let ran = git_with(&team, &one, &path, &["merge", "--quiet", "left"]).ok();
    assert!(told(&ran).contains("it lacks left 1.0.0"), "{ran:#?}");
    team.run(&one, &["update"]).ok();
    git_with(&team, &one, &path, &["push", "--quiet", "origin", "main"]).ok();
    assert_eq!(team.tip(&team.remote), team.tip(&one));
    // A program on the PATH takes precedence.
    let shadow = team.stage.sandbox.path().join("shadow");
    crate::team::script(&shadow.join("git-hexmirror"), "#!/bin/sh\necho shadow \"$@\" >&2\n");
    let path = format!("{}:/usr/bin:/bin", shadow.display());
    git_with(&team, &one, &[("PATH", &path)], &["switch", "--quiet", "left"]).ok().says("shadow hook --chained-to ");
}

#[test]
fn a_bare_repository_that_is_pushed_from() {
    let (team, one) = Team::hooked();
    team.git(&one, &["switch", "--quiet", "--create", "left"]).ok();
    team.commit_lock(&one, &["left 1.0.0"]);
    team.git(&one, &["switch", "--quiet", "main"]).ok();
    team.git(&one, &["clone", "--quiet", "--mirror", ".", "../bare ü.git"]).ok();
    let bare = team.stage.sandbox.path().join("bare ü.git");
    team.configure(&bare);
    team.git(&bare, &["remote", "set-url", "origin", team.remote.to_str().unwrap()]).ok();
    team.git(&bare, &["config", "--unset", "remote.origin.mirror"]).ok();
    team.run(&bare, &["hooks", "install"]).ok();
    team.run(&bare, &["status"]).ok();
    team.git(&bare, &["push", "--quiet", "origin", "left"]).exits(1).says("it lacks left 1.0.0");
    assert_eq!(team.received(), [[""; 0]; 0]);
    team.git(&bare, &["symbolic-ref", "HEAD", "refs/heads/left"]).ok();
    team.run(&bare, &["status"]).exits(1);
    team.run(&bare, &["update"]).ok();
    team.run(&bare, &["status"]).ok();
    team.git(&bare, &["push", "--quiet", "origin", "left"]).ok();
    assert_eq!(team.received(), [["refs/heads/hexmirror"], ["refs/heads/left"]]);
    team.git(&bare, &["push", "--quiet", "origin", "left:again"]).ok().silent();
    // A worktree of the bare repository.
    let ran = team.git(&bare, &["worktree", "add", "--quiet", "../work of bare", "main"]).ok();
    assert_eq!(told(&ran), "");
    let work = team.stage.sandbox.path().join("work of bare");
    team.commit_lock(&work, &["right 1.0.0"]);
    team.git(&work, &["push", "--quiet", "origin", "main"]).exits(1).says("it lacks right 1.0.0");
    team.is_whole(&bare);
}

#[test]
fn git_dir_selects_the_repository() {
    let (team, one) = Team::hooked();
    team.commit_lock(&one, &["left 1.0.0"]);
    let git_dir = one.join(".git");
    let (git_dir, work_tree) = (git_dir.to_str().unwrap(), one.to_str().unwrap());
    // From a folder that is in no repository, or in another one.
    let elsewhere = team.clone("elsewhere");
    for folder in [team.stage.sandbox.path(), &elsewhere] {
        let variables = [("GIT_DIR", git_dir), ("GIT_WORK_TREE", work_tree)];
        let ran = git_with(&team, folder, &variables, &["push", "--quiet", "origin", "main"]);
        ran.exits(1).says("it lacks left 1.0.0");
        let options = ["--git-dir", git_dir, "--work-tree", work_tree];
        let ran = team.git(folder, &[&options[..], &["push", "--quiet", "origin", "main"]].concat());
        ran.exits(1).says("it lacks left 1.0.0");
        let ran = team.git(folder, &[&options[..], &["checkout", "--quiet", "--detach", "HEAD^"]].concat()).ok();
        assert_eq!(told(&ran), "");
        let ran = team.git(folder, &[&options[..], &["checkout", "--quiet", "main"]].concat()).ok();
        assert!(told(&ran).contains("it lacks left 1.0.0"), "{ran:#?}");
    }
    assert_eq!(team.received(), [[""; 0]; 0]);
    team.run(&one, &["update"]).ok();
    // The environment of a push that another hook started.
    let variables = [("GIT_DIR", git_dir), ("GIT_PREFIX", "lib/"), ("GIT_INDEX_FILE", "nowhere")];
    git_with(&team, &one, &variables, &["push", "--quiet", "origin", "main"]).ok();
    assert_eq!(team.received(), [["refs/heads/hexmirror"], ["refs/heads/main"]]);
    team.is_whole(&team.remote);
}

#[test]
fn a_submodule_has_hooks_and_a_mirror_of_its_own() {
    let (team, one) = Team::hooked();
    team.run(&one, &["push"]).ok();
    team.git(&team.remote, &["branch", "--quiet", "sub", "main"]).ok();
    let remote = team.remote.to_str().unwrap();
    let allowed = ["-c", "protocol.file.allow=always"];
    team.git(&one, &[&allowed[..], &["submodule", "--quiet", "add", "-b", "sub", remote, "süb"]].concat()).ok();
    team.commit(&one, "Submodule");
    let sub = one.join("süb");
    team.configure(&sub);
    team.run(&sub, &["init"]).ok();
    let (before, mirror) = (team.ask(&sub, &["rev-parse", "HEAD"]), team.tip(&one));
    team.commit_lock(&sub, &["left 1.0.0"]);
    team.git(&sub, &["push", "--quiet", "origin", "HEAD:sub"])
        .exits(1)
        .says("for the lock on sub; it lacks left 1.0.0");
    team.commit(&one, "Move it");
    // The project starts the checkout in its submodule.
    team.git(&sub, &["checkout", "--quiet", "--detach", &before]).ok().silent();
    let ran = team.git(&one, &[&allowed[..], &["submodule", "--quiet", "update"]].concat()).ok();
    assert!(told(&ran).contains("it lacks left 1.0.0"), "{ran:#?}");
    assert_eq!(team.tip(&one), mirror);
    team.git(&sub, &["switch", "--quiet", "sub"]).ok();
    team.run(&sub, &["update"]).ok();
    team.git(&sub, &["push", "--quiet", "origin", "HEAD:sub"]).ok();
    assert_eq!(team.tip(&team.remote), team.tip(&sub));
    assert_eq!(team.tip_of(&team.remote, "sub"), team.tip_of(&sub, "HEAD"));
}

#[test]
fn a_read_only_folder_of_the_program() {
    let (team, one) = Team::hooked();
    team.run(&one, &["push"]).ok();
    team.received();
    team.git(&one, &["switch", "--quiet", "--create", "left"]).ok();
    team.commit_lock(&one, &["left 1.0.0"]);
    team.git(&one, &["switch", "--quiet", "main"]).ok();
    let own = one.join(".git/hexmirror");
    // A file in its place blocks every user, including root.
    fs::remove_dir_all(&own).unwrap();
    fs::write(&own, "").unwrap();
    team.git(&one, &["switch", "--quiet", "left"]).ok().says("it lacks left 1.0.0");
    team.git(&one, &["push", "--quiet", "origin", "left"]).exits(1).says("it lacks left 1.0.0");
    team.git(&one, &["switch", "--quiet", "main"]).ok().silent();
    team.commit_lock(&one, &["alpha 1.0.0"]);
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok().silent();
    assert_eq!(team.received(), [["refs/heads/main"]]);
    assert!(own.is_file());
    // A folder in place of the file with cached answers is harmless too.
    fs::remove_file(&own).unwrap();
    fs::create_dir_all(own.join("fresh/x")).unwrap();
    team.git(&one, &["switch", "--quiet", "left"]).ok().says("it lacks left 1.0.0");
    team.git(&one, &["switch", "--quiet", "main"]).ok().silent();
    #[cfg(unix)]
    {
        fs::remove_dir_all(own.join("fresh")).unwrap();
        fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
        team.git(&one, &["push", "--quiet", "origin", "main:again"]).ok().silent();
        fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
}

/// A hook as pre-commit writes it, abridged: a bash script that finds its folder by its own name and passes everything
/// on. Here, it calls a program in Perl, which comes with git.
fn like_pre_commit(hook: &str) -> String {
    format!(
        "#!/usr/bin/env bash\n# File generated by pre-commit: https://pre-commit.com\n# ID: 138fd403232d2ddd5efb44317e38bf03\n\n\
         # start templated\nINSTALL_PYTHON=/usr/bin/perl\nARGS=(hook-impl --config=.pre-commit-config.yaml --hook-type={hook})\n# end templated\n\n\
         HERE=\"$(cd \"$(dirname \"$0\")\" && pwd)\"\nARGS+=(--hook-dir \"$HERE\" -- \"$@\")\n\n\
         if [ -x \"$INSTALL_PYTHON\" ]; then\n    exec \"$INSTALL_PYTHON\" \"$HERE/pre_commit\" \"${{ARGS[@]}}\"\nelse\n    exit 1\nfi\n"
    )
}

/// Records its arguments, runs `HOOK.legacy` with the same input, as pre-commit does, and fails if that fails.
const PRE_COMMIT: &str = r#"my ($type, $dir, @rest) = (map(/hook-type=(.*)/, @ARGV), $ARGV[4], @ARGV[6..$#ARGV]);
my $input = join '', $type eq 'pre-push' ? <STDIN> : ();
print STDERR "pre-commit $type @rest in $dir: ", length($input), "\n";
exit 5 if $input =~ /refs\/heads\/bad/;
my $legacy = "$dir/$type.legacy";
exit 0 unless -x $legacy;
open(my $pipe, '|-', $legacy, @rest) or die; print $pipe $input; close $pipe;
exit($? >> 8);
"#;

/// A clone with hooks, of which pre-commit's are in a folder of the project.
fn with_pre_commit() -> (Team, PathBuf, PathBuf) {
    let (team, one) = Team::hooked();
    team.run(&one, &["hooks", "uninstall"]).ok();
    let hooks = one.join(".githooks ä");
    for hook in ["pre-push", "post-checkout"] {
        crate::team::script(&hooks.join(hook), &like_pre_commit(hook));
    }
    fs::write(hooks.join("pre_commit"), PRE_COMMIT).unwrap();
    fs::write(one.join(".git/info/exclude"), ".githooks*\n").unwrap();
    team.git(&one, &["config", "core.hooksPath", ".githooks ä"]).ok();
    (team, one, hooks)
}

#[test]
fn beside_pre_commit_in_a_folder_of_the_project() {
    let (team, one, hooks) = with_pre_commit();
    let before = fs::read_to_string(hooks.join("pre-push")).unwrap();
    team.run(&one, &["hooks", "install"]).ok().says(".githooks ä");
    team.run(&one, &["hooks", "install"]).ok().says("need no change");
    team.commit_lock(&one, &["left 1.0.0"]);
    let here = format!("in {}: ", hooks.display());
    let ran = team.git(&one, &["push", "--quiet", "origin", "main"]).exits(1).says("it lacks left 1.0.0");
    let ran = ran.says("pre-commit pre-push origin ").says(&here);
    assert!(!ran.stderr.contains(&format!("{here}0")), "it was told what is pushed: {ran:#?}");
    let ran = team.git(&one, &["push", "--quiet", "origin", "main:bad"]).exits(1);
    assert!(!ran.stderr.contains("it lacks"), "{ran:#?}");
    team.git(&one, &["switch", "--quiet", "--detach", "HEAD^"]).ok().says("pre-commit post-checkout ");
    team.git(&one, &["switch", "--quiet", "main"]).ok().says("it lacks left 1.0.0");
    team.run(&one, &["hooks", "uninstall"]).ok();
    assert_eq!(fs::read_to_string(hooks.join("pre-push")).unwrap(), before);
    assert!(!hooks.join("post-merge").exists());
}

#[test]
fn beneath_pre_commit_that_was_installed_later() {
    let (team, one, hooks) = with_pre_commit();
    let theirs = hooks.join("theirs");
    fs::rename(hooks.join("pre-push"), &theirs).unwrap();
    team.run(&one, &["hooks", "install"]).ok();
    // pre-commit renames the existing hook and runs it.
    fs::rename(hooks.join("pre-push"), hooks.join("pre-push.legacy")).unwrap();
    fs::rename(&theirs, hooks.join("pre-push")).unwrap();
    team.commit_lock(&one, &["left 1.0.0"]);
    let ran = team.git(&one, &["push", "--quiet", "origin", "main"]).exits(1);
    ran.says("pre-commit pre-push origin").says("it lacks left 1.0.0");
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    assert_eq!(team.tip(&team.remote), team.tip(&one));
}

#[test]
fn locks_branches_and_folders_with_names_in_any_script() {
    let (team, one) = Team::hooked();
    team.git(&one, &["config", "hexmirror.locks", "äpps/*/mix.lock"]).ok();
    let app = one.join("äpps/日本 語");
    fs::create_dir_all(&app).unwrap();
    fs::write(app.join("mix.lock"), team.stage.registry.mix_lock(&["left 1.0.0"])).unwrap();
    team.git(&one, &["switch", "--quiet", "--create", "größe/ñ"]).ok();
    team.commit(&one, "Ünïcode");
    team.git(&one, &["push", "--quiet", "origin", "größe/ñ"]).exits(1).says("for the lock on größe/ñ; it lacks left");
    team.git(&one, &["switch", "--quiet", "main"]).ok();
    let ran = team.git(&one, &["switch", "--quiet", "größe/ñ"]).ok();
    assert!(told(&ran).contains("it lacks left 1.0.0"), "{ran:#?}");
    team.run(&app, &["update"]).ok();
    team.received();
    team.git(&app, &["push", "--quiet", "origin", "größe/ñ"]).ok();
    assert_eq!(team.received(), [["refs/heads/hexmirror"], ["refs/heads/größe/ñ"]]);
    team.git(&app, &["push", "--quiet", "origin", "größe/ñ:refs/heads/ещё"]).ok().silent();
}
