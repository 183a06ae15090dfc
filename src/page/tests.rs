//! Markup in every text that a page is made from.

use super::*;
use crate::model::{EntryId, ReleaseId};

const MARKUP: &str = "</title></textarea>\"'><script>alert(1)</script><img src=x onerror=alert(1)>";

fn markup() -> String {
    MARKUP.to_owned()
}

fn frame() -> Frame {
    Frame { project: markup(), branch: markup(), commit: markup(), day: markup(), site: None }
}

fn id() -> EntryId {
    EntryId { repository: "hexpm:acme".parse().unwrap(), package: "plug".parse().unwrap() }
}

fn finding() -> Finding {
    let EntryId { repository, package } = id();
    let release = ReleaseId { repository, package, version: "1.0.0".parse().unwrap() };
    Finding { release, tone: Tone::Bad, rule: "vulnerable", text: markup(), url: Some(format!("https://x/{MARKUP}")) }
}

fn change() -> Change {
    Change { tone: Tone::Good, word: "added", text: markup(), package: Some(id()), link: None }
}

/// Checks that invisible characters are shown, and that a page has the text, and only as text.
fn assert_is_escaped(html: &str) {
    assert!(
        html.contains("&lt;/title&gt;&lt;/textarea&gt;&quot;'&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x"),
        "{html}"
    );
    for active in ["<script", "<img", "</textarea", "\"'>"] {
        assert!(!html.contains(active), "{active}: {html}");
    }
    // A quote in an attribute would end it.
    assert_eq!(html.matches("</title>").count(), 1, "{html}");
}

#[test]
fn invisible_characters_are_shown_in_what_packages_say() {
    let frame = Frame { project: "x\u{202e}y".to_owned(), ..frame() };
    let html = waiting(&frame, &Address::Overview);
    assert!(html.contains("xU+202Ey</title>") && !html.contains('\u{202e}'), "{html}");
}

#[test]
fn the_overview_is_escaped() {
    let lock = LockState {
        file: markup(),
        pins: markup(),
        lacks: vec![markup()],
        more: 1,
        not_mirrored: vec![markup()],
        problem: None,
    };
    let update =
        Update { day: markup(), commit: markup(), subject: markup(), changes: vec![change()], more: 1, unknown: None };
    let shown = Overview {
        locks: vec![lock.clone(), LockState { problem: Some(markup()), ..lock }],
        more_locks: 1,
        contents: vec![("Packages", markup())],
        age: markup(),
        judged: 1,
        findings: Some(vec![finding()]),
        more_findings: 1,
        updates: vec![update],
        commands: vec![("mix", markup())],
    };
    let html = overview(&frame(), &shown);
    assert_is_escaped(&html);
    assert!(html.contains("lacks what 1 of 3 locks pins"), "{html}");
    assert!(html.contains("1 of 3 locks cannot be read"), "{html}");
    let unread = shown.locks.into_iter().filter(|lock| lock.problem.is_some()).collect();
    let html = overview(&frame(), &Overview { locks: unread, more_locks: 0, ..shown });
    assert!(html.contains("1 of 1 lock cannot be read") && !html.contains("hexmirror update"), "{html}");
}

#[test]
fn a_folder_of_long_names_is_cut() {
    let names = (0..MAX_NAMES).map(|number| format!("{number:03}{}", "\u{e9}<\u{202e}".repeat(60)));
    let entry = |name| FolderEntry { name, has_page: true, is_folder: false, note: "", bytes: Some(1) };
    let EntryId { repository, package } = id();
    let release = ReleaseId { repository, package, version: "1.0.0".parse().unwrap() };
    let folder = SourceFolder {
        id: SourceId::Release(release),
        origin: SourceOrigin::default(),
        path: String::new(),
        entries: names.map(entry).collect(),
        more: 7,
    };
    let html = source_folder(&frame(), &folder);
    let shown = html.matches("[U+202E]").count() / 60;
    assert!(
        html.len() < 60_000 && html.contains(&format!("{} more names are not shown", MAX_NAMES - shown + 7)),
        "{html}"
    );
}

#[test]
fn the_list_of_packages_is_escaped() {
    let row = PackageRow {
        id: id(),
        versions: markup(),
        licenses: markup(),
        bytes: 1,
        locks: 1,
        badges: vec![Badge { tone: Tone::Warning, text: markup() }],
    };
    let query = PackageQuery { text: markup(), license: markup(), lock: markup(), page: 1, ..PackageQuery::default() };
    let list = PackageList {
        query,
        rows: vec![row],
        found: 101,
        pages: 3,
        licenses: vec![markup(), "MIT".to_owned()],
        locks: vec![markup(), "mix.lock".to_owned()],
        is_complete: false,
        letters: Vec::new(),
    };
    let html = packages(&frame(), &list);
    assert_is_escaped(&html);
    assert!(html.contains("Page 2 of 3") && html.contains("&amp;page=3\""), "{html}");
    assert_eq!(html.matches(" selected>").count(), 2, "{html}");
}

/// The list of a site cannot be searched: its letters lead to where they begin.
#[test]
fn the_list_of_a_site_has_letters() {
    let row = |name: &str| PackageRow {
        id: EntryId { repository: "hexpm".parse().unwrap(), package: name.parse().unwrap() },
        versions: "1.0.0".into(),
        licenses: markup(),
        bytes: 1,
        locks: 1,
        badges: Vec::new(),
    };
    let letters = [('a', 0, 0), ('b', 0, 99), ('c', 1, 1)];
    let list = PackageList {
        query: PackageQuery { page: 1, ..PackageQuery::default() },
        rows: vec![row("bb"), row("c")],
        found: 102,
        pages: 2,
        licenses: Vec::new(),
        locks: Vec::new(),
        is_complete: true,
        letters: letters.map(|(letter, page, row)| Letter { letter, page, row }).into(),
    };
    let html = packages(&Frame { site: Some(std::sync::Arc::default()), ..frame() }, &list);
    for expected in [
        "href=\"../-/packages.html#letter-a\"",
        "href=\"../-/packages.html#letter-b\"",
        "href=\"../-/packages~2.html#letter-c\"",
        "<tr><th scope=\"row\">bb",
        "<tr id=\"letter-c\"><th scope=\"row\">c",
    ] {
        assert!(html.contains(expected), "{expected}: {html}");
    }
    assert!(!html.contains("<form") && html.contains("http-equiv=\"Content-Security-Policy\""), "{html}");
}

#[test]
fn a_page_that_cannot_be_made_yet_is_escaped() {
    assert_is_escaped(&waiting(&frame(), &Address::Package(id())));
    assert_is_escaped(&failure("/-/x", "404 Not Found", MARKUP));
}
