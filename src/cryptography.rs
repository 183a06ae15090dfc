//! The cryptography that TLS uses.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

/// Returns what certificates and connections use.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Makes it the default of this process, which reqwest's clients need.
pub(crate) fn install() {
    // An error says that it was installed before.
    let _ = ring::default_provider().install_default();
}
