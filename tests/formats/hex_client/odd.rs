//! Tarballs that no current publisher creates, each with the verdict of Hex's client.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::hex_archive::{archive, checksum, contents, header, raw_header, seal};

/// An unusual tarball.
pub struct Odd {
    pub name: String,
    pub tarball: Vec<u8>,
    /// Whether Hex 2.5 unpacks it.
    pub accepted: bool,
}

pub const METADATA: &str = "{<<\"name\">>,<<\"odd\">>}.\n{<<\"version\">>,<<\"1.0.0\">>}.\n{<<\"app\">>,<<\"odd\">>}.\n{<<\"build_tools\">>,[<<\"mix\">>]}.\n{<<\"requirements\">>,[]}.\n";

type Member = ([u8; 512], Vec<u8>);

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn file(name: &str) -> Member {
    (header(name, 3), b"abc".to_vec())
}

fn member(kind: u8, name: &str, data: &[u8]) -> Member {
    (raw_header(name, data.len(), kind), data.to_vec())
}

/// Changes some bytes of a header and updates its checksum.
fn with(mut member: Member, at: usize, bytes: &[u8]) -> Member {
    member.0[at..at + bytes.len()].copy_from_slice(bytes);
    seal(&mut member.0);
    member
}

fn link(name: &str, target: &str) -> Member {
    with(member(b'2', name, b""), 157, target.as_bytes())
}

/// An archive with another end.
fn ending(members: &[Member], end: &[u8]) -> Vec<u8> {
    let members: Vec<_> = members.iter().map(|(header, data)| (*header, data.as_slice())).collect();
    let mut archive = archive(&members);
    archive.truncate(archive.len() - 1024);
    archive.extend_from_slice(end);
    archive
}

fn archived(members: &[Member]) -> Vec<u8> {
    ending(members, &[0; 1024])
}

/// The four members of a tarball.
fn four(metadata: &str, contents: &[u8]) -> Vec<Member> {
    let sum = checksum(metadata.as_bytes(), contents);
    let parts = [
        ("VERSION", b"3".to_vec()),
        ("CHECKSUM", sum.into_bytes()),
        ("metadata.config", metadata.as_bytes().to_vec()),
        ("contents.tar.gz", contents.to_vec()),
    ];
    parts.into_iter().map(|(name, data)| (header(name, data.len()), data)).collect()
}

/// A tarball with these contents.
pub fn of_contents(contents: &[u8]) -> Vec<u8> {
    archived(&four(METADATA, contents))
}

/// A tarball whose contents have these members in addition to a mix.exs.
fn of_members(members: Vec<Member>) -> Vec<u8> {
    let mix = (header("mix.exs", 2), b"1\n".to_vec());
    of_contents(&contents(&archived(&[vec![mix], members].concat())))
}

/// A tarball whose CHECKSUM is derived from the correct one.
pub fn of_checksum(change: impl Fn(String) -> String) -> Vec<u8> {
    let mut members = four(METADATA, &plain_contents());
    let sum = change(String::from_utf8(members[1].1.clone()).unwrap());
    members[1] = (header("CHECKSUM", sum.len()), sum.into_bytes());
    archived(&members)
}

fn plain_archive() -> Vec<u8> {
    archived(&[(header("mix.exs", 2), b"1\n".to_vec()), (header("lib/odd.ex", 700), vec![b'#'; 700])])
}

fn plain_contents() -> Vec<u8> {
    contents(&plain_archive())
}

/// Contents in several gzip members.
pub fn several_members() -> Vec<u8> {
    let archive = plain_archive();
    [gz(&archive[..600]), gz(&archive[600..])].concat()
}

fn pax(records: &[&str]) -> Member {
    let record = |text: &&str| {
        let digits = |number: usize| number.to_string().len();
        let bare = text.len() + 2;
        let length = (bare + 1..).find(|length| digits(*length) + bare == *length).unwrap();
        format!("{length} {text}\n")
    };
    member(b'x', "PaxHeader/x", records.iter().map(record).collect::<String>().as_bytes())
}

