//! Checks documents: the tests, commands, options and files that they name exist, and the steps that they give work.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::registry::Registry;
use crate::support::stage::{PROGRAM, Ran, Stage};

/// The maximum number of lines of the README.
const README_LINES: usize = 150;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    let path = root().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the pages in `docs/`, as paths from the root.
fn pages() -> Vec<String> {
    let folder = fs::read_dir(root().join("docs")).unwrap();
    let mut pages: Vec<String> =
        folder.map(|entry| format!("docs/{}", entry.unwrap().file_name().into_string().unwrap())).collect();
    pages.sort();
    pages
}

/// Returns the documents that describe the program as it is.
fn documents() -> Vec<String> {
    let mut documents: Vec<String> = ["README.md", "SECURITY.md", "CONTRIBUTING.md"].map(String::from).into();
    documents.extend(pages());
    documents
}

/// Splits a Markdown text into the lines outside and the lines inside of fenced code blocks.
fn split(text: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut prose, mut code, mut fenced) = (Vec::new(), Vec::new(), false);
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            code.push(line);
        } else {
            prose.push(line);
        }
    }
    assert!(!fenced, "a code block does not end");
    (prose, code)
}

/// Returns the texts between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_threat_model_names_tests_that_exist() {
    let text = read("SECURITY.md");
    let model = text.split_once("## Threat model").unwrap().1;
    let rows =
        model.lines().filter(|line| line.starts_with('|') && !line.starts_with("| cannot") && !line.contains("---"));
    let mut count = 0;
    for row in rows {
        let tests: Vec<&str> = quoted(row).filter(|text| text.contains("::")).collect();
        assert!(!tests.is_empty(), "no test: {row}");
        for test in tests {
            let (file, name) = test.split_once("::").unwrap();
            let source = read(&format!("tests/{file}"));
            assert!(source.contains(&format!("#[test]\nfn {name}()")), "{test} is not a test");
            count += 1;
        }
    }
    assert!(count > 30, "only {count}");
}

/// Returns the variables that the program reads, by the names of its own prefix in the sources.
fn variables() -> BTreeSet<String> {
    let files = walkdir::WalkDir::new(root().join("src")).into_iter().map(Result::unwrap);
    let sources = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "rs"));
    let mut names = BTreeSet::<String>::new();
    for source in sources {
        let text = fs::read_to_string(source.path()).unwrap();
        for (at, _) in text.match_indices("HEXMIRROR_") {
            let is_name = |letter: &char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || *letter == '_';
            names.insert(text[at..].chars().take_while(is_name).collect());
        }
    }
    // A comment may name all of them, and tests of this program have variables of their own.
    names.retain(|name| *name != "HEXMIRROR_" && !name.starts_with("HEXMIRROR_TEST_"));
    names
}

#[test]
fn every_variable_is_documented() {
    let all = variables();
    assert!(all.len() > 15, "{all:?}");
    for file in ["docs/settings.md", "src/bin/git-hexmirror/commands/man.roff"] {
        let text = read(file);
        let is_named = |name: &String| {
            text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').any(|word| word == name)
        };
        let missing: Vec<_> = all.iter().filter(|name| !is_named(name)).collect();
        assert!(missing.is_empty(), "{file} does not describe {missing:?}");
    }
}

/// The commands of the program, each with its options and subcommands, as `--help` lists them.
pub struct Definition(BTreeMap<String, Names>);

/// The options and subcommands of a command.
#[derive(Clone)]
struct Names {
    options: BTreeSet<String>,
    commands: BTreeSet<String>,
}

impl Definition {
    pub fn new() -> Self {
        let top = Names::of(&["--help"]);
        let mut commands: BTreeMap<String, Names> =
            top.commands.iter().map(|name| (name.clone(), Names::of(&["help", name]))).collect();
        for (name, names) in commands.clone() {
            for subcommand in names.commands.iter().filter(|name| *name != "help") {
                commands.insert(format!("{name} {subcommand}"), Names::of(&["help", &name, subcommand]));
            }
        }
        commands.insert(String::new(), top);
        Self(commands)
    }

