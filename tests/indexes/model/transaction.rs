//! A transaction beside its model.

use super::expected::{Answer, Docs, has_place, is_duplicate, written};
use super::operations::{IDS, Write};
use super::run::{Made, Model, answer, call};
use skipstone::{Collection, Database, Isolation, Savepoint, Transaction, TransactionOptions};
use std::collections::BTreeMap;

/// See the module. Nobody else writes the lower half of the ids while it is open.
pub(crate) struct Open<'db> {
    real: Transaction<'db>,
    level: Isolation,
    /// What there was when it began.
    snapshot: Docs,
    own: BTreeMap<i32, Option<super::documents::Doc>>,
    savepoints: Vec<(Savepoint, BTreeMap<i32, Option<super::documents::Doc>>)>,
    /// How often the indexes had changed when it began, and when it wrote for the first time.
    began: usize,
    first_write: Option<usize>,
    pub(crate) others_wrote: bool,
    pub(crate) was_dropped: bool,
}

impl<'db> Open<'db> {
    pub(crate) fn begin(db: &'db Database, level: Isolation, model: &Model) -> Open<'db> {
        Open {
            real: db.begin_with(TransactionOptions::new().isolation(level)).unwrap(),
            level,
            snapshot: model.docs.clone(),
            own: BTreeMap::new(),
            savepoints: Vec::new(),
            began: model.changes,
            first_write: None,
            others_wrote: false,
            was_dropped: false,
        }
    }

    fn over(&self, docs: &Docs) -> Docs {
        let mut docs = docs.clone();
        for (id, doc) in &self.own {
            match doc {
                Some(doc) => drop(docs.insert(*id, doc.clone())),
                None => drop(docs.remove(id)),
            }
        }
        docs
    }

    pub(crate) fn write(&mut self, collection: &Collection, model: &Model, id: i32, write: &Write) {
        let id = id % (IDS / 2);
        let found = answer(call!(self.real.collection(collection).unwrap(), id, write));
        // A key that the transaction has written itself it sees as it left it: who else has it by now, the commit finds out.
        let may_be_taken = self.level == Isolation::ReadCommitted && !self.own.is_empty();
        let expected = match written(self.over(&self.snapshot).get(&id), write) {
            Ok(new) => {
                let before = self.own.insert(id, new);
                let is_refused = model.indexes.iter().any(|made| self.refuses(made, model, id));
                if is_refused && !(may_be_taken && found == Answer::Done) {
                    match before {
                        Some(before) => drop(self.own.insert(id, before)),
                        None => drop(self.own.remove(&id)),
                    }
                    Answer::Refused
                } else {
                    self.first_write.get_or_insert(model.changes);
                    Answer::Done
                }
            }
            Err(answer) => answer,
        };
        assert_eq!(found, expected, "{write:?} of {id} at {:?}", self.level);
    }

    /// By what the transaction sees of the index, or by what there is now if it began before the index; what was written before
    /// the index came is looked at in the end.
    fn refuses(&self, made: &Made, model: &Model, id: i32) -> bool {
        let is_whole = made.at <= self.began;
        let sees = if is_whole && self.level != Isolation::ReadCommitted {
            self.over(&self.snapshot)
        } else {
            self.over(&model.docs)
        };
        let is_for_later = !is_whole && self.first_write.is_some_and(|at| at != model.changes);
        !has_place(&made.spec, &sees, id) || !is_for_later && is_duplicate(&made.spec, &sees, id)
    }

    pub(crate) fn savepoint(&mut self) {
        self.savepoints.push((self.real.savepoint(), self.own.clone()));
    }

    pub(crate) fn roll_back_to(&mut self, number: usize) {
        if let Some(number) = number.checked_rem(self.savepoints.len()) {
            let (savepoint, own) = self.savepoints.drain(number..).next().expect("it is open");
            self.real.rollback_to(savepoint).unwrap();
            self.own = own;
        }
    }

    pub(crate) fn commit(self, model: &mut Model) {
        let merged = self.over(&model.docs);
        let asks = |made: &Made, id: &i32| {
            has_place(&made.spec, &merged, *id) && !is_duplicate(&made.spec, &merged, *id)
        };
        let is_possible = model.indexes.iter().all(|made| self.own.keys().all(|id| asks(made, id)));
        // What it found in a unique index may be another by now, whether it matters or not.
        let others_came_between = self.others_wrote && model.indexes.iter().any(|made| made.spec.unique);
        let index_went = self.was_dropped && self.level == Isolation::Serializable;
        let (level, wrote) = (self.level, !self.own.is_empty());
        let found = answer(self.real.commit().map(|_| true));
        match found {
            Answer::Done => {
                assert!(is_possible, "committed at {level:?}, against an index");
                model.docs = merged;
            }
            Answer::Conflict => {
                assert!(wrote && (others_came_between || index_went), "a conflict with nobody at {level:?}");
            }
            found => assert!(!is_possible && found == Answer::Refused, "{found:?} at {level:?}"),
        }
    }

    pub(crate) fn roll_back(self) {
        self.real.rollback();
    }
}
