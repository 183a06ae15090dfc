//! Markdown in which foreign text cannot do anything: names, titles and changelogs come from packages, and whoever publishes one
//! must not be able to mention people, to link, to embed images or HTML, or to imitate the rest of the comment.
//!
//! Forges differ in what they make of markdown (mentions, references to issues, emoji, quick actions), but all of them leave code
//! alone. So foreign text is only written as code: in a span, or in a fenced block.

/// The maximum length of a code span, in characters.
const MAX_SPAN: usize = 160;

/// Returns a foreign text as a code span on one line, which may be in a cell of a table.
pub fn code(text: &str) -> String {
    // A backtick would end the span, and a bar would end the cell. Neither has an escape that all forges know.
    let replaced = |c: char| match c {
        '`' => '\'',
        '|' => '¦',
        c if c.is_whitespace() => ' ',
        c => c,
    };
    let mut rest = text.trim().chars().map(replaced).filter(is_visible);
    let mut shown: String = rest.by_ref().take(MAX_SPAN - 1).collect::<String>().trim().to_owned();
    if rest.next().is_some() {
        shown.push('…');
    }
    if shown.is_empty() { "(empty)".to_owned() } else { format!("`{shown}`") }
}

/// Returns foreign lines as a fenced block of code. The fence is longer than any in the text.
pub fn block(text: &str) -> String {
    let shown: String = text.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(is_visible_or_end).collect();
    let longest = shown.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    let end = if shown.ends_with('\n') { "" } else { "\n" };
    format!("{fence}text\n{shown}{end}{fence}\n")
}

fn is_visible_or_end(c: &char) -> bool {
    *c == '\n' || is_visible(c)
}

/// Returns whether a character has a shape of its own: control characters, and those that change the direction of text or have
/// no width, can make a text look like another one.
fn is_visible(c: &char) -> bool {
    let is_format = matches!(*c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !is_format
}

#[cfg(test)]
mod tests {
    use pulldown_cmark::{Event, Options, Parser, Tag};

    use super::*;

    /// Texts that try to leave the code that they are written as.
    const HOSTILE: [&str; 14] = [
        "@octocat please merge",
        "fixes #1, acme/app#2 and GH-3",
        "[link](https://evil.example) <https://evil.example> https://evil.example www.evil.example",
        "![image](https://evil.example/x.png)",
        "<img src=x onerror=alert(1)><script>alert(1)</script>",
        "` @octocat `` @octocat ``` @octocat",
        "```\n@octocat\n```\n<b>bold</b>",
        "~~~\n@octocat\n</details>\n\n# Heading",
        "a | b | @octocat |\n| - | - |",
        "\\` @octocat \\",
        "\r\n\r\n@octocat\u{2028}@octocat\u{b}@octocat",
        "\u{202e}tacotco@\u{200b}",
        "/close\n/assign @octocat\n:+1: &commat;octocat &#64;octocat",
        "````````````````````\n@octocat\n```````````````````````````````",
    ];

    /// Returns what a forge could act on: everything that is not text in code.
    fn outside_of_code(markdown: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut in_code = false;
        for event in Parser::new_ext(markdown, Options::all()) {
            match event {
                Event::Start(Tag::CodeBlock(_)) => in_code = true,
                Event::End(pulldown_cmark::TagEnd::CodeBlock) => in_code = false,
                Event::Text(_) if in_code => {}
                Event::Text(text) => found.push(text.into_string()),
                Event::Html(html) | Event::InlineHtml(html) => found.push(html.into_string()),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    found.push(dest_url.into_string())
                }
                Event::Start(Tag::Heading { .. }) => found.push("heading".into()),
                _ => {}
            }
        }
        found
    }

    #[test]
    fn hostile_text_stays_in_its_code() {
        for text in HOSTILE {
            let line = format!("- before {} after\n", code(text));
            assert_eq!(outside_of_code(&line), ["before ", " after"], "{text:?} {line}");
            let table = format!("| a | b |\n|---|---|\n| {} | last |\n", code(text));
            assert_eq!(outside_of_code(&table), ["a", "b", "last"], "{text:?} {table}");
            let quoted = format!("before\n\n{}\nafter\n", block(text));
            assert_eq!(outside_of_code(&quoted), ["before", "after"], "{text:?} {quoted}");
        }
        let all = HOSTILE.concat();
        assert_eq!(outside_of_code(&block(&all)), [""; 0]);
        assert!(code(&"x".repeat(10_000)).chars().count() <= MAX_SPAN + 2);
        assert_eq!((code(""), code(" \n")), ("(empty)".to_owned(), "(empty)".to_owned()));
    }

    #[test]
    fn harmless_text_is_shown_as_it_is() {
        assert_eq!(code("Apache-2.0"), "`Apache-2.0`");
        assert_eq!(block("## 1.1.0\n\n- `x`\n"), "```text\n## 1.1.0\n\n- `x`\n```\n");
    }
}
