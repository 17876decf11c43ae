//! What binds a page to its store: its checksum, and the key it is sealed with, if the store has any.
//!
//! | part of a nonce | bytes | why no two pages share one |
//! | --- | --- | --- |
//! | page, position | 16 | a checkpoint writes a page once |
//! | salt | 8 | two attempts at one position may write a page each; every attempt draws its own |
//!
//! The tag vouches for the page's body, and for its header and its store, which go with it in the clear.

use super::page::{BadPage, HEADER_BYTES};
use crate::crypt::{self, Cipher, Generation, Keyring, NONCE_BYTES, TAG_BYTES};
use crate::io::IoError;
use crate::log::segment::StoreId;
use crate::sync::Arc;
use std::ops::Range;

const GENERATION_AT: usize = 26;
const SALT: Range<usize> = 32..40;
const TAG: Range<usize> = 40..HEADER_BYTES;
/// Of the header, all but the checksum and the tag.
const VOUCHED_FOR: Range<usize> = 4..SALT.end;
const AAD_BYTES: usize = VOUCHED_FOR.end - VOUCHED_FOR.start + size_of::<StoreId>();
/// Page and position, as they are in the header.
const PLACE: Range<usize> = 8..24;
const _: () = assert!(PLACE.end - PLACE.start + SALT.end - SALT.start == NONCE_BYTES);
const _: () = assert!(TAG.end - TAG.start == TAG_BYTES);

/// A store, and its keys if it is encrypted.
#[derive(Clone)]
pub(crate) struct Binding {
    store: StoreId,
    seed: u32,
    keys: Option<Arc<Keyring>>,
}

/// What the pages of one attempt at a checkpoint are sealed with.
struct Seal {
    generation: Generation,
    cipher: Cipher,
    salt: [u8; SALT.end - SALT.start],
}

/// Completes the pages of one attempt at a checkpoint.
pub(super) struct Sealer<'a> {
    binding: &'a Binding,
    seal: Option<Seal>,
}

impl Binding {
    pub(crate) fn new(store: StoreId, keys: Option<Arc<Keyring>>) -> Binding {
        Binding { store, seed: crc32c::crc32c(&store), keys }
    }

    pub(super) fn store(&self) -> &StoreId {
        &self.store
    }

    pub(super) fn keys(&self) -> Option<&Keyring> {
        self.keys.as_deref()
    }

    /// Begins an attempt.
    pub(super) fn sealer(&self) -> Result<Sealer<'_>, IoError> {
        let seal = self.keys.as_ref().map(|keys| {
            let (generation, cipher) = keys.current();
            Ok(Seal { generation, cipher: cipher.clone(), salt: crypt::random()? })
        });
        Ok(Sealer { binding: self, seal: seal.transpose()? })
    }

    /// For what is not sealed in an encrypted store either.
    pub(super) fn without_keys(&self) -> Sealer<'_> {
        Sealer { binding: self, seal: None }
    }

    /// Whether the checksum of a whole page agrees.
    pub(super) fn is_intact(&self, page: &[u8]) -> bool {
        cfg!(fuzzing) || page.get(..4) == Some(&self.checksum(page)[..])
    }

    fn checksum(&self, page: &[u8]) -> [u8; 4] {
        crc32c::crc32c_append(self.seed, &page[4..]).to_le_bytes()
    }

    fn nonce_and_aad(&self, page: &[u8]) -> ([u8; NONCE_BYTES], [u8; AAD_BYTES]) {
        let (mut nonce, mut aad) = ([0; NONCE_BYTES], [0; AAD_BYTES]);
        nonce[..16].copy_from_slice(&page[PLACE]);
        nonce[16..].copy_from_slice(&page[SALT]);
        let header_bytes = VOUCHED_FOR.end - VOUCHED_FOR.start;
        aad[..header_bytes].copy_from_slice(&page[VOUCHED_FOR]);
        aad[header_bytes..].copy_from_slice(&self.store);
        (nonce, aad)
    }

    /// Opens the body of a page where it is.
    pub(super) fn open(&self, page: &mut [u8]) -> Result<(), BadPage> {
        let (keys, generation) = match (&self.keys, Generation::new(page[GENERATION_AT])) {
            (None, None) => return Ok(()),
            (None, Some(_)) => return Err(BadPage("is encrypted, and the store is not")),
            (Some(_), None) => return Err(BadPage("is not encrypted, and the store is")),
            (Some(keys), Some(generation)) => (keys, generation),
        };
        let unknown = BadPage("is encrypted with a key that the store does not have");
        let cipher = keys.cipher(generation).ok_or(unknown)?;
        let (nonce, aad) = self.nonce_and_aad(page);
        let tag = page[TAG].try_into().expect("the tag's bytes");
        cipher
            .open_in_place(&nonce, &aad, &mut page[HEADER_BYTES..], &tag)
            .map_err(|_| BadPage("was changed, or written with another key"))
    }
}

impl Sealer<'_> {
    /// Seals a page that is laid out but for generation, salt, tag and checksum, and fills those in.
    pub(super) fn complete(&self, page: &mut [u8]) {
        if let Some(seal) = &self.seal {
            page[GENERATION_AT] = seal.generation.get();
            page[SALT].copy_from_slice(&seal.salt);
            let (nonce, aad) = self.binding.nonce_and_aad(page);
            let tag = seal.cipher.seal_in_place(&nonce, &aad, &mut page[HEADER_BYTES..]);
            page[TAG].copy_from_slice(&tag);
        }
        let checksum = self.binding.checksum(page);
        page[..4].copy_from_slice(&checksum);
    }
}
