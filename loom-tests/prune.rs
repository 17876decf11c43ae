//! Invariant 4: a version reachable from a live snapshot is not freed; every unreachable version is freed exactly once.
//!
//! The canaries in versions, states and nodes fail a model that uses one after it was freed, or frees it twice.

use super::*;
use crate::mvcc::active::Active;
use crate::mvcc::chain::Record;
use crate::mvcc::own_state::OwnState;
use crate::mvcc::prune::prune;
use crate::mvcc::state::Phase;
use crate::mvcc::version::Version;
use loom::thread;
use std::ptr::NonNull;

#[test]
fn a_new_snapshot_finds_what_it_sees() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore("register against prune", move || {
        let store = store();
        put(&store, &[(b"a", Some(1))]).unwrap();
        let writer = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                put(&store, &[(b"a", Some(2))]).unwrap();
                put(&store, &[(b"a", Some(3))]).unwrap();
            })
        };
        let snapshot = store.snapshot();
        let look = || snapshot.get(space(&store), b"a").expect("the key is always there").value[0];
        let seen = look();
        noted.note(seen);
        assert_eq!(seen, look());
        writer.join().unwrap();
        assert_eq!(seen, look(), "pruned under a live snapshot");
    });
    outcomes.expect(&["1", "2", "3"]);
}

/// A version of ours alone, committed at a position that is taken right now.
fn stamped(end: &LogEnd) -> (NonNull<Version>, Lsn) {
    let (version, lsn) = (Version::new(Some(&[1])), end.reserve(8));
    // SAFETY: not published yet.
    unsafe { version.as_ref() }.set_stamp(lsn);
    (version, lsn)
}

fn install(record: &Record, version: NonNull<Version>) {
    record.install(version, Lsn::new(u64::MAX), &epoch::pin()).unwrap();
}

/// A record, an end of the log, and nobody who reads.
#[derive(Clone)]
struct Alone {
    record: Arc<Record>,
    end: Arc<LogEnd>,
    active: Arc<Active>,
}

impl Alone {
    fn new() -> Alone {
        let (record, end) = (Arc::new(Record::new()), Arc::new(LogEnd::new(Lsn::new(8))));
        Alone { record, end, active: Arc::new(Active::new()) }
    }

    fn prune(&self) -> usize {
        let guard = epoch::pin();
        let horizon = self.active.advance(self.end.load(), &guard);
        prune(&self.record, horizon, &guard).versions
    }
}

/// A later writer prunes while the earlier one is committed and has not stamped: it will still write to its version.
#[test]
fn an_unstamped_version_is_not_pruned() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore("unstamped", move || {
        let alone = Alone::new();
        let owner = {
            let Alone { record, end, .. } = alone.clone();
            thread::spawn(move || {
                let (state, version) = (OwnState::new(), Version::new(Some(&[1])));
                // SAFETY: linked and not stamped, so that it is not pruned.
                let header = unsafe { version.as_ref() };
                header.begin(state.address());
                install(&record, version);
                let before = end.load();
                state.position(before).unwrap();
                let lsn = end.reserve(8);
                state.commit(Phase::Positioning(before), lsn).unwrap();
                header.set_stamp(lsn);
                state.retire();
            })
        };
        let is_committed = alone.record.newest(&epoch::pin()).unwrap().is_some();
        if is_committed {
            install(&alone.record, stamped(&alone.end).0);
            noted.note(alone.prune());
        }
        owner.join().unwrap();
    });
    outcomes.expect(&["0", "1"]);
}

/// Both come upon the same garbage, for horizons of their own.
#[test]
fn of_two_pruners_one_unlinks_a_version() {
    explore("two pruners", || {
        let alone = Alone::new();
        let baseline = Canary::alive();
        (0..3).for_each(|_| install(&alone.record, stamped(&alone.end).0));
        let other = {
            let alone = alone.clone();
            thread::spawn(move || alone.prune())
        };
        alone.end.reserve(8);
        let unlinked = alone.prune() + other.join().unwrap();
        assert!(unlinked <= 2, "one is the newest");
        assert_eq!(Canary::alive() - baseline, 3 - unlinked, "unlinked, and freed");
    });
}

