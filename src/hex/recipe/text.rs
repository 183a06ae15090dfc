//! The text form of recipes. The [parent module](super) describes it.

use std::fmt::{self, Write};
use std::str::FromStr;

use super::unpack::MAX_TRAILER;
use super::{Archive, Members, OUTER_NAMES, Recipe};
use crate::hex::gzip::Header;
use crate::hex::path;
use crate::hex::ustar::{Attributes, Dialect, END_MARK, Kind, Member};

const FIRST_LINE: &str = "hex-recipe 1";
const MAX_BYTES: usize = 16 << 20;
const MAX_MEMBERS: usize = 100_000;

/// Why the text of a recipe is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The first line does not name a known format.
    #[error("the recipe starts with {first_line:?} instead of {FIRST_LINE:?}")]
    UnknownFormat {
        /// The first line, truncated to 80 characters.
        first_line: String,
    },
    /// The text is larger than 16 MiB or has more than 100,000 members.
    #[error("the recipe is too large")]
    TooLarge,
    /// A line is malformed.
    #[error("line {line} of the recipe: {problem}")]
    BadLine {
        /// The line number, counted from 1.
        line: usize,
        /// What is wrong with the line.
        problem: &'static str,
    },
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        write_line(f, "gzip", gzip_words(self.gzip))?;
        let mut outer = archive_words(&self.outer);
        if self.outer_order != [0, 1, 2, 3] {
            outer.push(format!("order={}", self.outer_order.map(|index| OUTER_NAMES[index]).join(",")));
        }
        write_line(f, "outer", outer)?;
        write_line(f, "inner", archive_words(&self.inner))?;
        let (kind, members) = match &self.members {
            Members::Metadata(members) => ("metadata", members),
            Members::Listed(members) => ("listed", members),
        };
        writeln!(f, "files {kind}")?;
        members.iter().try_for_each(|member| {
            for word in member_words(member, &self.inner.attributes) {
                write!(f, "{word} ")?;
            }
            let slash = if member.kind == (Kind::Folder { slash: true }) { "/" } else { "" };
            writeln!(f, "{}{slash}", Escaped(&member.path))
        })
    }
}

fn write_line(f: &mut fmt::Formatter<'_>, keyword: &str, words: Vec<String>) -> fmt::Result {
    if words.is_empty() { Ok(()) } else { writeln!(f, "{keyword} {}", words.join(" ")) }
}

fn gzip_words(header: Header) -> Vec<String> {
    let Header { mtime, extra_flags, os } = header;
    let numbers = [("os", u32::from(os)), ("mtime", mtime), ("xfl", u32::from(extra_flags))];
    numbers.into_iter().filter(|(_, number)| *number != 0).map(|(key, number)| format!("{key}={number}")).collect()
}

fn archive_words(archive: &Archive) -> Vec<String> {
    let mut words = Vec::new();
    if archive.dialect == Dialect::OldErlang {
        words.push("dialect=old".to_owned());
    }
    push_attributes(&mut words, &archive.attributes, &Attributes::default());
    words.extend(archive.trailer.map(|trailer| format!("trailer={trailer}")));
    words
}

fn member_words(member: &Member, common: &Attributes) -> Vec<String> {
    let mut words = Vec::new();
    if member.kind == (Kind::Folder { slash: false }) {
        words.push("kind=folder".to_owned());
    }
    push_attributes(&mut words, &member.attributes, common);
    words.extend(member.split.map(|split| format!("split={split}")));
    words
}

fn push_attributes(words: &mut Vec<String>, these: &Attributes, common: &Attributes) {
    let Attributes { mode, uid, gid, mtime, user, group } = these;
    let mut push = |differs: bool, word: String| {
        if differs {
            words.push(word);
        }
    };
    push(*mode != common.mode, format!("mode={mode:o}"));
    push(*uid != common.uid, format!("uid={uid}"));
    push(*gid != common.gid, format!("gid={gid}"));
    push(*mtime != common.mtime, format!("mtime={mtime}"));
    push(*user != common.user, format!("user={}", Escaped(user)));
    push(*group != common.group, format!("group={}", Escaped(group)));
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            _ if is_escaped(char) => write!(f, "%{:02X}", char as u32),
            _ => f.write_char(char),
        })
    }
}

/// Returns whether a character must be written as `%XX` in values and paths.
fn is_escaped(char: char) -> bool {
    matches!(char, '\0'..=' ' | '%' | '\x7f')
}

