//! Sizes that the environment gives.

use std::str::FromStr;

/// The positive number that a variable says, or the default.
pub(crate) fn positive(name: &str, default: usize) -> Result<usize, String> {
    let Ok(given) = std::env::var(name) else {
        return Ok(default);
    };
    match usize::from_str(&given) {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{name} is {given:?}: give a positive number")),
    }
}
