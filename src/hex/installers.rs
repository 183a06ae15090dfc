//! The lists of the versions of Hex and rebar3 that `mix local.hex` and `mix local.rebar` choose from.
//!
//! A list has rows `VERSION,SHA-512,ELIXIR…`, or `VERSION,SHA-512,ELIXIR,OTP` since Elixir 1.18.4. Elixir's key signs it;
//! newer versions of mix do not check that, this program always does.

use std::sync::LazyLock;

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha512};

use super::registry::PublicKey;
use crate::model::{FilePath, Tool, ToolsPair, Version, hex_digits};

/// The public key that Elixir includes (`lib/mix/lib/mix/public_key.ex` of Elixir 1.14 to 1.18).
const ELIXIR_PUBLIC_KEY: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAslPz1mAfyAvRv8W8xOdv
HQMbDJkDKfRhsL4JBGwGH7qw0xh+TbaUlNaM3pF+i8VUjS/4FeXjT/OAUEAHu5Y2
rBVlx00QcH8Dpbyf+H73XiCs0MXnTSecqDgzx6i6NMi8knklHT7yHySHtuuPmPuN
Po8QTKolCKftwPE/iNDeyZfwufd+hTCoCQdoTVcB01SElfNtvKRtoKbx35q80IPr
rOcGsALmr58+bWqCTY/51kFeRxzrPJ5LdcLU/AebyWddD4IUfPDxk16jTiCagMWA
JPSwo8NUrWDIBbD+rEUp06y0ek276rG5Tzm/3Bma56RN/u6nAqBTBE8F2Hu2QBKj
lQIDAQAB
-----END PUBLIC KEY-----
";

/// Returns Elixir's own key.
pub fn elixir_key() -> &'static PublicKey {
    static KEY: LazyLock<PublicKey> =
        LazyLock::new(|| PublicKey::from_pem(ELIXIR_PUBLIC_KEY).expect("the constant is a valid key; a test reads it"));
    &KEY
}

/// Returns whether one of some keys signed a list. `signature` is the file beside it: base64 in lines.
pub fn is_signed(list: &[u8], signature: &[u8], keys: &[PublicKey]) -> bool {
    let text: String = String::from_utf8_lossy(signature).split_whitespace().collect();
    Base64::decode_vec(&text).is_ok_and(|signature| keys.iter().any(|key| key.is_signature_of(list, &signature)))
}

/// What a list chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installer {
    /// The version of the tool.
    pub version: Version,
    /// The SHA-512 of the file, in lower case.
    pub sha512: String,
    /// The path of the file.
    pub path: FilePath,
}

impl Installer {
    /// Returns what mix chooses for a pair: the last row that fits (`find_latest_eligible_version/2` in `Mix.Local`).
    /// Releases of OTP are compared as text there. `None` if no row fits, or the one that does is malformed.
    pub fn choose(list: &[u8], tool: Tool, pair: &ToolsPair) -> Option<Self> {
        let text = std::str::from_utf8(list).ok()?;
        text.lines().rev().find_map(|row| fitting(row, pair)).and_then(|row| row.installer(tool))
    }

    /// Returns whether a file is the chosen one.
    pub fn is(&self, content: &[u8]) -> bool {
        sha512(content) == self.sha512
    }
}

/// Returns the SHA-512 of a content, as lists have it.
pub fn sha512(content: &[u8]) -> String {
    hex_digits(Sha512::digest(content).as_slice())
}

/// Returns the SHA-512 of all rows of a list.
pub fn digests(list: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(list);
    text.lines().filter_map(|row| row.split(',').nth(1)).map(str::to_ascii_lowercase).collect()
}

/// A row that fits, with the versions of Elixir and OTP that the path of the file contains.
struct Row<'l> {
    version: &'l str,
    sha512: &'l str,
    elixir: &'l str,
    otp: Option<&'l str>,
}

