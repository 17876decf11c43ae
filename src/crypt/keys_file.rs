//! The file `keys`: one block with the store's data keys, each sealed with the master key under a random nonce of its own.
//!
//! ```text
//!   0      8         12      16         32                                                        4096
//!   ┌──────┬─────────┬───────┬──────────┬──────────────────────────────────┬───┬─────────┬─────────┐
//!   │ magic│ version │ count │ store id │ generation, nonce, sealed key, tag │ … │ CRC-32C │ zeros   │
//!   └──────┴─────────┴───────┴──────────┴──────────────────────────────────┴───┴─────────┴─────────┘
//! ```
//!
//! The checksum tells damage from a key that is not the store's. It is replaced as a whole, so it is the old one or the new one whenever the
//! power goes. Magic, store and generation go into each seal: no key can be taken for another's.

use super::cipher::{BadSeal, Cipher, NONCE_BYTES, TAG_BYTES};
use super::master::MasterKey;
use super::random;
use super::secret::{KEY_BYTES, Secret};
use crate::format::Cursor;
use crate::io::{AlignedBuf, BLOCK, Device, IoError};
use std::num::NonZeroU8;

pub(crate) const FILE_NAME: &str = "keys";
/// What it is called until it is whole.
pub(crate) const UNFINISHED_NAME: &str = "keys.new";

const MAGIC: &[u8; 8] = b"SKIPKEYS";
pub(crate) const VERSION: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 4 + 16;
const ENTRY_BYTES: usize = 1 + NONCE_BYTES + KEY_BYTES + TAG_BYTES;
const CRC_BYTES: usize = 4;
/// So many fit the block.
pub(super) const ENTRIES_MAX: usize = (BLOCK - HEADER_BYTES - CRC_BYTES) / ENTRY_BYTES;

/// Which data key: they are counted from 1, and the one with the highest number is in use. Zero stands for "not encrypted" on the disk.
pub(crate) type Generation = NonZeroU8;

/// The generation of a new store.
pub(super) const FIRST: Generation = NonZeroU8::MIN;

/// Why the data keys could not be had.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error(transparent)]
    Io(#[from] IoError),
    #[error("the file of the data keys is damaged: {0}")]
    Damaged(&'static str),
    #[error("the file of the data keys has format version {0}, which this program does not know")]
    Newer(u32),
    #[error("the key is not the one of this store")]
    WrongKey,
}

/// A data key as it is in the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wrapped {
    pub(super) generation: Generation,
    nonce: [u8; NONCE_BYTES],
    sealed: [u8; KEY_BYTES],
    tag: [u8; TAG_BYTES],
}

impl Wrapped {
    pub(super) fn wrap(
        store: &[u8; 16],
        generation: Generation,
        key: &Secret,
        master: &MasterKey,
    ) -> Result<Wrapped, IoError> {
        let nonce = random()?;
        let mut sealed = *key.bytes();
        let tag = master.cipher().seal_in_place(&nonce, &bound_to(store, generation), &mut sealed);
        Ok(Wrapped { generation, nonce, sealed, tag })
    }

    pub(super) fn unwrap(&self, store: &[u8; 16], master: &MasterKey) -> Result<Cipher, BadSeal> {
        let mut key = Secret::copy(&self.sealed);
        let aad = bound_to(store, self.generation);
        master.cipher().open_in_place(&self.nonce, &aad, key.bytes_mut(), &self.tag)?;
        Ok(Cipher::new(key))
    }

    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut out = [0; ENTRY_BYTES];
        let (generation, rest) = out.split_at_mut(1);
        let (nonce, rest) = rest.split_at_mut(NONCE_BYTES);
        let (sealed, tag) = rest.split_at_mut(KEY_BYTES);
        generation[0] = self.generation.get();
        nonce.copy_from_slice(&self.nonce);
        sealed.copy_from_slice(&self.sealed);
        tag.copy_from_slice(&self.tag);
        out
    }

    fn decode(cursor: &mut Cursor<'_>) -> Option<Wrapped> {
        let generation = Generation::new(cursor.u8()?)?;
        let nonce = cursor.take(NONCE_BYTES)?.try_into().ok()?;
        let sealed = cursor.take(KEY_BYTES)?.try_into().ok()?;
        let tag = cursor.take(TAG_BYTES)?.try_into().ok()?;
        Some(Wrapped { generation, nonce, sealed, tag })
    }
}

