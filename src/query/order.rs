//! The order of results, as keys whose bytes have that order.
//!
//! An index is in such an order, and so are documents by their ids. A field with several values counts by the one that comes first. Documents that agree in all
//! fields of an order follow each other by their ids, so any two differ. It is the order in which a plan gives them, which may name more fields than were
//! asked for, and other directions of the ids: those of the index that was walked.

use crate::document::ID_FIELD;
use crate::document::order_key::Direction;
use crate::index::definition::{Index, IndexField};
use crate::index::entry;
use crate::map::Towards;
use crate::sync::Arc;
use bson::RawDocument;
use std::fmt;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Order {
    pub(super) fields: Arc<[IndexField]>,
    pub(super) ids: Direction,
}

impl Order {
    /// By the ids alone.
    pub(super) fn of_ids(towards: Towards) -> Order {
        Order { fields: Arc::default(), ids: direction(towards) }
    }

    /// That of an index which is walked.
    pub(super) fn of_index(index: &Index, towards: Towards) -> Order {
        let fields = index.fields().iter().cloned();
        let fields = match towards {
            Towards::Greater => fields.collect(),
            Towards::Lesser => fields.map(|f| IndexField { direction: flipped(f.direction), ..f }).collect(),
        };
        Order { fields, ids: direction(towards) }
    }

    /// For what is asked for, where it has to be made: documents that agree in it come by their ids then, in the direction of the first field unless it says
    /// otherwise. A plan that has the fields in order already may have further ones before the ids, or the ids the other way.
    pub(super) fn of_fields(fields: &[IndexField]) -> Order {
        let ids = fields.iter().position(is_id);
        let direction = ids.map_or(fields.first(), |at| fields.get(at));
        let ids_from = ids.unwrap_or(fields.len());
        let ids = direction.map_or(Direction::Ascending, |field| field.direction);
        Order { fields: fields[..ids_from].into(), ids }
    }

    /// Where a document stands. `id` is the key of its id.
    pub(super) fn key(&self, document: &RawDocument, id: &[u8]) -> Vec<u8> {
        let mut key = Vec::new();
        for field in &*self.fields {
            entry::push_first(document, &field.path, field.direction, &mut key);
        }
        match self.ids {
            Direction::Ascending => key.extend_from_slice(id),
            Direction::Descending => key.extend(id.iter().map(|byte| !byte)),
        }
        key
    }
}

impl fmt::Display for Order {
    /// The fields of an index that has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, field) in self.fields.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            let direction = if field.direction == Direction::Descending { " (descending)" } else { "" };
            write!(f, "{comma}`{}`{direction}", field.path)?;
        }
        Ok(())
    }
}

/// Whether it is the id, by which no two documents agree.
pub(super) fn is_id(field: &IndexField) -> bool {
    matches!(field.path.segments(), [segment] if segment == ID_FIELD)
}

fn flipped(direction: Direction) -> Direction {
    match direction {
        Direction::Ascending => Direction::Descending,
        Direction::Descending => Direction::Ascending,
    }
}

fn direction(towards: Towards) -> Direction {
    match towards {
        Towards::Greater => Direction::Ascending,
        Towards::Lesser => Direction::Descending,
    }
}
