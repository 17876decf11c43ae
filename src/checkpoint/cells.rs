//! The entries of leaves and branches, as pages hold them.
//!
//! Nothing of them is trusted: what is cut off, or longer than anything a checkpoint writes, reads as [`None`].

use super::page::{CELL_BYTES_MAX, Link};
use crate::document::MAX_KEY_BYTES;
use crate::format::Cursor;
use crate::lsn::Lsn;

/// A value in a leaf, or where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stored<'a> {
    Inline(&'a [u8]),
    /// In overflow pages from `first` on, which hold `stored` bytes of it: fewer than the value has if it is compressed.
    Overflow {
        first: Link,
        bytes: u32,
        stored: u32,
    },
}

/// An entry of a leaf: length of the key (2), length of the value (4, the highest bit if it overflows), position (8), key, then the value
/// or the link to its first page (16) and how many bytes its pages hold (4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LeafCell<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) lsn: Lsn,
    pub(crate) value: Stored<'a>,
}

const OVERFLOWS: u32 = 1 << 31;

impl<'a> LeafCell<'a> {
    /// The length of an entry whose value is inline.
    pub(crate) fn inline_bytes(key: &[u8], value: &[u8]) -> usize {
        2 + 4 + 8 + key.len() + value.len()
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Option<LeafCell<'a>> {
        let mut cursor = Cursor::new(bytes);
        let key_bytes = cursor.u16()?;
        let value_bytes = cursor.u32()?;
        let lsn = Lsn::read(cursor.u64()?)?;
        let key = cursor.take(key_bytes.into()).filter(|key| key.len() <= MAX_KEY_BYTES)?;
        let value = if value_bytes & OVERFLOWS == 0 {
            let value = cursor.take(value_bytes as usize)?;
            let fits = LeafCell::inline_bytes(key, value) <= CELL_BYTES_MAX;
            fits.then_some(Stored::Inline(value))?
        } else {
            let (first, stored) = (Link::decode(&mut cursor)?, cursor.u32()?);
            Stored::Overflow { first, bytes: value_bytes & !OVERFLOWS, stored }
        };
        Some(LeafCell { key, lsn, value })
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let key_bytes = u16::try_from(self.key.len()).expect("keys are short");
        let value_bytes = match self.value {
            Stored::Inline(value) => u32::try_from(value.len()).expect("it fits a page"),
            Stored::Overflow { bytes, .. } => {
                assert_eq!(bytes & OVERFLOWS, 0, "values are shorter than 2 GiB");
                bytes | OVERFLOWS
            }
        };
        out.extend_from_slice(&key_bytes.to_le_bytes());
        out.extend_from_slice(&value_bytes.to_le_bytes());
        out.extend_from_slice(&self.lsn.get().to_le_bytes());
        out.extend_from_slice(self.key);
        match self.value {
            Stored::Inline(value) => out.extend_from_slice(value),
            Stored::Overflow { first, stored, .. } => {
                out.extend_from_slice(&first.encode());
                out.extend_from_slice(&stored.to_le_bytes());
            }
        }
    }
}

/// An entry of a branch: length of the key (2), link (16), key. Every key below the page is at or above this one, and below the next one's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BranchCell<'a> {
    pub(crate) low: &'a [u8],
    pub(crate) child: Link,
}

impl<'a> BranchCell<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Option<BranchCell<'a>> {
        let mut cursor = Cursor::new(bytes);
        let key_bytes = cursor.u16()?;
        let child = Link::decode(&mut cursor)?;
        let low = cursor.take(key_bytes.into()).filter(|low| low.len() <= MAX_KEY_BYTES)?;
        Some(BranchCell { low, child })
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let key_bytes = u16::try_from(self.low.len()).expect("keys are short");
        out.extend_from_slice(&key_bytes.to_le_bytes());
        out.extend_from_slice(&self.child.encode());
        out.extend_from_slice(self.low);
    }
}
