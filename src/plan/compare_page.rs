//! The pages of forges that compare two revisions of a repository.

use crate::model::{GitAddress, Revision};

/// Returns the address of the page that compares two revisions, if the forge on the repository's host is known.
pub fn compare_page(address: &GitAddress, before: Revision, after: Revision) -> Option<String> {
    let (host, path) = (address.host(), address.path());
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte));
    if !is_plain(host) || !is_plain(path) {
        return None;
    }
    let is_gitlab = host == "gitlab.com" || host.starts_with("gitlab.");
    let page = match host {
        "github.com" | "codeberg.org" => format!("compare/{before}...{after}"),
        _ if is_gitlab => format!("-/compare/{before}...{after}"),
        "bitbucket.org" => format!("branches/compare/{after}%0D{before}"),
        _ => return None,
    };
    Some(format!("https://{host}/{path}/{page}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_forges_have_a_page() {
        let [one, two] = ["1", "2"].map(|digit| digit.repeat(40));
        let page = |address: &str| {
            let page = compare_page(&address.parse().unwrap(), one.parse().unwrap(), two.parse().unwrap());
            page.map(|page| page.replace(&one, "1").replace(&two, "2"))
        };
        assert_eq!(page("github.com/a/b").as_deref(), Some("https://github.com/a/b/compare/1...2"));
        assert_eq!(page("codeberg.org/a/b").as_deref(), Some("https://codeberg.org/a/b/compare/1...2"));
        assert_eq!(page("gitlab.com/a/b/c").as_deref(), Some("https://gitlab.com/a/b/c/-/compare/1...2"));
        assert_eq!(page("gitlab.corp.example/a/b").as_deref(), Some("https://gitlab.corp.example/a/b/-/compare/1...2"));
        assert_eq!(page("bitbucket.org/a/b").as_deref(), Some("https://bitbucket.org/a/b/branches/compare/2%0D1"));
        assert_eq!(page("git.example.org/a/b"), None);
        assert_eq!(page("github.com/a/b)"), None);
    }
}
