//! Plays a demonstration on a sample project, without internet access and without touching any of the user's files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    Environment, Initialised, OpError, Project, Result, UpdateOptions, init, start_server, status, update, verify,
};
use crate::config::Layer;
use crate::fetch::{Download, Downloads, Endpoint, Settings, Upstream, WebUrlError};
use crate::hex::registry::{Dependency, Package, PrivateKey, Release, Signed};
use crate::hex::tarball::{BuildFile, Tarball, TarballLimits, build, metadata_text, outer_checksum};
use crate::model::{PackageName, ReleaseId, RepositoryName};
use crate::progress::{Progress, Silent};
use crate::serve::{Contents, ContentsError, Found, Options, Resource, Server, Tip};
use crate::store::Repository;

/// One step of the demonstration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The command that a user would type.
    pub command: String,
    /// The result, one line per fact.
    pub outcome: Vec<String>,
}

/// The packages of the demonstration: name, version, dependencies, source.
const PACKAGES: [(&str, &str, &[(&str, &str)], &str); 3] = [
    ("greeting", "1.0.0", &[], "defmodule Greeting do\n  def hello(name), do: \"Hello, #{name}\"\nend\n"),
    (
        "greeting",
        "1.1.0",
        &[],
        "defmodule Greeting do\n  def hello(name \\\\ \"world\"), do: \"Hello, #{name}!\"\nend\n",
    ),
    (
        "party",
        "0.3.0",
        &[("greeting", "~> 1.0")],
        "defmodule Party do\n  def invite(names), do: Enum.map(names, &Greeting.hello/1)\nend\n",
    ),
];

/// Plays the demonstration in an empty folder and calls `show` after each step.
///
/// # Errors
/// Fails if a step fails, which indicates a bug or a full disk.
pub fn demo(folder: &Path, mut show: impl FnMut(&Step)) -> Result<()> {
    let mut step = |command: &str, outcome: Vec<String>| show(&Step { command: command.into(), outcome });
    let sample = Sample::make()?;
    let upstream = Server::bind("127.0.0.1:0", Arc::new(sample.clone()), Options::default())?.start()?;
    write(folder, "hex.pem", &sample.public_key)?;
    let url = upstream.base_url();
    write(folder, "mix.lock", &sample.lock(&["greeting 1.0.0", "party 0.3.0"]))?;
    Repository::init(folder)?;
    // The settings go into the project's own configuration, so that anyone who keeps the project can continue with it.
    let config = folder.join(".git/config");
    let text = fs::read_to_string(&config).map_err(OpError::machine("read", &config))?;
    let settings = format!("{text}[hexmirror \"hexpm\"]\n\turl = {url}\n\tpublicKey = hex.pem\n");
    write(folder, ".git/config", &settings)?;
    let project = || Project::of(Repository::open(folder)?, folder, Layer::default(), Environment::default());
    let progress: Arc<dyn Progress> = Arc::new(Silent);
    step("(a new project; its mix.lock pins two packages of a small Hex repository)", vec![format!("upstream: {url}")]);

    let initialised = init(&project()?, false, progress.as_ref())?;
    let made = matches!(initialised, Initialised::Made { .. });
    step("git hexmirror init", vec![format!("created the branch hexmirror: {made}")]);
    let first = update(&project()?, UpdateOptions::default(), &progress)?;
    let added: Vec<String> = first.added.iter().map(|release| format!("+ {}", release.id)).collect();
    step("git hexmirror update", added);

    write(folder, "mix.lock", &sample.lock(&["greeting 1.1.0", "party 0.3.0"]))?;
    let stale = status(&project()?, true)?;
    let changed = stale.comparison.iter().flat_map(|comparison| &comparison.changed);
    let lines =
        changed.map(|change| format!("not fresh: changed {} (the mirror has {})", change.pin.id, change.mirrored[0]));
    step("mix deps.update greeting; git hexmirror status", lines.collect());
    let second = update(&project()?, UpdateOptions::default(), &progress)?;
    let grown = format!("{} bytes fetched", second.downloaded_bytes);
    let replaced = second.added.iter().map(|release| format!("~ {}", release.id));
    step("git hexmirror update", replaced.chain([grown]).collect());

    upstream.stop()?;
    let verification = verify(&project()?, &progress)?;
    let checked = format!("{} releases rebuilt, {} damaged", verification.releases, verification.damages.len());
    step("(upstream is offline from here on) git hexmirror verify", vec![checked]);

    let server = start_server(&project()?, "127.0.0.1:0", Options::default())?;
    let id = release_id("greeting", "1.1.0")?;
    let address = format!("{}/tarballs/{}", server.base_url(), id.tarball_name());
    let download = download(&server.base_url(), &id, folder)?;
    let published = sample.tarballs.get(&id.tarball_name());
    let same = published.is_some_and(|published| outer_checksum(published) == download.outer_checksum);
    let lines = vec![format!("GET {address}"), format!("{} bytes, identical to upstream: {same}", download.bytes)];
    step("git hexmirror serve", lines);
    server.stop()?;
    Ok(())
}

