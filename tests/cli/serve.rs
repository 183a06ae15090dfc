//! `serve`: its address, its responses, and how it stops.

use crate::support::http::{get, get_as, get_with};
use crate::support::registry::key;
use crate::support::stage::{PINNED, Serving, Stage};
use git_hexmirror::hex::gzip::gunzip;
use git_hexmirror::hex::registry::{Package, Signed};
use git_hexmirror::model::RepositoryName;

fn serve(stage: &Stage) -> Serving {
    Serving::start(&mut stage.command(&["serve", "--listen=127.0.0.1:0"]))
}

#[test]
fn serves_every_release_and_entry_as_published() {
    let stage = Stage::new();
    let organisation = "hexpm:acme/secret 0.1.0";
    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2], organisation]);
    stage.run(&["update"]).ok();
    let serving = serve(&stage);
    for release in ["alpha 1.1.0", PINNED[1], PINNED[2]] {
        let path = format!("/tarballs/{}.tar", release.replace(' ', "-"));
        assert!(get(serving.authority(), &path).body == stage.registry.get(release).tarball, "{path}");
    }
    let answer = get(serving.authority(), "/repos/acme/tarballs/secret-0.1.0.tar");
    assert!(answer.body == stage.registry.get(organisation).tarball);
    for (path, entry) in
        [("packages/alpha", "alpha"), ("packages/gamma", "gamma"), ("repos/acme/packages/secret", "hexpm:acme/secret")]
    {
        let answer = get(serving.authority(), &format!("/{path}"));
        let signed = gunzip(&answer.body, 1 << 20).expect("a gzipped entry");
        assert!(signed == stage.registry.signed(entry), "{path}");
        let payload = Signed::decode(&signed).unwrap().verify(&key().public_key()).unwrap().to_vec();
        let (repository, name) = entry.split_once('/').unwrap_or(("hexpm", entry));
        let repository: RepositoryName = repository.parse().unwrap();
        Package::decode(&payload, &repository, &name.parse().unwrap()).unwrap();
    }
    for path in
        ["/tarballs/alpha-9.9.9.tar", "/packages/nobody", "/tarballs/secret-0.1.0.tar", "/../mix.lock", "/.git/config"]
    {
        assert_eq!(get(serving.authority(), path).status, 404, "{path}");
    }
    // The client's update check gets an answer, so the client prints no warning.
    assert_eq!(get(serving.authority(), "/installs/hex-1.x.csv").status, 200);
    let part = get_with(serving.authority(), "/tarballs/alpha-1.1.0.tar", "range: bytes=512-1023\r\n");
    assert_eq!(part.status, 206);
    assert!(part.body == stage.registry.get("alpha 1.1.0").tarball[512..1024]);
    serving.stop("TERM").ok();
}

