//! `serve` and `health` as containers use them: several addresses, folders that are mounted read-only, waiting for a
//! mirror, health checks, and logs for programs.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::http::{get, get_as};
use crate::support::mount::Mount;
use crate::support::stage::{Ran, Serving, Stage, send};

const PLAIN: &str = "--listen=127.0.0.1:0";
const SECURE: &str = "--listen-tls=127.0.0.1:0";

fn serve(stage: &Stage, arguments: &[&str]) -> Serving {
    Serving::start(&mut stage.command(&[&["serve"], arguments].concat()))
}

fn health(stage: &Stage, arguments: &[&str]) -> Ran {
    stage.run_in(stage.sandbox.path(), &[&["health"], arguments].concat())
}

#[test]
fn one_process_serves_http_and_https() {
    let stage = Stage::mirrored();
    let mut serving = serve(&stage, &[PLAIN, PLAIN, SECURE]);
    let (second, secure) = (serving.next_url(), serving.next_url());
    assert!(second.starts_with("http://127.0.0.1:") && second != serving.url, "{second}");
    assert!(secure.starts_with("https://localhost:"), "{secure}");
    let authority = stage.project.join(".git/hexmirror/tls/ca.pem");
    for url in [&serving.url, &second] {
        health(&stage, &[url]).ok().prints(&stage.tip().unwrap());
        assert_eq!(get(url.trim_start_matches("http://"), "/packages/alpha").status, 200);
    }
    health(&stage, &[&secure, "--ca", authority.to_str().unwrap()]).ok();
    // What one address speaks, the other does not.
    health(&stage, &[&secure.replace("https:", "http:")]).exits(3);
    health(&stage, &[&serving.url.replace("http://127.0.0.1", "https://localhost")]).exits(3);
    serving.stop("TERM").ok();
}

#[test]
fn an_own_certificate_is_for_the_addresses_with_https() {
    let stage = Stage::mirrored();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    stage.write("own.pem", &own.cert.pem());
    stage.write("own.key", &own.signing_key.serialize_pem());
    let mut serving = serve(&stage, &[PLAIN, SECURE, "--tls-cert=own.pem", "--tls-key=own.key"]);
    let secure = serving.next_url();
    health(&stage, &[&serving.url]).ok();
    health(&stage, &[&secure, "--ca=project/own.pem"]).ok();
    assert!(!stage.project.join(".git/hexmirror/tls").exists());
}

#[test]
fn a_servers_health_decides_the_exit_code() {
    let stage = Stage::mirrored();
    let serving = serve(&stage, &[PLAIN]);
    health(&stage, &[&serving.url]).ok().silent().prints("healthy: ").prints(&stage.tip().unwrap());
    health(&stage, &[&format!("{}/health", serving.url)]).ok();
    let document = health(&stage, &[&serving.url, "--json"]).ok().json();
    assert_eq!((&document["healthy"], &document["status"]), (&Value::Bool(true), &Value::from(200)));
    assert_eq!(document["commit"], stage.tip().unwrap());
    // A proxy is for other hosts.
    let proxy = [("http_proxy", "http://127.0.0.1:1"), ("HTTP_PROXY", "http://127.0.0.1:1")];
    stage.run_with(&["health", &serving.url], &proxy).ok();
    stage.git(&["update-ref", "-d", "refs/heads/hexmirror"]);
    health(&stage, &[&serving.url]).exits(1).prints("not healthy").prints("503");
    let document = health(&stage, &[&serving.url, "--json"]).exits(1).json();
    assert_eq!((&document["healthy"], &document["commit"]), (&Value::Bool(false), &Value::Null));
    // Another program.
    health(&stage, &[stage.upstream.url().trim_end_matches('/')]).exits(1).prints("not healthy");
    let page = "<html>\n<head><title>Welcome to nginx!</title></head>".to_owned() + &" ".repeat(10_000);
    stage.upstream.put("health", page.as_bytes());
    health(&stage, &[stage.upstream.url().trim_end_matches('/')]).exits(1).prints("200 a web page: Welcome to nginx!");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    health(&stage, &[&format!("http://{free}")]).exits(3).says("cannot ask the server").says("hint: check that");
    health(&stage, &["ftp://127.0.0.1"]).exits(2).says("is not an http or https address");
    health(&stage, &["https://localhost:1", "--ca=absent.pem"]).exits(2).says("absent.pem");
    // It accepts the connection and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    health(&stage, &[&url, "--timeout=1"]).exits(3).says("caused by");
}

