//! Random operations of several interleaved transactions against a model: what each read answers, which commits are refused and for which
//! key, at every isolation level; and that no snapshot ever changes.

mod history;
mod operations;
mod run;

use operations::operations;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_is_that_of_the_model(operations in operations()) {
        run::run(&operations);
    }
}
