//! The manual page and where it is installed, and the other ways to get help.

use std::fs;
use std::process::Command;

use crate::support::stage::{PROGRAM, Ran, Stage};

#[test]
fn one_page_has_all_commands_with_their_options() {
    let stage = Stage::new();
    let page = stage.run_in("home", &["man"]).ok().silent();
    for line in [
        ".TH GIT-HEXMIRROR",
        "\ngit hexmirror [OPTIONS] <COMMAND>\n",
        "\\fB\\-\\-branch\\fR \\fI<NAME>\\fR",
        "\n.SS \"git hexmirror update [OPTIONS]\"\n",
        "\\fB\\-\\-keep\\-going\\fR",
        "\n.SS \"git hexmirror hooks install [OPTIONS]\"\n",
        "\n.SH \"EXIT STATUS\"\n",
        "\n.SH ENVIRONMENT\n",
        "\n.SH FILES\n",
        "\n.SH EXAMPLES\n",
        "\n.SH \"SEE ALSO\"\n",
    ] {
        assert!(page.stdout.contains(line), "{line:?}: {}", page.stdout);
    }
    // All references exist, and options common to all commands are described once.
    for text in ["git-hexmirror-", "git\\-hexmirror\\-init"] {
        assert!(!page.stdout.contains(text), "{text:?}");
    }
    assert_eq!(page.stdout.matches("\\-\\-branch\\fR").count(), 1);
    let mut command = stage.sandbox.command("man", stage.sandbox.path());
    fs::write(stage.sandbox.path().join("page.1"), page.stdout).unwrap();
    match command.args(["--warnings", "--local-file", "page.1"]).output() {
        Ok(output) if output.status.success() => assert!(output.stderr.is_empty(), "{output:?}"),
        _ => eprintln!("skipped in part: there is no man"),
    }
}

#[test]
fn the_page_is_installed_where_man_finds_it() {
    let stage = Stage::new();
    let page = |folder: &std::path::Path| fs::read_to_string(folder.join("man1/git-hexmirror.1")).unwrap();
    // If the program is not in a folder named bin, the page goes to the user's own folder.
    stage.run_in("home", &["man", "--install"]).ok().says("wrote ");
    assert!(page(&stage.sandbox.home().join(".local/share/man")).contains("HEXMIRROR_TIMEOUT"));
    let prefix = stage.sandbox.path().join("prefix");
    fs::create_dir_all(prefix.join("bin")).unwrap();
    // Another process copies the program: a file that this process has open for writing cannot be executed, even if
    // only a forked child still has it open.
    assert!(Command::new("cp").arg(PROGRAM).arg(prefix.join("bin")).status().unwrap().success());
    let install = || {
        let mut command = stage.sandbox.command(prefix.join("bin/git-hexmirror"), &stage.project);
        Ran::of(command.args(["man", "--install"])).ok()
    };
    let ran = install();
    assert_eq!(page(&prefix.join("share/man")), stage.run(&["man"]).ok().stdout);
    if stage.sandbox.command("manpath", &stage.project).output().is_ok() {
        assert!(ran.stderr.contains("warning: man does not search"), "{ran:?}");
        let path = format!("{}:{}", prefix.join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = stage.sandbox.command(prefix.join("bin/git-hexmirror"), &stage.project);
        let ran = Ran::of(command.args(["man", "--install"]).env("PATH", path)).ok();
        assert!(!ran.stderr.contains("warning"), "{ran:?}");
    } else {
        eprintln!("skipped in part: there is no manpath");
    }
    // If the folder beside the program is not writable, the page goes to the user's own folder.
    fs::remove_dir_all(prefix.join("share")).unwrap();
    fs::write(prefix.join("share"), "in the way").unwrap();
    install().says(".local/share/man/man1/git-hexmirror.1");
    stage.run_in("", &["man", "--install", "there"]).ok();
    page(&stage.sandbox.path().join("there"));
    stage.run(&["man", "--install", "/proc/x"]).exits(2).says("cannot write /proc/x/man1/git-hexmirror.1: ");
}

#[test]
fn help_is_a_command_too() {
    let stage = Stage::new();
    assert_eq!(stage.run(&["help"]).ok().stdout, stage.run(&["--help"]).ok().stdout);
    assert_eq!(stage.run(&["help", "serve"]).ok().stdout, stage.run(&["serve", "--help"]).ok().stdout);
    stage.run(&["help", "hooks", "install"]).ok().prints("git hexmirror hooks install");
    // git intercepts --help.
    for arguments in [["--nonsense"].as_slice(), &["nonsense"], &["status", "--nonsense"], &["help", "nonsense"]] {
        let ran = stage.run(arguments).exits(2).says("try '-h'");
        assert!(!ran.stderr.contains("--help"), "{ran:?}");
    }
    stage.run(&[]).exits(2).says("-h, --help");
}
