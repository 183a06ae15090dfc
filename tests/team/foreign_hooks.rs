//! Hooks that this program must not change: tracked ones, and those of hook runners that would overwrite its own. And
//! hooks that new clones get from git's template.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::stage::{Ran, install_program};
use crate::team::{Team, script};

/// A clone with a fresh mirror, without hooks.
fn unhooked() -> (Team, PathBuf) {
    let (team, one) = Team::hooked();
    team.run(&one, &["hooks", "uninstall"]).ok();
    (team, one)
}

/// Runs git with this program on the `PATH`.
fn git_on_path(team: &Team, folder: &Path, arguments: &[&str]) -> Ran {
    let bin = team.stage.sandbox.path().join("bin");
    if !bin.exists() {
        fs::create_dir(&bin).unwrap();
        install_program(&bin.join("git-hexmirror"));
    }
    let mut command = team.stage.sandbox.command("git", folder);
    Ran::of(command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).args(arguments))
}

/// Returns the line for a hook that the program printed.
fn printed_line(ran: &Ran, hook: &str) -> String {
    let lines = ran.stderr.lines().map(str::trim);
    lines.filter(|line| line.starts_with("if ") && line.contains(hook)).collect::<Vec<_>>().concat()
}

#[test]
fn tracked_hooks_are_not_changed_and_work_with_one_more_line() {
    let (team, one) = unhooked();
    let hook = one.join(".githooks/pre-push");
    script(&hook, "#!/bin/sh\nset -e\necho own checks >&2\n");
    team.git(&one, &["config", "core.hooksPath", ".githooks"]).ok();
    team.commit(&one, "Hooks");
    for command in [&["init"][..], &["hooks", "install"]] {
        let ran = team.run(&one, command).ok().says("the project tracks its hooks").says(".githooks/pre-push:");
        assert_eq!(team.ask(&one, &["status", "--porcelain"]), "", "{ran:#?}");
    }
    let said = team.run(&one, &["status"]).ok().says("add this line to ").says(".githooks/pre-push (");
    assert!(!said.stderr.contains("hooks install"), "{said:#?}");
    let ran =
        team.run(&one, &["hooks", "status"]).ok().prints("pre-push       foreign").prints("post-merge     absent");
    let line = printed_line(&ran, "pre-push");
    assert!(line.contains("git-hexmirror hook pre-push"), "{ran:#?}");
    assert_eq!(printed_line(&said, "pre-push"), line);
    // Without the program, the line does nothing.
    let text = fs::read_to_string(&hook).unwrap();
    script(&hook, &format!("{text}{line}\n"));
    let path = [("PATH", "/usr/bin:/bin")];
    let mut command = team.stage.sandbox.command("git", &one);
    Ran::of(command.envs(path).args(["push", "--quiet", "origin", "main:without"])).ok().says("own checks");
    team.commit_lock(&one, &["left 1.0.0"]);
    git_on_path(&team, &one, &["push", "origin", "main"]).exits(1).says("own checks").says("it lacks left 1.0.0");
    team.run(&one, &["update"]).ok();
    git_on_path(&team, &one, &["push", "origin", "main"]).ok().says("pushed hexmirror");
    assert_eq!(team.tip(&team.remote), team.tip(&one));
    let states = team.run(&one, &["hooks", "status", "--json"]).ok().json();
    let expected = serde_json::json!({ "hook": "pre-push", "state": "called", "caller": ".githooks/pre-push" });
    assert_eq!(states["hooks"][0], expected);
    let ran = team.run(&one, &["hooks", "install"]).ok();
    assert_eq!(printed_line(&ran, "pre-push"), "", "{ran:#?}");
    team.run(&one, &["hooks", "uninstall"]).ok();
    assert_eq!(team.ask(&one, &["status", "--porcelain"]), "");
}

