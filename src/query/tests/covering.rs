//! What can be made of entries alone: counts, and some of the fields. It is what the documents give.

use super::checks::{Checked, Seen, counted, failed, id, run, shown};
use super::model::{Answer, Asked};
use crate::bson::RawDocumentBuf;
use crate::document::locate_field;
use crate::query::execute::{self, Ground};
use crate::query::meter::Meter;
use crate::query::plan::Plan;
use crate::query::request::Query;
use crate::query::{Planned, Projection, parallel, request};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is wanted of documents: what one index has, what several fields of one have, the ids alone, what none has.
const WANTED: [&[&str]; 5] = [&["a"], &["b", "c.d"], &["c.e", "a"], &[], &["c"]];

impl<'t, 's: 't> Seen<'t, 's> {
    /// Every plan counts what there is, and has of each document what is wanted of it.
    pub(super) fn check_answers(self, asked: &Asked, answer: &Answer) -> Checked {
        let whole = asked.whole().query();
        for planned in self.plans(&whole.answering(request::Answer::Count))? {
            prop_assert_eq!(counted(&planned)?, answer.ids().len(), "by {}", shown(&planned));
        }
        let documents = self.documents()?;
        for wanted in WANTED {
            let projection = Projection::include(wanted.iter().copied()).map_err(failed)?;
            for planned in self.plans(&asked.query().answering(request::Answer::of(&projection)))? {
                let rows = run(&planned)?;
                let page: Vec<i32> = rows.iter().map(id).collect();
                prop_assert!(answer.has_page(asked, &page), "{:?} by {}", page, shown(&planned));
                for row in &rows {
                    let (whole, of_row) = (&documents[&id(row)], execute::document(row).expect("a document"));
                    let expected = projection.apply(whole).map_err(failed)?;
                    let made = projection.apply(of_row).map_err(failed)?;
                    prop_assert_eq!(
                        made.as_bytes(),
                        expected.as_bytes(),
                        "{:?} by {}",
                        whole,
                        shown(&planned)
                    );
                    // So a cursor behind it stands where one behind the document does.
                    if let Some(order) = &planned.plan.order {
                        prop_assert_eq!(order.key(of_row, &row.key), order.key(whole, &row.key));
                    }
                }
                self.check_parts(&planned)?;
            }
        }
        Ok(())
    }

    /// In parts as at once.
    fn check_parts(self, planned: &Planned<'t, 's>) -> Checked {
        let of_part = |part: &Arc<Plan>, ground: Ground<'t, 's>| {
            let rows = execute::matching(part, ground, Meter::default());
            rows.map(|row| (id(&row), row.value.into_owned())).collect::<Vec<_>>()
        };
        let long = self.planned(super::checks::long(&planned.plan));
        if let Some(parts) = parallel::of_parts(&long.plan, long.ground, &of_part) {
            prop_assert_eq!(parts.concat(), of_part(&planned.plan, planned.ground), "by {}", shown(&long));
        }
        Ok(())
    }

    /// All that there are, as they are stored.
    fn documents(self) -> Result<BTreeMap<i32, RawDocumentBuf>, TestCaseError> {
        let place = (self.store, self.space);
        let all = Planned::new(self.view, place, Query::all().use_scan()).map_err(failed)?;
        let stored = |row| (id(&row), execute::document(&row).expect("a document").to_owned());
        let documents: BTreeMap<_, _> = run(&all)?.into_iter().map(stored).collect();
        let is_id_first =
            |document: &RawDocumentBuf| locate_field(document, "_id").is_some_and(|(at, _)| at == 9);
        prop_assert!(documents.values().all(is_id_first));
        Ok(documents)
    }
}
