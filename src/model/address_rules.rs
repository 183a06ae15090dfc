//! The user's rewrite rules for the addresses of git repositories: `url.<base>.insteadOf` and `pushInsteadOf`
//! (git-config(1)).

/// A rule that replaces a prefix of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRule {
    /// The text that replaces the prefix.
    pub base: String,
    /// The prefix that the rule replaces.
    pub prefix: String,
    /// Whether the rule applies to pushes only (`pushInsteadOf`).
    pub is_for_push: bool,
}

/// Rewrite rules, in the order in which git reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressRules(Vec<AddressRule>);

impl AddressRules {
    /// Creates a set of rules, which must be in the order in which git reads them.
    pub fn new(rules: impl IntoIterator<Item = AddressRule>) -> Self {
        Self(rules.into_iter().collect())
    }

    /// Returns the address that a rule for fetches rewrites `address` to; `None` if no rule matches.
    pub fn rewritten(&self, address: &str) -> Option<String> {
        self.applied(address, false)
    }

    /// Returns the address that git fetches from when it is given `address`.
    pub fn fetch_address(&self, address: &str) -> String {
        self.rewritten(address).unwrap_or_else(|| address.to_owned())
    }

    /// Returns the address that git pushes to when it is given `address`. The longest matching push rule applies; if no
    /// push rule matches, the longest matching rule does.
    pub fn push_address(&self, address: &str) -> String {
        self.applied(address, true).unwrap_or_else(|| self.fetch_address(address))
    }

    /// Returns the prefixes that the rules replace.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|rule| rule.prefix.as_str())
    }

    /// Applies the longest matching rule once. The first of equally long rules wins (`alias_url` in git's `remote.c`).
    fn applied(&self, address: &str, is_for_push: bool) -> Option<String> {
        let rules = self.0.iter().filter(|rule| rule.is_for_push == is_for_push);
        let matching = rules.filter_map(|rule| Some((rule, address.strip_prefix(&rule.prefix)?)));
        let (rule, rest) = matching.rev().max_by_key(|(rule, _)| rule.prefix.len())?;
        Some(format!("{}{rest}", rule.base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_rule_wins_and_rules_for_pushes_come_first() {
        let rule = |base: &str, prefix: &str, is_for_push| AddressRule {
            base: base.into(),
            prefix: prefix.into(),
            is_for_push,
        };
        let ssh = rule("git@github.com:", "https://github.com/", false);
        let later = rule("ssh://later/", "https://github.com/", false);
        let longer = rule("https://forge/", "https://github.com/a/", false);
        let push = rule("ssh://push/", "https://github.com/", true);
        let both = |rules: &[&AddressRule]| {
            let rules = AddressRules::new(rules.iter().copied().cloned());
            [rules.fetch_address("https://github.com/a/lib"), rules.push_address("https://github.com/a/lib")]
        };
        assert_eq!(both(&[]), ["https://github.com/a/lib"; 2]);
        assert_eq!(both(&[&ssh, &later]), ["git@github.com:a/lib"; 2]);
        assert_eq!(both(&[&ssh, &longer]), ["https://forge/lib"; 2]);
        assert_eq!(both(&[&ssh, &push]), ["git@github.com:a/lib", "ssh://push/a/lib"]);
    }
}