#[test]
fn an_untrusted_certificate_is_not_accepted() {
    let stage = Stage::mirrored();
    let serving = serve(&stage, &["--tls", PLAIN]);
    health(&stage, &[&serving.url]).exits(3).says("--ca");
    let plain = serving.url.replace("https://", "http://");
    health(&stage, &[&plain]).exits(3).says("the server expects HTTPS at").says("with https://");
    let without = serve(&stage, &[PLAIN]);
    health(&stage, &[&without.url.replace("http://", "https://")]).exits(3).says("does not speak HTTPS there");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    stage.write("other.pem", &other.cert.pem());
    health(&stage, &[&serving.url, "--ca=project/other.pem"]).exits(3).says("--ca");
}

/// Mounts a folder read-only in another place. `None`, with a message, if the user may not.
fn read_only(folder: &Path, place: &Path) -> Option<Mount> {
    Mount::new(place, &["--bind", "-o", "ro", folder.to_str().unwrap()])
}

#[test]
fn an_authority_in_a_read_only_folder_is_used() {
    let stage = Stage::mirrored();
    let (made, mounted) = (stage.sandbox.path().join("made"), stage.sandbox.path().join("mounted"));
    fs::create_dir(&made).unwrap();
    let Some(mount) = read_only(&made, &mounted) else { return };
    let folder = |folder: &Path| format!("--tls-dir={}", folder.display());
    stage
        .run(&["serve", PLAIN, &folder(&mounted)])
        .exits(5)
        .says("there is none")
        .says("hint: run `git hexmirror serve");
    let names = ["--hostname=github.com", "--hostname=mirror"];
    serve(&stage, &[PLAIN, &folder(&made), names[0], names[1]]).stop("TERM").ok();
    let before = fs::read(made.join("ca.pem")).unwrap();
    let authority = made.join("ca.pem");
    for names in [&names[..], &names[1..]] {
        let serving = serve(&stage, &[&[PLAIN, &folder(&mounted)], names].concat());
        health(&stage, &[&serving.url, "--ca", authority.to_str().unwrap()]).ok();
        let ran = serving.stop("TERM").ok().says(&format!("env --ca {}/ca.pem --url", mounted.display()));
        assert!(!ran.stderr.contains("authority in"), "{ran:?}");
    }
    assert!(fs::read(&authority).unwrap() == before);
    let ran = stage.run(&["serve", PLAIN, &folder(&mounted), "--hostname=hex.pm"]).exits(5);
    ran.says("it may not certify hex.pm").says(mounted.to_str().unwrap());
    assert!(!stage.project.join(".git/hexmirror/tls").exists());
    drop(mount);
}

#[test]
fn a_read_only_repository_with_an_authority_serves_https() {
    let stage = Stage::mirrored();
    serve(&stage, &["--tls", PLAIN]).stop("TERM").ok();
    let mounted = stage.sandbox.path().join("mounted");
    let Some(mount) = read_only(&stage.project, &mounted) else { return };
    let serving = Serving::start(&mut stage.command_in(&mounted, &["serve", "--tls", PLAIN]));
    health(&stage, &[&serving.url, "--ca=project/.git/hexmirror/tls/ca.pem"]).ok();
    serving.stop("TERM").ok();
    drop(mount);
}

/// Whoever owns the lock file and whatever the folder's mode is: only what must be written decides.
#[test]
fn an_authority_that_fits_needs_no_writable_folder() {
    let stage = Stage::mirrored();
    let made = stage.sandbox.path().join("made");
    let option = format!("--tls-dir={}", made.display());
    serve(&stage, &[PLAIN, &option]).stop("TERM").ok();
    let before = fs::read(made.join("ca.pem")).unwrap();
    // Not even root can open a folder as a lock file.
    fs::remove_file(made.join("lock")).unwrap();
    fs::create_dir(made.join("lock")).unwrap();
    serve(&stage, &[PLAIN, &option]).stop("TERM").ok();
    assert!(fs::read(made.join("ca.pem")).unwrap() == before);
    let ran = serve(&stage, &[PLAIN, &option, "--hostname=mirror"]).stop("TERM").ok();
    ran.says("because the old one was for other names");
    fs::write(made.join("intermediate.pem"), "damaged").unwrap();
    let ran = stage.run(&["serve", PLAIN, &option]).exits(5).says("intermediate.pem: ");
    ran.says(&format!("rm -r {}", made.display()));
}

#[test]
fn a_hostname_is_a_name_and_nothing_else() {
    let stage = Stage::mirrored();
    for name in ["", "a b", "https://mirror", "mirror:4040", "256.1.1.1"] {
        stage.run(&["serve", PLAIN, "--hostname", name]).exits(2).says("is not a host name or an IP address");
    }
    let serving = serve(&stage, &[PLAIN, "--hostname=Mirror.", "--hostname=*.example.org"]);
    let status = |host: &str| get_as(serving.authority(), host, "/packages/alpha", "").status;
    assert_eq!(["mirror", "mirror.", "mirror.:4040", "a.example.org"].map(status), [200; 4]);
    assert_eq!(["example.org", "a.b.example.org"].map(status), [421; 2]);
}

