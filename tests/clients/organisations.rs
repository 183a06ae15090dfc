//! mix with Hex for organisations and self-hosted repositories. `HEX_MIRROR` does not redirect those that the user has
//! configured, so `run` and `env` give Hex a configuration of their own.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::mix::mix_home;
use crate::support::registry::Registry;
use crate::support::stage::{Ran, Stage};
use crate::support::upstream::TestUpstream;

const PINNED: [&str; 4] = ["alpha 1.0.0", "hexpm:acme/secret 0.1.0", "hexpm:corp/hidden 0.2.0", "other/thing 1.0.0"];
const MIX_EXS: &str = r#"defmodule App.MixProject do
  use Mix.Project
  def project, do: [app: :app, version: "0.1.0", deps: deps()]
  defp deps do
    [
      {:alpha, "1.0.0"},
      {:secret, "0.1.0", organization: "acme"},
      {:hidden, "0.2.0", organization: "corp"},
      {:thing, "1.0.0", repo: "other"}
    ]
  end
end
"#;

/// A project with packages of hexpm, two organisations, and a self-hosted repository.
struct Scene {
    stage: Stage,
    mix_home: OsString,
    /// The self-hosted repository, until it is stopped.
    other: Option<Stage>,
}

/// Mirrors the project's packages and stops all upstreams. `None`, with a message, if there is no mix with Hex.
fn prepare() -> Option<Scene> {
    let mut scene = online()?;
    let nowhere = tempfile::tempdir().expect("a temporary folder");
    scene.stage.upstream = TestUpstream::serve(nowhere.path());
    scene.other = None;
    Some(scene)
}

/// Mirrors the project's packages.
fn online() -> Option<Scene> {
    let mut registry = Registry::sample();
    registry.publish("hexpm:corp/hidden 0.2.0", &[], &[("lib/hidden.ex".into(), "hidden".into())]);
    registry.publish("other/thing 1.0.0", &[], &[("lib/thing.ex".into(), "thing".into())]);
    let stage = Stage::with(registry.clone(), &PINNED);
    let mix_home = mix_home(&stage)?;
    let other = Stage::without_lock(registry);
    let published = other.registry.get("other/thing 1.0.0");
    other.upstream.put("tarballs/thing-1.0.0.tar", &published.tarball);
    stage.git(&["config", "hexmirror.other.url", &other.upstream.url()]);
    let key = other.sandbox.path().join("hexpm.pem");
    let kept = stage.sandbox.path().join("other.pem");
    fs::copy(key, &kept).expect("a writable folder");
    stage.git(&["config", "hexmirror.other.publicKey", kept.to_str().expect("a path in Unicode")]);
    stage.write("mix.exs", MIX_EXS);
    stage.run(&["update"]).ok();
    Some(Scene { stage, mix_home, other: Some(other) })
}

impl Scene {
    fn home(&self) -> PathBuf {
        self.stage.sandbox.path().join("hex")
    }

    /// Writes the user's Hex configuration.
    fn configure(&self, repositories: &str, more: &str) -> String {
        let text = format!("{{'$repos',#{{{repositories}}}}}.\n{more}");
        fs::create_dir_all(self.home()).expect("a writable folder");
        fs::write(self.home().join("hex.config"), &text).expect("a writable folder");
        text
    }

    /// Gives a command mix, the user's Hex configuration, and no API to exchange a key at.
    fn client(&self, mut command: Command) -> Command {
        command
            .env("MIX_HOME", &self.mix_home)
            .env("HEX_HOME", self.home())
            .env("HEX_API_URL", "http://127.0.0.1:1/api");
        command
    }

    fn run(&self) -> Command {
        self.client(self.stage.command(&["run", "--", "mix", "deps.get"]))
    }

    /// Checks that the run installed everything from the mirror.
    #[track_caller]
    fn installed(&self, ran: Ran) {
        let ran = ran.ok();
        let told = crate::told(&ran);
        for nuisance in ["Failed", "warning", "HTTP", "deprecated", "authenticate"] {
            assert!(!told.contains(nuisance), "{nuisance:?} is told: {told}");
        }
        for name in ["alpha", "secret", "hidden", "thing"] {
            assert!(self.stage.project.join("deps").join(name).join(".hex").exists(), "{name}: {told}");
        }
        let lock = fs::read_to_string(self.stage.project.join("mix.lock")).expect("a lock");
        assert_eq!(lock.matches("\"hexpm:acme\"").count(), 1, "{lock}");
        if self.other.is_none() {
            crate::nobody_was_asked(&self.stage);
        }
    }
}

