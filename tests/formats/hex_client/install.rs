//! Unusual releases from upstream to the mirror, and from the mirror into a project by mix.

use std::path::PathBuf;

use super::odd;
use super::{hex_modules, is_stored};
use crate::support::registry::{self, Registry};
use crate::support::stage::{Ran, Stage};
use crate::support::tree::path;

const ODD: [&str; 4] = ["odd_sum 1.0.0", "odd_gzip 1.0.0", "odd_plain 1.0.0", "odd_half 1.0.0"];

fn odd_registry() -> Registry {
    let mut registry = Registry::sample();
    let by_name = |name: &str| odd::all().into_iter().find(|odd| odd.name == name).unwrap().tarball;
    for (release, tarball) in ODD.into_iter().zip([
        odd::of_checksum(|sum| sum + "\n"),
        odd::of_contents(&odd::several_members()),
        by_name("not compressed"),
        by_name("one zero block"),
    ]) {
        registry.publish_tarball(release, tarball);
    }
    registry
}

#[test]
fn mix_installs_odd_releases_from_the_mirror() {
    let stage = Stage::with(odd_registry(), &ODD);
    stage.run(&["update"]).ok();
    for release in ODD {
        let path = format!("{}/tarball", path("packages", name(release)));
        assert!(stage.paths().contains(&path), "{:?}", stage.paths());
    }
    stage.run(&["verify"]).ok();
    stage.run(&["status"]).ok();
    let Some(modules) = hex_modules() else { return };
    let mix_home: PathBuf =
        modules.ancestors().find(|path| path.ends_with("archives")).unwrap().parent().unwrap().into();
    let deps: String = ODD.iter().map(|release| format!("{{:{}, \">= 0.0.0\"}}, ", name(release))).collect();
    stage.write(
        "mix.exs",
        &format!("defmodule App.MixProject do\n  use Mix.Project\n  def project, do: [app: :app, version: \"0.1.0\", deps: [{deps}]]\nend\n"),
    );
    let hex_home = stage.sandbox.path().join("hex");
    let key = stage.sandbox.path().join("hexpm.pem");
    let mut set = stage.sandbox.command("mix", &stage.project);
    set.args(["hex.repo", "set", "hexpm", "--public-key", key.to_str().unwrap()]);
    Ran::of(set.env("MIX_HOME", &mix_home).env("HEX_HOME", &hex_home)).ok();
    let mut run = stage.bare_command_in("project", &["run", "--", "mix", "deps.get"]);
    run.env("MIX_HOME", &mix_home).env("HEX_HOME", &hex_home).env("HEXMIRROR_URL", "http://127.0.0.1:1");
    Ran::of(&mut run).ok();
    for release in ODD {
        assert!(stage.project.join("deps").join(name(release)).join("mix.exs").exists(), "{release}");
    }
}

#[test]
fn a_refused_release_does_not_affect_the_others() {
    let hostile = odd::all().into_iter().find(|odd| odd.name == "name |absolute").unwrap();
    assert!(is_stored(&hostile.tarball).is_err());
    let mut registry = odd_registry();
    registry.publish_tarball("hostile 1.0.0", hostile.tarball);
    let pinned = [&ODD[..], &["alpha 1.0.0", "hostile 1.0.0"]].concat();
    let stage = Stage::with(registry, &pinned);
    let ran = stage.run(&["update"]).exits(4).says("hostile-1.0.0.tar").says("--keep-going");
    assert!(!ran.stderr.contains("alpha 1.0.0"), "{ran:?}");
    assert_eq!(stage.tip(), None, "something was published");
    // What was fetched is not fetched again.
    let tarballs = || {
        pinned
            .iter()
            .map(|release| tarball_path(release))
            .filter(|path| !path.contains("hostile"))
            .map(|path| stage.upstream.count(&path))
            .sum::<usize>()
    };
    assert_eq!(tarballs(), 5);
    stage.run(&["update", "--keep-going"]).exits(4).says("hostile-1.0.0.tar").says("incomplete");
    assert_eq!(tarballs(), 5, "tarballs were fetched twice");
    stage.run(&["verify"]).ok();
    stage.lock(&pinned[..5]);
    stage.run(&["status"]).ok().prints("fresh");
}

fn name(release: &str) -> &str {
    release.split(' ').next().unwrap()
}

fn tarball_path(release: &str) -> String {
    format!("/tarballs/{}", registry::release_id(release).tarball_name())
}
