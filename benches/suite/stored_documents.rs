//! The data of the figures on checkpoints: documents of 200 bytes in a collection, and our store full of them.

use super::Result;
use super::records::{Id, unlogged};
use skipstone::bson::spec::BinarySubtype;
use skipstone::bson::{Binary, RawDocumentBuf, rawdoc};
use skipstone::{Builder, Checkpoint, Collection, Database, Durability};

/// A document as BSON, its id included.
pub(crate) const DOCUMENT_BYTES: usize = 200;
const TEXT: &str = "A harbour town of some two hundred and fifty thousand, known for its springs, its granite quarries, \
    and the orchards on the slopes by the river.";
/// Documents in one transaction, where all are written.
const BATCH: usize = 256;

fn document(id: &Id) -> RawDocumentBuf {
    let id = Binary { subtype: BinarySubtype::Uuid, bytes: id.to_vec() };
    rawdoc! { "_id": id, "rank": i64::from(TEXT.len() as u32), "text": TEXT }
}

/// Our store with a document for each id.
pub(crate) struct StoredDocuments {
    pub(crate) db: Database,
    documents: Collection,
}

impl StoredDocuments {
    /// What is there already, if anything is. Commits wait for nothing.
    pub(crate) fn open(builder: Builder) -> Result<StoredDocuments> {
        let db = builder.durability(Durability::None).open()?;
        let documents = db.collection("documents")?;
        Ok(StoredDocuments { db, documents })
    }

    /// Writes one document, as one transaction.
    pub(crate) fn put(&self, id: &Id) {
        self.documents.upsert(document(id)).expect("an upsert fails for a broken disk only");
    }

    /// Writes every document, many in a transaction.
    pub(crate) fn put_all(&self, ids: &[Id]) -> Result<()> {
        for batch in ids.chunks(BATCH) {
            self.db.transact_with(unlogged(), |tx| {
                let mut documents = tx.collection(&self.documents)?;
                batch.iter().try_for_each(|id| documents.upsert(document(id)).map(drop))
            })?;
        }
        Ok(())
    }

    /// Lets go of the directory, too.
    pub(crate) fn close(self) -> Result<()> {
        drop(self.documents);
        Ok(self.db.close()?)
    }

    pub(crate) fn checkpoint(&self) -> Result<Checkpoint> {
        self.db.checkpoint()?.ok_or_else(|| "a store on a disk takes checkpoints".into())
    }

    /// Every document is there and is what it was written as; fails unless they were written so often, all in all.
    pub(crate) fn check(&self, ids: &[Id], writes: u64) -> Result<()> {
        let snapshot = self.db.snapshot()?;
        let documents = snapshot.collection(&self.documents)?;
        let mut found_writes = 0;
        for id in ids {
            let key = skipstone::DocumentId::Uuid(uuid::Uuid::from_bytes(*id));
            let found = documents.get(key)?.ok_or("a document is missing")?;
            let expected = document(id);
            if found.raw() != &*expected || expected.as_bytes().len() != DOCUMENT_BYTES {
                return Err("a document is not what was written".into());
            }
            found_writes += found.version();
        }
        if found_writes == writes {
            Ok(())
        } else {
            Err(format!("{found_writes} of {writes} writes are there").into())
        }
    }
}