fn fitting<'l>(row: &'l str, pair: &ToolsPair) -> Option<Row<'l>> {
    let mut columns = row.split(',');
    let (version, sha512) = (columns.next()?, columns.next()?);
    let is_old_enough = |elixir: &str| elixir.parse::<Version>().is_ok_and(|elixir| elixir <= pair.elixir);
    if !pair.has_lists_by_otp() {
        let elixir = columns.find(|elixir| is_old_enough(elixir))?;
        return Some(Row { version, sha512, elixir, otp: None });
    }
    let (elixir, otp) = (columns.next()?, columns.next()?);
    let fits = is_old_enough(elixir) && *otp <= *pair.otp.to_string();
    fits.then_some(Row { version, sha512, elixir, otp: Some(otp) })
}

impl Row<'_> {
    fn installer(&self, tool: Tool) -> Option<Installer> {
        let Self { version, sha512, elixir, otp } = self;
        let otp = otp.map_or_else(String::new, |otp| format!("-otp-{otp}"));
        let path = match tool {
            Tool::Hex => format!("installs/{elixir}/hex-{version}{otp}.ez"),
            Tool::Rebar3 => format!("installs/{elixir}/rebar3-{version}{otp}"),
        };
        let is_digest = sha512.len() == 128 && sha512.bytes().all(|digit| digit.is_ascii_hexdigit());
        let (version, path) = (version.parse().ok()?, path.parse().ok()?);
        is_digest.then(|| Installer { version, sha512: sha512.to_ascii_lowercase(), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(list: &str, tool: Tool, pair: &str) -> Option<String> {
        let list = list.replace('#', &"a".repeat(128));
        Installer::choose(list.as_bytes(), tool, &pair.parse().unwrap()).map(|chosen| chosen.path.to_string())
    }

    #[test]
    fn the_last_row_that_fits_is_chosen() {
        let old = "1.0.0,#,1.0.0\n2.0.0,#,1.12.0,1.0.0\n2.2.0,#,1.15.0\n";
        for (pair, path) in [
            ("1.14.0 otp 25", Some("installs/1.12.0/hex-2.0.0.ez")),
            ("1.10.0 otp 22", Some("installs/1.0.0/hex-2.0.0.ez")),
            ("1.18.3 otp 27", Some("installs/1.15.0/hex-2.2.0.ez")),
            ("0.9.0 otp 17", None),
        ] {
            assert_eq!(chosen(old, Tool::Hex, pair).as_deref(), path, "{pair}");
        }
        let new = "3.24.0,#,1.18.0,26\n3.24.0,#,1.18.0,27\n3.25.0,#,1.19.0,28\n";
        for (pair, path) in [
            ("1.18.4 otp 27", Some("installs/1.18.0/rebar3-3.24.0-otp-27")),
            ("1.18.4 otp 26", Some("installs/1.18.0/rebar3-3.24.0-otp-26")),
            ("1.18.4 otp 28", Some("installs/1.18.0/rebar3-3.24.0-otp-27")),
            ("1.19.1 otp 28", Some("installs/1.19.0/rebar3-3.25.0-otp-28")),
            ("1.19.1 otp 25", None),
            // As text, 9 is more than 26.
            ("1.19.1 otp 9", Some("installs/1.19.0/rebar3-3.25.0-otp-28")),
        ] {
            assert_eq!(chosen(new, Tool::Rebar3, pair).as_deref(), path, "{pair}");
        }
    }

    #[test]
    fn hostile_lists_choose_nothing() {
        let pair = "1.14.0 otp 25";
        for list in [
            "",
            ",",
            "x",
            "1.0.0,12,1.0.0",
            "1.0.0,#,../..",
            "../x,#,1.0.0",
            "1.0.0,#",
            "\u{e9},#,1.0.0",
            "1.0.0,#,1.0.0\n../../x,#,1.0.0",
        ] {
            assert_eq!(chosen(list, Tool::Hex, pair), None, "{list:?}");
        }
        assert_eq!(Installer::choose(b"\xff\xff", Tool::Hex, &pair.parse().unwrap()), None);
    }

    #[test]
    fn elixirs_key_is_valid_and_signed_nothing_of_ours() {
        let keys = [elixir_key().clone()];
        for signature in [&b""[..], b"!!", b"AAAA", &[b'A'; 344]] {
            assert!(!is_signed(b"list", signature, &keys));
        }
    }
}
