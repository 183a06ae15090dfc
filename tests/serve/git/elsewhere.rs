//! What the server and `env --format docker` tell clients on other machines and in containers.

use std::fs;
use std::process::Command;

use super::mirror::{Mirror, ask_as, stderr, succeed};
use crate::support::http;
use crate::support::stage::Serving;

const LIB: &str = "https://example.org/team/lib.git";
/// Variables of this machine that mean nothing elsewhere.
const OF_THIS_MACHINE: [(&str, &str); 11] = [
    ("http_proxy", "http://here.example:1"),
    ("HTTPS_PROXY", "http://here.example:1"),
    ("no_proxy", "here.example"),
    ("NO_PROXY", "here.example"),
    ("GIT_ALLOW_PROTOCOL", "https:here"),
    ("GIT_SSL_CAINFO", "/here/ca.pem"),
    ("GIT_CONFIG_COUNT", "2"),
    ("GIT_CONFIG_KEY_0", "user.name"),
    ("GIT_CONFIG_VALUE_0", "here"),
    ("GIT_CONFIG_KEY_1", "url.ssh://here.example/.pushInsteadOf"),
    ("GIT_CONFIG_VALUE_1", "https://example.org/"),
];

/// A mirror of a pinned repository. A remote of the project begins like its address.
fn pinned() -> Mirror {
    let (mirror, _) = Mirror::of_made();
    mirror.pin();
    mirror.sandbox.git("project", &["remote", "add", "origin", "https://example.org/team/lib-of-here.git"]);
    mirror.sandbox.git("project", &["config", "url.ssh://here.example/.insteadOf", "https://example.org/"]);
    mirror
}

/// A server that was started with the settings of this machine.
fn serve(mirror: &Mirror) -> Serving {
    Serving::start(mirror.program(&["serve", "--listen=127.0.0.1:0"]).envs(OF_THIS_MACHINE))
}

fn answer(serving: &Serving, path: &str) -> String {
    let answer = http::get(serving.authority(), path);
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{path}");
    String::from_utf8(answer.body).unwrap()
}

/// Returns a shell that has evaluated what the server says, and then runs a command.
fn shell(mirror: &Mirror, variables: &str, command: &str) -> Command {
    fs::write(mirror.sandbox.path().join("variables"), variables).unwrap();
    let mut shell = mirror.sandbox.command("sh", "".as_ref());
    shell.args(["-euc", &format!(". ./variables; {command}")]);
    // Anything that is not redirected fails.
    shell.env("https_proxy", "http://127.0.0.1:1").env("GIT_SSH_COMMAND", "false");
    shell
}

#[test]
fn a_container_describes_its_own_world() {
    let mirror = pinned();
    let docker = |arguments: &[&str]| {
        let arguments = [&["env", "--format=docker", "--url=http://mirror:4040"], arguments].concat();
        succeed(mirror.program(&arguments).envs(OF_THIS_MACHINE))
    };
    let printed = docker(&[]);
    assert!(!printed.contains("here") && !printed.to_lowercase().contains("http_proxy"), "{printed}");
    for line in [
        "HEX_MIRROR=http://mirror:4040",
        "# If the container uses a proxy, add mirror to its no_proxy and NO_PROXY.",
        "GIT_CONFIG_VALUE_1=git://example.org/team/lib",
    ] {
        assert!(printed.lines().any(|found| found == line), "{line}: {printed}");
    }
    // The server says the same, in another form, to a client that reaches it by this name.
    let serving = serve(&mirror);
    let said = http::get_as(serving.authority(), "localhost:4040", "/env", "");
    let said = String::from_utf8(said.body).unwrap().replace("localhost", "mirror");
    let mut asked = mirror.sandbox.command("sh", "".as_ref());
    let set = succeed(asked.args(["-c", "eval \"$SAID\"; unset SAID; env"]).env("SAID", said).envs(OF_THIS_MACHINE));
    let is_set = |line: &&str| set.lines().any(|set| set == *line);
    let of_git = |line: &&str| line.starts_with("GIT_CONFIG") || line.starts_with("HEXMIRROR_PREVIOUS");
    assert_eq!(printed.lines().skip(1).filter(|line| !of_git(line)).find(|line| !is_set(line)), None, "{set}");
    let printed = docker(&["--ca=/inside/ca.pem"]);
    assert!(printed.contains("HEX_CACERTS_PATH=/inside/ca.pem\n"), "{printed}");
    for (arguments, text) in
        [(["--ca=inside/ca.pem"], "not an absolute path"), (["--tls"], "pass its path in the container")]
    {
        let arguments = [&["env", "--format=docker"], &arguments[..]].concat();
        let output = mirror.program(&arguments).output().unwrap();
        assert!(output.status.code() == Some(2) && stderr(&output).contains(text), "{}", stderr(&output));
    }
}

