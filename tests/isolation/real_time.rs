//! Strictness in real time: a transaction that begins after another's commit returned comes after it, on any thread.

use crate::script::check;
use skipstone::{Database, Isolation, TransactionOptions};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

#[test]
fn what_begins_after_a_commit_sees_it() {
    check(
        "setup x=10
         T1 begin
         T2 begin
         T2 put x 11
         T2 commit => ok
         T3 begin
         T3 get x  => 11
         T3 put x 12
         T3 commit => ok
         T1 get x  => 12 | 10 | 10
         T1 commit => ok
         end       => x=12",
    );
}

#[test]
fn positions_follow_the_order_of_commits() {
    let db = Database::in_memory();
    let values = db.keyspace("values").unwrap();
    let mut last = db.position();
    for n in 0..100_u32 {
        let mut transaction =
            db.begin_with(TransactionOptions::new().isolation(Isolation::Serializable)).unwrap();
        assert!(transaction.position() >= last);
        transaction.keyspace(&values).unwrap().put(b"x", &n.to_le_bytes()).unwrap();
        let committed = transaction.commit().unwrap();
        assert!(committed >= last && committed < db.position());
        assert_eq!(db.snapshot().unwrap().get(&values, b"x").unwrap(), Some(&n.to_le_bytes()[..]));
        last = db.position();
    }
}

/// One thread writes `a`; when its commit has returned, another writes `b`; and so on. Whoever sees a `b` must see the `a` before it,
/// whichever of the two it looks at first.
#[test]
fn nobody_sees_the_later_commit_without_the_earlier_one() {
    const ROUNDS: u64 = 3_000;
    let db = Database::in_memory();
    let values = db.keyspace("values").unwrap();
    let done = AtomicBool::new(false);
    let put = |key: &[u8], n: u64| {
        db.transact_with(TransactionOptions::new().isolation(Isolation::Serializable), |tx| {
            tx.keyspace(&values)?.put(key, &n.to_be_bytes())
        })
        .unwrap();
    };
    let (to_second, from_first) = mpsc::channel();
    let (to_first, from_second) = mpsc::channel();
    let (put, done) = (&put, &done);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for n in 1..=ROUNDS {
                put(b"a", n);
                to_second.send(n).unwrap();
                from_second.recv().unwrap();
            }
            // Relaxed: the readers look at it until they see it, and at nothing else because of it.
            done.store(true, Ordering::Relaxed);
        });
        scope.spawn(move || {
            for n in from_first.iter().take(ROUNDS as usize) {
                put(b"b", n);
                to_first.send(()).unwrap();
            }
        });
        for level in [Isolation::Snapshot, Isolation::Serializable] {
            let (db, values) = (&db, &values);
            scope.spawn(move || {
                let mut latest = 0;
                // Relaxed: as above.
                while !done.load(Ordering::Relaxed) {
                    let mut reader = db.begin_with(TransactionOptions::new().isolation(level)).unwrap();
                    let seen = reader.keyspace(values).unwrap();
                    let number = |key: &[u8]| {
                        seen.get(key).map_or(0, |v| u64::from_be_bytes(v[..].try_into().unwrap()))
                    };
                    let (b, a) = (number(b"b"), number(b"a"));
                    assert!(a == b || a == b + 1, "a is {a}, b is {b}");
                    assert!(a + b >= latest, "time went back");
                    latest = a + b;
                    reader.commit().unwrap();
                }
            });
        }
    });
}
