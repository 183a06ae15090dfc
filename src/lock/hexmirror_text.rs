//! Writes hexmirror.lock: replaces the entries of some kinds and keeps everything else of the file.

use std::collections::{BTreeMap, BTreeSet};

/// The text of a hexmirror.lock, as entries with the comments above them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HexmirrorText {
    /// The lines up to the first blank line, if they are all comments.
    header: String,
    /// Each entry with the comments above it.
    entries: BTreeMap<String, String>,
    /// The comments below the last entry.
    footer: String,
}

/// The header of a new file.
const HEADER: &str = "\
# What a build needs and no other lock pins. `git hexmirror update` writes this file; commit it.

";

impl HexmirrorText {
    /// Reads the text of a valid hexmirror.lock. An empty text is a new file.
    pub fn read(text: &str) -> Self {
        let mut read = Self::default();
        let mut comments = String::new();
        for line in text.lines().map(str::trim_end) {
            if line.is_empty() || line.starts_with('#') {
                comments += line;
                comments.push('\n');
                let is_header = line.is_empty() && read.entries.is_empty() && read.header.is_empty();
                if is_header {
                    read.header = std::mem::take(&mut comments);
                }
            } else {
                read.entries.insert(line.to_owned(), std::mem::take(&mut comments));
            }
        }
        read.footer = comments;
        read
    }

    /// Replaces the entries of the kinds that `owns` accepts. A comment stays above an entry as long as the words of the
    /// entry that `name` returns do. Returns whether the entries differ from those before.
    pub fn replace(
        &mut self,
        owns: impl Fn(&str) -> bool,
        name: impl Fn(&str) -> String,
        entries: BTreeSet<String>,
    ) -> bool {
        let is_owned = |line: &str| owns(line.split(' ').next().unwrap_or_default());
        let (owned, kept): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.entries).into_iter().partition(|(line, _)| is_owned(line));
        let is_changed = !owned.keys().eq(&entries);
        let mut same = owned.clone();
        let mut named: BTreeMap<String, String> = BTreeMap::new();
        for (line, comments) in owned.into_iter().filter(|(_, comments)| !comments.is_empty()) {
            *named.entry(name(&line)).or_default() += &comments;
        }
        self.entries = kept;
        for line in entries {
            let comments = match same.remove(&line) {
                Some(comments) => {
                    if !comments.is_empty() {
                        named.remove(&name(&line));
                    }
                    comments
                }
                None => named.remove(&name(&line)).unwrap_or_default(),
            };
            self.entries.insert(line, comments);
        }
        is_changed
    }

    /// Adds entries. Returns whether any of them is new.
    pub fn add(&mut self, entries: impl IntoIterator<Item = String>) -> bool {
        let before = self.entries.len();
        for line in entries {
            self.entries.entry(line).or_default();
        }
        self.entries.len() > before
    }

    /// Removes the entries that `keeps` does not accept, with the comments above them. Returns whether there were any.
    pub fn retain(&mut self, keeps: impl Fn(&str) -> bool) -> bool {
        let before = self.entries.len();
        self.entries.retain(|line, _| keeps(line));
        self.entries.len() < before
    }

    /// Returns whether the file has no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the text, with the entries sorted.
    pub fn text(&self) -> String {
        let is_new = self.header.is_empty() && self.footer.is_empty() && self.entries.values().all(String::is_empty);
        let mut text = if is_new { HEADER.to_owned() } else { self.header.clone() };
        for (line, comments) in &self.entries {
            text += comments;
            text += line;
            text.push('\n');
        }
        text + &self.footer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names a line by its first two words.
    fn name(line: &str) -> String {
        line.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    fn replaced(text: &str, entries: &[&str]) -> String {
        let mut read = HexmirrorText::read(text);
        read.replace(|kind| kind == "plugin", name, entries.iter().map(|entry| (*entry).to_owned()).collect());
        read.text()
    }

    #[test]
    fn entries_of_other_kinds_and_comments_stay() {
        let text = "# About\n# this file.\n\n# Why z\ntool z 1\n# Why b\nplugin b 1\nplugin c 1\n# The end\n";
        assert_eq!(
            replaced(text, &["plugin b 2", "plugin a 1"]),
            "# About\n# this file.\n\nplugin a 1\n# Why b\nplugin b 2\n# Why z\ntool z 1\n# The end\n"
        );
        assert_eq!(replaced("plugin b 1\n", &[]), HEADER);
        assert!(HexmirrorText::read("# only a comment\n").is_empty());
    }

    #[test]
    fn entries_are_added_in_order_and_comments_stay_above_theirs() {
        let add = |text: &str, new: &[&str]| {
            let mut read = HexmirrorText::read(text);
            let is_changed = read.add(new.iter().map(|line| (*line).to_owned()));
            (is_changed, read.text())
        };
        assert_eq!(add("", &["b 1", "a 1"]), (true, format!("{HEADER}a 1\nb 1\n")));
        assert_eq!(add(HEADER, &["b 1", "a 1"]), (true, format!("{HEADER}a 1\nb 1\n")));
        let text = "# first\n\na 1\n# why c\nc 1\n";
        assert_eq!(add(text, &["b 1", "d 1"]), (true, "# first\n\na 1\nb 1\n# why c\nc 1\nd 1\n".to_owned()));
        assert_eq!(add(text, &["c 1"]), (false, text.to_owned()));
    }

    #[test]
    fn a_new_file_says_what_it_is() {
        assert_eq!(replaced("", &["plugin a 1"]), format!("{HEADER}plugin a 1\n"));
    }

    #[test]
    fn writing_what_was_read_changes_only_the_order() {
        let text = format!("{HEADER}# one\nplugin a 1\n# two\nplugin a 2\nplugin b 1\n");
        assert_eq!(replaced(&text, &["plugin b 1", "plugin a 2", "plugin a 1"]), text);
        assert_eq!(replaced("plugin a 1\r\nplugin b 1\r\n", &["plugin b 1"]), format!("{HEADER}plugin b 1\n"));
    }
}
