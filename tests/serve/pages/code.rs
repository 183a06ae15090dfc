//! Sources and differences, with hostile names and contents.

use std::time::{Duration, Instant};

use git_hexmirror::config::Layer;
use git_hexmirror::ops::{self, Environment, Project};
use git_hexmirror::serve::{Handle, Options};
use git_hexmirror::store::Repository;

use crate::git::mirror::Mirror;
use crate::packages::server::{Answer, Client};
use crate::support::registry::Registry;
use crate::support::stage::Stage;

const BROWSER: &str = "Accept: text/html,application/xhtml+xml";
const SCRIPT: &str = "<script>alert(1)</script>";

fn serve(stage: &Stage) -> Handle {
    let variables = [("PATH".to_owned(), std::env::var("PATH").unwrap())].into();
    let environment = Environment::new(variables, None);
    let repository = Repository::open(&stage.project).unwrap();
    let project = Project::of(repository, &stage.project, Layer::default(), environment).unwrap();
    ops::start_server(&project, "127.0.0.1:0", Options::default()).unwrap()
}

fn ask(server: &Handle, path: &str) -> Answer {
    Client::connect(server.local_addr()).ask("GET", path, &[BROWSER])
}

/// Returns a page, which must exist, weigh at most 60 kB, and have no script.
fn page(server: &Handle, path: &str) -> String {
    let answer = ask(server, path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    assert!(answer.body.len() <= 60_000, "{path} has {} bytes", answer.body.len());
    let text = answer.text().to_owned();
    for forbidden in ["<script", "<img", "<style", " style=", " onclick", "javascript:"] {
        assert!(!text.contains(forbidden), "{path}: {forbidden}: {text}");
    }
    text
}

/// A mirror whose tip has `evil 2.0.0`, stored as its tarball, and whose history has `evil 1.0.0`.
fn hostile() -> Stage {
    let mut registry = Registry::default();
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let long = format!("x = \"{}\"\n", "a".repeat(1 << 20));
    let numbers = |last: &str| (0..3000).map(|line| format!("def f{line}, do: {line}\n")).collect::<String>() + last;
    let name = format!("lib/{SCRIPT}&\"'.ex").replace("</", "<");
    registry.publish(
        "evil 1.0.0",
        &[],
        &[
            file(&name, "old"),
            file("lib/a.ex", &format!("# {SCRIPT}\ndef one(a), do: a\n")),
            file("lib/long.ex", &long),
            file("lib/many.ex", &numbers("")),
            file("mix.exs", "x"),
            file("same.txt", "same\n"),
        ],
    );
    registry.publish(
        "evil 2.0.0",
        &[],
        &[
            file(&name, "new"),
            file("lib/a.ex", &format!("# {SCRIPT}\ndef one(a, {SCRIPT}), do: a\u{202e}\n")),
            file("lib/long.ex", &long.replace("a\"\n", "b\"\n")),
            file("lib/many.ex", &numbers("the end\n")),
            file("binary", "\0\u{1}"),
            file("empty", ""),
            file("mix.exs", "y"),
            file("same.txt", "same\n"),
        ],
    );
    let mut tarball = registry.get("evil 2.0.0").tarball.clone();
    tarball.extend([1; 512]);
    registry.publish_tarball("evil 2.0.0", tarball);
    let stage = Stage::with(registry, &["evil 1.0.0"]);
    stage.run(&["update"]).ok();
    stage.lock(&["evil 2.0.0"]);
    stage.run(&["update"]).ok();
    stage.run(&["prune", "--keep-days=0"]).ok();
    stage
}

#[test]
fn sources_are_shown_from_the_mirror_and_from_its_history() {
    let stage = hostile();
    let server = serve(&stage);
    let root = page(&server, "/-/source/hexpm/evil/2.0.0");
    for expected in ["lib/</bdi>", "binary</bdi>", "pinned by a lock", "href=\"1.0.0..2.0.0\"", "1.0.0</a>"] {
        assert!(root.contains(expected) || expected.starts_with("href"), "{expected}: {root}");
    }
    assert!(!root.contains("From the history"));
    let lib = page(&server, "/-/source/hexpm/evil/1.0.0/lib");
    assert!(lib.contains("From the history") && lib.contains("not pinned by a lock"), "{lib}");
    assert!(lib.contains("&lt;script&gt;") && lib.contains("%3Cscript%3E"), "{lib}");
    let file = page(&server, "/-/source/hexpm/evil/1.0.0/lib/a.ex");
    assert!(file.contains("<b class=\"c\"># &lt;script&gt;alert(1)&lt;/script&gt;</b>"), "{file}");
    assert!(file.contains("<a id=\"L2\" href=\"#L2\">2</a> <b class=\"k\">def</b>"), "{file}");
    assert!(page(&server, "/-/source/hexpm/evil/2.0.0/lib/a.ex").contains("<i class=\"u\">U+202E</i>"));
    assert!(page(&server, "/-/source/hexpm/evil/2.0.0/lib/long.ex").contains("too large to be shown"));
    assert!(page(&server, "/-/source/hexpm/evil/2.0.0/binary").contains("is not text"));
    assert!(page(&server, "/-/source/hexpm/evil/2.0.0/empty").contains("is empty"));
    // A long file has pages, each with the lines that a link names.
    let first = page(&server, "/-/source/hexpm/evil/1.0.0/lib/many.ex");
    assert!(first.contains("id=\"L1\"") && first.contains("rel=\"next\"") && !first.contains("id=\"L2999\""));
    for line in [1, 2, 500, 1500, 2999, 3000] {
        let page = page(&server, &format!("/-/source/hexpm/evil/1.0.0/lib/many.ex?line={line}"));
        assert!(page.contains(&format!("id=\"L{line}\"")), "{line}");
    }
    page(&server, "/-/source/hexpm/evil/1.0.0/lib/many.ex?line=99999999999999999999999");
    for (path, text) in [
        ("/-/source/hexpm/evil/3.0.0", "neither the mirror nor its history has evil 3.0.0"),
        ("/-/source/hexpm/nobody/1.0.0", "neither the mirror nor its history"),
        ("/-/source/hexpm/evil/2.0.0/nothing", "has no file"),
        ("/-/source/hexpm/evil/2.0.0/lib/../mix.exs", "has no file"),
        ("/-/source/hexpm/evil/2.0.0/lib//a.ex", "has no file"),
        ("/-/source/hexpm/evil/1.0.0;x", "no page"),
        ("/-/source/hexpm/..", "no page"),
        ("/-/source/hexpm/evil/2.0.0/%3Cscript%3E", "&lt;script&gt;"),
    ] {
        let answer = ask(&server, path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains(text) && !answer.text().contains("<script"), "{path}: {}", answer.text());
    }
}

#[test]
fn a_file_is_downloaded_and_never_shown() {
    let stage = hostile();
    let server = serve(&stage);
    let answer = ask(&server, "/-/raw/hexpm/evil/2.0.0/lib/%3Cscript%3Ealert(1)%3Cscript%3E%26%22'.ex");
    assert_eq!((answer.status, answer.text()), (200, "new"));
    assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    let disposition = answer.field("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment; filename=\"_script_alert_1__script____.ex\"; "), "{disposition}");
    assert!(
        disposition.ends_with("filename*=UTF-8''%3Cscript%3Ealert%281%29%3Cscript%3E%26%22%27%2Eex"),
        "{disposition}"
    );
    assert_eq!(ask(&server, "/-/raw/hexpm/evil/2.0.0/binary").body, b"\0\x01");
    assert_eq!(ask(&server, "/-/raw/hexpm/evil/2.0.0/lib/long.ex").body.len(), (1 << 20) + 7);
    assert_eq!(ask(&server, "/-/raw/hexpm/evil/2.0.0/lib").status, 404);
}

