//! The oracles model git's behaviour. These tests compare with git itself, on fewer inputs.

use std::collections::BTreeMap;

use git_hexmirror::model::{GitName, GitUrl, Manifest};
use gix::bstr::ByteSlice;

use super::mutate;
use crate::support::git::Sandbox;

fn mutated(seeds: &[&str], count: usize) -> Vec<String> {
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let mut random = fastrand::Rng::with_seed(7);
    let own = seeds.clone().into_iter();
    let texts = own.chain(std::iter::repeat_with(|| mutate::mutated(&seeds, &mut random)));
    let texts = texts.filter_map(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.contains('\0'));
    texts.take(count).collect()
}

#[test]
fn names_are_judged_as_git_judges_them() {
    let sandbox = Sandbox::new();
    let seeds = [
        "main",
        "feature/a",
        "a..b",
        "a.lock/b",
        "@",
        "a@{b",
        "a.",
        ".a",
        "a/.b",
        "-a",
        "a//b",
        "ü",
        "a\x7fb",
        "a b*",
        "HEAD",
    ];
    for name in mutated(&seeds, 300) {
        let full = format!("refs/heads/{name}");
        let by_git = sandbox.try_git("", &["check-ref-format", &full]).status.success();
        let by_gix = gix::validate::reference::name(full.as_bytes().as_bstr()).is_ok();
        assert_eq!(by_gix, by_git, "the oracle of {name:?}");
        assert!(by_git || GitName::branch(&name).is_err() && GitName::tag(&name).is_err(), "{name:?}");
    }
}

#[test]
fn submodules_are_resolved_as_git_resolves_them() {
    let sandbox = Sandbox::new();
    let bases =
        ["https://h/a/b.git", "https://h/a/b/", "https://h:80/a//", "git@h:a/b.git", "git@h:a.git", "ssh://git@h/~u/x"];
    let urls = ["../c.git", "./c", "../../c/", "../../../c", "./../c//", "../c:d", "../.git", "../c d", ".././/c"];
    for base in bases {
        sandbox.git("", &["init", "--quiet", "x"]);
        sandbox.git("x", &["config", "remote.origin.url", base]);
        for (number, url) in urls.iter().enumerate() {
            let key = |key: &str| format!("submodule.{number}.{key}");
            let path = format!("s{number}");
            sandbox.git("x", &["config", "--file=.gitmodules", &key("path"), &path]);
            sandbox.git("x", &["config", "--file=.gitmodules", &key("url"), url]);
            let entry = format!("160000,{},{path}", "1".repeat(40));
            sandbox.git("x", &["update-index", "--add", "--cacheinfo", &entry]);
            let ours = base.parse::<GitUrl>().unwrap().submodule(url);
            let by_git = sandbox.try_git("x", &["submodule", "--quiet", "init", "--", &path]).status.success();
            let Ok(ours) = ours else { continue };
            assert!(by_git, "git resolves {url:?} of {base:?} too");
            assert_eq!(ours.secret_text(), sandbox.git("x", &["config", &key("url")]), "{url:?} of {base:?}");
        }
        std::fs::remove_dir_all(sandbox.path().join("x")).unwrap();
    }
}

#[test]
fn git_reads_the_refs_of_a_manifest() {
    let sandbox = Sandbox::new();
    let [one, two] = ["1", "2"].map(|digit| digit.repeat(40));
    let text = format!(
        "git h/a {one} full HEAD heads/a heads/hexmirror heads/hexmirror/{two} tags/ü\ngit h/a {two} full heads/a/b heads/z tags/v1\n"
    );
    let manifest: Manifest = text.parse().unwrap();
    let stored = manifest.git.values().next().unwrap();
    sandbox.git("", &["init", "--quiet", "--bare", "x.git"]);
    for (path, text) in stored.files() {
        let file = sandbox.path().join("x.git").join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let listed = sandbox.git("x.git", &["for-each-ref", "--format=%(refname) %(objectname)"]);
    let listed: BTreeMap<&str, &str> = listed.lines().filter_map(|line| line.split_once(' ')).collect();
    let expected: BTreeMap<_, _> = stored.refs().into_iter().map(|(name, id)| (name, id.to_string())).collect();
    assert_eq!(listed, expected.iter().map(|(name, id)| (name.as_str(), id.as_str())).collect());
    assert_eq!(Some(sandbox.git("x.git", &["symbolic-ref", "HEAD"])), stored.head());
}
