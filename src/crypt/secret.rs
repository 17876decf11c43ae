//! A key in memory: on the heap, so that moving it leaves no copy behind, and wiped when it is dropped.

use super::fill_random;
use crate::io::IoError;
use std::fmt;
use zeroize::Zeroize;

/// The length of every key.
pub(super) const KEY_BYTES: usize = 32;

#[derive(Clone)]
pub(super) struct Secret(Box<[u8; KEY_BYTES]>);

impl Secret {
    /// A copy of the caller's bytes, which he wipes.
    pub(super) fn copy(bytes: &[u8; KEY_BYTES]) -> Secret {
        let mut secret = Secret(Box::new([0; KEY_BYTES]));
        secret.0.copy_from_slice(bytes);
        secret
    }

    pub(super) fn random() -> Result<Secret, IoError> {
        let mut secret = Secret(Box::new([0; KEY_BYTES]));
        fill_random(&mut secret.0[..])?;
        Ok(secret)
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8; KEY_BYTES] {
        &mut self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Says that there is one, and nothing of it.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