    /// Returns what is wrong with the arguments of `git hexmirror`, if anything.
    pub fn refuse(&self, arguments: &str) -> Option<String> {
        let mut names = &self.0[""];
        let mut path = "git hexmirror".to_owned();
        let mut words = arguments.split_whitespace().map(bare);
        while let Some(word) = words.next() {
            match word {
                "" => {}
                // What follows belongs to another command, or is a comment.
                "--" | "|" | "||" | "&&" | "&" | ">" | ">>" | "#" => break,
                "-C" => drop(words.next()),
                _ if word.starts_with('-') => {
                    let option = word.split('=').next().unwrap_or(word);
                    if !names.options.contains(option) {
                        return Some(format!("`{path}` has no option {option}"));
                    }
                }
                // A word in capitals stands for something else.
                _ if path == "git hexmirror" || (!names.commands.is_empty() && word != "help") => {
                    if word.chars().all(|letter| letter.is_ascii_uppercase()) {
                        return None;
                    }
                    if !names.commands.contains(word) {
                        return Some(format!("`{path}` has no command {word}"));
                    }
                    path = format!("{path} {word}");
                    names = self.0.get(path.trim_start_matches("git hexmirror ")).unwrap_or(names);
                }
                _ => {}
            }
        }
        None
    }

    /// Returns whether any command has the option.
    fn has_option(&self, option: &str) -> bool {
        self.0.values().any(|names| names.options.contains(option))
    }
}

impl Names {
    /// Reads the help that the program prints.
    fn of(arguments: &[&str]) -> Self {
        let help = Ran::of(Command::new(PROGRAM).args(arguments)).ok().stdout;
        let defined = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        let words = defined.flat_map(|line| line.split_whitespace().take_while(|word| word.starts_with('-')));
        let options = words.map(|word| word.trim_end_matches([',', '.']).to_owned()).collect();
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        // The descriptions of commands continue on lines that are indented further.
        let commands = listed.filter(|line| !line.starts_with("   "));
        let commands = commands.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
        Self { options, commands }
    }
}

/// Removes the punctuation around a word of a text.
fn bare(word: &str) -> &str {
    word.trim_matches(['[', ']', '(', ')', '"', ',', ';', '`', '…'])
}

#[test]
fn documents_name_commands_and_options_that_exist() {
    let definition = Definition::new();
    let mut count = 0;
    let mut faults = Vec::new();
    for document in documents() {
        let text = read(&document);
        let (prose, code) = split(&text);
        let prose = prose.join("\n");
        for part in quoted(&prose).chain(code.iter().copied()) {
            for called in part.split("git hexmirror ").skip(1) {
                count += 1;
                faults.extend(definition.refuse(called).map(|fault| format!("{document}: {fault}")));
            }
        }
        for part in quoted(&prose) {
            // Tables and sentences name a command without `git hexmirror`, or an option alone.
            let word = part.split_whitespace().next().unwrap_or_default();
            if !word.is_empty() && definition.0.contains_key(word) && part.contains(" -") {
                count += 1;
                faults.extend(definition.refuse(part).map(|fault| format!("{document}: {fault}")));
            } else if word.starts_with("--") && word != "--" {
                count += 1;
                let known = definition.has_option(word) || ["--network=host"].contains(&word);
                faults.extend((!known).then(|| format!("{document}: no command has the option {word}")));
            }
        }
    }
    // The first cell of each row.
    for row in read("docs/commands.md").lines().filter(|line| line.starts_with("| `")) {
        for part in quoted(row.split(" | ").next().unwrap()) {
            count += 1;
            faults.extend(definition.refuse(part).map(|fault| format!("docs/commands.md: {fault}")));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(count > 150, "only {count}");
}

#[test]
fn unknown_commands_and_options_are_noticed() {
    let definition = Definition::new();
    for right in
        ["update --dry-run", "hooks install", "push --force-with-lease", "run -- mix test --cover", "COMMAND --help"]
    {
        assert_eq!(definition.refuse(right), None, "{right}");
    }
    for wrong in ["upgrade", "update --all", "hooks remove", "--list", "status [--settings] [--all]"] {
        assert!(definition.refuse(wrong).is_some(), "{wrong}");
    }
}

#[test]
fn every_command_is_in_the_reference() {
    let reference = read("docs/commands.md");
    for command in Definition::new().0.keys() {
        assert!(reference.contains(&format!("`{command}")), "{command}");
    }
}

/// Returns the anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let (prose, _) = split(text);
    let headings = prose.into_iter().filter(|line| line.starts_with('#'));
    let kept = |letter: char| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ => letter.is_alphanumeric().then(|| letter.to_ascii_lowercase()),
    };
    headings.map(|line| line.trim_start_matches('#').trim().chars().filter_map(kept).collect()).collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut linking = documents();
    linking.extend(["CHANGELOG.md", "benches/README.md", "campaigns/README.md", "fuzz/README.md"].map(String::from));
    let mut count = 0;
    for document in linking {
        let text = read(&document);
        let (prose, _) = split(&text);
        for link in prose.iter().flat_map(|line| line.split("](").skip(1)) {
            let target = link.split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            count += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = root().join(&document);
            let file = if path.is_empty() { folder } else { folder.parent().unwrap().join(path) };
            assert!(file.exists(), "{document}: there is no {target}");
            let anchors = if anchor.is_empty() { Vec::new() } else { anchors(&fs::read_to_string(file).unwrap()) };
            assert!(anchor.is_empty() || anchors.iter().any(|one| one == anchor), "{document}: {target}: {anchors:?}");
        }
    }
    assert!(count > 40, "only {count}");
}

