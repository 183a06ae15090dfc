//! Serves a folder with the layout of a Hex repository as the tests' upstream does, with a simulated round-trip time,
//! for `benches/figures.sh`.
//!
//! `cargo run --example upstream -- FOLDER [ROUND_TRIP_MS]` prints its address as the first line. When standard input
//! ends, it prints the numbers of requests and connections as the second line.

#[path = "../../tests/support/upstream.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod upstream;

use std::error::Error;
use std::io::Read;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: upstream FOLDER [ROUND_TRIP_MS]")?;
    let milliseconds = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let server = upstream::TestUpstream::over_link(folder, Duration::from_millis(milliseconds));
    println!("{}", server.url());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    println!("requests {} connections {}", server.count("*"), server.connections());
    Ok(())
}
