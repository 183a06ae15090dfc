//! The errors of buckets.

use std::error::Error;
use std::io;

use crate::model::{BucketAddress, BucketService, shortened};

type Cause = Box<dyn Error + Send + Sync>;

/// An error of a bucket. None shows an address that a request was sent to, because that may have a signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketError {
    /// The settings of the service cannot be used.
    #[error("the environment's settings for {address} cannot be used")]
    Settings {
        /// The bucket.
        address: BucketAddress,
        /// The reason.
        #[source]
        source: Cause,
    },
    /// The bucket does not exist.
    #[error("there is no bucket {:?} at the service of {address}", address.bucket())]
    NoBucket {
        /// The bucket.
        address: BucketAddress,
    },
    /// The service refused a request.
    #[error("not allowed to {action} {object}: {}", shortened(message))]
    Denied {
        /// What was refused.
        action: &'static str,
        /// The object or the bucket.
        object: String,
        /// What the service said.
        message: String,
        /// The likely cause.
        denial: Denial,
        /// The kind of service.
        service: BucketService,
    },
    /// The service does not answer.
    #[error("cannot reach the service of {address}")]
    Unreachable {
        /// The bucket.
        address: BucketAddress,
        /// The reason.
        #[source]
        source: Cause,
    },
    /// A request took too long.
    #[error("writing {object} took too long")]
    TimedOut {
        /// The object.
        object: String,
    },
    /// The service answered with another error.
    #[error("cannot {action} {object}: {}", shortened(message))]
    Service {
        /// What failed.
        action: &'static str,
        /// The object or the bucket.
        object: String,
        /// What the service said.
        message: String,
    },
    /// An object is larger than it can be.
    #[error("{object} is larger than {limit} bytes")]
    TooLarge {
        /// The object.
        object: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// There are more objects than a mirror can have.
    #[error("{address} has more than {limit} objects")]
    TooManyObjects {
        /// The bucket.
        address: BucketAddress,
        /// The limit.
        limit: usize,
    },
    /// An object cannot have this name.
    #[error("{object:?} is not a valid name of an object")]
    Key {
        /// The object.
        object: String,
    },
    /// This machine failed.
    #[error("cannot {action}")]
    Machine {
        /// What failed.
        action: &'static str,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

/// Why a service refuses requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// The credentials do not permit it.
    Permission,
    /// No credentials are set.
    NoCredentials,
    /// The service does not accept the credentials.
    Credentials,
    /// This machine's clock differs too much from the service's.
    Clock,
}

/// Converts an error of the client.
pub(super) fn failure(
    action: &'static str,
    object: String,
    address: &BucketAddress,
    has_credentials: bool,
    error: &object_store::Error,
) -> BucketError {
    if let object_store::Error::InvalidPath { .. } = error {
        let message = "there is an object whose name has an empty component; use a prefix of its own".into();
        return BucketError::Service { action, object, message };
    }
    let text = error.to_string();
    let code = element(&text, "Code").unwrap_or_default();
    if matches!(code, "NoSuchBucket" | "ContainerNotFound") {
        return BucketError::NoBucket { address: address.clone() };
    }
    let denied = match error {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => true,
        _ => denial(code).is_some(),
    };
    let denied = denied || status(&text).is_some_and(|status| status.starts_with("401") || status.starts_with("403"));
    let message = message(&text, code);
    if denied {
        let denial = match denial(code) {
            Some(denial) => denial,
            None if has_credentials => Denial::Permission,
            None => Denial::NoCredentials,
        };
        return BucketError::Denied {
            action,
            object,
            message: message.unwrap_or_else(|| "access denied".into()),
            denial,
            service: address.service(),
        };
    }
    if let Some(message) = message {
        return BucketError::Service { action, object, message };
    }
    let cause = innermost(error);
    if !has_credentials {
        // Then the client asks the machine it runs on, which only answers inside of the provider's network.
        let message = format!("no credentials were found ({cause})");
        let (denial, service) = (Denial::NoCredentials, address.service());
        return BucketError::Denied { action, object, message, denial, service };
    }
    BucketError::Unreachable { address: address.clone(), source: cause.into() }
}

/// Classifies the code of a service's answer.
fn denial(code: &str) -> Option<Denial> {
    Some(match code {
        "RequestTimeTooSkewed" => Denial::Clock,
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken" | "AuthenticationFailed" => {
            Denial::Credentials
        }
        "AccessDenied" | "AllAccessDisabled" | "AuthorizationPermissionMismatch" | "AuthorizationFailure" => {
            Denial::Permission
        }
        _ => return None,
    })
}

/// Returns what the service said: its code and its message, or its status. `None` if it did not answer.
fn message(text: &str, code: &str) -> Option<String> {
    match element(text, "Message") {
        Some(message) if !code.is_empty() => return Some(format!("{code}: {}", message.trim())),
        None if !code.is_empty() => return Some(code.to_owned()),
        _ => {}
    }
    Some(format!("the service answered {}", status(text)?))
}

/// Returns the status of the service's answer.
fn status(text: &str) -> Option<&str> {
    let status = text.split_once("non-2xx status code: ")?.1;
    Some(status.split(':').next().unwrap_or_default().trim())
}

/// Returns the text of an XML element, as a service's error has it.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text.split_once(&format!("<{name}>"))?.1;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

/// Returns the innermost cause. The outer ones quote addresses.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    if text.contains("://") { "the request failed".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Destination;

    fn of(body: &str, has_credentials: bool) -> BucketError {
        let Ok(Destination::Bucket(address)) = "s3://acme/hex".parse() else { panic!("an address") };
        let source = format!("PUT https://acme.example/?sig=SECRET - non-2xx status code: 403 Forbidden: {body}");
        let error = object_store::Error::PermissionDenied { path: "hex/names".into(), source: source.into() };
        failure("write", format!("{address}/names"), &address, has_credentials, &error)
    }

    #[test]
    fn what_the_service_says_is_classified_and_addresses_are_not_shown() {
        let body = |code: &str| format!("<Error><Code>{code}</Code><Message>No.</Message></Error>");
        for (code, has_credentials, denial) in [
            ("AccessDenied", true, Denial::Permission),
            ("Unheard", true, Denial::Permission),
            ("Unheard", false, Denial::NoCredentials),
            ("RequestTimeTooSkewed", true, Denial::Clock),
            ("SignatureDoesNotMatch", true, Denial::Credentials),
        ] {
            let error = of(&body(code), has_credentials);
            assert!(matches!(&error, BucketError::Denied { denial: found, .. } if *found == denial), "{error:?}");
            assert_eq!(error.to_string(), format!("not allowed to write s3://acme/hex/names: {code}: No."));
        }
        let error = of("<html>", true).to_string();
        assert_eq!(error, "not allowed to write s3://acme/hex/names: the service answered 403 Forbidden");
        assert!(matches!(of(&body("NoSuchBucket"), true), BucketError::NoBucket { .. }));
    }

    #[test]
    fn a_status_is_enough_for_a_denial() {
        let Ok(Destination::Bucket(address)) = "gs://acme/hex".parse() else { panic!("an address") };
        for (status, is_denied) in [("403 Forbidden", true), ("401 Unauthorized", true), ("409 Conflict", false)] {
            let source = format!("Error performing GET https://x/ - Server returned non-2xx status code: {status}: ");
            let error = object_store::Error::Generic { store: "GCS", source: source.into() };
            let error = failure("list", address.to_string(), &address, true, &error);
            assert_eq!(matches!(error, BucketError::Denied { .. }), is_denied, "{error:?}");
        }
    }
}
