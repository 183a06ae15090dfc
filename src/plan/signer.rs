//! Who may sign the registry entries of a repository, as far as this machine knows.
//!
//! Three things can name the signer: the user's setting `hexmirror.REPOSITORY.signer`, the record in the local mirror, and
//! the key that the user's settings, the Hex client's configuration or (for hexpm) this program have. The setting decides if
//! there is one, and then the key has to be its. Without it, the record and the key have to name the same signer. So a key
//! that somebody exchanges in some settings has no effect before the user allows it.

use crate::model::Fingerprint;

/// What names a signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignerSource {
    /// The user's setting.
    Setting,
    /// The record in the local mirror.
    Record,
    /// The configured or built-in key.
    Key,
}

/// A signer, with what names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signer {
    /// The key's fingerprint.
    pub fingerprint: Fingerprint,
    /// What names it.
    pub source: SignerSource,
}

/// Two sources that name different signers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignerConflict {
    /// The one that counts.
    pub expected: Signer,
    /// The other one.
    pub found: Signer,
}

/// What is known here of a repository's signer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KnownSigners {
    /// As the user's setting has it.
    pub setting: Option<Fingerprint>,
    /// As the local mirror has it.
    pub record: Option<Fingerprint>,
    /// As the key has it.
    pub key: Option<Fingerprint>,
}

impl KnownSigners {
    /// Returns the signer that counts; `None` if nothing names one.
    ///
    /// # Errors
    /// Fails if the key is not that signer's.
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

    /// Returns whether the user allowed another signer than the one in the record, whose entries are then to be fetched anew.
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
