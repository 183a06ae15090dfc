//! The hooks together with other tools' hooks, which keep working and are restored on uninstallation.

use std::fs;
use std::path::{Path, PathBuf};

use crate::team::{Team, script};

/// Every file below a folder, with its content or, for a link, its target.
fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in walkdir(folder) {
        let text = match fs::read_link(&entry) {
            Ok(target) => format!("-> {}", target.display()),
            Err(_) => String::from_utf8_lossy(&fs::read(&entry).unwrap()).into_owned(),
        };
        files.push((entry, text));
    }
    files.sort();
    files
}

fn walkdir(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries.map(|entry| entry.unwrap()) {
        let is_folder = entry.file_type().unwrap().is_dir();
        files.extend(if is_folder { walkdir(&entry.path()) } else { vec![entry.path()] });
    }
    files
}

/// A clone with a fresh mirror and without the program's hooks.
fn bare_of_hooks() -> (Team, PathBuf) {
    let (team, one) = Team::hooked();
    team.run(&one, &["hooks", "uninstall"]).ok();
    (team, one)
}

/// A hook that writes its arguments and input to `heard` in the worktree, and exits with the code in `exit`.
const EAR: &str = "{ echo \"$0 $*\"; cat; } >>heard\nread -r code <exit && exit \"$code\"\n";

fn heard(one: &Path) -> String {
    let text = fs::read_to_string(one.join("heard")).unwrap_or_default();
    let _ = fs::remove_file(one.join("heard"));
    text
}

#[test]
fn a_plain_hook_gets_its_input_and_arguments_and_may_refuse() {
    let (team, one) = bare_of_hooks();
    let hooks = one.join(".git/hooks");
    script(&hooks.join("pre-push"), &format!("#!/bin/sh\n{EAR}"));
    script(&hooks.join("post-rewrite"), &format!("#!/usr/bin/env bash\n{EAR}"));
    script(&hooks.join("post-checkout"), "#!/bin/sh -e\necho \"$0 $3\" >>heard\nexit 3\n");
    // A hook that is not executable does not run before or after the installation.
    fs::write(hooks.join("post-merge"), "#!/bin/sh\necho never >>heard\n").unwrap();
    fs::write(one.join(".git/info/exclude"), "heard\nexit\n").unwrap();
    fs::write(one.join("exit"), "0\n").unwrap();
    let before = files(&one.join(".git/hooks"));

    let act = || {
        let mut told = Vec::new();
        team.commit(&one, "Something");
        let pushed = team.git(&one, &["push", "--quiet", "origin", "HEAD:refs/heads/x"]);
        told.push(format!("{:?} {}", pushed.code, heard(&one)));
        fs::write(one.join("exit"), "7\n").unwrap();
        fs::write(one.join("code.ex"), heard(&one)).unwrap();
        let refused = team.git(&one, &["push", "origin", "HEAD:refs/heads/y"]);
        told.push(format!("{:?} {}", refused.code, heard(&one)));
        fs::write(one.join("exit"), "0\n").unwrap();
        team.git(&one, &["commit", "--quiet", "--amend", "--allow-empty", "--message=More"]).ok();
        told.push(heard(&one));
        let switched = team.git(&one, &["switch", "--quiet", "--detach"]);
        told.push(format!("{:?} {}", switched.code, heard(&one)));
        team.git(&one, &["merge", "--quiet", "--ff-only", "main"]).ok();
        told.push(heard(&one));
        team.git(&one, &["switch", "--quiet", "main"]);
        heard(&one);
        team.git(&one, &["push", "--quiet", "--no-verify", "origin", ":x"]).ok();
        // Commit ids differ between runs.
        told.iter().map(|text| text.split(' ').filter(|word| word.len() < 40).collect::<Vec<_>>().join(" ")).collect()
    };
    fs::write(one.join("code.ex"), "one").unwrap();
    let alone: Vec<String> = act();
    team.run(&one, &["hooks", "install"]).ok();
    fs::write(one.join("code.ex"), "two").unwrap();
    let beside: Vec<String> = act();
    assert_eq!(alone, beside);
    assert!(alone[0].contains(".git/hooks/pre-push origin") && alone[0].contains("HEAD refs/heads/x"), "{alone:?}");
    assert!(alone[1].starts_with("Some(1)") && alone[3].starts_with("Some(1)"), "{alone:?}");

    team.run(&one, &["hooks", "status"]).ok().prints("pre-push       installed beside another");
    let installed = files(&one.join(".git"));
    team.run(&one, &["hooks", "install"]).ok().says("need no change");
    team.run(&one, &["init"]).ok();
    assert_eq!(
        files(&one.join(".git/hooks")),
        installed.iter().filter(|(path, _)| path.starts_with(&hooks)).cloned().collect::<Vec<_>>()
    );
    team.run(&one, &["hooks", "uninstall"]).ok().says("uninstalled");
    assert_eq!(files(&one.join(".git/hooks")), before);
    assert!(!one.join(".git/hooks.before-hexmirror").exists());
}

