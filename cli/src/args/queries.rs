//! How queries, changes by filter and indexes are said.

use crate::patches;
use clap::{ArgGroup, Args};
use skipstone::bson::DateTime;
use skipstone::document::order_key::Direction;
use skipstone::{Cursor, Filter, Lsn, Moment, Patch, Projection, Query};
use std::num::NonZeroU64;

#[derive(Args)]
pub(crate) struct FindArgs {
    /// The collection's name.
    pub(crate) collection: String,
    #[command(flatten)]
    pub(crate) filter: FilterArg,
    /// In the order of these fields, of those with a `-` before them the greatest first [default: as they are found].
    #[arg(long, value_name = "[-]FIELD,…", value_parser = order, allow_hyphen_values = true)]
    pub(crate) sort: Option<Order>,
    /// Leave out the first N of them.
    #[arg(long, value_name = "N", default_value = "0", value_parser = number, allow_negative_numbers = true)]
    pub(crate) skip: u64,
    /// Print N documents at most.
    #[arg(long, value_name = "N", value_parser = limit, allow_negative_numbers = true)]
    pub(crate) limit: Option<NonZeroU64>,
    /// Go on behind the document that `--cursor` told of, with the same filter and order.
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<Cursor>,
    /// Print these fields and `_id`, or with a `-` before each all but these; `-_id` goes with both.
    #[arg(long, value_name = "[-]FIELD,…", value_parser = projection, allow_hyphen_values = true)]
    pub(crate) project: Option<Projection>,
    /// Print how many there are, and not which.
    #[arg(long, conflicts_with_all = ["project", "cursor"])]
    pub(crate) count: bool,
    /// Print how they would be found, or counted, and find none.
    #[arg(long, conflicts_with = "cursor")]
    pub(crate) explain: bool,
    /// Find or count them, and print how that went instead of them: rows and time of each step.
    #[arg(long, conflicts_with = "cursor")]
    pub(crate) analyze: bool,
    /// As of this position of the log or time, as in 2026-01-31T14:30:00Z, as far as the store keeps its past: `stats` says how far, `shell --retain-history` sets it [default: now].
    #[arg(long, value_name = "POSITION|TIME", value_parser = moment)]
    pub(crate) at: Option<Moment>,
    /// Say on standard error where the last document stands, for `--after`.
    #[arg(long)]
    pub(crate) cursor: bool,
}

#[derive(Args)]
pub(crate) struct FilterArg {
    /// Which documents, in MongoDB's query syntax, such as '{"people": {"$gt": 5000}}'; `-` or nothing is all of them.
    #[arg(value_parser = filter)]
    pub(crate) filter: Option<Filter>,
}

impl FilterArg {
    pub(crate) fn get(&self) -> Filter {
        self.filter.clone().unwrap_or_default()
    }
}

#[derive(Args)]
#[command(group(ArgGroup::new("made").args(["by", "count", "sum", "avg", "min", "max"]).required(true).multiple(true)))]
pub(crate) struct AggregateArgs {
    /// The collection's name.
    pub(crate) collection: String,
    #[command(flatten)]
    pub(crate) filter: FilterArg,
    /// A group for each combination of values of these fields [default: one group of all].
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',')]
    pub(crate) by: Vec<String>,
    /// How many documents, as NAME.
    #[arg(long, value_name = "NAME")]
    pub(crate) count: Option<String>,
    /// The sum of a field, as NAME. May be given several times, as those below.
    #[arg(long, value_name = "NAME=FIELD", value_parser = named)]
    pub(crate) sum: Vec<Named>,
    /// The average of a field.
    #[arg(long, value_name = "NAME=FIELD", value_parser = named)]
    pub(crate) avg: Vec<Named>,
    /// The least value of a field.
    #[arg(long, value_name = "NAME=FIELD", value_parser = named)]
    pub(crate) min: Vec<Named>,
    /// The greatest value of a field.
    #[arg(long, value_name = "NAME=FIELD", value_parser = named)]
    pub(crate) max: Vec<Named>,
    /// Print how the groups would be made, and make none.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Make them, on one thread, and print how that went instead of them: rows and time of each step.
    #[arg(long)]
    pub(crate) analyze: bool,
    /// As of this position of the log or time, as `find` has it [default: now].
    #[arg(long, value_name = "POSITION|TIME", value_parser = moment)]
    pub(crate) at: Option<Moment>,
}

