//! Unpacking and rebuilding tarballs: golden ones, those without a recipe, and hostile ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::hex_archive::{archive, contents, header, outer, outer_of, raw_header};
use flate2::Compression;
use flate2::write::GzEncoder;
use git_hexmirror::hex::ArchiveError;
use git_hexmirror::hex::gzip::GzipError;
use git_hexmirror::hex::recipe::{self, RebuildError, Recipe, UnpackError, Unpacked};
use git_hexmirror::hex::tarball::{
    self, BuildError, BuildFile, Tarball, TarballError, TarballLimits, build, metadata_text,
};
use proptest::prelude::*;

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/tarballs/{name}-0.1.0.tar", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn unpack(bytes: &[u8]) -> Result<Unpacked, UnpackError> {
    let tarball = Tarball::open(bytes, &TarballLimits::default())?;
    recipe::unpack(&tarball, &TarballLimits::default())
}

/// Unpacks a tarball and rebuilds it from text, metadata and files alone. Returns the recipe's text and the paths.
fn round_trip(bytes: &[u8]) -> (String, Vec<String>) {
    let unpacked = unpack(bytes).unwrap();
    let text = unpacked.recipe().to_string();
    let metadata = Tarball::open(bytes, &TarballLimits::default()).unwrap().metadata().to_vec();
    let files: BTreeMap<&str, &[u8]> =
        unpacked.files().iter().map(|file| (file.path.as_str(), unpacked.bytes(file))).collect();
    let recipe: Recipe = text.parse().unwrap();
    let read = |path: &str| files.get(path).ok_or_else(|| "no such file".into());
    let rebuilt = recipe::rebuild(&recipe, &metadata, read, &TarballLimits::default()).unwrap();
    assert!(rebuilt == bytes);
    (text, files.keys().map(ToString::to_string).collect())
}

