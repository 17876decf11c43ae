//! What may happen, chosen at random.

use super::documents::{Doc, Field, Spec, Value, document, spec, value};
use proptest::prelude::*;
use skipstone::Isolation;

/// Half of the ids are the open transaction's, as long as there is one.
pub(crate) const IDS: i32 = 12;

#[derive(Clone, Debug)]
pub(crate) enum Write {
    Insert(Doc),
    Upsert(Doc),
    Replace(Doc),
    Patch(Field, Value),
    Delete,
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// Of the document of this id, within the open transaction or beside it.
    Write {
        id: i32,
        write: Write,
        within: bool,
    },
    /// Unless one is open.
    Begin(Isolation),
    Savepoint,
    /// To one of those that are open, counted round.
    RollbackTo(usize),
    Commit,
    Rollback,
    Create(Spec),
    Drop(u8),
    Checkpoint,
    Sweep,
}

pub(crate) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    prop::collection::vec(operation(), 1..90)
}

fn operation() -> impl Strategy<Value = Operation> {
    let level =
        prop::sample::select(&[Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable][..]);
    let written = (0..IDS, write(), any::<bool>());
    prop_oneof![
        40 => written.prop_map(|(id, write, within)| Operation::Write { id, write, within }),
        6 => level.prop_map(Operation::Begin),
        2 => Just(Operation::Savepoint),
        2 => (0..3_usize).prop_map(Operation::RollbackTo),
        5 => Just(Operation::Commit),
        1 => Just(Operation::Rollback),
        8 => spec().prop_map(Operation::Create),
        4 => (0..4_u8).prop_map(Operation::Drop),
        1 => Just(Operation::Checkpoint),
        1 => Just(Operation::Sweep),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    let field = prop::sample::select(&[Field::A, Field::B][..]);
    prop_oneof![
        4 => document().prop_map(Write::Insert),
        2 => document().prop_map(Write::Upsert),
        2 => document().prop_map(Write::Replace),
        4 => (field, value()).prop_map(|(field, value)| Write::Patch(field, value)),
        2 => Just(Write::Delete),
    ]
}
