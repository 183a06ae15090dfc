//! Comments about made-up reviews.

use git_hexmirror::git::FileChangeKind;
use git_hexmirror::hex::registry::{Advisory, Retirement, RetirementReason, Severity};
use git_hexmirror::lock::Lock;
use git_hexmirror::model::Fingerprint;
use git_hexmirror::ops::{CodeChange, ComparedStates, ProjectState, Review, ReviewedChange, SignerChange};
use git_hexmirror::plan::{ChangelogExcerpt, FileRole, ReleaseFlags, Wanted, lock_changes};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::{LIMIT, comment};

/// Text that tries everything, in every field.
const HOSTILE: &str =
    "`|@octocat| #1 <img src=x> ![x](https://evil.example/x.png) [x](https://evil.example)\n\n```\n</details>\n# x";

fn wanted(text: &str) -> Wanted {
    let mut wanted = Wanted::default();
    wanted.add(&Lock::parse("mix.lock", text).unwrap()).unwrap();
    wanted
}

fn hex(name: &str, version: &str) -> String {
    let sum = "a".repeat(64);
    format!(r#""{name}": {{:hex, :{name}, "{version}", "{sum}", [:mix], [], "hexpm", "{sum}"}}"#)
}

fn git(name: &str, digit: &str) -> String {
    format!(r#""{name}": {{:git, "https://github.com/team/lib.git", "{}", []}}"#, digit.repeat(40))
}

fn review(before: &[String], after: &[String]) -> Review {
    let wanted = |entries: &[String]| wanted(&format!("%{{{}}}", entries.join(", ")));
    let changes = lock_changes(&wanted(before), &wanted(after)).into_iter().map(|change| ReviewedChange {
        change,
        code: None,
        changelog: None,
        licenses: [None, None],
        fixed: Vec::new(),
        brought: Vec::new(),
        retired: None,
        still: ReleaseFlags::default(),
        is_older: false,
        is_cut: false,
        is_lacking: false,
    });
    let between = ComparedStates { before: ProjectState::Worktree, after: ProjectState::Worktree };
    Review { between, changes: changes.collect(), signers: Vec::new(), mirror: None }
}

fn advisory(id: &str, summary: &str) -> Advisory {
    Advisory {
        id: id.into(),
        summary: summary.into(),
        html_url: "https://evil.example/".into(),
        api_url: String::new(),
        severity: Some(Severity::High),
        cvss_score: None,
        aliases: Vec::new(),
    }
}

/// Fills every field of a change with a text.
fn fill(change: &mut ReviewedChange, text: &str) {
    change.code = Some(CodeChange {
        files: 3,
        added: 4,
        removed: 5,
        notable: [
            (FileRole::BuildScript, FileChangeKind::Changed, text.into()),
            (FileRole::Binary, FileChangeKind::Added, format!("priv/{text}")),
        ]
        .into(),
        loads_native_code: vec![text.into()],
    });
    change.changelog = Some(ChangelogExcerpt { text: text.into(), left_out: 7 });
    change.licenses = [Some(vec![text.into()]), Some(vec!["MIT".into(), text.into()])];
    change.fixed = vec![advisory(text, text)];
    change.brought = vec![advisory(text, text)];
    let retired = Some(Retirement { reason: RetirementReason::Security, message: Some(text.into()) });
    change.still = ReleaseFlags { retired, advisories: vec![advisory(text, text)] };
    change.is_cut = true;
    change.retired = Some(Retirement { reason: RetirementReason::Deprecated, message: Some(text.into()) });
}

/// Returns the texts outside of code, and the links, images and HTML.
fn parsed(markdown: &str) -> (Vec<String>, Vec<String>) {
    let (mut texts, mut others, mut in_code) = (Vec::new(), Vec::new(), false);
    for event in Parser::new_ext(markdown, Options::all()) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Text(text) if !in_code => texts.push(text.into_string()),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                others.push(dest_url.into_string())
            }
            Event::Html(html) | Event::InlineHtml(html) => others.push(html.trim().to_owned()),
            _ => {}
        }
    }
    (texts, others)
}

#[test]
fn nothing_of_a_package_is_markup() {
    let mut review = review(
        &[hex("plug", "1.0.0"), git("li@b `|", "1"), git("gone", "1")],
        &[hex("plug", "1.1.0"), git("li@b `|", "2"), hex("new", "0.1.0")],
    );
    review.changes.iter_mut().for_each(|change| fill(change, HOSTILE));
    let signer = |byte| Fingerprint::from_bytes([byte; 32]);
    review.signers = vec![SignerChange { repository: "acme".parse().unwrap(), before: signer(1), after: signer(2) }];
    let text = comment(&review);
    let (texts, others) = parsed(&text);
    for text in texts {
        assert!(!text.contains(['@', '#']) && !text.contains("://") && !text.contains("octocat"), "{text}");
        assert!(!text.contains("evil") && !text.contains("www."), "{text}");
    }
    let page = format!("https://github.com/team/lib/compare/{}...{}", "1".repeat(40), "2".repeat(40));
    let known = |html: &String| {
        let folded = ["<details><summary><code>plug</code></summary>", "<details><summary><code>new</code></summary>"];
        let ours = ["<!-- git-hexmirror diff -->", "<sub>", "</sub>", "</details>", &page];
        let others = ["<details><summary>A package</summary>", "<details><summary><code>gone</code></summary>"];
        folded.iter().chain(&ours).chain(&others).any(|ours| ours == html)
    };
    let strange: Vec<&String> = others.iter().filter(|html| !known(html)).collect();
    assert_eq!(strange, Vec::<&String>::new(), "{text}");
    assert_eq!(others.iter().filter(|other| **other == page).count(), 1, "{text}");
}

#[test]
fn a_comment_says_what_changed_in_a_fixed_order() {
    let mut review = review(&[hex("plug", "1.0.0"), git("lib", "1")], &[hex("plug", "1.1.0"), git("lib", "2")]);
    fill(&mut review.changes[1], "x");
    let text = comment(&review);
    assert_eq!(text, comment(&review));
    insta::assert_snapshot!("comment", text);
    review.changes.clear();
    assert!(comment(&review).contains("No dependency changed between"));
}

#[test]
fn a_long_comment_is_shortened_and_says_so() {
    for number in [1_usize, 30, 2_000] {
        let (before, after): (Vec<String>, Vec<String>) = (0..number)
            .map(|id| (hex(&format!("package{id:04}"), "1.0.0"), hex(&format!("package{id:04}"), "1.1.0")))
            .unzip();
        let mut review = review(&before, &after);
        review.changes.iter_mut().for_each(|change| fill(change, &"ä@`\n".repeat(1_200)));
        let text = comment(&review);
        assert!(text.chars().count() <= LIMIT && text.len() <= LIMIT, "{number}: {}", text.len());
        assert_eq!(text.contains("**Left out**"), number > 1, "{number}: {text}");
        assert!(text.ends_with("</sub>\n"), "{number}");
        if number == 2_000 {
            for named in ["changed dependencies; ", " remarks; the changelogs of `package0", " more. To see everything"]
            {
                assert!(text.contains(named), "{named}: {}", &text[text.len() - 1_000..]);
            }
        }
        let (texts, _) = parsed(&text);
        assert!(texts.iter().all(|text| !text.contains('@')), "{number}");
    }
}
