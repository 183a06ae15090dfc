//! Package URLs (<https://github.com/package-url/purl-spec>) and the addresses in them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::hex::asset_tools::NpmPackage;
use crate::model::{FileAddress, FilePath, GitAddress, GitUrl, ReleaseId, Revision};

/// What is encoded in the references within a document, which use all other signs as separators.
pub(super) const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What is encoded in names and versions.
const IN_NAMES: &AsciiSet = &UNRESERVED.remove(b':');
/// What is encoded in the values of qualifiers and in folders.
const IN_VALUES: &AsciiSet = &IN_NAMES.remove(b'/');
/// What is encoded in addresses that are not encoded yet.
const IN_ADDRESSES: &AsciiSet = &IN_VALUES
    .remove(b'%')
    .remove(b'@')
    .remove(b'[')
    .remove(b']')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=');
/// The hosts that have types of their own.
const FORGES: [(&str, &str); 2] = [("github.com", "github"), ("bitbucket.org", "bitbucket")];

/// Returns the URL of a release. `url` is the address of a repository other than hex.pm; if it is not known, the release has no
/// URL, because without the address it would name a package of hex.pm.
pub(super) fn of_release(id: &ReleaseId, url: Option<&str>) -> Option<String> {
    let repository = &id.repository;
    let qualifier = match url {
        Some(url) => format!("?repository_url={}", utf8_percent_encode(url, IN_VALUES)),
        None if repository.source() == "hexpm" => String::new(),
        None => return None,
    };
    let namespace = repository.organization().map(|name| format!("{}/", name.to_ascii_lowercase()));
    let (namespace, name) = (namespace.unwrap_or_default(), id.package.as_str().to_ascii_lowercase());
    let version = id.version.to_string();
    Some(format!("pkg:hex/{namespace}{name}@{}{qualifier}", utf8_percent_encode(&version, IN_NAMES)))
}

/// Returns the URL of a revision of a git repository.
pub(super) fn of_revision(
    app: &str,
    address: &GitAddress,
    revision: Revision,
    subdir: Option<&str>,
    location: &str,
) -> String {
    let parts: Vec<&str> =
        subdir.unwrap_or_default().split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect();
    let subpath = utf8_percent_encode(&parts.join("/"), IN_VALUES).to_string();
    let subpath = if subpath.is_empty() { subpath } else { format!("#{subpath}") };
    let forge = FORGES.iter().find(|(host, _)| *host == address.host());
    if let (Some((_, kind)), Some((owner, name))) = (forge, address.path().split_once('/'))
        && !name.contains('/')
    {
        let [owner, name] = [owner, name].map(str::to_lowercase);
        let [owner, name] = [&owner, &name].map(|part| utf8_percent_encode(part, IN_NAMES));
        return format!("pkg:{kind}/{owner}/{name}@{revision}{subpath}");
    }
    let (name, location) = (utf8_percent_encode(named(app), IN_NAMES), utf8_percent_encode(location, IN_VALUES));
    format!("pkg:generic/{name}@{revision}?vcs_url={location}{subpath}")
}

/// Returns the URL of a file.
pub(super) fn of_file(name: &str, version: Option<&str>, address: Option<&FileAddress>, sha256: &str) -> String {
    let version = version.map(|version| format!("@{}", utf8_percent_encode(version, IN_NAMES))).unwrap_or_default();
    let address = address.map(|url| format!("&download_url={}", utf8_percent_encode(url.as_str(), IN_VALUES)));
    let name = utf8_percent_encode(named(name), IN_NAMES);
    format!("pkg:generic/{name}{version}?checksum=sha256:{sha256}{}", address.unwrap_or_default())
}

/// Returns the URL of a package of npm.
pub(super) fn of_npm(package: &NpmPackage) -> String {
    let parts = package.name.split('/').map(|part| utf8_percent_encode(part, IN_NAMES).to_string());
    format!("pkg:npm/{}@{}", parts.collect::<Vec<_>>().join("/"), utf8_percent_encode(&package.version, IN_NAMES))
}

/// A URL needs a name, and an application can have an empty one.
fn named(name: &str) -> &str {
    if name.is_empty() { "unnamed" } else { name }
}

/// Returns the address of a commit in the form of SPDX's download locations, `git+https://HOST/PATH@COMMIT`, without
/// credentials. A user's name stays in an address of ssh.
pub(super) fn git_location(url: &GitUrl, revision: Revision) -> String {
    let shown = url.to_string();
    let rest = match shown.split_once("://") {
        Some((_, rest)) => rest.strip_prefix("***@").unwrap_or(rest).to_owned(),
        None => {
            let (host, path) = shown.split_once(':').unwrap_or((&shown, ""));
            format!("{host}/{}", path.trim_start_matches('/'))
        }
    };
    let address = utf8_percent_encode(&rest, IN_ADDRESSES);
    format!("git+{}://{address}@{revision}", url.scheme())
}

/// Returns the address of a file with everything encoded that has to be.
pub(super) fn file_location(address: &FileAddress) -> String {
    utf8_percent_encode(address.as_str(), IN_ADDRESSES).to_string()
}

