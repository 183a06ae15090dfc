//! A branch of a git repository that is mirrored because the settings name it.

use std::fmt;
use std::str::FromStr;

use super::{GitAddressError, GitName, GitNameError, GitUrl};

/// A branch of a git repository. The address has no user name and no password, so it may be written into a tracked file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitBranch {
    url: GitUrl,
    branch: GitName,
}

/// An error for a text that is not a branch of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitBranchError {
    /// There are not two words.
    #[error("expected an address and a branch")]
    Malformed,
    /// The address cannot be mirrored.
    #[error(transparent)]
    Address(#[from] GitAddressError),
    /// The address has a user name or a password.
    #[error("the address has a user name or a password, which a tracked file must not contain")]
    Secret,
    /// The name is not that of a branch.
    #[error(transparent)]
    Branch(#[from] GitNameError),
}

impl GitBranch {
    /// Creates a branch of a repository.
    ///
    /// # Errors
    /// Returns an error if the address cannot be mirrored or may not be tracked, or if git refuses the branch's name.
    pub fn new(url: &str, branch: &str) -> Result<Self, GitBranchError> {
        if url.contains(char::is_whitespace) {
            return Err(GitBranchError::Malformed);
        }
        let parsed: GitUrl = url.parse()?;
        let user = url.split_once("://").and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'));
        let has_user = user.is_some_and(|(user, _)| parsed.scheme() != "ssh" || user.contains(':'));
        if has_user || parsed.to_string() != url {
            return Err(GitBranchError::Secret);
        }
        Ok(Self { url: parsed, branch: GitName::branch(branch)? })
    }

    /// Returns the address of the repository.
    pub fn url(&self) -> &GitUrl {
        &self.url
    }

    /// Returns the name of the repository: the last part of its path.
    pub fn name(&self) -> String {
        let path = self.url.address().path();
        path.rsplit('/').next().unwrap_or(path).to_owned()
    }

    /// Returns the ref of the branch.
    pub fn branch(&self) -> &GitName {
        &self.branch
    }

    /// Returns the name of the branch.
    pub fn name_of_branch(&self) -> String {
        let full = self.branch.to_string();
        full.strip_prefix("heads/").unwrap_or(&full).to_owned()
    }
}

impl fmt::Display for GitBranch {
    /// Writes the address and the name of the branch, as settings have them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.url, self.name_of_branch())
    }
}

impl FromStr for GitBranch {
    type Err = GitBranchError;

    /// Parses `URL BRANCH`.
    fn from_str(text: &str) -> Result<Self, GitBranchError> {
        let (url, branch) = text.split_once(' ').ok_or(GitBranchError::Malformed)?;
        Self::new(url, branch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_may_be_tracked_are_accepted() {
        for text in ["https://h/x.git main", "ssh://git@h/x main", "git@h:x feature/y", "http://h:8080/x main"] {
            assert!(text.parse::<GitBranch>().is_ok(), "{text}");
        }
        for text in [
            "https://h/x",
            "https://me@h/x main",
            "https://me:secret@h/x main",
            "ssh://git:secret@h/x main",
            "https://h/x  main",
            "https://h/x --upload-pack=x",
            "https://h/x a..b",
            "/srv/x main",
            "ext::sh main",
        ] {
            let error = text.parse::<GitBranch>().unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let branch: GitBranch = "https://h/x main".parse().unwrap();
        assert_eq!(branch.to_string(), "https://h/x main");
    }
}
