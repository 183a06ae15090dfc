//! Version requirements, compared with Elixir's own parser if Elixir is installed.

use std::fmt::Write as _;
use std::process::Command;

use git_hexmirror::hex::requirement::Requirement;
use git_hexmirror::model::Version;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

const ELIXIR: &str = r#"
for line <- File.stream!(hd(System.argv())) do
  [requirement, version, pre] = line |> String.trim_trailing("\n") |> String.split("\t")
  case Version.parse_requirement(requirement) do
    {:ok, parsed} -> IO.puts(Version.match?(version, parsed, allow_pre: pre == "true"))
    :error -> IO.puts("error")
  end
end
"#;

fn version() -> impl Strategy<Value = String> {
    let pre = prop_oneof![3 => Just(""), 1 => Just("-rc.1"), 1 => Just("-rc.10"), 1 => Just("-0"), 1 => Just("-a-b.2"), 1 => Just("-dev+b.01")];
    (0..3u8, 0..3u8, 0..3u8, pre).prop_map(|(major, minor, patch, pre)| format!("{major}.{minor}.{patch}{pre}"))
}

fn requirement() -> impl Strategy<Value = String> {
    let minor = || (0..3u8, 0..3u8).prop_map(|(major, minor)| format!("{major}.{minor}"));
    let any_operator =
        prop_oneof![Just(">= "), Just("<= "), Just("> "), Just("< "), Just("== "), Just("~>"), Just("!="), Just("! ")];
    let comparison = prop_oneof![
        12 => (any_operator, version()).prop_map(|(operator, version)| operator.to_owned() + &version),
        6 => version().prop_map(|version| "~> ".to_owned() + &version),
        6 => minor().prop_map(|version| "~> ".to_owned() + &version),
        2 => version(),
        1 => minor(),
        1 => Just("~> 1.0-rc.1".to_owned()),
        1 => "[=<>~]{0,2}[0-9a.+ -]{0,8}",
    ];
    let joint =
        prop_oneof![8 => Just(" and "), 8 => Just(" or "), 1 => Just("  and "), 1 => Just("or"), 1 => Just(" ")];
    proptest::collection::vec((comparison, joint), 1..4).prop_map(|parts| {
        let last = parts.len() - 1;
        parts.into_iter().enumerate().fold(String::new(), |text, (index, (comparison, joint))| {
            text + &comparison + if index == last { "" } else { joint }
        })
    })
}

#[test]
fn elixir_agrees() {
    let mut runner = TestRunner::default();
    let strategy = (requirement(), version(), any::<bool>());
    let cases: Vec<_> = (0..5000).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
    let input = cases.iter().fold(String::new(), |mut input, (requirement, version, pre)| {
        writeln!(input, "{requirement}\t{version}\t{pre}").unwrap();
        input
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cases");
    std::fs::write(&file, input).unwrap();
    let output = match Command::new("elixir").args(["-e", ELIXIR]).arg(&file).output() {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => return eprintln!("skipped: elixir: {error}"),
    };
    let answers: Vec<&str> = output.lines().collect();
    assert_eq!(answers.len(), cases.len());
    for answer in ["true", "false", "error"] {
        assert!(answers.iter().filter(|it| **it == answer).count() > 500, "the cases are varied: {answer}");
    }
    for ((requirement, version, pre), expected) in cases.iter().zip(answers) {
        let version: Version = version.parse().unwrap();
        let found = match requirement.parse::<Requirement>() {
            Ok(requirement) => requirement.matches(&version, *pre).to_string(),
            Err(_) => "error".into(),
        };
        assert_eq!(found, expected, "{requirement:?} {version} allow_pre: {pre}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,60}") {
        let _ = text.parse::<Requirement>();
    }
}
