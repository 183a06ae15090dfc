//! Checks that the sources respect the layers that `src/lib.rs` describes: imports only point downward, each external
//! capability is used in one place, and the library neither reads the environment nor prints.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::file_graph::{self, Sources};
use crate::source;

/// Every module of the library, with the modules that it may import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("code", &[]),
    ("progress", &["model"]),
    ("runtime", &[]),
    ("cryptography", &[]),
    ("file_lock", &[]),
    ("config", &["model"]),
    ("term", &["model"]),
    ("page", &["model", "code"]),
    ("lock", &["model", "term"]),
    ("hex", &["model", "term"]),
    ("plan", &["model", "term", "lock", "hex"]),
    ("store", &["model", "term", "lock", "hex", "progress", "file_lock"]),
    ("fetch", &["model", "term", "lock", "hex", "progress", "runtime", "file_lock", "cryptography"]),
    ("bucket", &["model", "runtime", "cryptography"]),
    ("serve", &["model", "term", "page", "lock", "hex", "progress", "runtime", "file_lock", "cryptography"]),
    ("git", &["model", "term", "lock", "hex", "progress", "runtime", "file_lock"]),
    ("hook", &["model"]),
    (
        "ops",
        &[
            "model", "code", "term", "page", "lock", "hex", "progress", "config", "plan", "store", "fetch", "bucket",
            "serve", "git", "hook", "runtime",
        ],
    ),
];

/// Crates that only one module may use, by the prefix of their names.
const HOMES: &[(&str, &str)] = &[
    ("gix", "store"),
    ("reqwest", "fetch"),
    ("object_store", "bucket"),
    ("hyper", "serve"),
    ("http_body_util", "serve"),
    ("maud", "page"),
];

/// What only the binary may use.
const OF_THE_BINARY: &[&str] = &[
    "std::env",
    "std::io::stdout",
    "std::io::stderr",
    "std::io::stdin",
    "std::process::exit",
    "clap",
    "indicatif",
    "anstream",
    "anstyle",
    "annotate_snippets",
];
/// Macros that print; only the binary may call them.
const PRINTING: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];

/// The modules without I/O, and what they must not use.
const PURE: &[&str] = &["model", "term", "page", "lock", "hex", "plan", "config", "progress"];
const INPUT_AND_OUTPUT: &[&str] =
    &["std::fs", "std::net", "std::process", "std::thread", "std::time::SystemTime", "std::time::Instant", "tokio"];

/// Returns the violations in a source. `module` is its path, such as `["ops", "update"]`, or `["bin"]` for the binary.
fn faults(text: &str, module: &[&str]) -> Vec<String> {
    let words = source::without_tests(&source::words(text));
    let paths = source::paths(&words, module);
    let mut faults = BTreeSet::new();
    let top = module.first().copied().unwrap_or("lib");
    for path in &paths {
        let whole = path.join("::");
        let names =
            |begin: &str| whole == begin || whole.strip_prefix(begin).is_some_and(|rest| rest.starts_with("::"));
        if top == "bin" {
            continue;
        }
        if let ["crate", to, ..] = path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            faults.extend(import_fault(top, to));
        }
        for (begin, home) in HOMES {
            let is_it = path[0] == *begin || path[0].strip_prefix(begin).is_some_and(|rest| rest.starts_with('_'));
            if is_it && top != *home {
                faults.insert(format!("{whole} is named, which only {home} may"));
            }
        }
        if OF_THE_BINARY.iter().any(|begin| names(begin)) {
            faults.insert(format!("{whole} is named, which only the binary may"));
        }
        if PURE.contains(&top) && INPUT_AND_OUTPUT.iter().any(|begin| names(begin)) {
            faults.insert(format!("{whole} is named, and {top} does no input or output"));
        }
    }
    for next in words.windows(4) {
        let is = |expected: &[&str]| expected.iter().zip(next).all(|(expected, word)| expected == word);
        if is(&[".", "unwrap", "(", ")"]) {
            faults.insert("there is an unwrap()".into());
        }
        if let Some(name) = ["todo", "unimplemented"].iter().find(|name| is(&[name, "!"])) {
            faults.insert(format!("there is a {name}!"));
        }
        if let Some(name) = PRINTING.iter().find(|name| top != "bin" && is(&[name, "!"])) {
            faults.insert(format!("{name}! is called, which only the binary may"));
        }
    }
    faults.into_iter().collect()
}

