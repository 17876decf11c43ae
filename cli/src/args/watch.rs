//! How changes are watched.

use super::queries::{filter, limit};
use clap::Args;
use skipstone::{FeedCursor, Filter};
use std::num::NonZeroU64;
use std::time::Duration;

#[derive(Args)]
pub(crate) struct WatchArgs {
    /// The collection's name [default: all collections].
    pub(crate) collection: Option<String>,
    /// Of documents that match this filter, in MongoDB's query syntax, before the change or after it; and where it is not known any more what was there before, all.
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    pub(crate) filter: Option<Filter>,
    /// From the first commit at or above this position on, as far as the log goes back: to the last checkpoint. `now` tells of nothing, and is for `--cursor`.
    #[arg(long, value_name = "now|POSITION", default_value = "now", value_parser = beginning)]
    pub(crate) from: Beginning,
    /// Go on behind the change that had this cursor, or where `--cursor` told that the last time ended.
    #[arg(long, value_name = "CURSOR", conflicts_with = "from")]
    pub(crate) after: Option<FeedCursor>,
    /// End after N changes.
    #[arg(long, value_name = "N", value_parser = limit, allow_negative_numbers = true)]
    pub(crate) limit: Option<NonZeroU64>,
    /// End when no change came for so long; 0 ends with what is there. To wait is of no use as long as nobody else can write to the store.
    #[arg(long = "for", value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pub(crate) quiet: Duration,
    /// Leave out what the documents were before.
    #[arg(long)]
    pub(crate) no_before: bool,
    /// Say on standard error where it ended, for `--after`; also if there was no change.
    #[arg(long)]
    pub(crate) cursor: bool,
}

/// Where it begins without a cursor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Beginning {
    Now,
    Position(u64),
}

fn beginning(text: &str) -> Result<Beginning, String> {
    match (text, text.parse()) {
        ("now", _) => Ok(Beginning::Now),
        (_, Ok(position)) => Ok(Beginning::Position(position)),
        _ => Err("give `now`, or a position as `stats` and each change have it".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "give a number of seconds, such as 0 or 2.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_now_or_at_a_position() {
        assert_eq!(beginning("now"), Ok(Beginning::Now));
        assert_eq!(beginning("4096"), Ok(Beginning::Position(4096)));
        for text in ["", "Now", "-1", "1.5", "18446744073709551616"] {
            assert!(beginning(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn seconds_may_have_parts() {
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert_eq!(seconds("2.5"), Ok(Duration::from_millis(2500)));
        for text in ["", "-1", "NaN", "inf", "1e40", "1s"] {
            assert!(seconds(text).is_err(), "{text:?}");
        }
    }
}
