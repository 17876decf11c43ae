//! Invariant 5: keys come, go and come back while their records die, and no write is lost.

use super::*;

/// Writes and deletes one or two of these keys.
fn change(store: &Store, keys: &[&'static [u8]], history: &History) {
    let mut rng = thread_rng();
    let mut txn = Tracked::begin(store, Isolation::Snapshot);
    let (first, second) = (keys[rng.gen_range(0..keys.len())], keys[rng.gen_range(0..keys.len())]);
    if txn.get(first).is_some() || rng.gen_bool(0.2) {
        txn.put(first, None);
    } else {
        txn.put(first, Some(rng.gen_range(1..100)));
    }
    if second != first && rng.gen_bool(0.3) {
        txn.put(second, None);
    }
    txn.commit(history);
}

fn churn(name: &str, schedules: usize, keys: &'static [&'static [u8]]) {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore(name, schedules, move || {
        let (store, history) = (store(), History::default());
        let mut threads: Vec<_> = [(); 3]
            .map(|()| {
                let history = history.clone();
                run(&store, move |store| (0..3).for_each(|_| change(store, keys, &history)))
            })
            .into();
        let reader = history.clone();
        threads.push(run(&store, move |store| {
            let snapshot = store.snapshot();
            let seen = reader.look(store, &snapshot);
            reader.look(store, &store.snapshot());
            assert_eq!(seen, reader.look(store, &snapshot), "another answer the second time");
        }));
        threads.push(run(&store, |store| sweep(store, 4)));
        join(threads);
        history.check(&store);
        check_freed(&store);
        noted.note(history.commits() > 3);
    });
    expect_met(&outcomes, &["true"]);
}

#[test]
fn one_key_comes_and_goes() {
    churn("churn, one key", 10_000, &KEYS[..1]);
}

#[test]
fn three_keys_come_and_go() {
    churn("churn, three keys", 10_000, &KEYS[..3]);
}