fn import_fault(from: &str, to: &str) -> Option<String> {
    let row = |name: &str| MAY_IMPORT.iter().find(|(module, _)| *module == name);
    let Some((_, allowed)) = row(from) else { return Some(format!("{from} has no place in the layers: give it one")) };
    // Anything that is not a module is a macro or a type of the crate's root, of which there are none.
    let fine = from == to || allowed.contains(&to);
    (!fine).then(|| format!("{from} imports {to}, which is not below it"))
}

/// Returns the Rust files below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the sources can be listed").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let own = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    own.chain(folders.iter().flat_map(|folder| rust_files(folder))).collect()
}

/// Returns the module that a file below `src` is.
fn module_of(file: &Path) -> Vec<&str> {
    let mut names: Vec<&str> = file.iter().map(|name| name.to_str().expect("a name in Unicode")).collect();
    if names[0] == "bin" {
        return vec!["bin"];
    }
    let last = names.pop().and_then(|name| name.strip_suffix(".rs")).expect("a Rust file");
    names.extend((!matches!(last, "mod" | "lib")).then_some(last));
    names
}

#[test]
fn the_sources_keep_to_the_layers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&root);
    assert!(files.len() > 50, "only {} files were found", files.len());
    let mut found = Vec::new();
    for file in files {
        let below = file.strip_prefix(&root).expect("a file below the folder");
        let module = module_of(below);
        // A test module in a separate file, declared under #[cfg(test)].
        if below.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a source is Unicode");
        // The root declares the modules, and its documentation links to them.
        if below != Path::new("lib.rs") {
            found.extend(faults(&text, &module).into_iter().map(|fault| format!("{}: {fault}", below.display())));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The binary escapes its output in the one file that prints.
#[test]
fn only_one_file_of_the_binary_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/git-hexmirror");
    for file in rust_files(&root).into_iter().filter(|file| !file.ends_with("output.rs")) {
        let text = fs::read_to_string(&file).expect("a source is Unicode");
        let words = source::without_tests(&source::words(&text));
        let prints = words.windows(2).any(|next| PRINTING.contains(&next[0].as_str()) && next[1] == "!");
        let is_stream = |path: &Vec<String>| path[0] == "anstream";
        assert!(!prints && !source::paths(&words, &["bin"]).iter().any(is_stream), "{}", file.display());
    }
}

#[test]
fn no_message_repeats_its_cause() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in rust_files(&source) {
        let text = fs::read_to_string(&file).expect("a source is Unicode");
        for message in
            text.split("#[error(").skip(1).filter_map(|rest| rest.split_once(")]")).map(|(message, _)| message)
        {
            assert!(!message.contains("{source}"), "{}: {message}: causes are shown after it", file.display());
        }
    }
}

#[test]
fn every_module_is_assigned_to_a_layer() {
    let lib = include_str!("../../src/lib.rs");
    let declared = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in declared {
        assert!(MAY_IMPORT.iter().any(|(known, _)| *known == module), "{module} has no place in the layers");
    }
    // No two modules depend on each other, so the modules form layers.
    let mut below = BTreeSet::new();
    for (module, allowed) in MAY_IMPORT {
        for import in *allowed {
            assert!(below.contains(import), "{module} may import {import}, which is not listed before it");
        }
        below.insert(*module);
    }
}

/// Returns the sources of a crate below a folder, by module.
fn sources(root: &Path) -> Sources {
    let mut sources = Sources::new();
    for file in rust_files(root).into_iter().filter(|file| !file.ends_with("tests.rs")) {
        let below = file.strip_prefix(root).expect("a file below the folder").with_extension("");
        let mut module: Vec<String> = below.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        if module[0] == "bin" {
            continue;
        }
        module.pop_if(|last| matches!(last.as_str(), "mod" | "lib" | "main"));
        sources.insert(module, fs::read_to_string(&file).expect("a source is Unicode"));
    }
    sources
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for root in [source.clone(), source.join("bin/git-hexmirror")] {
        let graph = file_graph::graph(&sources(&root));
        assert!(graph.values().flatten().count() > 50, "too few imports were found in {}", root.display());
        let circles = file_graph::circles(&graph);
        let imports: Vec<String> = circles.iter().flat_map(|circle| imports_within(circle, &graph)).collect();
        assert!(imports.is_empty(), "files import each other in {} circles:\n{}", circles.len(), imports.join("\n"));
    }
}

/// Returns a line for each file of a circle: which other files of the circle it imports.
fn imports_within(circle: &BTreeSet<Vec<String>>, graph: &file_graph::Graph) -> Vec<String> {
    let imports = |module: &Vec<String>| {
        let within: Vec<String> = graph[module].intersection(circle).map(|import| import.join("/")).collect();
        format!("{} imports {}", module.join("/"), within.join(", "))
    };
    circle.iter().map(imports).collect()
}

