//! Invariants 1, 2 and 4 together: money moves between accounts, snapshots see all of it, and what nobody sees is pruned meanwhile.

use super::*;

const START: u8 = 10;
const TOTAL: u32 = START as u32 * KEYS.len() as u32;

fn total(values: impl IntoIterator<Item = u8>) -> u32 {
    values.into_iter().map(u32::from).sum()
}

fn open_accounts(store: &Store, history: &History) {
    let mut opening = Tracked::begin(store, Isolation::Snapshot);
    KEYS.iter().for_each(|key| opening.put(key, Some(START)));
    assert!(opening.commit(history));
}

/// Moves money from one account to another, looking at both or at all.
fn transfer(store: &Store, isolation: Isolation, history: &History) {
    let mut rng = thread_rng();
    let from = rng.gen_range(0..KEYS.len());
    let to = (from + rng.gen_range(1..KEYS.len())) % KEYS.len();
    let mut txn = Tracked::begin(store, isolation);
    if rng.gen_bool(0.3) {
        let all = txn.scan();
        assert_eq!(total(all.into_iter().map(|(_, balance)| balance)), TOTAL, "half a transfer");
    }
    let balance = txn.get(KEYS[from]).unwrap();
    let amount = balance.min(rng.gen_range(1..4));
    txn.put(KEYS[from], Some(balance - amount));
    let balance = txn.get(KEYS[to]).unwrap();
    txn.put(KEYS[to], Some(balance + amount));
    txn.commit(history);
}

fn audit(store: &Store, history: &History) {
    let snapshot = store.snapshot();
    let seen = history.look(store, &snapshot);
    assert_eq!(total(seen.values().flatten().copied()), TOTAL, "half a transfer");
    assert_eq!(seen, history.look(store, &snapshot), "another answer the second time");
}

fn transfers(name: &str, schedules: usize, isolations: [Isolation; 3]) {
    explore(name, schedules, move || {
        let (store, history) = (store(), History::default());
        open_accounts(&store, &history);
        let mut threads: Vec<_> = isolations
            .map(|isolation| {
                let history = history.clone();
                run(&store, move |store| (0..3).for_each(|_| transfer(store, isolation, &history)))
            })
            .into();
        let auditor = history.clone();
        threads.push(run(&store, move |store| (0..2).for_each(|_| audit(store, &auditor))));
        threads.push(run(&store, |store| sweep(store, 2)));
        join(threads);
        audit(&store, &history);
        history.check(&store);
        check_freed(&store);
    });
}

#[test]
fn transfers_at_snapshot_isolation_conserve_the_total() {
    transfers("transfers, snapshot", 8000, [Isolation::Snapshot; 3]);
}

#[test]
fn transfers_at_serializable_isolation_conserve_the_total() {
    transfers("transfers, serializable", 8000, [Isolation::Serializable; 3]);
}

#[test]
fn transfers_at_mixed_isolation_conserve_the_total() {
    let mixed = [Isolation::Snapshot, Isolation::Serializable, Isolation::Snapshot];
    transfers("transfers, mixed", 8000, mixed);
}
