//! The tables of `docs/filters.md`, row by row.

use crate::document::{IntoDocument, Json};
use crate::filter::{Filter, LIMITS};

const PAGE: &str = include_str!("../../../docs/filters.md");

fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

/// Filter, document and answer of a row that has these.
fn row(line: &str) -> Option<(&str, &str, bool)> {
    let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
    match cells[..] {
        [filter, document, "yes"] => Some((code(filter)?, code(document)?, true)),
        [filter, document, "no"] => Some((code(filter)?, code(document)?, false)),
        _ => None,
    }
}

#[test]
fn every_documented_case_is_so() {
    let rows: Vec<(&str, &str, bool)> = PAGE.lines().filter_map(row).collect();
    let answers = PAGE.lines().filter(|line| line.ends_with("| yes |") || line.ends_with("| no |")).count();
    assert_eq!(rows.len(), answers, "a row that was not understood");
    assert!(rows.len() > 150, "only {} rows were found", rows.len());
    for (filter, document, expected) in rows {
        let read: Filter = filter.parse().unwrap_or_else(|error| panic!("{filter}: {error}"));
        let document =
            Json(document).into_document(&LIMITS).unwrap_or_else(|error| panic!("{document}: {error}"));
        assert_eq!(read.matches(&document), expected, "{filter} of {document:?}");
        assert_eq!(read.clone().not().matches(&document), !expected, "not {filter} of {document:?}");
        let again: Filter = read.to_string().parse().expect("what is written reads back");
        assert_eq!(again.matches(&document), expected, "{filter} written as {again}");
    }
}