#[test]
fn the_readme_is_short_and_links_to_every_page() {
    let readme = read("README.md");
    let lines = readme.lines().count();
    assert!(lines <= README_LINES, "{lines} lines");
    for page in pages() {
        assert!(readme.contains(&format!("]({page})")), "no link to {page}");
    }
}

/// Returns the shell commands of a CI file in a page, in order. The file is the page's code block that contains `marker`,
/// and `job` is the job, or `None` for all of them.
fn steps(page: &str, marker: &str, job: Option<&str>) -> Vec<String> {
    let text = read(page);
    let file = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let file = file.filter(|file| file.contains(marker)).last().unwrap_or_else(|| panic!("{page}: {marker}"));
    let (mut top, mut key) = ("", "");
    let mut steps = Vec::new();
    for line in file.lines() {
        let text = line.trim();
        if let Some(command) = text.trim_start_matches("- ").strip_prefix("run: ") {
            steps.push(command);
        } else if let Some(command) = text.strip_prefix("- ") {
            let in_script = matches!(key, "script:" | "before_script:");
            steps.extend((in_script && job.is_none_or(|job| top == job)).then_some(command));
        } else {
            key = text;
            top = if line.starts_with(' ') { top } else { text.trim_end_matches(':') };
        }
    }
    // These need the network. The tests have installed the programs already.
    let installs = |step: &&str| step.starts_with("cargo install") || step.starts_with("mix local.");
    steps.into_iter().filter(|step| !installs(step)).map(str::to_owned).collect()
}

/// A project that is shared through `remote.git`, with a mirror of its packages.
struct Shared {
    stage: Stage,
    /// The folder of mix's archives, if mix and Hex are installed.
    mix_home: Option<OsString>,
}

impl Shared {
    fn new() -> Self {
        let mut registry = Registry::default();
        for version in ["1.0.0", "1.1.0"] {
            let module = "defmodule Alpha do\n  def version, do: :\"VERSION\"\nend\n".replace("VERSION", version);
            let mix = "defmodule Alpha.MixProject do\n  use Mix.Project\n  def project, do: [app: :alpha, version: \"VERSION\"]\nend\n";
            let files = [("lib/alpha.ex".into(), module), ("mix.exs".into(), mix.replace("VERSION", version))];
            registry.publish(&format!("alpha {version}"), &[], &files);
        }
        let stage = Stage::with(registry, &["alpha 1.0.0"]);
        stage.write(
            "mix.exs",
            "defmodule App.MixProject do\n  use Mix.Project\n  def project, do: [app: :app, version: \"0.1.0\", deps: [{:alpha, \"~> 1.0\"}]]\nend\n",
        );
        let test = "defmodule AppTest do\n  use ExUnit.Case\n  test \"it builds\", do: assert Alpha.version()\nend\n";
        stage.write("test/test_helper.exs", "ExUnit.start()\n");
        stage.write("test/app_test.exs", test);
        stage.sandbox.git("", &["init", "--quiet", "--bare", "--initial-branch=main", "remote.git"]);
        stage.git(&["remote", "add", "origin", "../remote.git"]);
        stage.git(&["checkout", "--quiet", "-B", "main"]);
        let shared = Self { mix_home: mix_home(&stage), stage };
        shared.commit("main");
        shared.stage.run(&["init", "--no-hooks"]).ok();
        shared.stage.run(&["update"]).ok();
        shared.stage.run(&["push"]).ok();
        shared
    }

    fn commit(&self, branch: &str) {
        self.stage.git(&["checkout", "--quiet", "-B", branch]);
        self.stage.git(&["add", "--all"]);
        self.stage.git(&["commit", "--quiet", "--message=Change"]);
        self.stage.git(&["push", "--quiet", "origin", branch]);
    }