#[test]
fn circles_are_detected() {
    let circles = |files: &[(&str, &str)]| -> Vec<String> {
        let module = |path: &str| path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let sources = files.iter().map(|(path, text)| (module(path), (*text).to_owned())).collect();
        let names = |circle: BTreeSet<Vec<String>>| circle.iter().map(|module| module.join("/")).collect::<Vec<_>>();
        file_graph::circles(&file_graph::graph(&sources)).into_iter().map(|circle| names(circle).join(" ")).collect()
    };
    let root = ("x", "mod a; mod b; pub use a::A; pub(in crate::x) use self::b::{B as Other, B};");
    assert_eq!(circles(&[root, ("x/a", "use super::B;"), ("x/b", "fn f() { super::a::g() }")]), ["x/a x/b"]);
    assert_eq!(circles(&[root, ("x/a", "use crate::x::B;"), ("x/b", "use super::A;")]), ["x/a x/b"]);
    assert_eq!(
        circles(&[root, ("x/a", "use super::B;"), ("x/b", "#[cfg(test)] mod tests { use super::super::A; }")]),
        [""; 0]
    );
    assert_eq!(circles(&[("x", "mod a; use a::A; struct X;"), ("x/a", "use super::X;")]), ["x x/a"]);
}

#[test]
fn upward_imports_are_detected() {
    for (module, text) in [
        (&["fetch", "retry"][..], "use crate::store::Transaction;"),
        (&["store"], "use crate::{hex, fetch::Upstream};"),
        (&["serve", "route"], "use super::super::git;"),
        (&["hex", "registry", "key"], "fn f() { crate::ops::update() }"),
        (&["term"], "pub(in crate) use crate::lock::{self as other};"),
        (&["model", "name"], "use crate::term;"),
        (&["plan"], "#[cfg(test)] mod tests { use crate::ops; }\nuse crate::config::Config;"),
        (&["novel"], "use crate::model::Version;"),
    ] {
        assert_eq!(faults(text, module).len(), 1, "{text}: {:?}", faults(text, module));
    }
}

#[test]
fn forbidden_names_are_detected() {
    for (module, text, fault) in [
        (&["ops"][..], "use gix::ObjectId;", "only store may"),
        (&["fetch"], "fn f() { gix_pack::data::File::at(x) }", "only store may"),
        (&["store"], "let client = reqwest::Client::new();", "only fetch may"),
        (&["ops"], "use hyper_util::rt::TokioIo;", "only serve may"),
        (&["ops"], "use std::{fs, env};", "only the binary may"),
        (&["ops"], "let home = std::env::var(\"HOME\");", "only the binary may"),
        (&["store"], "use std::io::{self as io, stdout};", "only the binary may"),
        (&["fetch"], "fn f() { eprintln!(\"{x}\") }", "only the binary may"),
        (&["hex"], "use std::fs::File;", "no input or output"),
        (&["plan"], "fn f() { x.lines().next().unwrap() }", "unwrap()"),
        (&["bin"], "fn f() { x\n.unwrap ( ) }", "unwrap()"),
        (&["serve"], "fn f() { todo!() }", "todo!"),
    ] {
        let found = faults(text, module);
        assert!(found.len() == 1 && found[0].contains(fault), "{text}: {found:?}");
    }
}

#[test]
fn permitted_names_pass() {
    for (module, text) in [
        (&["ops", "update"][..], "use crate::{fetch::Upstream, store::{Transaction, Snapshot}}; use super::OpError;"),
        (&["store", "transaction"], "use gix::ObjectId; use gix_pack::data; fn f() { self::transaction::g(super::x) }"),
        (
            &["fetch"],
            "//! Not reqwest::Client of crate::ops; std::env.\nuse reqwest::Client; /* println!() /* x */ y */",
        ),
        (&["hex"], "const TEXT: &str = \"use crate::ops; println!\"; const RAW: &str = r#\"gix::\"x.unwrap()\"#;"),
        (&["serve"], "fn f<'a>(x: &'a str) -> char { '\"' } // \"\nfn g() -> char { '\\'' }"),
        (&["bin"], "use git_hexmirror::ops; fn f() { println!(\"{}\", std::env::args().count()) }"),
        (&["plan"], "#[cfg(test)]\nmod tests { fn f() { std::fs::read(x).unwrap(); println!() } }"),
        (
            &["lock"],
            "#[cfg(test)]\nuse crate::ops;\nfn unwrap() {} fn g() { unwrap() } fn h() { x.unwrap_or(env!(\"A\")) }",
        ),
    ] {
        assert_eq!(faults(text, module), [""; 0], "{text}");
    }
}
