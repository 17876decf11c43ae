//! `restore`: a store out of backups.

use crate::args::RestoreArgs;
use crate::error::CliError;
use crate::output::{Output, Style};
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;
use skipstone::bson::DateTime;
use skipstone::{Lsn, Until, restore, restore_encrypted};
use std::time::{Duration, SystemTime};

pub(crate) fn run(args: &RestoreArgs, style: Style) -> Result<(), CliError> {
    let (target, chain) = args.dirs.split_last().expect("two directories at least are asked for");
    let until = match (args.to_position, &args.to_time) {
        (Some(position), _) => Until::Position(Lsn::new(position)),
        (None, Some(time)) => Until::Time(*time),
        (None, None) => Until::End,
    };
    let made = match args.key.source() {
        Some(source) => restore_encrypted(chain, target, until, source)?,
        None => restore(chain, target, until)?,
    };
    let as_of = DateTime::from_system_time(made.as_of);
    let human = format!(
        "{} keys as of position {}, and {} commits behind them up to position {} ({as_of}), in `{}`: {} of pages and {} of log, in {:.1} ms",
        HumanCount(made.entries),
        made.checkpoint,
        HumanCount(made.commits),
        made.position,
        target.display(),
        HumanBytes(made.bytes),
        HumanBytes(made.log_bytes),
        made.time.as_secs_f64() * 1e3,
    );
    let json = json!({
        "position": made.position.get(),
        "as_of": as_of.try_to_rfc3339_string().ok(),
        "checkpoint": made.checkpoint.get(),
        "entries": made.entries,
        "commits": made.commits,
        "bytes": made.bytes,
        "log_bytes": made.log_bytes,
        "seconds": made.time.as_secs_f64(),
    });
    Output::report(style, &human, &json)
}

/// A moment: as RFC 3339 writes it, or in milliseconds since 1970.
pub(crate) fn parse_time(text: &str) -> Result<SystemTime, String> {
    if let Ok(millis) = text.parse() {
        let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        return time.ok_or_else(|| "that is beyond all years".to_owned());
    }
    let parsed = DateTime::parse_rfc3339_str(text).map_err(|_| {
        "give a time as in 2026-01-31T14:30:00Z (RFC 3339, with the time zone), or in milliseconds since 1970"
    })?;
    Ok(parsed.to_system_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_write_a_moment() {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        for text in ["1700000000123", "2023-11-14T22:13:20.123Z", "2023-11-15T00:13:20.123+02:00"] {
            assert_eq!(parse_time(text), Ok(moment), "{text}");
        }
        for text in ["", "yesterday", "2023-11-14", "2023-11-14T22:13:20", "-5"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
