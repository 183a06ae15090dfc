//! The server's responses.

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::thread;

use super::server::{Client, Memory, Stored, entry, get, serve, tarball, tarball_of};
use flate2::read::GzDecoder;
use git_hexmirror::model::RepositoryName;
use git_hexmirror::serve::{Options, RequestLog, Resource};

const PLUG: &str = "/tarballs/plug-1.0.0.tar";

fn with_plug() -> Arc<Memory> {
    let memory = Memory::new("0123456789abcdef");
    memory.put_bytes(tarball("plug", "1.0.0"), "k-plug", "0123456789");
    memory
}

#[test]
fn a_registry_entry_is_gzipped_without_saying_so() {
    let memory = Memory::new("t");
    memory.put_bytes(entry("plug"), "k1", "signed message");
    let server = serve(memory, Options::default());
    let answer = get(server.local_addr(), "/packages/plug");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("content-type"), Some("application/octet-stream"));
    assert_eq!(answer.field("content-encoding"), None);
    assert_eq!(answer.field("etag"), Some("\"k1\""));
    let mut message = String::new();
    GzDecoder::new(&*answer.body).read_to_string(&mut message).unwrap();
    assert_eq!(message, "signed message");
}

#[test]
fn tarballs_and_keys_are_served_unmodified() {
    let memory = with_plug();
    memory.put_bytes(Resource::PublicKey(RepositoryName::hexpm()), "k-key", "PEM");
    let server = serve(memory, Options::default());
    let answer = get(server.local_addr(), PLUG);
    assert_eq!((answer.status, answer.text()), (200, "0123456789"));
    assert_eq!(answer.field("content-type"), Some("application/x-tar"));
    assert_eq!(answer.field("accept-ranges"), Some("bytes"));
    assert_eq!(answer.field("cache-control"), Some("no-cache"));
    assert!(answer.field("date").is_some());
    assert_eq!(get(server.local_addr(), "/public_key").text(), "PEM");
}

#[test]
fn items_that_the_client_has_are_neither_sent_nor_loaded() {
    let memory = with_plug();
    let server = serve(memory.clone(), Options::default());
    let mut client = Client::connect(server.local_addr());
    for known in ["\"k-plug\"", "W/\"k-plug\"", "*", "\"a\", \"k-plug\""] {
        let answer = client.ask("GET", PLUG, &[&format!("If-None-Match: {known}"), "Range: bytes=0-1"]);
        assert_eq!((answer.status, answer.field("etag")), (304, Some("\"k-plug\"")), "{known}");
        assert_eq!(answer.field("content-length").unwrap_or("0"), "0");
    }
    assert_eq!(memory.loads(), [""; 0]);
    let answer = client.ask("GET", PLUG, &["If-None-Match: \"a\"", "If-None-Match: \"k-plugin\""]);
    assert_eq!((answer.status, answer.text()), (200, "0123456789"));
    let answer = client.ask("GET", PLUG, &["If-None-Match: \"a\"", "If-None-Match: \"k-plug\""]);
    assert_eq!(answer.status, 304);
}

#[test]
fn head_returns_the_length_without_a_body() {
    let server = serve(with_plug(), Options::default());
    let mut client = Client::connect(server.local_addr());
    for (path, status, length) in [(PLUG, 200, Some("10")), ("/packages/x", 404, None), ("/", 200, None)] {
        let head = client.ask("HEAD", path, &["Range: bytes=0-1"]);
        let body = client.ask("GET", path, &[]);
        assert_eq!(head.status, status, "{path}");
        assert_eq!(head.field("content-length"), body.field("content-length"), "{path}");
        assert_eq!(head.field("etag"), body.field("etag"));
        assert_eq!(head.field("content-type"), body.field("content-type"));
        assert!(length.is_none() || head.field("content-length") == length);
    }
}

