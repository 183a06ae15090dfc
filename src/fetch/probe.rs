//! One request to a server of this program, without retries, proxies, redirects or credentials.

use std::path::Path;
use std::time::Duration;

use reqwest::header::HeaderMap;

use super::connection::Connections;
use super::endpoint::WebUrl;
use super::error::FetchError;
use super::settings::{Settings, Timeouts};

/// The maximum length of a response's text, in bytes.
const MAX_TEXT: u64 = 4096;

/// Requests an address and returns the response's status and text. `authority` is a PEM file with the only certificate
/// authorities to trust; by default, those of the platform are trusted.
///
/// # Errors
/// Fails if there is no complete response within `timeout`, or if it is longer than 4096 bytes.
pub async fn probe(url: &WebUrl, authority: Option<&Path>, timeout: Duration) -> Result<(u16, String), FetchError> {
    let timeouts = Timeouts { connect: timeout, stall: timeout };
    let ca_certificates = authority.map(Path::to_owned);
    let connections = Connections::new(&Settings { timeouts, ca_certificates, ..Settings::default() })?;
    let asked = async {
        let answer = connections.once(url, HeaderMap::new()).await?;
        let (status, mut text) = (answer.status().as_u16(), Vec::new());
        let take = |bytes: &[u8]| {
            text.extend_from_slice(bytes);
            Ok(())
        };
        answer.body(MAX_TEXT, take).await?;
        Ok((status, String::from_utf8_lossy(&text).into_owned()))
    };
    let answered = tokio::time::timeout(timeout, asked).await;
    answered.unwrap_or_else(|_| Err(FetchError::TimedOut { url: url.clone(), after: timeout }))
}
