//! A Hex repository made by the test: packages, their tarballs, their signed registry entries, and locks for them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::OnceLock;

use git_hexmirror::hex::gzip::gzip;
use git_hexmirror::hex::registry::{Dependency, Package, PrivateKey, Release, Retirement, RetirementReason, Signed};
use git_hexmirror::hex::tarball::{BuildFile, build, metadata_text};
use git_hexmirror::model::{EntryId, InnerChecksum, OuterChecksum, ReleaseId, RepositoryName};
use sha2::{Digest, Sha256};

use super::upstream::TestUpstream;

/// The key that all entries are signed with.
pub fn key() -> &'static PrivateKey {
    static KEY: OnceLock<PrivateKey> = OnceLock::new();
    KEY.get_or_init(|| PrivateKey::generate().expect("a key can be made"))
}

/// A key that no repository has.
pub fn other_key() -> &'static PrivateKey {
    static KEY: OnceLock<PrivateKey> = OnceLock::new();
    KEY.get_or_init(|| PrivateKey::generate().expect("a key can be made"))
}

/// A release as it was published.
#[derive(Debug, Clone)]
pub struct Published {
    pub tarball: Vec<u8>,
    pub outer: OuterChecksum,
    pub listed: Release,
}

/// The releases of some Hex repositories.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    releases: BTreeMap<ReleaseId, Published>,
    /// Entries that are what they are, whatever the releases say: gzipped.
    forged: BTreeMap<EntryId, Vec<u8>>,
}

impl Registry {
    /// A small repository as there are many: two versions of a package, dependencies (one of them optional, on a package that
    /// no lock pins), a retired release, an organisation's package, an Erlang package.
    pub fn sample() -> Self {
        let mut registry = Self::default();
        let lib = |name: &str, text: &str| (format!("lib/{name}.ex"), text.to_owned());
        for (version, text) in [("1.0.0", "one"), ("1.1.0", "one and a bit"), ("2.0.0-rc.1", "two, nearly")] {
            registry.publish(
                &format!("alpha {version}"),
                &[],
                &[lib("alpha", text), ("run.sh".into(), "#!/bin/sh\n".into())],
            );
        }
        registry.publish("beta 0.3.0", &["alpha ~> 1.0", "?gamma >= 0.0.0"], &[lib("beta", "beta")]);
        registry.publish("gamma 1.0.0", &[], &[lib("gamma", "nobody pins this")]);
        registry.publish("delta 4.5.6+build.7", &[], &[("src/delta.erl".into(), "-module(delta).\n".into())]);
        registry.publish("hexpm:acme/secret 0.1.0", &["hexpm/alpha ~> 1.0"], &[lib("secret", "do not tell")]);
        registry.retire("delta 4.5.6+build.7", "use epsilon");
        registry
    }

