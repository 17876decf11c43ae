//! A store beside what it held after each commit.

use proptest::prelude::*;
use skipstone::bson::doc;
use skipstone::{Builder, Collection, Database, Lsn};
use std::collections::BTreeMap;

/// Documents by id: their version, and what is in them.
pub(crate) type State = BTreeMap<i32, (u64, i32)>;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Put(i32, i32),
    Delete(i32),
    /// Several in one transaction.
    PutAll(Vec<(i32, i32)>),
    Sweep,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let put = || (0..5_i32, 0..3_i32);
    let step = prop_oneof![
        6 => put().prop_map(|(id, n)| Step::Put(id, n)),
        3 => (0..5_i32).prop_map(Step::Delete),
        1 => proptest::collection::vec(put(), 1..4).prop_map(Step::PutAll),
        1 => Just(Step::Sweep),
    ];
    proptest::collection::vec(step, 1..40)
}

/// See the module. The first state is the empty one.
pub(crate) struct Past {
    pub(crate) db: Database,
    pub(crate) things: Collection,
    /// Positions at which the store held these states, ascending.
    pub(crate) states: Vec<(Lsn, State)>,
}

impl Past {
    pub(crate) fn run(builder: Builder, steps: &[Step]) -> Past {
        let db = builder.open().unwrap();
        let things = db.collection("things").unwrap();
        let mut past = Past { states: vec![(db.position(), State::new())], db, things };
        steps.iter().for_each(|step| past.step(step));
        past
    }

    pub(crate) fn step(&mut self, step: &Step) {
        let mut state = self.state().clone();
        let mut put = |id, n| {
            let version = state.get(&id).map_or(1, |(version, _)| version + 1);
            state.insert(id, (version, n));
        };
        match step {
            Step::Put(id, n) => {
                self.things.upsert(doc! { "_id": id, "n": n }).unwrap();
                put(*id, *n);
            }
            Step::Delete(id) => {
                assert_eq!(self.things.delete(*id).unwrap(), state.remove(id).is_some());
            }
            Step::PutAll(all) => {
                let once: BTreeMap<i32, i32> = all.iter().copied().collect();
                let documents = once.iter().map(|(id, n)| doc! { "_id": id, "n": n });
                self.things.upsert_many(documents).unwrap();
                once.into_iter().for_each(|(id, n)| put(id, n));
            }
            Step::Sweep => self.db.sweep().unwrap(),
        }
        self.states.push((self.db.position(), state));
    }

    pub(crate) fn state(&self) -> &State {
        &self.states.last().expect("there is the empty one").1
    }
}

/// What a snapshot sees.
pub(crate) fn seen(snapshot: &skipstone::Snapshot<'_>, things: &Collection) -> State {
    let scan = snapshot.collection(things).unwrap().scan();
    scan.map(|found| {
        let found = found.unwrap();
        let id = found.get("_id").unwrap().as_i32().unwrap();
        (id, (found.version(), n(&found)))
    })
    .collect()
}

pub(crate) fn n(document: &skipstone::DocRef<'_>) -> i32 {
    document.get("n").unwrap().as_i32().unwrap()
}