#[test]
fn versions_are_compared() {
    let stage = hostile();
    let server = serve(&stage);
    for view in ["", "?view=split"] {
        let all = page(&server, &format!("/-/compare/hexpm/evil/1.0.0..2.0.0{view}"));
        for expected in [
            "7 files differ",
            "runs at build time",
            "<mark>",
            "U+202E",
            "It is not text",
            "too large to compare",
            "%3Cscript%3E",
        ] {
            assert!(all.contains(expected), "{expected}: {all}");
        }
        assert!(!all.contains("same.txt"), "{all}");
        let one = page(&server, &format!("/-/compare/hexpm/evil/1.0.0..2.0.0/lib/a.ex{view}"));
        assert!(one.contains("+1") && one.contains("−1") && one.contains("Next file"), "{one}");
    }
    let many = page(&server, "/-/compare/hexpm/evil/1.0.0..2.0.0/lib/many.ex");
    assert!(many.contains("the <b class=\"k\">end</b>") && many.contains("lines 2998–3001"), "{many}");
    assert!(page(&server, "/-/compare/hexpm/evil/2.0.0..2.0.0").contains("All files are the same"));
    for (path, text) in [
        ("/-/compare/hexpm/evil/1.0.0..2.0.0/same.txt", "is the same in"),
        ("/-/compare/hexpm/evil/1.0.0..2.0.0/nothing.txt", "neither evil 1.0.0 nor evil 2.0.0 has a file"),
        ("/-/compare/hexpm/evil/1.0.0..3.0.0", "has evil 3.0.0"),
        ("/-/compare/hexpm/evil/1.0.0", "no page"),
        ("/-/compare/hexpm/evil/..", "no page"),
        ("/-/compare/hexpm/evil/1.0.0..--output=x", "no page"),
    ] {
        let answer = ask(&server, path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains(text), "{path}: {}", answer.text());
    }
}

