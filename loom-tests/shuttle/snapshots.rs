//! Invariant 4: what a snapshot sees stays, however snapshots nest, are shared, move between threads and are dropped.

use super::*;
use crate::mvcc::snapshot::Snapshot;

/// Writes two keys, or deletes them.
fn write(store: &Store, value: u8, history: &History) {
    let mut rng = thread_rng();
    let mut txn = Tracked::begin(store, Isolation::Snapshot);
    for key in &KEYS[..2] {
        txn.put(key, rng.gen_bool(0.8).then_some(value));
    }
    txn.commit(history);
}

/// Opens snapshots one inside of the other, clones some, looks through them again and again, and drops them in any order.
/// The clones go to a thread of their own, and outlive what they were made from.
fn hold(store: Arc<Store>, mut open: Vec<Snapshot>, history: History, is_first: bool) {
    let mut rng = thread_rng();
    let mut cloned = Vec::new();
    for _ in 0..3 {
        match rng.gen_range(0..4) {
            0 if !open.is_empty() => drop(open.swap_remove(rng.gen_range(0..open.len()))),
            1 if !open.is_empty() => cloned.push(open[rng.gen_range(0..open.len())].clone()),
            2 => open.extend(past(&store)),
            _ => open.push(store.snapshot()),
        }
        if !open.is_empty() {
            history.look(&store, &open[rng.gen_range(0..open.len())]);
        }
    }
    if is_first && !cloned.is_empty() {
        let next = thread::spawn(move || hold(store, cloned, history, false));
        drop(open);
        next.join().unwrap();
    }
}

/// A snapshot a little below the log's end, unless what it sees is gone.
fn past(store: &Store) -> Option<Snapshot> {
    let back = thread_rng().gen_range(0..3) * Lsn::ALIGN;
    let at = store.end().load().get().saturating_sub(back);
    store.snapshot_at(Lsn::new(at)).ok()
}

#[test]
fn what_a_snapshot_sees_stays() {
    explore("nested snapshots", 10_000, || {
        let (store, history) = (store(), History::default());
        write(&store, 1, &history);
        let given = store.snapshot();
        let holders = [vec![given.clone()], vec![given]].map(|given| {
            let (store, history) = (Arc::clone(&store), history.clone());
            thread::spawn(move || hold(store, given, history, true))
        });
        let writers = [2, 3].map(|value| {
            let history = history.clone();
            run(&store, move |store| (0..2).for_each(|_| write(store, value, &history)))
        });
        let sweeper = run(&store, |store| sweep(store, 3));
        join(holders);
        join(writers);
        sweeper.join().unwrap();
        assert_eq!(store.active().open(), (0, None), "a slot is left over");
        history.check(&store);
        check_freed(&store);
    });
}