/// All unusual tarballs.
pub fn all() -> Vec<Odd> {
    let mut all = Vec::new();
    let mut add =
        |accepted: bool, name: &str, tarball: Vec<u8>| all.push(Odd { name: name.to_owned(), tarball, accepted });
    checksums(&mut add);
    compressions(&mut add);
    ends(&mut add);
    outer_members(&mut add);
    names(&mut add);
    kinds(&mut add);
    links(&mut add);
    extensions(&mut add);
    numbers(&mut add);
    metadata(&mut add);
    all
}

type Add<'a> = &'a mut dyn FnMut(bool, &str, Vec<u8>);

fn checksums(add: Add<'_>) {
    add(true, "as published", of_checksum(|sum| sum));
    add(true, "checksum in lower case", of_checksum(|sum| sum.to_lowercase()));
    add(true, "checksum with a line end", of_checksum(|sum| sum + "\n"));
    add(true, "checksum with one more digit", of_checksum(|sum| sum + "0"));
    add(true, "checksum with half a pair", of_checksum(|sum| sum + "Z"));
    add(false, "checksum with two more digits", of_checksum(|sum| sum + "00"));
    add(false, "checksum with a Windows line end", of_checksum(|sum| sum + "\r\n"));
    add(false, "checksum after a blank", of_checksum(|sum| format!(" {sum}")));
    add(false, "checksum too short", of_checksum(|sum| sum[1..].to_owned()));
    add(false, "checksum of something else", of_checksum(|_| "0".repeat(64)));
    add(false, "checksum without digits", of_checksum(|sum| format!("Z{}", &sum[1..])));
    for (accepted, version) in [(false, "3\n"), (false, "2"), (false, "03"), (false, "")] {
        let mut members = four(METADATA, &plain_contents());
        members[0] = (header("VERSION", version.len()), version.as_bytes().to_vec());
        add(accepted, &format!("version {version:?}"), archived(&members));
    }
}

fn compressions(add: Add<'_>) {
    let (archive, whole) = (plain_archive(), gz(&plain_archive()));
    let changed = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let with_field = |flag: u8, field: &[u8]| [&whole[..3], &[flag], &whole[4..10], field, &whole[10..]].concat();
    let length = whole.len();
    add(true, "gzip of several members", of_contents(&several_members()));
    add(true, "gzip with an empty member", of_contents(&[whole.clone(), gz(b"")].concat()));
    add(true, "gzip with a member after the end", of_contents(&[whole.clone(), gz(b"something")].concat()));
    add(true, "gzip with a name", of_contents(&with_field(8, b"name\0")));
    add(false, "gzip with a wrong header checksum", of_contents(&with_field(2, b"zz")));
    add(false, "gzip with a reserved flag", of_contents(&changed(3, &[0x20])));
    add(false, "gzip before zeros", of_contents(&[&whole[..], &[0; 2]].concat()));
    add(false, "gzip before something", of_contents(&[&whole[..], b"junk"].concat()));
    add(true, "gzip before half a header", of_contents(&[&whole[..], &[0x1f]].concat()));
    add(false, "gzip before a wrong header", of_contents(&[&whole[..], b"\x1f\x8bjunk"].concat()));
    add(false, "gzip with a wrong CRC", of_contents(&changed(length - 8, &[0; 4])));
    add(false, "gzip with a wrong length", of_contents(&changed(length - 4, &[0; 4])));
    add(true, "gzip without its length", of_contents(&whole[..length - 4]));
    add(true, "gzip without its last byte of data", of_contents(&whole[..length - 9]));
    add(false, "gzip cut in the middle", of_contents(&whole[..length / 2]));
    add(true, "not compressed", of_contents(&archive));
    add(false, "compressed twice", of_contents(&gz(&whole)));
    add(false, "no contents", of_contents(b""));
    add(false, "compressed nothing", of_contents(&gz(b"")));
}

