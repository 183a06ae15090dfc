//! Warnings about what a mirrored revision needs but does not include.

use crate::support::forge::Scene;

#[test]
fn unmirrored_large_files_and_submodules_cause_one_warning() {
    let scene = Scene::new();
    let plain = scene.forge.commit("a/plain", "main", &[(".gitattributes", "*.ex diff=elixir\n")]);
    let inner = scene.forge.commit("a/inner", "main", &[("f", "1")]);
    let large = scene.forge.commit("a/large", "main", &[("priv/.gitattributes", "*.bin filter=lfs diff=lfs -text\n")]);
    let url = "[submodule \"inner\"]\n\tpath = inner\n\turl = ../inner.git\n";
    let files = [(".gitmodules", url), ("inner", &format!("commit {inner}"))];
    let outer = scene.forge.commit("a/outer", "main", &files);
    scene.lock(&[("plain", "a/plain", &plain, ""), ("large", "a/large", &large, ""), ("outer", "a/outer", &outer, "")]);
    let ran = scene.update();
    let short = |revision: &str| revision[..10].to_owned();
    for told in [
        format!("forge.test/a/large at {} has files in Git LFS", short(&large)),
        format!(
            "forge.test/a/outer at {} has submodules, which are not mirrored because the lock does not ask for them",
            short(&outer)
        ),
    ] {
        assert_eq!(ran.stderr.matches(&told).count(), 1, "{told}: {ran:?}");
    }
    assert!(!ran.stderr.contains("a/plain at"), "{ran:?}");
    // There is no second warning for what is stored, nor one for an entry whose submodules are mirrored.
    let next = scene.forge.commit("a/outer", "main", &[("g", "1")]);
    scene.lock(&[("large", "a/large", &large, ""), ("outer", "a/outer", &next, "submodules: true")]);
    let ran = scene.update();
    assert!(!ran.stderr.contains("LFS") && !ran.stderr.contains("has submodules"), "{ran:?}");
}

#[test]
fn a_script_beside_a_rebar_lock_causes_a_warning() {
    let scene = Scene::new();
    let commit = scene.forge.commit("a/one", "main", &[("f", "1")]);
    let lock = format!("[{{<<\"one\">>,{{git,\"https://forge.test/a/one.git\",{{ref,\"{commit}\"}}}},0}}].\n");
    scene.stage.write("rebar.lock", &lock);
    assert!(!scene.update().stderr.contains("rebar.lock.script"));
    scene.stage.write("rebar.lock.script", "halt(1).\n");
    scene.update().says("rebar.lock.script is not evaluated");
    // The lock cannot say which packages come from these.
    let repositories = "{hex, [{repos, [#{name => <<\"hexpm:acme\">>}, #{name => <<\"hexpm\">>}]}]}.\n";
    scene.stage.write("rebar.config", repositories);
    scene.update().says("rebar.config names the repository hexpm:acme, but a rebar.lock does not say");
}
