//! What came out: a table for people, JSON lines for `bench-results/`.

use super::Result;
use super::series::Series;
use serde_json::{Map, Value, json};
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// What a figure has to reach.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// Ours over the baseline.
    RatioAtLeast(f64),
    RatioAtMost(f64),
    /// Ours alone.
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn is_met(self, ours: f64, ratio: Option<f64>) -> bool {
        match self {
            Goal::RatioAtLeast(bound) => ratio.is_some_and(|ratio| ratio >= bound),
            Goal::RatioAtMost(bound) => ratio.is_some_and(|ratio| ratio <= bound),
            Goal::AtLeast(bound) => ours >= bound,
            Goal::AtMost(bound) => ours <= bound,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::RatioAtLeast(bound) => write!(f, ">= {bound}x"),
            Goal::RatioAtMost(bound) => write!(f, "<= {bound}x"),
            Goal::AtLeast(bound) => write!(f, ">= {}", short(*bound)),
            Goal::AtMost(bound) => write!(f, "<= {}", short(*bound)),
        }
    }
}

/// One line of the table.
pub(crate) struct Row {
    name: String,
    unit: &'static str,
    ours: Series,
    baseline: Option<(String, Series)>,
    goal: Option<Goal>,
    details: Map<String, Value>,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, ours: &Series) -> Row {
        let (name, ours) = (name.into(), ours.clone());
        Row { name, unit, ours, baseline: None, goal: None, details: Map::new() }
    }

    pub(crate) fn against(mut self, name: impl Into<String>, baseline: &Series) -> Row {
        self.baseline = Some((name.into(), baseline.clone()));
        self
    }

    pub(crate) fn goal(mut self, goal: impl Into<Option<Goal>>) -> Row {
        self.goal = goal.into();
        self
    }

    /// For the JSON line only.
    pub(crate) fn detail(mut self, name: &str, value: impl Into<Value>) -> Row {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.baseline.as_ref().map(|(_, baseline)| self.ours.ratio_to(baseline))
    }

    fn met(&self) -> Option<bool> {
        self.goal.map(|goal| goal.is_met(self.ours.median(), self.ratio()))
    }

    fn json(&self, family: &str) -> Value {
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
        put("kind", json!("figure"));
        put("family", json!(family));
        put("figure", json!(self.name));
        put("unit", json!(self.unit));
        put("ours", json!(self.ours.median()));
        put("ours_rounds", json!(self.ours.rounds()));
        if let Some((name, baseline)) = &self.baseline {
            put("baseline", json!(name));
            put("baseline_value", json!(baseline.median()));
            put("baseline_rounds", json!(baseline.rounds()));
            put("ratio", json!(self.ratio()));
        }
        if let Some(goal) = self.goal {
            put("goal", json!(goal.to_string()));
            put("met", json!(self.met()));
        }
        line.extend(self.details.clone());
        Value::Object(line)
    }

    fn cells(&self) -> [String; 6] {
        let baseline = self.baseline.as_ref();
        [
            format!("{}, {}", self.name, self.unit),
            short(self.ours.median()),
            baseline.map(|(name, value)| format!("{} ({name})", short(value.median()))).unwrap_or_default(),
            self.ratio().map(|ratio| format!("{ratio:.2}x")).unwrap_or_default(),
            self.goal.map(|goal| goal.to_string()).unwrap_or_default(),
            self.met().map(|met| if met { "yes" } else { "NO" }).unwrap_or_default().to_owned(),
        ]
    }
}

/// Three digits and a unit prefix.
fn short(value: f64) -> String {
    let (value, prefix) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, " M"),
        size if size >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = if value.abs() >= 100.0 { 0 } else { 2 };
    format!("{value:.digits$}{prefix}")
}

/// Everything measured so far.
pub(crate) struct Report {
    machine: Value,
    family: &'static str,
    rows: Vec<Row>,
    lines: Vec<Value>,
}

impl Report {
    pub(crate) fn new(machine: Value) -> Report {
        Report { lines: vec![machine.clone()], machine, family: "", rows: Vec::new() }
    }

    /// What comes from here on belongs to this family of figures.
    pub(crate) fn begin(&mut self, family: &'static str) {
        eprintln!("measuring {family}");
        self.family = family;
    }

    pub(crate) fn add(&mut self, row: Row) {
        eprintln!("  {}", row.cells().join("  "));
        self.lines.push(row.json(self.family));
        self.rows.push(row);
    }

    /// Prints the table and the JSON lines, or adds these to a file.
    pub(crate) fn finish(&self, json: Option<&Path>) -> Result<()> {
        println!("{}", serde_json::to_string_pretty(&self.machine)?);
        print_table(&self.rows);
        let lines: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        match json {
            Some(path) => {
                OpenOptions::new().create(true).append(true).open(path)?.write_all(lines.as_bytes())?
            }
            None => print!("{lines}"),
        }
        Ok(())
    }
}

fn print_table(rows: &[Row]) {
    let head = ["figure", "ours", "baseline", "ratio", "goal", "met"].map(str::to_owned);
    let mut table = vec![head, std::array::from_fn(|_| "---".to_owned())];
    table.extend(rows.iter().map(Row::cells));
    let widths: [usize; 6] =
        std::array::from_fn(|column| table.iter().map(|cells| cells[column].len()).max().unwrap_or(0));
    for cells in table {
        let padded: [String; 6] =
            std::array::from_fn(|column| format!("{:<width$}", cells[column], width = widths[column]));
        println!("| {} |", padded.join(" | "));
    }
}
