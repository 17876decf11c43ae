//! The data keys of an open store, by generation.
//!
//! The key of a generation never changes, and generations are only added: so whoever has read a generation finds its key without a lock. Those
//! that nothing on the disk needs any more are taken out of the file, and forgotten when the store is closed.
//!
//! | step of a rotation | the file | in use |
//! | --- | --- | --- |
//! | [`Keyring::add_generation`] | the new key, and the others, all sealed with the new master key | the old one still |
//! | [`Keyring::switch_to`] | the same | the new one |
//! | [`Keyring::retire_before`] | the new key alone | the new one |

use super::cipher::Cipher;
use super::keys_file::{self, FIRST, Generation, KeysError, Wrapped};
use super::master::MasterKey;
use super::secret::Secret;
use crate::io::{Device, IoError};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Mutex, lock};
use std::fmt;
use std::sync::OnceLock;

const GENERATIONS: usize = Generation::MAX.get() as usize + 1;

/// See the module.
pub(crate) struct Keyring {
    store: [u8; 16],
    /// By generation.
    ciphers: Box<[OnceLock<Cipher>]>,
    current: AtomicU32,
    /// What the file holds; locked while it is replaced.
    wrapped: Mutex<Vec<Wrapped>>,
}

impl Keyring {
    /// Makes the file of a new store, with one key in it.
    pub(crate) fn create(
        device: &dyn Device,
        store: &[u8; 16],
        master: &MasterKey,
    ) -> Result<Keyring, IoError> {
        let key = Secret::random()?;
        let wrapped = vec![Wrapped::wrap(store, FIRST, &key, master)?];
        keys_file::replace(device, store, &wrapped)?;
        Ok(Keyring::new(store, wrapped, vec![Cipher::new(key)]))
    }

    /// Opens the file of a store that is there.
    pub(crate) fn open(
        device: &dyn Device,
        store: &[u8; 16],
        master: &MasterKey,
    ) -> Result<Keyring, KeysError> {
        let wrapped = keys_file::read(device, store)?;
        let ciphers: Result<Vec<_>, _> = wrapped.iter().map(|key| key.unwrap(store, master)).collect();
        Ok(Keyring::new(store, wrapped, ciphers.map_err(|_| KeysError::WrongKey)?))
    }

    fn new(store: &[u8; 16], wrapped: Vec<Wrapped>, ciphers: Vec<Cipher>) -> Keyring {
        let newest = wrapped.last().expect("a file holds at least one key").generation;
        let keyring = Keyring {
            store: *store,
            ciphers: (0..GENERATIONS).map(|_| OnceLock::new()).collect(),
            current: AtomicU32::new(u32::from(newest.get())),
            wrapped: Mutex::new(Vec::new()),
        };
        for (key, cipher) in wrapped.iter().zip(ciphers) {
            keyring.set(key.generation, cipher);
        }
        *lock(&keyring.wrapped) = wrapped;
        keyring
    }

    /// One with keys of these generations and no file, of which the first is in use.
    #[cfg(all(test, any(loom, shuttle)))]
    pub(crate) fn of(generations: impl IntoIterator<Item = Generation>) -> Keyring {
        let (store, master) = ([0; 16], MasterKey::from_bytes(&[1; 32]));
        let keys = generations.into_iter().map(|generation| {
            let key = Secret::random().expect("the system has random numbers");
            let wrapped = Wrapped::wrap(&store, generation, &key, &master).expect("the same");
            (wrapped, Cipher::new(key))
        });
        let (wrapped, ciphers): (Vec<_>, Vec<_>) = keys.unzip();
        let first = wrapped[0].generation;
        let keyring = Keyring::new(&store, wrapped, ciphers);
        keyring.switch_to(first);
        keyring
    }

    fn set(&self, generation: Generation, cipher: Cipher) {
        let set = self.ciphers[usize::from(generation.get())].set(cipher);
        assert!(set.is_ok(), "the key of a generation never changes");
    }

    /// What to seal with now.
    #[inline]
    pub(crate) fn current(&self) -> (Generation, &Cipher) {
        // Acquire: pairs with the release in `switch_to`; the key was put there before.
        let current = self.current.load(Ordering::Acquire);
        let generation =
            u8::try_from(current).ok().and_then(Generation::new).expect("a generation was stored");
        (generation, self.cipher(generation).expect("a generation in use has a key"))
    }

    /// What a generation was sealed with, if that is still known.
    pub(crate) fn cipher(&self, generation: Generation) -> Option<&Cipher> {
        self.ciphers[usize::from(generation.get())].get()
    }

