//! `diff --source`: the source code of dependencies before and after a change.

use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::changes::commit;
use crate::support::registry::{Registry, wrap};
use crate::support::stage::{PINNED, Ran, Stage};

/// A project whose mirror covers both versions of its lock.
fn updated() -> Stage {
    let stage = Stage::new();
    commit(&stage, &PINNED, "");
    stage.run(&["update"]).ok();
    commit(&stage, &["alpha 1.1.0", "gamma 1.0.0", PINNED[2]], "");
    stage.run(&["update"]).ok();
    stage
}

/// The differences between alpha 1.0.0 and 1.1.0 of the sample.
const ALPHA: &str = "\
diff --git a/alpha-1.0.0/lib/alpha.ex b/alpha-1.1.0/lib/alpha.ex
index 43dd47ea691c90a5fa7827892c70241913351963..9e5bf1b028ac015c27f7a2fc8f8c2c8f91dd6a0b 100644
--- a/alpha-1.0.0/lib/alpha.ex
+++ b/alpha-1.1.0/lib/alpha.ex
@@ -1 +1 @@
-one
\\ No newline at end of file
+one and a bit
\\ No newline at end of file
";

#[test]
fn shows_the_source_between_two_commits() {
    let stage = updated();
    let asked = stage.upstream.count("*");
    let ran = stage.run(&["diff", "--source", "HEAD~..HEAD"]).ok();
    assert_eq!(ran.stdout, ALPHA);
    ran.says("added (name the package to see its source): gamma 1.0.0")
        .says("removed (name the package to see its source): beta 0.3.0");
    assert_eq!(stage.run(&["diff", "--source", "alpha", "HEAD~..", "--quiet"]).ok().silent().stdout, ALPHA);
    stage.run(&["diff", "--source", "--exit-code", "HEAD~.."]).exits(1);
    let ran = stage.run(&["diff", "--source", "..HEAD~", "--", "alpha"]).ok();
    assert!(ran.stdout.contains("-one and a bit\n") && ran.stdout.contains("b/alpha-1.0.0/lib/alpha.ex"), "{ran:?}");
    // Added and removed packages are shown if named.
    let ran = stage.run(&["diff", "--source", "gamma", "beta", "HEAD~.."]).ok();
    assert!(ran.stdout.contains("--- /dev/null\n+++ b/gamma-1.0.0/lib/gamma.ex\n"), "{ran:?}");
    assert!(ran.stdout.contains("--- a/beta-0.3.0/lib/beta.ex\n+++ /dev/null\n"), "{ran:?}");
    assert!(!ran.stdout.contains("alpha"), "{ran:?}");
    stage.run(&["diff", "--source", "delta", "HEAD~.."]).ok().says("delta did not change between HEAD~ and HEAD");
    assert_eq!(stage.upstream.count("*"), asked);
}

#[test]
fn without_a_revision_the_worktree_is_compared_with_head() {
    let stage = updated();
    let ran = stage
        .run(&["diff", "--source", "--exit-code"])
        .ok()
        .says("no dependency changed between HEAD and the worktree");
    assert_eq!(ran.says("git hexmirror diff --source REV..REV").stdout, "");
    stage.lock(&["alpha 1.0.0", "gamma 1.0.0", PINNED[2]]);
    stage
        .run(&["diff", "--source", "--exit-code"])
        .exits(1)
        .prints("--- a/alpha-1.1.0/lib/alpha.ex\n+++ b/alpha-1.0.0/lib/alpha.ex");
    stage.run(&["diff", "--source", "HEAD~"]).ok().says("removed (name the package to see its source): beta 0.3.0");
}

