//! Addresses, servers and repositories that are malicious or unavailable.

use std::fs;

use crate::support::forge::{Fault, Scene};
use crate::support::registry::Registry;
use crate::support::stage::{PINNED, Stage};
use crate::support::upstream::{ALWAYS, Fault as Http, TestUpstream};

const SOME: &str = "1111111111111111111111111111111111111111";

/// A project whose lock pins releases and git revisions.
fn mixed() -> (Scene, String) {
    let scene = Scene::of(Stage::with(Registry::sample(), &PINNED));
    let pinned = scene.forge.commit("a/one", "main", &[("f", "1")]);
    let lock = fs::read_to_string(scene.stage.project.join("mix.lock")).unwrap();
    let git = format!("  \"one\": {{:git, \"https://forge.test/a/one.git\", \"{pinned}\", []}},\n}}");
    let (releases, _) = lock.rsplit_once('}').unwrap();
    scene.stage.write("mix.lock", &format!("{},\n{git}\n", releases.trim_end().trim_end_matches(',')));
    (scene, pinned)
}

#[test]
fn addresses_that_could_do_harm_are_refused_before_anything_runs() {
    let scene = Scene::new();
    for url in [
        "ext::sh -c touch% harm",
        "fd::17/foo",
        "-u",
        "--upload-pack=touch harm",
        "ssh://-oProxyCommand=touch/x",
        "https://forge.test/a\\nb",
        "https://forge.test/a\\0b",
        "https://forge.test/../x",
        "ftp://forge.test/a/one",
    ] {
        scene.stage.write("mix.lock", &format!("%{{\"a\": {{:git, \"{url}\", \"{SOME}\", []}}}}"));
        let ran = scene.stage.run(&["update"]).exits(2).says("mix.lock:1:");
        assert!(ran.stderr.contains("this URL is not allowed"), "{url}: {ran:?}");
    }
    for options in [r#"branch: "--upload-pack=touch harm""#, r#"tag: "a b""#, "depth: -1"] {
        scene.lock(&[("a", "a/one", SOME, options)]);
        scene.stage.run(&["update"]).exits(2).says("mix.lock:2:");
    }
    assert_eq!((scene.forge.connections(), scene.stage.tip()), (0, None));
    assert!(!scene.stage.project.join("harm").exists());
}

#[test]
fn local_folders_are_reported_as_unmirrored() {
    let scene = Scene::new();
    let pinned = scene.forge.commit("a/one", "main", &[("f", "1")]);
    let file = format!("file://{}", scene.forge.path("a/one").display());
    scene.lock(&[("local", &file, &pinned, ""), ("one", "a/one", &pinned, "")]);
    let named = "1 dependency cannot be mirrored: local (a local path)";
    scene.stage.run(&["update"]).ok().says(named);
    scene.stage.run(&["update"]).ok().says(named);
    scene.stage.run(&["status"]).ok().prints(named);
    scene.stage.run(&["diff"]).ok().prints("a local path");
    let json = scene.stage.run(&["status", "--json"]).ok().json();
    let local = json["git"].as_array().unwrap().iter().find(|git| git["app"] == "local").unwrap();
    assert_eq!((&local["mirrored"], &local["reason"]), (&false.into(), &"a local path".into()));
    assert_eq!(scene.manifest().iter().filter(|line| line.starts_with("git ")).count(), 1);
}

#[test]
fn a_forge_that_is_gone_leaves_the_rest_of_the_update() {
    let (scene, pinned) = mixed();
    scene.forge.fail(Some(Fault::Hangup));
    // git's message about the broken connection depends on the timing.
    scene.stage.run(&["update"]).exits(3).says("https://forge.test/a/one.git");
    assert_eq!(scene.stage.tip(), None, "nothing is published");
    let tarballs =
        scene.stage.upstream.requests("*").iter().filter(|request| request.path().contains("tarballs")).count();
    assert_eq!(tarballs, PINNED.len());
    // With --keep-going, whatever was fetched is published, and the mirror is reported as incomplete.
    let ran = scene.stage.run(&["update", "--keep-going", "--json"]).exits(3).says("incomplete");
    let json = ran.json();
    assert_eq!((&json["incomplete"], json["added"].as_array().unwrap().len()), (&true.into(), PINNED.len()));
    assert!(json["errors"][0].as_str().unwrap().contains("forge.test"), "{json}");
    assert!(scene.stage.git(&["log", "-1", "--format=%b", "hexmirror"]).contains("Incomplete"));
    scene.stage.run(&["status"]).exits(1).prints(&format!("missing forge.test/a/one {}", &pinned[..10]));
    scene.stage.run(&["verify"]).ok();
    let again = scene.stage.upstream.requests("*").iter().filter(|request| request.path().contains("tarballs")).count();
    assert_eq!(again, tarballs, "no tarball is fetched twice");
    scene.forge.fail(None);
    scene.update();
}

