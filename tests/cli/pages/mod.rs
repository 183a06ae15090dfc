//! The web pages of `serve` and `open`.

mod browser;
mod hostile;
mod site;
mod static_site;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::http::get;
use crate::support::stage::{PINNED, Serving, Stage};
use site::{Site, resolved};

/// A mirror with a vulnerable and two retired releases, and packages of which upstream has newer ones.
fn flagged() -> Stage {
    let mut stage = Stage::new();
    stage.registry.retire("beta 0.3.0", "broken");
    stage.registry.advise(&["alpha 1.0.0"], "EEF-1");
    stage.registry.put(&stage.upstream);
    stage.run(&["update"]).ok();
    stage
}

#[test]
fn every_link_leads_to_a_page() {
    let stage = flagged();
    let pages = Site::serve(&stage).crawl();
    for path in [
        "/",
        "/-/packages",
        "/-/packages/hexpm/alpha",
        "/-/packages/hexpm/beta",
        "/-/packages/hexpm/delta",
        "/-/style.css",
    ] {
        assert!(pages.contains_key(path), "{path} is not linked: {:?}", pages.keys());
    }
    let tip = &stage.tip().expect("a mirror")[..12];
    for (path, html) in pages.iter().filter(|(_, html)| !html.is_empty()) {
        assert!(html.contains(tip), "{path} does not name its commit");
        assert_eq!(html.matches("<h1>").count(), 1, "{path}");
        for landmark in ["<main", "<header>", "<footer>", "lang=\"en\"", "class=\"skip\" href=\"#main\""] {
            assert!(html.contains(landmark), "{path} has no {landmark}");
        }
        // A prefix that a proxy adds stays: no link is absolute.
        let prefixed = |link: &String| resolved(&format!("/prefix{path}"), link);
        for link in site::links(html).iter().filter_map(prefixed) {
            assert!(link.starts_with("/prefix/"), "{path}: {link}");
        }
    }
}

#[test]
fn a_replica_has_pages_without_a_lock() {
    let stage = flagged();
    let arguments = ["clone", "--quiet", "--bare", "--single-branch", "--branch=hexmirror", "project", "replica.git"];
    stage.sandbox.git("", &arguments);
    let pages = Site::serve_in(&stage, "replica.git").crawl();
    assert!(pages["/"].contains("The project has no lock"), "{}", pages["/"]);
    assert!(pages.contains_key("/-/packages/hexpm/alpha"), "{:?}", pages.keys());
}

