//! Checks the examples as far as that is possible without the programs that run them.

use std::fs;

use crate::documents::{Definition, root};

/// `tests/clients/containers.rs` runs them, if there is a Docker engine.
#[test]
fn the_docker_examples_use_options_that_exist() {
    let definition = Definition::new();
    let mut called = Vec::new();
    for entry in walkdir::WalkDir::new(root().join("examples/docker")).into_iter().map(Result::unwrap) {
        if !entry.file_type().is_file() {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        called.extend(text.lines().flat_map(|line| line.split("git hexmirror ").skip(1)).map(str::to_owned));
        // A list of words in a Dockerfile or a compose file, and a command of several lines in a compose file.
        let lists = text.lines().filter_map(|line| line.split_once("/git-hexmirror")?.1.split_once(']'));
        called.extend(lists.map(|(words, _)| words.replace(['"', ','], " ")));
        let lists = text.lines().filter_map(|line| line.strip_prefix("CMD [")?.strip_suffix(']'));
        called.extend(lists.map(|words| words.replace(['"', ','], " ")));
        for block in text.split("command: >-\n").skip(1) {
            let lines = block.lines().take_while(|line| line.starts_with("      "));
            called.push(lines.collect::<Vec<_>>().join(" "));
        }
    }
    called.retain(|arguments| !arguments.trim().is_empty());
    let faults: Vec<_> = called.iter().filter_map(|arguments| definition.refuse(arguments)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(called.len() >= 7, "{called:#?}");
}
