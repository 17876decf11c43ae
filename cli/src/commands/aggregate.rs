//! `aggregate`: sums over documents, a line for each group.

use crate::args::{AggregateArgs, Named};
use crate::error::CliError;
use crate::output::{Output, Style};
use crate::store::Access;
use skipstone::{Grouping, Query};

pub(crate) fn run(store: Access<'_>, args: &AggregateArgs, style: Style) -> Result<(), CliError> {
    let (db, collection) = store.open_collection(&args.collection)?;
    let groups = collection.group(&grouping(args), Query::new(args.filter.get()))?;
    db.close()?;
    let mut output = Output::new(style);
    for group in &groups {
        output.value_line(group)?;
    }
    output.finish()
}

/// Makes another result of a field.
type Made = fn(Grouping, &str, &str) -> Grouping;

fn grouping(args: &AggregateArgs) -> Grouping {
    let by = Grouping::by(args.by.iter().map(String::as_str));
    let counted = args.count.iter().fold(by, |grouping, name| grouping.count(name));
    let with = |grouping, named: &[Named], made: Made| {
        named.iter().fold(grouping, |grouping, Named { name, field }| made(grouping, name, field))
    };
    let summed = with(counted, &args.sum, Grouping::sum);
    let averaged = with(summed, &args.avg, Grouping::avg);
    with(with(averaged, &args.min, Grouping::min), &args.max, Grouping::max)
}
