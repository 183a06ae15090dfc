//! Requests for addresses that a tracked file may have chosen.
//!
//! Whoever writes a branch must not be able to make this machine ask a server of its own network and store the answer. So
//! such an address, and each that it redirects to, must be `https` and outside, unless the user's settings name its host.
//! No credentials are sent. A proxy resolves names by itself, so with one only addresses that are numbers are checked.

use std::collections::BTreeSet;

use reqwest::header::{HeaderName, LOCATION};
use url::Host;

use super::connection::{Answer, Connections, MAX_REDIRECTS, check_status, follow, header_map, is_redirect};
use super::endpoint::WebUrl;
use super::error::{FetchError, RedirectRefusal};
use super::inside::{InsideReason, is_internal};

impl Connections {
    /// Requests an address that a tracked file may have chosen. `internal` are the hosts that may be internal, and may
    /// be asked by `http`.
    pub(super) async fn get_outside(
        &self,
        url: WebUrl,
        headers: &[(HeaderName, String)],
        internal: &BTreeSet<String>,
    ) -> Result<Answer, FetchError> {
        let headers = header_map(headers, &url)?;
        let mut url = url;
        for _ in 0..=MAX_REDIRECTS {
            let is_named = url.as_url().host_str().is_some_and(|host| internal.contains(host));
            if !is_named && let Some(reason) = refusal(&url) {
                return Err(FetchError::Inside { url, reason });
            }
            let answer = self.once_outside(&url, headers.clone(), is_named).await?;
            if !is_redirect(answer.status()) {
                return check_status(answer, None);
            }
            let location = answer.location(LOCATION).cloned();
            url = follow(&url, location.as_ref())?;
        }
        Err(FetchError::Redirect { url, reason: RedirectRefusal::TooMany })
    }
}

/// Returns why an address is not fetched, as far as the address itself says.
fn refusal(url: &WebUrl) -> Option<InsideReason> {
    let url = url.as_url();
    match url.host() {
        _ if url.scheme() != "https" => Some(InsideReason::Plain),
        Some(Host::Ipv4(ip)) if is_internal(ip.into()) => Some(InsideReason::Internal),
        Some(Host::Ipv6(ip)) if is_internal(ip.into()) => Some(InsideReason::Internal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_refused_in_every_spelling() {
        for (url, reason) in [
            ("https://127.0.0.1/x", Some(InsideReason::Internal)),
            ("https://2130706433/x", Some(InsideReason::Internal)),
            ("https://0x7f.1/x", Some(InsideReason::Internal)),
            ("https://[::ffff:127.0.0.1]/x", Some(InsideReason::Internal)),
            ("http://example.com/x", Some(InsideReason::Plain)),
            ("https://example.com/x", None),
        ] {
            assert_eq!(refusal(&url.parse().unwrap()), reason, "{url}");
        }
    }
}
