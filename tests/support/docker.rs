//! The Docker engine, and the images that stand in for those of `examples/docker`.
//!
//! No registry is needed: an image of folders and links is imported, and the host's `/usr` is mounted into its containers. All
//! images and containers have the label [`LABEL`] and are removed on drop. If a test was killed, this removes the rest:
//! `docker rm -fv $(docker ps -aq --filter label=git-hexmirror.test)`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, id};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::stage::{PROGRAM, Ran};

const LABEL: &str = "git-hexmirror.test";

/// The seconds after which a container that has not ended fails the test.
const PATIENCE: &str = "120";

/// An engine with an image for the server and one for the applications.
pub struct Docker {
    compose: &'static [&'static str],
    /// The folder with the override file.
    own: TempDir,
    /// Names the images and the compose project, so that tests can run at once.
    name: String,
}

impl Docker {
    /// Imports the images. `None`, with a message, if there is no usable engine.
    pub fn start() -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let skipped = |reason: &str| {
            eprintln!("skipped: {reason}");
            None
        };
        let runs = |words: &[&str]| {
            let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output();
            output.is_ok_and(|output| output.status.success())
        };
        if !runs(&["docker", "version"]) {
            return skipped("no Docker engine is running");
        }
        let known: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
        let Some(compose) = known.into_iter().find(|words| runs(&[*words, &["version"]].concat())) else {
            return skipped("there is neither `docker compose` nor docker-compose");
        };
        let own = tempfile::tempdir().expect("a temporary folder");
        let name = format!("hexmirror-test-{}-{}", id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let docker = Self { compose, own, name };
        docker.import("server", &server_settings());
        docker.import("app", &[]);
        // An engine on another machine, or in a virtual machine, does not see the files of this one.
        let mut command = Command::new("docker");
        command.args(["run", "--rm", "--network=none", "--label", LABEL, "--volume=/usr:/usr:ro"]);
        command.arg(format!("--volume={PROGRAM}:/git-hexmirror:ro")).arg(docker.image("app"));
        if Ran::of(command.args(["/git-hexmirror", "--version"]).stdin(Stdio::null())).code != Some(0) {
            return skipped("the containers of this Docker engine cannot run the programs of this machine");
        }
        Some(docker)
    }

    fn image(&self, kind: &str) -> String {
        format!("{}:{kind}", self.name)
    }

    /// Imports an image whose programs are those of the host.
    fn import(&self, kind: &str, settings: &[String]) {
        let root = self.own.path().join(kind);
        for folder in ["etc", "project", "usr", "var", "tmp", "tls", "root", "run", "dev", "proc", "sys"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for open in ["tmp", "tls", "root"] {
            fs::set_permissions(root.join(open), std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
        }
        for link in ["bin", "sbin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{link}"), root.join(link)).unwrap();
        }
        fs::write(root.join("git-hexmirror"), "").unwrap();
        fs::write(root.join("etc/gitconfig"), "[safe]\n\tdirectory = /project\n").unwrap();
        let mut tar = Command::new("tar")
            .arg("-c")
            .arg("-C")
            .arg(&root)
            .args(["--owner=0", "--group=0", "."])
            .stdout(Stdio::piped())
            .spawn()
            .expect("tar can be run");
        let mut command = Command::new("docker");
        command.args(["import", "--change", &format!("LABEL {LABEL}=1")]);
        for setting in settings {
            command.args(["--change", setting]);
        }
        command.args(["-", &self.image(kind)]).stdin(tar.stdout.take().expect("piped"));
        Ran::of(&mut command).ok();
        assert!(tar.wait().unwrap().success());
    }

