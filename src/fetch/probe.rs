//! One request to a server of this program, without retries, proxies, redirects or credentials.

use std::path::Path;
use std::time::Duration;

use reqwest::header::HeaderMap;

use super::connection::Connections;
use super::endpoint::WebUrl;
use super::error::FetchError;
use super::settings::{Settings, Timeouts};

/// The length of a response's text that is read, in bytes.
const MAX_TEXT: usize = 4096;

/// Requests an address and returns the response's status and the beginning of its text, whatever it is. `authority` is a PEM file
/// with the only certificate authorities to trust; by default, those of the platform are trusted.
///
/// # Errors
/// Fails if there is no response within `timeout`, or if the server expects HTTPS.
pub async fn probe(url: &WebUrl, authority: Option<&Path>, timeout: Duration) -> Result<(u16, String), FetchError> {
    let timeouts = Timeouts { connect: timeout, stall: timeout };
    let ca_certificates = authority.map(Path::to_owned);
    let connections = Connections::new(&Settings { timeouts, ca_certificates, ..Settings::default() })?;
    let asked = async {
        let answer = match connections.once(url, HeaderMap::new()).await {
            Err(FetchError::Interrupted { .. }) if expects_tls(&connections, url).await => {
                return Err(FetchError::PlainText { url: url.clone() });
            }
            answer => answer?,
        };
        let status = answer.status().as_u16();
        Ok((status, String::from_utf8_lossy(&answer.beginning(MAX_TEXT).await?).into_owned()))
    };
    let answered = tokio::time::timeout(timeout, asked).await;
    answered.unwrap_or_else(|_| Err(FetchError::TimedOut { url: url.clone(), after: timeout }))
}

/// Returns whether the server of an address with `http` speaks TLS.
async fn expects_tls(connections: &Connections, url: &WebUrl) -> bool {
    let address = url.as_url().as_str().strip_prefix("http://").map(|rest| format!("https://{rest}"));
    let Some(secure) = address.and_then(|address| address.parse::<WebUrl>().ok()) else { return false };
    match connections.once(&secure, HeaderMap::new()).await {
        Ok(_) => true,
        Err(error) => error.is_untrusted_certificate(),
    }
}
