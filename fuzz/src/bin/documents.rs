//! See `skipstone_fuzz::documents`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| skipstone_fuzz::documents::run(input));

#[cfg(not(fuzzing))]
fn main() {
    skipstone_fuzz::refuse();
}