/// What a result is called, and the field that it is made of.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) field: String,
}

#[derive(Args)]
pub(crate) struct UpdateArgs {
    /// The collection's name.
    pub(crate) collection: String,
    /// Which documents, in MongoDB's query syntax; `-` is all of them.
    #[arg(value_parser = filter)]
    pub(crate) filter: Filter,
    /// What to change, in MongoDB's update syntax, such as '{"$set": {"mayor.since": 2020}, "$inc": {"visits": 1}}': $set, $unset, $inc, $push, $addToSet.
    #[arg(value_parser = patches::read)]
    pub(crate) patch: Patch,
}

#[derive(Args)]
pub(crate) struct RemoveArgs {
    /// The collection's name.
    pub(crate) collection: String,
    /// Which documents, in MongoDB's query syntax; `-` is all of them.
    #[arg(value_parser = filter)]
    pub(crate) filter: Filter,
}

#[derive(Args)]
pub(crate) struct CreateIndexArgs {
    /// The collection's name.
    pub(crate) collection: String,
    /// The fields, the first one counting most; `FIELD:desc` has the greatest first.
    #[arg(required = true, value_name = "FIELD[:desc]", value_parser = index_field)]
    pub(crate) fields: Vec<OrderField>,
    /// Let no two documents have the same values.
    #[arg(long)]
    pub(crate) unique: bool,
    /// The greatest first; of several fields, `FIELD:desc` says which.
    #[arg(long)]
    pub(crate) desc: bool,
    /// Leave out documents that have none of the fields.
    #[arg(long)]
    pub(crate) sparse: bool,
    /// Leave out documents that do not match this filter. Queries that ask for what it does, and perhaps for more, can use the index.
    #[arg(long = "where", value_name = "FILTER", value_parser = filter)]
    pub(crate) filter: Option<Filter>,
    /// The index's name [default: made of its fields].
    #[arg(long)]
    pub(crate) name: Option<String>,
}

#[derive(Args)]
pub(crate) struct DropIndexArgs {
    /// The collection's name.
    pub(crate) collection: String,
    /// The index's name, as `index list` has it.
    pub(crate) name: String,
}

/// A field and its direction.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct OrderField {
    pub(crate) field: String,
    pub(crate) direction: Direction,
}

/// An order by several fields.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Order(Vec<OrderField>);

impl Order {
    /// The query in this order.
    pub(crate) fn of(&self, query: Query) -> Query {
        self.0.iter().fold(query, |query, by| query.sort_towards(&by.field, by.direction))
    }
}

pub(super) fn filter(text: &str) -> Result<Filter, skipstone::FilterError> {
    if text == "-" { Ok(Filter::all()) } else { text.parse() }
}

/// How many.
fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("give a number from 0 to {}", u64::MAX))
}

/// How many at most: without any there is nothing to ask for.
pub(super) fn limit(text: &str) -> Result<NonZeroU64, String> {
    text.parse().map_err(|_| format!("give a number from 1 to {}", u64::MAX))
}

/// A position, or a time as RFC 3339 writes it.
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(position) = text.parse() {
        return Ok(Lsn::new(position).into());
    }
    let time = DateTime::parse_rfc3339_str(text).map_err(
        |_| "give a position of the log, or a time as in 2026-01-31T14:30:00Z (RFC 3339, with the time zone)",
    )?;
    Ok(time.to_system_time().into())
}

/// What stands between commas, and whether there is a `-` before it.
fn with_signs(text: &str) -> Result<Vec<(bool, &str)>, String> {
    let sign = |part| match str::strip_prefix(part, '-') {
        Some(name) if name.is_empty() || name.starts_with('-') => {
            Err(format!("{part:?} names no field; give fields with commas between them, as in `a,-b.c`"))
        }
        Some(name) => Ok((true, name)),
        None if part.is_empty() => Err("a field's name is missing beside a comma".to_owned()),
        None => Ok((false, part)),
    };
    text.split(',').map(sign).collect()
}

