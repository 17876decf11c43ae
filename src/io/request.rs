//! What every device asks of its callers, checked in one place: names, alignment, and the bounds of a file.

use super::{BLOCK, IoError, IoOperation};
use std::io;
use std::path::Path;

/// The file in which a directory's lock lives (see [`super::lock`]).
pub(super) const LOCK_FILE: &str = "LOCK";
/// A file that is being made bears this name until it is whole. There is never more than one, and the next creation
/// overwrites what a crash left.
pub(super) const UNFINISHED_FILE: &str = "unfinished.tmp";

/// Whether this module keeps the name for itself.
pub(super) fn is_reserved(name: &str) -> bool {
    name == LOCK_FILE || name == UNFINISHED_FILE
}

/// Refuses names that are not those of a plain file in the directory, or that are kept for this module.
pub(super) fn check_name(operation: IoOperation, name: &str) -> Result<(), IoError> {
    let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
    if plain && !is_reserved(name) {
        return Ok(());
    }
    Err(refused(operation, Path::new(name), None, "not a name that a store's file can have"))
}

/// Refuses lengths of new files that are zero or no multiple of [`BLOCK`].
pub(super) fn check_new_len(path: &Path, bytes: u64) -> Result<(), IoError> {
    if bytes > 0 && bytes.is_multiple_of(BLOCK as u64) {
        return Ok(());
    }
    Err(refused(IoOperation::Create, path, None, "the length of a file is a positive multiple of 4096 bytes"))
}

/// Refuses reads that leave the file.
pub(super) fn check_read(path: &Path, file_len: u64, offset: u64, buf: &[u8]) -> Result<(), IoError> {
    if ends_within(file_len, offset, buf.len()) {
        return Ok(());
    }
    let beyond = io::Error::new(io::ErrorKind::UnexpectedEof, "the read goes beyond the end of the file");
    Err(IoError::at(IoOperation::Read, path, offset, beyond))
}

/// Refuses writes that are not aligned or leave the file; returns their length in bytes.
pub(super) fn check_write(
    path: &Path,
    file_len: u64,
    offset: u64,
    parts: &[&[u8]],
) -> Result<usize, IoError> {
    let refused = |why| Err(refused(IoOperation::Write, path, Some(offset), why));
    let aligned =
        |part: &&[u8]| part.len().is_multiple_of(BLOCK) && part.as_ptr().addr().is_multiple_of(BLOCK);
    if !offset.is_multiple_of(BLOCK as u64) || !parts.iter().all(aligned) {
        return refused("offset, address and length of a write are multiples of 4096 bytes");
    }
    let len = parts.iter().map(|part| part.len()).sum();
    if !ends_within(file_len, offset, len) {
        return refused("the write goes beyond the end of the file, which has a fixed length");
    }
    Ok(len)
}

/// Refuses ranges that are not aligned or leave the file.
pub(super) fn check_discard(path: &Path, file_len: u64, offset: u64, bytes: u64) -> Result<(), IoError> {
    let is_aligned = (offset | bytes).is_multiple_of(BLOCK as u64);
    if is_aligned && ends_within(file_len, offset, bytes as usize) {
        return Ok(());
    }
    let why = "what is given back lies within the file, its offset and length multiples of 4096 bytes";
    Err(refused(IoOperation::Discard, path, Some(offset), why))
}

fn ends_within(file_len: u64, offset: u64, len: usize) -> bool {
    offset.checked_add(len as u64).is_some_and(|end| end <= file_len)
}

fn refused(operation: IoOperation, path: &Path, offset: Option<u64>, why: &'static str) -> IoError {
    let source = io::Error::new(io::ErrorKind::InvalidInput, why);
    match offset {
        Some(offset) => IoError::at(operation, path, offset, source),
        None => IoError::new(operation, path, source),
    }
}
