//! The pinned tips of branches: git repositories that are mirrored because the settings name them, such as a database of
//! advisories that a tool clones. No lock of a package manager pins these, so a hexmirror.lock does.

use super::{GitPin, Wanted};
use crate::model::{Day, GitBranch, Revision};

/// The kind of an entry of a hexmirror.lock that pins the tip of a branch.
pub const BRANCH_ENTRY: &str = "git";

impl GitPin {
    /// Returns the pin of the tip that a branch had on a day.
    pub fn of_branch(branch: &GitBranch, revision: Revision, as_of: Day) -> Self {
        Self {
            app: branch.name(),
            url: branch.url().clone(),
            revision,
            depth: None,
            names: [branch.branch().clone()].into(),
            submodules: false,
            subdir: None,
            sparse: None,
            as_of: Some(as_of),
        }
    }

    /// Returns the entry of a hexmirror.lock that pins the tip of a branch; `None` if this is a dependency.
    pub fn branch_line(&self) -> Option<String> {
        let (day, name) = (self.as_of?, self.names.first()?);
        Some(format!("{BRANCH_ENTRY} {} {} {name} as-of {day}", self.url.secret_text(), self.revision))
    }

    /// Returns whether this names a branch of a repository, by any spelling of its address.
    fn is_of(&self, branch: &GitBranch) -> bool {
        self.url.address() == branch.url().address() && self.names.contains(branch.branch())
    }

    /// Returns the branch whose tip this is; `None` if this is a dependency.
    pub fn branch(&self) -> Option<GitBranch> {
        self.as_of?;
        let name = self.names.first()?.to_string();
        GitBranch::new(self.url.secret_text(), name.strip_prefix("heads/")?).ok()
    }
}