    /// Makes a new data key, and seals it and those that are there with `master`: from then on no other master key opens the store. Nothing is
    /// sealed with the new one before [`Keyring::switch_to`].
    ///
    /// None if there is no generation left, or no room in the file. On an error in the end the file may be the old one or the new one, and the old key is in use still; trying again is fine.
    pub(crate) fn add_generation(
        &self,
        device: &dyn Device,
        master: &MasterKey,
    ) -> Result<Option<Generation>, IoError> {
        let mut wrapped = lock(&self.wrapped);
        let newest = wrapped.last().expect("a file holds at least one key").generation;
        let Some(generation) = newest.checked_add(1).filter(|_| wrapped.len() < keys_file::ENTRIES_MAX)
        else {
            return Ok(None);
        };
        let key = Secret::random()?;
        let mut renewed = Vec::with_capacity(wrapped.len() + 1);
        for old in wrapped.iter() {
            let cipher = self.cipher(old.generation).expect("what the file holds is known");
            renewed.push(Wrapped::wrap(&self.store, old.generation, cipher.key(), master)?);
        }
        renewed.push(Wrapped::wrap(&self.store, generation, &key, master)?);
        keys_file::replace(device, &self.store, &renewed)?;
        *wrapped = renewed;
        self.set(generation, Cipher::new(key));
        Ok(Some(generation))
    }

    /// From now on [`Keyring::current`] is this generation, for everybody who comes after us.
    pub(crate) fn switch_to(&self, generation: Generation) {
        debug_assert!(self.cipher(generation).is_some());
        // Release: pairs with the acquire in `current`.
        self.current.store(u32::from(generation.get()), Ordering::Release);
    }

    /// The oldest generation that the file holds.
    pub(crate) fn oldest(&self) -> Generation {
        lock(&self.wrapped).first().expect("a file holds at least one key").generation
    }

    /// Takes the keys before `generation` out of the file: nothing on the disk is sealed with them any more.
    pub(crate) fn retire_before(&self, device: &dyn Device, generation: Generation) -> Result<(), IoError> {
        let mut wrapped = lock(&self.wrapped);
        let kept: Vec<_> = wrapped.iter().filter(|key| key.generation >= generation).cloned().collect();
        assert!(!kept.is_empty(), "the key in use stays");
        if kept.len() < wrapped.len() {
            keys_file::replace(device, &self.store, &kept)?;
            *wrapped = kept;
        }
        Ok(())
    }

    /// Whether the file is what was written there last.
    pub(crate) fn check_file(&self, device: &dyn Device) -> Result<(), KeysError> {
        let found = keys_file::read(device, &self.store)?;
        let is_same = found == *lock(&self.wrapped);
        if is_same { Ok(()) } else { Err(KeysError::Damaged("it is not what was written there last")) }
    }

    /// Tells what the file holds from what it held before the key was changed, or after.
    pub(crate) fn fingerprint(&self) -> u32 {
        keys_file::fingerprint(&self.store, &lock(&self.wrapped))
    }

    /// Writes the file to another directory, which becomes a copy of the store. Returns the fingerprint of what was written.
    pub(crate) fn copy_to(&self, target: &dyn Device) -> Result<u32, IoError> {
        let wrapped = lock(&self.wrapped);
        keys_file::replace(target, &self.store, &wrapped)?;
        Ok(keys_file::fingerprint(&self.store, &wrapped))
    }
}

