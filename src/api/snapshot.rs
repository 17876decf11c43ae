//! Snapshots: everything that was committed at one moment, for as long as they live.

use super::documents::Target;
use super::query::{Asked, Matches, Projected};
use super::scan::{DocumentScan, KeyValueScan, Span};
use super::space::SpaceHandle;
use super::value::DocRef;
use super::{Collection, Keyspace, Result};
use crate::document::DocumentId;
use crate::engine::Engine;
use crate::lsn::Lsn;
use crate::map::Towards;
use crate::mvcc::{snapshot, store::Space};
use crate::query::{Answer, Explanation, Grouping, Projection, Query, view};
use bson::Bson;
use std::borrow::Cow;
use std::ops::{Bound, RangeBounds};

/// A view of the whole store as of one position: it never changes, and it holds up nobody.
///
/// Opening one costs a store to memory of the thread's own, a fence and two loads. What is read through it borrows from it. An open snapshot
/// keeps the versions it can see, one per key at most, however long it is open. Cloning shares it; it may move to another thread.
///
/// ```
/// # use skipstone::{Database, bson::doc};
/// let db = Database::in_memory();
/// let towns = db.collection("towns")?;
/// towns.insert(doc! { "_id": "aachen", "people": 249_070 })?;
/// let before = db.snapshot()?;
/// towns.delete("aachen")?;
/// assert!(before.collection(&towns)?.get("aachen")?.is_some());
/// assert!(db.snapshot()?.collection(&towns)?.get("aachen")?.is_none());
/// # Ok::<(), skipstone::Error>(())
/// ```
#[derive(Clone)]
pub struct Snapshot<'db> {
    engine: &'db Engine,
    snapshot: snapshot::Snapshot,
}

impl<'db> Snapshot<'db> {
    #[inline]
    pub(super) fn new(engine: &'db Engine, snapshot: snapshot::Snapshot) -> Snapshot<'db> {
        Snapshot { engine, snapshot }
    }

    /// Where it stands: it sees exactly what was committed below.
    pub fn position(&self) -> Lsn {
        self.snapshot.position()
    }

    pub(super) fn seen(&self) -> &snapshot::Snapshot {
        &self.snapshot
    }

    pub(super) fn store_identity(&self) -> u64 {
        self.engine.identity()
    }

    /// A collection as of this snapshot.
    ///
    /// # Errors
    /// [`Error::ForeignHandle`](crate::Error::ForeignHandle).
    pub fn collection<'s>(&'s self, collection: &Collection) -> Result<SnapshotCollection<'s>> {
        Ok(SnapshotCollection { view: self.view(&collection.0)?, engine: self.engine })
    }

    /// A keyspace as of this snapshot.
    ///
    /// # Errors
    /// [`Error::ForeignHandle`](crate::Error::ForeignHandle).
    pub fn keyspace<'s>(&'s self, keyspace: &Keyspace) -> Result<SnapshotKeyspace<'s>> {
        Ok(SnapshotKeyspace(self.view(&keyspace.0)?))
    }

    fn view<'s>(&'s self, handle: &SpaceHandle) -> Result<View<'s>> {
        super::check_open(self.engine)?;
        Ok(View { snapshot: &self.snapshot, space: handle.within(self.engine)? })
    }

    /// The value of a key of a keyspace, in place: the shortest way for one read.
    ///
    /// # Errors
    /// [`Error::ForeignHandle`](crate::Error::ForeignHandle).
    #[inline]
    pub fn get<'s>(&'s self, keyspace: &Keyspace, key: &[u8]) -> Result<Option<&'s [u8]>> {
        super::check_open(self.engine)?;
        let space = keyspace.0.within(self.engine)?;
        Ok(self.snapshot.get(space, key).map(|seen| seen.value))
    }
}

pub(super) struct View<'s> {
    pub(super) snapshot: &'s snapshot::Snapshot,
    pub(super) space: &'s Space,
}

