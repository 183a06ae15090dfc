//! Containers, started with the files in `examples/docker`, install everything from the mirror. They reach no other network.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::git::{mix_exs, with_real_repositories};
use crate::mix::mix_home;
use crate::rebar3::{PACKAGES, rebar_lock, trusting};
use crate::runs;
use crate::support::docker::{Compose, Docker};
use crate::support::forge;
use crate::support::sample::Sample;
use crate::support::stage::{PROGRAM, Ran, Stage};

const LIB: &str = "https://github.com/team/lib.git";

/// A project with an Elixir application and, in `agent`, an Erlang application, both with Hex packages and git dependencies.
struct Scene {
    inner: forge::Scene,
    docker: Docker,
    /// The revision of the Erlang application's git dependency.
    revision: String,
}

impl Scene {
    /// The project with its mirror. `None`, with a message, if anything is missing.
    fn new() -> Option<Self> {
        let scene = Self::without_mirror()?;
        scene.stage().run(&["update"]).ok();
        Some(scene)
    }

    /// The project alone.
    fn without_mirror() -> Option<Self> {
        let sample = Sample::new()?;
        let mix_home = mix_home(&sample.stage)?;
        if !runs(&sample.stage, "rebar3", &["version"], &[]) {
            eprintln!("skipped: there is no rebar3");
            return None;
        }
        let docker = Docker::start()?;
        let key = sample.data.join(".hex_repo/public_key");
        let lock = fs::read_to_string(sample.data.join("mix.lock")).unwrap();
        let inner = with_real_repositories(sample);
        let app =
            |name: &str| format!("{{application, {name}, [{{vsn, \"1\"}}, {{applications, [kernel, stdlib]}}]}}.\n");
        let files = [("src/lib.app.src", &*app("lib")), ("rebar.config", "{deps, []}.\n")];
        let revision = inner.forge.commit("team/lib", "main", &files);
        let stage = &inner.stage;
        stage.write("mix.exs", &mix_exs(&lock));
        let git = format!("{{git,\"{LIB}\",{{ref,\"{revision}\"}}}}");
        stage.write("agent/rebar.config", &format!("{{deps, [{{cowboy, \"2.9.0\"}}, {{lib, {git}}}]}}.\n"));
        let ranch = "{<<\"ranch\">>,{pkg";
        let agent = rebar_lock(&lock).replace(ranch, &format!("{{<<\"lib\">>,{git},0}},\n{ranch}"));
        stage.write("agent/rebar.lock", &agent);
        stage.write("agent/src/agent.app.src", &app("agent"));
        stage.git(&["add", "--all"]);
        stage.git(&["commit", "--quiet", "--message=Add the applications"]);
        // The sample's registry is signed with its own key, which the server and all clients receive.
        let mut mix = stage.sandbox.command("mix", &stage.project);
        mix.args(["hex.repo", "set", "hexpm", "--public-key"]).arg(&key);
        Ran::of(mix.env("MIX_HOME", mix_home).env("HEX_HOME", stage.sandbox.path().join("hex"))).ok();
        let config = trusting(&fs::read_to_string(&key).unwrap());
        fs::write(stage.sandbox.path().join("rebar3.config"), config).unwrap();
        fs::copy(&key, stage.project.join(".git/hexpm.pem")).unwrap();
        stage.git(&["config", "hexmirror.hexpm.publicKey", ".git/hexpm.pem"]);
        Some(Self { inner, docker, revision })
    }

    fn stage(&self) -> &Stage {
        &self.inner.stage
    }