fn ends(add: Add<'_>) {
    let members = [file("mix.exs")];
    let inner = |end: &[u8]| of_contents(&contents(&ending(&members, end)));
    add(true, "one zero block", inner(&[0; 512]));
    add(false, "no end mark", inner(b""));
    add(false, "part of a zero block", inner(&[0; 100]));
    add(false, "one zero block and a half", inner(&[0; 768]));
    add(false, "one zero block and something", inner(&[&[0; 512][..], &[b'x'; 512]].concat()));
    add(true, "something after the end mark", inner(&[&[0; 1024][..], &[b'x'; 512]].concat()));
    add(true, "an empty archive", of_contents(&contents(&archived(&[]))));
    let four = four(METADATA, &plain_contents());
    add(true, "outer: one zero block", ending(&four, &[0; 512]));
    add(false, "outer: no end mark", ending(&four, b""));
    add(true, "outer: something after the end mark", ending(&four, &[&[0; 1024][..], b"junk"].concat()));
    let cut = |bytes: usize| {
        [ending(&members, b""), header("cut", 600)[..].to_vec(), vec![b'x'; 600]].concat()[..bytes].to_vec()
    };
    for (what, bytes) in [("header", 1300), ("data", 1600), ("padding", 2136)] {
        add(false, &format!("cut in a {what}"), of_contents(&contents(&cut(bytes))));
    }
    let mut padded = archived(&members);
    padded[600..1024].fill(b'x');
    add(true, "padding that is not zero", of_contents(&contents(&padded)));
}

fn outer_members(add: Add<'_>) {
    let four = four(METADATA, &plain_contents());
    let wrong = (header("CHECKSUM", 64), vec![b'0'; 64]);
    add(true, "outer: another member", archived(&[four.clone(), vec![file("README")]].concat()));
    add(
        true,
        "outer: many members",
        archived(&[four.clone(), (0..100).map(|n| file(&format!("f{n}"))).collect()].concat()),
    );
    add(true, "outer: a wrong checksum first", archived(&[vec![wrong.clone()], four.clone()].concat()));
    add(false, "outer: a wrong checksum last", archived(&[four.clone(), vec![wrong]].concat()));
    add(true, "outer: in another order", archived(&four.iter().rev().cloned().collect::<Vec<_>>()));
    for (name, spelled) in [("VERSION", "./VERSION"), ("VERSION", "VERSION/"), ("CHECKSUM", ".//./CHECKSUM")] {
        let mut members = four.clone();
        let found = members.iter_mut().find(|(header, _)| header.starts_with(name.as_bytes())).unwrap();
        found.0 = header(spelled, found.1.len());
        add(true, &format!("outer: {}", spelled.replace('/', "|")), archived(&members));
    }
    for missing in 0..4 {
        let mut members = four.clone();
        members.remove(missing);
        add(false, &format!("outer: without member {missing}"), archived(&members));
    }
}

fn names(add: Add<'_>) {
    for (accepted, name) in [
        (true, "/absolute"),
        (true, "a/../b"),
        (false, "../b"),
        (false, "a/../../b"),
        (true, "a\\b"),
        (true, "a\\..\\..\\b"),
        (false, ""),
        (false, "."),
        (false, "./"),
        (true, "./a"),
        (true, "a//b"),
        (true, "a/"),
        (true, "ä → 😀"),
    ] {
        add(accepted, &format!("name {}", name.replace('/', "|")), of_members(vec![file(name), file("z")]));
    }
    add(false, "name not UTF-8", of_members(vec![with(file("a"), 0, b"a\xffb")]));
    add(false, "name of half a character", of_members(vec![with(file("a"), 0, b"a\xc3")]));
    add(true, "a file twice", of_members(vec![file("a"), member(b'0', "a", b"other")]));
    add(false, "a file and a folder", of_members(vec![file("a"), file("a/b")]));
    add(false, "a folder and a file", of_members(vec![file("a/b"), file("a")]));
    for (accepted, prefix) in [(true, "pre/fix"), (true, "/pre"), (false, "..")] {
        let name = format!("prefix {}", prefix.replace('/', "|"));
        add(accepted, &name, of_members(vec![with(file("a"), 345, prefix.as_bytes())]));
    }
}