/// What a data key's seal vouches for beside the key.
fn bound_to(store: &[u8; 16], generation: Generation) -> [u8; 8 + 16 + 1] {
    let mut out = [0; 25];
    out[..8].copy_from_slice(MAGIC);
    out[8..24].copy_from_slice(store);
    out[24] = generation.get();
    out
}

fn encode(store: &[u8; 16], keys: &[Wrapped]) -> AlignedBuf {
    assert!((1..=ENTRIES_MAX).contains(&keys.len()));
    let mut block = AlignedBuf::zeroed(BLOCK);
    block[..8].copy_from_slice(MAGIC);
    block[8..12].copy_from_slice(&VERSION.to_le_bytes());
    block[12..16].copy_from_slice(&(keys.len() as u32).to_le_bytes());
    block[16..HEADER_BYTES].copy_from_slice(store);
    let mut at = HEADER_BYTES;
    for key in keys {
        block[at..at + ENTRY_BYTES].copy_from_slice(&key.encode());
        at += ENTRY_BYTES;
    }
    debug_assert_eq!(at, fields_bytes(keys));
    let crc = crc32c::crc32c(&block[..at]);
    block[at..at + CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    block
}

/// Reads what [`encode`] made: at least one key, the generations growing.
fn decode(block: &[u8], store: &[u8; 16]) -> Result<Vec<Wrapped>, KeysError> {
    let damaged = |what| Err(KeysError::Damaged(what));
    let mut cursor = Cursor::new(block);
    if cursor.take(8) != Some(MAGIC) {
        return damaged("it does not begin as a file of keys does");
    }
    match cursor.u32() {
        Some(version) if version > VERSION => return Err(KeysError::Newer(version)),
        Some(VERSION) => {}
        Some(_) => return damaged("it has a version that there never was"),
        None => return damaged("it is too short"),
    }
    let count = cursor.u32().filter(|count| (1..=ENTRIES_MAX as u32).contains(count));
    let is_ours = cursor.take(16) == Some(store);
    let keys: Option<Vec<Wrapped>> =
        count.and_then(|count| (0..count).map(|_| Wrapped::decode(&mut cursor)).collect());
    let Some(keys) = keys else {
        return damaged("it holds no keys, or more than fit");
    };
    let len = block.len() - cursor.rest().len();
    if cursor.u32() != Some(crc32c::crc32c(&block[..len])) {
        return damaged("its checksum does not agree");
    }
    if !is_ours {
        return damaged("it belongs to another store");
    }
    if !keys.is_sorted_by(|a, b| a.generation < b.generation) {
        return damaged("its keys are not in order");
    }
    Ok(keys)
}

pub(super) fn read(device: &dyn Device, store: &[u8; 16]) -> Result<Vec<Wrapped>, KeysError> {
    if !device.list()?.iter().any(|name| name == FILE_NAME) {
        return Err(KeysError::Damaged("it is missing, and the store is encrypted"));
    }
    let file = device.open(FILE_NAME)?;
    let mut block = vec![0; (BLOCK as u64).min(file.len()) as usize];
    file.read_at(0, &mut block)?;
    decode(&block, store)
}

/// Puts a file with these keys in the place of the one that is there, if one is. On an error either may be there.
pub(super) fn replace(device: &dyn Device, store: &[u8; 16], keys: &[Wrapped]) -> Result<(), IoError> {
    // Left by a crash.
    if device.list()?.iter().any(|name| name == UNFINISHED_NAME) {
        device.remove(UNFINISHED_NAME)?;
    }
    let file = device.create_zeroed(UNFINISHED_NAME, BLOCK as u64)?;
    file.write_durable(0, &[&encode(store, keys)])?;
    drop(file);
    device.replace(UNFINISHED_NAME, FILE_NAME)
}

/// Tells one file from others: the checksum of its fields. (That of a whole block, its own checksum included, is the same for all.)
pub(super) fn fingerprint(store: &[u8; 16], keys: &[Wrapped]) -> u32 {
    crc32c::crc32c(&encode(store, keys)[..fields_bytes(keys)])
}

fn fields_bytes(keys: &[Wrapped]) -> usize {
    HEADER_BYTES + keys.len() * ENTRY_BYTES
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const STORE: [u8; 16] = [7; 16];

    fn sample(master: &MasterKey) -> Vec<Wrapped> {
        [1, 2, 9]
            .map(|generation| {
                let generation = Generation::new(generation).unwrap();
                Wrapped::wrap(&STORE, generation, &Secret::random().unwrap(), master).unwrap()
            })
            .to_vec()
    }

    #[test]
    fn reads_back_what_was_written_and_finds_each_flipped_bit() {
        let keys = sample(&MasterKey::from_bytes(&[1; 32]));
        let block = encode(&STORE, &keys);
        assert_eq!(decode(&block, &STORE).unwrap(), keys);
        let len = HEADER_BYTES + keys.len() * ENTRY_BYTES + CRC_BYTES;
        for bit in 0..len * 8 {
            let mut flipped = block.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped, &STORE).is_err(), "bit {bit}");
        }
        for cut in 0..len {
            assert!(matches!(decode(&block[..cut], &STORE), Err(KeysError::Damaged(_))), "{cut} bytes");
        }
        assert!(decode(&block, &[8; 16]).unwrap_err().to_string().contains("another store"));
        let newer = encode_as(&keys, |block| block[8] = 2);
        assert!(matches!(decode(&newer, &STORE), Err(KeysError::Newer(2))));
    }

    /// A block with something changed and the checksum made right again.
    fn encode_as(keys: &[Wrapped], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut block = encode(&STORE, keys).to_vec();
        change(&mut block);
        let at = HEADER_BYTES + keys.len() * ENTRY_BYTES;
        let crc = crc32c::crc32c(&block[..at]);
        block[at..at + CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
        block
    }

    #[test]
    fn every_byte_of_an_entry_is_vouched_for_whatever_the_checksum() {
        let master = MasterKey::from_bytes(&[1; 32]);
        let keys = sample(&master);
        for byte in HEADER_BYTES..HEADER_BYTES + keys.len() * ENTRY_BYTES {
            let changed = decode(&encode_as(&keys, |block| block[byte] ^= 4), &STORE);
            let found = changed.is_ok_and(|keys| keys.iter().all(|key| key.unwrap(&STORE, &master).is_ok()));
            assert!(!found, "byte {byte}");
        }
        // Two that change places, generations aside; and an entry of another store.
        let mut swapped = keys.clone();
        swapped.swap(0, 1);
        (swapped[0].generation, swapped[1].generation) = (keys[0].generation, keys[1].generation);
        assert_eq!(swapped[0].unwrap(&STORE, &master).unwrap_err(), BadSeal);
        assert_eq!(keys[0].unwrap(&[8; 16], &master).unwrap_err(), BadSeal);
    }

    #[test]
    fn counts_and_orders_that_make_no_sense_are_refused() {
        let keys = sample(&MasterKey::from_bytes(&[1; 32]));
        for count in [0, 4, 56, u32::MAX] {
            let block = encode_as(&keys, |block| block[12..16].copy_from_slice(&count.to_le_bytes()));
            assert!(matches!(decode(&block, &STORE), Err(KeysError::Damaged(_))), "{count}");
        }
        for order in [[0, 0, 1], [1, 0, 2]] {
            let keys = order.map(|index: usize| keys[index].clone());
            assert!(
                matches!(decode(&encode(&STORE, &keys), &STORE), Err(KeysError::Damaged(_))),
                "{order:?}"
            );
        }
    }
}