#[test]
fn a_hook_that_refuses_comes_before_the_mirror_is_pushed() {
    let (team, one) = bare_of_hooks();
    script(&one.join(".git/hooks/pre-push"), "#!/bin/sh\necho tests fail >&2\nexit 9\n");
    team.run(&one, &["hooks", "install"]).ok();
    team.commit_lock(&one, &["alpha 1.0.0"]);
    team.git(&one, &["push", "origin", "main"]).exits(1).says("tests fail");
    assert_eq!((team.received().len(), team.tip(&team.remote)), (0, None));
}

#[test]
fn beside_husky_which_finds_its_scripts_by_its_own_name() {
    let (team, one) = bare_of_hooks();
    // As husky 9 creates them: a stub per hook in a folder that git ignores, and the user's scripts in its parent
    // folder.
    let stub = "#!/usr/bin/env sh\n. \"$(dirname \"$0\")/h\"";
    let h = "#!/usr/bin/env sh\nn=$(basename \"$0\")\ns=$(dirname \"$(dirname \"$0\")\")/$n\n[ ! -f \"$s\" ] && exit 0\n\
             export PATH=\"node_modules/.bin:$PATH\"\nsh -e \"$s\" \"$@\"\nc=$?\n[ $c != 0 ] && echo \"husky - $n script failed\"\nexit $c\n";
    for hook in ["pre-push", "post-checkout", "post-merge", "post-rewrite", "pre-commit"] {
        script(&one.join(".husky/_").join(hook), stub);
    }
    fs::write(one.join(".husky/_/h"), h).unwrap();
    fs::write(one.join(".husky/_/.gitignore"), "*").unwrap();
    fs::write(one.join(".husky/pre-push"), "echo \"pushing to $1\" >&2\ngrep -q refs/heads/bad && exit 1\nexit 0\n")
        .unwrap();
    team.git(&one, &["config", "core.hooksPath", ".husky/_"]).ok();
    let before = files(&one.join(".husky"));
    let ran = team.run(&one, &["hooks", "install"]).ok().says(".husky/_").says("to keep them, add these lines:\n");
    ran.says(".husky/pre-push:\n  if command -v git-hexmirror >/dev/null; then git-hexmirror hook pre-push");
    let again = team.run(&one, &["hooks", "install"]).ok();
    assert!(!again.stderr.contains("to keep them"), "{again:?}");
    team.commit_lock(&one, &["alpha 1.0.0"]);
    team.git(&one, &["push", "origin", "main:bad"])
        .exits(1)
        .says("pushing to origin")
        .prints("husky - pre-push script failed");
    team.git(&one, &["push", "origin", "main"]).ok().says("pushing to origin").says("pushed hexmirror");
    team.commit_lock(&one, &["left 1.0.0"]);
    team.git(&one, &["push", "origin", "main"]).exits(1).says("pushing to origin").says("it lacks left 1.0.0");
    // husky rewrites its stubs whenever packages are installed.
    script(&one.join(".husky/_/pre-push"), stub);
    team.run(&one, &["hooks", "status", "--json"]).ok().prints("foreign");
    team.run(&one, &["hooks", "install"]).ok().says("installed the hooks pre-push");
    team.git(&one, &["push", "origin", "main"]).exits(1).says("it lacks left 1.0.0");
    team.run(&one, &["hooks", "uninstall"]).ok();
    assert_eq!(files(&one.join(".husky")), before);
    assert_eq!(team.ask(&one, &["config", "core.hooksPath"]), ".husky/_");
}

#[test]
fn beside_lefthook_and_other_hooks_that_are_not_shell_scripts() {
    let (team, one) = bare_of_hooks();
    let hooks = one.join(".git/hooks");
    // As lefthook creates them: a script that contains its hook's name.
    let lefthook = "#!/bin/sh\n\nif [ \"$LEFTHOOK\" = \"0\" ]; then\n  exit 0\nfi\n\ncall_lefthook()\n{\n  echo \"lefthook $*\" >&2\n  cat >lefthook.in\n}\n\n\
                    call_lefthook run \"pre-push\" \"$@\"\n";
    script(&hooks.join("pre-push"), lefthook);
    // As overcommit creates them: a script for another interpreter that checks its own name. Perl comes with git.
    script(
        &hooks.join("post-checkout"),
        "#!/usr/bin/perl\nuse File::Basename;\nprint STDERR basename($0), \" @ARGV[2]\\n\";\n",
    );
    // A link to a script of the project.
    script(&one.join("scripts/merged"), "#!/bin/sh\necho merged $1 >&2\n");
    std::os::unix::fs::symlink("../../scripts/merged", hooks.join("post-merge")).unwrap();
    // A link to another hook.
    script(&hooks.join("shared"), "#!/bin/sh\necho rewritten $1 >&2\n");
    std::os::unix::fs::symlink("shared", hooks.join("post-rewrite")).unwrap();
    let before = files(&hooks);
    team.run(&one, &["hooks", "install"]).ok();
    team.commit_lock(&one, &["alpha 1.0.0"]);
    team.git(&one, &["push", "origin", "main"]).ok().says("lefthook run pre-push origin").says("pushed hexmirror");
    assert!(fs::read_to_string(one.join("lefthook.in")).unwrap().starts_with("refs/heads/main "));
    team.git(&one, &["switch", "--quiet", "--create", "other"]).ok().says("post-checkout 1");
    team.git(&one, &["commit", "--quiet", "--allow-empty", "--message=x"]).ok();
    team.git(&one, &["commit", "--quiet", "--allow-empty", "--amend", "--message=y"]).ok().says("rewritten amend");
    team.git(&one, &["switch", "--quiet", "main"]).ok();
    team.git(&one, &["merge", "--quiet", "other"]).ok().says("merged 0");
    team.run(&one, &["hooks", "uninstall"]).ok();
    assert_eq!(files(&hooks), before);
}