    /// Publishes `[REPOSITORY/]NAME VERSION`, with dependencies written as `[?][REPOSITORY/]NAME REQUIREMENT`.
    pub fn publish(&mut self, release: &str, dependencies: &[&str], files: &[(String, String)]) -> &Published {
        let files: Vec<_> = files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes())).collect();
        let tarball = tarball(release, dependencies, &files);
        let (outer, inner) = (checksum(&tarball), inner_checksum(&tarball));
        self.insert(release, dependencies, tarball, outer, inner)
    }

    /// Publishes a release whose tarball is what it is, listed and locked with its true checksums.
    pub fn publish_tarball(&mut self, release: &str, tarball: Vec<u8>) -> &Published {
        let (outer, inner) = (checksum(&tarball), inner_checksum(&tarball));
        self.insert(release, &[], tarball, outer, inner)
    }

    fn insert(
        &mut self,
        release: &str,
        dependencies: &[&str],
        tarball: Vec<u8>,
        outer: OuterChecksum,
        inner_checksum: InnerChecksum,
    ) -> &Published {
        let id = release_id(release);
        let listed = Release {
            version: id.version.clone(),
            inner_checksum,
            outer_checksum: Some(outer),
            dependencies: dependencies.iter().map(|text| dependency(text)).collect(),
            retired: None,
            advisories: Vec::new(),
            published_at: None,
        };
        self.releases.insert(id.clone(), Published { tarball, outer, listed });
        &self.releases[&id]
    }

    /// Retires a release.
    pub fn retire(&mut self, release: &str, message: &str) {
        let retired = Retirement { reason: RetirementReason::Deprecated, message: Some(message.into()) };
        self.listed(release).retired = Some(retired);
    }

    /// What the registry says of a release, to be falsified.
    pub fn listed(&mut self, release: &str) -> &mut Release {
        &mut self.releases.get_mut(&release_id(release)).expect("a published release").listed
    }

    pub fn get(&self, release: &str) -> &Published {
        &self.releases[&release_id(release)]
    }

    pub fn ids(&self) -> impl Iterator<Item = &ReleaseId> {
        self.releases.keys()
    }

    /// Puts other bytes in the place of an entry.
    pub fn forge(&mut self, entry: &str, gzipped: Vec<u8>) {
        self.forged.insert(entry_id(entry), gzipped);
    }

    /// Returns the entry's signed message, not gzipped.
    pub fn signed(&self, entry: &str) -> Vec<u8> {
        self.signed_as(entry, entry, key())
    }

    /// Returns the entry's message as that of another package, signed with any key.
    pub fn signed_as(&self, entry: &str, shown: &str, key: &PrivateKey) -> Vec<u8> {
        let (id, shown) = (entry_id(entry), entry_id(shown));
        let of_package =
            |release: &&ReleaseId| (&release.repository, &release.package) == (&id.repository, &id.package);
        let releases = self.releases.keys().filter(of_package).map(|id| self.releases[id].listed.clone()).collect();
        let package = Package { name: shown.package, releases, advisories: Vec::new(), skipped: Vec::new() };
        Signed::sign(package.encode(&shown.repository), key).encode()
    }

    /// Puts everything where a server gives it out.
    pub fn put(&self, upstream: &TestUpstream) {
        for (id, published) in &self.releases {
            upstream.put(&format!("{}tarballs/{}", prefix(&id.repository), id.tarball_name()), &published.tarball);
            let entry = format!("{}/{}", id.repository, id.package);
            upstream.put(&format!("{}packages/{}", prefix(&id.repository), id.package), &gzip(&self.signed(&entry)));
        }
        for (id, bytes) in &self.forged {
            upstream.put(&format!("{}packages/{}", prefix(&id.repository), id.package), bytes);
        }
    }

    /// Writes a mix.lock that pins some releases.
    pub fn mix_lock(&self, releases: &[&str]) -> String {
        let mut lock = String::from("%{\n");
        for release in releases {
            let (id, published) = (release_id(release), self.get(release));
            let dependencies: Vec<_> = published.listed.dependencies.iter().map(mix_dependency).collect();
            let _ = writeln!(
                lock,
                "  \"{package}\": {{:hex, :{package}, \"{}\", \"{}\", [:mix], [{}], \"{}\", \"{}\"}},",
                id.version,
                published.listed.inner_checksum,
                dependencies.join(", "),
                id.repository,
                published.outer,
                package = id.package,
            );
        }
        lock + "}\n"
    }

    /// Writes a rebar.lock that pins some releases.
    pub fn rebar_lock(&self, releases: &[&str]) -> String {
        let (mut entries, mut inner, mut outer) = (Vec::new(), Vec::new(), Vec::new());
        for release in releases {
            let (id, published) = (release_id(release), self.get(release));
            entries.push(format!("{{<<\"{0}\">>,{{pkg,<<\"{0}\">>,<<\"{1}\">>}},0}}", id.package, id.version));
            let upper = |text: String| text.to_uppercase();
            inner.push(format!(
                "{{<<\"{}\">>, <<\"{}\">>}}",
                id.package,
                upper(published.listed.inner_checksum.to_string())
            ));
            outer.push(format!("{{<<\"{}\">>, <<\"{}\">>}}", id.package, upper(published.outer.to_string())));
        }
        let join = |lines: Vec<String>| lines.join(",\n ");
        let (entries, inner, outer) = (join(entries), join(inner), join(outer));
        format!("{{\"1.2.0\",\n[{entries}]}}.\n[\n{{pkg_hash,[\n {inner}]}},\n{{pkg_hash_ext,[\n {outer}]}}\n].\n")
    }
}

