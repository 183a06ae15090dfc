//! Completion scripts, which run in real shells.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::support::stage::{Ran, Stage};

/// Where distributions install git's own completion.
const OF_GIT: &str = "/usr/share/bash-completion/completions/git";

/// Imitates how git's completion calls the completion of other commands, for machines without the real one.
const AS_GIT: &str = r#"
complete_git() {
    local words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    _git_hexmirror
}
"#;

/// Loads git's real completion with the few functions of bash-completion that it needs.
const REAL_GIT: &str = r#"
_get_comp_words_by_ref() {
    words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
}
complete_git() { __git_wrap__git_main; }
"#;

/// Returns the `PATH` with the program.
fn path() -> OsString {
    let program = Path::new(crate::support::stage::PROGRAM).parent().unwrap();
    let mut path = program.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    path
}

/// Returns bash's suggestions for a line, whose words are separated by spaces. The last word may be empty.
fn offered(stage: &Stage, prelude: &str, function: &str, line: &str) -> Vec<String> {
    let words: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
    let last = words.len() - 1;
    let script = format!(
        "source <(git-hexmirror completions bash)\n{prelude}\n\
         COMP_WORDS=({})\nCOMP_CWORD={last}\nCOMP_LINE='{line}'\nCOMP_POINT=${{#COMP_LINE}}\n\
         {function} {} {} {}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words[0],
        words[last],
        words[last.saturating_sub(1)],
    );
    let mut command = stage.sandbox.command("bash", &stage.project);
    let ran = Ran::of(command.args(["--norc", "-c", &script]).env("PATH", path())).exits(0);
    ran.stdout.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[track_caller]
fn offers(offered: &[String], expected: &[&str], not: &[&str]) {
    for word in expected {
        assert!(offered.iter().any(|offered| offered == word), "{word} is not offered: {offered:?}");
    }
    for word in not {
        assert!(offered.iter().all(|offered| offered != word), "{word} is offered: {offered:?}");
    }
}

#[test]
fn bash_completes_the_program_and_the_git_command() {
    let stage = Stage::new();
    let mut ways =
        vec![("git-hexmirror", String::new(), "_hexmirror"), ("git hexmirror", AS_GIT.into(), "complete_git")];
    if Path::new(OF_GIT).is_file() {
        let prelude = format!("source {OF_GIT}\n{REAL_GIT}");
        ways.push(("git hexmirror", prelude.clone(), "complete_git"));
        ways.push(("git -C . --no-pager hexmirror", prelude, "complete_git"));
    } else {
        eprintln!("skipped in part: there is no {OF_GIT}");
    }
    for (called, prelude, function) in ways {
        let ask = |rest: &str| offered(&stage, &prelude, function, &format!("{called} {rest}"));
        offers(&ask(""), &["init", "update", "status", "hooks", "hook", "--branch"], &["help-all"]);
        offers(&ask("st"), &["status"], &["init"]);
        offers(&ask("serve --t"), &["--tls"], &["--listen"]);
        offers(&ask("--branch x update --"), &["--dry-run", "--refresh"], &["--tls"]);
        offers(&ask("env --format "), &["docker", "github", "gitconfig"], &["init"]);
        offers(&ask("hooks "), &["install", "uninstall", "status"], &["update"]);
        offers(&ask("hooks status --j"), &["--json"], &[]);
    }
}

#[test]
fn every_shell_has_a_script_with_all_visible_commands() {
    let stage = Stage::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = stage.run_in("home", &["completions", shell]).ok().silent();
        assert!(ran.stdout.contains("git-hexmirror") && ran.stdout.contains("dry-run"), "{shell}");
        assert!(!ran.stdout.contains("Run one of git's hooks"), "{shell}");
    }
    stage.run(&["completions", "cmd.exe"]).exits(2);
    // git's own completion finds them by these names.
    stage
        .run(&["completions", "bash"])
        .ok()
        .prints("\n_git_hexmirror() {\n")
        .prints("-F _hexmirror -o bashdefault -o default git-hexmirror\n");
    stage
        .run(&["completions", "zsh"])
        .ok()
        .prints("#compdef git-hexmirror\n#description ")
        .prints("\n_git-hexmirror() {\n");
    let fish = stage.run(&["completions", "fish"]).ok().prints("\ncomplete -c git -n ");
    let mut command = stage.sandbox.command("fish", &stage.project);
    fs::write(stage.project.join("script.fish"), fish.stdout).unwrap();
    match command.args(["--no-execute", "script.fish"]).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(_) => eprintln!("skipped in part: there is no fish"),
    }
}

