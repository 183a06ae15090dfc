//! The exact commands that mix runs for a git dependency (`lib/mix/lib/mix/scm/git.ex`).

use std::path::Path;

use git_hexmirror::serve::Handle;

use super::mirror::{Mirror, succeed};

const LIB: &str = "https://example.org/team/lib.git";

/// The options of a dependency besides its address.
#[derive(Default, Clone, Copy)]
struct Options<'a> {
    /// The revision in the lock.
    lock: Option<&'a str>,
    branch: Option<&'a str>,
    tag: Option<&'a str>,
    reference: Option<&'a str>,
    depth: Option<&'a str>,
    submodules: bool,
}

/// A checkout of a dependency by mix's commands.
struct Dependency<'a> {
    mirror: &'a Mirror,
    server: &'a Handle,
    folder: &'a str,
}

impl Dependency<'_> {
    fn git(&self, arguments: &[&str]) -> String {
        succeed(self.mirror.led(self.server, None, self.folder).args(arguments))
    }

    /// `checkout/1`: the folder does not exist.
    fn get(&self, url: &str, options: Options<'_>) -> String {
        std::fs::create_dir(self.mirror.sandbox.path().join(self.folder)).unwrap();
        self.git(&["-c", "core.hooksPath=", "init", "--quiet"]);
        self.git(&["--git-dir=.git", "remote", "add", "origin", url]);
        self.update(url, options)
    }

    /// `update/1`: the folder exists. Returns the checked-out revision.
    fn update(&self, url: &str, options: Options<'_>) -> String {
        self.git(&["--git-dir=.git", "config", "remote.origin.url", url]);
        let mut fetch = vec!["--git-dir=.git", "fetch", "--force", "--quiet", "--progress"];
        fetch.extend(options.tag.map(|_| "--tags"));
        let depth = options.depth.map(|depth| format!("--depth={depth}"));
        fetch.extend(depth.as_deref());
        let named = options.branch.or(options.reference).or(options.tag);
        let revision = options.lock.or(named);
        let is_asked = options.depth.or(options.branch).or(options.tag).is_some();
        fetch.extend(revision.filter(|_| is_asked).into_iter().flat_map(|revision| ["origin", revision]));
        self.git(&fetch);
        let branch = options.branch.map(|branch| format!("origin/{branch}"));
        let revision = match options.lock.or(branch.as_deref()).or(options.reference).or(options.tag) {
            Some(revision) => revision,
            None => {
                self.git(&["--git-dir=.git", "remote", "set-head", "origin", "-a"]);
                "origin/HEAD"
            }
        };
        self.git(&["--git-dir=.git", "checkout", "--force", "--quiet", revision]);
        if options.submodules {
            self.git(&["-c", "core.hooksPath=", "--git-dir=.git", "submodule", "update", "--init", "--recursive"]);
        }
        assert_eq!(self.git(&["--git-dir=.git", "config", "remote.origin.url"]), url);
        self.git(&["--git-dir=.git", "rev-parse", "--verify", "--quiet", "HEAD"])
    }
}

#[test]
fn every_option_on_a_fresh_checkout_and_on_one_at_another_revision() {
    let (mirror, revisions) = Mirror::of_made();
    let server = mirror.serve();
    let (first, third, eighth, last) = (&revisions[0], &revisions[2], &revisions[7], &revisions[9]);
    let none = Options::default();
    let cases = [
        ("plain", none, last),
        ("locked", Options { lock: Some(third), ..none }, third),
        ("ref", Options { lock: Some(third), reference: Some(third), ..none }, third),
        ("short-ref", Options { reference: Some(&third[..10]), ..none }, third),
        ("branch", Options { lock: Some(eighth), branch: Some("next"), ..none }, eighth),
        ("branch-unlocked", Options { branch: Some("next"), ..none }, eighth),
        ("branch-behind", Options { lock: Some(first), branch: Some("next"), ..none }, first),
        ("tag", Options { lock: Some(third), tag: Some("v1.0"), ..none }, third),
        ("tag-unlocked", Options { tag: Some("v1.0"), ..none }, third),
        ("depth", Options { lock: Some(third), depth: Some("1"), ..none }, third),
        ("depth-branch", Options { lock: Some(eighth), depth: Some("2"), branch: Some("next"), ..none }, eighth),
    ];
    for (name, options, expected) in cases {
        let named = [("branch", options.branch), ("tag", options.tag), ("ref", options.reference)];
        let named = named.iter().filter_map(|(option, value)| Some(format!("{option}: \"{}\"", (*value)?)));
        mirror.lock(&[(LIB, expected, &named.collect::<String>())]);
        let dependency = Dependency { mirror: &mirror, server: &server, folder: name };
        assert_eq!(&dependency.get(LIB, options), expected, "{name}");
        if options.depth.is_some() {
            assert!(Path::new(&mirror.sandbox.path().join(name).join(".git/shallow")).exists(), "{name}");
        }
        let moved = Dependency { folder: &format!("{name}-moved"), ..dependency };
        assert_eq!(&moved.get(LIB, Options { lock: Some(first), ..none }), first);
        assert_eq!(&moved.update(LIB, options), expected, "{name}, from another revision");
        mirror.sandbox.git(moved.folder, &["fsck"]);
    }
}

#[test]
fn submodules_come_from_the_mirror_by_relative_and_by_whole_addresses() {
    let mut mirror = Mirror::new();
    let [inner, other] = ["inner", "other"].map(|name| mirror.make(name, 2));
    mirror.make("lib", 1);
    let git = &mirror.sandbox;
    let allow = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add"];
    for (address, source) in [("../inner.git", "inner"), ("git@example.org:team/other.git", "other")] {
        let local = git.path().join(source).to_str().unwrap().to_owned();
        git.git("lib", &[&allow[..], &[&local, source]].concat());
        git.git("lib", &["config", "--file=.gitmodules", &format!("submodule.{source}.url"), address]);
    }
    git.git("lib", &["commit", "--quiet", "--all", "--message=Add submodules"]);
    let revision = git.git("lib", &["rev-parse", "HEAD"]);
    for name in ["inner", "other", "lib"] {
        mirror.store(&format!("example.org/team/{name}"), &mirror.sandbox.path().join(name).join(".git"));
    }
    for (name, revisions) in [("inner", &inner), ("other", &other)] {
        mirror.record_submodule(
            ("example.org/team/lib", &revision),
            (&format!("example.org/team/{name}"), &revisions[1]),
        );
    }
    mirror.commit();
    mirror.lock(&[(LIB, &revision, "submodules: true")]);
    let server = mirror.serve();
    let dependency = Dependency { mirror: &mirror, server: &server, folder: "dependency" };
    let options = Options { lock: Some(&revision), submodules: true, ..Options::default() };
    assert_eq!(dependency.get(LIB, options), revision);
    for (name, revisions) in [("inner", inner), ("other", other)] {
        assert_eq!(mirror.sandbox.git(format!("dependency/{name}"), &["rev-parse", "HEAD"]), revisions[1]);
    }
}
