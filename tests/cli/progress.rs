//! The progress line, in a pseudo-terminal of `script`.

use std::io::Read;
use std::process::{Command, Stdio};

use crate::support::stage::{PROGRAM, Stage};
use crate::support::upstream::Fault;

/// Prepares to run the program in a pseudo-terminal, whose output arrives on standard output.
fn in_terminal(stage: &Stage, arguments: &str) -> Command {
    let mut command = stage.command(&[]);
    let variables: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    command = stage.sandbox.command("script", &stage.project);
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let line = format!("stty cols 120; {PROGRAM} {arguments}");
    command.env("TERM", "xterm").args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Returns the lines that a terminal shows at the end of some output. Knows the few controls that indicatif uses.
fn screen(output: &str) -> Vec<String> {
    let (mut lines, mut row, mut column) = (vec![Vec::<char>::new()], 0, 0);
    let mut characters = output.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => column = 0,
            '\n' => {
                (row, column) = (row + 1, 0);
                lines.resize(lines.len().max(row + 1), Vec::new());
            }
            '\u{1b}' => {
                assert_eq!(characters.next(), Some('['), "another control: {output:?}");
                let mut number = String::new();
                while let Some(digit) = characters.next_if(|next| !next.is_ascii_alphabetic()) {
                    number.push(digit);
                }
                match (characters.next(), number.as_str()) {
                    (Some('m'), _) | (Some('h' | 'l'), _) => {}
                    (Some('A'), number) => row -= number.parse::<usize>().unwrap_or(1),
                    (Some('K'), "2") => lines[row].clear(),
                    (Some('K'), _) => lines[row].truncate(column),
                    (Some('J'), _) => {
                        lines[row].truncate(column);
                        lines.truncate(row + 1);
                    }
                    control => panic!("another control: {control:?}"),
                }
            }
            character => {
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = character;
                column += 1;
            }
        }
    }
    let text = lines.into_iter().map(|line| line.into_iter().collect::<String>().trim_end().to_owned());
    text.filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_line_names_what_is_fetched_and_leaves_nothing_behind() {
    let stage = Stage::new();
    stage.upstream.fail("/tarballs/alpha-1.0.0.tar", 1, Fault::Stall);
    let Ok(mut child) = in_terminal(&stage, "update").spawn() else {
        eprintln!("skipped: there is no script");
        return;
    };
    let (mut output, mut stdout) = (Vec::new(), child.stdout.take().unwrap());
    let is_named =
        |output: &[u8]| screen(&String::from_utf8_lossy(output)).iter().any(|line| line.contains("alpha 1.0.0"));
    while !is_named(&output) {
        let mut chunk = [0; 4096];
        let read = stdout.read(&mut chunk).unwrap();
        assert_ne!(read, 0, "alpha is not named: {:?}", String::from_utf8_lossy(&output));
        output.extend_from_slice(&chunk[..read]);
    }
    let shown = screen(&String::from_utf8_lossy(&output));
    assert!(shown.iter().any(|line| line.contains("/3")) && shown.len() == 1, "{shown:?}");
    stage.upstream.release();
    stdout.read_to_end(&mut output).unwrap();
    let output = String::from_utf8_lossy(&output);
    assert!(child.wait().unwrap().success(), "{output}");
    let shown = screen(&output);
    assert!(shown[0].starts_with("  + alpha 1.0.0"), "{shown:?}");
    assert!(shown.iter().all(|line| !line.contains("/3") && !line.contains('━')), "{shown:?}");
}

#[test]
fn nothing_is_drawn_without_a_terminal() {
    let stage = Stage::new();
    let ran = stage.run(&["update"]).ok();
    assert!(!ran.stderr.contains(['\r', '\u{1b}', '━']), "{ran:?}");
}