#[test]
fn names_of_packages_and_remotes_are_offered() {
    let stage = Stage::mirrored();
    stage.git(&["remote", "add", "upstream", "https://example.com/x"]);
    // A shell would run this when it expands the offered words.
    stage.git(&["config", "remote.$(touch${IFS}ran).url", "https://example.com/y"]);
    for (called, prelude, function) in [("git-hexmirror", "", "_hexmirror"), ("git hexmirror", AS_GIT, "complete_git")]
    {
        let ask = |rest: &str| offered(&stage, prelude, function, &format!("{called} {rest}"));
        offers(&ask("list "), &["alpha", "beta", "delta", "--json"], &["upstream"]);
        offers(&ask("list --json al"), &["alpha"], &["beta"]);
        offers(&ask("log be"), &["beta"], &["alpha"]);
        offers(&ask("update --accept-older "), &["alpha"], &["--json"]);
        offers(&ask("push "), &["upstream"], &["alpha"]);
        offers(&ask("pull up"), &["upstream"], &[]);
        offers(&ask("status "), &["--json"], &["alpha", "upstream"]);
        offers(&ask("list --branch "), &[], &["alpha"]);
    }
    assert!(!stage.project.join("ran").exists());
    // Nothing disturbs the line if there are no names.
    for names in ["packages", "remotes"] {
        let ran = stage.run_in("home", &["__complete", names]).ok().silent();
        assert_eq!(ran.stdout, "");
    }
    stage
        .run(&["completions", "zsh"])
        .ok()
        .prints(": _git_hexmirror_names packages'")
        .prints(": _git_hexmirror_names remotes'");
    stage.run(&["completions", "fish"]).ok().prints("__complete packages");
}

/// In fish, `config.fish` sources the script, because fish 3.6 does not load it to complete `git hexmirror`.
#[test]
fn fish_completes_the_program_and_the_git_command() {
    let stage = Stage::mirrored();
    stage.git(&["remote", "add", "upstream", "https://example.com/x"]);
    let ask = |line: &str| {
        let script = format!("git hexmirror completions fish | source\ncomplete -C '{line}'");
        let mut command = stage.sandbox.command("fish", &stage.project);
        command.args(["--no-config", "-c", &script]).env("PATH", path());
        let Ok(output) = command.output() else { return None };
        let ran = Ran::from(output).ok();
        // A description follows each word.
        Some(ran.stdout.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>())
    };
    for called in ["git-hexmirror", "git hexmirror"] {
        for (rest, expected) in [
            ("up", &["update"][..]),
            ("list al", &["alpha"]),
            ("log be", &["beta"]),
            ("push up", &["upstream"]),
            ("status --js", &["--json"]),
        ] {
            match ask(&format!("{called} {rest}")) {
                Some(offered) => assert_eq!(offered, expected, "{called} {rest}"),
                None => return eprintln!("skipped: there is no fish"),
            }
        }
    }
}

/// Types lines into an interactive zsh, each followed by a tab, and prints what became of them. The first argument is the folder
/// with the script.
const TYPE_INTO_ZSH: &str = r#"
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "fpath=($1 \$fpath); autoload -Uz compinit; compinit -D -u; PS1="
zpty -w shell "report() { zle -I; print -r -- \"<<\$BUFFER>>\"; BUFFER=; }; zle -N report; bindkey '^X' report; bindkey '^I' complete-word; print ready-\${:-now}"
zpty -r shell seen '*ready-now*'
shift
for line; do
    zpty -w -n shell "$line"$'\t\x18'
    zpty -r shell seen '*<<*>>*'
    print -r -- "${${seen##*<<}%%>>*}"
done
zpty -d shell
"#;

#[test]
fn zsh_completes_the_program_and_the_git_command() {
    let stage = Stage::mirrored();
    stage.git(&["remote", "add", "upstream", "https://example.com/x"]);
    let folder = stage.sandbox.path().join("functions");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("_git-hexmirror"), stage.run(&["completions", "zsh"]).ok().stdout).unwrap();
    let cases = [
        ("upd", "update "),
        ("list al", "list alpha "),
        ("log be", "log beta "),
        ("update --accept-older al", "update --accept-older alpha "),
        ("push up", "push upstream "),
        ("status --js", "status --json "),
    ];
    for called in ["git-hexmirror", "git hexmirror"] {
        let typed = cases.map(|(typed, _)| format!("{called} {typed}"));
        let mut command = stage.sandbox.command("zsh", &stage.project);
        command.args(["-f", "-c", TYPE_INTO_ZSH, "zsh"]).arg(&folder).args(typed).env("PATH", path());
        let Ok(output) = command.output() else { return eprintln!("skipped: there is no zsh") };
        let expected = cases.map(|(_, completed)| format!("{called} {completed}\n"));
        assert_eq!(Ran::from(output).ok().stdout.replace('\r', ""), expected.concat());
    }
}
