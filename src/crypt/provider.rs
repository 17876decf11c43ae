//! Where the master key comes from: the environment, a file, or the program.

use super::master::{KeyError, MasterKey};
use super::secret::KEY_BYTES;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Hands out the key of an encrypted store. It is asked once when the store is opened or its key is changed, and the key is wiped after that.
///
/// A function is a provider too:
///
/// ```
/// use skipstone::{Database, KeyError, MasterKey};
///
/// # let dir = tempfile::tempdir()?;
/// # fn ask_the_key_service() -> Result<[u8; 32], std::io::Error> { Ok([7; 32]) }
/// let provider = || {
///     let bytes = ask_the_key_service().map_err(KeyError::provider)?;
///     Ok(MasterKey::from_bytes(&bytes))
/// };
/// assert!(skipstone::KeyProvider::key(&provider).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait KeyProvider: Send + Sync {
    /// The key.
    ///
    /// # Errors
    /// Why there is none; see [`KeyError::provider`] for reasons of your own. It ends up in the error of the call that needed the key.
    fn key(&self) -> Result<MasterKey, KeyError>;
}

impl<F: Fn() -> Result<MasterKey, KeyError> + Send + Sync> KeyProvider for F {
    fn key(&self) -> Result<MasterKey, KeyError> {
        self()
    }
}

/// Takes the key from an environment variable, which holds 64 hexadecimal digits.
///
/// Whoever may look at the process may see its environment, and children inherit it: a file is the better place.
#[derive(Clone, Debug)]
pub struct EnvKeyProvider {
    name: String,
}

impl EnvKeyProvider {
    /// From the variable of this name.
    pub fn new(name: impl Into<String>) -> EnvKeyProvider {
        EnvKeyProvider { name: name.into() }
    }
}

impl KeyProvider for EnvKeyProvider {
    fn key(&self) -> Result<MasterKey, KeyError> {
        let value =
            std::env::var_os(&self.name).ok_or_else(|| KeyError::NotSet { name: self.name.clone() })?;
        let value = Zeroizing::new(value.into_encoded_bytes());
        let malformed =
            || KeyError::Malformed { origin: format!("the environment variable `{}`", self.name) };
        MasterKey::parse_hex(&value).ok_or_else(malformed)
    }
}

/// Takes the key from a file, which holds 32 bytes, or 64 hexadecimal digits and at most one line end.
///
/// Nobody but the owner should be able to read it, and it belongs on another disk than the store.
#[derive(Clone, Debug)]
pub struct FileKeyProvider {
    file: PathBuf,
}

impl FileKeyProvider {
    /// From this file.
    pub fn new(file: impl Into<PathBuf>) -> FileKeyProvider {
        FileKeyProvider { file: file.into() }
    }
}

/// The longest contents: digits and a line end.
const FILE_BYTES_MAX: usize = 2 * KEY_BYTES + 2;

impl KeyProvider for FileKeyProvider {
    fn key(&self) -> Result<MasterKey, KeyError> {
        let failed = |source| KeyError::File { file: self.file.clone(), source: Arc::new(source) };
        // One byte more than may be there. Of this length from the start, so that no copy is left behind when it grows.
        let mut contents = Zeroizing::new([0; FILE_BYTES_MAX + 1]);
        let mut len = 0;
        let mut file = File::open(&self.file).map_err(failed)?;
        while len < contents.len() {
            match file.read(&mut contents[len..]) {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let malformed = || KeyError::Malformed { origin: format!("the key file `{}`", self.file.display()) };
        parse_file(&contents[..len]).ok_or_else(malformed)
    }
}

fn parse_file(contents: &[u8]) -> Option<MasterKey> {
    if let Ok(bytes) = contents.try_into() {
        return Some(MasterKey::from_bytes(bytes));
    }
    let line = contents.strip_suffix(b"\n").unwrap_or(contents);
    MasterKey::parse_hex(line.strip_suffix(b"\r").unwrap_or(line))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const DIGITS: &str = "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf";

    /// Whether it is the key in `DIGITS`.
    fn is_right(key: &MasterKey) -> bool {
        let (nonce, mut text) = (crate::crypt::random().unwrap(), *b"text");
        let tag = key.cipher().seal_in_place(&nonce, &[], &mut text);
        let right = MasterKey::from_hex(DIGITS).unwrap();
        right.cipher().open_in_place(&nonce, &[], &mut text, &tag).is_ok()
    }

    #[test]
    fn a_file_holds_bytes_or_digits_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let provider = FileKeyProvider::new(dir.path().join("key"));
        assert!(matches!(provider.key(), Err(KeyError::File { .. })));
        let bytes: Vec<u8> = (0xa0..0xc0).collect();
        let ends = ["", "\n", "\r\n"].map(|end| format!("{DIGITS}{end}").into_bytes());
        for good in ends.into_iter().chain([bytes.clone()]) {
            std::fs::write(dir.path().join("key"), &good).unwrap();
            assert!(is_right(&provider.key().unwrap()), "{good:?}");
        }
        let bad = [
            Vec::new(),
            bytes[1..].to_vec(),
            [&bytes[..], b"\n"].concat(),
            format!("{DIGITS}\n\n").into_bytes(),
            format!(" {DIGITS}").into_bytes(),
            format!("{DIGITS}{DIGITS}").into_bytes(),
            vec![b'a'; 1 << 20],
        ];
        for bad in bad {
            std::fs::write(dir.path().join("key"), &bad).unwrap();
            let error = provider.key().unwrap_err();
            assert!(matches!(error, KeyError::Malformed { .. }), "{error}");
            assert!(error.to_string().contains("/key`"), "{error}");
        }
    }

    #[test]
    fn a_variable_that_is_not_set_or_holds_no_key_is_named() {
        let error = EnvKeyProvider::new("SKIPSTONE_TEST_NO_SUCH_KEY").key().unwrap_err();
        assert!(error.to_string().contains("`SKIPSTONE_TEST_NO_SUCH_KEY` is not set"), "{error}");
        let error = EnvKeyProvider::new("PATH").key().unwrap_err();
        assert!(error.to_string().contains("`PATH` holds no key"), "{error}");
    }

    #[test]
    fn a_function_says_why_it_has_no_key() {
        let provider = || Err(KeyError::provider("the key service is away"));
        let error = KeyProvider::key(&provider).unwrap_err();
        assert_eq!(error.to_string(), "the key could not be had: the key service is away");
    }
}