/// Returns the name and the version of Hex or rebar3, if a path is that of an installer: `installs/1.18.0/hex-2.2.0-otp-27.ez`.
pub(super) fn tool(path: &FilePath) -> Option<(&'static str, &str)> {
    if !path.is_of_tools() {
        return None;
    }
    let (tool, rest) = ["hex", "rebar3"].into_iter().find_map(|tool| {
        let rest = path.name().strip_prefix(tool)?.strip_prefix('-')?;
        Some((tool, rest.strip_suffix(".ez").unwrap_or(rest)))
    })?;
    Some((tool, rest.rsplit_once("-otp-").map_or(rest, |(version, _)| version)))
}

/// Returns whether a path is that of a list of installers or of its signature, which are no components.
pub(super) fn is_list(path: &FilePath) -> bool {
    path.is_of_tools() && [".csv", ".signed"].iter().any(|end| path.name().ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVISION: &str = "b43616a08459451cc5afdcd9839b732cbc1dedfa";

    fn release(repository: &str, package: &str, version: &str) -> ReleaseId {
        ReleaseId {
            repository: repository.parse().unwrap(),
            package: package.parse().unwrap(),
            version: version.parse().unwrap(),
        }
    }

    #[test]
    fn releases_name_their_repository() {
        for (repository, package, version, url, expected) in [
            ("hexpm", "plug", "1.0.0", None, Some("pkg:hex/plug@1.0.0")),
            ("hexpm", "Plug", "1.0.0-rc.1+b.7", None, Some("pkg:hex/plug@1.0.0-rc.1%2Bb.7")),
            ("hexpm:acme", "plug", "1.0.0", None, Some("pkg:hex/acme/plug@1.0.0")),
            ("own", "plug", "1.0.0", None, None),
            (
                "own",
                "plug",
                "1.0.0",
                Some("https://h:8/r?x"),
                Some("pkg:hex/plug@1.0.0?repository_url=https://h:8/r%3Fx"),
            ),
        ] {
            assert_eq!(of_release(&release(repository, package, version), url).as_deref(), expected);
        }
    }

    #[test]
    fn revisions_name_their_forge_or_their_address() {
        for (url, subdir, expected) in [
            ("https://github.com/Basho/lager.git", None, format!("pkg:github/basho/lager@{REVISION}")),
            ("git@bitbucket.org:a/b", Some("/x/../y/"), format!("pkg:bitbucket/a/b@{REVISION}#x/y")),
            (
                "https://github.com/a/b/c",
                None,
                format!("pkg:generic/app@{REVISION}?vcs_url=git%2Bhttps://github.com/a/b/c%40{REVISION}"),
            ),
            (
                "git@h:a/b.git",
                Some("a b"),
                format!("pkg:generic/app@{REVISION}?vcs_url=git%2Bssh://git%40h/a/b.git%40{REVISION}#a%20b"),
            ),
        ] {
            let url: GitUrl = url.parse().unwrap();
            let revision = REVISION.parse().unwrap();
            let location = git_location(&url, revision);
            assert_eq!(of_revision("app", url.address(), revision, subdir, &location), expected);
        }
    }

    #[test]
    fn locations_have_no_credentials() {
        for (url, expected) in [
            ("https://user:secret@h:8443/a/b.git", "git+https://h:8443/a/b.git"),
            ("HTTPS://h/a b", "git+https://h/a%20b"),
            ("ssh://git:secret@h/x", "git+ssh://git@h/x"),
            ("git+ssh://git@h/x", "git+ssh://git@h/x"),
            ("git://h/x", "git+git://h/x"),
            ("git@h:/x/ä", "git+ssh://git@h/x/%C3%A4"),
        ] {
            let location = git_location(&url.parse().unwrap(), REVISION.parse().unwrap());
            assert_eq!(location, format!("{expected}@{REVISION}"));
        }
    }

    #[test]
    fn packages_of_npm_have_a_type_of_their_own() {
        let url = |id: &str| NpmPackage::of(&id.parse().unwrap()).map(|package| of_npm(&package));
        assert_eq!(url("esbuild 0.25.0 linux-x64").as_deref(), Some("pkg:npm/%40esbuild/linux-x64@0.25.0"));
        assert_eq!(url("esbuild 0.14.0 linux-64").as_deref(), Some("pkg:npm/esbuild-linux-64@0.14.0"));
        assert_eq!(url("tailwind 4.1.0 linux-x64"), None);
    }

    #[test]
    fn installers_have_names_and_versions() {
        let tools = [
            ("installs/1.14.0/hex-2.2.1.ez", Some(("hex", "2.2.1"))),
            ("installs/1.18.0/rebar3-3.24.0-rc.1-otp-27", Some(("rebar3", "3.24.0-rc.1"))),
            ("installs/hex.csv", None),
            ("downloads/h/hex-1.0.0", None),
        ];
        for (path, expected) in tools {
            assert_eq!(tool(&path.parse().unwrap()), expected);
        }
        let lists = ["installs/hex-1.x.csv", "installs/hex-1.x.csv.signed", "installs/1.0.0/hex-2.0.0.ez"];
        assert_eq!(lists.map(|path| is_list(&path.parse().unwrap())), [true, true, false]);
    }
}
