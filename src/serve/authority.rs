//! The certificate authority of one server: a root certificate, an intermediate one below it, and the certificates that it
//! issues.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::host_name::HostName;
use crate::cryptography::provider;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The validity period of the authority and of a server's certificate.
const VALID: Duration = DAY.saturating_mul(365);
/// An authority with a shorter remaining validity is replaced, so that a server can run at least this long.
pub(super) const RENEWED_BEFORE: Duration = DAY.saturating_mul(90);
/// The names in every certificate.
pub(super) const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The certificates of an authority and the key of the intermediate one, all as PEM.
pub(super) struct Authority {
    pub root: String,
    pub intermediate: String,
    pub key: String,
}

impl Authority {
    /// Creates an authority that is constrained to these names. They must include both names and IP addresses: a kind
    /// without any constraint would be permitted without limits.
    pub fn for_names(names: &[HostName]) -> Result<Self, rcgen::Error> {
        let constrained = |below| {
            let mut params = authority_params(below);
            let subtrees = names.iter().map(|name| subtree(name.as_str()));
            // Erlang fails at a certificate with addresses below a constraint on addresses (`match_name` in its `pubkey_cert.erl`
            // knows no such names). The root's constrain everybody else.
            let fits = |subtree: &GeneralSubtree| below > 0 || matches!(subtree, GeneralSubtree::DnsName(_));
            let permitted_subtrees = subtrees.filter(fits).collect();
            params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
            params.use_authority_key_identifier_extension = below == 0;
            params
        };
        let (root_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
        let root = constrained(1).self_signed(&root_key)?.pem();
        let intermediate = constrained(0).signed_by(&key, &Issuer::new(authority_params(1), root_key))?.pem();
        Ok(Self { root, intermediate, key: key.serialize_pem() })
    }

    /// Issues a server's certificate, and verifies it as clients will after this time. Returns it with its chain, and its
    /// key.
    pub fn server_certificate(
        &self,
        names: &[HostName],
        valid: Duration,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Box<dyn Error + Send + Sync>> {
        let issuer = Issuer::new(authority_params(0), KeyPair::from_pem(&self.key)?);
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "git-hexmirror");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params);
        let own = params.signed_by(&key, &issuer)?.der().clone();
        let read = |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| error.to_string());
        let (root, intermediate) = (read(&self.root)?, read(&self.intermediate)?);
        let mut roots = RootCertStore::empty();
        roots.add(root)?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
        let verifier = verifier.build()?;
        let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + valid;
        let localhost = ServerName::try_from(OWN_NAMES[0])?;
        let below = [intermediate.clone()];
        verifier.verify_server_cert(&own, &below, &localhost, &[], UnixTime::since_unix_epoch(soon))?;
        let key = PrivateKeyDer::try_from(key.serialize_der())?;
        Ok((vec![own, intermediate], key))
    }
}

/// Returns the parameters of an authority that permits `below` further authorities in a chain below it.
fn authority_params(below: u8) -> CertificateParams {
    let mut params = CertificateParams::default();
    let name = if below == 0 { "git-hexmirror server authority" } else { "git-hexmirror on this machine" };
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params);
    params
}

/// Returns the name constraint for a name.
fn subtree(name: &str) -> GeneralSubtree {
    match name.parse::<IpAddr>() {
        Ok(address) => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, bits))
        }
        Err(_) => GeneralSubtree::DnsName(name.strip_prefix("*.").unwrap_or(name).to_owned()),
    }
}

/// Sets the validity period. The period begins one day ago, because clocks differ.
fn set_validity(params: &mut CertificateParams) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(DAY);
    params.not_after = epoch + (now + VALID).saturating_sub(DAY);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Issues a certificate for a name with the key of an authority that is constrained to other names, and returns
    /// whether it passes verification.
    fn is_trusted(authority: &Authority, name: &str) -> bool {
        let issuer = Issuer::new(authority_params(0), KeyPair::from_pem(&authority.key).unwrap());
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let own = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone();
        let mut roots = RootCertStore::empty();
        let read = |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
        roots.add(read(&authority.root)).unwrap();
        let below = [read(&authority.intermediate)];
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&own, &below, &name, &[], UnixTime::now()).is_ok()
    }

    #[test]
    fn the_authority_certifies_no_other_name() {
        let names = ["localhost", "127.0.0.1", "::1", "github.com", "*.example.org", "10.0.0.1"]
            .map(|name| name.parse().unwrap());
        let authority = Authority::for_names(&names).unwrap();
        for name in ["localhost", "127.0.0.1", "::1", "github.com", "hex.example.org", "10.0.0.1"] {
            assert!(is_trusted(&authority, name), "{name}");
        }
        for name in ["repo.hex.pm", "example.com", "notgithub.com", "10.0.0.2", "127.0.0.2", "::2", "org"] {
            assert!(!is_trusted(&authority, name), "{name}");
        }
    }
}
