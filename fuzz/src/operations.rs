//! Operations on a store in memory, against a plain map: transactions see what they should, and in the end the store verifies.

use skipstone::{Database, Savepoint, Transaction, TransactionKeyspace};
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Each operation takes three bytes: what, which key, which value.
pub fn run(input: &[u8]) {
    let db = Database::in_memory();
    let keyspace = db.keyspace("k").expect("a store in memory");
    let mut model = Model::new();
    for transaction in input.split(|&byte| byte == 0xff) {
        let snapshot = db.snapshot().expect("it is open");
        let before = model.clone();
        let mut changed = model.clone();
        let mut open = db.begin().expect("it is open");
        let commits = transaction.len() % 4 != 1;
        apply(&mut open, &keyspace, transaction, &mut changed);
        if commits {
            open.commit().expect("nobody else writes");
            model = changed;
        }
        let view = snapshot.keyspace(&keyspace).expect("of this store");
        assert!(view.range::<&[u8]>(..).map(|(k, v)| (k.to_vec(), v.to_vec())).eq(before), "snapshots stay");
    }
    let snapshot = db.snapshot().expect("it is open");
    let view = snapshot.keyspace(&keyspace).expect("of this store");
    assert!(view.range::<&[u8]>(..).map(|(k, v)| (k.to_vec(), v.to_vec())).eq(model));
    drop(snapshot);
    let verified = db.verify().expect("it is open");
    assert!(verified.is_sound(), "{:?}", verified.findings);
}

fn apply(open: &mut Transaction<'_>, keyspace: &skipstone::Keyspace, operations: &[u8], model: &mut Model) {
    let mut saved: Option<(Savepoint, Model)> = None;
    for operation in operations.chunks_exact(3) {
        let key = vec![b'k', operation[1] % 32];
        match operation[0] % 6 {
            0 | 1 => {
                let value = vec![operation[2]; usize::from(operation[2])];
                within(open, keyspace, |mut space| space.put(&key, &value).expect("it is small"));
                model.insert(key, value);
            }
            2 => {
                within(open, keyspace, |mut space| space.delete(&key).expect("any key can be deleted"));
                model.remove(&key);
            }
            3 => {
                let found = within(open, keyspace, |space| space.get(&key).map(|v| v.to_vec()));
                assert_eq!(found.as_ref(), model.get(&key));
            }
            4 => saved = Some((open.savepoint(), model.clone())),
            _ => {
                if let Some((savepoint, then)) = saved.take() {
                    open.rollback_to(savepoint).expect("it is open");
                    *model = then;
                }
            }
        }
    }
}

fn within<T>(
    open: &mut Transaction<'_>,
    keyspace: &skipstone::Keyspace,
    run: impl FnOnce(TransactionKeyspace<'_, '_>) -> T,
) -> T {
    run(open.keyspace(keyspace).expect("of this store"))
}
