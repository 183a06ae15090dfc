//! Serves a folder with the layout of a Hex repository (`names`, `packages/NAME`, `tarballs/NAME-VERSION.tar`, …)
//! without git, to try the server by itself, with real clients or with `benches/serve.sh`.
//!
//! `cargo run --example serve_folder -- FOLDER [ADDRESS] [--log]`

use std::error::Error;
use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::GzDecoder;
use git_hexmirror::model::RepositoryName;
use git_hexmirror::serve::{Contents, ContentsError, Found, Options, RequestLog, Resource, Server, Tip};
use sha2::{Digest, Sha256};

struct Folder(PathBuf);

impl Folder {
    fn path(&self, resource: &Resource) -> Option<PathBuf> {
        let (repository, path) = match resource {
            Resource::PublicKey(repository) => (repository, "public_key".into()),
            Resource::Names(repository) => (repository, "names".into()),
            Resource::Versions(repository) => (repository, "versions".into()),
            Resource::RegistryEntry(repository, package) => (repository, format!("packages/{package}")),
            Resource::Pinned(..) | Resource::File(_) => return None,
            Resource::Policy(policy) => (&policy.repository, format!("policies/{}", policy.name)),
            Resource::Tarball(release) => (&release.repository, format!("tarballs/{}", release.tarball_name())),
        };
        (*repository == RepositoryName::hexpm()).then(|| self.0.join(path))
    }

    fn read(&self, resource: &Resource) -> Result<Option<Vec<u8>>, ContentsError> {
        let Some(path) = self.path(resource) else { return Ok(None) };
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(damaged(resource, error)),
        }
    }
}

impl Contents for Folder {
    /// Reads the file `tip`, which may contain any word. This costs as much as reading a ref.
    fn tip(&self) -> Result<Tip, ContentsError> {
        let mut tip = [0; 40];
        let read = fs::File::open(self.0.join("tip")).and_then(|mut file| file.read(&mut tip)).unwrap_or(0);
        Ok(Tip(String::from_utf8_lossy(&tip[..read]).trim().to_owned()))
    }

    fn find(&self, _tip: &Tip, resource: &Resource) -> Result<Option<Found>, ContentsError> {
        let digest = |bytes: Vec<u8>| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(self.read(resource)?.map(|bytes| Found { key: digest(bytes) }))
    }

    fn load(&self, _tip: &Tip, resource: &Resource, _found: &Found) -> Result<Bytes, ContentsError> {
        let bytes = self.read(resource)?.ok_or_else(|| damaged(resource, "it is gone"))?;
        if !resource.is_gzipped() {
            return Ok(bytes.into());
        }
        let mut plain = Vec::new();
        GzDecoder::new(&*bytes).read_to_end(&mut plain).map_err(|error| damaged(resource, error))?;
        Ok(plain.into())
    }
}

fn damaged(resource: &Resource, source: impl Into<Box<dyn Error + Send + Sync>>) -> ContentsError {
    ContentsError::Damaged { item: resource.to_string(), source: source.into() }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (flags, words): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let folder = words.first().ok_or("usage: serve_folder FOLDER [ADDRESS] [--log]")?;
    let address = words.get(1).map_or("127.0.0.1:4040", String::as_str);
    let mut options = Options::default();
    if flags.iter().any(|flag| flag == "--log") {
        options.log = Some(Arc::new(|entry: &RequestLog| eprintln!("{entry:?}")));
    }
    let server = Server::bind(address, Arc::new(Folder(folder.into())), options)?;
    println!("{}", server.base_urls().collect::<Vec<_>>().join("\n"));
    Ok(server.run(std::future::pending())?)
}
