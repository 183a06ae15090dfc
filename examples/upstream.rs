//! Serves a folder laid out as a Hex repository as the tests' upstream does, over a link with a round trip: for `benches/figures.sh`.
//!
//! `cargo run --example upstream -- FOLDER [ROUND_TRIP_MS]`. The first line printed is the address. When standard input ends,
//! the second says how many requests and connections were made.

#[path = "../tests/support/upstream.rs"]
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
