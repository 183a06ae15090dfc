//! Maps a request's path and host to a repository and the requested service.

use crate::model::GitAddress;

const INFO_REFS: &str = "/info/refs";
const UPLOAD_PACK: &str = "/git-upload-pack";
const RECEIVE_PACK: &str = "/git-receive-pack";
const OBJECTS: &str = "/objects/";

/// A git client's request to one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct GitRequest {
    /// The requested repository, if its address is valid.
    pub(super) address: Option<GitAddress>,
    pub(super) target: Target,
    /// The corresponding address of the repository's own server, if this is git's first request to the repository.
    pub(super) upstream_redirect: Option<UpstreamRedirect>,
}

impl GitRequest {
    /// Returns the requested repository, if its address is valid.
    pub(in super::super) fn address(&self) -> Option<&GitAddress> {
        self.address.as_ref()
    }
}

/// An address outside the mirror: a repository and the rest of the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UpstreamRedirect {
    pub(super) address: GitAddress,
    pub(super) rest: String,
}

/// The requested part of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// The refs, as the first response of the smart protocol.
    Advertisement,
    /// A request to `upload-pack`.
    UploadPack,
    /// Any request that belongs to a push.
    Push,
    /// A service that git does not have.
    UnknownService,
    /// A file of the bare repository, by its path in it.
    File(String),
    /// A path that no git client requests. The client is probably a browser.
    Page,
}

/// Parses a git request. `None` if the request is not one.
///
/// Under one of this server's own names, the path `/git/HOST/PATH` names a repository. If `host` (from the request's
/// `Host` field, without a port) is the name of another host, the path alone names a repository of that host. A machine
/// whose name resolution points that host here therefore needs no other change, and cannot reach repositories of other
/// hosts under that name. Both forms work with and without `.git`.
pub(in super::super) fn git_request(path: &str, query: Option<&str>, host: Option<&str>) -> Option<GitRequest> {
    // If the base URL ends in a slash, clients request `//git/…`.
    let path = path.trim_start_matches('/');
    let (repository, target) = split(path, query);
    let Some(host) = host else {
        let address: Option<GitAddress> = path.strip_prefix("git/").and_then(|_| {
            // The root of all repositories is not a repository itself.
            repository.strip_prefix("git/")?.parse().ok()
        });
        let dot_git = if repository.ends_with(".git") { ".git" } else { "" };
        let first = first_request(path, &target);
        let upstream_redirect = address
            .clone()
            .zip(first)
            .map(|(address, asked)| UpstreamRedirect { address, rest: format!("{dot_git}{asked}") });
        return path.starts_with("git/").then_some(GitRequest { address, target, upstream_redirect });
    };
    let address = format!("{host}/{repository}").parse().ok();
    (target != Target::Page && address.is_some()).then_some(GitRequest { address, target, upstream_redirect: None })
}

/// Returns the path and query of git's first request to every repository.
fn first_request(path: &str, target: &Target) -> Option<&'static str> {
    match target {
        Target::Advertisement => Some("/info/refs?service=git-upload-pack"),
        Target::Push if path.ends_with(INFO_REFS) => Some("/info/refs?service=git-receive-pack"),
        Target::File(name) if name == "info/refs" => Some("/info/refs"),
        _ => None,
    }
}