    /// Checks a branch out as actions/checkout does: one commit of one branch, in a repository of its own.
    fn checkout(&self, branch: &str, name: &str) -> PathBuf {
        let sandbox = &self.stage.sandbox;
        let remote = format!("file://{}", sandbox.path().join("remote.git").display());
        let tracking = format!("refs/remotes/origin/{branch}");
        sandbox.git("", &["init", "--quiet", name]);
        sandbox.git(name, &["remote", "add", "origin", &remote]);
        let refspec = format!("+refs/heads/{branch}:{tracking}");
        sandbox.git(name, &["fetch", "--quiet", "--no-tags", "--depth=1", "origin", &refspec]);
        sandbox.git(name, &["checkout", "--quiet", "--force", "-B", branch, &tracking]);
        sandbox.path().join(name)
    }

    /// Runs the steps in one shell each, as GitHub does, or joined by line breaks in a single one. Without mix, leaves out
    /// the steps that need it.
    fn run(&self, folder: &Path, steps: &[String]) -> Ran {
        let mut last = None;
        for step in steps.iter().filter(|step| self.mix_home.is_some() || !step.contains("mix ")) {
            let ran = Ran::of(&mut self.command("bash", folder, &["-e", "-o", "pipefail", "-c", step]));
            if ran.code != Some(0) {
                return ran;
            }
            last = Some(ran);
        }
        last.expect("there are steps")
    }

    fn command(&self, program: &str, folder: &Path, arguments: &[&str]) -> Command {
        let sandbox = &self.stage.sandbox;
        let mut command = sandbox.command(program, folder);
        let mut path = Path::new(PROGRAM).parent().unwrap().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        command.args(arguments).env("PATH", path).env("HEX_HOME", sandbox.path().join("hex"));
        command.env("HEXMIRROR_URL", self.stage.upstream.url());
        command.env("HEXMIRROR_PUBLIC_KEY", sandbox.path().join("hexpm.pem"));
        command.envs(self.mix_home.iter().map(|home| ("MIX_HOME", home)));
        command
    }

    /// Lets Hex accept the key of the test's upstream for hexpm.
    fn configure_hex(&self) {
        if self.mix_home.is_some() {
            let key = self.stage.sandbox.path().join("hexpm.pem");
            let arguments = ["hex.repo", "set", "hexpm", "--public-key", key.to_str().unwrap()];
            Ran::of(&mut self.command("mix", &self.stage.project, &arguments)).ok();
        }
    }
}

/// Returns the folder of mix's archives. `None`, with a message, if mix or Hex is missing.
fn mix_home(stage: &Stage) -> Option<OsString> {
    let mix_home = std::env::var_os("HEXMIRROR_TEST_MIX_HOME").or_else(|| std::env::var_os("MIX_HOME"));
    let mix_home = mix_home.or_else(|| std::env::home_dir().map(|home| home.join(".mix").into_os_string()))?;
    let info = stage.sandbox.command("mix", stage.sandbox.path()).arg("hex.info").env("MIX_HOME", &mix_home).output();
    if !info.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped in part: there is no mix with Hex (set HEXMIRROR_TEST_MIX_HOME)");
        return None;
    }
    Some(mix_home)
}

/// A line that only the workflow for GitHub has that builds.
const BUILD: &str = "run: mix test";
/// A line that only the file for GitLab has that builds.
const BUILD_OF_GITLAB: &str = "stage: tools";

/// Stands for GitHub's own program: knows one comment at most, and records what is sent.
const GH: &str = "#!/bin/sh\ncase \"$*\" in\n*--paginate*) [ ! -e comment ] || echo 7;;\n*PATCH*comments/7*body=@comment.md*) echo updated >comment;;\n\
                  'pr comment 3 --body-file comment.md') echo added >comment;;\n*) exit 9;;\nesac\n";