#[test]
fn parts_of_a_tarball() {
    let server = serve(with_plug(), Options::default());
    let mut client = Client::connect(server.local_addr());
    let mut part = |lines: &[&str]| {
        let answer = client.ask("GET", PLUG, lines);
        (answer.status, answer.field("content-range").map(str::to_owned), answer.text().to_owned())
    };
    let some = |range: &str, text: &str| (206, Some(format!("bytes {range}/10")), text.to_owned());
    let whole = (200, None, "0123456789".to_owned());
    assert_eq!(part(&["Range: bytes=2-4"]), some("2-4", "234"));
    assert_eq!(part(&["Range: bytes=8-20"]), some("8-9", "89"));
    assert_eq!(part(&["Range: bytes=-3"]), some("7-9", "789"));
    assert_eq!(part(&["Range: bytes=4-", "If-Range: \"k-plug\""]), some("4-9", "456789"));
    assert_eq!(part(&["Range: bytes=4-", "If-Range: \"other\""]), whole);
    assert_eq!(part(&["Range: bytes=0-1,3-4"]), whole);
    let (status, range, text) = part(&["Range: bytes=10-"]);
    assert_eq!((status, range.as_deref()), (416, Some("bytes */10")));
    assert!(text.contains("10 bytes"), "{text}");
}

#[test]
fn missing_items_are_named_with_the_remedy() {
    let server = serve(with_plug(), Options::default());
    let answer = get(server.local_addr(), "/tarballs/phoenix-1.6.2.tar");
    assert_eq!(answer.status, 404);
    assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(
        answer.text(),
        "phoenix 1.6.2 is not in the mirror at commit 0123456789ab; run `git hexmirror update`\n"
    );
    let answer = get(server.local_addr(), "/packages/phoenix");
    assert!(answer.text().starts_with("the registry entry of phoenix is not in the mirror"), "{}", answer.text());
    for path in ["/installs/hex.csv", "/docs/plug-1.0.0.tar.gz", "/x", "/repos/acme/x"] {
        let answer = get(server.local_addr(), path);
        assert_eq!((answer.status, answer.text().lines().count()), (404, 1), "{path}");
    }
}

#[test]
fn invalid_requests_are_refused_with_a_reason() {
    let server = serve(with_plug(), Options::default());
    let address = server.local_addr();
    for (path, status) in
        [("/packages/a.b", 404), ("/tarballs/plug.tar", 404), ("/tarballs/plug-1.tar", 404), ("/packages/%zz", 400)]
    {
        let answer = get(address, path);
        assert_eq!((answer.status, answer.text().lines().count()), (status, 1), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        let answer = Client::connect(address).ask(method, PLUG, &[]);
        assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, HEAD")), "{method}");
        assert!(answer.text().contains("read-only"));
    }
}

#[test]
fn a_body_is_neither_accepted_nor_read_as_a_request() {
    let server = serve(with_plug(), Options::default());
    for (method, status) in [("GET", 400), ("POST", 405)] {
        for body in
            ["Content-Length: 40\r\n\r\nGET /health HTTP/1.1\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n"]
        {
            let mut client = Client::connect(server.local_addr());
            client.send(&format!("{method} {PLUG} HTTP/1.1\r\nhost: localhost\r\n{body}"));
            assert_eq!(client.read(true).unwrap().status, status, "{method}");
            assert!(client.is_closed());
        }
    }
}

#[test]
fn damage_is_reported_and_the_rest_is_served() {
    let memory = with_plug();
    memory.put(tarball("ecto", "2.0.0"), "k-ecto", Stored::Damaged);
    memory.put(tarball("jason", "1.0.0"), "k-jason", Stored::Panics);
    memory.put_bytes(tarball("evil", "1.0.0"), "k\r\nSet-Cookie: x", "x");
    let errors = Arc::new(Mutex::new(Vec::new()));
    let log = errors.clone();
    let log = move |entry: &RequestLog| log.lock().unwrap().extend(entry.error.clone());
    let server = serve(memory.clone(), Options { log: Some(Arc::new(log)), ..Options::default() });
    let mut client = Client::connect(server.local_addr());

    let answer = client.ask("GET", "/tarballs/ecto-2.0.0.tar", &[]);
    let expected =
        "ecto 2.0.0 is damaged in the mirror at commit 0123456789ab; run `git hexmirror verify` on the server";
    assert_eq!((answer.status, answer.text()), (500, format!("{expected}\n").as_str()));
    assert_eq!(answer.field("etag"), None);
    // The cause may contain a local path, which the client must not see.
    assert_eq!(*errors.lock().unwrap(), [format!("{expected}: blob 1234 is torn")]);
    assert_eq!(client.ask("GET", "/tarballs/jason-1.0.0.tar", &[]).status, 500);
    assert_eq!(client.ask("GET", "/tarballs/evil-1.0.0.tar", &[]).status, 500);
    assert_eq!(client.ask("GET", PLUG, &[]).status, 200);

    memory.put_bytes(tarball("ecto", "2.0.0"), "k-ecto", "mended");
    assert_eq!(client.ask("GET", "/tarballs/ecto-2.0.0.tar", &[]).text(), "mended");
}

#[test]
fn an_unreadable_branch_is_reported_until_it_is_readable() {
    let memory = with_plug();
    memory.set_tip(None);
    let server = serve(memory.clone(), Options::default());
    let mut client = Client::connect(server.local_addr());
    for path in [PLUG, "/packages/plug", "/health"] {
        let answer = client.ask("GET", path, &[]);
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.text().contains("cannot read the mirror branch"), "{}", answer.text());
    }
    assert_eq!(client.ask("GET", "/", &[]).status, 200);
    memory.set_tip(Some("abc"));
    assert_eq!(client.ask("GET", PLUG, &[]).status, 200);
    assert_eq!(client.ask("GET", "/health", &[]).text(), "ok abc\n");
}

