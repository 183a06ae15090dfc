//! Real clients install from a bucket of a real S3 server.

use std::fs;

use crate::mix::mix_home;
use crate::support::forge::Scene;
use crate::support::s3::Bucket;
use crate::support::sample::Sample;
use crate::support::stage::{Ran, Stage};
use crate::{offline, rebar3, told};

/// Publishes the mirror of a folder of the stage, and returns its address.
fn published(stage: &Stage, bucket: &Bucket, folder: &str, options: &[&str]) -> String {
    let url = format!("s3://{}/hex", bucket.name);
    let mut command = offline(stage, folder, &[&["publish", &url], options].concat());
    Ran::of(command.envs(bucket.variables())).ok();
    bucket.url("hex")
}

#[test]
fn mix_installs_packages_and_git_dependencies() {
    let Some(bucket) = Bucket::new() else { return };
    let Some(sample) = Sample::new() else { return };
    let Some(mix_home) = mix_home(&sample.stage) else { return };
    let (stage, lock) = crate::git::whole_sample(sample);
    let url = published(&stage, &bucket, "project", &[]);
    let mix = |arguments: &[&str]| {
        let mut command = stage.sandbox.command("mix", &stage.project);
        command.env("MIX_HOME", &mix_home).env("HEX_HOME", stage.sandbox.path().join("hex"));
        let variables = Ran::of(&mut offline(&stage, "project", &["env", "--json", "--url", &url])).ok().json();
        for (name, value) in variables.as_object().expect("an object") {
            match value.as_str() {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Ran::of(command.args(arguments)).ok()
    };
    let key = stage.sandbox.path().join("key.pem");
    fs::write(&key, bucket.get("hex/public_key").body).unwrap();
    mix(&["hex.repo", "set", "hexpm", "--public-key", key.to_str().unwrap()]);
    let told = told(&mix(&["deps.get"]));
    assert!(!told.contains("Failed to check") && !told.contains("unsafe"), "{told}");
    assert_eq!(fs::read_to_string(stage.project.join("mix.lock")).unwrap(), lock, "the lock was changed");
    crate::git::has_whole_sample(&stage.project);
}

#[test]
fn rebar3_installs_from_an_empty_cache() {
    let Some(bucket) = Bucket::new() else { return };
    let Some(stage) = rebar3::prepare(true) else { return };
    let url = published(&stage, &bucket, "app", &[]);
    let mut command = stage.sandbox.command("rebar3", &stage.sandbox.path().join("app"));
    rebar3::installed(&stage, Ran::of(command.arg("get-deps").env("HEX_CDN", &url)));
}

#[test]
fn git_clones_from_a_bucket() {
    let Some(bucket) = Bucket::new() else { return };
    let scene = Scene::new();
    let revision = scene.forge.commit("team/lib", "main", &[("a", "1"), ("b", &"x".repeat(5000))]);
    scene.lock(&[("lib", "team/lib", &revision, "")]);
    scene.update();
    let stage = &scene.stage;
    let url = published(stage, &bucket, "project", &[]);
    for name in ["lib.git", "lib"] {
        stage
            .sandbox
            .git("", &["clone", "--quiet", &format!("{url}/git/forge.test/team/{name}"), &format!("cloned-{name}")]);
        assert_eq!(stage.sandbox.git(format!("cloned-{name}"), &["rev-parse", "HEAD"]), revision);
        stage.sandbox.git(format!("cloned-{name}"), &["fsck", "--strict"]);
    }
}