/// Characters and tokens that take much more HTML than text, and many words that differ.
#[test]
fn pages_weigh_little_whatever_is_in_files() {
    let mut registry = Registry::default();
    let lines = |line: &str, count: usize| format!("{line}\n").repeat(count);
    let words = |step: usize| (0..400).map(|word| if word % step == 0 { "x;" } else { "y;" }).collect::<String>();
    let files = |version: usize| {
        [
            ("control.txt", lines(&"\u{1}".repeat(60 + version), 500)),
            ("long.txt", lines(&format!("{version}{}", "\u{1b}\u{202e}".repeat(5000)), 20)),
            ("returns.txt", format!("{}{version}", "\r".repeat(30_000))),
            ("marked.ex", (0..120).map(|line| format!("{line}{}\n\n", words(version + 1))).collect()),
            ("quotes.txt", lines(&"&<>\"".repeat(100 + version), 400)),
        ]
        .map(|(path, text)| (path.to_owned(), text))
    };
    registry.publish("heavy 1.0.0", &[], &files(1));
    registry.publish("heavy 2.0.0", &[], &files(2));
    let stage = Stage::with(registry, &["heavy 1.0.0"]);
    stage.run(&["update"]).ok();
    stage.lock(&["heavy 2.0.0"]);
    stage.run(&["update"]).ok();
    let server = serve(&stage);
    for (path, _) in files(1) {
        for line in [0, 100, 250] {
            page(&server, &format!("/-/source/hexpm/heavy/2.0.0/{path}?line={line}"));
        }
        for view in ["?page=1", "?page=2", "?view=split", "?view=split&page=2"] {
            page(&server, &format!("/-/compare/hexpm/heavy/1.0.0..2.0.0/{path}{view}"));
        }
    }
    for view in ["", "?view=split"] {
        page(&server, &format!("/-/compare/hexpm/heavy/1.0.0..2.0.0{view}"));
    }
}

#[test]
fn the_ends_of_lines_are_said_once_and_a_changed_one_is_shown() {
    let mut registry = Registry::default();
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let old = [file("dos.txt", "a\r\nb\r\n"), file("mixed.txt", "a\r\nb\n"), file("ends.txt", "a\r\nb\r\n")];
    let new = [file("dos.txt", "a\r\nc\r\n"), file("mixed.txt", "a\nb\n"), file("ends.txt", "a\r\nb\n")];
    registry.publish("dos 1.0.0", &[], &old);
    registry.publish("dos 2.0.0", &[], &new);
    let stage = Stage::with(registry, &["dos 1.0.0"]);
    stage.run(&["update"]).ok();
    stage.lock(&["dos 2.0.0"]);
    stage.run(&["update"]).ok();
    let server = serve(&stage);
    let marks = |html: &str| (html.matches("Lines end with CRLF.").count(), html.matches(">CR<").count());
    assert_eq!(marks(&page(&server, "/-/source/hexpm/dos/2.0.0/dos.txt")), (1, 0));
    assert_eq!(marks(&page(&server, "/-/source/hexpm/dos/2.0.0/mixed.txt")), (0, 0));
    let ends = page(&server, "/-/source/hexpm/dos/2.0.0/ends.txt");
    assert!(marks(&ends) == (0, 1) && ends.contains("Some lines end with CRLF"), "{ends}");
    for (path, expected) in [("dos.txt", (1, 0)), ("mixed.txt", (0, 1)), ("ends.txt", (0, 2))] {
        let html = page(&server, &format!("/-/compare/hexpm/dos/1.0.0..2.0.0/{path}"));
        assert_eq!(marks(&html), expected, "{path}: {html}");
    }
}

#[test]
fn revisions_of_git_dependencies_are_shown_and_compared() {
    let (mirror, revisions) = Mirror::of_made();
    let server = mirror.serve();
    let [old, new] = [&revisions[0], &revisions[2]];
    let base = "/-/git/example.org/team/lib";
    assert!(page(&server, "/-/git").contains("example.org/team/lib"));
    let repository = page(&server, base);
    assert!(repository.contains(old) && repository.contains(new), "{repository}");
    let root = page(&server, &format!("{base}/-/source/{new}"));
    assert!(root.contains("not pinned by a lock"), "{root}");
    let compared = page(&server, &format!("{base}/-/compare/{old}..{new}"));
    assert!(compared.contains("2 files differ") && compared.contains("added</span>"), "{compared}");
    for path in [
        format!("{base}/-/source/{}", "1".repeat(40)),
        format!("{base}/-/source/HEAD"),
        format!("{base}/-/source/--help"),
        format!("{base}/-/compare/{old}..main"),
        "/-/git/example.org/team/other".to_owned(),
        "/-/git/example.org/-/-/source/x".to_owned(),
    ] {
        assert_eq!(ask(&server, &path).status, 404, "{path}");
    }
}

