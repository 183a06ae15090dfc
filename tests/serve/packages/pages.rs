//! Web pages as browsers get them, and that clients see none of them.

use std::sync::Arc;

use super::server::{Answer, Client, Memory, entry, get, serve, tarball};
use git_hexmirror::serve::Options;

/// What Firefox sends.
const BROWSER: &str = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn with_plug() -> Arc<Memory> {
    let memory = Memory::new("0123456789abcdef");
    memory.put_bytes(tarball("plug", "1.0.0"), "k-plug", "0123456789");
    memory.put_bytes(entry("plug"), "k-entry", "signed message");
    memory
}

fn assert_is_safe(answer: &Answer, path: &str) {
    let policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    assert_eq!(answer.field("content-security-policy"), Some(policy), "{path}");
    assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{path}");
    assert_eq!(answer.field("referrer-policy"), Some("no-referrer"), "{path}");
    assert_eq!(answer.field("vary"), Some("accept"), "{path}");
}

#[test]
fn clients_get_the_same_answers_as_without_pages() {
    let server = serve(with_plug(), Options::default());
    let mut client = Client::connect(server.local_addr());
    for path in ["/", "/tarballs/plug-1.0.0.tar", "/packages/plug", "/packages/x", "/health", "/env", "/x", "/docs/x"] {
        let plain = client.ask("GET", path, &[]);
        for accept in
            ["Accept: */*", "Accept: application/vnd.hex+erlang", "Accept: application/x-git-upload-pack-result"]
        {
            let answer = client.ask("GET", path, &[accept]);
            assert_eq!((answer.status, &answer.body), (plain.status, &plain.body), "{path}");
            let without_date =
                |answer: &Answer| answer.fields.iter().filter(|(name, _)| name != "date").cloned().collect::<Vec<_>>();
            assert_eq!(without_date(&answer), without_date(&plain), "{path}");
        }
        // What is for people, such as an error, is safe in a browser as well.
        let is_for_clients = plain.status == 200 && path != "/";
        if is_for_clients {
            assert_eq!(plain.field("content-security-policy"), None, "{path}");
        } else {
            assert_is_safe(&plain, path);
        }
        assert_ne!(plain.field("content-type"), Some("text/html; charset=utf-8"), "{path}");
    }
    // What exists is the same for browsers.
    for path in ["/tarballs/plug-1.0.0.tar", "/packages/plug", "/health"] {
        let (plain, browser) = (client.ask("GET", path, &[]), client.ask("GET", path, &[BROWSER]));
        assert_eq!((browser.status, &browser.body), (plain.status, &plain.body), "{path}");
    }
}

#[test]
fn the_style_sheet_and_the_icon_are_known_to_browsers_that_have_them() {
    let server = serve(with_plug(), Options::default());
    let mut client = Client::connect(server.local_addr());
    for (path, content_type) in [("/-/style.css", "text/css; charset=utf-8"), ("/-/icon.svg", "image/svg+xml")] {
        let answer = client.ask("GET", path, &["Accept: text/css,*/*;q=0.1"]);
        assert_eq!((answer.status, answer.field("content-type")), (200, Some(content_type)));
        assert_is_safe(&answer, path);
        let etag = answer.field("etag").expect("an ETag").to_owned();
        let head = client.ask("HEAD", path, &[]);
        assert_eq!(head.field("content-length"), Some(answer.body.len().to_string().as_str()));
        let again = client.ask("GET", path, &[&format!("If-None-Match: {etag}")]);
        assert_eq!((again.status, again.field("etag")), (304, Some(etag.as_str())));
    }
}

#[test]
fn errors_are_pages_for_browsers() {
    let memory = with_plug();
    let server = serve(memory.clone(), Options::default());
    let mut client = Client::connect(server.local_addr());
    for (path, status, text) in [
        ("/packages/%3Cscript%3E", 404, "&lt;script&gt;"),
        ("/tarballs/plug-9.9.9.tar", 404, "plug 9.9.9 is not in the mirror at commit 0123456789ab"),
        ("/-/nothing", 404, "there is no page with this address"),
        ("/", 404, "this server has no pages"),
        ("/-/%ff", 404, "no page"),
        ("/packages/%ff", 400, "percent-encoded"),
    ] {
        let answer = client.ask("GET", path, &[BROWSER]);
        assert_eq!((answer.status, answer.field("content-type")), (status, Some("text/html; charset=utf-8")), "{path}");
        assert!(answer.text().contains(text) && !answer.text().contains("<script"), "{path}: {}", answer.text());
        assert!(answer.text().starts_with("<!DOCTYPE html>"));
        assert_is_safe(&answer, path);
        let mut client = Client::connect(server.local_addr());
        let head = client.ask("HEAD", path, &[BROWSER]);
        assert_eq!(head.field("content-length"), answer.field("content-length"), "{path}");
        assert_eq!((head.status, head.body.len()), (status, 0));
    }
    memory.set_tip(None);
    let answer = Client::connect(server.local_addr()).ask("GET", "/", &[BROWSER]);
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("cannot read the mirror branch"), "{}", answer.text());
    let refused = Client::connect(server.local_addr()).ask("POST", "/", &[BROWSER]);
    assert_eq!(refused.status, 405);
    assert_is_safe(&refused, "/");
    // Someone who does not want HTML gets none.
    assert_eq!(get(server.local_addr(), "/-/nothing").field("content-type"), Some("text/plain; charset=utf-8"));
}

/// A web site that makes its name resolve to this machine reads no page ("DNS rebinding").
#[test]
fn no_page_is_shown_under_a_foreign_name() {
    let server = serve(with_plug(), Options::default());
    for path in ["/", "/-/", "/-/style.css"] {
        let mut client = Client::connect(server.local_addr());
        client.send(&format!("GET {path} HTTP/1.1\r\nhost: attacker.example\r\n{BROWSER}\r\n\r\n"));
        let answer = client.read(true).unwrap();
        assert_eq!((answer.status, answer.field("content-type")), (421, Some("text/plain; charset=utf-8")), "{path}");
        assert_is_safe(&answer, path);
    }
}

#[test]
fn pages_are_read_only() {
    let server = serve(with_plug(), Options::default());
    for path in ["/", "/-/"] {
        let answer = Client::connect(server.local_addr()).ask("POST", path, &[BROWSER, "Content-Length: 0"]);
        assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, HEAD")), "{path}");
        assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert!(answer.text().contains("POST is not allowed"), "{path}: {}", answer.text());
        assert_is_safe(&answer, path);
    }
}
