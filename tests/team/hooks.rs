//! `hooks` and `init`: what is installed where.

use std::fs;

use crate::team::Team;

#[test]
fn init_installs_the_hooks_unless_declined() {
    let team = Team::new();
    let one = team.stage.project.clone();
    let hooks = one.join(".git/hooks");
    let names = || {
        let mut names: Vec<String> = fs::read_dir(&hooks)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with(".sample"))
            .collect();
        names.sort();
        names
    };
    let ran = team.run(&one, &["init", "--no-hooks"]).ok();
    assert!(!ran.stderr.contains("hooks"), "{ran:#?}");
    assert!(names().is_empty());
    let document = team.run(&one, &["hooks", "status", "--json"]).ok().json();
    assert_eq!(document["hooks"][0], serde_json::json!({ "hook": "pre-push", "state": "absent" }));
    let all = ["post-checkout", "post-merge", "post-rewrite", "pre-push"];
    team.run(&one, &["hooks", "install"]).ok().says("installed the hooks pre-push");
    assert_eq!(names(), all);
    team.run(&one, &["hooks", "status"]).ok().prints("pre-push       installed\n");
    team.run(&one, &["init"]).ok().says("need no change");
    // Written by another version.
    let path = hooks.join("pre-push");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("hook 2:", "hook 1:")).unwrap();
    team.run(&one, &["hooks", "status"]).ok().prints("pre-push       outdated");
    team.run(&one, &["hooks", "install"]).ok().says("installed the hooks pre-push in");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    team.run(&one, &["hooks", "uninstall"]).ok().says("uninstalled the hooks");
    assert!(names().is_empty());
    team.run(&one, &["hooks", "uninstall"]).ok().says("need no change");
}

#[test]
fn shared_by_all_worktrees_and_kept_apart_in_submodules() {
    let team = Team::new();
    let one = team.stage.project.clone();
    team.git(&one, &["worktree", "add", "--quiet", "../linked", "-b", "other"]).ok();
    let linked = team.stage.sandbox.path().join("linked");
    team.run(&linked, &["hooks", "install"]).ok();
    assert!(one.join(".git/hooks/pre-push").is_file());
    let remote = team.remote.to_str().unwrap();
    team.git(&one, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", remote, "sub"]).ok();
    team.run(one.join("sub"), &["hooks", "install"]).ok();
    assert!(one.join(".git/modules/sub/hooks/pre-push").is_file());
    team.git(one.join("sub"), &["switch", "--quiet", "--create", "x"]).ok();
}

#[test]
fn scripts_are_posix_and_print_nothing_in_unusual_places() {
    for name in ["pre-push", "post-checkout", "post-merge", "post-rewrite"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks").join(name);
        let status = std::process::Command::new("sh").arg("-n").arg(&path).status().unwrap();
        assert!(status.success(), "{name}");
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(&format!("hook @OPTIONS@--chained-to \"$0\" {name} ")) && !text.contains("[["), "{name}");
    }
}

#[test]
fn a_hook_that_git_does_not_have_is_refused() {
    let team = Team::new();
    for arguments in [
        &["hook", "pre-commit", "x"][..],
        &["--quiet", "hook", "pre-commit", "x"],
        &["hook"],
        &["hook", "--chained-to", "x"],
    ] {
        team.run(&team.stage.project, arguments).exits(2);
    }
    // Whatever git passes to a hook is left to git, regardless of its form.
    for arguments in
        [&["hook", "post-checkout", "--force", "-h", "0"][..], &["--quiet", "hook", "--chained-to", "x", "post-merge"]]
    {
        team.run(&team.stage.project, arguments).ok();
    }
}
