//! The key that the store's owner keeps.

use super::cipher::Cipher;
use super::secret::{KEY_BYTES, Secret};
use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// The key of an encrypted store: 32 random bytes, which its owner keeps outside of the store. Without it nothing in the store can be read.
///
/// It is wiped from memory when it is dropped, and [`Debug`](fmt::Debug) does not show it.
///
/// ```
/// use skipstone::MasterKey;
///
/// let key = MasterKey::from_hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")?;
/// assert_eq!(format!("{key:?}"), "MasterKey(..)");
/// # Ok::<(), skipstone::KeyError>(())
/// ```
#[derive(Clone)]
pub struct MasterKey(Secret);

impl MasterKey {
    /// The key with these bytes, which must come from a generator of random numbers for cryptography, or a key service; a passphrase is none.
    /// The caller's copy is his to wipe.
    pub fn from_bytes(bytes: &[u8; 32]) -> MasterKey {
        MasterKey(Secret::copy(bytes))
    }

    /// The key in 64 hexadecimal digits of either case, as `openssl rand -hex 32` prints it.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if it is anything else.
    pub fn from_hex(text: &str) -> Result<MasterKey, KeyError> {
        MasterKey::parse_hex(text.as_bytes()).ok_or(KeyError::Malformed { origin: "the text".to_owned() })
    }

    pub(super) fn parse_hex(text: &[u8]) -> Option<MasterKey> {
        let mut secret = Secret::copy(&[0; KEY_BYTES]);
        if text.len() != 2 * KEY_BYTES {
            return None;
        }
        for (byte, digits) in secret.bytes_mut().iter_mut().zip(text.chunks_exact(2)) {
            *byte = hex_digit(digits[0])? << 4 | hex_digit(digits[1])?;
        }
        Some(MasterKey(secret))
    }

    pub(super) fn cipher(&self) -> Cipher {
        Cipher::new(self.0.clone())
    }
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// Why there is no key to be had.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The environment variable is not set.
    #[error(
        "the environment variable `{name}` is not set; it is to hold the store's key, in 64 hexadecimal digits"
    )]
    #[non_exhaustive]
    NotSet {
        /// Its name.
        name: String,
    },
    /// The file could not be read.
    #[error("the key file `{}` cannot be read: {source}", .file.display())]
    #[non_exhaustive]
    File {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        source: Arc<std::io::Error>,
    },
    /// What is there is no key.
    #[error(
        "{origin} holds no key: a key is 64 hexadecimal digits (or, in a file, 32 bytes); make one with `openssl rand -hex 32`"
    )]
    #[non_exhaustive]
    Malformed {
        /// Where it was looked for.
        origin: String,
    },
    /// The program's own provider failed.
    #[error("the key could not be had: {source}")]
    #[non_exhaustive]
    Provider {
        /// What it said.
        source: Arc<dyn Error + Send + Sync>,
    },
}

impl KeyError {
    /// For a provider of your own: it failed, and why.
    pub fn provider(source: impl Into<Box<dyn Error + Send + Sync>>) -> KeyError {
        KeyError::Provider { source: Arc::from(source.into()) }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_digits_is_the_key_in_bytes() {
        let bytes: [u8; KEY_BYTES] = std::array::from_fn(|index| index as u8 * 8 + 5);
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for text in [text.clone(), text.to_uppercase()] {
            assert_eq!(MasterKey::from_hex(&text).unwrap().0.bytes(), &bytes);
        }
        let wide = format!("{}é", &text[..62]);
        for other in
            ["", &text[1..], &format!("{text}0"), &text.replace('d', "g"), &format!("+{}", &text[1..]), &wide]
        {
            let error = MasterKey::from_hex(other).unwrap_err();
            assert!(matches!(error, KeyError::Malformed { .. }), "{other}: {error}");
            assert!(other.is_empty() || !error.to_string().contains(other), "{error}");
        }
    }

    #[test]
    fn nothing_shows_a_key() {
        let key = MasterKey::from_bytes(&[0xAB; 32]);
        for shown in [format!("{key:?}"), format!("{:?}", key.0), format!("{:?}", key.cipher())] {
            for part in ["ab", "AB", "171"] {
                assert!(!shown.contains(part), "{shown}");
            }
        }
    }
}