/// Fetches a tarball from the server as a Hex client would.
fn download(base_url: &str, id: &ReleaseId, folder: &Path) -> Result<Download> {
    let url = base_url.parse().map_err(|error: WebUrlError| broken(error.to_string()))?;
    let endpoints = [(id.repository.clone(), Endpoint::public(url))].into();
    let upstream = Upstream::new(Settings::default(), endpoints, Arc::new(Silent))?;
    let downloads = Downloads::open(folder.join("downloads"))?;
    let runtime = crate::runtime::current_thread();
    let runtime = runtime.map_err(OpError::machine("fetch into", folder))?;
    Ok(runtime.block_on(upstream.tarball(id, None, &downloads))?)
}

/// A small Hex repository in memory.
#[derive(Debug, Clone)]
struct Sample {
    public_key: String,
    tarballs: BTreeMap<String, Bytes>,
    entries: BTreeMap<String, Bytes>,
}

impl Sample {
    fn make() -> Result<Self> {
        let key = PrivateKey::generate().map_err(|error| broken(error.to_string()))?;
        let (mut tarballs, mut packages) = (BTreeMap::new(), BTreeMap::<PackageName, Vec<Release>>::new());
        for (name, version, requirements, source) in PACKAGES {
            let id = release_id(name, version)?;
            let path = format!("lib/{name}.ex");
            let files = [BuildFile { path: &path, bytes: source.as_bytes(), executable: false }];
            let metadata = metadata_text(name, version, requirements, &files);
            let bytes = build(&metadata, &files).map_err(|error| broken(error.to_string()))?;
            let tarball =
                Tarball::open(&bytes, &TarballLimits::default()).map_err(|error| broken(error.to_string()))?;
            let mut dependencies = Vec::new();
            for (package, requirement) in requirements {
                dependencies.push(Dependency {
                    package: release_id(package, "0.0.0")?.package,
                    requirement: (*requirement).to_owned(),
                    optional: false,
                    app: None,
                    repository: None,
                });
            }
            packages.entry(id.package.clone()).or_default().push(Release {
                version: id.version.clone(),
                inner_checksum: tarball.inner_checksum(),
                outer_checksum: Some(tarball.outer_checksum()),
                dependencies,
                retired: None,
                advisories: Vec::new(),
                published_at: None,
            });
            tarballs.insert(id.tarball_name(), Bytes::from(bytes));
        }
        let sign = |(name, releases): (PackageName, Vec<Release>)| {
            let package = Package { name: name.clone(), releases, advisories: Vec::new(), skipped: Vec::new() };
            let signed = Signed::sign(package.encode(&RepositoryName::hexpm()), &key).encode();
            (name.to_string(), Bytes::from(signed))
        };
        let entries = packages.into_iter().map(sign).collect();
        Ok(Self { public_key: key.public_key().to_pem(), tarballs, entries })
    }

    /// Writes a lock that pins the given packages, each written as `NAME VERSION`.
    fn lock(&self, pinned: &[&str]) -> String {
        let entry = |pinned: &&str| {
            let (name, version) = pinned.split_once(' ')?;
            let bytes = self.tarballs.get(&format!("{name}-{version}.tar"))?;
            let tarball = Tarball::open(bytes, &TarballLimits::default()).ok()?;
            let (inner, outer) = (tarball.inner_checksum(), tarball.outer_checksum());
            let line = format!("{{:hex, :{name}, \"{version}\", \"{inner}\", [:mix], [], \"hexpm\", \"{outer}\"}}");
            Some(format!("  \"{name}\": {line},\n"))
        };
        format!("%{{\n{}}}\n", pinned.iter().filter_map(entry).collect::<String>())
    }

    fn bytes(&self, resource: &Resource) -> Option<&Bytes> {
        match resource {
            Resource::Tarball(id) => self.tarballs.get(&id.tarball_name()),
            Resource::RegistryEntry(_, package) => self.entries.get(package.as_str()),
            _ => None,
        }
    }
}

impl Contents for Sample {
    fn tip(&self) -> Result<Tip, ContentsError> {
        Ok(Tip("sample".into()))
    }

    fn find(&self, _: &Tip, resource: &Resource) -> Result<Option<Found>, ContentsError> {
        let key = |bytes: &Bytes| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(self.bytes(resource).map(|bytes| Found { key: key(bytes) }))
    }

    fn load(&self, _: &Tip, resource: &Resource, _: &Found) -> Result<Bytes, ContentsError> {
        Ok(self.bytes(resource).cloned().unwrap_or_default())
    }
}

fn release_id(package: &str, version: &str) -> Result<ReleaseId> {
    Ok(ReleaseId {
        repository: RepositoryName::hexpm(),
        package: package.parse().map_err(|error: crate::model::NameError| broken(error.to_string()))?,
        version: version.parse().map_err(|error: crate::model::VersionError| broken(error.to_string()))?,
    })
}

fn broken(problem: String) -> OpError {
    OpError::Sample { problem }
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(OpError::machine("write", &path))
}
