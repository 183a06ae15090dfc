//! `diff --source` of git dependencies.

use crate::support::forge::Scene;

fn commit(scene: &Scene) {
    scene.stage.git(&["add", "--all"]);
    scene.stage.git(&["commit", "--quiet", "--message=Change"]);
    scene.stage.run(&["update"]).ok();
}

#[test]
fn the_source_between_two_revisions_is_shown() {
    let scene = Scene::new();
    let first = scene.forge.commit("a/one", "main", &[("lib/one.ex", "first\n"), ("same", "same\n")]);
    scene.lock(&[("one", "a/one", &first, "")]);
    commit(&scene);
    let second = scene.forge.commit("a/one", "main", &[("lib/one.ex", "second\n")]);
    let other = scene.forge.commit("a/other", "main", &[("f", "x\n")]);
    scene.lock(&[("one", "a/one", &second, ""), ("other", "a/other", &other, "")]);
    commit(&scene);
    let connections = scene.forge.connections();
    let (one, two) = (&first[..10], &second[..10]);
    let ran = scene.stage.run(&["diff", "HEAD~.."]).ok();
    let other = &other[..10];
    let expected =
        format!("  moved    one forge.test/a/one {one} → {two}\n  added    other forge.test/a/other {other}\n");
    assert_eq!(ran.stdout, expected);
    let ran = scene.stage.run(&["diff", "--source", "HEAD~.."]).ok();
    let ran = ran.says(&format!("added (name the package to see its source): other forge.test/a/other {other}"));
    let expected = format!("--- a/one-{one}/lib/one.ex\n+++ b/one-{two}/lib/one.ex\n@@ -1 +1 @@\n-first\n+second\n");
    assert!(ran.stdout.ends_with(&expected), "{ran:?}");
    assert_eq!(ran.stdout.matches("diff --git").count(), 1, "{ran:?}");
    let stat = scene.stage.run(&["diff", "--source", "--stat", "HEAD~.."]).ok();
    stat.prints(&format!(" one-{one}..{two}/lib/one.ex | 2 +-\n 1 file changed"));
    scene.stage.run(&["diff", "--source", "other", "HEAD~.."]).ok().prints("--- /dev/null\n+++ b/other-");
    assert_eq!(scene.forge.connections(), connections, "the forge was asked");
}

#[test]
fn a_fork_is_compared_with_the_package_that_it_replaces() {
    let scene = Scene::new();
    scene.stage.lock(&["alpha 1.0.0"]);
    commit(&scene);
    let fork = scene.forge.commit("a/alpha", "main", &[("lib/alpha.ex", "ours\n")]);
    scene.lock(&[("alpha", "a/alpha", &fork, "")]);
    commit(&scene);
    let fork = &fork[..10];
    let expected = format!("  source   alpha 1.0.0 → forge.test/a/alpha {fork}\n");
    assert_eq!(scene.stage.run(&["diff", "HEAD~.."]).ok().stdout, expected);
    let ran = scene.stage.run(&["diff", "--source", "HEAD~.."]).ok();
    ran.prints(&format!("--- a/alpha-1.0.0/lib/alpha.ex\n+++ b/alpha-{fork}/lib/alpha.ex\n")).prints("+ours\n");
}

/// Makes the id of one object point to another one in the index of a pack (gitformat-pack(5), version 2).
fn pretend(index: &mut [u8], one: &str, other: &str) {
    const IDS: usize = 8 + 256 * 4;
    let count = u32::from_be_bytes(index[IDS - 4..IDS].try_into().unwrap()) as usize;
    let place = |id: &str| {
        let digits: Vec<u8> = (0..20).map(|at| u8::from_str_radix(&id[2 * at..][..2], 16).unwrap()).collect();
        (0..count).find(|at| index[IDS + 20 * at..].starts_with(&digits)).expect("an object of the pack")
    };
    let (one, other) = (place(one), place(other));
    // Checksums, then offsets.
    for table in [IDS + 20 * count, IDS + 24 * count] {
        index.copy_within(table + 4 * other..table + 4 * other + 4, table + 4 * one);
    }
}