#[test]
fn everything_else_is_listed() {
    let stage = Stage::mirrored();
    let stored = page(&serve(&stage), "/-/stored");
    assert!(stored.contains("SHA256:") && stored.contains("None."), "{stored}");
}

#[test]
fn commits_of_the_project_are_named_plainly() {
    let stage = Stage::without_lock(Registry::sample());
    for (release, message) in [("alpha 1.0.0", "<b>one</b>"), ("alpha 1.1.0", "two")] {
        stage.lock(&[release]);
        stage.git(&["add", "mix.lock"]);
        stage.git(&["commit", "--quiet", &format!("--message={message}")]);
        stage.run(&["update"]).ok();
    }
    let server = serve(&stage);
    let history = page(&server, "/-/history");
    let [old, new] = ["HEAD~1", "HEAD"].map(|name| stage.git(&["rev-parse", name]));
    for expected in ["&lt;b&gt;one&lt;/b&gt;", "compare/hexpm/alpha/1.0.0..1.1.0", &format!("history/{old}..{new}")] {
        assert!(history.contains(expected), "{expected}: {history}");
    }
    let changes = page(&server, "/-/history/HEAD~1..HEAD");
    assert!(changes.contains("raised") && changes.contains("compare/hexpm/alpha/1.0.0..1.1.0"), "{changes}");
    let entered = ask(&server, "/-/history?from=HEAD%7E1&to=HEAD");
    assert_eq!((entered.status, entered.field("location")), (307, Some("../-/history/HEAD~1..HEAD")));
    stage.git(&["branch", "feature/x", "HEAD~1"]);
    assert!(page(&server, "/-/history/feature/x..HEAD").contains("raised"));
    for range in [
        "HEAD",
        "HEAD..",
        "..HEAD",
        "HEAD...HEAD~1",
        "--output=x..HEAD",
        "HEAD..--help",
        ":/two..HEAD",
        "HEAD:mix.lock..HEAD",
        "HEAD@%7B1%7D..HEAD",
        "HEAD%5E%7B/two%7D..HEAD",
        "nothing..HEAD",
        "a%0Ab..HEAD",
        "%3Cscript%3E..HEAD",
    ] {
        let answer = ask(&server, &format!("/-/history/{range}"));
        assert_eq!(answer.status, 404, "{range}");
        assert!(!answer.text().contains("<script"), "{range}");
    }
    page(&server, "/-/history?page=99999");
}

/// Lines without a unique one among them, which are expensive to compare.
#[test]
fn an_expensive_difference_is_cut_short_and_says_so() {
    let mut registry = Registry::default();
    let tangled = |factor: u64| (0..28_000).map(|line| format!("{}\n", line * factor % 28_000 / 2)).collect::<String>();
    let files = |factor: u64| {
        let one = |number: u64| (format!("lib/{number}.txt"), tangled(factor + 2 * number));
        let long = |text: &str| ("lib/z.txt".to_owned(), format!("{text}\n").repeat(50_000));
        (0..6).map(one).chain([long(&factor.to_string())]).collect::<Vec<_>>()
    };
    registry.publish("slow 1.0.0", &[], &files(7919));
    registry.publish("slow 2.0.0", &[], &files(104_729));
    let stage = Stage::with(registry, &["slow 1.0.0"]);
    stage.run(&["update"]).ok();
    stage.lock(&["slow 2.0.0"]);
    stage.run(&["update"]).ok();
    let server = serve(&stage);
    let start = Instant::now();
    let all = page(&server, "/-/compare/hexpm/slow/1.0.0..2.0.0");
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    for expected in ["7 files differ", "is cut short, because it took too long", "not compared</span>"] {
        assert!(all.contains(expected), "{expected}: {all}");
    }
    let one = page(&server, "/-/compare/hexpm/slow/1.0.0..2.0.0/lib/0.txt");
    assert!(one.contains("Page 1 of "), "{one}");
    let long = page(&server, "/-/compare/hexpm/slow/1.0.0..2.0.0/lib/z.txt");
    assert!(long.contains("too large to compare"), "{long}");
}

/// With the debug build, this is only a bound for what must never happen.
#[test]
fn pages_are_fast_enough_for_people() {
    let stage = hostile();
    let server = serve(&stage);
    let path = "/-/compare/hexpm/evil/1.0.0..2.0.0";
    page(&server, path);
    let start = Instant::now();
    page(&server, path);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
