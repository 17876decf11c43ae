//! Encryption at rest: the cipher, the keys, and where they come from.
//!
//! ```text
//!   provider ─► master key ─► keyring (the file `keys`): data keys by generation ─► cipher ─► frames, pages
//! ```
//!
//! - `cipher`: seals bytes under a nonce, and opens what was not changed. `secret`: 32 bytes that are wiped when nobody needs them.
//! - `master`: the key that the store's owner keeps. `provider`: from where.
//! - `keyring`: the data keys of an open store. `keys_file`: the block in which they lie, each sealed with the master key.
//!
//! The master key seals nothing but data keys, so changing it rewrites one block. A data key seals the store, and is known to nobody.
//! What a nonce is made of is the business of whoever seals; that none is used twice with one key is his duty, which the tests check in [`Cipher`].

mod cipher;
mod keyring;
mod keys_file;
mod master;
#[cfg(all(test, not(any(loom, shuttle))))]
mod nonces;
mod provider;
mod secret;

pub(crate) use cipher::{BadSeal, Cipher, NONCE_BYTES, TAG_BYTES};
pub(crate) use keyring::Keyring;
pub(crate) use keys_file::{FILE_NAME, Generation, KeysError, UNFINISHED_NAME, VERSION};
pub use master::{KeyError, MasterKey};
pub use provider::{EnvKeyProvider, FileKeyProvider, KeyProvider};

use crate::io::{IoError, IoOperation};
use std::path::Path;

/// Bytes that nobody can guess, from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], IoError> {
    let mut bytes = [0; N];
    fill_random(&mut bytes)?;
    Ok(bytes)
}

fn fill_random(bytes: &mut [u8]) -> Result<(), IoError> {
    let failed = |error: getrandom::Error| {
        IoError::new(IoOperation::Read, Path::new("the system's random numbers"), error.into())
    };
    getrandom::fill(bytes).map_err(failed)
}
