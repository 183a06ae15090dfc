//! Times commands in alternation, so that other load on the machine affects all of them equally, for
//! `benches/hooks.sh`.
//!
//! `take_turns ROUNDS FOLDER` reads the commands from standard input, one per line with tabs between the words: the
//! file for the command's standard input, the program, the arguments. It runs them in the folder and prints the median
//! time of each in milliseconds. The measurement includes neither a shell nor the processing of output, which is
//! discarded.

use std::error::Error;
use std::fs::File;
use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The number of warm-up runs of each command.
const WARM_UP: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: take_turns ROUNDS FOLDER <COMMANDS";
    let (rounds, folder) = (arguments.next().ok_or(usage)?.parse::<usize>()?, arguments.next().ok_or(usage)?);
    let lines = io::stdin().lines().collect::<Result<Vec<_>, _>>()?;
    let mut times = vec![Vec::with_capacity(rounds); lines.len()];
    for round in 0..WARM_UP + rounds {
        for (line, times) in lines.iter().zip(&mut times) {
            let time = run(line, &folder)?;
            if round >= WARM_UP {
                times.push(time);
            }
        }
    }
    for times in &mut times {
        times.sort();
        println!("{:.3}", times[times.len() / 2].as_secs_f64() * 1000.0);
    }
    Ok(())
}

/// Runs a command, which must succeed, and returns its duration.
fn run(line: &str, folder: &str) -> Result<Duration, Box<dyn Error>> {
    let mut words = line.split('\t');
    let (input, program) = (words.next().ok_or("an empty line")?, words.next().ok_or("no program")?);
    let mut command = Command::new(program);
    command.args(words).current_dir(folder).stdin(File::open(input)?).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status()?;
    let time = start.elapsed();
    if !status.success() {
        return Err(format!("{line:?}: {status}").into());
    }
    Ok(time)
}
