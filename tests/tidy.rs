//! The house style, kept by a test.
//!
//! Plain text processing, no compiler: a small lexer takes comments and string contents out of the way, and each rule
//! reads what is left. Each finding names file and line, what is wrong, and what to do. Each rule is itself tested on a
//! planted bad snippet and on a good one, in the file where the rule lives.
//!
//! | rule | where it holds |
//! | --- | --- |
//! | imports go to lower layers only | `src`, without test code |
//! | atomics, threads, locks and epochs come through `src/sync` | `src`, without test code |
//! | what is built otherwise for loom is so for shuttle | `src` |
//! | each atomic ordering has its reason beside it | `src`, without test code |
//! | each `unsafe` says why it is sound | all Rust code |
//! | sizes of files and functions | all Rust code |
//! | nothing unfinished, no skipped test, no printing from the library | all Rust code |
//! | a module header | `src` |
//! | no machine path, no registry host | every tracked text file |
//!
//! What it does not do: understand macros, or follow names through `use … as …`.

#[path = "tidy/builds.rs"]
mod builds;
#[path = "tidy/doors.rs"]
mod doors;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/lexer.rs"]
mod lexer;
#[path = "tidy/orderings.rs"]
mod orderings;
#[path = "tidy/places.rs"]
mod places;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/soundness.rs"]
mod soundness;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/words.rs"]
mod words;

use source::{Finding, SourceFile};

/// Fails with one paragraph for each finding.
fn report(findings: Vec<Finding>) {
    let text: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(text.is_empty(), "{} finding(s):\n{}", text.len(), text.join("\n"));
}

/// Runs a rule over the library's sources.
fn library(rule: impl Fn(&SourceFile) -> Vec<Finding>) {
    report(tree::library().iter().flat_map(rule).collect());
}

/// Runs a rule over all Rust code of the project.
fn everything(rule: impl Fn(&SourceFile) -> Vec<Finding>) {
    report(tree::all_rust().iter().flat_map(rule).collect());
}

#[test]
fn the_walk_finds_the_library_and_this_test() {
    let paths: Vec<String> = tree::all_rust().into_iter().map(|file| file.path).collect();
    for expected in ["src/lib.rs", "cli/src/main.rs", "tests/tidy.rs", "tests/tidy/lexer.rs"] {
        assert!(paths.iter().any(|path| path == expected), "{expected} is missing from {paths:?}");
    }
}

#[test]
fn imports_go_to_lower_layers_only() {
    library(layers::check);
}

#[test]
fn concurrency_primitives_come_through_their_doors() {
    library(doors::check);
}

#[test]
fn the_models_are_built_alike() {
    library(builds::check);
}

#[test]
fn orderings_have_their_reasons() {
    library(orderings::check);
}

#[test]
fn unsafe_code_says_why_it_is_sound() {
    everything(soundness::check);
}

#[test]
fn files_and_functions_keep_their_sizes() {
    report(sizes::check(&tree::all_rust(), sizes::FILE_EXCEPTIONS, sizes::FUNCTION_EXCEPTIONS));
}

#[test]
fn nothing_is_unfinished_or_skipped() {
    everything(words::check_unfinished);
}

#[test]
fn the_library_does_not_print() {
    library(words::check_printing);
}

#[test]
fn modules_have_headers() {
    library(words::check_header);
}

#[test]
fn no_machine_or_registry_is_named() {
    report(tree::tracked_text().iter().flat_map(|(path, text)| places::check(path, text)).collect());
}

#[test]
fn assertions_are_counted() {
    let (assertions, lines) = tree::library()
        .iter()
        .map(words::count_assertions)
        .fold((0, 0), |sum, file| (sum.0 + file.0, sum.1 + file.1));
    assert!(lines > 0, "no library code was found");
    let per_thousand = 1000.0 * assertions as f64 / lines as f64;
    println!("assertions: {assertions} in {lines} lines of library code, {per_thousand:.1} per 1,000");
}
