//! `aggregate`: sums over documents, a line for each group; or how they are made.

use crate::args::{AggregateArgs, Named};
use crate::error::CliError;
use crate::output::{self, Output, Style};
use crate::store::Access;
use skipstone::{Grouping, Query, SnapshotCollection};

pub(crate) fn run(store: Access<'_>, args: &AggregateArgs, style: Style) -> Result<(), CliError> {
    let (db, collection) = store.open_collection(&args.collection)?;
    answer(&db.snapshot_at(args.at)?.collection(&collection)?, args, style)?;
    db.close()
}

fn answer(documents: &SnapshotCollection<'_>, args: &AggregateArgs, style: Style) -> Result<(), CliError> {
    let (grouping, query) = (grouping(args), Query::new(args.filter.get()));
    if args.analyze {
        return output::explanation(&documents.explain_analyze_group(&grouping, query)?, style);
    }
    if args.explain {
        return output::explanation(&documents.explain_group(&grouping, query)?, style);
    }
    let mut output = Output::new(style);
    for group in &documents.group(&grouping, query)? {
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