    /// Runs `docker` with these arguments.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(Command::new("docker").args(arguments).stdin(Stdio::null()))
    }

    /// Returns the compose project of a folder, whose `compose.yaml` is one of `examples/docker`. `services` changes or adds
    /// settings of services, as a compose file does.
    pub fn compose(&self, folder: &Path, services: &Value) -> Compose<'_> {
        let mix_home = std::env::var_os("HEXMIRROR_TEST_MIX_HOME").or_else(|| std::env::var_os("MIX_HOME"));
        let mix_home = mix_home.map_or_else(|| std::env::home_dir().unwrap_or_default().join(".mix"), PathBuf::from);
        let owner = format!("{}:{}", rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let app = json!({
            "image": self.image("app"),
            "user": owner,
            "labels": {LABEL: "1"},
            "environment": {"MIX_HOME": "/mix-home", "HOME": "/root", "LC_ALL": "C.UTF-8"},
            "volumes": ["/usr:/usr:ro", format!("{}:/mix-home:ro", mix_home.display())],
        });
        let server = json!({
            "image": self.image("server"),
            "labels": {LABEL: "1"},
            "volumes": ["/usr:/usr:ro", format!("{PROGRAM}:/git-hexmirror:ro")],
        });
        let own = self.own.path().join("own.json");
        let given = self.own.path().join("given.json");
        let text = fs::read_to_string(folder.join("compose.yaml")).expect("a compose file");
        let defined =
            ["mirror", "elixir", "erlang"].into_iter().filter(|name| text.contains(&format!("\n  {name}:\n")));
        let standing_in: serde_json::Map<_, _> = defined
            .map(|name| (name.to_owned(), if name == "mirror" { server.clone() } else { app.clone() }))
            .collect();
        fs::write(&own, json!({"services": standing_in}).to_string()).unwrap();
        let mut files = vec![PathBuf::from("compose.yaml"), own];
        // docker-compose 1 takes a file without services for one of its oldest format.
        if services.as_object().is_some_and(|services| !services.is_empty()) {
            fs::write(&given, json!({"services": services}).to_string()).unwrap();
            files.push(given);
        }
        Compose { docker: self, folder: folder.to_owned(), files }
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.run(&["rmi", "--force", &self.image("server"), &self.image("app")]);
    }
}

/// Returns the settings of the server's image, from the last stage of its Dockerfile.
fn server_settings() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/docker/Dockerfile");
    let text = fs::read_to_string(file).expect("a Dockerfile");
    let last = text.rsplit_once("\nFROM ").expect("stages").1;
    let kinds = ["ENV ", "USER ", "WORKDIR ", "EXPOSE ", "ENTRYPOINT ", "CMD ", "HEALTHCHECK "];
    let settings = last.lines().filter(|line| kinds.iter().any(|kind| line.starts_with(kind)));
    let settings: Vec<String> = settings.map(str::to_owned).collect();
    assert_eq!(settings.len(), kinds.len(), "{settings:?}");
    settings
}

/// The services of a compose file. They are removed on drop, with their networks and volumes.
pub struct Compose<'a> {
    docker: &'a Docker,
    folder: PathBuf,
    files: Vec<PathBuf>,
}

impl Compose<'_> {
    /// Prepares to run `docker compose` with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.docker.compose[0]);
        command.args(&self.docker.compose[1..]).args(["-p", &self.docker.name]);
        for file in &self.files {
            command.arg("-f").arg(file);
        }
        // Absolute paths of the override files do not move the project's folder.
        command.args(["--project-directory", "."]);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    /// Runs `docker compose` with these arguments.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// Starts services in the background, as soon as those that they depend on are healthy.
    pub fn up(&self, services: &[&str]) -> Ran {
        self.run(&[&["up", "--detach", "--no-build"], services].concat())
    }

    /// Returns the container of a service.
    pub fn container(&self, service: &str) -> String {
        let project = format!("label=com.docker.compose.project={}", self.docker.name);
        let service = format!("label=com.docker.compose.service={service}");
        let ran = self.docker.run(&["ps", "--all", "--quiet", "--filter", &project, "--filter", &service]).ok();
        let ids: Vec<&str> = ran.stdout.lines().collect();
        assert_eq!(ids.len(), 1, "{ran:#?}");
        ids[0].to_owned()
    }

    /// Waits until a service's container has ended, and returns its result.
    pub fn ended(&self, service: &str) -> Ran {
        let container = self.container(service);
        let waited = Ran::of(Command::new("timeout").args([PATIENCE, "docker", "wait", &container]));
        let logs = self.docker.run(&["logs", &container]);
        let code = waited.stdout.trim().parse().ok();
        assert!(code.is_some(), "{service} has not ended: {logs:#?}");
        Ran { code, ..logs }
    }

    /// Returns what `docker network inspect` says about a network of the compose file.
    pub fn network(&self, name: &str) -> Value {
        let name = format!("{}_{name}", self.docker.name);
        self.docker.run(&["network", "inspect", &name]).ok().json()[0].clone()
    }

    /// Returns what `docker inspect` says about a service's container, by a path such as `/HostConfig/CapDrop`.
    pub fn inspect(&self, service: &str, path: &str) -> Value {
        let inspected = self.docker.run(&["inspect", &self.container(service)]).ok().json();
        inspected[0].pointer(path).unwrap_or_else(|| panic!("no {path}: {inspected}")).clone()
    }
}

impl Drop for Compose<'_> {
    fn drop(&mut self) {
        self.run(&["down", "--volumes", "--remove-orphans", "--timeout=2"]);
    }
}
