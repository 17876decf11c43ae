//! What a commit frame says: the writes of one transaction.
//!
//! ```text
//!   stream:  writes, one after the other
//!   write:   keyspace (varint), key (varint length, bytes), 0 for a deletion | 1 and value (varint length, bytes)
//! ```
//!
//! `chunks` says how a stream lies in frames.

use crate::document::MAX_KEY_BYTES;
use crate::document::stored::VALUE_BYTES_MAX;
use crate::format::{Cursor, put_bytes, put_varint};

/// One write, borrowed from wherever it lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Write<'a> {
    pub(crate) space: u32,
    pub(crate) key: &'a [u8],
    /// `None` deletes.
    pub(crate) value: Option<&'a [u8]>,
}

#[inline]
pub(crate) fn encode_write(write: Write<'_>, out: &mut Vec<u8>) {
    put_varint(u64::from(write.space), out);
    put_bytes(write.key, out);
    out.push(u8::from(write.value.is_some()));
    if let Some(value) = write.value {
        put_bytes(value, out);
    }
}

/// Calls `visit` with each write; false if the bytes are no writes, with some of them visited.
#[must_use]
pub(crate) fn decode_writes<'a>(stream: &'a [u8], mut visit: impl FnMut(Write<'a>)) -> bool {
    let mut cursor = Cursor::new(stream);
    while !cursor.is_empty() {
        match decode_write(&mut cursor) {
            Some(write) => visit(write),
            None => return false,
        }
    }
    true
}

fn decode_write<'a>(cursor: &mut Cursor<'a>) -> Option<Write<'a>> {
    let space = u32::try_from(cursor.varint()?).ok()?;
    // No program writes more, and a checkpoint has no room for it.
    let key = cursor.bytes().filter(|key| key.len() <= MAX_KEY_BYTES)?;
    let value = match cursor.u8()? {
        0 => None,
        1 => Some(cursor.bytes().filter(|value| value.len() <= VALUE_BYTES_MAX)?),
        _ => return None,
    };
    Some(Write { space, key, value })
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn writes_survive_their_bytes(
            writes: Vec<(u32, Vec<u8>, Option<Vec<u8>>)>,
        ) {
            let writes: Vec<Write> = writes.iter()
                .map(|(space, key, value)| Write { space: *space, key, value: value.as_deref() })
                .collect();
            let mut stream = Vec::new();
            writes.iter().for_each(|&write| encode_write(write, &mut stream));
            let mut read = Vec::new();
            prop_assert!(decode_writes(&stream, |write| read.push(write)));
            prop_assert_eq!(read, writes);
        }

        #[test]
        fn garbage_is_refused_without_a_panic(bytes: Vec<u8>) {
            let _ = decode_writes(&bytes, |_| ());
        }
    }
}
