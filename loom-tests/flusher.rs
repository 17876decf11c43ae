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
        flusher.request(Urgency::Soon);
        flusher.request(Urgency::Now);
        flusher.close();
        let rounds = thread.join().unwrap();
        assert!(rounds <= 2);
    });
}