/// Builds a release's tarball; `files` may have any content.
pub fn tarball(release: &str, dependencies: &[&str], files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let id = release_id(release);
    let of_dependency = |text: &&str| {
        let dependency = dependency(text);
        (dependency.package.to_string(), dependency.requirement)
    };
    let requirements: Vec<_> = dependencies.iter().map(of_dependency).collect();
    let requirements: Vec<_> = requirements.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let files: Vec<_> =
        files.iter().map(|(path, bytes)| BuildFile { path, bytes, executable: path.ends_with(".sh") }).collect();
    let metadata = metadata_text(id.package.as_str(), &id.version.to_string(), &requirements, &files);
    build(&metadata, &files).expect("a tarball of these files can be built")
}

/// Wraps any gzipped archive as a tarball with a right CHECKSUM, without the library.
pub fn wrap(contents: &[u8]) -> Vec<u8> {
    let metadata = b"{<<\"name\">>,<<\"hostile\">>}.\n{<<\"version\">>,<<\"1.0.0\">>}.\n".as_slice();
    let mut digest = Sha256::new();
    [b"3".as_slice(), metadata, contents].iter().for_each(|part| digest.update(part));
    let sum: String = digest.finalize().iter().map(|byte| format!("{byte:02X}")).collect();
    let mut archive = tar::Builder::new(Vec::new());
    let members = [("VERSION", b"3".as_slice()), ("CHECKSUM", sum.as_bytes()), ("metadata.config", metadata)];
    for (name, bytes) in members.into_iter().chain([("contents.tar.gz", contents)]) {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, name, bytes).expect("memory takes everything");
    }
    archive.into_inner().expect("memory takes everything")
}

/// Returns the SHA-256 of some bytes.
pub fn checksum(bytes: &[u8]) -> OuterChecksum {
    OuterChecksum::from_bytes(Sha256::digest(bytes).into())
}

/// Returns the inner checksum as the tarball's parts have it, read without the library.
fn inner_checksum(tarball: &[u8]) -> InnerChecksum {
    let mut parts = BTreeMap::new();
    for member in tar::Archive::new(tarball).entries().expect("an archive") {
        let mut member = member.expect("an archive");
        let name = member.path().expect("a name").to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut member, &mut bytes).expect("an archive");
        parts.insert(name, bytes);
    }
    let mut digest = Sha256::new();
    ["VERSION", "metadata.config", "contents.tar.gz"].iter().for_each(|name| digest.update(&parts[*name]));
    InnerChecksum::from_bytes(digest.finalize().into())
}

/// Reads `[REPOSITORY/]NAME VERSION`.
pub fn release_id(text: &str) -> ReleaseId {
    let (name, version) = text.split_once(' ').expect("a name and a version");
    let EntryId { repository, package } = entry_id(name);
    ReleaseId { repository, package, version: version.parse().expect("a version") }
}

/// Reads `[REPOSITORY/]NAME`.
fn entry_id(text: &str) -> EntryId {
    let (repository, package) = text.split_once('/').unwrap_or(("hexpm", text));
    EntryId { repository: repository.parse().expect("a repository"), package: package.parse().expect("a package") }
}

fn dependency(text: &str) -> Dependency {
    let optional = text.starts_with('?');
    let (name, requirement) = text.trim_start_matches('?').split_once(' ').expect("a name and a requirement");
    let EntryId { repository, package } = entry_id(name);
    let repository = name.contains('/').then_some(repository);
    Dependency { package, requirement: requirement.into(), optional, app: None, repository }
}

fn mix_dependency(dependency: &Dependency) -> String {
    let Dependency { package, requirement, optional, .. } = dependency;
    format!("{{:{package}, \"{requirement}\", [hex: :{package}, repo: \"hexpm\", optional: {optional}]}}")
}

/// Returns where a repository is below the address of its source.
pub fn prefix(repository: &RepositoryName) -> String {
    repository.organization().map_or_else(String::new, |organization| format!("repos/{organization}/"))
}
