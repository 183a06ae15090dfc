//! Checks the variables of the services before object_store takes them: it panics on an address or a header that it
//! cannot use.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

use url::Url;

use crate::model::BucketService;

/// What a variable has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The address of a service.
    Address,
    /// The path of a file.
    File,
    /// Anything that can be sent in a header.
    Text,
}

/// The variables that are not [`Kind::Text`].
const KINDS: [(&str, Kind); 22] = [
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", Kind::Address),
    ("AWS_ENDPOINT", Kind::Address),
    ("AWS_ENDPOINT_URL", Kind::Address),
    ("AWS_ENDPOINT_URL_S3", Kind::Address),
    ("AWS_ENDPOINT_URL_STS", Kind::Address),
    ("AWS_METADATA_ENDPOINT", Kind::Address),
    ("AZURE_AUTHORITY_HOST", Kind::Address),
    ("AZURE_ENDPOINT", Kind::Address),
    ("AZURE_FABRIC_TOKEN_SERVICE_URL", Kind::Address),
    ("AZURE_IDENTITY_ENDPOINT", Kind::Address),
    ("AZURE_MSI_ENDPOINT", Kind::Address),
    ("AZURE_STORAGE_AUTHORITY_HOST", Kind::Address),
    ("AZURE_STORAGE_ENDPOINT", Kind::Address),
    ("GOOGLE_BASE_URL", Kind::Address),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Kind::File),
    ("AWS_CA_BUNDLE", Kind::File),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", Kind::File),
    ("AZURE_FEDERATED_TOKEN_FILE", Kind::File),
    ("GOOGLE_APPLICATION_CREDENTIALS", Kind::File),
    ("GOOGLE_SERVICE_ACCOUNT", Kind::File),
    ("GOOGLE_SERVICE_ACCOUNT_PATH", Kind::File),
    ("SERVICE_ACCOUNT", Kind::File),
];

/// Checks every variable whose name starts with `prefix`. Returns what is wrong with the first one that cannot be used,
/// without its value unless that is the path of a file.
pub(super) fn check(variables: &BTreeMap<String, String>, prefix: &str) -> Result<(), String> {
    for (name, value) in variables.iter().filter(|(name, _)| name.starts_with(prefix)) {
        if let Some(problem) = problem(name, value) {
            return Err(format!("{name} {problem}"));
        }
    }
    Ok(())
}

/// Returns which variable is missing, if the service needs one more.
pub(super) fn lacking(variables: &BTreeMap<String, String>, service: BucketService) -> Option<String> {
    let is_set = |name: &str| variables.get(name).is_some_and(|value| !value.is_empty());
    match service {
        BucketService::S3 => {
            let pair = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
            let lacking = pair.iter().find(|name| !is_set(name))?;
            let other = pair.iter().find(|name| is_set(name))?;
            Some(format!("{lacking} is not set, but {other} is"))
        }
        BucketService::Azure => {
            let account = "AZURE_STORAGE_ACCOUNT_NAME";
            // The emulator has an account of its own.
            let is_named = [account, "AZURE_STORAGE_USE_EMULATOR"].into_iter().any(is_set);
            (!is_named).then(|| format!("{account} is not set"))
        }
        BucketService::Google => None,
    }
}

fn problem(name: &str, value: &str) -> Option<String> {
    if value.is_empty() {
        return None;
    }
    if value.chars().any(char::is_control) {
        return Some("has a control character, such as the end of a line".into());
    }
    let kind = KINDS.iter().find(|(known, _)| *known == name).map_or(Kind::Text, |(_, kind)| *kind);
    match kind {
        // Headers of the services are visible ASCII characters.
        Kind::Text => (!value.is_ascii()).then(|| "has a character that is not ASCII".into()),
        Kind::Address => (!is_address(value)).then(|| {
            "is not the address of a service: a URL with http:// or https://, a host, and no user, query or fragment"
                .into()
        }),
        Kind::File => {
            let error = readable(value).err()?;
            Some(format!("names the file {value}, which cannot be read: {error}"))
        }
    }
}

