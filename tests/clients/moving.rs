//! The steps of `docs/moving.md`, on a project with the hand-made recipe: a registry that `mix hex.registry build` made, and bare
//! clones, all committed to the working branch.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::git::{mix_exs, with_real_repositories};
use crate::mix::mix_home;
use crate::runs;
use crate::support::forge;
use crate::support::sample::Sample;
use crate::support::stage::{PROGRAM, Ran, Serving};

/// A fresh clone of a project with the recipe.
struct Recipe {
    scene: forge::Scene,
    mix_home: OsString,
    clone: PathBuf,
}

impl Recipe {
    /// Makes the recipe with its real parts. `None`, with a message, if anything is missing.
    fn new() -> Option<Self> {
        let sample = Sample::new()?;
        let mix_home = mix_home(&sample.stage)?;
        let data = sample.data.clone();
        if !runs(&sample.stage, "openssl", &["version"], &[]) {
            eprintln!("skipped: there is no openssl");
            return None;
        }
        let scene = with_real_repositories(sample);
        let (stage, sandbox) = (&scene.stage, scene.sandbox());
        let lock = fs::read_to_string(stage.project.join("mix.lock")).unwrap();
        stage.write("mix.exs", &mix_exs(&lock));
        fs::create_dir_all(stage.project.join(".hex_repo/tarballs")).unwrap();
        for entry in data.join(".hex_repo/tarballs").read_dir().unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), stage.project.join(".hex_repo/tarballs").join(entry.file_name())).unwrap();
        }
        let run = |program: &str, arguments: &[&str]| {
            let mut command = sandbox.command(program, &stage.project);
            Ran::of(command.args(arguments).env("MIX_HOME", &mix_home).env("HEX_HOME", sandbox.path().join("hex")))
                .ok();
        };
        run("openssl", &["genrsa", "-out", "../private_key.pem"]);
        run("mix", &["hex.registry", "build", ".hex_repo", "--name=hexpm", "--private-key=../private_key.pem"]);
        for name in ["wistia/elixir_nsq", "annkissam/rummage_ecto"] {
            let to = format!(".git_repo/{name}.git");
            stage.git(&["clone", "--quiet", "--bare", &format!("https://github.com/{name}.git"), &to]);
        }
        stage.git(&["checkout", "--quiet", "-B", "main"]);
        stage.git(&["add", "--all", "--force"]);
        stage.git(&["commit", "--quiet", "--message=Mirror the dependencies"]);
        sandbox.git("", &["clone", "--quiet", "--bare", "project", "remote.git"]);
        sandbox.git("", &["clone", "--quiet", "remote.git", "clone"]);
        sandbox.git("clone", &["config", "user.name", "Test"]);
        sandbox.git("clone", &["config", "user.email", "test@example.com"]);
        let clone = sandbox.path().join("clone");
        Some(Self { scene, mix_home, clone })
    }

    /// Prepares to run a program in the clone, with the sample's registry as hex.pm.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let sandbox = self.scene.sandbox();
        let mut command = sandbox.command(program, &self.clone);
        let mut path = Path::new(PROGRAM).parent().unwrap().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        command.args(arguments).env("PATH", path);
        command.env("MIX_HOME", &self.mix_home).env("HEX_HOME", sandbox.path().join("hex"));
        command.env("HEXMIRROR_URL", self.scene.stage.upstream.url());
        command.env("HEXMIRROR_PUBLIC_KEY", sandbox.path().join("hexpm.pem"));
        command
    }

    /// The same without a network: neither upstream nor the forge can be reached, and hex.pm's key is the built-in one.
    fn offline(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(program, arguments);
        command.env("HEXMIRROR_URL", "http://127.0.0.1:1").env_remove("HEXMIRROR_PUBLIC_KEY");
        command.env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
    }

    /// Checks that the clone has all dependencies, and that mix did not change the lock.
    fn installed(&self) {
        crate::git::has_whole_sample(&self.clone);
        assert_eq!(self.scene.sandbox().git("clone", &["status", "--porcelain", "--", "mix.lock"]), "");
    }
}

/// Returns the commands in a section of the page, in order.
fn steps(heading: &str) -> Vec<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/moving.md")).unwrap();
    let section = page.split_once(&format!("## {heading}\n")).expect("a section").1.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let steps: Vec<String> = blocks.flat_map(str::lines).map(str::to_owned).collect();
    assert!((2..10).contains(&steps.len()), "{steps:?}");
    steps
}

#[test]
fn with_a_network_nothing_is_downloaded_twice_and_the_recipe_can_go() {
    let Some(recipe) = Recipe::new() else { return };
    for step in steps("With a network") {
        Ran::of(&mut recipe.command("bash", &["-e", "-c", &step])).ok();
    }
    let requests = recipe.scene.stage.upstream.requests("*");
    let asked = |folder: &str| requests.iter().filter(|request| request.path().starts_with(folder)).count();
    assert_eq!(asked("/tarballs/"), 0);
    assert!(asked("/packages/") >= 32);
    assert!(!recipe.clone.join(".hex_repo").exists() && !recipe.clone.join(".git_repo").exists());
    // A colleague has everything, without a network and without the recipe's key.
    let sandbox = recipe.scene.sandbox();
    sandbox.git("clone", &["push", "--quiet", "origin", "main"]);
    fs::remove_dir_all(&recipe.clone).unwrap();
    sandbox.git("", &["clone", "--quiet", "remote.git", "clone"]);
    let key = sandbox.path().join("hexpm.pem");
    let offline = |arguments: &[&str]| {
        let mut command = recipe.offline(arguments[0], &arguments[1..]);
        Ran::of(command.env("HEXMIRROR_PUBLIC_KEY", &key)).ok()
    };
    offline(&["git", "hexmirror", "status"]).prints("fresh");
    offline(&["mix", "hex.repo", "set", "hexpm", "--public-key", key.to_str().unwrap()]);
    offline(&["git", "hexmirror", "run", "--", "mix", "deps.get"]);
    recipe.installed();
}

#[test]
fn without_a_network_applications_keep_their_entrypoint() {
    let Some(recipe) = Recipe::new() else { return };
    let mut steps = steps("Without a network");
    let serve = steps.pop().unwrap();
    for step in steps {
        Ran::of(&mut recipe.offline("bash", &["-e", "-c", &step])).ok();
    }
    Ran::of(&mut recipe.offline("git", &["hexmirror", "status"])).exits(1).prints("registry entry");
    let arguments: Vec<&str> = serve.split_whitespace().skip(1).chain(["--listen=127.0.0.1:0"]).collect();
    let serving = Serving::start(&mut recipe.offline("git", &arguments));
    // What the recipe's entrypoint does.
    let add = ["hex.repo", "add", "hexpm", &serving.url, "--public-key=.hex_repo/public_key"];
    Ran::of(&mut recipe.offline("mix", &add)).ok();
    let mut command = recipe.offline("mix", &["deps.get"]);
    let rule = format!("url.{}/git/github.com/.insteadOf", serving.url);
    command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", rule).env("GIT_CONFIG_VALUE_0", "https://github.com/");
    Ran::of(&mut command).ok();
    recipe.installed();
    assert_eq!(recipe.scene.stage.upstream.count("*"), 0);
    // With a network again, the mirror needs the recipe's key no longer.
    Ran::of(&mut recipe.command("git", &["hexmirror", "update"])).ok().says("removed the imported index");
    Ran::of(&mut recipe.command("git", &["hexmirror", "status"])).ok().prints("fresh");
    // git runs the server as a child process.
    drop(serving);
}
