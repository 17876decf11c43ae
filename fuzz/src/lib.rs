//! Fuzz targets, one a program: `.ci/fuzz` builds and runs them, on the stable toolchain.
//!
//! | target | what is fed |
//! | --- | --- |
//! | `frames` | the reader of the log, with and without damage |
//! | `pages` | trees of pages: opening, verifying, and looking for leaves by themselves |
//! | `manifest` | the manifest |
//! | `documents` | JSON, BSON, ids, order keys, paths and patches |
//! | `operations` | a store in memory, against a plain map |
//!
//! The first three are in the library, as far as it is built for fuzzing (`src/fuzzing.rs`). There checksums count for nothing, for no fuzzer finds
//! one. `cargo run -p skipstone-fuzz --bin seeds` writes the seeds in `corpus` anew, as they must be when a format has changed.

pub mod documents;
pub mod operations;

/// What a target does that was not built for fuzzing.
pub fn refuse() {
    eprintln!("this is a fuzz target: build and run it with `.ci/fuzz`");
    std::process::exit(2);
}