#[test]
fn the_workflow_for_pull_requests_writes_one_comment() {
    let shared = Shared::new();
    let base = shared.stage.git(&["rev-parse", "HEAD"]);
    shared.stage.lock(&["alpha 1.1.0"]);
    shared.commit("update");
    shared.stage.run(&["update"]).ok();
    shared.stage.run(&["push"]).ok();
    let head = shared.stage.git(&["rev-parse", "HEAD"]);
    let folder = shared.stage.sandbox.path().join("pull-request");
    shared.stage.sandbox.git("", &["clone", "--quiet", "--branch=update", "remote.git", "pull-request"]);
    let tools = shared.stage.sandbox.path().join("tools");
    fs::create_dir(&tools).unwrap();
    fs::write(tools.join("gh"), GH).unwrap();
    fs::set_permissions(tools.join("gh"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let steps = steps("docs/ci.md", "pull-requests: write", None);
    assert_eq!(steps.len(), 4, "{steps:?}");
    for state in ["added\n", "updated\n"] {
        for step in &steps {
            let mut command = shared.command("bash", &folder, &["-e", "-o", "pipefail", "-c", step]);
            let path = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value).unwrap();
            let path = format!("{}:{}", tools.display(), path.to_string_lossy());
            command.env("PATH", path).env("BASE", &base).env("HEAD", &head).env("NUMBER", "3");
            command.env("GITHUB_STEP_SUMMARY", folder.join("summary")).env("GITHUB_REPOSITORY", "acme/app");
            Ran::of(&mut command).ok();
        }
        assert_eq!(fs::read_to_string(folder.join("comment")).unwrap(), state);
    }
    let comment = fs::read_to_string(folder.join("comment.md")).unwrap();
    assert!(comment.contains("| raised | `alpha` | `1.0.0` | `1.1.0` | 2 files, +2 −2 |"), "{comment}");
    assert_eq!(fs::read_to_string(folder.join("summary")).unwrap(), comment.repeat(2));
}

#[test]
fn the_ci_files_build_a_fresh_checkout_without_upstream() {
    let shared = Shared::new();
    shared.configure_hex();
    let requests = shared.stage.upstream.count("*");
    let github = steps("docs/ci.md", BUILD, None);
    let gitlab = steps("docs/ci.md", BUILD_OF_GITLAB, Some("test"));
    assert_eq!(github.len(), 4, "{github:?}");
    assert_eq!(gitlab.len(), 5, "{gitlab:?}");
    // GitLab runs all commands of a job in one shell.
    let gitlab = if shared.mix_home.is_some() { vec![gitlab.join("\n")] } else { gitlab };
    for (name, steps) in [("github", github), ("gitlab", gitlab)] {
        let folder = shared.checkout("main", name);
        shared.run(&folder, &steps).ok();
        assert!(shared.mix_home.is_none() || folder.join("deps/alpha/.hex").exists(), "{name}");
    }
    assert_eq!(shared.stage.upstream.count("*"), requests);
}

#[test]
fn the_ci_files_fail_if_the_mirror_lacks_a_package() {
    let shared = Shared::new();
    shared.stage.lock(&["alpha 1.1.0"]);
    shared.commit("main");
    for (marker, job) in [(BUILD, None), (BUILD_OF_GITLAB, Some("test"))] {
        let steps = steps("docs/ci.md", marker, job);
        let folder = shared.checkout("main", if job.is_none() { "github" } else { "gitlab" });
        let ran = shared.run(&folder, &steps).exits(1);
        assert!(ran.stdout.contains("alpha 1.1.0"), "{ran:#?}");
    }
}

#[test]
fn the_ci_files_publish_the_pages() {
    let shared = Shared::new();
    let github = steps("docs/ci.md", "pages: write", None);
    let gitlab = steps("docs/ci.md", "      - public", Some("pages"));
    assert_eq!((github.len(), gitlab.len()), (2, 4), "{github:?} {gitlab:?}");
    for (name, steps, site) in [("github", github, "temp/site"), ("gitlab", gitlab, "public")] {
        let folder = shared.checkout("main", name);
        // Its packages are on this machine.
        for step in steps.iter().filter(|step| !step.starts_with("apt-get")) {
            let mut command = shared.command("bash", &folder, &["-e", "-o", "pipefail", "-c", step]);
            Ran::of(command.env("RUNNER_TEMP", folder.join("temp"))).ok();
        }
        let package = folder.join(site).join("-/packages/hexpm/alpha.html");
        assert!(fs::read_to_string(package).unwrap().contains("1.0.0"), "{name}");
    }
}

#[test]
fn the_workflow_for_update_bots_pushes_what_their_branches_pin() {
    let shared = Shared::new();
    let branch = "dependabot/hex/alpha-1.1.0";
    shared.stage.lock(&["alpha 1.1.0"]);
    shared.commit(branch);
    let steps = steps("docs/update-bots.md", "runs-on:", None);
    assert_eq!(steps.len(), 3, "{steps:?}");
    let folder = shared.checkout(branch, "bot");
    shared.run(&folder, &steps).ok();
    let build = shared.checkout(branch, "build");
    shared.run(&build, &self::steps("docs/ci.md", BUILD, None)[..2]).prints("fresh");
    // Other branches still have what they need.
    let main = shared.checkout("main", "main");
    shared.run(&main, &self::steps("docs/ci.md", BUILD, None)[..2]).prints("fresh");
}