impl Wanted {
    /// Requires branches of git repositories that the settings name.
    pub fn require_git<'a>(&mut self, branches: impl IntoIterator<Item = &'a GitBranch>) {
        let is_pinned = |branch: &&GitBranch| self.git.iter().any(|pin| pin.as_of.is_some() && pin.is_of(branch));
        let unpinned = branches.into_iter().filter(|branch| !is_pinned(branch));
        self.unpinned_git = unpinned.cloned().collect();
    }

    /// Keeps one tip of each branch, because clients get one: that of the latest day and, of those of one day, the one with the
    /// highest commit id, so that everyone gets the same. git merges a lock line by line, so one of two branches that both moved a
    /// tip leaves two entries.
    pub(super) fn keep_newest_tips(&mut self) {
        let tips: Vec<GitPin> = self.git.iter().filter(|pin| pin.as_of.is_some()).cloned().collect();
        let rank = |pin: &GitPin| (pin.as_of, pin.revision);
        let is_superseded = |pin: &GitPin| {
            let is_same = |other: &&GitPin| other.url.address() == pin.url.address() && other.names == pin.names;
            tips.iter().filter(is_same).any(|other| rank(other) > rank(pin))
        };
        self.git.retain(|pin| pin.as_of.is_none() || !is_superseded(pin));
    }

    /// Replaces the pins of branches.
    #[must_use]
    pub fn with_branches(mut self, pins: &[GitPin]) -> Self {
        for branch in pins.iter().filter_map(GitPin::branch) {
            self.git.retain(|pin| pin.as_of.is_none() || !pin.is_of(&branch));
            self.unpinned_git.retain(|other| !pins.iter().any(|pin| pin.is_of(other)));
        }
        self.git.extend(pins.iter().cloned());
        self.git.sort();
        self.git.dedup();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Lock;

    fn wanted(text: &str) -> Wanted {
        let mut wanted = Wanted::default();
        wanted.add(&Lock::parse("hexmirror.lock", text).unwrap()).unwrap();
        wanted
    }

    fn line(url: &str, digit: &str) -> String {
        format!("git {url} {} heads/main as-of 2026-11-29", digit.repeat(40))
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        for url in ["https://h/team/advisories.git", "git@h:team/advisories", "ssh://git@h/team/advisories.git"] {
            let pin = wanted(&line(url, "1")).git.remove(0);
            assert_eq!(pin.branch_line(), Some(line(url, "1")));
            let branch = pin.branch().unwrap();
            assert_eq!((branch.to_string(), pin.app.as_str()), (format!("{url} main"), "advisories"));
            assert_eq!(GitPin::of_branch(&branch, pin.revision, pin.as_of.unwrap()), pin);
        }
        let error = Lock::parse("hexmirror.lock", line("https://h/x", "1").replace("11-29", "11-31"));
        let error = Wanted::default().add(&error.unwrap()).unwrap_err();
        assert!(error.message.contains("not a day"), "{}", error.message);
    }

    #[test]
    fn a_branch_is_required_until_a_lock_pins_it_and_replaced_by_its_new_tip() {
        let branch: GitBranch = "https://h/x main".parse().unwrap();
        let other: GitBranch = "https://h/x next".parse().unwrap();
        let mut wanted = wanted(&line("git@h:x.git", "1"));
        wanted.require_git([&branch, &other]);
        assert_eq!(wanted.unpinned_git, [other.clone()].into(), "any spelling of the address will do");
        let (revision, day) = ("2".repeat(40).parse().unwrap(), "2026-12-01".parse().unwrap());
        let pins = [GitPin::of_branch(&branch, revision, day), GitPin::of_branch(&other, revision, day)];
        let wanted = wanted.with_branches(&pins);
        assert!(wanted.unpinned_git.is_empty());
        assert_eq!(wanted.git, pins);
    }

    #[test]
    fn of_several_tips_of_a_branch_the_newest_counts() {
        let of_day = |digit: &str, day: &str| line("https://h/x", digit).replace("2026-11-29", day);
        let other = line("https://h/x", "7").replace("heads/main", "heads/next");
        let tips = |lines: &[String]| {
            let pins = wanted(&lines.join("\n")).git.into_iter();
            pins.map(|pin| pin.revision.to_string()[..1].to_owned()).collect::<String>()
        };
        let [older, newer] = [of_day("3", "2026-11-28"), of_day("2", "2026-11-29")];
        assert_eq!(tips(&[older.clone(), newer.clone(), other.clone()]), "27");
        assert_eq!(tips(&[newer.clone(), older.clone()]), "2");
        let same_day = of_day("4", "2026-11-29");
        assert_eq!(tips(&[newer.clone(), same_day.clone()]), "4");
        assert_eq!(tips(&[same_day, newer.clone()]), "4");
        assert_eq!(tips(&[line("git@h:x.git", "1"), newer]), "2", "any spelling of the address will do");
        // Also of two locks.
        let mut two = wanted(&older);
        two.add(&Lock::parse("hexmirror.lock", of_day("2", "2026-11-29")).unwrap()).unwrap();
        assert_eq!(two.git.len(), 1);
    }

    #[test]
    fn a_dependency_on_the_same_repository_stays() {
        let mut wanted = wanted(&line("https://h/x", "1"));
        let dependency = format!(r#"%{{"x": {{:git, "https://h/x", "{}", [branch: "main"]}}}}"#, "3".repeat(40));
        wanted.add(&Lock::parse("mix.lock", dependency).unwrap()).unwrap();
        let pin = GitPin::of_branch(
            &"https://h/x main".parse().unwrap(),
            "2".repeat(40).parse().unwrap(),
            "2026-12-01".parse().unwrap(),
        );
        let wanted = wanted.with_branches(&[pin]);
        let revisions: Vec<String> = wanted.git.iter().map(|pin| pin.revision.to_string()).collect();
        assert_eq!(revisions.len(), 2);
        assert!(revisions.contains(&"3".repeat(40)) && revisions.contains(&"2".repeat(40)), "{revisions:?}");
    }
}
