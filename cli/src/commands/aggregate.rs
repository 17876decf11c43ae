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

fn grouping(args: &AggregateArgs) -> Grouping {
    let mut grouping = Grouping::by(args.by.iter().map(String::as_str));
    if let Some(name) = &args.count {
        grouping = grouping.count(name);
    }
    let made: [(&[Named], fn(Grouping, &str, &str) -> Grouping); 4] = [
        (&args.sum, Grouping::sum),
        (&args.avg, Grouping::avg),
        (&args.min, Grouping::min),
        (&args.max, Grouping::max),
    ];
    for (named, make) in made {
        grouping = named.iter().fold(grouping, |grouping, Named { name, field }| make(grouping, name, field));
    }
    grouping
}