#[test]
fn what_the_mirror_lacks_is_named_once() {
    let stage = Stage::mirrored();
    let serving = serve(&stage);
    for path in ["/tarballs/alpha-9.9.9.tar", "/docs/x-1.0.0.tar.gz", "/packages/alpha", "/tarballs/alpha-9.9.9.tar"] {
        get(serving.authority(), path);
    }
    let ran = serving.stop("TERM").ok();
    let named = |text: &str| ran.stderr.lines().filter(|line| line.contains(text)).count();
    assert_eq!(named("alpha 9.9.9 is not in the mirror at commit "), 1, "{ran:?}");
    assert_eq!(named("docs/x-1.0.0.tar.gz is not in the mirror at commit "), 1, "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 3, "{ran:?}");
}

#[test]
fn a_retirement_reaches_the_client() {
    let stage = Stage::mirrored();
    let serving = serve(&stage);
    let signed = gunzip(&get(serving.authority(), "/packages/delta").body, 1 << 20).unwrap();
    let signed = Signed::decode(&signed).unwrap();
    let payload = signed.verify(&key().public_key()).unwrap();
    let package = Package::decode(payload, &RepositoryName::hexpm(), &"delta".parse().unwrap()).unwrap();
    let retired = package.releases[0].retired.as_ref().expect("a retired release");
    assert_eq!(retired.message.as_deref(), Some("use epsilon"));
}

#[test]
fn sees_a_new_commit_without_a_restart() {
    let stage = Stage::mirrored();
    let serving = serve(&stage);
    let path = "/tarballs/alpha-1.1.0.tar";
    assert_eq!(get(serving.authority(), path).status, 404);
    stage.lock(&["alpha 1.1.0"]);
    stage.run(&["update"]).ok();
    assert!(get(serving.authority(), path).body == stage.registry.get("alpha 1.1.0").tarball);
    assert_eq!(get(serving.authority(), "/tarballs/alpha-1.0.0.tar").status, 200);
    // Not even git's own repacking interferes.
    stage.git(&["gc", "--quiet", "--prune=now"]);
    assert_eq!(get(serving.authority(), "/tarballs/beta-0.3.0.tar").status, 200);
    assert_eq!(get(serving.authority(), "/packages/gamma").status, 200);
}

#[test]
fn stops_cleanly_on_a_signal() {
    let stage = Stage::mirrored();
    for signal in ["INT", "TERM"] {
        let serving = serve(&stage);
        assert_eq!(get(serving.authority(), "/packages/alpha").status, 200);
        let ran = serving.stop(signal).ok();
        assert_eq!(ran.stdout, "", "nothing after the address");
    }
}

#[test]
fn stopping_closes_idle_connections() {
    let stage = Stage::mirrored();
    let serving = serve(&stage);
    let idle = std::net::TcpStream::connect(serving.authority()).unwrap();
    assert_eq!(get(serving.authority(), "/packages/alpha").status, 200);
    serving.stop("TERM").ok();
    drop(idle);
}

#[test]
fn logs_requests_only_on_request() {
    let stage = Stage::mirrored();
    let serving = Serving::start(&mut stage.command(&["serve", "--listen=127.0.0.1:0", "--verbose"]));
    get(serving.authority(), "/packages/alpha");
    let ran = serving.stop("TERM").ok();
    assert!(ran.stderr.contains("GET /packages/alpha 200"), "{ran:?}");
    let serving = Serving::start(&mut stage.command(&["serve", "--listen=127.0.0.1:0", "--quiet"]));
    get(serving.authority(), "/packages/alpha");
    serving.stop("TERM").ok().silent();
}

#[test]
fn errors_on_startup_are_reported() {
    let stage = Stage::new();
    stage.run(&["serve", "--listen=127.0.0.1:0"]).exits(5).says("has no mirror branch hexmirror");
    stage.run(&["update"]).ok();
    stage.run(&["serve", "--listen=nonsense"]).exits(2).says("nonsense");
    let serving = serve(&stage);
    stage.run(&["serve", "--listen", serving.authority()]).exits(2).says(serving.authority());
}

#[test]
fn https_with_an_authority_that_env_names() {
    let stage = Stage::mirrored();
    stage.run(&["env", "--tls"]).exits(2).says("serve --tls");
    let serving =
        Serving::start(&mut stage.command(&["serve", "--tls", "--hostname=github.com", "--listen=127.0.0.1:0"]));
    assert!(serving.url.starts_with("https://"), "{}", serving.url);
    let variables = stage.run(&["env", "--tls", "--json", "--url", &serving.url]).ok().json();
    let authority = stage.project.join(".git/hexmirror/tls/ca.pem");
    assert_eq!(variables["HEX_MIRROR"], serving.url);
    for name in ["GIT_CONFIG_VALUE_0", "HEX_CACERTS_PATH"] {
        assert_eq!(variables[name], std::fs::canonicalize(&authority).unwrap().to_str().unwrap(), "{name}");
    }
    assert_eq!(variables["GIT_CONFIG_KEY_0"], format!("http.{}.sslCAInfo", serving.url));
    // The certificates of other servers are still verified.
    assert_eq!(variables["GIT_SSL_CAINFO"], serde_json::Value::Null);
    let file = stage.run(&["env", "--tls", "--format=gitconfig"]).ok();
    assert!(file.stdout.contains("sslCAInfo = ") && file.stdout.contains("https://localhost:4040"), "{file:?}");
    serving.stop("TERM").ok();
    stage.run(&["serve", "--tls", "--hostname=a b"]).exits(2).says("\"a b\" is not a host name");
}

#[test]
fn on_a_loopback_address_it_answers_to_its_own_names_only() {
    let stage = Stage::mirrored();
    let serving =
        Serving::start(&mut stage.command(&["serve", "--listen=127.0.0.1:0", "--hostname=mirror.example.org"]));
    let status = |host: &str| get_as(serving.authority(), host, "/packages/alpha", "").status;
    for host in ["localhost", "127.0.0.1", "[::1]:1", "mirror.example.org:80", "host.docker.internal:4040"] {
        assert_eq!(status(host), 200, "{host}");
    }
    for path in ["/packages/alpha", "/", "/git/github.com/a/b/info/refs"] {
        let answer = get_as(serving.authority(), "attacker.example:4040", path, "");
        assert_eq!(answer.status, 421, "{path}");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains("attacker.example") && text.contains("--hostname"), "{text}");
    }
    let quiet = serving.stop("TERM").ok();
    assert!(!quiet.stderr.contains("warning"), "{quiet:?}");
}

#[test]
fn on_a_public_address_any_name_is_accepted_with_a_warning() {
    let stage = Stage::mirrored();
    let serving = Serving::start(&mut stage.command(&["serve", "--listen=0.0.0.0:0"]));
    assert_eq!(get_as(serving.authority(), "mirror.corp:4040", "/packages/alpha", "").status, 200);
    serving.stop("TERM").ok().says("everyone who can reach 0.0.0.0:");
}

#[test]
fn no_unsigned_index_is_promised() {
    let stage = Stage::mirrored();
    let serving = serve(&stage);
    for path in ["/names", "/versions", "/public_key", "/repos/acme/names"] {
        let answer = get(serving.authority(), path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(!String::from_utf8(answer.body).unwrap().contains("hexmirror update"), "{path}");
    }
    // An invalid version, but a valid request.
    for path in ["/tarballs/alpha-9.tar", "/tarballs/alpha.tar", "/tarballs/alpha-1.0.tar", "/packages/..x"] {
        assert_eq!(get(serving.authority(), path).status, 404, "{path}");
    }
    assert_eq!(get(serving.authority(), "/packages/%ff").status, 400);
}
