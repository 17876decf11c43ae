//! XChaCha20-Poly1305: encrypts, and tells what was changed.

use super::secret::Secret;
use crate::sync::Arc;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};

pub(crate) const NONCE_BYTES: usize = 24;
pub(crate) const TAG_BYTES: usize = 16;

/// What was opened is not what was sealed: it, what goes with it, or the tag was changed; or the key or the nonce is another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BadSeal;

/// Seals with one key. Clones share it; it is wiped with the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Cipher(Arc<Secret>);

impl Cipher {
    pub(super) fn new(key: Secret) -> Cipher {
        Cipher(Arc::new(key))
    }

    pub(super) fn key(&self) -> &Secret {
        &self.0
    }

    fn algorithm(&self) -> XChaCha20Poly1305 {
        // Copies the key, and wipes the copy when it is dropped.
        XChaCha20Poly1305::new(self.0.bytes().into())
    }

    /// Encrypts `buf` where it is; returns the tag, which vouches for it and for `aad`.
    ///
    /// No nonce may be used twice, whatever is sealed: two texts under one nonce give each other away, and the tag's key with them.
    pub(crate) fn seal_in_place(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        buf: &mut [u8],
    ) -> [u8; TAG_BYTES] {
        #[cfg(all(test, not(any(loom, shuttle))))]
        super::nonces::record(self.0.bytes(), nonce);
        let nonce: &XNonce = nonce.into();
        let sealed = self.algorithm().encrypt_inout_detached(nonce, aad, buf.into());
        sealed.expect("the cipher takes up to 256 GiB").into()
    }

    /// Decrypts `buf` where it is, if it, `aad` and `tag` are what was sealed; else it is as it was.
    pub(crate) fn open_in_place(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        buf: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), BadSeal> {
        let (nonce, tag): (&XNonce, &Tag) = (nonce.into(), tag.into());
        self.algorithm().decrypt_inout_detached(nonce, aad, buf.into(), tag).map_err(|_| BadSeal)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The first vector of the draft that defines the cipher (draft-irtf-cfrg-xchacha-03, A.3.1).
    #[test]
    fn agrees_with_the_published_vector() {
        let key: [u8; 32] = std::array::from_fn(|index| 0x80 + index as u8);
        let nonce: [u8; NONCE_BYTES] = std::array::from_fn(|index| 0x40 + index as u8);
        let aad = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
        let text =
            b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                     sunscreen would be it.";
        let cipher = Cipher::new(Secret::copy(&key));
        let mut sealed = text.to_vec();
        let tag = cipher.seal_in_place(&nonce, &aad, &mut sealed);
        assert_eq!(sealed[..8], [0xbd, 0x6d, 0x17, 0x9d, 0x3e, 0x83, 0xd4, 0x3b]);
        assert_eq!(
            tag,
            [0xc0, 0x87, 0x59, 0x24, 0xc1, 0xc7, 0x98, 0x79, 0x47, 0xde, 0xaf, 0xd8, 0x78, 0x0a, 0xcf, 0x49]
        );
        assert_eq!(cipher.open_in_place(&nonce, &aad, &mut sealed, &tag), Ok(()));
        assert_eq!(sealed, text);
    }

    proptest! {
        #[test]
        fn opens_what_was_sealed_and_nothing_else(
            text: Vec<u8>,
            aad: Vec<u8>,
            nonce: [u8; NONCE_BYTES],
            at: proptest::sample::Index,
            bit in 0_u8..8,
        ) {
            let cipher = Cipher::new(Secret::random().unwrap());
            let mut sealed = text.clone();
            let tag = cipher.seal_in_place(&nonce, &aad, &mut sealed);

            // One flipped bit in any of the four: nonce, aad, text, tag.
            let mut parts = [nonce.to_vec(), aad.clone(), sealed.clone(), tag.to_vec()];
            let mut at = at.index(parts.iter().map(Vec::len).sum());
            let part = parts.iter_mut().find(|part| at < part.len() || { at -= part.len(); false }).unwrap();
            part[at] ^= 1_u8 << bit;
            let [bad_nonce, bad_aad, mut bad_text, bad_tag] = parts;
            let before = bad_text.clone();
            let (bad_nonce, bad_tag) = (bad_nonce.try_into().unwrap(), bad_tag.try_into().unwrap());
            prop_assert_eq!(cipher.open_in_place(&bad_nonce, &bad_aad, &mut bad_text, &bad_tag), Err(BadSeal));
            prop_assert_eq!(bad_text, before, "nothing is decrypted that is not vouched for");

            let other = Cipher::new(Secret::random().unwrap());
            prop_assert_eq!(other.open_in_place(&nonce, &aad, &mut sealed.clone(), &tag), Err(BadSeal));
            prop_assert_eq!(cipher.open_in_place(&nonce, &aad, &mut sealed, &tag), Ok(()));
            prop_assert_eq!(sealed, text);
        }
    }

    #[test]
    #[should_panic = "used twice"]
    fn a_nonce_that_is_used_twice_is_found_by_every_test() {
        let cipher = Cipher::new(Secret::random().unwrap());
        cipher.seal_in_place(&[7; NONCE_BYTES], &[], &mut []);
        cipher.seal_in_place(&[7; NONCE_BYTES], &[1], &mut [2]);
    }
}
