//! Mirrors of synthetic packages without an upstream, for benches and figures.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use git_hexmirror::hex::registry::{Package, PrivateKey, Release, Signed};
use git_hexmirror::hex::tarball::{BuildFile, Tarball, TarballLimits, build, metadata_text};
use git_hexmirror::model::{EntryId, ReleaseId, RepositoryName};
use git_hexmirror::store::{ReleaseEncoder, Repository, Transaction};

/// Creates a repository in `folder` whose mirror has this many packages, and a mix.lock that pins the first `pinned` of
/// them.
pub fn mirror(folder: &Path, packages: usize, pinned: usize) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    Repository::init(folder)?;
    let repository = Repository::open(folder)?;
    let branch = repository.branch("hexmirror")?;
    let base = repository.snapshot(&branch)?;
    let encoder = ReleaseEncoder::new(&repository, TarballLimits::default())?;
    let mut transaction = Transaction::begin(&repository, &branch, base.as_ref())?;
    let key = PrivateKey::generate()?;
    let mut lock = "%{\n".to_owned();
    for number in 0..packages {
        let made = Made::new(number)?;
        let tarball = Tarball::open(&made.tarball, &TarballLimits::default())?;
        if number < pinned {
            let ReleaseId { package, version, .. } = &made.id;
            let (inner, outer) = (tarball.inner_checksum(), tarball.outer_checksum());
            writeln!(
                lock,
                "  \"{package}\": {{:hex, :{package}, \"{version}\", \"{inner}\", [:mix], [], \"hexpm\", \"{outer}\"}},"
            )?;
        }
        transaction.put_entry(made.entry(), &made.signed(&tarball, &key))?;
        transaction.add_release(encoder.encode(made.id, &tarball)?)?;
    }
    transaction.record_signer(RepositoryName::hexpm(), key.public_key().fingerprint());
    transaction.publish("Add made-up packages\n")?;
    let pem = fs::canonicalize(folder)?.join(".git/hexpm.pem");
    fs::write(&pem, key.public_key().to_pem())?;
    let mut settings = fs::OpenOptions::new().append(true).open(folder.join(".git/config"))?;
    writeln!(settings, "[hexmirror \"hexpm\"]\n\tpublicKey = {}", pem.display())?;
    fs::write(folder.join("mix.lock"), lock + "}\n")?;
    Ok(())
}

/// A synthetic release with one small file.
struct Made {
    id: ReleaseId,
    tarball: Vec<u8>,
}

impl Made {
    fn new(number: usize) -> Result<Self, Box<dyn Error>> {
        let (name, version) = (format!("package_{number:05}"), format!("1.{}.{}", number % 7, number % 11));
        let id = ReleaseId { repository: RepositoryName::hexpm(), package: name.parse()?, version: version.parse()? };
        let text = format!("defmodule Package{number} do\n  def number, do: {number}\nend\n");
        let files = [BuildFile { path: "lib/package.ex", bytes: text.as_bytes(), executable: false }];
        let tarball = build(&metadata_text(&name, &version, &[], &files), &files)?;
        Ok(Self { id, tarball })
    }

    fn entry(&self) -> EntryId {
        EntryId { repository: self.id.repository.clone(), package: self.id.package.clone() }
    }

    fn signed(&self, tarball: &Tarball<'_>, key: &PrivateKey) -> Vec<u8> {
        let release = Release {
            version: self.id.version.clone(),
            inner_checksum: tarball.inner_checksum(),
            outer_checksum: Some(tarball.outer_checksum()),
            dependencies: Vec::new(),
            retired: None,
            advisories: Vec::new(),
            published_at: None,
        };
        let package =
            Package { name: self.id.package.clone(), releases: vec![release], advisories: Vec::new(), skipped: vec![] };
        Signed::sign(package.encode(&self.id.repository), key).encode()
    }
}