/// Checks that a path leads to a regular file that can be read.
fn readable(path: &str) -> io::Result<()> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    File::open(path)?.read(&mut [0]).map(drop)
}

/// Returns what is wrong with the address of a proxy, without the address, which may have a password.
pub(super) fn proxy_problem(value: &str) -> Option<&'static str> {
    let address = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let is_plain = !value.contains(|c: char| c.is_whitespace() || c.is_control());
    let is_usable = |url: Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let problem = "the proxy in the environment (https_proxy, http_proxy or all_proxy) is not an address such as http://HOST:PORT";
    (!is_plain || !Url::parse(&address).is_ok_and(is_usable)).then_some(problem)
}

/// Returns whether a value is an address to which paths can be appended.
fn is_address(value: &str) -> bool {
    let Ok(url) = Url::parse(value) else { return false };
    // Blanks in a host are rejected by the parser, but those around the value are not.
    let is_plain = !value.contains(|c: char| c.is_whitespace() || !c.is_ascii());
    let has_only_host = url.username().is_empty() && url.password().is_none();
    let is_web = matches!(url.scheme(), "http" | "https") && value.contains("://");
    is_plain && is_web && url.has_host() && has_only_host && url.query().is_none() && url.fragment().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(name: &str, value: &str) -> Result<(), String> {
        check(&BTreeMap::from([(name.to_owned(), value.to_owned())]), "")
    }

    #[test]
    fn addresses_are_urls_of_services() {
        let addresses = KINDS.iter().filter(|(_, kind)| *kind == Kind::Address);
        for (name, _) in addresses {
            for bad in [
                "127.0.0.1:4940",
                "localhost:4940",
                "nonsense",
                "http://",
                "http://a b/",
                "http://[::1",
                "http:a",
                "ftp://a",
                " http://a",
                "https://a/?secret=1",
                "https://a/#b",
                "https://user:secret@a",
                "http://a\n",
            ] {
                let problem = checked(name, bad).expect_err(bad);
                assert!(problem.starts_with(name) && !problem.contains("secret"), "{problem}");
            }
            for good in ["", "http://127.0.0.1:4940", "https://a.example/path/", "http://[::1]:9000"] {
                assert_eq!(checked(name, good), Ok(()), "{name}={good}");
            }
        }
    }

    #[test]
    fn no_value_has_control_characters() {
        let texts =
            ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_REGION", "AZURE_STORAGE_ACCOUNT_NAME", "GOOGLE_BUCKET"];
        for name in KINDS.iter().map(|(name, _)| *name).chain(texts) {
            for bad in ["SECRET\n", "SECRET\r\nX: y", "\0"] {
                let problem = checked(name, bad).unwrap_err();
                assert!(problem.contains(name) && !problem.contains("SECRET"), "{problem}");
            }
        }
        texts.iter().for_each(|name| assert_eq!(checked(name, "any text/+="), Ok(())));
    }

    #[test]
    fn a_proxy_has_an_address() {
        for good in ["http://p:1", "https://joe:secret@p", "p:1", "p", "http://[::1]:3128"] {
            assert_eq!(proxy_problem(good), None, "{good}");
        }
        for bad in ["http://a b", "http://", "socks5://p:1", "ftp://p", " http://p", "http://p\n", "http://joe:secret@"]
        {
            assert!(!proxy_problem(bad).unwrap().contains("secret"), "{bad}");
        }
    }

    #[test]
    fn files_can_be_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (name, _) in KINDS.iter().filter(|(_, kind)| *kind == Kind::File) {
            let problem = checked(name, "/nonexistent/token").unwrap_err();
            assert!(problem.contains(name) && problem.contains("/nonexistent/token"), "{problem}");
            assert_eq!(checked(name, file.path().to_str().unwrap()), Ok(()));
            let folder = file.path().parent().unwrap().to_str().unwrap();
            assert!(checked(name, folder).unwrap_err().ends_with("it is not a regular file"));
        }
    }
}