fn kinds(add: Add<'_>) {
    for kind in *b"\0 013456789DMNVAZgS" {
        let name = format!("type {kind:02x}");
        add(true, &name, of_members(vec![member(kind, "x", b""), file("z")]));
    }
    let data = [b'd'; 600];
    for (accepted, kind) in
        [(false, b'1'), (true, b'3'), (true, b'4'), (false, b'5'), (true, b'6'), (true, b'Z'), (false, b'S')]
    {
        let name = format!("type {kind:02x} with data");
        add(accepted, &name, of_members(vec![member(kind, "x", &data), file("z")]));
    }
    add(true, "a folder with a slash", of_members(vec![member(b'5', "x/", b""), file("x/z")]));
    add(true, "the folder itself", of_members(vec![member(b'5', "./", b""), file("./z")]));
}

fn links(add: Add<'_>) {
    for (accepted, name, target) in [
        (true, "lib/l", "a.ex"),
        (true, "lib/l", "../mix.exs"),
        (false, "lib/l", "../../x"),
        (false, "l", "/etc/passwd"),
        (true, "l", "."),
        (true, "l", "l"),
        (false, "l", "a/../../b"),
        (true, "l", "lib/../lib/a.ex"),
        (false, "a/b/c", "../../../x"),
        (true, "a/b/c", "../../x"),
        (false, "l", ""),
        (true, "l", "nowhere"),
    ] {
        let shown = format!("{} to {}", name.replace('/', "|"), target.replace('/', "|"));
        let library = file("lib/a.ex");
        add(accepted, &format!("link {shown}"), of_members(vec![library.clone(), link(name, target)]));
        let mut hard = link(name, target);
        hard = with(hard, 156, b"1");
        add(true, &format!("hard link {shown}"), of_members(vec![library, hard]));
    }
    add(true, "a file behind a link", of_members(vec![file("lib/a"), link("l", "lib"), file("l/b")]));
}

fn extensions(add: Add<'_>) {
    for (accepted, record) in [
        (true, "path=long/name"),
        (false, "path=../x"),
        (false, "path="),
        (false, "path=a\0b"),
        (true, "size=3"),
        (true, "size=600"),
        (false, "size=x"),
        (true, "mtime=1.5"),
        (true, "mtime=-1"),
        (false, "mtime=x"),
        (false, "uid=x"),
        (true, "comment=a=b c"),
        (true, "SCHILY.xattr.a=b"),
        (false, "comment=a\nb"),
    ] {
        let name = format!("PAX {}", record.replace('/', "|").replace(['\n', '\0'], "_"));
        add(accepted, &name, of_members(vec![pax(&[record]), file("s"), file("z")]));
    }
    for (accepted, text) in [
        (false, "garbage"),
        (false, "12 path=abc"),
        (true, "99 path=abc\n"),
        (true, ""),
        (false, "7a=b\n"),
        (false, " path=a\n"),
    ] {
        let name = format!("PAX data {}", text.replace('\n', "_"));
        add(accepted, &name, of_members(vec![member(b'x', "PaxHeader", text.as_bytes()), file("s")]));
    }
    add(true, "PAX for nothing", of_members(vec![file("s"), pax(&["path=q"])]));
    add(true, "PAX for all", of_members(vec![member(b'g', "pax", b"13 path=../x\n"), file("s")]));
    add(false, "PAX with an unsafe link", of_members(vec![pax(&["linkpath=../x"]), link("l", "a")]));
    let long = "n/".repeat(90) + "n\0";
    for (accepted, data) in
        [(true, long.as_bytes()), (false, b"../x\0"), (true, b"abc"), (false, b""), (false, b"a\xff\0")]
    {
        let name = format!(
            "GNU long name {}",
            String::from_utf8_lossy(&data[..data.len().min(4)]).replace('/', "|").replace('\0', "_")
        );
        add(accepted, &name, of_members(vec![member(b'L', "././@LongLink", data), file("s")]));
    }
    add(false, "GNU long unsafe link", of_members(vec![member(b'K', "././@LongLink", b"../../x\0"), link("l", "a")]));
}