impl FromStr for Recipe {
    type Err = RecipeError;

    fn from_str(text: &str) -> Result<Self, RecipeError> {
        if text.len() > MAX_BYTES {
            return Err(RecipeError::TooLarge);
        }
        let mut lines = Lines { rest: text, number: 0 };
        match lines.next()? {
            FIRST_LINE => {}
            other => return Err(RecipeError::UnknownFormat { first_line: other.chars().take(80).collect() }),
        }
        let mut recipe = Self::listed(Vec::new());
        let mut line = lines.next()?;
        for keyword in ["gzip", "outer", "inner"] {
            let Some(words) = line.strip_prefix(keyword).and_then(|rest| rest.strip_prefix(' ')) else { continue };
            words.split(' ').try_for_each(|word| recipe.read_word(keyword, word)).map_err(|what| lines.bad(what))?;
            line = lines.next()?;
        }
        let list = match line {
            "files metadata" => Members::Metadata,
            "files listed" => Members::Listed,
            _ => return Err(lines.bad("'files metadata' or 'files listed' is expected")),
        };
        let mut members = Vec::new();
        while !lines.rest.is_empty() {
            if members.len() == MAX_MEMBERS {
                return Err(RecipeError::TooLarge);
            }
            members.push(read_member(lines.next()?, &recipe.inner).map_err(|problem| lines.bad(problem))?);
        }
        recipe.members = list(members);
        Ok(recipe)
    }
}

struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a str, RecipeError> {
        self.number += 1;
        let (line, rest) = self.rest.split_once('\n').ok_or_else(|| self.bad("it is cut off"))?;
        self.rest = rest;
        Ok(line)
    }

    fn bad(&self, problem: &'static str) -> RecipeError {
        RecipeError::BadLine { line: self.number, problem }
    }
}

type Read<T> = Result<T, &'static str>;

const UNKNOWN_WORD: &str = "a word is not known";

impl Recipe {
    fn read_word(&mut self, keyword: &str, word: &str) -> Read<()> {
        let (key, value) = word.split_once('=').ok_or(UNKNOWN_WORD)?;
        match (keyword, key) {
            ("gzip", "os") => self.gzip.os = number(value, 10)?,
            ("gzip", "mtime") => self.gzip.mtime = number(value, 10)?,
            ("gzip", "xfl") => self.gzip.extra_flags = number(value, 10)?,
            ("outer", "order") => self.outer_order = read_order(value).ok_or("the order names other members")?,
            ("outer", _) => read_archive_word(&mut self.outer, key, value)?,
            ("inner", _) => read_archive_word(&mut self.inner, key, value)?,
            _ => return Err(UNKNOWN_WORD),
        }
        Ok(())
    }
}

fn read_order(value: &str) -> Option<[usize; 4]> {
    let index = |name| OUTER_NAMES.iter().position(|known| *known == name);
    let order: [usize; 4] = value.split(',').map(index).collect::<Option<Vec<_>>>()?.try_into().ok()?;
    (0..4).all(|index| order.contains(&index)).then_some(order)
}

fn read_archive_word(archive: &mut Archive, key: &str, value: &str) -> Read<()> {
    match (key, value) {
        ("dialect", "old") => archive.dialect = Dialect::OldErlang,
        ("trailer", _) => {
            let trailer: u32 = number(value, 10)?;
            archive.trailer = Some(trailer as usize).filter(|trailer| (END_MARK..=MAX_TRAILER).contains(trailer));
            archive.trailer.ok_or("the trailer is too long, or too short to end an archive")?;
        }
        _ => read_attribute(&mut archive.attributes, key, value)?,
    }
    Ok(())
}

fn read_member(line: &str, archive: &Archive) -> Read<Member> {
    let (words, path) = line.rsplit_once(' ').map_or((None, line), |(words, path)| (Some(words), path));
    let (path, mut kind) = match path.strip_suffix('/') {
        Some(path) => (path, Kind::Folder { slash: true }),
        None => (path, Kind::File),
    };
    let path = unescape(path)?;
    if !path::is_plain(&path) {
        return Err("the path is not a plain relative one");
    }
    let (mut attributes, mut split) = (archive.attributes.clone(), None);
    for word in words.into_iter().flat_map(|words| words.split(' ')) {
        match word.split_once('=').ok_or(UNKNOWN_WORD)? {
            ("kind", "folder") if kind == Kind::File => kind = Kind::Folder { slash: false },
            ("split", value) => split = Some(number(value, 10)?),
            (key, value) => read_attribute(&mut attributes, key, value)?,
        }
    }
    let member = Member { path, kind, attributes, split };
    member.header(0, archive.dialect).ok_or("a value does not fit into a tar header")?;
    Ok(member)
}