#[test]
fn a_client_that_asks_the_server_needs_no_renewal() {
    let mut mirror = pinned();
    let serving = serve(&mirror);
    let variables = answer(&serving, "/env");
    assert!(!variables.contains("here.example") && !variables.contains("lib-of-here"), "{variables}");
    assert!(variables.contains(&format!("hexmirror_change HEX_MIRROR '{}'\n", serving.url)), "{variables}");
    succeed(&mut shell(&mirror, &variables, &format!("git clone --quiet {LIB} cloned && test -d cloned/.git")));
    // Its own name is not special, and neither is the one in the answer.
    let (head, body) = ask_as(serving.authority().parse().unwrap(), "attacker.example", "GET /env HTTP/1.1", b"");
    assert!(head.starts_with("http/1.1 421 ") && !body.starts_with(b"hexmirror"), "{head}");
    // Another git dependency.
    let other = "https://example.org/other/tool.git";
    let clone = format!("git clone --quiet {other} tool");
    assert!(!shell(&mirror, &answer(&serving, "/env"), &clone).output().unwrap().status.success());
    mirror.make("tool", 1);
    mirror.store("example.org/other/tool", &mirror.sandbox.path().join("tool/.git"));
    mirror.commit();
    mirror.pin();
    fs::remove_dir_all(mirror.sandbox.path().join("tool")).unwrap();
    succeed(&mut shell(&mirror, &answer(&serving, "/env"), &clone));
    serving.stop("TERM").ok();
}

#[test]
fn git_can_include_what_the_server_says() {
    let mirror = pinned();
    let serving = serve(&mirror);
    let file = mirror.sandbox.path().join("fetched.gitconfig");
    fs::write(&file, answer(&serving, "/gitconfig")).unwrap();
    let include = format!("include.path={}", file.display());
    let mut git = mirror.sandbox.command("git", "".as_ref());
    git.args(["-c", &include, "ls-remote", LIB]).env("https_proxy", "http://127.0.0.1:1");
    git.env("http_proxy", "http://127.0.0.1:1");
    assert!(succeed(&mut git).contains("HEAD"));
    let text = fs::read_to_string(file).unwrap();
    assert!(!text.contains("here.example") && !text.contains("lib-of-here"), "{text}");
}

#[test]
fn the_authority_is_a_path_of_the_client() {
    let mirror = pinned();
    let (server, authority) = mirror.serve_securely(&[]);
    // Whoever asks over HTTPS is led to HTTPS.
    let ask = |path: &str| {
        let mut curl = mirror.sandbox.command("curl", "".as_ref());
        let url = format!("{}{path}", server.base_url());
        let output = curl.args(["--silent", "--cacert"]).arg(&authority).arg(url).output().ok()?;
        Some(String::from_utf8(output.stdout).unwrap())
    };
    let Some(said) = ask("/env?ca=/inside/my%20ca.pem") else {
        return eprintln!("skipped: there is no curl");
    };
    assert!(said.contains(&format!("hexmirror_change HEX_MIRROR '{}'\n", server.base_url())), "{said}");
    assert!(said.contains("hexmirror_change HEX_CACERTS_PATH '/inside/my ca.pem'\n"), "{said}");
    assert!(said.contains(&format!("='http.{}.sslCAInfo'\n", server.base_url())), "{said}");
    let serving = serve(&mirror);
    let quoted = ask("/env?ca=/it's").unwrap();
    assert!(quoted.contains(r"HEX_CACERTS_PATH '/it'\''s'"), "{quoted}");
    for query in ["ca=/inside/ca.pem", "ca=ca.pem", "ca=/x%0aexport%20A=b", "url=http://x"] {
        assert_eq!(http::get(serving.authority(), &format!("/env?{query}")).status, 400, "{query}");
        assert_eq!(http::get(serving.authority(), &format!("/gitconfig?{query}")).status, 400, "{query}");
    }
}

#[test]
fn without_a_lock_git_is_not_redirected() {
    let (mirror, _) = Mirror::of_made();
    let serving = serve(&mirror);
    let variables = answer(&serving, "/env");
    assert!(variables.contains("HEX_MIRROR ") && !variables.contains("export \"GIT_CONFIG_"), "{variables}");
    mirror.sandbox.git("project", &["update-ref", "-d", "refs/heads/hexmirror"]);
    let answer = http::get(serving.authority(), "/env");
    assert_eq!(answer.status, 503);
    assert!(!answer.body.starts_with(b"hexmirror"));
}
