//! Maps a request's path to what it names.

use crate::model::{
    FilePath, FilePathError, IndexFile, NameError, PackageName, PolicyId, PolicyName, ReleaseId, RepositoryName,
    Version, VersionError, percent_decoded,
};

use super::contents::{Registry, Resource};

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `/`: a page that describes the server.
    Page,
    /// `/health`: reports whether the branch can be read.
    Health,
    /// `/metrics`: the server's counts, for Prometheus.
    Metrics,
    /// `/env`: the variables that direct clients to this server, for a shell.
    Environment,
    /// `/gitconfig`: git's part of them, as a file.
    GitConfig,
    /// Resources of the branch. The first one that exists is served. Never empty.
    Resources(Vec<Resource>),
}

/// The reason why a path is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RouteError {
    #[error("the path is not percent-encoded UTF-8")]
    Encoding,
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    File(#[from] FilePathError),
    #[error(transparent)]
    Version(#[from] VersionError),
    #[error("the name of a tarball must be NAME-VERSION.tar")]
    TarballName,
    #[error("the name of documentation must be NAME-VERSION.tar.gz")]
    DocsName,
    #[error("only hexpm and its organisations have documentation")]
    Docs,
    #[error("unknown path; see / for the paths that this server has")]
    Unknown,
}

impl RouteError {
    /// Returns whether the request is invalid (400), rather than its target missing (404): no package, version or
    /// tarball can have such a name.
    pub(super) fn is_bad_request(&self) -> bool {
        matches!(self, Self::Encoding)
    }
}

/// Parses the path of a request, which is percent-encoded and has no query. `registry` is the registry that is served at
/// paths that do not begin with the name of one.
pub(super) fn route(path: &str, registry: Registry) -> Result<Route, RouteError> {
    let decoded = percent_decoded(path).ok_or(RouteError::Encoding)?;
    // If the base URL ends in a slash, clients request `//packages/…`.
    let segments: Vec<&str> = decoded.trim_start_matches('/').split('/').collect();
    let (registry, segments) = match segments.as_slice() {
        ["signed", rest @ ..] => (Registry::Signed, rest),
        ["pinned", rest @ ..] => (Registry::Pinned, rest),
        all => (registry, all),
    };
    match segments {
        [""] => Ok(Route::Page),
        ["health"] => Ok(Route::Health),
        ["metrics"] => Ok(Route::Metrics),
        ["env"] => Ok(Route::Environment),
        ["gitconfig"] => Ok(Route::GitConfig),
        ["installs", _, ..] | ["downloads", ..] => {
            Ok(Route::Resources(vec![Resource::File(segments.join("/").parse::<FilePath>()?)]))
        }
        // Hex appends the organisation to the address of its repository.
        ["repos", source, "repos", organization, rest @ ..] => {
            resources(&repositories(&format!("{source}:{organization}"))?, rest, registry)
        }
        ["repos", repository, rest @ ..] => resources(&repositories(repository)?, rest, registry),
        rest => resources(&[RepositoryName::hexpm()], rest, registry),
    }
}

/// Returns the repositories that `/repos/NAME/` may refer to: an organisation of hex.pm, or a self-hosted repository of
/// that name. Their registry files contain the same name but are signed differently, so a client cannot mistake one for
/// the other.
fn repositories(name: &str) -> Result<Vec<RepositoryName>, NameError> {
    let own: RepositoryName = name.parse()?;
    if own.organization().is_some() || own == RepositoryName::hexpm() {
        return Ok(vec![own]);
    }
    Ok(vec![format!("hexpm:{name}").parse().unwrap_or_else(|_| own.clone()), own])
}

fn resources(repositories: &[RepositoryName], path: &[&str], registry: Registry) -> Result<Route, RouteError> {
    let each = |resource: &dyn Fn(RepositoryName) -> Resource| {
        Ok(Route::Resources(repositories.iter().cloned().map(resource).collect()))
    };
    let pinned = |file: IndexFile| each(&|repository| Resource::Pinned(repository, file.clone()));
    match (registry, path) {
        (Registry::Pinned, ["public_key"]) => return pinned(IndexFile::PublicKey),
        (Registry::Pinned, ["names"]) => return pinned(IndexFile::Names),
        (Registry::Pinned, ["versions"]) => return pinned(IndexFile::Versions),
        (Registry::Pinned, ["packages", name]) => return pinned(IndexFile::Package(name.parse()?)),
        _ => {}
    }
    match path {
        ["public_key"] => each(&Resource::PublicKey),
        ["names"] => each(&Resource::Names),
        ["versions"] => each(&Resource::Versions),
        ["packages", name] => {
            let package: PackageName = name.parse()?;
            each(&|repository| Resource::RegistryEntry(repository, package.clone()))
        }
        ["tarballs", file] => {
            let (package, version) = split_name(file, ".tar").ok_or(RouteError::TarballName)?;
            let (package, version): (PackageName, _) = (package.parse()?, version.parse()?);
            each(&|repository| {
                Resource::Tarball(ReleaseId { repository, package: package.clone(), version: Clone::clone(&version) })
            })
        }
        ["docs", file] => {
            let (package, version) = split_name(file, ".tar.gz").ok_or(RouteError::DocsName)?;
            let (package, version): (PackageName, Version) = (package.parse()?, version.parse()?);
            let docs = repositories.iter().filter_map(|repository| {
                let (repository, package, version) = (repository.clone(), package.clone(), version.clone());
                FilePath::of_docs(&ReleaseId { repository, package, version }).map(Resource::File)
            });
            Some(docs.collect()).filter(|docs: &Vec<_>| !docs.is_empty()).map(Route::Resources).ok_or(RouteError::Docs)
        }
        ["policies", name] => {
            let name: PolicyName = name.parse()?;
            each(&|repository| Resource::Policy(PolicyId { repository, name: name.clone() }))
        }
        _ => Err(RouteError::Unknown),
    }
}

/// Splits `NAME-VERSION` and an end such as `.tar`. Both parts may contain `-`, but a name contains no `.`, and a version's first number
/// contains no `-`. The separator is therefore the last `-` before the first `.`.
fn split_name<'f>(file: &'f str, end: &str) -> Option<(&'f str, &'f str)> {
    let stem = file.strip_suffix(end)?;
    let dash = stem[..stem.find('.')?].rfind('-')?;
    Some((&stem[..dash], &stem[dash + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::StaticPath;

    fn only(path: &str) -> Resource {
        match route(path, Registry::Signed).unwrap() {
            Route::Resources(mut resources) if resources.len() == 1 => resources.remove(0),
            other => panic!("{path}: {other:?}"),
        }
    }

    fn tarball(repository: &str, package: &str, version: &str) -> Resource {
        Resource::Tarball(ReleaseId {
            repository: repository.parse().unwrap(),
            package: package.parse().unwrap(),
            version: version.parse().unwrap(),
        })
    }

    #[test]
    fn the_paths_of_a_hex_repository() {
        let hexpm = RepositoryName::hexpm;
        assert_eq!(only("/public_key"), Resource::PublicKey(hexpm()));
        assert_eq!(only("/names"), Resource::Names(hexpm()));
        assert_eq!(only("/versions"), Resource::Versions(hexpm()));
        assert_eq!(only("/packages/plug"), Resource::RegistryEntry(hexpm(), "plug".parse().unwrap()));
        assert_eq!(only("//packages/pl%75g"), only("/packages/plug"));
        assert_eq!(only("/repos/hexpm/names"), only("/names"));
        assert_eq!(route("/", Registry::Signed).unwrap(), Route::Page);
        assert_eq!(route("/health", Registry::Signed).unwrap(), Route::Health);
        assert_eq!(only("/installs/hex-1.x.csv"), Resource::File("installs/hex-1.x.csv".parse().unwrap()));
    }

    #[test]
    fn documentation_is_a_file() {
        let file = |path: &str| Resource::File(path.parse().unwrap());
        assert_eq!(only("/docs/plug-1.0.0%2Bx.tar.gz"), file("docs/plug-1.0.0+x.tar.gz"));
        assert_eq!(only("/repos/hexpm/docs/plug-1.0.0.tar.gz"), file("docs/plug-1.0.0.tar.gz"));
        assert_eq!(only("/pinned/repos/acme/docs/plug-1.0.0.tar.gz"), file("repos/acme/docs/plug-1.0.0.tar.gz"));
        assert_eq!(only("/repos/hexpm/repos/acme/docs/plug-1.0.0.tar.gz"), file("repos/acme/docs/plug-1.0.0.tar.gz"));
    }

    #[test]
    fn policies_are_below_the_path_of_their_repository() {
        let policy = |id: &str| Resource::Policy(id.parse().unwrap());
        let both = Route::Resources(vec![policy("hexpm:acme/strict"), policy("acme/strict")]);
        assert_eq!(only("/downloads/h:1/a/b%2Bc"), Resource::File("downloads/h:1/a/b+c".parse().unwrap()));
        assert!(route("/downloads/h/../x", Registry::Signed).is_err());
        assert_eq!(route("/repos/acme/policies/strict", Registry::Signed).unwrap(), both);
        assert_eq!(route("/pinned/repos/acme/policies/strict", Registry::Signed).unwrap(), both);
        assert_eq!(only("/repos/other/repos/acme/policies/strict"), policy("other:acme/strict"));
        assert!(route("/repos/acme/policies/../strict", Registry::Signed).is_err());
    }

    /// The files of an export are what the server serves at their paths.
    #[test]
    fn the_paths_of_exported_files_name_their_resources() {
        let package: PackageName = "plug".parse().unwrap();
        for repository in ["hexpm", "hexpm:acme", "acme", "other:acme"] {
            let name: RepositoryName = repository.parse().unwrap();
            let resource = tarball(repository, "plug-x", "1.0.0-rc.1+build.7");
            let Resource::Tarball(release) = &resource else { panic!("a tarball") };
            let file = IndexFile::Package(package.clone());
            let policy = PolicyId { repository: name.clone(), name: "strict".parse().unwrap() };
            for (path, resource, registry) in [
                (StaticPath::tarball(release), resource.clone(), Registry::Signed),
                (
                    StaticPath::registry(&name, &file),
                    Resource::RegistryEntry(name.clone(), package.clone()),
                    Registry::Signed,
                ),
                (StaticPath::registry(&name, &file), Resource::Pinned(name.clone(), file.clone()), Registry::Pinned),
                (StaticPath::policy(&policy), Resource::Policy(policy.clone()), Registry::Signed),
            ] {
                let Route::Resources(named) = route(&format!("/{path}"), registry).unwrap() else { panic!("{path}") };
                assert!(named.contains(&resource), "{path}: {named:?}");
            }
        }
        let list = Resource::File(StaticPath::update_check().to_string().parse().unwrap());
        assert_eq!(only(&format!("/{}", StaticPath::update_check())), list);
    }

    #[test]
    fn a_name_under_repos_is_an_organisation_first_and_a_repository_second() {
        let both = Route::Resources(vec![tarball("hexpm:acme", "a", "1.0.0"), tarball("acme", "a", "1.0.0")]);
        assert_eq!(route("/repos/acme/tarballs/a-1.0.0.tar", Registry::Signed).unwrap(), both);
        assert_eq!(only("/repos/other:acme/tarballs/a-1.0.0.tar"), tarball("other:acme", "a", "1.0.0"));
        assert_eq!(only("/repos/other/repos/acme/tarballs/a-1.0.0.tar"), tarball("other:acme", "a", "1.0.0"));
    }

    #[test]
    fn each_registry_has_a_path_of_its_own() {
        let pinned = |file| Resource::Pinned(RepositoryName::hexpm(), file);
        let package = IndexFile::Package("plug".parse().unwrap());
        assert_eq!(only("/pinned/packages/plug"), pinned(package.clone()));
        assert_eq!(only("//pinned/names"), pinned(IndexFile::Names));
        assert_eq!(only("/pinned/versions"), pinned(IndexFile::Versions));
        assert_eq!(only("/pinned/public_key"), pinned(IndexFile::PublicKey));
        assert_eq!(only("/pinned/tarballs/plug-1.12.1.tar"), only("/tarballs/plug-1.12.1.tar"));
        assert_eq!(only("/signed/packages/plug"), only("/packages/plug"));
        let by_default = |path| route(path, Registry::Pinned);
        assert_eq!(by_default("/packages/plug"), Ok(Route::Resources(vec![pinned(package.clone())])));
        assert_eq!(by_default("/signed/packages/plug"), route("/packages/plug", Registry::Signed));
        let both = ["hexpm:acme", "acme"].map(|name| Resource::Pinned(name.parse().unwrap(), package.clone()));
        assert_eq!(by_default("/repos/acme/packages/plug"), Ok(Route::Resources(both.to_vec())));
        assert!(!route("/pinned", Registry::Signed).unwrap_err().is_bad_request());
    }

    #[test]
    fn tarball_names_are_split_where_both_sides_are_valid() {
        for (file, package, version) in [
            ("plug-1.12.1.tar", "plug", "1.12.1"),
            ("a-b-1.0.0-rc-1.2.tar", "a-b", "1.0.0-rc-1.2"),
            ("a-1-2.0.0.tar", "a-1", "2.0.0"),
            ("a-1.0.0-2.0.0.tar", "a", "1.0.0-2.0.0"),
            ("a-1.0.0+build-7.tar", "a", "1.0.0+build-7"),
            ("a-1.0.0%2Bbuild-7.tar", "a", "1.0.0+build-7"),
        ] {
            assert_eq!(only(&format!("/tarballs/{file}")), tarball("hexpm", package, version));
        }
    }

    #[test]
    fn invalid_requests_are_distinguished_from_missing_items() {
        for path in ["/packages/%", "/packages/%ff", "/%zz"] {
            assert!(route(path, Registry::Signed).unwrap_err().is_bad_request(), "{path}");
        }
        for path in [
            "/packages/",
            "/packages/..",
            "/tarballs/a.tar",
            "/tarballs/a-1.tar",
            "/tarballs/a-1.0.tar",
            "/tarballs/-1.0.0.tar",
            "/tarballs/a-1.0.0.tgz",
            "/repos//names",
            "/repos/a:b:c/names",
            "/x",
            "/names/",
            "/installs",
            "/docs/a-1.0.0.tar",
            "/docs/a/index.html",
            "/repos/other:acme/docs/a-1.0.0.tar.gz",
            "/repos/acme",
            "/policies/x/y",
            "/repos/acme/policies",
            "/packages",
        ] {
            assert!(!route(path, Registry::Signed).unwrap_err().is_bad_request(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "(/|-|%|\\.|\\PC|tarballs|packages|[0-9a-f]){0,40}") {
            let _ = route(&path, Registry::Pinned);
        }

        #[test]
        fn no_other_split_is_valid(file in "[ab0-2.-]{1,16}") {
            let valid = |at: usize| {
                file[..at].parse::<PackageName>().is_ok() && file[at + 1..].parse::<Version>().is_ok()
            };
            let splits: Vec<usize> = file.match_indices('-').map(|(at, _)| at).filter(|at| valid(*at)).collect();
            let ours = split_name(&format!("{file}.tar"), ".tar").map(|(package, _)| package.len()).filter(|at| valid(*at));
            prop_assert_eq!(splits, ours.into_iter().collect::<Vec<_>>());
        }
    }
}