#[track_caller]
fn assert_falls_back(tarball: &[u8], because: &str) {
    match unpack(tarball) {
        Err(UnpackError::NotReproducible { reason }) => assert!(reason.contains(because), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refusal(tarball: &[u8]) -> TarballError {
    match unpack(tarball) {
        Err(UnpackError::Refused(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Fails with any deflate implementation except classic zlib, which feature unification could silently replace.
#[test]
fn golden_tarballs_rebuild_and_their_recipes_are_short() {
    let (text, paths) = round_trip(&golden("hexmirror_sample"));
    insta::assert_snapshot!(text, @r"
    hex-recipe 1
    files metadata
    mode=100755 priv/bin/run
    mode=40755 priv/empty/
    mode=100600 priv/private.txt
    ");
    assert!(paths.contains(&"priv/a folder/with a blank.txt".to_owned()), "{paths:?}");
    assert!(paths.iter().any(|path| path.len() > 100) && !paths.contains(&"priv/empty".to_owned()), "{paths:?}");

    let (text, paths) = round_trip(&golden("old_erl_tar"));
    insta::assert_snapshot!(text, @r"
    hex-recipe 1
    gzip os=3
    outer dialect=old mtime=1487676000
    inner dialect=old uid=501 gid=20 mtime=1487675213
    files metadata
    kind=folder mode=40755 mtime=1487675999 priv
    ");
    assert_eq!(paths, ["README.md", "src/old.erl"]);

    let (text, paths) = round_trip(&golden("deviating"));
    insta::assert_snapshot!(text, @r"
    hex-recipe 1
    gzip os=19 mtime=1487675213
    outer mode=100600 uid=1000 gid=1000 order=CHECKSUM,VERSION,contents.tar.gz,metadata.config
    inner mode=100666
    files listed
    user=some%20one group=staff z%20last.txt
    a.txt
    %2520.txt
    mode=100600 mtime=5 a.txt
    mode=100777 bin/run
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
    split=5 short/c.txt
    mode=40755 empty/
    ");
    assert_eq!(paths.len(), 6);
}

#[test]
fn executable_files_are_known_as_such_and_files_are_sorted() {
    let bytes = golden("hexmirror_sample");
    let unpacked = unpack(&bytes).unwrap();
    let executable: Vec<&str> =
        unpacked.files().iter().filter(|file| file.executable).map(|file| file.path.as_str()).collect();
    assert_eq!(executable, ["priv/bin/run"]);
    assert!(unpacked.files().is_sorted_by(|a, b| a.path < b.path));
    let run = unpacked.files().iter().find(|file| file.executable).unwrap();
    assert_eq!(unpacked.bytes(run), b"#!/bin/sh\necho run\n");
}

#[test]
fn the_real_clients_checksums_are_computed() {
    let bytes = golden("hexmirror_sample");
    let tarball = Tarball::open(&bytes, &TarballLimits::default()).unwrap();
    // As printed by `mix hex.build`.
    let printed = "31420929d39e5479aeca06fb8f39aebcd461f67cc7d3652cd52271e352edd988";
    assert_eq!(tarball.outer_checksum().to_string(), printed);
    let stated = bytes.windows(64).find(|it| it.iter().all(u8::is_ascii_hexdigit) && !it.iter().all(|b| *b == b'0'));
    assert_eq!(tarball.inner_checksum().to_string(), String::from_utf8_lossy(stated.unwrap()).to_lowercase());
}

#[test]
fn what_is_built_is_what_hex_core_would_write() {
    let files = [
        BuildFile { path: "lib/acme.ex", bytes: b"defmodule Acme do\nend\n", executable: false },
        BuildFile { path: "bin/run", bytes: b"#!/bin/sh\n", executable: true },
    ];
    let metadata = metadata_text("acme", "1.0.0", &[("plug", "~> 1.0")], &files);
    let built = build(&metadata, &files).unwrap();
    assert_eq!(build(&metadata, &files).unwrap(), built);
    assert_eq!(round_trip(&built).0, "hex-recipe 1\nfiles metadata\nmode=100755 bin/run\n");

    // The real client's tarball, rebuilt from its own parts.
    let real = golden("hexmirror_plain");
    let unpacked = unpack(&real).unwrap();
    let tarball = Tarball::open(&real, &TarballLimits::default()).unwrap();
    let metadata = std::str::from_utf8(tarball.metadata()).unwrap();
    let mut files: Vec<BuildFile<'_>> = unpacked
        .files()
        .iter()
        .map(|file| BuildFile { path: &file.path, bytes: unpacked.bytes(file), executable: file.executable })
        .collect();
    files.sort_by_key(|file| metadata.find(&format!("<<\"{}\">>", file.path)));
    assert!(files.iter().any(|file| file.executable));
    assert!(build(metadata, &files).unwrap() == real);

    let hostile = [BuildFile { path: "../x", bytes: b"", executable: false }];
    assert!(matches!(build("", &hostile), Err(BuildError::BadPath { .. })));
    let long = "x".repeat(101);
    let long = [BuildFile { path: &long, bytes: b"", executable: false }];
    assert!(matches!(build("", &long), Err(BuildError::Archive { source: RebuildError::Header { .. } })));
}

#[test]
fn archives_of_other_tools_are_stored_as_tarballs() {
    let gnu = |path: &str, entry_type| {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_entry_type(entry_type);
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header, path, &b""[..]).unwrap();
        outer(&builder.into_inner().unwrap())
    };
    assert_falls_back(&gnu("a", tar::EntryType::Regular), "is not one that Erlang writes");
    assert_falls_back(&gnu(&"long".repeat(60), tar::EntryType::Regular), "GNU long name");

    let link = |kind: u8| {
        let mut header = raw_header("link", 0, kind);
        header[157] = b'a';
        crate::hex_archive::seal(&mut header);
        archive(&[(header, b"")])
    };
    assert_falls_back(&outer(&link(b'1')), "is a link");
    assert_falls_back(&outer(&link(b'2')), "is a link");
    assert_falls_back(&outer(&link(b'7')), "has the member type '7'");

    let pax = b"19 path=lib/a.ex--\n";
    let pax = archive(&[(raw_header("pax", pax.len(), b'x'), pax), (header("x", 1), b"x")]);
    assert_falls_back(&outer(&pax), "PAX header");
}

#[test]
fn contents_that_no_tree_can_hold_are_stored_as_tarballs() {
    let twice = archive(&[(header("a", 1), b"1"), (header("a", 1), b"2")]);
    assert_falls_back(&outer(&twice), "twice, with different content");
    let both = archive(&[(header("a", 1), b"1"), (header("a/b", 1), b"2")]);
    assert_falls_back(&outer(&both), "both a file and a folder");
    for name in ["./a", "a//b", "a/./b"] {
        assert_falls_back(&outer(&archive(&[(header(name, 0), b"")])), "is unusual");
    }
    let mut latin1 = header("a", 0);
    latin1[0] = 0xe9;
    crate::hex_archive::seal(&mut latin1);
    assert!(matches!(refusal(&outer(&archive(&[(latin1, b"")]))), TarballError::Contents { .. }));
    let folder_with_size = archive(&[(raw_header("a", 3, b'5'), b"")]);
    assert_falls_back(&outer(&folder_with_size), "comes out differently");
}

#[test]
fn unusual_padding_is_stored_as_a_tarball() {
    let mut padding = archive(&[(header("a", 1), b"1")]);
    padding[512 + 100] = 1;
    assert_falls_back(&outer(&padding), "padding");
    let mut after = archive(&[(header("a", 1), b"1")]);
    after.extend([1; 512]);
    assert_falls_back(&outer(&after), "follows the end mark");
    let mut header = header("a", 0);
    header[500] = 1;
    crate::hex_archive::seal(&mut header);
    assert_falls_back(&outer(&archive(&[(header, b"")])), "is not one that Erlang writes");
}

#[test]
fn gzip_of_other_tools_is_stored_as_a_tarball() {
    // Long enough for the compression levels to differ.
    let text = (0..4000).fold(String::new(), |mut text, n: u32| {
        write!(text, "{} ", n.wrapping_mul(2_654_435_761) >> 24).unwrap();
        text
    });
    let archive = archive(&[(header("a", text.len()), text.as_bytes())]);
    for level in [0, 1, 5, 9] {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        std::io::Write::write_all(&mut encoder, &archive).unwrap();
        assert_falls_back(&outer_of(&encoder.finish().unwrap()), "contents.tar.gz comes out");
    }
    let mut named = contents(&archive);
    named[3] = 8;
    named.splice(10..10, *b"contents.tar\0");
    assert_falls_back(&outer_of(&named), "optional fields");
    let mut other = contents(&archive);
    other[8] = 2;
    assert_eq!(round_trip(&outer_of(&other)).0, "hex-recipe 1\ngzip xfl=2\nfiles listed\na\n");
}

#[test]
fn an_unusual_outer_archive_is_stored_as_a_tarball() {
    let inner = contents(&archive(&[(header("a", 1), b"1")]));
    let sum = crate::hex_archive::checksum(b"", &inner);
    let members = |extra: Option<(&str, &[u8])>, sum: &str| {
        let all = [
            ("VERSION", &b"3"[..]),
            ("CHECKSUM", sum.as_bytes()),
            ("metadata.config", b""),
            ("contents.tar.gz", &inner),
        ];
        let headers: Vec<_> =
            all.into_iter().chain(extra).map(|(name, data)| (header(name, data.len()), data)).collect();
        archive(&headers)
    };
    assert!(unpack(&members(None, &sum)).is_ok());
    assert_falls_back(&members(Some(("signature", b"x")), &sum), "not known");
    assert_falls_back(&members(None, &sum.to_lowercase()), "the outer archive comes out differently");
    let mut one_differs = members(None, &sum);
    one_differs[106] = b'0';
    crate::hex_archive::seal(&mut one_differs[..512]);
    assert_falls_back(&one_differs, "differ in mode");

    assert_falls_back(&members(Some(("VERSION", b"3")), &sum), "not known");
    assert!(matches!(refusal(&members(Some(("VERSION", b"4")), &sum)), TarballError::UnknownVersion { .. }));
    assert_eq!(refusal(&members(None, "x")), TarballError::BadChecksum);
    assert!(matches!(refusal(&members(None, &"0".repeat(64))), TarballError::WrongInnerChecksum { .. }));
}

#[test]
fn hostile_names_and_devices_are_refused() {
    let inner = |archive: Vec<u8>| match refusal(&outer(&archive)) {
        TarballError::Contents { source } => source,
        other => panic!("{other:?}"),
    };
    for name in ["../a", "a/../../b", "/etc/passwd", "..", "\\a", "c:\\a", "a\\..\\b"] {
        let error = inner(archive(&[(header(name, 0), b"")]));
        assert!(matches!(&error, ArchiveError::UnsafePath { name: found, .. } if found == name), "{error:?}");
    }
    assert!(matches!(inner(archive(&[(raw_header("/", 0, b'5'), b"")])), ArchiveError::UnsafePath { .. }));
    for kind in [b'3', b'4', b'6'] {
        assert!(matches!(inner(archive(&[(raw_header("dev", 0, kind), b"")])), ArchiveError::Device { .. }));
    }
    // Hidden in extension headers, and behind a member that would by itself only prevent a recipe.
    let pax = b"18 path=../a/b/cd\n";
    let hidden = archive(&[(raw_header("pax", pax.len(), b'x'), pax), (header("x", 0), b"")]);
    assert!(matches!(inner(hidden), ArchiveError::UnsafePath { .. }));
    let hidden = archive(&[(raw_header("././@LongLink", 5, b'L'), b"../x\0"), (header("x", 0), b"")]);
    assert!(matches!(inner(hidden), ArchiveError::UnsafePath { .. }));
    let behind = archive(&[(raw_header("link", 0, b'2'), b""), (header("../a", 0), b"")]);
    assert!(matches!(inner(behind), ArchiveError::UnsafePath { .. }));
}

#[test]
fn bombs_and_too_many_members_are_refused() {
    let zeros = vec![0; 64 << 20];
    let bomb = outer(&archive(&[(header("zeros", zeros.len()), &zeros)]));
    assert!(bomb.len() < 100_000);
    let limit = TarballLimits::RATIO_FLOOR;
    assert_eq!(refusal(&bomb), TarballError::Gzip { source: GzipError::TooLarge { limit } });

    let crowd: Vec<([u8; 512], &[u8])> = (0..100_001).map(|n| (header(&format!("f{n}"), 0), &b""[..])).collect();
    let limits = TarballLimits { ratio: usize::MAX, ..TarballLimits::default() };
    let crowd = outer(&archive(&crowd));
    let error = recipe::unpack(&Tarball::open(&crowd, &limits).unwrap(), &limits).unwrap_err();
    let expected = TarballError::Contents { source: ArchiveError::TooManyMembers { limit: 100_000 } };
    assert!(matches!(error, UnpackError::Refused(error) if error == expected));

    let limits = TarballLimits { tarball: 1000, ..TarballLimits::default() };
    let error = Tarball::open(&golden("deviating"), &limits).unwrap_err();
    assert_eq!(error, TarballError::TooLarge { size: 5120, limit: 1000 });
    let bytes = golden("deviating");
    let small = TarballLimits { unpacked: 1000, ..TarballLimits::default() };
    let error = recipe::unpack(&Tarball::open(&bytes, &small).unwrap(), &small).unwrap_err();
    assert!(matches!(error, UnpackError::Refused(TarballError::Gzip { source: GzipError::TooLarge { limit: 1000 } })));
}

#[test]
fn a_recipe_cannot_make_a_bomb() {
    let listed = "big\n".repeat(100);
    let recipe: Recipe = format!("hex-recipe 1\nfiles listed\n{listed}").parse().unwrap();
    let big = vec![0; 1 << 20];
    let limits = TarballLimits { unpacked: 10 << 20, ..TarballLimits::default() };
    let error = recipe::rebuild(&recipe, b"", |_| Ok(&big), &limits).unwrap_err();
    assert!(matches!(error, RebuildError::TooLarge { limit } if limit == 10 << 20));

    let recipe: Recipe = "hex-recipe 1\nfiles metadata\n".parse().unwrap();
    let metadata = b"{<<\"files\">>,[<<\"../../etc/passwd\">>]}.";
    let error = recipe::rebuild(&recipe, metadata, |_| Ok(b""), &limits).unwrap_err();
    assert!(matches!(error, RebuildError::BadPath { .. }), "{error:?}");
}

#[test]
fn truncation_at_any_point_is_refused() {
    let bytes = golden("hexmirror_sample");
    // Hex itself accepts half an end marker.
    let half = bytes.len() - 512;
    for end in (0..bytes.len()).filter(|end| *end != half) {
        refusal(&bytes[..end]);
    }
    assert_falls_back(&bytes[..half], "its end mark is only half");
    let inner = archive(&[(header("a", 1), b"1"), (header("b", 600), &[7; 600])]);
    for end in (0..inner.len()).step_by(16).filter(|end| *end != inner.len() - 512) {
        let cut = refusal(&outer(&inner[..end]));
        assert_eq!(cut, TarballError::Contents { source: ArchiveError::Truncated { length: end } });
    }
    // If only gzip's trailer is missing, Hex reads everything that it needs.
    let whole = contents(&inner);
    let mut fell_back = 0;
    for end in 0..whole.len() {
        match unpack(&outer_of(&whole[..end])) {
            Err(UnpackError::NotReproducible { reason }) if reason == "gzip ends early" => fell_back += 1,
            Err(UnpackError::Refused(TarballError::Contents { source: ArchiveError::Truncated { .. } })) => {}
            other => panic!("{end}: {other:?}"),
        }
    }
    assert!((8..16).contains(&fell_back), "{fell_back}");
}

#[test]
fn a_flipped_bit_is_always_detected() {
    let bytes = golden("deviating");
    let outer = tarball::outer_checksum(&bytes);
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1 << (position % 8);
        if let Ok(tarball) = Tarball::open(&damaged, &TarballLimits::default()) {
            assert_ne!(tarball.outer_checksum(), outer, "{position}");
            // If it can be unpacked, the result rebuilds the damaged bytes rather than the original ones.
            if unpack(&damaged).is_ok() {
                round_trip(&damaged);
            }
        }
    }
}

#[test]
fn missing_and_unknown_members_are_named() {
    let inner = contents(&archive(&[]));
    let sum = crate::hex_archive::checksum(b"", &inner);
    let with = |version: &'static [u8]| {
        let all =
            [("VERSION", version), ("CHECKSUM", sum.as_bytes()), ("metadata.config", b""), ("contents.tar.gz", &inner)];
        all.map(|(name, data)| (header(name, data.len()), data))
    };
    let all = with(b"3");
    for (index, member) in ["VERSION", "CHECKSUM", "metadata.config", "contents.tar.gz"].into_iter().enumerate() {
        let rest: Vec<_> = (0..4).filter(|other| *other != index).map(|other| all[other]).collect();
        assert_eq!(refusal(&archive(&rest)), TarballError::Missing { member });
    }
    assert_eq!(refusal(&archive(&with(b"4"))), TarballError::UnknownVersion { version: "4".into() });
    assert_eq!(refusal(b""), TarballError::Outer { source: ArchiveError::Truncated { length: 0 } });
    assert_eq!(refusal(&[b'x'; 2048]), TarballError::Outer { source: ArchiveError::BadHeader { offset: 0 } });
}

fn any_path() -> impl Strategy<Value = String> {
    proptest::collection::vec("[a-zA-Z0-9 ._%=\u{e4}\n-]{1,40}", 1..6).prop_map(|parts| parts.join("/")).prop_filter(
        "plain and short enough for tar",
        |path| {
            path.split('/').all(|part| part != "." && part != "..")
                && (path.len() <= 100 || path.rfind('/').is_some_and(|at| at <= 155 && path.len() - at <= 100))
        },
    )
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let _ = unpack(&bytes);
        let _ = unpack(&outer(&bytes));
        let _ = unpack(&outer_of(&bytes));
        let _ = String::from_utf8_lossy(&bytes).parse::<Recipe>();
    }

    #[test]
    fn arbitrary_words_never_panic_and_what_is_a_recipe_survives(
        words in proptest::collection::vec(
            prop_oneof![
                Just("gzip"), Just("outer"), Just("inner"), Just("files"), Just("listed"), Just("metadata"), Just("mode=100755"),
                Just("mtime=9"), Just("dialect=old"), Just("kind=folder"), Just("split=1"), Just("a/b"), Just("a/"), Just("\n"),
                Just("user=%20"), Just("trailer=0"),
            ],
            0..20,
        )
    ) {
        let text = format!("hex-recipe 1\n{}\n", words.join(" ").replace(" \n ", "\n"));
        if let Ok(recipe) = text.parse::<Recipe>() {
            prop_assert_eq!(recipe.to_string().parse::<Recipe>(), Ok(recipe));
        }
    }

    #[test]
    fn whatever_is_built_is_taken_apart_and_rebuilt(
        files in proptest::collection::btree_map(any_path(), (proptest::collection::vec(any::<u8>(), 0..3000), any::<bool>()), 0..20)
    ) {
        let paths: Vec<&String> = files.keys().collect();
        let clash = paths.iter().any(|path| paths.iter().any(|other| other.starts_with(&format!("{path}/"))));
        prop_assume!(!clash);
        let files: Vec<BuildFile<'_>> =
            files.iter().rev().map(|(path, (bytes, executable))| BuildFile { path, bytes, executable: *executable }).collect();
        let built = build(&metadata_text("acme", "1.0.0", &[], &files), &files).unwrap();
        let (_, found) = round_trip(&built);
        let mut expected: Vec<&str> = files.iter().map(|file| file.path).collect();
        expected.sort_unstable();
        prop_assert_eq!(found, expected);
    }
}