/// Splits a path into the repository's path and the remainder.
fn split<'a>(path: &'a str, query: Option<&str>) -> (&'a str, Target) {
    let ending = |ending: &str| path.strip_suffix(ending);
    if let Some(repository) = ending(INFO_REFS) {
        let service = query.unwrap_or("").split('&').find_map(|field| field.strip_prefix("service="));
        let target = match service {
            None => Target::File("info/refs".into()),
            Some("git-upload-pack") => Target::Advertisement,
            Some("git-receive-pack") => Target::Push,
            Some(_) => Target::UnknownService,
        };
        return (repository, target);
    }
    if let Some(repository) = ending(UPLOAD_PACK) {
        return (repository, Target::UploadPack);
    }
    if let Some(repository) = ending(RECEIVE_PACK) {
        return (repository, Target::Push);
    }
    if let Some(repository) = ending("/HEAD") {
        return (repository, Target::File("HEAD".into()));
    }
    match path.rfind(OBJECTS) {
        Some(at) => (&path[..at], Target::File(path[at + 1..].to_owned())),
        None => (path, Target::Page),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(path: &str, query: Option<&str>, host: Option<&str>) -> (Option<String>, Target) {
        let GitRequest { address, target, .. } = git_request(path, query, host).unwrap();
        (address.map(|address| address.to_string()), target)
    }

    fn file(name: &str) -> Target {
        Target::File(name.to_owned())
    }

    #[test]
    fn everything_that_git_asks_for() {
        let upload = Some("service=git-upload-pack");
        for (rest, query, target) in [
            ("info/refs", upload, Target::Advertisement),
            ("info/refs", Some("service=git-receive-pack"), Target::Push),
            ("info/refs", Some("service=git-upload-archive"), Target::UnknownService),
            ("info/refs", None, file("info/refs")),
            ("git-upload-pack", None, Target::UploadPack),
            ("git-receive-pack", None, Target::Push),
            ("HEAD", None, file("HEAD")),
            ("objects/info/packs", None, file("objects/info/packs")),
            ("objects/pack/pack-1.pack", None, file("objects/pack/pack-1.pack")),
        ] {
            for repository in ["/git/github.com/wistia/nsq.git", "/git/github.com/wistia/nsq"] {
                let path = format!("{repository}/{rest}");
                assert_eq!(named(&path, query, None), (Some("github.com/wistia/nsq".into()), target.clone()), "{path}");
            }
        }
        assert_eq!(named("/git/github.com/wistia/nsq", None, None).1, Target::Page);
        assert_eq!(named("/git/", None, None), (None, Target::Page));
    }

    #[test]
    fn a_repository_answers_to_its_own_host_and_to_no_other() {
        let under =
            |host, path: &str| git_request(path, None, Some(host)).map(|asked| asked.address.unwrap().to_string());
        let nsq = git_request("/wistia/nsq/info/refs", None, Some("github.com")).unwrap();
        assert_eq!((nsq.address.unwrap().to_string(), nsq.target), ("github.com/wistia/nsq".into(), file("info/refs")));
        assert_eq!(under("github.com", "//a/b.git/HEAD").unwrap(), "github.com/a/b");
        // A host may store its repositories below a folder named `git`.
        assert_eq!(under("git.example.org", "/git/github.com/a/HEAD").unwrap(), "git.example.org/git/github.com/a");
        for path in ["/packages/plug", "/tarballs/plug-1.0.0.tar", "/", "/health", "/repos/acme/names", "/git/x.org/a"]
        {
            assert_eq!(under("github.com", path), None, "{path}");
        }
        assert_eq!(git_request("/wistia/nsq/info/refs", None, None), None, "no host is named");
    }

    #[test]
    fn only_the_first_request_can_be_asked_elsewhere() {
        let rest = |path: &str, query| {
            git_request(path, query, None).unwrap().upstream_redirect.map(|upstream_redirect| upstream_redirect.rest)
        };
        let service = Some("service=git-upload-pack");
        assert_eq!(rest("/git/h.org/x/info/refs", service).unwrap(), "/info/refs?service=git-upload-pack");
        assert_eq!(rest("/git/h.org/x.git/info/refs", Some("a=b")).unwrap(), ".git/info/refs");
        let push = Some("service=git-receive-pack");
        assert_eq!(rest("/git/h.org/x/info/refs", push).unwrap(), "/info/refs?service=git-receive-pack");
        for path in ["/git/h.org/x/git-upload-pack", "/git/h.org/x/git-receive-pack", "/git/h.org/x/HEAD"] {
            assert_eq!(rest(path, None), None, "{path}");
        }
        // If the repository's own host name points here, a redirect would lead back here.
        assert_eq!(git_request("/x/info/refs", service, Some("h.org")).unwrap().upstream_redirect, None);
    }

    #[test]
    fn a_repository_may_have_the_name_of_a_service() {
        let (address, target) = named("/git/h.org/objects/objects/info/packs", None, None);
        assert_eq!((address, target), (Some("h.org/objects".into()), file("objects/info/packs")));
        assert_eq!(named("/git/h.org/x/objects/HEAD", None, None).0.unwrap(), "h.org/x/objects");
    }

    #[test]
    fn the_paths_of_hex_are_not_taken() {
        for path in
            ["/packages/plug", "/tarballs/plug-1.0.0.tar", "/", "/health", "/names", "/repos/acme/names", "/git"]
        {
            assert_eq!(git_request(path, None, None), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "/(git/)?(/|-|%|\\.|\\PC|objects/|[0-9a-f]){0,30}(/info/refs|/HEAD)?", host in "\\PC{0,9}") {
            let _ = (git_request(&path, Some(&host), Some(&host)), git_request(&path, Some(&host), None));
        }
    }
}
