//! Invariant 4: a version reachable from a live snapshot is not freed; every unreachable version is freed exactly once.
//!
//! The canaries in versions, states and nodes fail a model that uses one after it was freed, or frees it twice.

use super::*;
use crate::lsn::Lsn;
use loom::thread;

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

/// A later writer prunes while the earlier one is committed and has not stamped: it will still write to its version.
#[test]
fn an_unstamped_version_is_not_pruned() {
    explore("unstamped", || {
        let store = store();
        let first = {
            let store = Arc::clone(&store);
            thread::spawn(move || put(&store, &[(b"a", Some(1))]).is_ok())
        };
        // Blind, so that nothing stands in the way of the second but an undecided first.
        let mut second = begin(&store, Isolation::ReadCommitted);
        second.put(space(&store), b"a", Some(&[2]));
        let second = second.commit().is_ok();
        // Everything that may go goes.
        store.end().reserve(8);
        store.sweep(|| true);
        let first = first.join().unwrap();
        assert!(first || second);
        assert!(read(&store, b"a").is_some());
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
        let store = store();
        put(&store, &[(b"a", Some(1))]).unwrap();
        let writer = {
            let store = Arc::clone(&store);
            thread::spawn(move || put(&store, &[(b"a", Some(2))]).unwrap())
        };
        let snapshot = store.snapshot();
        writer.join().unwrap();
        // Everything that may go goes.
        store.sweep(|| true);
        let expected = if snapshot.position() > Lsn::new(16) { 2 } else { 1 };
        assert_eq!(snapshot.get(space(&store), b"a").map(|seen| seen.value[0]), Some(expected));
    });
}

#[test]
fn what_nobody_can_reach_is_freed_exactly_once() {
    explore("freed once", || {
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
