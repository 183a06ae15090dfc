//! No git setting of the user or of the project changes what an update fetches from git repositories.

use crate::support::forge::Scene;

/// Settings that influence `fetch`, `pack-objects`, `index-pack`, `fsck` and so on, each with a harmful value.
const SETTINGS: &[(&str, &str)] = &[
    ("remote.origin.url", "/nowhere"),
    ("remote.origin.promisor", "true"),
    ("remote.origin.partialCloneFilter", "tree:0"),
    ("extensions.partialClone", "origin"),
    ("fetch.bundleURI", "/nowhere"),
    ("fetch.fsckObjects", "false"),
    ("fetch.negotiationAlgorithm", "noop"),
    ("fetch.prune", "true"),
    ("fetch.pruneTags", "true"),
    ("fetch.recurseSubmodules", "true"),
    ("fetch.unpackLimit", "1000000"),
    ("fetch.writeCommitGraph", "true"),
    ("fetch.fsck.missingEmail", "error"),
    ("fsck.missingEmail", "error"),
    ("transfer.fsckObjects", "false"),
    ("transfer.hideRefs", "refs"),
    ("transfer.unpackLimit", "1000000"),
    ("uploadpack.hideRefs", "refs"),
    ("submodule.recurse", "true"),
    ("core.bare", "false"),
    ("core.commitGraph", "true"),
    ("core.compression", "0"),
    ("core.fsmonitor", "false-but-a-command"),
    ("core.hooksPath", "/nowhere"),
    ("core.logAllRefUpdates", "always"),
    ("core.bigFileThreshold", "1"),
    ("gc.auto", "1"),
    ("maintenance.auto", "true"),
    ("pack.compression", "0"),
    ("pack.depth", "0"),
    ("pack.indexVersion", "1"),
    ("pack.packSizeLimit", "1m"),
    ("pack.window", "0"),
    ("pack.writeReverseIndex", "true"),
    ("protocol.version", "0"),
    ("color.ui", "always"),
    ("color.remote", "always"),
    ("color.transport", "always"),
    ("i18n.logOutputEncoding", "UTF-16"),
];

#[test]
fn no_setting_changes_what_an_update_fetches() {
    let scene = Scene::shallow();
    // Too much for one pack of a megabyte.
    let mut random = fastrand::Rng::with_seed(7);
    let noise: String = (0..1_000_000).map(|_| random.alphanumeric()).collect();
    let more: String = (0..1_000_000).map(|_| random.alphanumeric()).collect();
    let first = scene.forge.commit("a/one", "main", &[("f", &noise), ("h", &more), ("g", "1")]);
    scene.forge.run("a/one", &["tag", "v1", &first]);
    let second = scene.forge.commit("a/one", "main", &[("g", "2")]);
    let shallow = scene.forge.commit("a/two", "main", &[("f", "1")]);
    scene.lock(&[("one", "a/one", &second, r#"branch: "main""#), ("two", "a/two", &shallow, "depth: 1")]);
    let config = scene.stage.project.join(".git/config");
    let plain = std::fs::read_to_string(&config).unwrap();
    let update = |settings: &[(&str, &str)]| {
        std::fs::write(&config, &plain).unwrap();
        scene.stage.git(&["update-ref", "-d", "refs/heads/hexmirror"]);
        let text: String = settings
            .iter()
            .map(|(key, value)| {
                let (section, name) = key.rsplit_once('.').unwrap();
                let section = section.split_once('.').map_or(section.to_owned(), |(a, b)| format!("{a} \"{b}\""));
                format!("[{section}]\n\t{name} = {value:?}\n")
            })
            .collect();
        std::fs::write(&config, plain.clone() + &text).unwrap();
        let ran = scene.stage.run(&["update"]);
        std::fs::write(&config, &plain).unwrap();
        assert_eq!(ran.code, Some(0), "{settings:?}: {ran:?}");
        let one = scene.export("a/one");
        let objects = scene.git_in(&one, &["cat-file", "--batch-all-objects", "--batch-check"]);
        let refs = scene.git_in(&one, &["for-each-ref"]);
        assert_eq!(scene.packs("a/one").len(), 1, "{settings:?}");
        (objects, refs, scene.manifest().into_iter().filter(|line| !line.starts_with("pack ")).collect::<Vec<_>>())
    };
    let expected = update(&[]);
    assert_eq!(update(SETTINGS), expected);
    scene.stage.run(&["verify"]).ok();
    for setting in SETTINGS {
        assert_eq!(update(&[*setting]), expected, "{setting:?}");
    }
}
