//! `update` exits with 0 only if `status` would. A second `update` then writes nothing and makes no requests.

use crate::support::forge::{Fault, Scene};

/// A forge with repositories that are submodules of each other.
struct World {
    scene: Scene,
    /// The revisions of `w/r0`, `w/r1`, …, the oldest first.
    revisions: Vec<Vec<String>>,
}

impl World {
    fn new() -> Self {
        let scene = Scene::shallow();
        scene.redirect("git@forge.test:");
        scene.stage.write(".hexmirror.toml", "locks = ['mix.lock', 'rebar.lock', 'apps/x/mix.lock']\n");
        let mut revisions: Vec<Vec<String>> = vec![Vec::new(); 3];
        for number in 0..3 {
            for repository in 0..3 {
                // Each commit pins the current commit of the previous repository.
                let other = (repository + 2) % 3;
                let content = format!("{repository} {number}");
                let mut files = vec![("f", content.as_str())];
                let modules = format!("[submodule \"s\"]\n\tpath = s\n\turl = ../r{other}.git\n");
                let pinned = revisions[other].last().map(|revision| format!("commit {revision}"));
                if let Some(pinned) = &pinned {
                    files.extend([(".gitmodules", modules.as_str()), ("s", pinned.as_str())]);
                }
                let commit = scene.forge.commit(&format!("w/r{repository}"), "main", &files);
                revisions[repository].push(commit);
            }
        }
        Self { scene, revisions }
    }

    fn git(&self, app: &str, repository: usize, number: usize, options: &str) -> String {
        let id = &self.revisions[repository][number];
        format!("\"{app}\": {{:git, \"https://forge.test/w/r{repository}.git\", \"{id}\", [{options}]}}")
    }

    fn locks(&self, locks: [&[String]; 3]) {
        let [mix, rebar, other] = locks;
        self.scene.stage.write("mix.lock", &format!("%{{{}}}\n", mix.join(",\n")));
        self.scene.stage.write("rebar.lock", &format!("{{\"1.2.0\",[{}]}}.\n", rebar.join(",\n")));
        self.scene.stage.write("apps/x/mix.lock", &format!("%{{{}}}\n", other.join(",\n")));
    }

    /// Updates, and checks that a further update has nothing to do, without network access.
    #[track_caller]
    fn settles(&self) {
        let stage = &self.scene.stage;
        stage.run(&["update"]).ok();
        stage.run(&["status"]).ok();
        let (tip, connections, requests) = (stage.tip(), self.scene.forge.connections(), stage.upstream.count("*"));
        self.scene.forge.fail(Some(Fault::Hangup));
        for arguments in [&["update"][..], &["update", "--keep-going"], &["update", "--dry-run"]] {
            stage.run(arguments).ok();
        }
        self.scene.forge.fail(None);
        assert_eq!((stage.tip(), stage.upstream.count("*")), (tip, requests));
        assert_eq!(self.scene.forge.connections(), connections);
    }

    /// Deletes the mirror and its cached answers.
    fn forget(&self) {
        if self.scene.stage.tip().is_some() {
            self.scene.stage.git(&["update-ref", "-d", "refs/heads/hexmirror"]);
        }
        let _ = std::fs::remove_dir_all(self.scene.stage.project.join(".git/hexmirror"));
    }
}

#[test]
fn entries_that_share_a_revision_or_a_name_converge() {
    let world = World::new();
    let pairs: [(&str, &str); 9] = [
        ("", ""),
        ("sparse: \"one\"", "sparse: \"two\""),
        ("subdir: \"one\"", ""),
        ("depth: 1", ""),
        ("depth: 1", "depth: 2"),
        ("", "submodules: true"),
        ("branch: \"main\"", "branch: \"main\""),
        ("branch: \"a\", submodules: true", "branch: \"a/b\", depth: 1"),
        ("tag: \"v1\"", "branch: \"hexmirror\""),
    ];
    for (one, other) in pairs {
        // At one revision, and at two.
        for number in [2, 1] {
            let (one, other) = (world.git("one", 0, 2, one), world.git("two", 0, number, other));
            for locks in [[&[one.clone(), other.clone()][..], &[], &[]], [&[one][..], &[], &[other]]] {
                world.forget();
                world.locks(locks);
                world.settles();
            }
        }
    }
}

#[test]
fn a_dependency_that_is_also_a_submodule_converges() {
    let world = World::new();
    let top = world.git("top", 1, 2, "submodules: true");
    for options in ["", "depth: 1", "submodules: true, depth: 1", "branch: \"main\", submodules: true"] {
        // The revision that is the submodule, and another one.
        for number in [2, 1] {
            let module = world.git("module", 0, number, options);
            world.forget();
            world.locks([&[top.clone(), module.clone()], &[], &[]]);
            world.settles();
            // In sequence, in either order.
            for (first, second) in [(&top, &module), (&module, &top)] {
                world.forget();
                world.locks([std::slice::from_ref(first), &[], &[]]);
                world.settles();
                world.locks([std::slice::from_ref(first), &[], std::slice::from_ref(second)]);
                world.settles();
            }
        }
    }
    world.scene.stage.run(&["verify"]).ok();
}

