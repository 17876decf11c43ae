//! What a serializable transaction has read: keys, absent ones too, and ranges as far as they were walked.
//!
//! Keys, not records: a record may die and come back under the same key.

use crate::map::{Key, Towards};
use crate::mvcc::store::Space;
use std::ops::Bound;

/// A part of a keyspace whose contents were read.
pub(crate) struct ReadRange<'s> {
    pub(crate) space: &'s Space,
    pub(crate) low: Bound<Key>,
    pub(crate) high: Bound<Key>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct ReadSet<'s> {
    pub(crate) keys: Vec<(&'s Space, Key)>,
    pub(crate) ranges: Vec<ReadRange<'s>>,
}

/// A walk through a range, and which entry of the read set says how far it has come.
pub(crate) struct Walk<'s> {
    pub(crate) space: &'s Space,
    pub(crate) range: (Bound<Key>, Bound<Key>),
    pub(crate) towards: Towards,
    noted: Option<usize>,
}

impl<'s> Walk<'s> {
    pub(crate) fn new(space: &'s Space, range: (Bound<&[u8]>, Bound<&[u8]>), towards: Towards) -> Walk<'s> {
        Walk { space, range: (range.0.map(Key::from), range.1.map(Key::from)), towards, noted: None }
    }
}

impl<'s> ReadSet<'s> {
    pub(crate) fn add_key(&mut self, space: &'s Space, key: &[u8]) {
        self.keys.push((space, Key::from(key)));
    }

    /// The walk has come to this key, or to its end.
    pub(crate) fn note(&mut self, walk: &mut Walk<'s>, to: Option<&[u8]>) {
        let (mut low, mut high) = walk.range.clone();
        if let Some(key) = to {
            let here = Bound::Included(Key::from(key));
            match walk.towards {
                Towards::Greater => high = here,
                Towards::Lesser => low = here,
            }
        }
        let read = ReadRange { space: walk.space, low, high };
        match walk.noted {
            Some(index) => self.ranges[index] = read,
            None => {
                walk.noted = Some(self.ranges.len());
                self.ranges.push(read);
            }
        }
    }
}
