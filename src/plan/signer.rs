//! Decides who may sign the registry entries of a repository, as far as this machine knows.
//!
//! Three sources can name the signer: the user's setting `hexmirror.REPOSITORY.signer`, the record in the local mirror,
//! and the key, which comes from the user's settings, the Hex client's configuration or (for hexpm) this program.
//!
//! If the setting exists, it decides, and the key must match it. Otherwise the record and the key must name the same
//! signer. So if someone replaces the key in a configuration file, the new key has no effect until the user allows it.

use crate::model::Fingerprint;

/// The source that names a signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignerSource {
    /// The user's setting.
    Setting,
    /// The record in the local mirror.
    Record,
    /// The configured or built-in key.
    Key,
}

/// A signer and the source that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signer {
    /// The key's fingerprint.
    pub fingerprint: Fingerprint,
    /// The source.
    pub source: SignerSource,
}

/// Two sources that name different signers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignerConflict {
    /// The signer that takes precedence.
    pub expected: Signer,
    /// The other signer.
    pub found: Signer,
}

/// Everything that this machine knows about a repository's signer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KnownSigners {
    /// The signer in the user's setting.
    pub setting: Option<Fingerprint>,
    /// The signer in the local mirror's record.
    pub record: Option<Fingerprint>,
    /// The signer that the key belongs to.
    pub key: Option<Fingerprint>,
}

impl KnownSigners {
    /// Returns the signer that takes precedence; `None` if no source names one.
    ///
    /// # Errors
    /// Returns an error if the key belongs to another signer.
    pub fn decide(&self) -> Result<Option<Signer>, SignerConflict> {
        let named =
            |fingerprint: Option<Fingerprint>, source| fingerprint.map(|fingerprint| Signer { fingerprint, source });
        let key = named(self.key, SignerSource::Key);
        let expected = named(self.setting, SignerSource::Setting).or(named(self.record, SignerSource::Record));
        match (expected, key) {
            (Some(expected), Some(found)) if expected.fingerprint != found.fingerprint => {
                Err(SignerConflict { expected, found })
            }
            _ => Ok(expected.or(key)),
        }
    }

    /// Returns whether the user allowed a signer other than the recorded one. The repository's entries must then be
    /// fetched again.
    pub fn is_replaced(&self) -> bool {
        self.setting.zip(self.record).is_some_and(|(setting, record)| setting != record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_decides_then_record_and_key_have_to_agree() {
        let [one, two] = [1, 2].map(|byte| Fingerprint::from_bytes([byte; 32]));
        let some = [None, Some(one), Some(two)];
        for setting in some {
            for record in some {
                for key in some {
                    let known = KnownSigners { setting, record, key };
                    let expected = setting.or(record);
                    let agrees = key.is_none() || expected.is_none() || expected == key;
                    match known.decide() {
                        Ok(signer) => {
                            assert!(agrees, "{known:?}");
                            assert_eq!(signer.map(|signer| signer.fingerprint), expected.or(key), "{known:?}");
                        }
                        Err(conflict) => {
                            assert!(!agrees, "{known:?}");
                            assert_eq!(Some(conflict.expected.fingerprint), expected);
                            assert_eq!(Some(conflict.found.fingerprint), key);
                        }
                    }
                    assert_eq!(known.is_replaced(), setting.is_some() && record.is_some() && setting != record);
                }
            }
        }
    }
}
