//! Holds documents to what they name.

use std::fs;
use std::path::Path;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns what stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_threat_model_names_tests_that_exist() {
    let text = read("SECURITY.md");
    let model = text.split_once("## Threat model").unwrap().1;
    let rows =
        model.lines().filter(|line| line.starts_with('|') && !line.starts_with("| cannot") && !line.contains("---"));
    let mut count = 0;
    for row in rows {
        let tests: Vec<&str> = quoted(row).filter(|text| text.contains("::")).collect();
        assert!(!tests.is_empty(), "no test: {row}");
        for test in tests {
            let (file, name) = test.split_once("::").unwrap();
            let source = read(&format!("tests/{file}"));
            assert!(source.contains(&format!("#[test]\nfn {name}()")), "{test} is not a test");
            count += 1;
        }
    }
    assert!(count > 30, "only {count}");
}
