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

/// A slow collector must not take back an announcement that a faster one made, or the past would be open again.
#[test]
fn the_announcement_never_goes_back() {
    explore("announcement", || {
        let active = Arc::new(Active::new());
        let other = {
            let active = Arc::clone(&active);
            thread::spawn(move || active.advance(Lsn::new(16), &epoch::pin()).announced())
        };
        assert_eq!(active.advance(Lsn::new(24), &epoch::pin()).announced(), Lsn::new(24));
        assert!(active.register_at(Lsn::new(16)).is_err(), "registered where a horizon has been already");
        assert!(other.join().unwrap() >= Lsn::new(16));
    });
}

/// The slot is written before the floor is looked at: what is not gone by then stays.
#[test]
fn a_position_of_the_past_is_kept_or_refused() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore("registering the past", move || {
        let active = Arc::new(Active::new());
        let collector = {
            let active = Arc::clone(&active);
            thread::spawn(move || active.advance(Lsn::new(16), &epoch::pin()).oldest())
        };
        let registered = active.register_at(Lsn::new(8));
        let oldest = collector.join().unwrap();
        if registered.is_ok() {
            assert!(oldest <= Lsn::new(8), "a horizon went past a registered position");
        }
        noted.note(registered.is_ok());
    });
    outcomes.expect(&["false", "true"]);
}

/// One collector goes less far than another has announced already, as when more is to be kept from now on. Its horizon goes by what was announced, and by
/// who was there after that.
#[test]
fn a_collector_that_goes_less_far_takes_nothing_either() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore("registry, a lower floor", move || {
        let active = Arc::new(Active::new());
        let collect = |to: u64| {
            let active = Arc::clone(&active);
            thread::spawn(move || {
                let guard = epoch::pin();
                let horizon = active.advance(Lsn::new(to), &guard);
                (horizon.announced(), horizon.oldest())
            })
        };
        let (further, less) = (collect(24), collect(8));
        let registered = active.register_at(Lsn::new(16));
        let (further, less) = (further.join().unwrap(), less.join().unwrap());
        if registered.is_ok() {
            assert!(
                [further.1, less.1].iter().all(|oldest| *oldest <= Lsn::new(16)),
                "past a registered position"
            );
        }
        noted.note((registered.is_ok(), less.0 == Lsn::new(24)));
    });
    outcomes.expect(&["(false, false)", "(false, true)", "(true, false)", "(true, true)"]);
}

/// Two owners of one slot read, let go, and only then may a collector free what they read: loom's cell reports the race otherwise.
#[test]
fn the_reads_of_all_owners_come_before_the_pruning() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore("owners of one slot", move || {
        let (active, end) = (Arc::new(Active::new()), LogEnd::new(Lsn::new(8)));
        let payload = Arc::new(crate::sync::cell::UnsafeCell::new(1));
        let registration = active.register(&end);
        let position = registration.position();
        let readers = [registration.clone(), registration].map(|registration| {
            let payload = Arc::clone(&payload);
            thread::spawn(move || {
                // SAFETY: loom checks that nobody writes meanwhile.
                payload.with(|payload| assert_eq!(unsafe { *payload }, 1));
                drop(registration);
            })
        });
        let guard = epoch::pin();
        let free = active.advance(Lsn::new(24), &guard).oldest() > position;
        if free {
            // SAFETY: loom checks that nobody reads meanwhile.
            payload.with_mut(|payload| unsafe { *payload = 0 });
        }
        noted.note(free);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    outcomes.expect(&["false", "true"]);
}
