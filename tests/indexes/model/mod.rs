//! Random documents, indexes and operations against a model: which are refused, what is there afterwards, and that the indexes hold it,
//! in memory, on the disk, and after reopening.

mod documents;
mod expected;
mod operations;
mod run;
mod transaction;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn documents_and_indexes_are_those_of_the_model(operations in operations::operations()) {
        run::run(&operations);
    }
}