    /// Copies an example into the project, as a user would, and prepares its services. `services` adds to them.
    fn example(&self, name: &str, services: &Value) -> Compose<'_> {
        self.copy(name);
        self.docker.compose(&self.stage().project, services)
    }

    fn copy(&self, name: &str) {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/docker").join(name);
        let mut copy = self.stage().sandbox.command("cp", "".as_ref());
        assert!(copy.arg("-r").arg(example.join(".")).arg(&self.stage().project).status().unwrap().success());
    }

    /// The files with the key of the sample's registry, for services whose example leaves the default in place.
    fn keys(&self) -> Value {
        let sandbox = self.stage().sandbox.path().display();
        json!({
            "elixir": {"volumes": [format!("{sandbox}/hex:/root/.hex")]},
            "erlang": {"volumes": [format!("{sandbox}/rebar3.config:/root/.config/rebar3/rebar.config:ro")]},
        })
    }

    /// Waits for both applications, and checks that they have installed what their locks pin.
    fn installed(&self, compose: &Compose) {
        let stage = self.stage();
        for service in ["elixir", "erlang"] {
            let ran = compose.ended(service).ok();
            for nuisance in ["Failed to fetch", "unsafe", "out of date", "Unknown CA"] {
                assert!(!format!("{ran:?}").contains(nuisance), "{nuisance:?} is told: {ran:#?}");
            }
        }
        crate::git::has_whole_sample(&stage.project);
        let built = stage.project.join("agent/_build/default/lib");
        for (name, _) in PACKAGES {
            assert!(built.join(name).join("hex_metadata.config").exists(), "{name}");
        }
        assert_eq!(stage.sandbox.git(built.join("lib"), &["rev-parse", "HEAD"]), self.revision);
        assert_eq!(stage.git(&["status", "--porcelain", "--", "mix.lock"]), "", "the lock was changed");
    }
}

/// Checks that a server has no more rights than the examples say.
fn is_confined(compose: &Compose) {
    for (path, expected) in [
        ("/Config/User", json!("65532:65532")),
        ("/HostConfig/ReadonlyRootfs", json!(true)),
        ("/HostConfig/CapDrop", json!(["ALL"])),
        ("/HostConfig/SecurityOpt", json!(["no-new-privileges:true"])),
        ("/State/Health/Status", json!("healthy")),
    ] {
        assert_eq!(compose.inspect("mirror", path), expected, "{path}");
    }
}

#[test]
fn applications_install_through_hex_mirror_and_instead_of() {
    let Some(scene) = Scene::new() else { return };
    let compose = scene.example("mirror", &scene.keys());
    compose.up(&[]).ok();
    is_confined(&compose);
    scene.installed(&compose);
    let network = compose.network("offline");
    assert_eq!(network["Internal"], json!(true), "{network}");
}

#[test]
fn applications_install_under_the_names_of_the_replaced_servers() {
    let Some(scene) = Scene::new() else { return };
    let compose = scene.example("alias", &json!({"elixir": scene.keys()["elixir"]}));
    let config = scene.stage().project.join("rebar3.config");
    let key = fs::read_to_string(scene.stage().sandbox.path().join("rebar3.config")).unwrap();
    fs::write(&config, fs::read_to_string(&config).unwrap() + &key).unwrap();
    compose.up(&[]).ok();
    is_confined(&compose);
    scene.installed(&compose);
    // Clients verify the server: without its authority, each refuses it.
    let erase = ["run", "--rm", "-T", "-e", "GIT_SSL_CAINFO=/etc/gitconfig", "-e", "HEX_CACERTS_PATH=", "elixir"];
    let asked = |command: &[&str]| compose.run(&[&erase, command].concat());
    asked(&["git", "ls-remote", LIB]).exits(128).says("certificate");
    let ran = asked(&["sh", "-c", "rm -rf deps/jason && mix deps.get"]);
    assert_ne!(ran.code, Some(0), "{ran:#?}");
}

/// As in the hand-made recipe: the application's entrypoint adds the registry in `HEX_REGISTRY` with its public key.
#[test]
fn applications_install_from_the_pinned_index_with_the_recipes_entrypoint() {
    let Some(scene) = Scene::new() else { return };
    let stage = scene.stage();
    stage.run(&["index", "--init"]).ok();
    let key = stage.git(&["show", "hexmirror:hex/hexpm/index/public_key"]);
    stage.write(".hex_repo/public_key", &key);
    stage.write("rebar3.config", &trusting(&key));
    let compose = scene.example("pinned", &json!({}));
    compose.up(&[]).ok();
    is_confined(&compose);
    scene.installed(&compose);
}

