//! Whether a patch that was made for one state of a document may be applied to a later one.
//!
//! Decided by the values that are there, not by who wrote what: a path that others changed and changed back is as it was.

use super::Patch;
use super::change::Action;
use crate::document::path;
use crate::document::raw::RawValue;
use bson::{RawBsonRef, RawDocument};

/// Whether increments may come on top of what others made of the same number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Increments {
    /// Nobody has looked at the number, so they may come in any order.
    Commute,
    /// They were made for the number that was seen.
    Overlap,
}

impl Patch {
    /// Whether everything that the patch changes is in `newest` as it was in `base`.
    pub(crate) fn is_free_of(
        &self,
        base: &RawDocument,
        newest: &RawDocument,
        increments: Increments,
    ) -> bool {
        self.operations.iter().all(|operation| {
            let commutes = increments == Increments::Commute && matches!(operation.action, Action::Inc(_));
            commutes || are_same(path::get(base, &operation.path), path::get(newest, &operation.path))
        })
    }
}

fn are_same(one: Option<RawBsonRef<'_>>, other: Option<RawBsonRef<'_>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            let (one, other) = (RawValue::new(one), RawValue::new(other));
            one.kind == other.kind && one.bytes == other.bytes
        }
        _ => false,
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use bson::rawdoc;

    fn is_free(patch: Patch, newest: bson::RawDocumentBuf, increments: Increments) -> bool {
        let base = rawdoc! { "a": 1, "b": { "c": 2, "d": 3 }, "e": [4, 5] };
        patch.is_free_of(&base, &newest, increments)
    }

    #[test]
    fn what_others_changed_elsewhere_is_no_overlap() {
        let newest = || rawdoc! { "new": 1, "e": [4, 6], "b": { "d": 9, "c": 2 }, "a": 1 };
        for patch in [
            Patch::new().set("a", 7).unset("b.c"),
            Patch::new().set("b.e", 7).inc("b.c", 1),
            Patch::new().set("e.0", 7),
            Patch::new().push("f", 7).add_to_set("g", 1),
        ] {
            assert!(is_free(patch.clone(), newest(), Increments::Overlap), "{patch:?}");
        }
    }

    #[test]
    fn a_path_a_part_and_a_whole_overlap() {
        let newest = || rawdoc! { "a": 1i64, "b": { "c": 2, "d": 9 }, "e": [4, 6] };
        for patch in [
            Patch::new().set("a", 7),
            Patch::new().set("b", 7),
            Patch::new().unset("b.d"),
            Patch::new().push("e", 7),
            Patch::new().add_to_set("e", 7),
            Patch::new().set("e.1", 7),
            Patch::new().set("b.c", 7).set("b.d", 1),
        ] {
            for increments in [Increments::Overlap, Increments::Commute] {
                assert!(!is_free(patch.clone(), newest(), increments), "{patch:?}");
            }
        }
        assert!(!is_free(Patch::new().set("b.c", 7), rawdoc! { "b": 5 }, Increments::Overlap));
    }

    #[test]
    fn increments_commute_if_they_may() {
        let newest = || rawdoc! { "a": 8, "b": { "c": 2 }, "e": [4, 5] };
        let patch = Patch::new().inc("a", 1).set("b.c", 7);
        assert!(is_free(patch.clone(), newest(), Increments::Commute));
        assert!(!is_free(patch, newest(), Increments::Overlap));
    }
}
