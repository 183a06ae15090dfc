//! Which packages and git repositories a command line names.

use crate::model::{EntryId, GitAddress};

/// Packages (`NAME` or `REPOSITORY/NAME`) and git repositories (the address or its last part), by name.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'n>(pub &'n [String]);

impl Selection<'_> {
    /// Returns whether a package is named.
    pub fn has_package(self, id: &EntryId) -> bool {
        self.0.iter().any(|name| is_package(id, name))
    }

    /// Returns whether a git repository is named.
    pub fn has_repository(self, address: &GitAddress) -> bool {
        self.0.iter().any(|name| is_repository(address, name))
    }
}

/// Returns whether a name stands for a package.
pub fn is_package(id: &EntryId, name: &str) -> bool {
    match name.split_once('/') {
        Some((repository, name)) => id.repository.as_str() == repository && id.package.as_str() == name,
        None => id.package.as_str() == name,
    }
}

/// Returns whether a name stands for a git repository.
pub fn is_repository(address: &GitAddress, name: &str) -> bool {
    let address = address.to_string();
    // An address has no final `.git`, but the URL in the lock may have one.
    let name = name.trim_end_matches(".git");
    let last = address.rsplit('/').next().unwrap_or_default();
    address == name || last == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_git_repository_is_named_by_its_address_or_its_last_part() {
        let address = "example.com/owner/jason".parse().unwrap();
        for (name, expected) in [("jason", true), ("jason.git", true), ("son", false), ("owner", false), ("", false)] {
            assert_eq!(is_repository(&address, name), expected, "{name}");
        }
        assert!(is_repository(&address, &address.to_string()));
    }

    #[test]
    fn a_package_is_named_with_or_without_its_repository() {
        let id = EntryId { repository: "acme".parse().unwrap(), package: "jason".parse().unwrap() };
        for (name, expected) in [("jason", true), ("acme/jason", true), ("hexpm/jason", false), ("json", false)] {
            assert_eq!(Selection(&[name.to_owned()]).has_package(&id), expected, "{name}");
        }
    }
}