/// Says which generation is in use, and nothing of the keys.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("current", &self.current().0).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::io::{CrashOutcome, SimulatedDisk};

    const STORE: [u8; 16] = [7; 16];

    fn master(byte: u8) -> MasterKey {
        MasterKey::from_bytes(&[byte; 32])
    }

    /// A text that only this generation's key opens.
    fn seal(keyring: &Keyring) -> (Generation, [u8; 24], Vec<u8>, [u8; 16]) {
        let (generation, cipher) = keyring.current();
        let (nonce, mut text) = (crate::crypt::random().unwrap(), b"the text".to_vec());
        let tag = cipher.seal_in_place(&nonce, &[], &mut text);
        (generation, nonce, text, tag)
    }

    fn opens(
        keyring: &Keyring,
        (generation, nonce, text, tag): &(Generation, [u8; 24], Vec<u8>, [u8; 16]),
    ) -> bool {
        keyring
            .cipher(*generation)
            .is_some_and(|cipher| cipher.open_in_place(nonce, &[], &mut text.clone(), tag).is_ok())
    }

    #[test]
    fn keys_survive_reopening_and_only_the_right_master_key_opens_them() {
        let disk = SimulatedDisk::new(1);
        let sealed = seal(&Keyring::create(&disk, &STORE, &master(1)).unwrap());
        assert!(opens(&Keyring::open(&disk, &STORE, &master(1)).unwrap(), &sealed));
        assert!(matches!(Keyring::open(&disk, &STORE, &master(2)), Err(KeysError::WrongKey)));
        disk.corrupt(FILE, 40, 1);
        assert!(matches!(Keyring::open(&disk, &STORE, &master(1)), Err(KeysError::Damaged(_))));
        disk.remove(FILE).unwrap();
        let error = Keyring::open(&disk, &STORE, &master(1)).unwrap_err();
        assert!(matches!(error, KeysError::Damaged(_)) && error.to_string().contains("missing"), "{error}");
    }

    const FILE: &str = keys_file::FILE_NAME;

    #[test]
    fn a_rotation_leaves_the_old_master_key_useless_and_the_old_data_readable() {
        let disk = SimulatedDisk::new(1);
        let keyring = Keyring::create(&disk, &STORE, &master(1)).unwrap();
        let old = seal(&keyring);
        let second = keyring.add_generation(&disk, &master(2)).unwrap().unwrap();
        assert_eq!(keyring.current().0, FIRST, "not before it is switched to");
        keyring.switch_to(second);
        let new = seal(&keyring);
        assert_eq!((new.0, keyring.oldest()), (second, FIRST));
        assert!(matches!(Keyring::open(&disk, &STORE, &master(1)), Err(KeysError::WrongKey)));
        let reopened = Keyring::open(&disk, &STORE, &master(2)).unwrap();
        assert!(opens(&reopened, &old) && opens(&reopened, &new) && reopened.current().0 == second);

        let copy = SimulatedDisk::new(2);
        keyring.copy_to(&copy).unwrap();
        keyring.retire_before(&disk, second).unwrap();
        keyring.retire_before(&disk, second).unwrap();
        let reopened = Keyring::open(&disk, &STORE, &master(2)).unwrap();
        assert!(!opens(&reopened, &old) && opens(&reopened, &new) && reopened.oldest() == second);
        assert!(opens(&Keyring::open(&copy, &STORE, &master(2)).unwrap(), &old));
    }

    #[test]
    fn a_crash_leaves_the_old_keys_or_the_new_ones() {
        for operations in 0.. {
            for outcome in [CrashOutcome::KeepAll, CrashOutcome::DropAll, CrashOutcome::Random(operations)] {
                let disk = SimulatedDisk::new(operations);
                let keyring = Keyring::create(&disk, &STORE, &master(1)).unwrap();
                let old = seal(&keyring);
                disk.crash_after(operations);
                let rotated = keyring.add_generation(&disk, &master(2));
                let left = disk.after_crash(outcome);
                let found = Keyring::open(&left, &STORE, &master(1))
                    .or_else(|_| Keyring::open(&left, &STORE, &master(2)))
                    .unwrap_or_else(|error| panic!("{operations}, {outcome:?}: {error}"));
                assert!(opens(&found, &old));
                assert!(rotated.is_err() || found.current().0.get() == 2, "{operations}, {outcome:?}");
                // Whichever it was, it goes on from there.
                assert!(found.add_generation(&left, &master(3)).unwrap().is_some());
                assert!(opens(&Keyring::open(&left, &STORE, &master(3)).unwrap(), &old));
                if rotated.is_ok() {
                    return;
                }
            }
        }
    }

    #[test]
    fn generations_end_with_an_error() {
        let disk = SimulatedDisk::new(1);
        let keyring = Keyring::create(&disk, &STORE, &master(1)).unwrap();
        for expected in 2..=u8::MAX {
            let generation = keyring.add_generation(&disk, &master(1)).unwrap().unwrap();
            assert_eq!(generation.get(), expected);
            keyring.switch_to(generation);
            // Now and then, so that many are there at a time.
            if expected % 50 == 0 {
                keyring.retire_before(&disk, generation).unwrap();
            }
        }
        assert_eq!(keyring.add_generation(&disk, &master(1)).unwrap(), None);
        let disk = SimulatedDisk::new(2);
        let keyring = Keyring::create(&disk, &STORE, &master(1)).unwrap();
        let added = (0..100).map_while(|_| keyring.add_generation(&disk, &master(1)).unwrap()).count();
        assert_eq!(added, 54, "as many as fit the block, the first one not counted");
        assert!(Keyring::open(&disk, &STORE, &master(1)).is_ok());
    }

    #[test]
    fn nothing_shows_a_key() {
        let disk = SimulatedDisk::new(1);
        let keyring = Keyring::create(&disk, &STORE, &master(1)).unwrap();
        let shown = format!("{keyring:?} {:?}", keyring.current());
        let byte = |byte: &u8| shown.contains(&format!("{byte}, ")) || shown.contains(&format!("{byte:02x}"));
        assert!(keyring.current().1.key().bytes().iter().filter(|found| byte(found)).count() < 8, "{shown}");
        assert_eq!(shown, "Keyring { current: 1, .. } (1, Cipher(Secret(..)))");
    }
}