#[test]
fn only_the_pinned_revision_is_shown() {
    let scene = Scene::new();
    let first = scene.forge.commit("a/one", "main", &[("f", "first\n")]);
    scene.lock(&[("one", "a/one", &first, "")]);
    commit(&scene);
    let second = scene.forge.commit("a/one", "main", &[("f", "evil\n"), ("g", "harmless\n")]);
    scene.lock(&[("one", "a/one", &second, "")]);
    commit(&scene);
    scene.stage.run(&["diff", "--source", "HEAD~.."]).ok().prints("+evil\n");
    let cache = scene.stage.project.join(".git/hexmirror/git");
    let blob = |file: &str| scene.forge.run("a/one", &["rev-parse", &format!("main:{file}")]);
    let mut forged = 0;
    for file in walkdir::WalkDir::new(cache).into_iter().map(|entry| entry.unwrap().into_path()) {
        let mut index = match file.extension() {
            Some(extension) if extension == "idx" => std::fs::read(&file).unwrap(),
            _ => continue,
        };
        // The first revision has three objects.
        if index[8 + 255 * 4..][..4] != [0, 0, 0, 3] {
            pretend(&mut index, &blob("f"), &blob("g"));
            std::fs::remove_file(&file).unwrap();
            let repository = file.ancestors().nth(3).unwrap().to_owned();
            std::fs::write(&file, index).unwrap();
            // git accepts it.
            assert_eq!(scene.git_in(&repository, &["cat-file", "blob", &blob("f")]), "harmless");
            forged += 1;
        }
    }
    assert!(forged > 0);
    let ran =
        scene.stage.run(&["diff", "--source", "HEAD~.."]).exits(4).says("refused the repository forge.test/a/one");
    assert_eq!(ran.stdout, "");
}

#[test]
fn a_revision_that_the_mirror_lacks_is_named() {
    let scene = Scene::new();
    let first = scene.forge.commit("a/one", "main", &[("f", "first\n")]);
    scene.lock(&[("one", "a/one", &first, "")]);
    commit(&scene);
    let second = scene.forge.commit("a/one", "main", &[("f", "second\n")]);
    scene.lock(&[("one", "a/one", &second, "")]);
    let said = format!("neither the mirror nor its history has one forge.test/a/one {}", &second[..10]);
    scene.stage.run(&["diff", "--source"]).exits(1).says(&said);
    // A local folder cannot be mirrored.
    scene.stage.write("mix.lock", &format!("%{{\"one\": {{:git, \"../one\", \"{first}\", []}}}}\n"));
    scene.stage.run(&["diff", "--source"]).ok().says("not shown, because it is not mirrored: one forge.test/a/one");
}

#[test]
fn a_revision_that_moves_back_is_remarked() {
    let scene = Scene::new();
    let first = scene.forge.commit("a/one", "main", &[("f", "first\n")]);
    let second = scene.forge.commit("a/one", "main", &[("f", "second\n")]);
    let beside = scene.forge.commit("a/one", "beside", &[("f", "beside\n")]);
    for revision in [&first, &second, &beside, &second, &first] {
        scene.lock(&[("one", "a/one", revision, "")]);
        commit(&scene);
    }
    for (range, is_older) in [("HEAD~4..HEAD~3", false), ("HEAD~2..HEAD~1", false), ("HEAD~1..HEAD", true)] {
        let comment = scene.stage.run(&["diff", range, "--format=markdown"]).ok().stdout;
        assert_eq!(comment.contains("- **An older revision** of `one`\n"), is_older, "{range}: {comment}");
    }
}

#[test]
fn a_shallow_history_does_not_say_that_a_revision_moves_back() {
    let scene = Scene::shallow();
    let revisions: Vec<_> =
        (0..4).map(|at| scene.forge.commit("a/one", "main", &[("f", &format!("{at}\n"))])).collect();
    for revision in [&revisions[3], &revisions[1]] {
        scene.lock(&[("one", "a/one", revision, "depth: 1")]);
        commit(&scene);
    }
    let comment = scene.stage.run(&["diff", "HEAD~..HEAD", "--format=markdown"]).ok().stdout;
    assert!(comment.contains("| moved | `one` |") && !comment.contains("An older revision"), "{comment}");
}