#[test]
fn without_the_program_other_hooks_still_run() {
    let (team, one) = bare_of_hooks();
    let hooks = one.join(".git/hooks");
    script(
        &hooks.join("pre-push"),
        "#!/usr/bin/env bash\n[[ -n $1 ]] && echo \"$(basename \"$0\") to $1: $(cat)\" >&2; exit \"${CODE:-0}\"\n",
    );
    script(&hooks.join("post-checkout"), "#!/usr/bin/perl\nprint STDERR \"perl @ARGV[2]\\n\"; exit 3;\n");
    // The program is installed somewhere and later removed.
    let installed = team.stage.sandbox.path().join("it's here/git-hexmirror");
    fs::create_dir(installed.parent().unwrap()).unwrap();
    crate::support::stage::install_program(&installed);
    let mut command = team.stage.sandbox.command(&installed, &one);
    crate::support::stage::Ran::of(command.args(["hooks", "install"])).ok();
    team.git(&one, &["switch", "--quiet", "--detach"]).exits(1).says("perl 1");
    team.git(&one, &["switch", "--quiet", "main"]).exits(1);
    team.commit_lock(&one, &["left 1.0.0"]);
    team.git(&one, &["push", "origin", "main"]).exits(1).says("it lacks left 1.0.0");
    fs::remove_file(&installed).unwrap();
    let gone = "git-hexmirror is not installed";
    team.git(&one, &["switch", "--quiet", "--create", "other"]).exits(1).says(gone).says("perl 1");
    team.git(&one, &["merge", "--quiet", "main"]).ok();
    let push = |code: &str| {
        let mut command = team.stage.sandbox.command("git", &one);
        crate::support::stage::Ran::of(command.env("CODE", code).args(["push", "origin", "other"]))
    };
    push("4").exits(1).says(gone).says("pre-push to origin: refs/heads/other ");
    push("0").ok().says(gone);
    assert_eq!(team.tip_of(&team.remote, "other"), team.tip_of(&one, "main"));
}

#[test]
fn hooks_shared_by_all_repositories_are_not_modified() {
    let (team, one) = bare_of_hooks();
    let shared = team.stage.sandbox.path().join("shared hooks");
    script(&shared.join("pre-push"), "#!/bin/sh\n");
    let before = files(&shared);
    team.git(&one, &["config", "core.hooksPath", shared.to_str().unwrap()]).ok();
    team.run(&one, &["hooks", "install"]).exits(2).says("shared hooks, which is outside this repository");
    // The mirror is pushed nevertheless.
    team.run(&one, &["init"]).ok().says("which is outside this repository");
    team.run(&one, &["hooks", "uninstall"]).ok();
    assert_eq!(files(&shared), before);
    team.run(&one, &["doctor"]).exits(1).prints("add the lines that `git hexmirror hooks status` prints");
    // Such a hook runs in all repositories, so the line does nothing in those without a mirror.
    let ran = team.run(&one, &["hooks", "status"]).ok().prints("pre-push       foreign");
    let lines: Vec<&str> = ran.stderr.lines().map(str::trim).filter(|line| line.starts_with("if ")).collect();
    assert_eq!(lines.len(), 4, "{ran:#?}");
    for (line, name) in lines.into_iter().zip(["pre-push", "post-checkout", "post-merge", "post-rewrite"]) {
        assert!(line.contains(&format!("git-hexmirror hook --if-mirrored {name} ")), "{line}");
        script(&shared.join(name), &format!("#!/bin/sh\n{line}\n"));
    }
    let called = format!("pre-push       called by {}\n", shared.join("pre-push").display());
    team.run(&one, &["hooks", "status"]).ok().prints(&called);
    team.run(&one, &["hooks", "install"]).ok().says("need no change");
    team.run(&one, &["doctor"])
        .exits(1)
        .prints("hooks        ok     pre-push, post-checkout, post-merge, post-rewrite call git hexmirror");
}