/// A collection as of a snapshot.
pub struct SnapshotCollection<'s> {
    pub(super) view: View<'s>,
    pub(super) engine: &'s Engine,
}

impl<'s> SnapshotCollection<'s> {
    /// The document under an id, in place.
    ///
    /// # Errors
    /// An id that cannot be a key.
    pub fn get(&self, id: impl Into<DocumentId>) -> Result<Option<DocRef<'s>>> {
        let target = Target::new(id)?;
        let Some(seen) = self.view.snapshot.get(self.view.space, &target.key) else {
            return Ok(None);
        };
        DocRef::new(Cow::Borrowed(seen.value), Some(seen.lsn), self.view.space.name(), &target.key).map(Some)
    }

    /// All documents in the order of their ids.
    pub fn scan(&self) -> DocumentScan<'s> {
        self.walk((Bound::Unbounded, Bound::Unbounded), Towards::Greater)
    }

    /// All documents, the greatest id first.
    pub fn scan_rev(&self) -> DocumentScan<'s> {
        self.walk((Bound::Unbounded, Bound::Unbounded), Towards::Lesser)
    }

    /// The documents whose ids lie in a range, in order. Integers come before strings, bytes and UUIDs after them.
    ///
    /// # Errors
    /// Ids that cannot be keys.
    pub fn range(&self, ids: impl RangeBounds<DocumentId>) -> Result<DocumentScan<'s>> {
        let (low, high) = id_range(&ids)?;
        Ok(self.walk((key(&low), key(&high)), Towards::Greater))
    }

    /// [`SnapshotCollection::range`], the greatest id first.
    ///
    /// # Errors
    /// Ids that cannot be keys.
    pub fn range_rev(&self, ids: impl RangeBounds<DocumentId>) -> Result<DocumentScan<'s>> {
        let (low, high) = id_range(&ids)?;
        Ok(self.walk((key(&low), key(&high)), Towards::Lesser))
    }

    fn walk(&self, range: (Bound<&[u8]>, Bound<&[u8]>), towards: Towards) -> DocumentScan<'s> {
        DocumentScan::new(self.view.snapshot, self.view.space, Span { low: range.0, high: range.1, towards })
    }

    /// How many documents there are. Walks all of them.
    pub fn count(&self) -> u64 {
        let all = (Bound::Unbounded, Bound::Unbounded);
        self.view.snapshot.scan(self.view.space, all, Towards::Greater).count() as u64
    }

    /// The documents that a query gives, found as they are taken.
    ///
    /// # Errors
    /// [`QueryError`](crate::QueryError): a mistake in the query; too much to sort.
    pub fn find(&self, query: impl Into<Query>) -> Result<Matches<'s>> {
        self.asked().find(query.into())
    }

    /// What a projection keeps of the documents that a query gives: exactly what [`Projection::apply`] makes of them. They are found as they are taken.
    ///
    /// Reads no document if an index has all fields that are kept, and those that the filter and the order ask for, and no document has several entries in it: as if
    /// it were a small table of its own. A document whose entry says too little is read all the same: one with a decimal, −0, NaN, an object or an array in a field of the
    /// index, or one without a field that is nested in an object that is there. So is every document under read committed, and behind an index that an earlier version created.
    ///
    /// # Errors
    /// As [`SnapshotCollection::find`].
    pub fn find_projected(&self, query: impl Into<Query>, projection: &Projection) -> Result<Projected<'s>> {
        self.asked().find_projected(query.into(), projection)
    }

    /// Hands the documents that match to several threads, in no order; a long scan of all documents is divided among them. Offset, limit and order count for
    /// nothing.
    ///
    /// # Errors
    /// As [`SnapshotCollection::find`].
    pub fn par_for_each(
        &self,
        query: impl Into<Query>,
        each: impl Fn(Result<DocRef<'s>>) + Sync,
    ) -> Result<()> {
        self.asked().for_each(query.into(), each)
    }

    /// The first one.
    ///
    /// # Errors
    /// As [`SnapshotCollection::find`].
    pub fn first(&self, query: impl Into<Query>) -> Result<Option<DocRef<'s>>> {
        self.asked().first(query.into())
    }

    /// Whether there is any.
    ///
    /// # Errors
    /// As [`SnapshotCollection::find`].
    pub fn any(&self, query: impl Into<Query>) -> Result<bool> {
        self.asked().any(query.into())
    }

    /// How many there are. Reads no document if an index alone can say it.
    ///
    /// # Errors
    /// As [`SnapshotCollection::find`].
    pub fn count_matching(&self, query: impl Into<Query>) -> Result<u64> {
        self.asked().count(query.into())
    }

    /// The values of a field in the documents that a query gives, each once, in order; of arrays their elements.
    ///
    /// # Errors
    /// As [`SnapshotCollection::find`]; a path that is none; more than a million values.
    pub fn distinct(&self, path: &str, query: impl Into<Query>) -> Result<Vec<Bson>> {
        self.asked().distinct(path, query.into())
    }

    /// The documents that a query gives, summed up in groups, in the order of the groups' values.
    ///
    /// # Errors
    /// As [`SnapshotCollection::find`]; a mistake in the grouping; more than a million groups.
    pub fn group(&self, grouping: &Grouping, query: impl Into<Query>) -> Result<Vec<bson::Document>> {
        self.asked().group(grouping, query.into())
    }

    /// How a query would be answered, without answering it.
    ///
    /// # Errors
    /// As [`SnapshotCollection::find`].
    pub fn explain(&self, query: impl Into<Query>) -> Result<Explanation> {
        self.asked().explain(query.into(), Answer::Documents)
    }

    /// Answers a query, and says what each step came to.
    ///
    /// # Errors
    /// As [`SnapshotCollection::find`].
    pub fn explain_analyze(&self, query: impl Into<Query>) -> Result<Explanation> {
        self.asked().explain_analyze(query.into(), Answer::Documents)
    }

    /// How [`SnapshotCollection::count_matching`] would answer a query, without answering it: an index that says it alone has a step that is `covering`, and there is no
    /// `fetch`.
    ///
    /// # Errors
    /// As [`SnapshotCollection::find`].
    pub fn explain_count(&self, query: impl Into<Query>) -> Result<Explanation> {
        self.asked().explain(query.into(), Answer::Count)
    }

    /// Counts as [`SnapshotCollection::count_matching`] does, on one thread, and says what each step came to.
    ///
    /// # Errors
    /// As [`SnapshotCollection::find`].
    pub fn explain_analyze_count(&self, query: impl Into<Query>) -> Result<Explanation> {
        self.asked().explain_analyze(query.into(), Answer::Count)
    }

    /// How [`SnapshotCollection::find_projected`] would answer a query, without answering it: where an index has all that is wanted there is a step that is `covering`, and no `fetch`.
    ///
    /// # Errors
    /// As [`SnapshotCollection::find`].
    pub fn explain_projected(&self, query: impl Into<Query>, projection: &Projection) -> Result<Explanation> {
        self.asked().explain(query.into(), Answer::of(projection))
    }

    /// Answers it so, and says what each step came to.
    ///
    /// # Errors
    /// As [`SnapshotCollection::find`].
    pub fn explain_analyze_projected(
        &self,
        query: impl Into<Query>,
        projection: &Projection,
    ) -> Result<Explanation> {
        self.asked().explain_analyze(query.into(), Answer::of(projection))
    }

    /// How [`SnapshotCollection::distinct`] would answer a query, without answering it: the last step is `distinct`, with the plan of the query as its input, `covering` where an
    /// index has the field.
    ///
    /// # Errors
    /// As [`SnapshotCollection::distinct`].
    pub fn explain_distinct(&self, path: &str, query: impl Into<Query>) -> Result<Explanation> {
        self.asked().explain_distinct(path, query.into(), false)
    }

    /// Answers it so, on one thread, and says what each step came to; `actual_rows` of `distinct` is how many values there are.
    ///
    /// # Errors
    /// As [`SnapshotCollection::distinct`].
    pub fn explain_analyze_distinct(&self, path: &str, query: impl Into<Query>) -> Result<Explanation> {
        self.asked().explain_distinct(path, query.into(), true)
    }

    /// How [`SnapshotCollection::group`] would answer a query, without answering it: the last step is `group`, with the plan of the query as its input, `covering` where an index has
    /// all fields that are looked at.
    ///
    /// # Errors
    /// As [`SnapshotCollection::group`].
    pub fn explain_group(&self, grouping: &Grouping, query: impl Into<Query>) -> Result<Explanation> {
        self.asked().explain_group(grouping, query.into(), false)
    }

    /// Answers it so, on one thread, and says what each step came to; `actual_rows` of `group` is how many groups there are.
    ///
    /// # Errors
    /// As [`SnapshotCollection::group`].
    pub fn explain_analyze_group(&self, grouping: &Grouping, query: impl Into<Query>) -> Result<Explanation> {
        self.asked().explain_group(grouping, query.into(), true)
    }

    pub(crate) fn asked(&self) -> Asked<'s, 's> {
        let view = view::View::Snapshot(self.view.snapshot);
        Asked { store: self.engine.identity(), space: self.view.space, view }
    }
}

type IdRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

pub(super) fn id_range(ids: &impl RangeBounds<DocumentId>) -> Result<IdRange> {
    let key = |bound: Bound<&DocumentId>| -> Result<Bound<Vec<u8>>> {
        Ok(match bound {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included(id) => Bound::Included(Target::new(id.clone())?.key),
            Bound::Excluded(id) => Bound::Excluded(Target::new(id.clone())?.key),
        })
    };
    Ok((key(ids.start_bound())?, key(ids.end_bound())?))
}

pub(super) fn key(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

/// The keys that begin with `prefix`.
pub(super) fn prefix_range(prefix: &[u8]) -> IdRange {
    let mut above = prefix.to_vec();
    while let Some(last) = above.pop() {
        if last < u8::MAX {
            above.push(last + 1);
            return (Bound::Included(prefix.to_vec()), Bound::Excluded(above));
        }
    }
    (Bound::Included(prefix.to_vec()), Bound::Unbounded)
}

/// A range of byte keys, from any of Rust's ranges.
pub(super) fn byte_range<'r, K: AsRef<[u8]> + 'r>(
    range: &'r impl RangeBounds<K>,
) -> (Bound<&'r [u8]>, Bound<&'r [u8]>) {
    (range.start_bound().map(AsRef::as_ref), range.end_bound().map(AsRef::as_ref))
}

/// A keyspace as of a snapshot.
pub struct SnapshotKeyspace<'s>(View<'s>);

impl<'s> SnapshotKeyspace<'s> {
    /// The value of a key, in place.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<&'s [u8]> {
        self.0.snapshot.get(self.0.space, key).map(|seen| seen.value)
    }

    /// The entries of a range of keys, in order.
    pub fn range<K: AsRef<[u8]>>(&self, keys: impl RangeBounds<K>) -> KeyValueScan<'s> {
        self.walk(byte_range(&keys), Towards::Greater)
    }

    /// The entries of a range of keys, the greatest first.
    pub fn range_rev<K: AsRef<[u8]>>(&self, keys: impl RangeBounds<K>) -> KeyValueScan<'s> {
        self.walk(byte_range(&keys), Towards::Lesser)
    }

    /// The entries whose keys begin with `prefix`, in order.
    pub fn prefix(&self, prefix: &[u8]) -> KeyValueScan<'s> {
        let (low, high) = prefix_range(prefix);
        self.walk((key(&low), key(&high)), Towards::Greater)
    }

    fn walk(&self, range: (Bound<&[u8]>, Bound<&[u8]>), towards: Towards) -> KeyValueScan<'s> {
        KeyValueScan::new(self.0.snapshot, self.0.space, Span { low: range.0, high: range.1, towards })
    }
}