#[test]
fn applications_install_without_any_network() {
    let Some(scene) = Scene::new() else { return };
    let mut services = scene.keys();
    for name in ["elixir", "erlang"] {
        services[name]["volumes"].as_array_mut().unwrap().push(format!("{PROGRAM}:/opt/bin/git-hexmirror:ro").into());
        services[name]["environment"] = json!({"PATH": "/opt/bin:/usr/local/bin:/usr/bin:/bin"});
    }
    let compose = scene.example("no-network", &services);
    compose.up(&[]).ok();
    scene.installed(&compose);
    assert_eq!(compose.inspect("elixir", "/HostConfig/NetworkMode"), json!("none"));
}

/// Reads a container's log until a line contains a text.
fn logged(compose: &Compose, service: &str, text: &str) {
    let mut command = Command::new("timeout");
    command.args(["60", "docker", "logs", "--follow", &compose.container(service)]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut others = Vec::new();
    let found = lines.any(|line| {
        let is_it = line.contains(text);
        others.push(line);
        is_it
    });
    let _ = child.kill();
    let _ = child.wait();
    assert!(found, "{text:?} is not logged: {others:#?}");
}

#[test]
fn the_server_waits_for_a_mirror_and_says_what_to_do() {
    let Some(scene) = Scene::without_mirror() else { return };
    let compose = scene.example("mirror", &scene.keys());
    compose.up(&["mirror"]).ok();
    logged(&compose, "mirror", "git hexmirror update");
    assert_ne!(compose.inspect("mirror", "/State/Health/Status"), json!("healthy"));
    scene.stage().run(&["update"]).ok();
    compose.up(&[]).ok();
    scene.installed(&compose);
}

#[test]
fn a_development_container_installs_when_it_is_created() {
    let Some(scene) = Scene::new() else { return };
    let project = &scene.stage().project;
    scene.copy("devcontainer");
    let folder = project.join(".devcontainer");
    let text = fs::read_to_string(folder.join("devcontainer.json")).unwrap();
    let settings: Value = serde_json::from_str(&text).unwrap();
    let text = |name: &str| settings[name].as_str().unwrap().to_owned();
    assert_eq!((text("dockerComposeFile"), text("service")), ("compose.yaml".into(), "elixir".into()));
    let compose = scene.docker.compose(&folder, &json!({"elixir": scene.keys()["elixir"]}));
    compose.up(&[]).ok();
    is_confined(&compose);
    let (folder, command) = (text("workspaceFolder"), text("postCreateCommand"));
    scene.docker.run(&["exec", "--workdir", &folder, &compose.container("elixir"), "sh", "-c", &command]).ok();
    assert!(project.join("deps/jason/.hex").exists() && project.join("deps/elixir_nsq/.git").exists());
}

#[test]
fn a_clone_of_another_user_is_served() {
    let Some(scene) = Scene::new() else { return };
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can change the owner of files");
    }
    const OTHER: &str = "12345:12345";
    let mut services = scene.keys();
    for name in ["elixir", "erlang"] {
        services[name]["user"] = json!(OTHER);
    }
    let compose = scene.example("mirror", &services);
    let given = |path: &Path| Command::new("chown").args(["-R", OTHER]).arg(path).status().unwrap().success();
    assert!(given(&scene.stage().project) && given(&scene.stage().sandbox.path().join("hex")));
    compose.up(&[]).ok();
    is_confined(&compose);
    for service in ["elixir", "erlang"] {
        compose.ended(service).ok();
    }
    assert!(scene.stage().project.join("deps/elixir_nsq/.git").exists());
}