fn read_attribute(attributes: &mut Attributes, key: &str, value: &str) -> Read<()> {
    match key {
        "mode" => attributes.mode = number(value, 8)?,
        "uid" => attributes.uid = number(value, 10)?,
        "gid" => attributes.gid = number(value, 10)?,
        "mtime" => attributes.mtime = number(value, 10)?,
        "user" => attributes.user = unescape(value)?,
        "group" => attributes.group = unescape(value)?,
        _ => return Err(UNKNOWN_WORD),
    }
    Ok(())
}

fn number<T: TryFrom<u64>>(digits: &str, radix: u32) -> Read<T> {
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
    let number = u64::from_str_radix(digits, radix).ok().filter(|_| plain);
    number.and_then(|number| T::try_from(number).ok()).ok_or("a number is not one, or out of range")
}

fn unescape(text: &str) -> Read<String> {
    let mut parts = text.split('%');
    // An unescaped NUL would end a field of a tar header early, and it would be written back as `%00`, which is rejected
    // below.
    if parts.clone().any(|part| part.contains(is_escaped)) {
        return Err("a control character is not written as '%' and two hexadecimal digits");
    }
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(code @ 1..=0x7f) => result.push(char::from(code)),
            _ => return Err("a '%' is not followed by two hexadecimal digits"),
        }
        result.push_str(&part[2..]);
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "hex-recipe 1\n\
        gzip os=3 mtime=5 xfl=2\n\
        outer dialect=old mode=100600 uid=1 trailer=2048 order=CHECKSUM,VERSION,contents.tar.gz,metadata.config\n\
        inner dialect=old gid=20 mtime=7 user=a%20b group=%25\n\
        files listed\n\
        lib/a.ex\n\
        mode=100755 mtime=9 bin/with%20blank=x\n\
        lib/a.ex\n\
        user= group= ä/b\n\
        mode=40755 empty/\n\
        kind=folder mode=40755 bare\n";

    #[test]
    fn every_word_survives() {
        let recipe: Recipe = FULL.parse().unwrap();
        assert_eq!(recipe.to_string(), FULL);
        let short = "hex-recipe 1\nfiles metadata\n";
        assert_eq!(short.parse::<Recipe>().unwrap().to_string(), short);
    }

    #[test]
    fn what_is_not_a_recipe_is_refused_with_its_line() {
        let bad = |line, problem| Err(RecipeError::BadLine { line, problem });
        assert_eq!("".parse::<Recipe>(), bad(1, "it is cut off"));
        assert_eq!("hex-recipe 1\n".parse::<Recipe>(), bad(2, "it is cut off"));
        let unknown = RecipeError::UnknownFormat { first_line: "hex-recipe 2".into() };
        assert_eq!("hex-recipe 2\nfiles metadata\n".parse::<Recipe>(), Err(unknown));
        for (line, text) in [
            (2, "files sorted\n"),
            (2, "gzip os=256\nfiles listed\n"),
            (2, "gzip os=+3\nfiles listed\n"),
            (2, "outer order=VERSION,VERSION,CHECKSUM,metadata.config\nfiles listed\n"),
            (2, "outer trailer=99999999\nfiles listed\n"),
            (2, "outer trailer=1023\nfiles listed\n"),
            (3, "inner uid=1\nouter uid=1\nfiles listed\n"),
            (2, "inner  uid=1\nfiles listed\n"),
            (3, "files listed\n../x\n"),
            (3, "files listed\n/x\n"),
            (3, "files listed\n%2e%2e/x\n"),
            (3, "files listed\n%00\n"),
            (3, "files listed\nuser=a\0b x\n"),
            (3, "files listed\na\tb\n"),
            (3, "files listed\n%é\n"),
            (3, "files listed\n\n"),
            (3, "files listed\nmode=8 x\n"),
            (3, "files listed\nuid=99999999 x\n"),
            (3, "files listed\nsplit=3 abcdef\n"),
            (4, "files listed\nx\ny"),
        ] {
            match format!("{FIRST_LINE}\n{text}").parse::<Recipe>() {
                Err(RecipeError::BadLine { line: found, .. }) => assert_eq!(found, line, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
