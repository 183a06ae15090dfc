//! How to reach the services: settings, credentials and proxies, which the caller takes from the environment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};

use super::{BucketError, Result, variables};
use crate::cryptography;
use crate::model::{BucketAddress, BucketService};

const USER_AGENT: &str = concat!("git-hexmirror/", env!("CARGO_PKG_VERSION"));
/// The longest that a request may take, including the transfer of 16 MB.
const REQUEST: Duration = Duration::from_secs(120);
const CONNECT: Duration = Duration::from_secs(15);
/// How often a failed request is repeated at most.
const RETRIES: usize = 4;
/// The time after which a failed request is no longer repeated.
const RETRYING: Duration = Duration::from_secs(60);

/// What reaches the services. Nothing here is ever shown.
#[derive(Clone, Default)]
pub struct Network {
    /// The variables of the services, such as `AWS_REGION` and `AZURE_STORAGE_ACCOUNT_NAME`.
    pub variables: BTreeMap<String, String>,
    /// The address of the proxy, if any.
    pub proxy: Option<String>,
    /// The hosts to reach without it, separated by commas.
    pub no_proxy: Option<String>,
    /// A PEM file of additional certificate authorities.
    pub ca_certificates: Option<PathBuf>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl Network {
    /// Returns whether the variables have credentials for a service. Without them, its own machines offer some.
    pub(super) fn has_credentials(&self, address: &BucketAddress) -> bool {
        let names: &[&str] = match address.service() {
            BucketService::S3 => &["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS"],
            BucketService::Google => &["GOOGLE_", "SERVICE_ACCOUNT"],
            BucketService::Azure => {
                &["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS", "AZURE_CLIENT", "AZURE_FEDERATED"]
            }
        };
        self.variables.keys().any(|set| names.iter().any(|name| set.starts_with(name)))
    }

    /// Prepares the client for a bucket.
    pub(super) fn store(&self, address: &BucketAddress) -> Result<Arc<dyn ObjectStore>> {
        let unusable = |problem: String| BucketError::Settings { address: address.clone(), source: problem.into() };
        let prefixes: &[&str] = match address.service() {
            BucketService::S3 => &["AWS_"],
            BucketService::Google => &["GOOGLE_", "SERVICE_ACCOUNT"],
            BucketService::Azure => &["AZURE_"],
        };
        for prefix in prefixes {
            variables::check(&self.variables, prefix).map_err(unusable)?;
        }
        variables::lacking(&self.variables, address.service()).map_or(Ok(()), |problem| Err(unusable(problem)))?;
        if let Some(problem) = self.proxy.as_deref().and_then(variables::proxy_problem) {
            return Err(unusable(problem.into()));
        }
        cryptography::install();
        let options = self.options(address)?;
        let all: BTreeMap<_, _> = self.variables.iter().filter(|(_, value)| !value.is_empty()).collect();
        client(address, &options, &all).map_err(|error| {
            let name = culprit(address, &options, &all, &error.to_string());
            let problem = if error.to_string().ends_with("as boolean") {
                "is neither true nor false"
            } else {
                "has a value that the client of the service cannot use"
            };
            unusable(format!("{} {problem}", name.map_or("a variable", String::as_str)))
        })
    }

    fn options(&self, address: &BucketAddress) -> Result<ClientOptions> {
        let agent = object_store::HeaderValue::from_static(USER_AGENT);
        let options = ClientOptions::new().with_user_agent(agent).with_timeout(REQUEST).with_connect_timeout(CONNECT);
        // Without a proxy of ours, the client would look for one in the environment, which is the caller's to decide.
        let (proxy, except) = match &self.proxy {
            Some(proxy) => (proxy.as_str(), self.no_proxy.as_deref().unwrap_or_default()),
            None => ("http://127.0.0.1:9", "*,0.0.0.0/0,::/0"),
        };
        let mut options = options.with_proxy_url(proxy).with_proxy_excludes(except);
        if let Some(path) = &self.ca_certificates {
            let unusable = |source: Box<dyn std::error::Error + Send + Sync>| BucketError::Settings {
                address: address.clone(),
                source: format!("cannot use the certificates in {}: {source}", path.display()).into(),
            };
            let pem = std::fs::read(path).map_err(|source| unusable(source.into()))?;
            for authority in Certificate::from_pem_bundle(&pem).map_err(|source| unusable(source.into()))? {
                options = options.with_root_certificate(authority);
            }
        }
        Ok(options)
    }
}

/// Returns the variable that the client of a service cannot use. The client's error quotes a value, but names no variable.
fn culprit<'a>(
    address: &BucketAddress,
    options: &ClientOptions,
    all: &BTreeMap<&'a String, &String>,
    error: &str,
) -> Option<&'a String> {
    let error_without = |name: &String| {
        let others = all.iter().filter(|(other, _)| **other != name).map(|(name, value)| (*name, *value));
        client(address, options, &others.collect()).err().map(|error| error.to_string())
    };
    let mut quoted = all.iter().filter(|(_, value)| error.contains(value.as_str()));
    let quoted = quoted.find(|(name, _)| error_without(name).as_deref() != Some(error)).map(|(name, _)| *name);
    quoted.or_else(|| all.keys().copied().find(|name| error_without(name).is_none()))
}

/// Creates the client of a service from some of its variables.
fn client(
    address: &BucketAddress,
    options: &ClientOptions,
    all: &BTreeMap<&String, &String>,
) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let variables = |prefix: &'static str| {
        let own = all.iter().filter(move |(name, _)| name.starts_with(prefix));
        own.map(|(name, value)| (name.to_ascii_lowercase(), (*value).clone()))
    };
    Ok(match address.service() {
        BucketService::S3 => {
            let builder = AmazonS3Builder::new().with_client_options(options.clone()).with_retry(retry());
            let builder = variables("AWS_").fold(builder, |builder, (name, value)| match name.parse() {
                Ok(key) => builder.with_config(key, value),
                Err(_) => builder,
            });
            Arc::new(builder.with_bucket_name(address.bucket()).build()?)
        }
        BucketService::Google => {
            let builder = GoogleCloudStorageBuilder::new().with_client_options(options.clone()).with_retry(retry());
            let account = all.get(&"SERVICE_ACCOUNT".to_owned()).copied();
            let builder = account.into_iter().fold(builder, GoogleCloudStorageBuilder::with_service_account_path);
            let builder = variables("GOOGLE_").fold(builder, |builder, (name, value)| match name.parse() {
                Ok(key) => builder.with_config(key, value),
                Err(_) => builder,
            });
            Arc::new(builder.with_bucket_name(address.bucket()).build()?)
        }
        BucketService::Azure => {
            let builder = MicrosoftAzureBuilder::new().with_client_options(options.clone()).with_retry(retry());
            let builder = variables("AZURE_").fold(builder, |builder, (name, value)| match name.parse() {
                Ok(key) => builder.with_config(key, value),
                Err(_) => builder,
            });
            Arc::new(builder.with_container_name(address.bucket()).build()?)
        }
    })
}

fn retry() -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(250), max_backoff: Duration::from_secs(10), base: 2.0 };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRYING }
}
