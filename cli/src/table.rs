//! Documents as rows of a table, for people.
//!
//! A table has the fields of its documents as columns, in the order in which they come. Some documents make a table, and the next ones another: so the first are seen
//! before the last are found.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde_json::Value;

/// So many documents make a table.
const ROWS_MAX: usize = 100;
/// Of longer values the beginning is shown.
const CELL_CHARS_MAX: usize = 120;

/// The rows of a table that is not shown yet.
#[derive(Default)]
pub(crate) struct Rows(Vec<Value>);

impl Rows {
    pub(crate) fn push(&mut self, document: Value) {
        self.0.push(document);
    }

    /// Whether it is time to show them.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= ROWS_MAX
    }

    /// The table, if it has rows; none are left then.
    pub(crate) fn take(&mut self, width: Option<u16>) -> Option<Table> {
        let rows = std::mem::take(&mut self.0);
        (!rows.is_empty()).then(|| table(&rows, width))
    }
}

fn table(rows: &[Value], width: Option<u16>) -> Table {
    let mut columns: Vec<&str> = Vec::new();
    for name in rows.iter().filter_map(Value::as_object).flat_map(|row| row.keys()) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = width {
        table.set_width(width);
    }
    table.set_header(columns.iter().map(|name| Cell::new(clean(name))));
    for row in rows {
        table.add_row(columns.iter().map(|name| cell(row.get(name))));
    }
    table
}

fn cell(value: Option<&Value>) -> Cell {
    let alignment = match value {
        Some(Value::Number(_)) => CellAlignment::Right,
        _ => CellAlignment::Left,
    };
    Cell::new(clean(&value.map_or_else(String::new, shown))).set_alignment(alignment)
}

/// Text without its quotes, also of what extended JSON wraps, such as a date; all else as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) if fields.len() == 1 => match fields.iter().next() {
            Some((name, Value::String(text))) if name.starts_with('$') => text.clone(),
            _ => value.to_string(),
        },
        _ => value.to_string(),
    }
}

/// On one line, and not too long. What controls a terminal does not reach it.
fn clean(text: &str) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut clean: String = chars.by_ref().take(CELL_CHARS_MAX).collect();
    if chars.next().is_some() {
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_columns_in_the_order_in_which_they_come() {
        let mut rows = Rows::default();
        rows.push(json!({ "_id": 1, "name": "A\u{1b}[31m" }));
        rows.push(json!({ "_id": { "$uuid": "u" }, "at": [1], "name": null }));
        let text = rows.take(Some(60)).unwrap().to_string();
        let words: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split(['│', ' ']).filter(|word| !word.is_empty()).collect())
            .collect();
        assert!(words.contains(&vec!["_id", "name", "at"]), "{text}");
        assert!(words.contains(&vec!["1", "A", "[31m"]), "{text}");
        assert!(words.contains(&vec!["u", "null", "[1]"]), "{text}");
        assert!(rows.take(None).is_none(), "they were taken");
    }

    #[test]
    fn long_values_are_cut_and_a_table_is_as_wide_as_the_terminal() {
        let mut rows = Rows::default();
        rows.push(json!({ "text": "ä".repeat(1000) }));
        let text = rows.take(Some(40)).unwrap().to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert_eq!(text.matches('ä').count(), CELL_CHARS_MAX);
        assert!(text.contains('…'), "{text}");
    }
}
