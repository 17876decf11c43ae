//! See `skipstone::fuzzing::pages`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| skipstone::fuzzing::pages(input));

#[cfg(not(fuzzing))]
fn main() {
    skipstone_fuzz::refuse();
}