#[test]
fn a_snapshot_of_the_past_is_whole_or_refused() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore("at(p)", move || {
        let store = store();
        put(&store, &[(b"a", Some(1))]).unwrap();
        let past = store.end().load();
        let writer = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                put(&store, &[(b"a", Some(2))]).unwrap();
                put(&store, &[(b"a", Some(3))]).unwrap();
            })
        };
        let snapshot = store.snapshot_at(past);
        noted.note(snapshot.is_ok());
        if let Ok(snapshot) = snapshot {
            let look = || snapshot.get(space(&store), b"a").map(|seen| seen.value[0]);
            assert_eq!(look(), Some(1), "history is gone, and nobody said so");
            writer.join().unwrap();
            assert_eq!(look(), Some(1), "pruned under a live snapshot");
        } else {
            writer.join().unwrap();
        }
    });
    outcomes.expect(&["false", "true"]);
}

/// From so many bytes to everything from a position on, beside who commits: there is no moment in which neither keeps anything.
#[test]
fn what_either_setting_keeps_stays_while_they_change() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore("retention changed", move || {
        let store = Arc::new(Store::new(Arc::new(LogEnd::new(Lsn::new(8))), 1 << 20));
        put(&store, &[(b"a", Some(1))]).unwrap();
        let past = store.end().load();
        let other = {
            let store = Arc::clone(&store);
            thread::spawn(move || store.retain(0, Some(past)))
        };
        store.end().reserve(8);
        noted.note(store.advance_horizon(&epoch::pin()).announced() == past);
        other.join().unwrap();
        assert!(store.snapshot_at(past).is_ok(), "history is gone that was to be kept");
    });
    outcomes.expect(&["false", "true"]);
}

#[test]
fn clones_share_a_slot_until_the_last_is_dropped() {
    explore("shared slots", || {
        let store = store();
        put(&store, &[(b"a", Some(1))]).unwrap();
        let snapshot = store.snapshot();
        let clone = snapshot.clone();
        put(&store, &[(b"a", Some(2))]).unwrap();
        let reader = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                assert_eq!(clone.get(space(&store), b"a").map(|seen| seen.value[0]), Some(1));
            })
        };
        drop(snapshot);
        put(&store, &[(b"a", Some(3))]).unwrap();
        reader.join().unwrap();
    });
}

/// The announced position itself may be on its way to a slot.
#[test]
fn the_horizon_is_strict() {
    explore("strict horizon", || {
        let alone = Alone::new();
        install(&alone.record, stamped(&alone.end).0);
        let pruner = {
            let alone = alone.clone();
            thread::spawn(move || alone.prune())
        };
        let registration = alone.active.register(&alone.end);
        let seen = || {
            let guard = epoch::pin();
            alone.record.visible(registration.position(), &guard).unwrap().map(|seen| seen.lsn)
        };
        let before = seen().expect("there is one");
        install(&alone.record, stamped(&alone.end).0);
        assert_eq!(seen(), Some(before), "pruned under a live snapshot");
        pruner.join().unwrap();
        assert_eq!(seen(), Some(before), "pruned under a live snapshot");
    });
}

#[test]
fn what_nobody_can_reach_is_freed_exactly_once() {
    explore_within(1, "freed once", || {
        let store = store();
        let baseline = Canary::alive();
        put(&store, &[(b"a", Some(1))]).unwrap();
        let writer = {
            let store = Arc::clone(&store);
            thread::spawn(move || put(&store, &[(b"a", Some(2))]).is_ok())
        };
        let mine = put(&store, &[(b"a", Some(3))]).is_ok();
        assert!(writer.join().unwrap() || mine);
        // Nobody reads any more; one commit elsewhere moves the end on, so that everything superseded is below the horizon.
        store.end().reserve(8);
        store.sweep(|| true);
        drop(epoch::pin());
        assert_eq!(Canary::alive() - baseline, 2, "the node of the key, and its newest version");
    });
}
