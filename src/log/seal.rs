//! Encryption of frames: each is sealed with the data key in use, when its position is known.
//!
//! | | |
//! | --- | --- |
//! | nonce | the salt of the session (16), the frame's position (8) |
//! | vouched for | the header without its checksum; in an `Open` frame the salt too |
//! | encrypted | the payload |
//! | behind the payload | the tag (16) |
//!
//! A position is published once in a session, and each opening has a salt of its own, so no nonce is used twice, though positions are when a crash
//! cut off the end of the log. Who reads from the middle of a log needs the salt of the session there: so it goes with the session's number
//! ([`Session`]), into the manifest too. Frames of every kind are sealed, those that say nothing too: a void frame must not be a way to make a
//! commit disappear.
//!
//! The key is looked up after the position was reserved. So whoever reserves behind the position that [`Sealer::switch_to`] reserves seals
//! with the new key: the log's end hands the switch on (see `docs/concurrency.md`).

use super::frame::{HEADER_BYTES, Header, Kind, SALT_BYTES, SessionNumber};
use crate::crypt::{BadSeal, Generation, Keyring, NONCE_BYTES, TAG_BYTES, random};
use crate::io::IoError;
use crate::lsn::{LogEnd, Lsn};
use crate::sync::Arc;
use smallvec::SmallVec;
use std::fmt;

/// How much longer than its payload a sealed one is.
pub(super) const SEAL_BYTES: usize = TAG_BYTES;

/// Random bytes of a session, no secret; nothing but zeros in a store that is not encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salt(pub(crate) [u8; SALT_BYTES]);

impl Salt {
    pub(crate) const NONE: Salt = Salt([0; SALT_BYTES]);

    /// What the payload of an `Open` frame says.
    pub(super) fn read(payload: &[u8]) -> Salt {
        payload.first_chunk().map_or(Salt::NONE, |salt| Salt(*salt))
    }

    /// That payload.
    pub(super) fn payload(self) -> Vec<u8> {
        if self == Salt::NONE { Vec::new() } else { self.0.to_vec() }
    }

    fn nonce(self, lsn: Lsn) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        nonce[..SALT_BYTES].copy_from_slice(&self.0);
        nonce[SALT_BYTES..].copy_from_slice(&lsn.get().to_le_bytes());
        nonce
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salt({:032x})", u128::from_be_bytes(self.0))
    }
}

/// One opening of the store, as far as its frames are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Session {
    pub(crate) number: SessionNumber,
    pub(crate) salt: Salt,
}

impl Session {
    /// The one that follows `last`, or the first one; with a salt if it is to be sealed.
    pub(crate) fn begin(last: Option<Session>, is_sealed: bool) -> Result<Session, IoError> {
        let number = last.map_or(SessionNumber(1), |last| last.number.next());
        Ok(Session { number, salt: if is_sealed { Salt(random()?) } else { Salt::NONE } })
    }
}

/// Seals the frames of one session.
pub(crate) struct Sealer {
    keys: Arc<Keyring>,
    salt: Salt,
}

impl Sealer {
    pub(crate) fn new(keys: Arc<Keyring>, salt: Salt) -> Sealer {
        Sealer { keys, salt }
    }

    /// Seals with this key from now on: every frame behind the position that is returned, which is that of a frame of `bytes`.
    pub(crate) fn switch_to(&self, generation: Generation, end: &LogEnd, bytes: u64) -> Lsn {
        self.keys.switch_to(generation);
        // In this order: whoever reserves behind us acquires the switch with his position, and looks for the key after that.
        end.reserve(bytes)
    }

    /// Encrypts the payload of the frame with this header where it is, and puts the tag behind it; returns the bytes of the header.
    ///
    /// The position must have been reserved before, and be sealed once.
    pub(crate) fn seal(&self, header: Header, payload: &mut Vec<u8>) -> [u8; HEADER_BYTES] {
        let (generation, cipher) = self.keys.current();
        let payload_bytes = header.payload_bytes + SEAL_BYTES as u32;
        let header = Header { generation: Some(generation), payload_bytes, ..header };
        let (plain, secret) = payload.split_at_mut(plain_bytes(&header));
        let tag = cipher.seal_in_place(&self.salt.nonce(header.lsn), &vouched_for(&header, plain), secret);
        payload.extend_from_slice(&tag);
        header.encode(crc32c::crc32c(payload))
    }
}

/// How much of the payload is not encrypted.
fn plain_bytes(header: &Header) -> usize {
    if header.kind == Kind::Open { SALT_BYTES } else { 0 }
}

fn vouched_for(header: &Header, plain: &[u8]) -> SmallVec<[u8; 64]> {
    let mut bytes = SmallVec::from_slice(&header.fields());
    bytes.extend_from_slice(plain);
    bytes
}

/// A frame that was read in a store with these keys: decrypts its payload where it is, and takes the tag off the header's `payload_bytes`. `salt`
/// is that of its session, or what an `Open` frame says itself.
pub(crate) fn open(
    keys: &Keyring,
    salt: Salt,
    header: &mut Header,
    payload: &mut [u8],
) -> Result<(), BadSeal> {
    // One that is not sealed does not belong into such a store.
    let cipher = header.generation.and_then(|generation| keys.cipher(generation)).ok_or(BadSeal)?;
    let (text, tag) = payload.split_last_chunk_mut().ok_or(BadSeal)?;
    let (plain, secret) = text.split_at_mut_checked(plain_bytes(header)).ok_or(BadSeal)?;
    cipher.open_in_place(&salt.nonce(header.lsn), &vouched_for(header, plain), secret, tag)?;
    header.payload_bytes -= SEAL_BYTES as u32;
    Ok(())
}
