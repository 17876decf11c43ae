//! Invariant 3: a serializable execution has no cycle.

use super::*;

/// Each of four doctors goes off duty if another one is on. Any two of them may be too many at once, any three or four too.
#[test]
fn somebody_stays_on_duty() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore("write skew, four", 10_000, move || {
        let (store, history) = (store(), History::default());
        let mut all_on = Tracked::begin(&store, Isolation::Snapshot);
        KEYS[..4].iter().for_each(|key| all_on.put(key, Some(1)));
        assert!(all_on.commit(&history));
        let doctors = [0, 1, 2, 3].map(|doctor| {
            let history = history.clone();
            run(&store, move |store| go_off_duty(store, doctor, &history))
        });
        let watcher = history.clone();
        let watcher = run(&store, move |store| {
            let on_duty = watcher.look(store, &store.snapshot()).values().flatten().count();
            assert!(on_duty > 0, "nobody is on duty");
            sweep(store, 1);
        });
        let gone = join(doctors).into_iter().filter(|&gone| gone).count();
        watcher.join().unwrap();
        history.check(&store);
        noted.note(gone);
        assert!(gone < 4, "nobody is on duty");
        check_freed(&store);
    });
    expect_met(&outcomes, &["1", "2", "3"]);
}

/// By a scan or one by one, and by a value or by a deletion: off duty is what nobody sees there.
fn go_off_duty(store: &Store, doctor: usize, history: &History) -> bool {
    let mut rng = thread_rng();
    let mut txn = Tracked::begin(store, Isolation::Serializable);
    let others = if rng.gen_bool(0.5) {
        txn.scan().into_iter().filter(|(key, _)| *key != KEYS[doctor]).count()
    } else {
        (0..4).filter(|&other| other != doctor && txn.get(KEYS[other]).is_some()).count()
    };
    if others == 0 {
        txn.commit(history);
        return false;
    }
    txn.put(KEYS[doctor], None);
    txn.commit(history)
}

/// Reads and writes at random of few keys, deletions among them, with readers that write nothing.
fn anything(store: &Store, history: &History) {
    let mut rng = thread_rng();
    let mut txn = Tracked::begin(store, Isolation::Serializable);
    if rng.gen_bool(0.25) {
        txn.scan();
    } else {
        for _ in 0..2 {
            txn.get(KEYS[rng.gen_range(0..3)]);
        }
    }
    for _ in 0..rng.gen_range(0..3) {
        let value = rng.gen_bool(0.6).then(|| rng.gen_range(1..100));
        txn.put(KEYS[rng.gen_range(0..3)], value);
    }
    txn.commit(history);
}

#[test]
fn what_was_read_holds_at_the_commit() {
    explore("serializable, anything", 10_000, || {
        let (store, history) = (store(), History::default());
        let mut threads: Vec<_> = [(); 4]
            .map(|()| {
                let history = history.clone();
                run(&store, move |store| (0..2).for_each(|_| anything(store, &history)))
            })
            .into();
        threads.push(run(&store, |store| sweep(store, 2)));
        join(threads);
        history.check(&store);
        check_freed(&store);
    });
}

/// Fekete, O'Neil and O'Neil: the reader sees the deposit and not the withdrawal, which had not seen the deposit either and fines.
#[test]
fn the_read_only_anomaly_is_refused() {
    explore("read-only anomaly", 10_000, || {
        let (store, history) = (store(), History::default());
        let mut opening = Tracked::begin(&store, Isolation::Snapshot);
        KEYS[..2].iter().for_each(|key| opening.put(key, Some(0)));
        assert!(opening.commit(&history));
        let [saving, checking] = [KEYS[0], KEYS[1]];
        let withdrawal = history.clone();
        let deposit = history.clone();
        let threads = [
            run(&store, move |store| {
                let mut txn = Tracked::begin(store, Isolation::Serializable);
                let (saved, checked) = (txn.get(saving).unwrap(), txn.get(checking).unwrap());
                txn.put(checking, Some(if saved + checked < 10 { 101 } else { 100 }));
                txn.commit(&withdrawal);
            }),
            run(&store, move |store| {
                let mut txn = Tracked::begin(store, Isolation::Serializable);
                let saved = txn.get(saving).unwrap();
                txn.put(saving, Some(saved + 20));
                txn.commit(&deposit);
            }),
        ];
        let readers = [(); 2].map(|()| {
            let history = history.clone();
            run(&store, move |store| {
                let mut txn = Tracked::begin(store, Isolation::Serializable);
                let seen = (txn.get(saving).unwrap(), txn.get(checking).unwrap());
                txn.commit(&history);
                seen
            })
        });
        let seen = join(readers);
        join(threads);
        let fined = store.snapshot().get(space(&store), checking).unwrap().value[0] == 101;
        assert!(
            !(fined && seen.contains(&(20, 0))),
            "the reader saw the deposit before the withdrawal, which had not seen it"
        );
        history.check(&store);
    });
}

/// Writes a key, whatever is there.
fn overwrite(store: &Store, history: &History) {
    let mut rng = thread_rng();
    let mut txn = Tracked::begin(store, Isolation::Snapshot);
    txn.put(KEYS[0], Some(rng.gen_range(1..100)));
    txn.commit(history);
}

/// What came between the snapshot and the own position may be pruned by the time it is looked for. So the key that others write is
/// validated last, after others have been for long.
#[test]
fn a_change_that_was_pruned_is_found() {
    explore("validation against pruning", 30_000, || {
        let (store, history) = (store(), History::default());
        overwrite(&store, &history);
        let validating = history.clone();
        let mut threads = vec![run(&store, move |store| {
            let mut txn = Tracked::begin(store, Isolation::Serializable);
            for key in KEYS[1..].iter().cycle().take(20) {
                txn.get(key);
            }
            txn.get(KEYS[0]);
            txn.put(KEYS[4], Some(1));
            txn.commit(&validating);
        })];
        for _ in 0..2 {
            let history = history.clone();
            threads.push(run(&store, move |store| (0..3).for_each(|_| overwrite(store, &history))));
        }
        threads.push(run(&store, |store| sweep(store, 3)));
        join(threads);
        history.check(&store);
        check_freed(&store);
    });
}