#[test]
fn the_next_request_sees_a_moved_branch() {
    let memory = with_plug();
    memory.put_bytes(entry("plug"), "old", "old");
    let server = serve(memory.clone(), Options::default());
    let mut client = Client::connect(server.local_addr());
    assert_eq!(client.ask("GET", "/packages/plug", &[]).field("etag"), Some("\"old\""));
    assert_eq!(client.ask("GET", "/packages/new", &[]).status, 404);
    assert_eq!(client.ask("GET", PLUG, &[]).status, 200);

    memory.put_bytes(entry("plug"), "new", "new");
    memory.put_bytes(entry("new"), "newer", "new");
    memory.set_tip(Some("next"));
    assert_eq!(client.ask("GET", "/packages/plug", &["If-None-Match: \"old\""]).field("etag"), Some("\"new\""));
    assert_eq!(client.ask("GET", "/packages/new", &[]).status, 200);
    assert_eq!(client.ask("GET", PLUG, &[]).status, 200);
    assert_eq!(memory.loads(), ["old", "k-plug", "new", "newer"], "the same bytes are not loaded twice");
}

#[test]
fn organisations_and_self_hosted_repositories() {
    let memory = Memory::new("t");
    memory.put_bytes(tarball_of("hexpm:acme", "a", "1.0.0"), "1", "of the organisation");
    memory.put_bytes(tarball_of("acme", "a", "1.0.0"), "2", "of the repository");
    memory.put_bytes(tarball_of("own", "a", "1.0.0"), "3", "of another");
    memory.put_bytes(tarball("b", "1.0.0"), "4", "public");
    let server = serve(memory, Options::default());
    let text = |path: &str| get(server.local_addr(), path).text().to_owned();
    assert_eq!(text("/repos/acme/tarballs/a-1.0.0.tar"), "of the organisation");
    assert_eq!(text("/repos/own/tarballs/a-1.0.0.tar"), "of another");
    assert_eq!(text("/repos/hexpm/tarballs/b-1.0.0.tar"), "public");
    assert!(text("/repos/acme/tarballs/b-1.0.0.tar").starts_with("hexpm:acme/b 1.0.0 is not in the mirror"));
    assert_eq!(get(server.local_addr(), "/tarballs/a-1.0.0.tar").status, 404);
}

