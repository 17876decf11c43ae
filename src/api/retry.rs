//! Trying a transaction again after a conflict: at once, then after random pauses that grow.

use super::{Error, Result};
use std::time::Duration;

/// Conflicts that are tried again at once: the other transaction is mostly through.
const AT_ONCE: u32 = 3;
/// Conflicts that are tried again after giving the processor away.
const YIELDS: u32 = 8;
const PAUSE_MAX: Duration = Duration::from_millis(1);

/// Runs `attempt` until it does not conflict, `retries` times more at most.
pub(super) fn retry<T>(retries: u32, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let mut tried = 0;
    loop {
        tried += 1;
        match attempt() {
            Err(Error::Conflict { keyspace, conflict, .. }) => {
                if tried > retries {
                    return Err(Error::Conflict { keyspace, conflict, attempts: tried });
                }
                pause(tried);
            }
            other => return other,
        }
    }
}

fn pause(tried: u32) {
    if tried <= AT_ONCE {
        return;
    }
    if tried <= YIELDS {
        return crate::sync::thread::yield_now();
    }
    let doublings = (tried - YIELDS).min(10);
    let longest = Duration::from_micros(1 << doublings).min(PAUSE_MAX);
    crate::sync::nap(longest.mul_f64(fastrand::f64()));
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::txn::error::{Conflict, ConflictKind};

    fn conflict() -> Error {
        let conflict = Conflict { kind: ConflictKind::Write, key: vec![7], winner: None };
        Error::Conflict { keyspace: "k".into(), conflict, attempts: 1 }
    }

    #[test]
    fn the_error_says_how_often_it_was_tried() {
        let error = retry(4, || Err::<(), _>(conflict())).unwrap_err();
        assert!(matches!(error, Error::Conflict { attempts: 5, .. }), "{error}");
        assert!(error.to_string().contains("tried 5 times"), "{error}");
    }

    #[test]
    fn another_error_is_not_tried_again() {
        let mut tried = 0;
        let result = retry(4, || {
            tried += 1;
            if tried == 2 { Err::<(), _>(Error::Closed) } else { Err(conflict()) }
        });
        assert!(matches!(result, Err(Error::Closed)));
        assert_eq!(tried, 2);
    }
}
