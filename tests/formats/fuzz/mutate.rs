//! Mutates seeds without guidance by coverage, as a small substitute for libFuzzer.

/// Bytes to overwrite or insert, which have a special meaning in some format.
const WORDS: [&str; 24] = [
    "/",
    "//",
    "..",
    ".",
    ":",
    "@",
    "%2e",
    "%2F",
    "%C3%BC",
    "%",
    ".git",
    ".lock",
    "-",
    "\n",
    "\r\n",
    " ",
    "\0",
    "ü",
    "\u{200c}",
    "007",
    "\"",
    "\\",
    "99999999999999999999",
    "HEAD",
];

/// Returns one of the seeds with one to eight changes.
pub fn mutated(seeds: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = random.choice(seeds).cloned().unwrap_or_default();
    for _ in 0..random.usize(1..=8) {
        let at = random.usize(0..=bytes.len());
        let end = random.usize(at..=bytes.len()).min(at + 64);
        match random.u8(0..8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
            1 if at < bytes.len() => bytes[at] = random.u8(..),
            2 => drop(bytes.splice(at..at, [random.u8(..)])),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copy = bytes[at..end].to_vec();
                let times = random.usize(1..=4);
                drop(bytes.splice(at..at, copy.repeat(times)));
            }
            5 => {
                let word = random.choice(WORDS).unwrap_or_default();
                drop(bytes.splice(at..(at + word.len() * random.usize(0..=1)).min(bytes.len()), word.bytes()));
            }
            6 => {
                let other = random.choice(seeds).map_or(&[][..], Vec::as_slice);
                let start = random.usize(0..=other.len());
                let part = &other[start..random.usize(start..=other.len())];
                drop(bytes.splice(at..end, part.iter().copied()));
            }
            _ => bytes[at..end].make_ascii_uppercase(),
        }
    }
    bytes
}