#[test]
fn hex_is_told_that_there_is_no_newer_hex() {
    let server = serve(with_plug(), Options::default());
    let answer = get(server.local_addr(), "/installs/hex-1.x.csv");
    assert_eq!((answer.status, answer.text()), (200, ""));
}

#[test]
fn the_page_describes_the_server() {
    let server = serve(with_plug(), Options::default());
    let answer = get(server.local_addr(), "/");
    assert!(answer.text().contains("0123456789abcdef"));
    assert!(answer.text().contains(&format!("HEX_MIRROR={}", server.base_url())), "{}", answer.text());
}

#[test]
fn eight_clients_of_one_tarball_load_it_once() {
    let memory = with_plug();
    memory.close();
    let server = serve(memory.clone(), Options::default());
    let mut clients: Vec<_> = (0..8).map(|_| Client::connect(server.local_addr())).collect();
    for client in &mut clients {
        client.send(&format!("GET {PLUG} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    }
    memory.wait_for_loads(1);
    // Another request overtakes them all while they wait.
    assert_eq!(get(server.local_addr(), "/health").status, 200);
    memory.open();
    for client in &mut clients {
        assert_eq!(client.read(true).unwrap().text(), "0123456789");
    }
    assert_eq!(memory.loads(), ["k-plug"]);
}

#[test]
fn the_cache_respects_its_size() {
    let memory = Memory::new("t");
    for package in ["a", "b", "c", "d"] {
        memory.put_bytes(tarball(package, "1.0.0"), package, vec![0; 4_000]);
    }
    let server = serve(memory.clone(), Options { cache_bytes: 10_000, ..Options::default() });
    let mut client = Client::connect(server.local_addr());
    for package in ["a", "b", "a", "b", "c", "d", "a", "a"] {
        assert_eq!(client.ask("GET", &format!("/tarballs/{package}-1.0.0.tar"), &[]).body.len(), 4_000);
    }
    assert_eq!(memory.loads(), ["a", "b", "c", "d", "a"]);
}

#[test]
fn each_request_is_logged() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = lines.clone();
    let log = move |entry: &RequestLog| {
        log.lock().unwrap().push((entry.method.clone(), entry.path.clone(), entry.status, entry.bytes));
    };
    let server = serve(with_plug(), Options { log: Some(Arc::new(log)), ..Options::default() });
    let mut client = Client::connect(server.local_addr());
    client.ask("GET", &format!("{PLUG}?x"), &[]);
    client.ask("HEAD", PLUG, &[]);
    client.ask("GET", PLUG, &["If-None-Match: *"]);
    let line = |method: &str, path: &str, status, bytes| (method.to_owned(), path.to_owned(), status, bytes);
    assert_eq!(
        *lines.lock().unwrap(),
        [line("GET", &format!("{PLUG}?x"), 200, 10), line("HEAD", PLUG, 200, 0), line("GET", PLUG, 304, 0)]
    );
}

#[test]
fn many_clients_at_once() {
    let memory = Memory::new("t");
    for number in 0..20 {
        memory.put_bytes(tarball("p", &format!("{number}.0.0")), &number.to_string(), vec![number; 100_000]);
    }
    // Capacity for five items, so that loads, evictions and responses overlap.
    let server = serve(memory, Options { cache_bytes: 500_000, ..Options::default() });
    let address = server.local_addr();
    let clients: Vec<_> = (0..8)
        .map(|client: usize| {
            thread::spawn(move || {
                let mut connection = Client::connect(address);
                for step in 0..40 {
                    let number = (client * 7 + step * 3) % 20;
                    let answer = connection.ask("GET", &format!("/tarballs/p-{number}.0.0.tar"), &[]);
                    assert!(answer.body.len() == 100_000 && answer.body.iter().all(|byte| *byte == number as u8));
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
}
