//! The registry of snapshots by itself, small enough for three threads.

use super::*;
use crate::mvcc::active::Active;
use loom::thread;

/// Collectors on two threads, a reader on the third: whatever a horizon of theirs calls garbage, the reader does not see.
#[test]
fn no_horizon_takes_what_a_registered_position_sees() {
    explore("registry, two collectors", || {
        let (active, end) = (Arc::new(Active::new()), Arc::new(LogEnd::new(Lsn::new(8))));
        let collect = |active: Arc<Active>, end: Arc<LogEnd>| {
            move || {
                end.reserve(8);
                let guard = epoch::pin();
                let horizon = active.advance(end.load(), &guard);
                (horizon.announced(), horizon.oldest())
            }
        };
        let other = thread::spawn(collect(Arc::clone(&active), Arc::clone(&end)));
        let third = thread::spawn(collect(Arc::clone(&active), Arc::clone(&end)));
        let registration = active.register(&end);
        let position = registration.position();
        for (announced, oldest) in [other.join().unwrap(), third.join().unwrap()] {
            assert!(oldest <= position || position >= announced, "below the horizon, and not in its list");
        }
        let guard = epoch::pin();
        let now = active.advance(end.load(), &guard);
        assert!(now.oldest() <= position, "a live snapshot is not in the list");
    });
}

#[test]
fn slots_are_leased_to_one_at_a_time() {
    explore("slot leases", || {
        let (active, end) = (Arc::new(Active::new()), Arc::new(LogEnd::new(Lsn::new(8))));
        let other = {
            let (active, end) = (Arc::clone(&active), Arc::clone(&end));
            thread::spawn(move || active.register(&end))
        };
        let mine = active.register(&end);
        let theirs = other.join().unwrap();
        assert_eq!(active.open().0, 2);
        drop(mine);
        assert_eq!(active.open().0, 1);
        drop(theirs);
        assert_eq!(active.open().0, 0);
    });
}
