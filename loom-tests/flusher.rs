//! Requests to the flusher are not lost, and closing it ends it.

use super::*;
use crate::log::{Flusher, Urgency};
use loom::thread;
use std::time::Duration;

#[test]
fn a_request_is_taken_up_and_a_close_ends_it() {
    explore("flusher", || {
        let flusher = Arc::new(Flusher::new());
        let thread = {
            let flusher = Arc::clone(&flusher);
            thread::spawn(move || {
                let mut rounds = 0;
                while flusher.wait_for_request(Duration::from_millis(1)) {
                    rounds += 1;
                }
                rounds
            })
        };
        assert!(flusher.request(Urgency::Soon));
        assert!(flusher.request(Urgency::Now));
        flusher.close();
        let rounds = thread.join().unwrap();
        assert!(rounds <= 2);
    });
}

/// A request that finds another one waiting leaves it at that: then that one must cover what came before it.
#[test]
fn a_request_covers_what_was_reserved_before_it() {
    explore("covered requests", || {
        let (flusher, end) = (Arc::new(Flusher::new()), Arc::new(LogEnd::new(Lsn::ZERO)));
        let requests = [(); 2].map(|()| {
            let (flusher, end) = (Arc::clone(&flusher), Arc::clone(&end));
            thread::spawn(move || {
                end.reserve(8);
                assert!(flusher.request(Urgency::Soon));
            })
        });
        let mut covered = Lsn::ZERO;
        while covered < Lsn::new(16) {
            assert!(flusher.wait_for_request(Duration::from_millis(1)));
            covered = end.load();
        }
        requests.into_iter().for_each(|request| request.join().unwrap());
    });
}

/// A request on the way while the log is closed: the last round covers it, or it is told that nobody will.
#[test]
fn a_request_beside_a_close_is_covered_or_told() {
    explore("a request beside a close", || {
        let (flusher, end) = (Arc::new(Flusher::new()), Arc::new(LogEnd::new(Lsn::ZERO)));
        let thread = {
            let (flusher, end) = (Arc::clone(&flusher), Arc::clone(&end));
            // As `Log::run_flusher`.
            thread::spawn(move || {
                loop {
                    let goes_on = flusher.wait_for_request(Duration::from_millis(1));
                    let covered = end.load();
                    if !goes_on {
                        return covered;
                    }
                }
            })
        };
        let request = |flusher: &Flusher, end: &LogEnd| {
            let reserved = end.reserve(8).plus(8);
            (reserved, flusher.request(Urgency::Soon))
        };
        // It may find the other's request, and leave it at that.
        let other = {
            let (flusher, end) = (Arc::clone(&flusher), Arc::clone(&end));
            thread::spawn(move || {
                let requested = request(&flusher, &end);
                flusher.close();
                requested
            })
        };
        let requested = [request(&flusher, &end), other.join().unwrap()];
        let covered = thread.join().unwrap();
        for (reserved, is_taken_up) in requested {
            assert!(!is_taken_up || covered >= reserved);
        }
    });
}