#[test]
fn the_overview_shows_what_is_fresh_vulnerable_and_new() {
    let stage = flagged();
    let site = Site::serve(&stage);
    let html = site.page("/");
    for text in [
        "Fresh: the mirror has everything",
        "EEF-1",
        "deprecated: broken",
        "mix.lock",
        "3 releases",
        "Last updates",
        &format!("HEX_MIRROR={}", site.serving.url),
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    // Another lock, which is not mirrored yet.
    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    let html = site.page_with("/", "Not fresh");
    assert!(html.contains("<li><bdi>alpha 1.1.0</bdi></li>"), "{html}");
    stage.write("mix.lock", "%{ broken");
    let html = site.page_with("/", "1 of 1 lock cannot be read");
    assert!(!html.contains("Not fresh"), "{html}");
}

#[test]
fn what_the_settings_ask_for_counts_for_all_locks_together() {
    let stage = flagged();
    let (address, sum) = (format!("{}/tool.tgz", stage.upstream.url()), "1".repeat(64));
    stage.git(&["config", "hexmirror.internalHosts", "127.0.0.1"]);
    stage.git(&["config", "hexmirror.downloads", &address]);
    let site = Site::serve(&stage);
    let html = site.page("/");
    assert!(html.contains("Not fresh") && html.contains("no hexmirror.lock pins it yet"), "{html}");
    stage.write("hexmirror.lock", &format!("download {address} {sum} 1\n"));
    let html = site.page_with("/", "1 of 2 locks");
    assert!(!html.contains("no hexmirror.lock pins it yet"), "{html}");
}

#[test]
fn packages_are_found_by_what_they_are() {
    let stage = flagged();
    let site = Site::serve(&stage);
    let found = |query: &str| {
        let html = site.page(&format!("/-/packages?{query}"));
        let names = ["alpha", "beta", "delta"];
        names.into_iter().filter(|name| html.contains(&format!("hexpm/{name}\""))).collect::<Vec<_>>().join(" ")
    };
    for (query, expected) in [
        ("", "alpha beta delta"),
        ("q=ALPH", "alpha"),
        ("q=nothing", ""),
        ("retired=1", "beta delta"),
        ("advisories=1", "alpha"),
        ("outdated=1", "alpha"),
        ("retired=1&advisories=1", ""),
        ("tarball=1", ""),
        ("license=GPL", ""),
        ("lock=mix.lock", "alpha beta delta"),
        ("lock=other.lock", ""),
        ("page=9999", "alpha beta delta"),
        ("q=%3Cscript%3E&license=%22%3E", ""),
    ] {
        assert_eq!(found(query), expected, "{query}");
    }
}

#[test]
fn a_package_shows_what_the_mirror_knows() {
    let stage = flagged();
    let site = Site::serve(&stage);
    let html = site.page("/-/packages/hexpm/alpha");
    let published = stage.registry.get("alpha 1.0.0");
    for text in [
        "EEF-1: bad",
        "newer: 1.1.0",
        &published.outer.to_string(),
        "mix.lock",
        "beta 0.3.0",
        "lib/alpha.ex",
        "2 versions that the mirror does not have",
        "added",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    let html = site.page("/-/packages/hexpm/beta");
    for text in ["~&gt; 1.0", "not in the mirror", "deprecated: broken"] {
        assert!(html.contains(text), "{text}: {html}");
    }
}

#[test]
fn what_is_not_there_is_a_page_as_well() {
    let stage = Stage::mirrored();
    let site = Site::serve(&stage);
    // From now on, the mirror has been read.
    site.page("/");
    for path in ["/-/packages/hexpm/nobody", "/-/packages/other/alpha", "/-/x", "/tarballs/alpha-9.9.9.tar"] {
        let answer = site.get(path);
        let html = String::from_utf8(answer.body).unwrap();
        assert!(answer.status == 404 && html.contains("404 Not Found"), "{path}: {html}");
    }
    let answer = site.get("/-/packages/");
    assert_eq!((answer.status, answer.header("location")), (307, Some("../../-/packages")));
    let answer = site.get("/-/packages/alpha");
    assert_eq!((answer.status, answer.header("location")), (307, Some("../../-/packages/hexpm/alpha")));
    assert_eq!(site.get("/-/packages/nobody").status, 404);
    // A client that does not want HTML sees the text as ever.
    assert!(get(site.serving.authority(), "/").body.starts_with(b"This is git-hexmirror"));
}

#[test]
fn each_request_sees_one_state_of_a_branch_that_moves() {
    let stage = Stage::mirrored();
    let site = Site::serve(&stage);
    let before = stage.tip().expect("a mirror");
    assert!(site.page("/-/packages/hexpm/alpha").contains(&before[..12]));
    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    stage.run(&["update"]).ok();
    let after = stage.tip().expect("a mirror");
    let html = site.page_with("/-/packages/hexpm/alpha", &after[..12]);
    assert!(html.contains(&before[..12]), "its history has both: {html}");
    assert!(html.contains("1.0.0 → 1.1.0"), "{html}");
}

#[test]
fn open_starts_the_browser_that_is_named() {
    let stage = Stage::mirrored();
    let (script, asked) = (stage.sandbox.path().join("browser"), stage.sandbox.path().join("asked"));
    fs::write(&script, format!("#!/bin/sh\nprintf %s \"$1\" > {0}.new && mv {0}.new {0}\n", asked.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = stage.command(&["open", "--listen=127.0.0.1:0"]);
    let mut serving = Serving::start(command.env("BROWSER", format!("/no/such/browser:{}", script.display())));
    crate::support::stage::spin(&mut serving.child, || asked.exists());
    assert_eq!(fs::read_to_string(&asked).unwrap(), format!("{}/", serving.url));
    serving.stop("INT").ok();
}
