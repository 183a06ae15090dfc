//! Characters without a form of their own. Some of them make a text look as if it said something else (CVE-2021-42574), others hide
//! what it says. Pages show them by their numbers.

/// Returns whether a character has no form of its own, but is neither a blank nor a tab.
pub(super) fn is_invisible(c: char) -> bool {
    let others = [
        '\u{ad}', '\u{34f}', '\u{61c}', '\u{115f}', '\u{1160}', '\u{17b4}', '\u{17b5}', '\u{180e}', '\u{2800}',
        '\u{3164}', '\u{feff}', '\u{ffa0}',
    ];
    c.is_control() && c != '\t'
        || others.contains(&c)
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns the name of an invisible character.
pub(super) fn name(c: char) -> String {
    if c == '\r' { "CR".to_owned() } else { format!("U+{:04X}", u32::from(c)) }
}

/// Returns the HTML that stands for an invisible character.
pub(super) fn mark(c: char) -> String {
    format!("<i class=\"u\">{}</i>", name(c))
}

/// How many invisible characters of a document are shown by their numbers, since a number takes much more room than its character.
const MAX_NUMBERED: usize = 300;

/// Shows the invisible characters in the texts of a document, wherever they come from: the first ones by their numbers, all
/// others as U+FFFD. Attributes, which have addresses, stay as
/// they are. Tags are told from texts by their brackets, which are escaped everywhere else.
pub(super) fn revealed(html: String) -> String {
    if !html.contains(is_shown) {
        return html;
    }
    let mut shown = String::with_capacity(html.len());
    let mut rest = &*html;
    let mut numbered = 0;
    // In a title, no element is possible.
    let mut is_in_title = false;
    while let Some(start) = rest.find('<') {
        let (text, tag) = rest.split_at(start);
        reveal(&mut shown, text, &mut numbered, is_in_title);
        let end = tag.find('>').map_or(tag.len(), |end| end + 1);
        shown.push_str(&tag[..end]);
        is_in_title = tag.starts_with("<title>");
        rest = &tag[end..];
    }
    reveal(&mut shown, rest, &mut numbered, false);
    shown
}

fn is_shown(c: char) -> bool {
    is_invisible(c) && c != '\n'
}

fn reveal(html: &mut String, text: &str, numbered: &mut usize, is_in_title: bool) {
    for c in text.chars() {
        if !is_shown(c) {
            html.push(c);
            continue;
        }
        *numbered += 1;
        match *numbered <= MAX_NUMBERED {
            false => html.push('\u{fffd}'),
            true if is_in_title => html.push_str(&name(c)),
            true => html.push_str(&mark(c)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_shown_in_texts_only() {
        let html = "<title>a\u{202e}b</title><a href=\"\u{202e}\">x\u{200b}\n\ty\r</a>\u{e0101}";
        assert_eq!(
            revealed(html.to_owned()),
            "<title>aU+202Eb</title><a href=\"\u{202e}\">x<i class=\"u\">U+200B</i>\n\ty<i class=\"u\">CR</i></a>\
             <i class=\"u\">U+E0101</i>"
        );
        let many = format!("<p>{}</p>", "\u{200b}".repeat(10_000));
        assert!(revealed(many.clone()).len() <= many.len() + 25 * MAX_NUMBERED);
        let plain = "<p>é ü &lt; \u{1f600}</p>".to_owned();
        assert_eq!(revealed(plain.clone()), plain);
    }
}
