//! Generates nearly valid inputs from parts with a special meaning in some format. Random bytes rarely get as far as
//! these.

use proptest::prelude::*;
use proptest::sample::select;

use super::oracles;

fn one_of(parts: &'static [&'static str]) -> BoxedStrategy<String> {
    select(parts).prop_map(str::to_owned).boxed()
}

/// A path component with unusual characters, or with nearly the maximum length.
fn component() -> BoxedStrategy<String> {
    let odd = [
        "a",
        "B",
        "..",
        ".",
        "",
        ".git",
        "x.git",
        "two.git.git",
        ".GIT",
        "git~1",
        ".gitmodules",
        "GITMOD~1",
        "-x",
        "a b",
        "%20",
        "%2e",
        "%2F",
        "%C3%BC",
        "%c3%bc",
        "%",
        "ü",
        "u\u{308}",
        "\u{200c}",
        ".g\u{200d}it",
        "\u{feff}",
        "日本",
        "~user",
        "a:b",
        "a\\b",
        "#",
        "?",
        "@",
        "x.lock",
        "a'b",
        "a\"b",
        "\u{85}",
        "\u{2028}",
        "a\tb",
        "HEAD",
        "heads",
        "hexmirror",
        "..a",
        "a.",
        "a ",
    ];
    let long = (one_of(&["a", "ü", "%", " ", "日"]), prop_oneof![50usize..260, 245usize..260])
        .prop_map(|(part, count)| part.repeat(count));
    let pieces = prop::collection::vec(select(odd.to_vec()), 1..4).prop_map(|pieces| pieces.concat());
    prop_oneof![6 => select(odd.to_vec()).prop_map(str::to_owned), 4 => pieces, 2 => long, 1 => "\\PC{0,8}"].boxed()
}

fn path() -> BoxedStrategy<String> {
    prop::collection::vec(component(), 1..8).prop_map(|parts| parts.join("/")).boxed()
}

fn url() -> BoxedStrategy<String> {
    let form = one_of(&[
        "https://",
        "http://",
        "git://",
        "ssh://git@",
        "ssh://",
        "git+ssh://",
        "HTTPS://u:p%40@",
        "git@",
        "",
        "file://",
        "ext::",
        "./",
        "../",
        "../../",
    ]);
    let host =
        one_of(&["h", "GitHub.com", "h:8443", "h.", "a..b", "-h", "[::1]", "h_-x", "münchen.example", "", "git.git"]);
    let end = one_of(&["", ".git", "/", ".git/", ".git.git", "//", ".GIT"]);
    (form, host, one_of(&["/", ":", ":/", "//"]), path(), end)
        .prop_map(|(form, host, between, path, end)| [form, host, between, path, end].concat())
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_lock_makes_a_manifest_that_cannot_be_read(entries in prop::collection::vec((url(), path(), path()), 1..4)) {
        let lines: Vec<String> = entries.into_iter().map(|(url, branch, tag)| format!("{url}\n{branch}\n{tag}")).collect();
        oracles::check("git_lock", lines.join("\n").as_bytes());
    }

    #[test]
    fn every_value_of_the_model_is_read_back(url in url(), path in path(), word in "[a-zA-Z0-9_.+:-]{1,130}", digits in "[0-9a-fA-F]{38,66}") {
        for text in [&url, &path, &word, &digits, &format!("h/{path}"), &format!("heads/{path}"), &format!("{word} {word} 1.0.0-{word}")] {
            oracles::check("model", text.as_bytes());
        }
    }

    #[test]
    fn names_of_branches_are_those_of_git(name in path()) {
        oracles::check("git_name", name.as_bytes());
    }

    #[test]
    fn submodules_lead_where_git_takes_them(base in url(), relative in url()) {
        oracles::check("submodule", format!("{base}\n{relative}").as_bytes());
    }

    #[test]
    fn a_manifest_has_one_spelling(
        path in path(), kind in one_of(&["git", "pack", "shallow", "submodule", "hex", "absent", "registry", "git "]),
        host in one_of(&["h", "H", "hexpm", "hexpm:a"]), digit in one_of(&["1", "a", "A", "g"]),
        rest in prop::collection::vec(one_of(&["full", "3", "03", "+3", "0", "submodules", "HEAD", "heads/a", "heads/b", "tags/a", "", "18446744073709551616"]), 0..5),
    ) {
        let (id, rest) = (digit.repeat(40), rest.join(" "));
        let line = format!("{kind} {host}/{path} {id} {rest}\n");
        for text in [&line, &format!("{line}{line}"), &format!("{line}shallow h/b {id}\n"), line.trim_end()] {
            oracles::check("manifest", text.as_bytes());
        }
    }

    #[test]
    fn requests_lead_where_they_say(path in path(), host in one_of(&["h", "GitHub.com:80", "", "-h"]), begin in one_of(&["/git/h/", "/git/", "/", "/repos/", "/tarballs/", "/packages/"]), end in one_of(&["", "/info/refs", "/HEAD", "/objects/x", ".tar", "-1.0.0.tar", "/names"])) {
        oracles::check("routes", format!("{begin}{path}{end}\nservice=git-upload-pack\n{host}").as_bytes());
    }
}
