//! Synthetic packages, as a mirror without an upstream or as an upstream, for benches and figures.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use git_hexmirror::hex::registry::{Package, PrivateKey, Release, Signed};
use git_hexmirror::hex::tarball::{BuildFile, Tarball, TarballLimits, build, metadata_text};
use git_hexmirror::model::{Day, EntryId, ReleaseId, RepositoryName};
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
        let made = Made::new(number, 0)?;
        let tarball = Tarball::open(&made.tarball, &TarballLimits::default())?;
        if number < pinned {
            lock += &made.lock_line(&tarball);
        }
        transaction.put_entry(made.entry(), &made.signed(&[], &key)?)?;
        transaction.add_release(encoder.encode(made.id, &tarball)?)?;
    }
    transaction.record_signer(RepositoryName::hexpm(), key.public_key().fingerprint());
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    transaction.record_refresh(Some(Day::of_seconds(i64::try_from(now)?)));
    transaction.publish("Add made-up packages\n")?;
    let pem = fs::canonicalize(folder)?.join(".git/hexpm.pem");
    fs::write(&pem, key.public_key().to_pem())?;
    let mut settings = fs::OpenOptions::new().append(true).open(folder.join(".git/config"))?;
    writeln!(settings, "[hexmirror \"hexpm\"]\n\tpublicKey = {}", pem.display())?;
    fs::write(folder.join("mix.lock"), lock + "}\n")?;
    Ok(())
}

/// Publishes this many packages in `folder`: `upstream` has the layout of a Hex repository, and `mix.lock` pins all of
/// them. `private_key` signs the registry entries. `next` has the files of a patch release of the first package, and
/// `next.lock` pins that release.
pub fn upstream(folder: &Path, packages: usize) -> Result<(), Box<dyn Error>> {
    let key = PrivateKey::generate()?;
    let (mut lock, mut next) = ("%{\n".to_owned(), "%{\n".to_owned());
    for number in 0..packages {
        let made = Made::new(number, 0)?;
        let line = made.publish(&folder.join("upstream"), &[], &key)?;
        lock += &line;
        next += &if number == 0 { Made::new(number, 1)?.publish(&folder.join("next"), &[&made], &key)? } else { line };
    }
    fs::write(folder.join("upstream/public_key"), key.public_key().to_pem())?;
    fs::write(folder.join("private_key"), key.to_pem())?;
    fs::write(folder.join("mix.lock"), lock + "}\n")?;
    Ok(fs::write(folder.join("next.lock"), next + "}\n")?)
}

/// A synthetic release with one small file.
struct Made {
    id: ReleaseId,
    tarball: Vec<u8>,
}

impl Made {
    /// Builds the release with the given number of patches.
    fn new(number: usize, patches: usize) -> Result<Self, Box<dyn Error>> {
        let (name, version) = (format!("package_{number:05}"), format!("1.{}.{}", number % 7, number % 11 + patches));
        let id = ReleaseId { repository: RepositoryName::hexpm(), package: name.parse()?, version: version.parse()? };
        let text =
            format!("defmodule Package{number} do\n  def number, do: {number}\n{}end\n", "  # fixed\n".repeat(patches));
        let files = [BuildFile { path: "lib/package.ex", bytes: text.as_bytes(), executable: false }];
        let tarball = build(&metadata_text(&name, &version, &[], &files), &files)?;
        Ok(Self { id, tarball })
    }

    /// Returns the line of a mix.lock that pins the release.
    fn lock_line(&self, tarball: &Tarball<'_>) -> String {
        let ReleaseId { package, version, .. } = &self.id;
        let (inner, outer) = (tarball.inner_checksum(), tarball.outer_checksum());
        format!(
            "  \"{package}\": {{:hex, :{package}, \"{version}\", \"{inner}\", [:mix], [], \"hexpm\", \"{outer}\"}},\n"
        )
    }

    /// Writes the tarball to a folder, and a registry entry that lists earlier releases too. Returns the line of a
    /// mix.lock.
    fn publish(&self, folder: &Path, earlier: &[&Self], key: &PrivateKey) -> Result<String, Box<dyn Error>> {
        let ReleaseId { package, version, .. } = &self.id;
        let tarball = Tarball::open(&self.tarball, &TarballLimits::default())?;
        let (packages, tarballs) = (folder.join("packages"), folder.join("tarballs"));
        fs::create_dir_all(&packages)?;
        fs::create_dir_all(&tarballs)?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&self.signed(earlier, key)?)?;
        fs::write(packages.join(package.as_str()), gzip.finish()?)?;
        fs::write(tarballs.join(format!("{package}-{version}.tar")), &self.tarball)?;
        Ok(self.lock_line(&tarball))
    }

    fn entry(&self) -> EntryId {
        EntryId { repository: self.id.repository.clone(), package: self.id.package.clone() }
    }

    fn signed(&self, earlier: &[&Self], key: &PrivateKey) -> Result<Vec<u8>, Box<dyn Error>> {
        let releases = earlier.iter().copied().chain([self]).map(Self::listed).collect::<Result<_, _>>()?;
        let package = Package { name: self.id.package.clone(), releases, advisories: Vec::new(), skipped: vec![] };
        Ok(Signed::sign(package.encode(&self.id.repository), key).encode())
    }

    /// Returns the release as a registry entry lists it.
    fn listed(&self) -> Result<Release, Box<dyn Error>> {
        let tarball = Tarball::open(&self.tarball, &TarballLimits::default())?;
        Ok(Release {
            version: self.id.version.clone(),
            inner_checksum: tarball.inner_checksum(),
            outer_checksum: Some(tarball.outer_checksum()),
            dependencies: Vec::new(),
            retired: None,
            advisories: Vec::new(),
            published_at: None,
        })
    }
}