#[test]
fn unavailable_releases_do_not_affect_fetched_repositories() {
    let (scene, _) = mixed();
    scene.stage.upstream.fail("*", ALWAYS, Http::Status(404, None));
    scene.stage.run(&["update"]).exits(3);
    let connections = scene.forge.connections();
    assert!(connections > 0);
    scene.stage.run(&["update", "--keep-going"]).exits(3);
    assert_eq!(scene.forge.connections(), connections, "nothing is fetched twice");
    assert!(scene.manifest().iter().any(|line| line.starts_with("git forge.test/a/one ")));
}

#[test]
fn damaged_answers_are_never_stored() {
    let scene = Scene::new();
    let mut random = fastrand::Rng::with_seed(1);
    let noise: String = (0..20_000).map(|_| random.alphanumeric()).collect();
    let pinned = scene.forge.commit("a/one", "main", &[("f", &noise)]);
    scene.lock(&[("one", "a/one", &pinned, "")]);
    let mut integrity = 0;
    for fault in [Fault::Flip(4000), Fault::Flip(1500), Fault::Flip(6000), Fault::Truncate(4000), Fault::Truncate(30)] {
        scene.forge.fail(Some(fault));
        let ran = scene.stage.run(&["update"]);
        assert!(matches!(ran.code, Some(3 | 4)), "{fault:?}: {ran:?}");
        integrity += usize::from(ran.code == Some(4));
        assert_eq!(scene.stage.tip(), None, "{fault:?}");
    }
    assert!(integrity > 0, "a flipped bit is not called a lost connection");
    scene.forge.fail(None);
    scene.update();
}

#[test]
fn hostile_repositories_are_refused() {
    let scene = Scene::new();
    let gitmodules = "[submodule \"x\"]\n\tpath = x\n\turl = --upload-pack=touch\n";
    let hostile = scene.forge.commit("a/one", "main", &[(".gitmodules", gitmodules), ("x", &format!("commit {SOME}"))]);
    for options in ["", "submodules: true"] {
        scene.lock(&[("one", "a/one", &hostile, options)]);
        scene.stage.run(&["update"]).exits(4).says("git refused the data");
    }
    // A revision that is not a commit.
    scene.forge.commit("a/two", "main", &[("f", "1")]);
    let tree = scene.forge.run("a/two", &["rev-parse", "main^{tree}"]);
    scene.lock(&[("two", "a/two", &tree, "")]);
    scene.stage.run(&["update"]).exits(4).says("is a tree, not a commit");
    assert_eq!(scene.stage.tip(), None);
}

#[test]
fn git_never_asks_for_a_password_and_none_is_stored() {
    let scene = Scene::new();
    let pinned = scene.forge.commit("a/one", "main", &[("f", "1")]);
    let secret = "https://user:s3cret@forge.test/";
    let web = TestUpstream::serve(scene.forge.path("a"));
    web.fail("*", ALWAYS, Http::Status(401, None));
    web.set_header("WWW-Authenticate", "Basic realm=\"x\"");
    let url = web.url().replace("http://", "http://user:s3cret@");
    scene.sandbox().git("", &["config", "--global", &format!("url.{url}/.insteadOf"), "https://refusing.test/"]);
    scene.lock(&[("one", "https://refusing.test/a/one.git", &pinned, "")]);
    let refused = scene.stage.run(&["-vv", "update"]).exits(3).says("refused access");
    assert!(web.requests("*").iter().any(|request| request.header("authorization").is_some()), "they are used");
    // The password is used, but recorded nowhere.
    scene.redirect(secret);
    scene.lock(&[("one", &format!("{secret}a/one.git"), &pinned, "")]);
    let fine = scene.stage.run(&["-vv", "update"]).ok();
    scene.forge.fail(Some(Fault::Hangup));
    scene.lock(&[("one", &format!("{secret}a/two.git"), &pinned, "")]);
    let gone = scene.stage.run(&["-vv", "update", "--keep-going"]).exits(3);
    let shown = ["status", "diff", "list"].map(|command| scene.stage.run(&[command, "--json"]));
    for ran in [refused, fine, gone].iter().chain(&shown) {
        assert!(!format!("{ran:?}").contains("s3cret"), "{ran:?}");
    }
    let objects = scene.stage.git(&["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"]);
    for object in objects.lines() {
        let content = scene.sandbox().try_git(&scene.stage.project, &["cat-file", "-p", object]).stdout;
        assert!(!content.windows(6).any(|window| window == b"s3cret"), "{object}");
    }
    for entry in walkdir::WalkDir::new(scene.stage.project.join(".git/hexmirror")).into_iter().flatten() {
        let content = fs::read(entry.path()).unwrap_or_default();
        assert!(!content.windows(6).any(|window| window == b"s3cret"), "{}", entry.path().display());
    }
}

