//! Committing a transaction whose patches others came before: they are applied again, to what the others left.
//!
//! ```text
//!   commit ──conflict──► for each patched document that has changed since: base = log's end ─► newest ─► no overlap ─► patch it ─► entries anew ─► commit
//!                                                                                              └─ overlap ─► the conflict
//! ```
//!
//! A patch is a change of the paths that it names. Where these are as the transaction's snapshot saw them, the outcome is what it would have been had the
//! transaction begun after the others; so the first committer wins path by path. An increment names what it adds, not what comes of it:
//! it may come after other changes of the same number, unless the transaction has looked at the collection, and may rely on what it saw.
//!
//! What is read for another try is read with a base of its own, as a statement is under read committed (`Txn::end`): who commits in between makes that
//! try fail too. Each try that fails means that somebody else went on.

use super::commit::{Committed, Failed};
use super::error::ConflictKind;
use super::{Change, Overtaken, Refused, Txn};
use crate::document::stored::{self, VERSION_BYTES};
use crate::document::{Increments, Limits, Patch};
use crate::map::Key;
use crate::mvcc::store::Space;
use crate::sync::thread;
use bson::RawDocumentBuf;
use std::borrow::Cow;

/// A document whose patches were applied again, and by how much its version is higher than before.
struct Reapplied<'s> {
    collection: &'s Space,
    key: Key,
    versions: u64,
}

/// A commit, with what became of patches since they were applied in the transaction.
pub(crate) struct Mended<'s> {
    pub(crate) committed: Committed,
    reapplied: Vec<Reapplied<'s>>,
}

impl Mended<'_> {
    /// By how much the version of a document, of the transaction's only collection, is higher than it was in the transaction.
    pub(crate) fn versions_passed(&self, key: &[u8]) -> u64 {
        self.reapplied.iter().filter(|again| *again.key == *key).map(|again| again.versions).sum()
    }
}

/// After so many tries the conflict is the caller's: somebody else always went on, but this transaction did not.
const TRIES_MAX: u32 = 10_000;
/// So many tries are made before the processor is given away in between.
const TRIES_AT_ONCE: u32 = 3;

/// Commits; `limits` are those of documents. `write_anew` writes what follows from the transaction's own writes of a collection: anew, if they or the rules for
/// it have changed.
pub(crate) fn commit<'s, E: From<Failed<'s>>>(
    mut txn: Txn<'s>,
    limits: &Limits,
    mut write_anew: impl FnMut(&mut Txn<'s>, &'s Space) -> Result<(), E>,
) -> Result<Mended<'s>, E> {
    let (mut reapplied, mut tries) = (Vec::new(), 0);
    loop {
        txn.outdated().into_iter().try_for_each(|collection| write_anew(&mut txn, collection))?;
        let refused = match txn.commit_or_mend() {
            Ok(committed) => return Ok(Mended { committed, reapplied }),
            Err(refused) => refused,
        };
        tries += 1;
        let Refused { failed, to_mend } = *refused;
        let Some(to_mend) = to_mend.filter(|_| tries < TRIES_MAX) else { return Err(failed.into()) };
        txn = to_mend;
        let again = mend(&mut txn, failed, limits)?;
        // In the order of their collections.
        for of_collection in again.chunk_by(|one, next| std::ptr::eq(one.collection, next.collection)) {
            write_anew(&mut txn, of_collection[0].collection)?;
        }
        reapplied.extend(again);
        if tries > TRIES_AT_ONCE {
            thread::yield_now();
        }
    }
}

/// Makes a transaction ready for another try, if what it failed by can be mended.
fn mend<'s>(
    txn: &mut Txn<'s>,
    failed: Failed<'s>,
    limits: &Limits,
) -> Result<Vec<Reapplied<'s>>, Failed<'s>> {
    let Failed::Conflict { space, conflict } = &failed else { return Err(failed) };
    let overtaken = txn.overtaken_patches();
    let is_mendable = match conflict.kind {
        // Unless it is another write than a patch that somebody came before.
        ConflictKind::Write => overtaken
            .iter()
            .any(|(collection, key)| std::ptr::eq(*collection, *space) && **key == *conflict.key),
        // Killed by another writer, which may have committed or not.
        ConflictKind::Overtaken => true,
        _ => false,
    };
    if !is_mendable {
        return Err(failed);
    }
    let again = overtaken.into_iter().map(|(collection, key)| {
        let versions = patch_again(txn, collection, &key, limits)?;
        Some(Reapplied { collection, key, versions })
    });
    again.collect::<Option<_>>().ok_or(failed)
}

/// Returns by how much the document's version is higher; none if the patches overlap with what others did.
fn patch_again<'s>(txn: &mut Txn<'s>, collection: &'s Space, key: &Key, limits: &Limits) -> Option<u64> {
    let increments = if txn.has_looked_at(collection) { Increments::Overlap } else { Increments::Commute };
    let mut versions = 0;
    let is_patched = txn.patch_again(collection, key, |Overtaken { made_for, made, newest, patches }| {
        let ((version_made_for, made_for), (made, _)) = (stored::decode(made_for)?, stored::decode(made)?);
        let (newest_version, newest) = stored::decode(newest)?;
        // Versions begin anew in a document that was deleted and inserted again.
        if newest_version <= version_made_for {
            return None;
        }
        if !patches.iter().all(|patch| patch.is_free_of(made_for, newest, increments)) {
            return None;
        }
        let apply = |document: RawDocumentBuf, patch: &Patch| patch.apply(&document, limits).ok();
        let patched = patches.iter().try_fold(newest.to_owned(), apply)?;
        let version = newest_version + patches.len() as u64;
        versions = version.saturating_sub(made);
        Some(Change::Put { head: version.to_le_bytes(), body: Cow::Owned(patched.into_bytes()), patch: None })
    });
    is_patched.then_some(versions)
}
const _: () = assert!(VERSION_BYTES == Change::HEAD_BYTES);
