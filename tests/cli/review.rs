//! `diff --format markdown`: what a reviewer of changed locks should know, as a comment for a pull request.

use std::fs;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::changes::commit;
use crate::support::registry::Registry;
use crate::support::stage::{PINNED, Stage};

/// A changelog whose newest section tries to be more than text.
const CHANGELOG: &str = "# Changelog\n\n## 1.1.0\n\n- thanks @octocat, fixes #1\n```\n</details>\n<img src=x>\n![x](https://evil.example/x)\n\n\
                         ## 1.0.0\n\n- first\n";

/// A project with two commits, the second of which raises a release that changes more than code.
fn raised() -> Stage {
    let mut stage = Stage::without_lock(Registry::sample());
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    stage.registry.publish("lib 1.0.0", &[], &[file("mix.exs", "one\n"), file("lib/lib.ex", "a\nb\n")]);
    let files = [
        file("mix.exs", "two\n"),
        file("lib/lib.ex", "a\nc\n:erlang.load_nif(x, 0)\n"),
        file("c_src/nif.c", "int x;\n"),
        file("CHANGELOG.md", CHANGELOG),
        file("run.sh", "#!/bin/sh\n"),
        file("priv/data", "\0"),
        file("logo.png", "\0"),
        file("large.txt", &"x\n".repeat(1 << 20)),
    ];
    stage.registry.publish("lib 1.1.0", &[], &files);
    stage.registry.advise(&["lib 1.0.0"], "CVE-2026-0001");
    stage.registry.advise(&["lib 1.1.0"], "CVE-2026-0002");
    stage.registry.advise(&["lib 1.0.0", "lib 1.1.0"], "CVE-2026-0003");
    stage.registry.retire("lib 1.1.0", "use @octocat's");
    stage.registry.put(&stage.upstream);
    commit(&stage, &["lib 1.0.0", PINNED[0]], "");
    stage.run(&["update"]).ok();
    commit(&stage, &["lib 1.1.0", PINNED[0], "gamma 1.0.0"], "");
    stage.run(&["update"]).ok();
    stage
}

#[test]
fn a_comment_says_what_a_reviewer_should_know() {
    let stage = raised();
    let asked = stage.upstream.count("*");
    let arguments = ["diff", "HEAD~..HEAD", "--format", "markdown"];
    let text = stage.run(&arguments).ok().silent().stdout;
    for part in [
        "<!-- git-hexmirror diff -->\n### 2 dependencies changed between `HEAD~` and `HEAD`\n",
        "| added | `gamma` |  | `1.0.0` | 1 file, +1 −0 |\n",
        "| raised | `lib` | `1.0.0` | `1.1.0` | 8 files, +18 −2 |\n",
        "- **Vulnerable**: `lib` `CVE-2026-0002` `bad`\n",
        "- **Retired** (deprecated): `lib` `use @octocat's`\n",
        "- **Still vulnerable**: `lib` `CVE-2026-0003` `bad`\n",
        "- **Build script**: `lib` changes `mix.exs`\n",
        "- **Binary or above 1 MiB**: `lib` adds `large.txt`, `logo.png`, `priv/data`\n",
        "- **Executable file**: `lib` adds `run.sh`\n",
        "- **Native code**: `lib` adds `c_src/nif.c`\n",
        "- **Loads native code** (`load_nif`): `lib` in `lib/lib.ex`\n",
        "- `lib`: no longer affected by `CVE-2026-0001` `bad`\n",
        "- `gamma`: new, under no license\n",
        "<summary><code>lib</code></summary>\n\n````text\n## 1.1.0\n\n- thanks @octocat, fixes #1\n```\n",
        "![x](https://evil.example/x)\n````\n\n</details>\n",
        "From the mirror at `",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("first") && !text.contains("Left out"), "{text}");
    assert_eq!(stage.run(&arguments).ok().stdout, text);
    assert_eq!(stage.upstream.count("*"), asked);
    stage.run(&["diff", "HEAD~..HEAD", "--format=markdown", "--exit-code"]).exits(1);
    let none = stage.run(&["diff", "HEAD..HEAD", "--format=markdown", "--exit-code"]).ok();
    assert_eq!(none.stdout, "<!-- git-hexmirror diff -->\nNo dependency changed between `HEAD` and `HEAD`.\n");
    stage.run(&["diff", "HEAD..HEAD", "--format=markdown", "--json"]).exits(2);
    stage.run(&["diff", "HEAD..HEAD", "--format=markdown", "--source"]).exits(2);
    // The other way round, nothing is in the changelog, and the removed package has no build script to look at.
    let back = stage.run(&["diff", "HEAD..HEAD~", "--format=markdown"]).ok().stdout;
    for part in
        ["- **A lower version** of `lib`\n", "- **Vulnerable**: `lib` `CVE-2026-0001` `bad`\n", "| removed | `gamma` |"]
    {
        assert!(back.contains(part), "{part}\n{back}");
    }
    assert!(!back.contains("Changelogs"), "{back}");
}