#[test]
fn variables_that_name_another_repository_are_ignored() {
    let scene = Scene::new();
    let pinned = scene.forge.commit("a/one", "main", &[("f", "1")]);
    scene.lock(&[("one", "a/one", &pinned, "")]);
    let git = scene.stage.project.join(".git");
    let (git, elsewhere) = (git.to_str().unwrap(), scene.sandbox().path().join("elsewhere"));
    let elsewhere = elsewhere.to_str().unwrap();
    // As a hook is called.
    let variables = [
        ("GIT_DIR", git),
        ("GIT_INDEX_FILE", elsewhere),
        ("GIT_PREFIX", "x/"),
        ("GIT_SHALLOW_FILE", elsewhere),
        ("GIT_DEFAULT_HASH", "sha256"),
        ("GIT_EXEC_PATH_UNUSED", elsewhere),
    ];
    scene.stage.run_with(&["update"], &variables).ok();
    scene.stage.run(&["verify"]).ok();
    assert_eq!(scene.git_in(&scene.export("a/one"), &["rev-parse", "HEAD"]), pinned);
    assert!(!std::path::Path::new(elsewhere).exists());
}

#[test]
fn git_settings_of_the_project_apply() {
    let scene = Scene::new();
    let pinned = scene.forge.commit("a/one", "main", &[("f", "1")]);
    let settings = fs::read_to_string(scene.sandbox().home().join(".gitconfig")).unwrap();
    fs::write(scene.sandbox().home().join(".gitconfig"), "").unwrap();
    let config = scene.stage.project.join(".git/config");
    fs::write(&config, fs::read_to_string(&config).unwrap() + &settings).unwrap();
    scene.lock(&[("one", "a/one", &pinned, "")]);
    scene.update();
}

#[test]
fn damage_is_reported_without_the_scratch_folder() {
    let scene = Scene::new();
    let pinned = scene.forge.commit("a/one", "main", &[("f", "1")]);
    scene.lock(&[("one", "a/one", &pinned, "")]);
    scene.update();
    let project = &scene.stage.project;
    for (number, file) in fs::read_dir(project.join(".git/objects/pack")).unwrap().enumerate() {
        fs::rename(file.unwrap().path(), scene.sandbox().path().join(format!("{number}.aside"))).unwrap();
    }
    for number in 0.. {
        let Ok(pack) = fs::File::open(scene.sandbox().path().join(format!("{number}.aside"))) else { break };
        let mut command = scene.sandbox().command("git", project);
        let _ = command.args(["unpack-objects", "-q"]).stdin(pack).output();
    }
    let pack = &scene.packs("a/one")[0];
    let id = scene.stage.git(&["rev-parse", &format!("hexmirror:{pack}")]);
    fs::remove_file(project.join(format!(".git/objects/{}/{}", &id[..2], &id[2..]))).unwrap();
    let ran = scene.stage.run(&["verify"]).exits(1).prints("damaged: git/forge.test/a/one").says("hint:");
    assert!(!ran.stdout.contains("checked.git") && !ran.stdout.contains("verify-"), "{ran:?}");
}

#[test]
fn damage_of_a_stored_repository_is_named() {
    let scene = Scene::new();
    let pinned = scene.forge.commit("a/one", "main", &[("f", "1")]);
    scene.lock(&[("one", "a/one", &pinned, "")]);
    scene.update();
    // A commit of another user, who moved a ref.
    let refs = scene.stage.git(&["show", "hexmirror:git/forge.test/a/one.git/packed-refs"]);
    let blob = {
        let path = scene.sandbox().path().join("refs");
        fs::write(&path, refs.replace(&pinned, SOME)).unwrap();
        scene.stage.git(&["hash-object", "-w", path.to_str().unwrap()])
    };
    let index = scene.sandbox().path().join("index");
    let index = [("GIT_INDEX_FILE", index.to_str().unwrap())];
    let git = |arguments: &[&str]| {
        let mut command = scene.sandbox().command("git", &scene.stage.project);
        let output =
            command.args(["-c", "user.name=a", "-c", "user.email=b@c"]).args(arguments).envs(index).output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["read-tree", "hexmirror"]);
    git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},git/forge.test/a/one.git/packed-refs")]);
    let tree = git(&["write-tree"]);
    let commit = git(&["commit-tree", "-p", "hexmirror", "-m", "x", &tree]);
    git(&["update-ref", "refs/heads/hexmirror", &commit]);
    scene.stage.run(&["verify"]).exits(1).prints("packed-refs");
}
