//! The entries of a hexmirror.lock that nothing has a use for any more.

use super::{GitPin, Wanted};
use crate::lock::{Lock, OWN_LOCK};

impl Wanted {
    /// Returns whether an entry of a hexmirror.lock is of use for what all locks ask for. Documentation is of none if no lock
    /// pins its release, nor is a tip of a branch if another one counts. A person may have written any other entry, or
    /// only the settings of another machine may ask for it, so it stays.
    pub fn uses_line(&self, line: &str) -> bool {
        let mut one = Self::default();
        if Lock::parse(OWN_LOCK, line).and_then(|lock| one.add(&lock)).is_err() {
            return true;
        }
        let tip = |pin: &GitPin| (pin.as_of, pin.revision, pin.url.clone(), pin.names.clone());
        let counts = |pin: &GitPin| pin.as_of.is_none() || self.git.iter().any(|other| tip(other) == tip(pin));
        one.docs.keys().all(|release| self.releases.contains_key(release)) && one.git.iter().all(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_nothing_has_a_use_for_are_told_from_the_others() {
        let (sum, revision) = ("a".repeat(64), "1".repeat(40));
        let tip = |day: u32| format!("git https://h/x {revision} heads/main as-of 2026-11-{day}");
        let lines = [
            format!("docs hexpm alpha 1.0.0 {sum} 7 first-use 2026-11-28"),
            format!("docs hexpm alpha 0.9.0 {sum} 7 first-use 2026-11-28"),
            "docs hexpm gone 1.0.0 none 2026-11-28".to_owned(),
            tip(28),
            tip(29),
            format!("download https://h/x {sum} 7"),
            "tools elixir 1.18.4 otp 27".to_owned(),
            "target x86_64-linux-gnu nif 2.16".to_owned(),
            "asset-tool tailwind 4.1.0 linux-x64 none".to_owned(),
            format!("plugin-git pc https://h/pc {revision} heads/main for alpha"),
        ];
        let mut wanted = Wanted::default();
        let mix = format!(r#"%{{"alpha": {{:hex, :alpha, "1.0.0", "{sum}", [:mix], [], "hexpm"}}}}"#);
        for (file, text) in [("mix.lock", mix), (OWN_LOCK, lines.join("\n"))] {
            wanted.add(&Lock::parse(file, text).unwrap()).unwrap();
        }
        let unused: Vec<&String> = lines.iter().filter(|line| !wanted.uses_line(line)).collect();
        assert_eq!(unused, [&lines[1], &lines[2], &lines[3]]);
        assert!(wanted.uses_line("of a newer version"));
    }
}