#[test]
fn calls_from_hook_runners_are_recognised() {
    for (file, text, hooks_path) in [
        (
            "lefthook.yml",
            "pre-push:\n  jobs:\n    - run: if command -v git-hexmirror >/dev/null; then git-hexmirror hook pre-push {1} {2}; fi\n      use_stdin: true\n",
            None,
        ),
        (
            ".husky/pre-push",
            "if command -v git-hexmirror >/dev/null; then git-hexmirror hook pre-push \"$@\" || exit; fi\n",
            Some(".husky/_"),
        ),
    ] {
        let (team, one) = unhooked();
        fs::create_dir_all(one.join(file).parent().unwrap()).unwrap();
        fs::write(one.join(file), text).unwrap();
        let hooks = one.join(hooks_path.unwrap_or(".git/hooks"));
        script(&hooks.join("pre-push"), "#!/bin/sh\n# the runner's own\n");
        if let Some(path) = hooks_path {
            team.git(&one, &["config", "core.hooksPath", path]).ok();
        }
        team.run(&one, &["hooks", "status"]).ok().prints(&format!("pre-push       called by {file}\n"));
        let ran = team.run(&one, &["hooks", "install"]).ok().says("installed the hooks post-checkout, post-merge");
        assert!(fs::read_to_string(hooks.join("pre-push")).unwrap().contains("the runner's own"), "{ran:#?}");
        // A comment is not a call.
        fs::write(one.join(file), format!("# {}", text.replace('\n', "\n# "))).unwrap();
        team.run(&one, &["hooks", "status"]).ok().prints("pre-push       foreign\n");
    }
}

#[test]
fn new_clones_get_the_hooks_from_the_template() {
    let (team, one) = Team::hooked();
    team.run(&one, &["push"]).ok();
    let home = team.stage.sandbox.home().clone();
    team.run(&home, &["hooks", "install", "--template"]).ok().says("installed the hooks pre-push");
    team.run(&home, &["hooks", "install", "--template"]).ok().says("need no change");
    let two = team.clone("two");
    assert!(two.join(".git/info/exclude").exists());
    team.run(&two, &["hooks", "status"]).ok().prints("pre-push       installed from git's template\n");
    team.run(&two, &["doctor"]).ok().prints("post-rewrite call git hexmirror");
    team.commit_lock(&two, &["left 1.0.0"]);
    team.git(&two, &["push", "--quiet", "origin", "HEAD:other"]).exits(1).says("it lacks left 1.0.0");
    // A project with a lock that does not use this program.
    team.git(&home, &["init", "--quiet", "--bare", "plain.git"]).ok();
    team.git(&home, &["init", "--quiet", "plain"]).ok();
    let plain = home.join("plain");
    team.configure(&plain);
    team.commit_lock(&plain, &["left 1.0.0"]);
    team.git(&plain, &["push", "--quiet", "../plain.git", "HEAD:main"]).ok().silent();
    team.git(&plain, &["switch", "--quiet", "--create", "other"]).ok().silent();
    // `init` replaces them by hooks that also stop a push if the mirror branch is missing.
    team.run(&plain, &["hooks", "install"]).ok().says("installed the hooks pre-push");
    team.git(&plain, &["push", "--quiet", "../plain.git", "HEAD:next"]).exits(1).says("it lacks left 1.0.0");
    team.run(&home, &["hooks", "uninstall", "--template"]).ok().says("uninstalled the hooks");
    assert_eq!(team.git(&home, &["config", "init.templateDir"]).code, Some(1));
    assert!(!home.join(".config/git-hexmirror/template").exists());
}

#[test]
fn the_users_own_template_is_kept() {
    let (team, one) = unhooked();
    let template = team.stage.sandbox.path().join("template");
    script(&template.join("hooks/pre-push"), "#!/bin/sh\necho from the template >&2\n");
    team.git(&one, &["config", "--global", "init.templateDir", template.to_str().unwrap()]).ok();
    team.run(&one, &["hooks", "install", "--template"]).ok().says(template.to_str().unwrap());
    let two = team.clone("two");
    team.git(&two, &["push", "--quiet", "origin", "HEAD:other"]).ok().says("from the template");
    team.run(&one, &["hooks", "uninstall", "--template"]).ok();
    let text = fs::read_to_string(template.join("hooks/pre-push")).unwrap();
    assert_eq!(text, "#!/bin/sh\necho from the template >&2\n");
    assert_eq!(team.ask(&one, &["config", "init.templateDir"]), template.to_str().unwrap());
}