#[test]
fn without_a_mirror_or_a_side_the_comment_says_so() {
    let stage = raised();
    commit(&stage, &["lib 1.1.0", "alpha 1.1.0", "gamma 1.0.0"], "");
    let text = stage.run(&["diff", "HEAD~..HEAD", "--format=markdown"]).ok().stdout;
    assert!(text.contains("| raised | `alpha` | `1.0.0` | `1.1.0` | not in the mirror |\n"), "{text}");
    assert!(text.contains("- **Not in the mirror**: `alpha`, so its code was not compared"), "{text}");
    stage.git(&["update-ref", "-d", "refs/heads/hexmirror"]);
    let text = stage.run(&["diff", "HEAD~..HEAD", "--format=markdown"]).ok().stdout;
    assert!(text.contains("| raised | `alpha` | `1.0.0` | `1.1.0` |  |\n"), "{text}");
    assert!(text.contains("This clone has no mirror, so only the locks were compared."), "{text}");
}

#[test]
fn what_is_trusted_on_first_use_or_comes_from_elsewhere_is_named() {
    let stage = raised();
    let sum = "a".repeat(64);
    fs::write(stage.project.join("hexmirror.lock"), format!("download https://h/tool {sum} 7 first-use 2026-11-28\n"))
        .unwrap();
    let evil = format!("  \"li`@b\": {{:git, \"https://github.com/team/lib.git\", \"{}\", []}},\n", "1".repeat(40));
    commit(&stage, &["lib 1.1.0", PINNED[0], "gamma 1.0.0"], &evil);
    let moved = evil.replace(&"1".repeat(40), &"2".repeat(40));
    commit(&stage, &["lib 1.1.0", PINNED[0], "gamma 1.0.0"], &moved);
    let text = stage.run(&["diff", "HEAD~2..HEAD~", "--format=markdown"]).ok().stdout;
    let remark =
        "- **Trusted on first use**: `https://h/tool`: its checksum is that of the first download, on 2026-11-28\n";
    assert!(text.contains(remark) && text.contains("| added | `li'@b` |  | `1111111111` |"), "{text}");
    let remark = "- **New git repository**: `li'@b` from `https://github.com/team/lib.git`\n";
    assert!(text.contains(remark), "{text}");
    let text = stage.run(&["diff", "HEAD~..HEAD", "--format=markdown"]).ok().stdout;
    let page = format!("https://github.com/team/lib/compare/{}...{}", "1".repeat(40), "2".repeat(40));
    let row = format!("| moved | `li'@b` | `1111111111` | `2222222222` | not in the mirror, [compare](<{page}>) |\n");
    assert!(text.contains(&row), "{text}");
    let lock = fs::read_to_string(stage.project.join("mix.lock")).unwrap();
    stage.write("mix.lock", &lock.replace("https://github.com/team/lib.git", "git://evil.example/lib.git"));
    let text = stage.run(&["diff", "HEAD", "--format=markdown"]).ok().stdout;
    let remark = "- **Another source** of `li'@b`: `https://github.com/team/lib.git` → `git://evil.example/lib.git`\n";
    assert!(text.contains(remark), "{text}");
}

#[test]
fn nothing_of_a_package_is_markup_in_the_comment() {
    let mut stage = raised();
    let evil = "`x` @octocat <b> ![x](https:evil.example)";
    let files =
        [("CHANGELOG.md".into(), CHANGELOG.replace("1.1.0", "1.2.0")), (format!("c_src/{evil}"), "int x;\n".into())];
    stage.registry.publish("lib 1.2.0", &[], &files);
    stage.registry.advise(&["lib 1.2.0"], &format!("{evil} #1"));
    stage.registry.retire("lib 1.2.0", evil);
    stage.registry.put(&stage.upstream);
    commit(&stage, &["lib 1.2.0", PINNED[0], "gamma 1.0.0"], "");
    stage.run(&["update", "--refresh"]).ok();
    let text = stage.run(&["diff", "HEAD~..HEAD", "--format=markdown"]).ok().stdout;
    assert_eq!(text.matches("octocat").count(), 4, "{text}");
    let mut in_code = false;
    for event in Parser::new_ext(&text, Options::all()) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Text(text) if !in_code => assert!(!text.contains(['@', '#', '<', '/']), "{text}"),
            Event::Html(html) | Event::InlineHtml(html) => {
                let ours = ["<!-- git-hexmirror diff -->", "</details>", "<sub>", "</sub>"];
                let folded = "<details><summary><code>lib</code></summary>";
                assert!(ours.contains(&html.trim()) || html.trim() == folded, "{html}");
            }
            Event::Start(Tag::Link { .. } | Tag::Image { .. }) => panic!("{text}"),
            _ => {}
        }
    }
}