fn numbers(add: Add<'_>) {
    for (accepted, name, at, bytes) in [
        (true, "size after blanks", 124, &b"          3 "[..]),
        (true, "size between blanks", 124, b"000 000 003 "),
        (true, "size after a NUL", 124, b"\x00000000000\x003"),
        (false, "size not octal", 124, b"00000000008\0"),
        (false, "size empty", 124, &[0; 12]),
        (false, "size binary", 124, b"\x80\0\0\0\0\0\0\0\0\0\0\x03"),
        (false, "size negative", 124, &[0xff; 12]),
        (true, "mode empty", 100, &[0; 8]),
        (false, "mode not octal", 100, b"abcdefg\0"),
        (false, "owner not octal", 108, b"abcdefg\0"),
        (false, "time not octal", 136, b"zzzzzzzzzzz\0"),
        (true, "device not octal", 329, b"zzzzzzz\0"),
        (false, "owner's name not UTF-8", 265, b"\xff"),
        (false, "link's name not UTF-8", 157, b"\xff"),
        (true, "an archive of version 7", 257, &[0; 255]),
        (true, "an archive of GNU's", 257, b"ustar  \0"),
        (true, "an archive of star's", 508, b"tar\0"),
        (true, "another magic", 257, b"magic"),
    ] {
        add(accepted, name, of_members(vec![with(file("s"), at, bytes), file("z")]));
    }
    let mut signed = file("ä");
    signed.0[148..156].fill(b' ');
    let sum: i32 = signed.0.iter().map(|byte| i32::from(byte.cast_signed())).sum();
    signed.0[148..156].copy_from_slice(format!("{sum:07o}\0").as_bytes());
    add(true, "a sum of signed bytes", of_members(vec![signed]));
    let mut wrong = file("s");
    wrong.0[148..156].copy_from_slice(b"0000001\0");
    add(false, "a wrong sum", of_members(vec![wrong]));
}

fn metadata(add: Add<'_>) {
    for (accepted, name, text) in [
        (false, "metadata empty", String::new()),
        (false, "metadata cut", METADATA[..METADATA.len() - 2].to_owned()),
        (false, "metadata no pair", "a.\n".to_owned()),
        (false, "metadata with a function", format!("{METADATA}{{<<\"x\">>,fun() -> ok end}}.\n")),
        (false, "metadata with a comment", format!("% c\n{METADATA}")),
        (false, "metadata with an unknown atom", format!("{METADATA}{{<<\"x\">>,an_atom_that_nobody_knows}}.\n")),
        (true, "metadata twice", METADATA.repeat(2)),
        (true, "metadata with UTF-8", format!("{METADATA}{{<<\"x\">>,<<\"é\"/utf8>>}}.\n")),
        (true, "metadata with a map", format!("{METADATA}{{<<\"x\">>,#{{<<\"a\">> => 1}}}}.\n")),
        (
            true,
            "metadata of old",
            METADATA.replace(",[]}", ",[[{<<\"name\">>,<<\"b\">>},{<<\"requirement\">>,<<\"~> 1.0\">>}]]}"),
        ),
        (
            true,
            "metadata of rebar3",
            METADATA.replace(",[]}", ",[{<<\"b\">>,[{<<\"requirement\">>,<<\"~> 1.0\">>}]}]}"),
        ),
    ] {
        add(accepted, name, archived(&four(&text, &plain_contents())));
    }
}
