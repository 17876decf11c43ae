//! A thread parked while it registers a snapshot, prunes a record or unlinks a dead one: nobody waits for it.

use super::harness::{CONTESTED, OPERATIONS, Store, while_list_is_locked, while_parked};
use crate::TransactionOptions;
use crate::sync::Step;

#[test]
fn registering_a_snapshot() {
    let store = Store::in_memory();
    let parked = || {
        let snapshot = store.db.snapshot().unwrap();
        let seen = snapshot.get(&store.keyspace, CONTESTED).unwrap().map(<[u8]>::to_vec);
        (snapshot.position(), seen)
    };
    let ((position, seen), end) = while_parked(Step::Registering, parked, || {
        store.overwrite_contested();
        store.use_others();
        store.db.sweep().unwrap();
        store.db.position()
    });
    let last = (OPERATIONS - 1).to_string();
    let expected: &[u8] = if position < end { b"old" } else { last.as_bytes() };
    assert_eq!(seen.as_deref(), Some(expected), "everything as of one moment, at {position} of {end}");
}

/// Other records are pruned meanwhile; the one whose prune flag is held is not, and keeps what piles up until later.
#[test]
fn pruning() {
    let store = Store::in_memory();
    // A thread's first write prunes at once.
    let parked = || store.write_contested(TransactionOptions::new()).unwrap();
    let ((), (others, contested)) = while_parked(Step::Pruning, parked, || {
        store.overwrite_contested();
        let contested = store.engine.sweep().versions;
        store.use_others();
        (store.engine.sweep().versions, contested)
    });
    assert!(
        others + contested < u64::from(OPERATIONS) / 4,
        "{others} and {contested} were left to the sweep"
    );
    let later = store.engine.sweep().versions;
    assert!(later >= u64::from(OPERATIONS) - 2, "{later}: the record had not been pruned meanwhile");
}

/// The directory goes on growing meanwhile, several times, and what the parked thread was moving is found nevertheless.
#[test]
fn moving_the_directory() {
    let store = Store::in_memory();
    let put = |key: String| store.keyspace.put(key.as_bytes(), key.as_bytes()).unwrap();
    let is_there =
        |key: String| store.keyspace.get(key.as_bytes()).unwrap().as_deref() == Some(key.as_bytes());
    let parked = || (0..OPERATIONS).for_each(|n| put(format!("parked-{n}")));
    let ((), met) = while_parked(Step::Moving, parked, || {
        let snapshot = store.db.snapshot().unwrap();
        let keys: Vec<_> =
            snapshot.keyspace(&store.keyspace).unwrap().range::<&[u8]>(..).map(|(key, _)| key).collect();
        let met = keys.iter().filter(|key| store.keyspace.get(key).unwrap().is_some()).count();
        assert_eq!(met, keys.len(), "all that is there is found");
        for n in 0..OPERATIONS {
            put(format!("other-{n}"));
            assert!(is_there(format!("other-{n}")) && is_there(format!("other-{}", n / 2)));
        }
        store.overwrite_contested();
        store.keyspace.delete(b"other-7").unwrap();
        store.db.sweep().unwrap();
        assert!(!is_there("other-7".into()));
        put("other-7".into());
        met
    });
    assert!(met > 8, "{met}: the parked thread had put some");
    for n in 0..OPERATIONS {
        assert!(is_there(format!("other-{n}")) && is_there(format!("parked-{n}")));
    }
}

#[test]
fn unlinking_a_dead_record() {
    let store = Store::in_memory();
    // A snapshot keeps the record alive, so that it is the sweep that buries it.
    let snapshot = store.db.snapshot().unwrap();
    store.keyspace.delete(CONTESTED).unwrap();
    drop(snapshot);
    let (swept, ()) = while_parked(
        Step::Unlinking,
        || store.engine.sweep(),
        || {
            assert_eq!(store.keyspace.get(CONTESTED).unwrap(), None);
            store.keyspace.put(CONTESTED, b"reborn").unwrap();
            store.read_contested(b"reborn");
            store.overwrite_contested();
            store.use_others();
        },
    );
    assert_eq!(swept.died, 1);
    let last = (OPERATIONS - 1).to_string();
    assert_eq!(store.keyspace.get(CONTESTED).unwrap().as_deref(), Some(last.as_bytes()), "nothing is lost");
}

/// Nothing but making a handle, a sweep's start and figures looks at the list: reads, commits and conflicts do not.
#[test]
fn the_list_of_keyspaces() {
    let store = Store::in_memory();
    while_list_is_locked(&store, || {
        store.overwrite_contested();
        store.read_contested((OPERATIONS - 1).to_string().as_bytes());
        store.use_others();
        for _ in 0..OPERATIONS {
            let mut loser = store.db.begin().unwrap();
            loser.keyspace(&store.keyspace).unwrap().put(CONTESTED, b"lost").unwrap();
            store.keyspace.put(CONTESTED, b"won").unwrap();
            let error = loser.commit().unwrap_err();
            assert!(error.is_conflict() && error.to_string().contains("`k`"), "{error}");
        }
    });
}