#[test]
fn a_patch_can_be_applied_and_a_stat_is_one_summary() {
    let mut stage = updated();
    stage.registry.publish("gamma 1.0.1", &[], &[("lib/gamma.ex".into(), "a\nb\n".into()), ("new".into(), "x".into())]);
    stage.registry.put(&stage.upstream);
    commit(&stage, &["alpha 2.0.0-rc.1", "gamma 1.0.1", PINNED[2]], "");
    stage.run(&["update"]).ok();
    let ran = stage.run(&["diff", "--source", "HEAD~..", "--stat"]).ok();
    let expected = " alpha-1.1.0..2.0.0-rc.1/lib/alpha.ex | 2 +-\n gamma-1.0.0..1.0.1/lib/gamma.ex      | 3 ++-\n gamma-1.0.0..1.0.1/new               | 1 +\n 3 files changed, 4 insertions(+), 2 deletions(-)\n";
    assert_eq!(ran.stdout, expected);
    let ran = stage.run(&["diff", "--source", "HEAD~.."]).ok();
    assert!(ran.stdout.find("b/alpha-2.0.0-rc.1/lib/alpha.ex") < ran.stdout.find("b/gamma-1.0.1/new"), "{ran:?}");
    let patch = stage.sandbox.path().join("alpha.patch");
    std::fs::write(&patch, stage.run(&["diff", "--source", "alpha", "HEAD~.."]).ok().stdout).unwrap();
    let vendored = stage.sandbox.path().join("vendored");
    std::fs::create_dir_all(vendored.join("lib")).unwrap();
    std::fs::write(vendored.join("lib/alpha.ex"), "one and a bit").unwrap();
    stage.sandbox.git("vendored", &["apply", "-p2", patch.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(vendored.join("lib/alpha.ex")).unwrap(), "two, nearly");
}

#[test]
fn a_patch_has_binary_files_in_it() {
    let mut stage = Stage::without_lock(Registry::sample());
    for (release, bytes) in [("image 1.0.0", "\0one\0"), ("image 1.1.0", "\0two\0")] {
        stage.registry.publish(release, &[], &[("priv/image.png".into(), bytes.into())]);
    }
    stage.registry.put(&stage.upstream);
    commit(&stage, &["image 1.0.0"], "");
    stage.run(&["update"]).ok();
    commit(&stage, &["image 1.1.0"], "");
    stage.run(&["update"]).ok();
    let patch = stage.sandbox.path().join("image.patch");
    std::fs::write(&patch, stage.run(&["diff", "--source", "HEAD~.."]).ok().stdout).unwrap();
    let vendored = stage.sandbox.path().join("vendored");
    std::fs::create_dir_all(vendored.join("priv")).unwrap();
    std::fs::write(vendored.join("priv/image.png"), "\0one\0").unwrap();
    stage.sandbox.git("vendored", &["apply", "-p2", patch.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(vendored.join("priv/image.png")).unwrap(), "\0two\0");
}

/// Returns a tarball that no recipe can rebuild: with GNU long names, a link, and names that git refuses in a tree.
fn odd(text: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let long = format!("lib/{}.ex", "long_".repeat(30));
    for (path, mode) in [("lib/odd.ex", 0o644), (&long, 0o644), ("./bin/run", 0o755), (".git/config", 0o644)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(mode);
        header.set_cksum();
        archive.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    archive.append_link(&mut header, "link", format!("lib/{text}")).unwrap();
    wrap(&archive.into_inner().unwrap().finish().unwrap())
}

#[test]
fn releases_stored_as_tarballs_are_compared() {
    let mut registry = Registry::sample();
    registry.publish_tarball("odd 1.0.0", odd("one"));
    registry.publish_tarball("odd 2.0.0", odd("two"));
    let stage = Stage::with(registry, &["odd 1.0.0"]);
    commit(&stage, &["odd 1.0.0"], "");
    stage.run(&["update"]).ok();
    commit(&stage, &["odd 2.0.0"], "");
    let document = stage.run(&["update", "--json"]).ok().json();
    assert_eq!(document["replaced"][0]["storage"], "tarball");
    let before = stage.git(&["count-objects", "-v"]);
    let ran = stage.run(&["diff", "--source", "HEAD~.."]).ok().silent();
    let long = format!("+++ b/odd-2.0.0/lib/{}.ex\n", "long_".repeat(30));
    for text in [
        "+++ b/odd-2.0.0/lib/odd.ex\n",
        &long,
        "+++ b/odd-2.0.0/bin/run\n",
        "+++ b/odd-2.0.0/.git/config\n",
        "-lib/one\n",
        "+lib/two\n",
    ] {
        assert!(ran.stdout.contains(text), "{text} is not in {}", ran.stdout);
    }
    assert!(
        ran.stdout.contains(" 100755\n--- a/odd-1.0.0/bin/run") && ran.stdout.contains(" 120000\n--- a/odd-1.0.0/link")
    );
    stage.run(&["diff", "--source", "HEAD~..", "--stat"]).ok().prints("odd-1.0.0..2.0.0/lib/odd.ex");
    assert_eq!(stage.git(&["count-objects", "-v"]), before, "something stays in the repository");
}

/// Creates a mirror whose tip only contains what the second lock pins. Returns its commit and that of the mirror of the
/// first lock.
fn forgetful(stage: &Stage) -> (String, String) {
    let first = stage.tip().unwrap();
    let first = stage.git(&["rev-parse", &format!("{first}~")]);
    stage.git(&["update-ref", "-d", "refs/heads/hexmirror"]);
    stage.run(&["update"]).ok();
    (stage.tip().unwrap(), first)
}

#[test]
fn a_version_in_the_history_is_compared() {
    let stage = updated();
    let (only, first) = forgetful(&stage);
    assert!(!stage.git(&crate::support::tree::MANIFEST).contains("alpha 1.0.0"));
    let ran = stage.run(&["diff", "--source", "HEAD~.."]).exits(1);
    let ran = ran.says("neither the mirror nor its history has alpha 1.0.0").says("git hexmirror update");
    assert_eq!(ran.stdout, "");
    let tree = format!("{only}^{{tree}}");
    let merge = stage.git(&["commit-tree", &tree, "-p", &only, "-p", &first, "-m", "Merge"]);
    stage.git(&["update-ref", "refs/heads/hexmirror", &merge]);
    assert_eq!(stage.run(&["diff", "--source", "HEAD~.."]).ok().stdout, ALPHA);
    // Compacting the history makes reviews of older updates impossible.
    let compact = stage.tip().unwrap();
    stage.run(&["compact"]).ok();
    assert_ne!(stage.tip().unwrap(), compact);
    let ran = stage.run(&["diff", "--source", "HEAD~.."]).exits(1);
    ran.says("neither the mirror nor its history").says("`git hexmirror compact` may have removed it");
    // A remote's mirror as last fetched counts as well.
    stage.git(&["update-ref", "refs/heads/hexmirror", &only]);
    stage.git(&["remote", "add", "origin", "https://example.com/x.git"]);
    stage.git(&["update-ref", "refs/remotes/origin/hexmirror", &first]);
    assert_eq!(stage.run(&["diff", "--source", "HEAD~.."]).ok().stdout, ALPHA);
}

#[test]
fn missing_sources_are_reported_beside_the_available_ones() {
    let stage = updated();
    stage.lock(&["alpha 2.0.0-rc.1", "beta 0.3.0", PINNED[2]]);
    let ran = stage.run(&["diff", "--source", "HEAD", "--", "alpha", "beta"]).exits(1);
    ran.prints("+++ b/beta-0.3.0/lib/beta.ex").says("neither the mirror nor its history has alpha 2.0.0-rc.1");
    let stage = Stage::new();
    commit(&stage, &PINNED, "");
    stage.lock(&["alpha 1.1.0", "beta 0.3.0", PINNED[2]]);
    stage.run(&["diff", "--source"]).exits(5).says("has no mirror branch");
}

#[test]
fn only_what_the_lock_pins_is_shown() {
    let stage = updated();
    // An attacker changes the code in the branch but not the manifest.
    let index = stage.sandbox.path().join("index");
    let git = |arguments: &[&str]| {
        let mut command = stage.sandbox.command("git", &stage.project);
        command.env("GIT_INDEX_FILE", &index).args(arguments).output().map(Ran::from).unwrap().ok().stdout
    };
    git(&["read-tree", "hexmirror"]);
    stage.write("evil", "one and an evil bit");
    let blob = stage.git(&["hash-object", "-w", "evil"]);
    let entry = format!("100644,{blob},hex/hexpm/packages/8e/alpha/contents/lib/alpha.ex");
    git(&["update-index", "--add", "--cacheinfo", &entry]);
    let tree = git(&["write-tree"]).trim().to_owned();
    let forged = stage.git(&["commit-tree", &tree, "-p", "hexmirror", "-m", "Forge"]);
    stage.git(&["update-ref", "refs/heads/hexmirror", &forged]);
    let ran = stage.run(&["diff", "--source", "HEAD~.."]).exits(5).says("the mirror is damaged");
    assert_eq!(ran.stdout, "");
}

#[test]
fn a_change_of_the_lock_alone_is_reported() {
    let stage = updated();
    let outer = stage.registry.get("alpha 1.1.0").outer.to_string();
    let lock = std::fs::read_to_string(stage.project.join("mix.lock")).unwrap();
    stage.write("mix.lock", &lock.replace(&format!(", \"{outer}\"}}"), "}"));
    let ran = stage.run(&["diff", "--source", "--exit-code"]).exits(1);
    let ran = ran.says(&format!("same source: checksum alpha 1.1.0 ({} → none)\n", &outer[..10]));
    assert_eq!(ran.stdout, "");
}

#[test]
fn unknown_and_ambiguous_names_are_refused() {
    let stage = updated();
    // The name of a package may include its repository, as for organisations.
    assert_eq!(stage.run(&["diff", "--source", "hexpm/alpha", "HEAD~.."]).ok().stdout, ALPHA);
    stage.run(&["diff", "--source", "acme/alpha", "HEAD~.."]).exits(2).says("\"acme/alpha\" is neither a package");
    let of_acme = stage.registry.mix_lock(&["alpha 1.1.0"]).replace("\"hexpm\"", "\"hexpm:acme\"");
    stage.write("mix.lock", &of_acme);
    for name in ["hexpm:acme/alpha", "acme/alpha", "hexpm/alpha"] {
        stage
            .run(&["diff", "--source", name])
            .exits(1)
            .says("neither the mirror nor its history has alpha 1.1.0 (hexpm:acme)");
    }
    stage.git(&["checkout", "mix.lock"]);
    stage
        .run(&["diff", "--source", "alhpa", "HEAD~.."])
        .exits(2)
        .says("\"alhpa\" is neither a package")
        .says("did you mean alpha?");
    let ran = stage.run(&["diff", "--source", "zzzzzz"]).exits(2).says("git hexmirror lock");
    assert!(!ran.stderr.contains("did you mean"));
    stage.run(&["diff", "--source", "nonsense.."]).exits(2).says("\"nonsense\" is not a commit");
    stage.run(&["diff", "alpha"]).exits(2).says("\"alpha\" is not a commit");
    stage.git(&["branch", "alpha", "HEAD~"]);
    stage.run(&["diff", "--source", "alpha"]).exits(2).says("both a revision and a package").says("-- alpha");
    assert_eq!(stage.run(&["diff", "--source", "alpha.."]).ok().stdout, ALPHA);
    assert_eq!(stage.run(&["diff", "--source", "alpha..", "--", "alpha"]).ok().stdout, ALPHA);
    stage.run(&["diff", "--stat"]).exits(2).says("--source");
    stage.run(&["diff", "--source", "--json"]).exits(2).says("cannot be used with");
}

#[test]
fn colours_are_gits_own_and_only_on_request() {
    let stage = updated();
    let arguments = ["diff", "--source", "HEAD~.."];
    let coloured = |ran: Ran| ran.ok().stdout.contains('\x1b');
    assert!(!coloured(stage.run(&arguments)));
    assert!(coloured(stage.run(&[&arguments[..], &["--color=always"]].concat())));
    stage.git(&["config", "color.ui", "always"]);
    assert!(coloured(stage.run(&arguments)));
    assert!(!coloured(stage.run_with(&arguments, &[("NO_COLOR", "1")])));
    assert!(!coloured(stage.run(&[&arguments[..], &["--color=never"]].concat())));
}

#[test]
fn no_program_runs_on_a_packages_contents() {
    let mut stage = Stage::new();
    for (version, text) in [("hostile 1.0.0", "one\n"), ("hostile 1.1.0", "two\n")] {
        let files = [(".gitattributes", "* diff=evil -text\n*.ex -diff\n"), ("lib/a.ex", text)];
        stage.registry.publish(version, &[], &files.map(|(path, text)| (path.to_owned(), text.to_owned())));
    }
    stage.registry.put(&stage.upstream);
    let ran = stage.sandbox.path().join("ran");
    let program = format!("touch {}; cat", ran.display());
    for (key, value) in
        [("diff.evil.textconv", &*program), ("diff.evil.command", &program), ("diff.external", &program)]
    {
        stage.git(&["config", key, value]);
    }
    // The attributes of the user select the external program.
    let attributes = stage.sandbox.path().join("attributes");
    std::fs::write(&attributes, "*.ex diff=evil\nlib/* binary\n").unwrap();
    stage.git(&["config", "core.attributesFile", attributes.to_str().unwrap()]);
    // The attributes of the project do too, and would hide the changes.
    stage.write(".gitattributes", "*.ex diff=evil\nlib/* -diff\n");
    stage.write(".git/info/attributes", "*.ex binary\n");
    commit(&stage, &["hostile 1.0.0"], "");
    stage.run(&["update"]).ok();
    commit(&stage, &["hostile 1.1.0"], "");
    stage.run(&["update"]).ok();
    let shown = stage.run_with(&["diff", "--source", "HEAD~.."], &[("GIT_EXTERNAL_DIFF", &program)]).ok();
    assert!(shown.stdout.contains("-one\n+two\n"), "{shown:?}");
    assert!(!ran.exists());
    // The project's own display settings still apply, from any file.
    let included = stage.sandbox.path().join("a \"strange\" name");
    std::fs::write(&included, "[color]\n\tui = always\n[diff]\n\tnoprefix = true\n").unwrap();
    stage.git(&["config", "include.path", included.to_str().unwrap()]);
    let linked = stage.sandbox.path().join("linked");
    stage.git(&["worktree", "add", "--quiet", linked.to_str().unwrap()]);
    let shown = stage.run_in(&linked, &["diff", "--source", "HEAD~.."]).ok();
    assert!(shown.stdout.contains("\x1b[31m-one") && shown.stdout.contains("a/hostile-1.0.0/lib/a.ex"), "{shown:?}");
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let mut stage = Stage::new();
    // More than fits in a pipe.
    let large = |text: &str| [("lib/large.ex".to_owned(), format!("{text}\n").repeat(40_000))];
    for (release, text) in
        [("large 1.0.0", "one"), ("large 1.1.0", "two"), ("other 1.0.0", "one"), ("other 1.1.0", "two")]
    {
        stage.registry.publish(release, &[], &large(text));
    }
    stage.registry.put(&stage.upstream);
    commit(&stage, &["large 1.0.0", "other 1.0.0"], "");
    stage.run(&["update"]).ok();
    commit(&stage, &["large 1.1.0", "other 1.1.0"], "");
    stage.run(&["update"]).ok();
    let mut command = stage.command(&["diff", "--source", "HEAD~.."]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

#[test]
fn all_packages_go_through_one_pager() {
    let stage = updated();
    let installed = std::process::Command::new("script").arg("--version").output();
    if !installed.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no script (of util-linux), which gives a program a terminal");
        return;
    }
    let started = stage.sandbox.path().join("started");
    let pager = format!("sh -c 'echo x >> {}; sed s/^/paged:/'", started.display());
    let diff = format!("{} diff --source alpha gamma HEAD~..", crate::support::stage::PROGRAM);
    let mut command = stage.sandbox.command("script", &stage.project);
    command.args(["-qec", &diff, "/dev/null"]).stdin(Stdio::null()).env("GIT_PAGER", &pager).env("TERM", "xterm");
    let ran = Ran::of(&mut command).ok();
    assert_eq!(std::fs::read_to_string(&started).unwrap(), "x\n", "{ran:?}");
    for text in ["b/alpha-1.1.0/lib/alpha.ex", "b/gamma-1.0.0/lib/gamma.ex"] {
        let is_it = |line: &&str| line.starts_with("paged:\x1b[1m+++") && line.contains(text);
        assert!(ran.stdout.lines().any(|line| is_it(&line)), "{text}: {ran:?}");
    }
}

#[test]
fn a_lock_that_the_mirror_does_not_follow_yet_needs_an_update_first() {
    let stage = Stage::new();
    commit(&stage, &PINNED, "");
    stage.run(&["update"]).ok();
    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    let ran = stage.run(&["diff", "--source"]).exits(1).says("run `git hexmirror update` first");
    assert!(!ran.stderr.contains("worktree add"), "{ran:?}");
    stage.run(&["update"]).ok();
    assert_eq!(stage.run(&["diff", "--source"]).ok().stdout, ALPHA);
}
