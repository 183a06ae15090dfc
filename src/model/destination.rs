//! Where the mirror is published.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::percent::percent_decoded;

/// The longest name of a bucket, in bytes. S3 permits 63, Google Cloud Storage 222 if the name has dots.
const MAX_BUCKET: usize = 222;
/// The longest prefix, in bytes. S3 permits 1024 for a whole key.
const MAX_PREFIX: usize = 512;

/// Where the mirror is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A folder of this machine, by its absolute path.
    Folder(PathBuf),
    /// A bucket of an object store.
    Bucket(BucketAddress),
}

/// The services that have buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketService {
    /// Amazon S3, and the many services with the same interface.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage, which calls a bucket a container.
    Azure,
}

/// A bucket, and the prefix of the names of the objects in it that this program may touch. Displayed and parsed as
/// `s3://BUCKET/PREFIX`, without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketAddress {
    service: BucketService,
    bucket: String,
    /// Without slashes around it. Empty if the mirror is at the bucket's root.
    prefix: String,
}

/// An error for a text that does not say where to publish. It does not show the text, which may have a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// The scheme is missing or unknown.
    #[error("expected s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER")]
    Scheme,
    /// The address has credentials.
    #[error("credentials do not belong in the address: set them in the environment")]
    Credentials,
    /// The bucket's name is invalid.
    #[error("the bucket's name must have letters, digits, dots, hyphens and underscores only")]
    Bucket,
    /// The prefix is invalid.
    #[error("the prefix must be a path without empty, `.` or `..` components, and without `?`, `#`, `%` and `\\`")]
    Prefix,
    /// The folder is not absolute.
    #[error("a file:// address must have an absolute path, such as file:///srv/hexmirror")]
    Folder,
    /// The folder's address has a query or a fragment.
    #[error("a file:// address has no query and no fragment; write %3F for `?` and %23 for `#` in a path")]
    Encoding,
}

impl BucketService {
    const ALL: [Self; 3] = [Self::S3, Self::Google, Self::Azure];

    fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }
}

impl BucketAddress {
    /// Returns the service that has the bucket.
    pub fn service(&self) -> BucketService {
        self.service
    }

    /// Returns the bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Returns the name of the object at a path below the prefix.
    pub fn key(&self, path: &str) -> String {
        if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) }
    }

    /// Returns the prefix, without slashes around it.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl fmt::Display for BucketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.service.scheme(), self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Bucket(address) => address.fmt(f),
        }
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let (scheme, rest) = text.split_once("://").ok_or(DestinationError::Scheme)?;
        // Schemes have no case (RFC 3986, section 3.1).
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "file" {
            if rest.contains(['?', '#']) {
                return Err(DestinationError::Encoding);
            }
            let folder = percent_decoded(rest).map(PathBuf::from).filter(|folder| folder.is_absolute());
            return folder.map(Self::Folder).ok_or(DestinationError::Folder);
        }
        let service = BucketService::ALL.into_iter().find(|service| service.scheme() == scheme);
        let service = service.ok_or(DestinationError::Scheme)?;
        if rest.contains('@') {
            return Err(DestinationError::Credentials);
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if !is_bucket(bucket) {
            return Err(DestinationError::Bucket);
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if !prefix.is_empty() && !is_prefix(prefix) {
            return Err(DestinationError::Prefix);
        }
        Ok(Self::Bucket(BucketAddress { service, bucket: bucket.to_owned(), prefix: prefix.to_owned() }))
    }
}

fn is_bucket(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.len() <= MAX_BUCKET && name.bytes().all(is_plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn is_prefix(prefix: &str) -> bool {
    let is_component = |component: &str| !matches!(component, "" | "." | "..");
    let is_plain = |c: char| !c.is_control() && !"?#%\\".contains(c);
    prefix.len() <= MAX_PREFIX && prefix.chars().all(is_plain) && prefix.split('/').all(is_component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_displayed_as_they_are_parsed() {
        for text in ["s3://acme", "s3://acme-1.x/hex/mirror", "gs://acme_1/hex", "az://container/a b"] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        assert_eq!("s3://acme/hex/".parse::<Destination>().unwrap().to_string(), "s3://acme/hex");
        assert_eq!("S3://Acme/Hex".parse::<Destination>().unwrap().to_string(), "s3://Acme/Hex");
        assert_eq!("FILE:///srv/a%20b".parse(), Ok(Destination::Folder("/srv/a b".into())));
        assert_eq!("file:///srv/a%3Fb".parse(), Ok(Destination::Folder("/srv/a?b".into())));
    }

    #[test]
    fn objects_are_below_the_prefix() {
        for (text, key) in [("s3://acme", "names"), ("s3://acme/", "names"), ("s3://acme/a/b", "a/b/names")] {
            let Ok(Destination::Bucket(address)) = text.parse() else { panic!("{text}") };
            assert_eq!(address.key("names"), key);
        }
    }

    #[test]
    fn hostile_addresses_are_refused() {
        use DestinationError::{Bucket, Credentials, Encoding, Folder, Prefix, Scheme};
        for (text, error) in [
            ("", Scheme),
            ("acme", Scheme),
            ("http://acme/x", Scheme),
            ("s4://acme", Scheme),
            ("s3://", Bucket),
            ("s3:///hex", Bucket),
            ("s3://a b", Bucket),
            ("s3://../x", Bucket),
            ("s3://host:9000/x", Bucket),
            ("s3://key:secret@acme", Credentials),
            ("s3://acme/hex?x=y", Prefix),
            ("s3://acme//hex", Prefix),
            ("s3://acme/hex//", Prefix),
            ("s3://acme/../hex", Prefix),
            ("s3://acme/a\nb", Prefix),
            ("s3://acme/%2e%2e", Prefix),
            ("file://srv/x", Folder),
            ("file://", Folder),
            ("file:///%zz", Folder),
            ("file:///srv/x?y=1", Encoding),
            ("file:///srv/x#y", Encoding),
        ] {
            assert_eq!(text.parse::<Destination>(), Err(error), "{text}");
        }
        assert_eq!(format!("s3://{}", "a".repeat(300)).parse::<Destination>(), Err(Bucket));
        assert_eq!(format!("s3://a/{}", "a".repeat(600)).parse::<Destination>(), Err(Prefix));
    }
}
