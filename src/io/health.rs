//! A store's health: sound, or poisoned for good by the first write or flush that failed.
//!
//! After a failed flush the kernel marks the pages clean and reports the error once; a second flush "succeeds" with
//! the data gone. So the first failure is final: nothing is acknowledged after it, and only opening the store again,
//! which reads what really is on the disk, cures it. The first error wins: later ones are its consequences.

use super::IoError;
use crate::sync::atomic::{AtomicBool, Ordering};
use std::sync::OnceLock;

/// Whether writing may go on, shared by all who write.
#[derive(Default)]
pub(crate) struct Health {
    /// Set after `cause`, never cleared: what the hot path looks at.
    poisoned: AtomicBool,
    cause: OnceLock<IoError>,
}

impl Health {
    /// Whether a write or a flush has failed; one load.
    pub(crate) fn is_poisoned(&self) -> bool {
        // Acquire: pairs with the store in `poison`, so whoever sees the flag finds the cause.
        self.poisoned.load(Ordering::Acquire)
    }

    /// Records a failure. From its return on, `check` fails on every thread that learns of the return.
    pub(crate) fn poison(&self, error: IoError) {
        // When another thread came first its cause is in place when `set` returns, and stays.
        let _ = self.cause.set(error);
        // Release: pairs with the load in `is_poisoned`. A late-comer stores too: the first may not have got here.
        self.poisoned.store(true, Ordering::Release);
    }

    /// The failure that poisoned the store, if one did.
    pub(crate) fn check(&self) -> Result<(), IoError> {
        if !self.is_poisoned() {
            return Ok(());
        }
        Err(self.cause.get().expect("the cause is set before the flag").clone())
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::io::IoOperation;
    use std::io;
    use std::path::Path;

    fn error(file: &str) -> IoError {
        IoError::new(IoOperation::Flush, Path::new(file), io::Error::other("lost"))
    }

    #[test]
    fn sound_until_poisoned_and_the_first_error_wins() {
        let health = Health::default();
        assert!(!health.is_poisoned());
        health.check().unwrap();
        health.poison(error("first"));
        health.poison(error("second"));
        assert!(health.is_poisoned());
        assert_eq!(health.check().unwrap_err().file(), Path::new("first"));
    }

    #[test]
    fn of_racing_failures_one_wins_and_everybody_sees_it() {
        let health = Health::default();
        let seen: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|n| {
                    let health = &health;
                    scope.spawn(move || {
                        health.poison(error(&n.to_string()));
                        health.check().unwrap_err().file().to_path_buf()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
    }
}
