//! Numbers of things in messages.

/// Returns a number with its noun: `1 package`, `2 packages`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Formats a number of bytes for users: `1.2 MB`.
pub fn bytes(number: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.iter().find(|(unit, _)| number >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", number as f64 / *unit as f64),
        None => format!("{number} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, count};

    #[test]
    fn only_one_is_singular() {
        assert_eq!([0, 1, 2].map(|n| count(n, "entry", "entries")), ["0 entries", "1 entry", "2 entries"]);
    }

    #[test]
    fn bytes_have_the_largest_unit_that_fits() {
        assert_eq!([0, 999, 1_000, 2_345_472].map(bytes), ["0 B", "999 B", "1.0 kB", "2.3 MB"]);
    }
}
