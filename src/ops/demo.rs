//! The sample project of `demo` and the Hex repository that it uses, without internet access.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{OpError, Result};
use crate::hex::registry::{Dependency, Package, PrivateKey, Release, Signed};
use crate::hex::tarball::{BuildFile, Tarball, TarballLimits, build, metadata_text};
use crate::model::{PackageName, ReleaseId, RepositoryName, hex_digits};
use crate::serve::{Contents, ContentsError, Found, Handle, Options, Resource, Server, Tip};
use crate::store::Repository;

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

/// A sample project and, until it is stopped, its upstream on a loopback port.
pub struct Demo {
    folder: PathBuf,
    sample: Sample,
    upstream: Handle,
}

impl Demo {
    /// Creates the project in a folder, which must be empty or not exist, and starts the upstream.
    ///
    /// # Errors
    /// Fails if the machine does not let it write files, open a port, or generate a key.
    pub fn create(folder: &Path) -> Result<Self> {
        let sample = Sample::make()?;
        let upstream = Server::bind("127.0.0.1:0", Arc::new(sample.clone()), Options::default())?.start()?;
        fs::create_dir_all(folder).map_err(OpError::machine("create", folder))?;
        Repository::init(folder)?;
        // The settings go into the project's own configuration, so that anyone who keeps the project can continue with it.
        let config = folder.join(".git/config");
        let text = fs::read_to_string(&config).map_err(OpError::machine("read", &config))?;
        let url = upstream.base_url();
        let settings = format!("{text}[hexmirror \"hexpm\"]\n\turl = {url}\n\tpublicKey = hex.pem\n");
        write(folder, ".git/config", &settings)?;
        write(folder, "hex.pem", &sample.public_key)?;
        write(folder, "mix.exs", MIX_EXS)?;
        write(folder, "mix.lock", &sample.lock(&["greeting 1.0.0", "party 0.3.0"]))?;
        Ok(Self { folder: folder.to_owned(), sample, upstream })
    }

    /// Changes the lock as `mix deps.update greeting` would.
    ///
    /// # Errors
    /// Fails if the lock cannot be written.
    pub fn update_greeting(&self) -> Result<()> {
        write(&self.folder, "mix.lock", &self.sample.lock(&["greeting 1.1.0", "party 0.3.0"]))
    }

    /// Stops the upstream. The project stays.
    ///
    /// # Errors
    /// Fails if the server failed.
    pub fn stop_upstream(self) -> Result<()> {
        Ok(self.upstream.stop()?)
    }
}

/// The project's definition.
const MIX_EXS: &str = "\
defmodule Sample.MixProject do
  use Mix.Project

  def project, do: [app: :sample, version: \"0.1.0\", deps: [{:party, \"~> 0.3\"}]]
end
";

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
            let (.., requirements, _) = PACKAGES.into_iter().find(|(of, at, ..)| (*of, *at) == (name, version))?;
            let dependency = |(package, requirement): &(&str, &str)| {
                format!("{{:{package}, \"{requirement}\", [hex: :{package}, repo: \"hexpm\", optional: false]}}")
            };
            let dependencies = requirements.iter().map(dependency).collect::<Vec<_>>().join(", ");
            let line = format!(
                "{{:hex, :{name}, \"{version}\", \"{inner}\", [:mix], [{dependencies}], \"hexpm\", \"{outer}\"}}"
            );
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
        let key = |bytes: &Bytes| hex_digits(&Sha256::digest(bytes));
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
