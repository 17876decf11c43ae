//! What may happen, chosen at random.

use proptest::prelude::*;
use skipstone::Isolation;
use std::ops::Bound;

/// How many transactions, and how many snapshots, may be open at once.
pub(crate) const SLOTS: usize = 4;
/// Few, so that transactions meet.
const KEYS: u8 = 6;

/// A key of either space.
pub(crate) type Key = u8;
/// From and to.
pub(crate) type Range = (Bound<Key>, Bound<Key>);

/// The store has bytes in one place, where writes are blind, and documents in another, where calls read what they write.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Space {
    Values,
    Documents,
}

/// One call within a transaction.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Get(Space, Key),
    /// At most so many entries of a range, in order or against it.
    Scan {
        space: Space,
        range: Range,
        backwards: bool,
        entries_max: usize,
    },
    Put(Key, u32),
    Delete(Key),
    Insert(Key, u32),
    Upsert(Key, u32),
    Update(Key, u32),
    UpdateIf(Key, u64, u32),
    Remove(Key),
    Savepoint,
    /// Of those that were opened so far, counted from the first and round again, whether they are open or not.
    RollbackTo(usize),
    Release(usize),
    Commit,
    Rollback,
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// A call of the transaction in this slot, which is begun at this level if there is none.
    Call {
        slot: usize,
        level: Isolation,
        call: Call,
    },
    OpenSnapshot(usize),
    ReadSnapshot(usize),
    DropSnapshot(usize),
    Sweep,
}

pub(crate) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    prop::collection::vec(operation(), 1..120)
}

fn operation() -> impl Strategy<Value = Operation> {
    let level =
        prop::sample::select(&[Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable][..]);
    let called = (0..SLOTS, level, call());
    prop_oneof![
        30 => called.prop_map(|(slot, level, call)| Operation::Call { slot, level, call }),
        1 => (0..SLOTS).prop_map(Operation::OpenSnapshot),
        1 => (0..SLOTS).prop_map(Operation::ReadSnapshot),
        1 => (0..SLOTS).prop_map(Operation::DropSnapshot),
        1 => Just(Operation::Sweep),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let key = || 0..KEYS;
    let value = || 0..1_000_u32;
    let space = || prop::sample::select(&[Space::Values, Space::Documents][..]);
    let scan = (space(), range(), any::<bool>(), 0..=usize::from(KEYS) + 1);
    prop_oneof![
        4 => (space(), key()).prop_map(|(space, key)| Call::Get(space, key)),
        4 => scan.prop_map(|(space, range, backwards, entries_max)| Call::Scan {
            space, range, backwards, entries_max
        }),
        3 => (key(), value()).prop_map(|(key, value)| Call::Put(key, value)),
        2 => key().prop_map(Call::Delete),
        2 => (key(), value()).prop_map(|(key, value)| Call::Insert(key, value)),
        1 => (key(), value()).prop_map(|(key, value)| Call::Upsert(key, value)),
        2 => (key(), value()).prop_map(|(key, value)| Call::Update(key, value)),
        1 => (key(), 1..4_u64, value()).prop_map(|(key, version, value)| Call::UpdateIf(key, version, value)),
        2 => key().prop_map(Call::Remove),
        2 => Just(Call::Savepoint),
        2 => (0..4_usize).prop_map(Call::RollbackTo),
        2 => (0..4_usize).prop_map(Call::Release),
        3 => Just(Call::Commit),
        1 => Just(Call::Rollback),
    ]
}

/// Every kind of range, those with nothing in them as well.
fn range() -> impl Strategy<Value = Range> {
    let bound = || {
        prop_oneof![
            Just(Bound::Unbounded),
            (0..KEYS).prop_map(Bound::Included),
            (0..KEYS).prop_map(Bound::Excluded),
        ]
    };
    (bound(), bound())
}