#[test]
fn given_names_restrict_a_public_address_too() {
    let stage = Stage::mirrored();
    let serving = serve(&stage, &["--listen=0.0.0.0:0", "--hostname=mirror"]);
    let status = |host: &str| get_as(serving.authority(), host, "/packages/alpha", "").status;
    assert_eq!(["mirror:4040", "localhost", "127.0.0.1", "10.1.2.3:4040"].map(status), [200; 4]);
    assert_eq!(status("attacker.example"), 421);
}

#[test]
fn a_server_can_wait_for_its_mirror() {
    let stage = Stage::new();
    let absent = stage.sandbox.path().join("absent");
    // The folder, the repository, and the branch do not exist at first.
    let mut command = stage.command_in(&stage.project, &["-C", absent.to_str().unwrap(), "serve", "--wait", PLAIN]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with("waiting for a mirror: ") && line.contains("absent"), "{line}");
    stage.run(&["update"]).ok();
    stage.sandbox.git(stage.sandbox.path(), &["clone", "--quiet", "--mirror", "project", "absent/.git"]);
    let mut url = String::new();
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    printed.read_line(&mut url).unwrap();
    health(&stage, &[url.trim_end()]).ok().prints(&stage.tip().unwrap());
    send(child.id(), "TERM");
    assert!(child.wait().unwrap().success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("waiting"), "{rest}");
}

#[test]
fn a_waiting_server_stops_on_a_signal_and_fails_for_other_reasons() {
    let stage = Stage::new();
    let mut command = stage.command(&["serve", "--wait", PLAIN, "--log-format=json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    assert!(said["message"].as_str().unwrap().contains("no mirror branch hexmirror"), "{line}");
    send(child.id(), "TERM");
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success() && ended.stdout.is_empty(), "{ended:?}");
    stage.git(&["commit", "--quiet", "--allow-empty", "--message=x"]);
    stage.git(&["branch", "hexmirror"]);
    stage.run(&["serve", "--wait", PLAIN]).exits(5).says("is not a mirror");
}

#[test]
fn the_log_has_times_and_is_quiet_about_health_checks() {
    let stage = Stage::mirrored();
    let is_time = |text: &str| {
        let digits = text.replace(|digit: char| digit.is_ascii_digit(), "0");
        digits == "0000-00-00T00:00:00.000Z"
    };
    for arguments in [&[PLAIN, "--verbose"][..], &[PLAIN, "--verbose", "--log-format=json"]] {
        let serving = serve(&stage, arguments);
        for path in ["/health", "/packages/alpha", "//health?x", "/packages/nobody", "/health/x"] {
            get(serving.authority(), path);
        }
        let ran = serving.stop("TERM").ok();
        let requests: Vec<&str> =
            ran.stderr.lines().filter(|line| line.contains(" GET ") || line.contains("\"GET ")).collect();
        assert_eq!(requests.len(), 3, "{ran:?}");
        if arguments.len() == 2 {
            assert!(requests.iter().all(|line| is_time(line.split(' ').next().unwrap())), "{requests:?}");
            continue;
        }
        let lines: Vec<Value> = ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().all(|line| is_time(line["time"].as_str().unwrap()) && line["message"].is_string()));
        let missing = lines.iter().find(|line| line["path"] == "/packages/nobody").unwrap();
        assert_eq!((&missing["status"], &missing["level"]), (&Value::from(404), &Value::from("warning")));
        assert!(missing["error"].as_str().unwrap().contains("git hexmirror update"), "{missing}");
    }
    let serving = serve(&stage, &["--listen=0.0.0.0:0", "--log-format=json"]);
    get(serving.authority(), "/packages/nobody");
    get(serving.authority(), "/packages/alpha");
    let ran = serving.stop("TERM").ok();
    let lines: Vec<Value> = ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let levels: Vec<&str> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["info", "warning", "warning"], "{ran:?}");
}

#[test]
fn no_request_can_add_a_line_to_the_log() {
    let stage = Stage::mirrored();
    let serving = serve(&stage, &[PLAIN, "--verbose", "--log-format=json"]);
    get(serving.authority(), "/packages/%0a%7b%22level%22:%22x%22%7d");
    get(serving.authority(), "/%e2%80%ae%c2%85");
    let ran = serving.stop("TERM").ok();
    assert_eq!(ran.stderr.lines().count(), 3, "{ran:?}");
    assert!(ran.stderr.is_ascii() && ran.stderr.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[test]
fn the_program_checks_itself_where_it_is_not_on_the_path() {
    let stage = Stage::mirrored();
    let serving = serve(&stage, &[PLAIN]);
    // As Docker's HEALTHCHECK does: without a home, without a working folder of one's own.
    let mut command = Command::new(crate::support::stage::PROGRAM);
    command.env_clear().current_dir("/").args(["health", &serving.url]);
    Ran::of(&mut command).ok().silent();
}