fn order(text: &str) -> Result<Order, String> {
    let of_field = |(is_descending, field): (bool, &str)| OrderField {
        field: field.to_owned(),
        direction: if is_descending { Direction::Descending } else { Direction::Ascending },
    };
    Ok(Order(with_signs(text)?.into_iter().map(of_field).collect()))
}

fn projection(text: &str) -> Result<Projection, String> {
    let fields = with_signs(text)?;
    let without_id = fields.contains(&(true, "_id"));
    let others = || fields.iter().filter(|field| **field != (true, "_id"));
    let names = others().map(|(_, name)| *name);
    let projection = match (others().any(|(is_out, _)| *is_out), others().any(|(is_out, _)| !is_out)) {
        (true, true) => {
            return Err("name the fields to print, or with a `-` before each those to leave out; of both only `-_id` is possible".to_owned());
        }
        (false, true) => Projection::include(names),
        _ => Projection::exclude(names),
    }
    .map_err(|error| error.to_string())?;
    Ok(if without_id { projection.without_id() } else { projection })
}

fn index_field(text: &str) -> Result<OrderField, String> {
    let (field, direction) = match text.rsplit_once(':') {
        Some((field, "desc")) => (field, Direction::Descending),
        Some((field, "asc")) => (field, Direction::Ascending),
        _ => (text, Direction::Ascending),
    };
    match field {
        "" => Err("the field's name is missing".to_owned()),
        field => Ok(OrderField { field: field.to_owned(), direction }),
    }
}

fn named(text: &str) -> Result<Named, String> {
    match text.split_once('=') {
        Some((name, field)) if !name.is_empty() && !field.is_empty() => {
            Ok(Named { name: name.to_owned(), field: field.to_owned() })
        }
        _ => Err("give a name for the result and a field, as in `people=address.people`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skipstone::bson::rawdoc;

    #[test]
    fn a_sign_before_a_field_turns_its_order() {
        let field = |field: &str, direction| OrderField { field: field.to_owned(), direction };
        let expected = [field("a.b", Direction::Ascending), field("c", Direction::Descending)];
        assert_eq!(order("a.b,-c").unwrap().0, expected);
        for text in ["", ",", "a,", "-", "a,-", "--limit"] {
            assert!(order(text).is_err(), "{text:?}");
        }
        assert_eq!(index_field("a.b:desc").unwrap(), field("a.b", Direction::Descending));
        assert_eq!(index_field("a:desc:asc").unwrap(), field("a:desc", Direction::Ascending));
        assert_eq!(index_field("a:b").unwrap(), field("a:b", Direction::Ascending));
        assert!(index_field(":desc").is_err());
    }

    #[test]
    fn fields_are_printed_or_left_out() {
        let document = rawdoc! { "_id": 1, "a": 2, "b": 3 };
        for (text, expected) in [
            ("a", rawdoc! { "_id": 1, "a": 2 }),
            ("_id", rawdoc! { "_id": 1 }),
            ("a,-_id", rawdoc! { "a": 2 }),
            ("-a", rawdoc! { "_id": 1, "b": 3 }),
            ("-_id", rawdoc! { "a": 2, "b": 3 }),
            ("-_id,-b", rawdoc! { "a": 2 }),
        ] {
            assert_eq!(projection(text).unwrap().apply(&document).unwrap(), expected, "{text}");
        }
        for text in ["a,-b", "a,a", "a,a.b", "-a,-a.b", "", "-"] {
            assert!(projection(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_moment_is_a_position_or_a_time() {
        assert_eq!(moment("4096"), Ok(Lsn::new(4096).into()));
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_123);
        assert_eq!(moment("2023-11-15T00:13:20.123+02:00"), Ok(time.into()));
        for text in ["", "-5", "yesterday", "2023-11-14"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_result_has_a_name_and_a_field() {
        let expected = Named { name: "n".to_owned(), field: "a=b".to_owned() };
        assert_eq!(named("n=a=b").unwrap(), expected);
        for text in ["", "n", "n=", "=a"] {
            assert!(named(text).is_err(), "{text:?}");
        }
    }
}