#[test]
fn generated_locks_converge() {
    let world = World::new();
    let mut random = fastrand::Rng::with_seed(7);
    let registry = &world.scene.stage.registry;
    let releases = ["alpha 1.0.0", "alpha 1.1.0", "beta 0.3.0", "delta 4.5.6+build.7"];
    for case in 0..30 {
        let mut mix_entry = |app: usize| {
            let (repository, number) = (random.usize(..3), random.usize(..3));
            if random.u8(..4) == 0 {
                let lock = registry.mix_lock(&[releases[random.usize(..releases.len())]]);
                return lock.trim_start_matches("%{").trim_end_matches("}\n").trim().trim_end_matches(',').to_owned();
            }
            let mut options = Vec::new();
            for option in [
                "branch: \"main\"",
                "branch: \"a/b\"",
                "tag: \"a\"",
                "ref: \"x\"",
                "depth: 1",
                "depth: 2",
                "submodules: true",
                "sparse: \"x\"",
                "subdir: \"y\"",
            ] {
                if random.u8(..4) == 0 {
                    options.push(option);
                }
            }
            let entry = world.git(&format!("app{app}"), repository, number, &options.join(", "));
            if random.bool() { entry.replace("https://forge.test/", "git@forge.test:") } else { entry }
        };
        let mix: Vec<String> = (0..3).map(&mut mix_entry).collect();
        let other: Vec<String> = (0..2).map(&mut mix_entry).collect();
        let rebar: Vec<String> = (0..random.usize(..3))
            .map(|app| {
                let (repository, id) = (random.usize(..3), random.usize(..3));
                let id = &world.revisions[repository][id];
                let url = format!("https://forge.test/w/r{repository}");
                let source = match random.u8(..5) {
                    0 => format!("{{git_subdir,\"{url}\",{{ref,\"{id}\"}},\"apps/x\"}}"),
                    1 => format!("{{raw,{{git,\"{url}\",{{ref,\"{id}\"}}}},[]}}"),
                    2 => "{pkg,<<\"alpha\">>,<<\"1.0.0\">>}".to_owned(),
                    3 => "{hg,\"https://forge.test/x\",{ref,\"1\"}}".to_owned(),
                    _ => format!("{{git,\"{url}\",{{ref,\"{id}\"}}}}"),
                };
                format!("{{<<\"r{app}\">>,{source},0}}")
            })
            .collect();
        if random.u8(..4) == 0 {
            world.forget();
        }
        println!("case {case}:\n{mix:#?}\n{rebar:#?}\n{other:#?}");
        world.locks([&mix, &rebar, &other]);
        world.settles();
    }
    world.scene.stage.run(&["verify"]).ok();
    world.scene.stage.git(&["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn unmirrored_kinds_are_named() {
    let world = World::new();
    let mix = [
        world.git("one", 0, 2, ""),
        "\"odd\": {:hg, \"u\"}".to_owned(),
        "\"local\": {:git, \"../x\", \"1\", []}".to_owned(),
    ];
    let rebar = ["{<<\"custom\">>,{iex_dep,<<\"custom\">>,<<\"1.0.0\">>},0}".to_owned()];
    world.locks([&mix, &rebar, &[]]);
    let stage = &world.scene.stage;
    let named =
        "3 dependencies cannot be mirrored: local (a local path), custom (unknown kind iex_dep), odd (unknown kind hg)";
    stage.run(&["status"]).exits(1).prints(named);
    // Both after an update that did something and with a cached answer.
    for _ in 0..2 {
        stage.run(&["update"]).ok().says(named);
        stage.run(&["status"]).ok().prints(named);
    }
    let diff = stage.run(&["diff"]).ok().prints("not mirrored: odd (hg)").prints("not mirrored: custom (iex_dep)");
    assert!(diff.stdout.contains("not mirrored: local"), "{diff:?}");
    for command in ["status", "update"] {
        let json = stage.run(&[command, "--json"]).ok().json();
        assert_eq!(
            json["ignored"],
            serde_json::json!([{"app": "custom", "kind": "iex_dep"}, {"app": "odd", "kind": "hg"}])
        );
    }
    stage.run(&["run", "--", "false"]).exits(1).says(named);
}

#[test]
fn a_lock_that_pins_nothing_is_fresh_without_a_mirror() {
    let world = World::new();
    world.locks([&[], &[], &[]]);
    world.scene.stage.run(&["status"]).ok().prints("fresh: ");
    world.settles();
}
