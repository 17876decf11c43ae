//! Invariant 3: a serializable execution has no cycle.

use super::*;
use loom::thread;

/// A transaction that reads one key and, from what it saw, writes another.
fn read_then_write(
    store: &Arc<Store>,
    from: &'static [u8],
    to: &'static [u8],
) -> impl FnOnce() -> bool + use<> {
    let store = Arc::clone(store);
    move || {
        let mut txn = begin(&store, Isolation::Serializable);
        let seen = value(txn.get(space(&store), from));
        if seen.is_some() {
            return false;
        }
        txn.put(space(&store), to, Some(&[1]));
        txn.commit().is_ok()
    }
}

#[test]
fn write_skew_on_absent_keys_is_refused() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore("write skew", move || {
        let store = store();
        let other = thread::spawn(read_then_write(&store, b"a", b"b"));
        let mine = read_then_write(&store, b"b", b"a")();
        let theirs = other.join().unwrap();
        assert!(!(mine && theirs), "each read that the other had not written");
        assert_eq!(read(&store, b"a").is_some(), mine);
        assert_eq!(read(&store, b"b").is_some(), theirs);
        noted.note((mine, theirs));
    });
    let met = outcomes.met();
    assert!(met.contains("(true, false)") && met.contains("(false, true)"), "{met:?}");
}

#[test]
fn write_skew_through_ranges_is_refused() {
    explore("write skew through ranges", || {
        let store = store();
        let run = |store: &Arc<Store>, key: &'static [u8]| {
            let store = Arc::clone(store);
            move || {
                let mut txn = begin(&store, Isolation::Serializable);
                let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
                if txn.scan(space(&store), all, crate::map::Towards::Greater).next().is_some() {
                    return false;
                }
                txn.put(space(&store), key, Some(&[1]));
                txn.commit().is_ok()
            }
        };
        let other = thread::spawn(run(&store, b"a"));
        let mine = run(&store, b"b")();
        let theirs = other.join().unwrap();
        assert!(!(mine && theirs), "each saw an empty range");
    });
}

/// Fekete, O'Neil and O'Neil: a reader sees the second writer and not the first, which then commits in front of it.
#[test]
fn the_read_only_anomaly_is_refused() {
    explore("read-only anomaly", || {
        let store = store();
        put(&store, &[(b"x", Some(0)), (b"y", Some(0))]).unwrap();
        // Withdraws from x, and fines if x and y together do not cover it.
        let mut withdrawal = begin(&store, Isolation::Serializable);
        let seen = (value(withdrawal.get(space(&store), b"x")), value(withdrawal.get(space(&store), b"y")));
        assert_eq!(seen, (Some(0), Some(0)));
        let others = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                let deposited = put(&store, &[(b"y", Some(20))]).is_ok();
                let reader = begin(&store, Isolation::Serializable);
                let seen = (value(reader.get(space(&store), b"x")), value(reader.get(space(&store), b"y")));
                (deposited, seen)
            })
        };
        withdrawal.put(space(&store), b"x", Some(&[99]));
        let withdrawn = withdrawal.commit().is_ok();
        let (deposited, seen) = others.join().unwrap();
        assert!(deposited);
        let anomaly = withdrawn && seen == (Some(0), Some(20));
        assert!(!anomaly, "the reader saw the deposit before the withdrawal, which had not seen it");
    });
}

/// What lay between the snapshot and the own position may have been pruned: a change above the own position is evidence enough.
#[test]
fn a_change_above_the_own_position_conflicts() {
    explore("validation above the own position", || {
        let store = store();
        put(&store, &[(b"x", Some(0))]).unwrap();
        let mut reader = begin(&store, Isolation::Serializable);
        assert_eq!(value(reader.get(space(&store), b"x")), Some(0));
        reader.put(space(&store), b"y", Some(&[1]));
        put(&store, &[(b"x", Some(1))]).unwrap();
        let writer = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                put(&store, &[(b"x", Some(2))]).unwrap();
                // Prunes what the one before wrote, which the writer's own snapshot kept until here; for a horizon of its own.
                store.end().reserve(8);
                store.sweep(|| true);
            })
        };
        assert!(reader.commit().is_err(), "committed behind a change of what it had read");
        writer.join().unwrap();
    });
}