#[test]
fn installs_whatever_the_user_has_configured() {
    let Some(scene) = prepare() else { return };
    let key = "auth_key => <<\"top-secret\">>";
    let expired = format!("{key}, oauth_token => #{{access_token => <<\"old\">>,expires_at => 1}}");
    let other = "fetch_public_key => nil,oauth_exchange => false,url => <<\"http://127.0.0.1:1\">>";
    let with_key = format!("<<\"hexpm:acme\">> => #{{{key}}}");
    for (case, repositories) in [
        ("an organisation with a key", with_key.clone()),
        ("without a key", "<<\"hexpm:acme\">> => #{url => <<\"https://repo.hex.pm/repos/acme\">>}".into()),
        ("an unknown organisation", "<<\"hexpm:elsewhere\">> => #{}".into()),
        ("a self-hosted repository with a key", format!("<<\"other\">> => #{{{key},public_key => nil,{other}}}")),
        ("several", format!("{with_key},<<\"hexpm:corp\">> => #{{{key}}},<<\"other\">> => #{{{key},{other}}}")),
        ("an expired key", format!("<<\"hexpm:acme\">> => #{{{expired}}}")),
    ] {
        let before = scene.configure(&repositories, "{cooldown,<<\"0d\">>}.\n");
        let _ = fs::remove_dir_all(scene.stage.project.join("deps"));
        eprintln!("{case}");
        scene.installed(Ran::of(&mut scene.run()));
        let files: Vec<_> = fs::read_dir(scene.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(files, ["hex.config"], "{case}: Hex wrote to the user's folder");
        assert_eq!(fs::read_to_string(scene.home().join("hex.config")).unwrap(), before, "{case}");
    }
    let own = fs::read_dir(scene.stage.project.join(".git/hexmirror")).unwrap();
    let left = own.map(|entry| entry.unwrap().file_name().into_string().unwrap()).find(|name| name.starts_with("tmp-"));
    assert_eq!(left, None, "a temporary folder is left");
}

#[test]
fn installs_from_an_empty_hex_home() {
    let Some(scene) = prepare() else { return };
    fs::create_dir(scene.home()).unwrap();
    scene.installed(Ran::of(&mut scene.run()));
    assert_eq!(fs::read_dir(scene.home()).unwrap().count(), 0);
}

#[test]
fn hex_mirror_alone_does_not_lead_to_an_organisation_with_a_key() {
    let Some(scene) = prepare() else { return };
    scene.configure("<<\"hexpm:acme\">> => #{auth_key => <<\"top-secret\">>}", "");
    // The reason for a configuration of its own. If Hex changes, this test says so.
    let script = "HEX_HOME=\"$1\" mix deps.get";
    let home = scene.home();
    let arguments = ["run", "--", "sh", "-c", script, "sh", home.to_str().unwrap()];
    let ran = Ran::of(&mut scene.client(scene.stage.command(&arguments)));
    assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
}

#[test]
fn no_key_is_sent_to_the_mirror() {
    let Some(scene) = online() else { return };
    scene.configure(
        "<<\"hexpm\">> => #{auth_key => <<\"top-secret\">>},<<\"hexpm:acme\">> => #{auth_key => <<\"top-secret\">>}",
        "{repos_key,<<\"top-secret\">>}.\n{'$oauth_token',#{access_token => <<\"top-secret\">>,expires_at => 99999999999}}.\n",
    );
    // A repository in place of the mirror, because it records what it is asked.
    let script = "eval \"$(\"$PROGRAM\" env --url \"$1\")\" && mix deps.get && stat -c %a \"$HEX_HOME/hex.config\"";
    let mut shell = scene.client(scene.stage.sandbox.command("sh", &scene.stage.project));
    let url = scene.stage.upstream.url();
    shell.args(["-ec", script, "sh", &url]).env("PROGRAM", crate::support::stage::PROGRAM);
    shell.env("HEXMIRROR_PUBLIC_KEY", scene.stage.sandbox.path().join("hexpm.pem"));
    shell.env("HEX_REPOS_KEY", "top-secret").env("HEX_API_KEY", "top-secret");
    scene.stage.upstream.put("installs/hex-1.x.csv", b"");
    scene.stage.upstream.put(
        "repos/other/packages/thing",
        &git_hexmirror::hex::gzip::gzip(&scene.stage.registry.signed("other/thing")),
    );
    scene
        .stage
        .upstream
        .put("repos/other/tarballs/thing-1.0.0.tar", &scene.stage.registry.get("other/thing 1.0.0").tarball);
    let ran = Ran::of(&mut shell);
    scene.installed(ran.clone());
    ran.prints("600\n");
    let requests = scene.stage.upstream.requests("*");
    assert!(requests.iter().any(|request| request.path() == "/repos/acme/tarballs/secret-0.1.0.tar"));
    let leaked =
        requests.iter().find(|request| request.header("authorization").is_some_and(|sent| sent.contains("top-secret")));
    assert!(leaked.is_none(), "{leaked:?}");
    let homes = scene.stage.project.join(".git/hexmirror/hex-home");
    for home in fs::read_dir(homes).unwrap() {
        let text = fs::read_to_string(home.unwrap().path().join("hex.config")).unwrap();
        assert!(!text.contains("top-secret"), "{text}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_replaced_by_a_temporary_one() {
    let stage = Stage::mirrored();
    let own = stage.project.join(".git/hexmirror");
    let in_the_way = own.join("hex-home");
    fs::write(&in_the_way, "").unwrap();
    stage.lock(&["alpha 1.0.0", "hexpm:acme/secret 0.1.0"]);
    stage.run(&["update"]).ok();
    // As `run` does, `env` then uses a folder among the system's temporary files.
    let elsewhere = stage.sandbox.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let temporary = [("TMPDIR", elsewhere.to_str().unwrap())];
    let script = "grep -c hexpm:acme \"$HEX_HOME/hex.config\"";
    let seen = stage.run_with(&["run", "--", "sh", "-c", script], &temporary).ok();
    assert_eq!(seen.stdout, "1\n");
    let home = || {
        let home = stage.run_with(&["env", "--json"], &temporary).ok().json()["HEX_HOME"].as_str().unwrap().to_owned();
        assert!(home.starts_with(elsewhere.to_str().unwrap()), "{home}");
        assert!(fs::read_to_string(PathBuf::from(&home).join("hex.config")).unwrap().contains("hexpm:acme"));
        home
    };
    let first = home();
    assert_eq!((home(), fs::read_dir(&elsewhere).unwrap().count()), (first.clone(), 1));
    // Anyone can create a folder or a link of that name.
    let renamed = stage.sandbox.path().join("renamed");
    fs::rename(&first, &renamed).unwrap();
    std::os::unix::fs::symlink(&renamed, &first).unwrap();
    assert_ne!(home(), first);
    fs::remove_file(&first).unwrap();
    fs::create_dir(&first).unwrap();
    fs::set_permissions(&first, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_ne!(home(), first);
    assert_eq!(fs::read_dir(&first).unwrap().count(), 0);
    let told = stage.run_with(&["env"], &[("TMPDIR", "/nonexistent")]).exits(5).says("set TMPDIR to a writable folder");
    assert!(!told.stdout.contains("HEX_MIRROR"), "{told:?}");
    stage.run_with(&["run", "--", "true"], &[("TMPDIR", "/nonexistent")]).ok();
    fs::rename(&own, own.with_file_name("aside")).unwrap();
    fs::write(&own, "").unwrap();
    stage
        .run_with(&["run", "--", "true"], &[("TMPDIR", "/nonexistent")])
        .exits(5)
        .says("set TMPDIR to a writable folder");
    fs::remove_file(&own).unwrap();
    fs::rename(own.with_file_name("aside"), &own).unwrap();
    fs::remove_file(in_the_way).unwrap();
    let folder = |url: &str| {
        let variables = stage.run(&["env", "--json", "--url", url]).ok().json();
        variables["HEX_HOME"].as_str().expect("a folder").to_owned()
    };
    assert_eq!(folder("http://127.0.0.1:1"), folder("http://127.0.0.1:1"));
    assert_ne!(folder("http://127.0.0.1:1"), folder("http://127.0.0.1:2"));
    assert!(!stage.run(&["env", "--format", "docker"]).ok().stdout.contains("HEX_HOME"));
    let left = fs::read_dir(own).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.starts_with('.') || name.starts_with("tmp-")).count(), 0);
}
