//! `diff --format markdown`: a comment for a pull request.

mod remarks;
mod table;
mod text;

use git_hexmirror::model::count;
use git_hexmirror::ops::{Review, ReviewedChange};

use text::{block, code};

/// What forges accept at most, in characters: GitHub's limit, the smallest.
const LIMIT: usize = 65_536;
/// What is kept free for the sentence that says what is left out, in bytes.
const RESERVED: usize = 1_500;
/// How many bytes may be used after the table and after the remarks, so that there is room for what follows.
const TABLE_END: usize = 26_000;
const REMARKS_END: usize = 44_000;
/// How many packages are named whose changelogs are left out.
const NAMED: usize = 5;
/// By this line, a later run finds the comment that it replaces.
const MARK: &str = "<!-- git-hexmirror diff -->";

/// A comment that grows up to what forges accept. Counts bytes, of which there are at least as many as characters.
struct Comment {
    text: String,
}

impl Comment {
    /// Adds a piece if there is room for it below `end`. Returns whether there was.
    fn add(&mut self, piece: &str, end: usize) -> bool {
        let fits = self.text.len() + piece.len() <= end.min(LIMIT - RESERVED);
        if fits {
            self.text += piece;
        }
        fits
    }

    /// Adds as many pieces as there is room for. Returns how many are left out.
    fn add_all(&mut self, pieces: Vec<String>, end: usize) -> usize {
        let number = pieces.len();
        let added = pieces.into_iter().take_while(|piece| self.add(piece, end)).count();
        number - added
    }
}

/// Returns the comment about a review.
pub fn comment(review: &Review) -> String {
    let [before, after] = [review.between.before.shown(), review.between.after.shown()].map(code);
    let mut comment = Comment { text: format!("{MARK}\n") };
    if review.changes.is_empty() {
        comment.text += &format!("No dependency changed between {before} and {after}.\n");
        return comment.text;
    }
    comment.text += &format!("### {} between {before} and {after}\n\n", changed(review.changes.len()));
    comment.text += table::HEAD;
    let rows = comment.add_all(review.changes.iter().map(table::row).collect(), TABLE_END);
    let mut left_out = LeftOut { rows, ..LeftOut::default() };
    let remarks = remarks::remarks(review);
    if !remarks.is_empty() {
        comment.text += "\n#### Look at\n\n";
        left_out.remarks = comment.add_all(remarks, REMARKS_END);
    }
    let noted = remarks::notes(review);
    if !noted.is_empty() {
        comment.text += "\n#### Also\n\n";
        left_out.remarks += comment.add_all(noted, REMARKS_END);
    }
    let mut is_first = true;
    for change in &review.changes {
        let Some(piece) = changelog(change) else { continue };
        let piece = if is_first { format!("\n#### Changelogs\n{piece}") } else { piece };
        if comment.add(&piece, LIMIT) {
            is_first = false;
        } else {
            left_out.changelogs.push(change.change.name());
        }
    }
    comment.text += &left_out.sentence(&before, &after);
    comment.text += &footer(review);
    comment.text
}

fn changed(number: usize) -> String {
    count(number, "dependency changed", "dependencies changed")
}

/// Returns the part of a package's changelog, folded.
fn changelog(change: &ReviewedChange) -> Option<String> {
    let excerpt = change.changelog.as_ref()?;
    // Only names that the text cannot leave are in HTML.
    let name = change.change.name();
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    let summary = if is_plain { format!("<code>{name}</code>") } else { "A package".to_owned() };
    let more = match excerpt.left_out {
        0 => String::new(),
        lines => format!("\n{} left out.\n", count(lines, "more line is", "more lines are")),
    };
    Some(format!("\n<details><summary>{summary}</summary>\n\n{}{more}\n</details>\n", block(&excerpt.text)))
}

/// What a comment has no room for.
#[derive(Default)]
struct LeftOut<'a> {
    rows: usize,
    remarks: usize,
    changelogs: Vec<&'a str>,
}

impl LeftOut<'_> {
    /// Says what is left out; nothing if nothing is.
    fn sentence(&self, before: &str, after: &str) -> String {
        let mut parts = Vec::new();
        if self.rows > 0 {
            parts.push(count(self.rows, "changed dependency", "changed dependencies"));
        }
        if self.remarks > 0 {
            parts.push(count(self.remarks, "remark", "remarks"));
        }
        if !self.changelogs.is_empty() {
            let named: Vec<String> = self.changelogs.iter().take(NAMED).map(|name| code(name)).collect();
            let more = self.changelogs.len() - named.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            parts.push(format!("the changelogs of {}{more}", named.join(", ")));
        }
        if parts.is_empty() {
            return String::new();
        }
        let parts = parts.join("; ");
        format!(
            "\n**Left out**, because a comment may have {LIMIT} characters at most: {parts}. To see everything, run `git hexmirror diff` \
             and `git hexmirror diff --source` between {before} and {after}.\n"
        )
    }
}

/// Says what the comment is based on.
fn footer(review: &Review) -> String {
    let based = match &review.mirror {
        None => "This clone has no mirror, so only the locks were compared.".to_owned(),
        Some(mirror) => {
            let commit = mirror.commit.to_hex_with_len(10).to_string();
            let day = mirror.refreshed.map_or_else(String::new, |day| format!(", with registry entries of {day}"));
            format!("From the mirror at {}{day}.", code(&commit))
        }
    };
    format!("\n<sub>{based} Everything in `code` comes from packages and locks.</sub>\n")
}

#[cfg(test)]
mod tests;
