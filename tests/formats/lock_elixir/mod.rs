//! Generates literal terms and locks, and compares how this program and Elixir or Erlang read them.

mod oddities;
mod terms;
mod unusual_elixir;
mod unusual_erlang;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use git_hexmirror::lock::{Located, Lock, Source};
use git_hexmirror::term::{elixir, erlang};
use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use terms::{Language, dump, hex};

/// The number of generated texts of each kind.
const CASES: usize = 400;

#[test]
fn generated_terms_and_locks_read_as_elixir_and_erlang_read_them() {
    if !is_installed() {
        return;
    }
    let mut runner = TestRunner::default();
    let mut texts = BTreeMap::new();
    let mut generate = |extension: &str, strategy: BoxedStrategy<String>| {
        for case in 0..CASES {
            let text = strategy.new_tree(&mut runner).unwrap().current();
            texts.insert(format!("{case:04}.{extension}"), text);
        }
    };
    generate("term", terms::term(Language::Elixir));
    generate("mix", terms::mix_lock());
    let consulted = proptest::collection::vec(terms::term(Language::Erlang), 0..4);
    generate("erl", consulted.prop_map(|terms| terms.iter().map(|term| format!("{term}.\n")).collect()).boxed());

    let read_by_elixir = ask_elixir(&texts);
    assert_eq!(read_by_elixir.len(), texts.len());
    for (file, text) in &texts {
        let (term, entries) = &read_by_elixir[file];
        assert!(!term.starts_with("ERROR"), "the generator wrote what Elixir refuses: {term}\n{text}");
        let read = read(file, text).unwrap_or_else(|error| panic!("{file}: {error}\n{text}"));
        assert_eq!(&read.0, term, "{file}\n{text}");
        if file.ends_with(".mix") {
            assert_eq!(&read.1, entries, "{file}\n{text}");
        }
    }
}

/// Returns whether Elixir is available. If not, prints that the test is skipped.
fn is_installed() -> bool {
    let found = Command::new("elixir").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: elixir is not installed");
    }
    found
}

/// Returns what the program reads in a text, in the oracle's notation: the term, and the entries if it is a lock.
fn read(file: &str, text: &str) -> Result<(String, String), String> {
    if file.ends_with(".erl") {
        let terms = erlang::consult(text.as_bytes()).map_err(|error| format!("{error:?}"))?;
        let terms: Vec<_> = terms.iter().map(|term| dump(&term.term)).collect();
        return Ok((format!("[{}]", terms.join(",")), String::new()));
    }
    let term = elixir::parse(text).map_err(|error| format!("{error:?}"))?;
    let mut entries = Vec::new();
    if file.ends_with(".mix") {
        let lock = Lock::parse("mix.lock", text).map_err(|error| format!("{error:?}"))?;
        entries = lock.entries.iter().map(|entry| tuple(&entry.app, &entry.source)).collect();
    }
    Ok((dump(&term.term), format!("[{}]", entries.join(","))))
}

fn tuple(app: &str, source: &Source) -> String {
    let text = |text: &str| format!("b{}", hex(text.as_bytes()));
    let optional = |located: &Option<Located>| located.as_ref().map_or("a6E696C".to_owned(), |located| text(located));
    let elements = match source {
        Source::Hex(release) => vec![
            text("hex"),
            text(&release.package),
            text(&release.version),
            text(&release.repository),
            optional(&release.inner_checksum),
            optional(&release.outer_checksum),
        ],
        Source::Git(git) => vec![text("git"), text(&git.url), optional(&git.revision)],
        Source::Package { version } => vec![text("package"), text(version)],
        Source::Download(download) => vec![text("download"), text(&download.url)],
        Source::Docs(docs) => vec![text("docs"), text(&docs.package)],
        Source::Tools(tools) => vec![text("tools"), text(&tools.elixir)],
        Source::AssetTool(asset) => vec![text("asset-tool"), text(&asset.id)],
        Source::Target(target) => vec![text("target"), text(target)],
        Source::Unknown { kind } => vec![text(kind)],
    };
    format!("{{{},{}}}", text(app), elements.join(","))
}

/// Lets a single Elixir process read all texts. Returns its lines by file name.
fn ask_elixir(texts: &BTreeMap<String, String>) -> BTreeMap<String, (String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    for (file, text) in texts {
        std::fs::write(files.join(file), text).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/lock_elixir/oracle.exs");
    let lines = folder.path().join("lines");
    let output = Command::new("elixir").args([&script, &files, &lines]).env("LC_ALL", "C.UTF-8").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = std::fs::read_to_string(lines).unwrap();
    let fields = lines.lines().map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    fields.map(|fields| (fields[0].clone(), (fields[1].clone(), fields[2].clone()))).collect()
}
