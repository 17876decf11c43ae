//! Showing a plan: as a tree for people, and as a document for programs.

use super::meter::{Meter, Step};
use super::plan::{Access, Plan, Walk};
use crate::document::json_line;
use crate::document::order_key::Direction;
use crate::filter::write::write;
use crate::index::definition::Index;
use crate::index::entry;
use crate::map::Towards;
use bson::{Bson, Document, doc};
use std::fmt;

/// Ranges that are shown one by one.
const RANGES_SHOWN: usize = 8;
/// Of conditions and of values no more than so many characters are shown.
const SHOWN_MAX: usize = 400;
const VALUE_SHOWN_MAX: usize = 60;

/// How a query is answered; and, if it was carried out, what each step came to.
///
/// Estimates come from statistics that are gathered in the background, or from a sample of the keys before they are; what conditions leave that no index sees to is
/// guessed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The last step; those before it are its inputs.
    pub root: ExplainedStep,
    /// What it was expected to take, in nanoseconds: comparable between plans, and not with a clock.
    pub estimated_cost: f64,
}

/// A step of a plan.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ExplainedStep {
    /// `scan`, `index`, `intersection`, `union`, `fetch`, `filter`, `sort`, `top` or `slice`.
    pub name: &'static str,
    /// What in particular.
    pub detail: String,
    /// How many rows were expected, where that was asked.
    pub estimated_rows: Option<u64>,
    /// How many there were.
    pub actual_rows: Option<u64>,
    /// How many versions of documents, or of entries, it walked by to find those that it sees. Of an intersection and a union what all their inputs came by.
    pub versions: Option<u64>,
    /// How long it took, with the steps before it, in nanoseconds.
    pub time_ns: Option<u64>,
    /// The steps before it.
    pub inputs: Vec<ExplainedStep>,
}

impl Explanation {
    pub(super) fn of(plan: &Plan, meter: &Meter, results: Option<(u64, Versions)>) -> Explanation {
        let (results, versions) = results.unzip();
        let mut root = match plan.covering() {
            Some((index, walk)) => {
                let entries = index_step(&index.name, &index.definition, walk, meter);
                let fetched = meter.reading(Step::Fetch).map_or(0, |reading| reading.rows);
                let detail = match fetched {
                    0 => format!("{}; covering, no document is fetched", entries.detail),
                    _ => {
                        format!("{}; covering but for {fetched} documents, which are fetched", entries.detail)
                    }
                };
                ExplainedStep { detail, versions: total(versions), ..entries }
            }
            None => access(&plan.access, meter, versions),
        };
        if !plan.residual.is_empty() {
            let conditions = plan.residual.iter().map(|&at| Bson::Document(write(&plan.conditions()[at])));
            let detail = shortened(json_line(&doc! { "$and": conditions.collect::<Vec<_>>() }), SHOWN_MAX);
            root = step("filter", detail, meter.reading_of(Step::Filter), vec![root]);
        }
        if let Some(order) = plan.order.as_ref().filter(|_| plan.is_sorted) {
            let name = if plan.query.limit.is_some() { "top" } else { "sort" };
            root = step(name, order.to_string(), meter.reading_of(Step::Sort), vec![root]);
        }
        if plan.query.offset > 0 || plan.query.limit.is_some() {
            let limit = plan.query.limit.map_or("all".to_owned(), |limit| limit.to_string());
            let detail = format!("skip {}, take {limit}", plan.query.offset);
            root = ExplainedStep { actual_rows: results, ..step("slice", detail, None, vec![root]) };
        }
        root.estimated_rows = Some(plan.results.round() as u64);
        root.actual_rows = results.or(root.actual_rows);
        Explanation { root, estimated_cost: plan.cost }
    }

    /// For programs: each step with `step`, `detail`, `estimated_rows`, `actual_rows`, `versions`, `time_ns` and `inputs`.
    pub fn to_document(&self) -> Document {
        doc! { "estimated_cost": self.estimated_cost, "plan": self.root.to_document() }
    }
}

impl ExplainedStep {
    fn to_document(&self) -> Document {
        let mut document = doc! { "step": self.name, "detail": &self.detail };
        let counts = [
            ("estimated_rows", self.estimated_rows),
            ("actual_rows", self.actual_rows),
            ("versions", self.versions),
            ("time_ns", self.time_ns),
        ];
        document.extend(
            counts.into_iter().filter_map(|(name, count)| Some((name.to_owned(), (count? as i64).into()))),
        );
        let inputs = self.inputs.iter().map(|input| Bson::Document(input.to_document()));
        document.insert("inputs", inputs.collect::<Vec<_>>());
        document
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        write!(f, "{:1$}{2} {3}", "", depth * 2, self.name, self.detail)?;
        if let Some(rows) = self.estimated_rows {
            write!(f, "  (expected {rows})")?;
        }
        if let Some(rows) = self.actual_rows {
            write!(f, "  {rows} rows")?;
        }
        if let Some(versions) = self.versions {
            write!(f, ", {versions} versions")?;
        }
        if let Some(time) = self.time_ns {
            write!(f, ", {:?}", std::time::Duration::from_nanos(time))?;
        }
        writeln!(f)?;
        self.inputs.iter().try_for_each(|input| input.write(f, depth + 1))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.write(f, 0)
    }
}

type Measured = Option<(u64, u64)>;

/// How many versions were walked by.
#[derive(Clone, Copy)]
pub(super) struct Versions {
    pub(super) of_documents: u64,
    pub(super) of_entries: u64,
}

impl Meter {
    /// Rows and nanoseconds.
    fn reading_of(&self, of: Step) -> Measured {
        self.reading(of).map(|reading| (reading.rows, reading.time.as_nanos() as u64))
    }
}

fn step(name: &'static str, detail: String, measured: Measured, inputs: Vec<ExplainedStep>) -> ExplainedStep {
    let (actual_rows, time_ns) = measured.unzip();
    ExplainedStep { name, detail, actual_rows, time_ns, inputs, ..ExplainedStep::default() }
}

fn access(from: &Access, meter: &Meter, versions: Option<Versions>) -> ExplainedStep {
    let of_documents = versions.map(|versions| versions.of_documents);
    let of_entries = versions.map(|versions| versions.of_entries);
    match from {
        Access::Documents(walk) => {
            let ids = super::planner::id_index();
            let scan = step("scan", walk_shown(ids, walk), meter.reading_of(Step::Documents), Vec::new());
            ExplainedStep { estimated_rows: Some(walk.entries as u64), versions: of_documents, ..scan }
        }
        Access::Index(index, walk) => {
            let entries = index_step(&index.name, &index.definition, walk, meter);
            let entries = ExplainedStep { versions: of_entries, ..entries };
            let fetch = step("fetch", "documents".to_owned(), meter.reading_of(Step::Fetch), vec![entries]);
            ExplainedStep { versions: of_documents, ..fetch }
        }
        Access::Intersection(..) => {
            let walks = from.walks().into_iter();
            let inputs = walks
                .map(|(index, walk)| index_step(&index.name, &index.definition, walk, &Meter::default()));
            let detail = "documents that are in all".to_owned();
            let all = step("intersection", detail, meter.reading_of(Step::Fetch), inputs.collect());
            ExplainedStep { versions: total(versions), ..all }
        }
        Access::Union(branches) => {
            let inputs = branches.iter().map(|(from, _)| access(from, &Meter::default(), None));
            let all =
                step("union", "documents that are in one, each once".to_owned(), None, inputs.collect());
            ExplainedStep { versions: total(versions), ..all }
        }
    }
}

fn total(versions: Option<Versions>) -> Option<u64> {
    versions.map(|versions| versions.of_documents + versions.of_entries)
}

fn index_step(name: &str, index: &Index, walk: &Walk, meter: &Meter) -> ExplainedStep {
    let several = if walk.are_several { "; documents have several entries" } else { "" };
    let detail = format!("`{name}` {}{several}", walk_shown(index, walk));
    let entries = step("index", detail, meter.reading_of(Step::Index), Vec::new());
    ExplainedStep { estimated_rows: Some(walk.entries as u64), ..entries }
}

fn walk_shown(index: &Index, walk: &Walk) -> String {
    let towards = match walk.towards {
        Towards::Greater => "forwards",
        Towards::Lesser => "backwards",
    };
    let shown = walk
        .ranges
        .iter()
        .take(RANGES_SHOWN)
        .map(|(low, high)| format!("from {} up to {}", key_shown(index, low), key_shown(index, high)));
    let shown = shown.collect::<Vec<_>>().join("; ");
    match walk.ranges.len() {
        0 => "nothing".to_owned(),
        more if more > RANGES_SHOWN => format!("{towards} {shown}; and {} ranges more", more - RANGES_SHOWN),
        _ => format!("{towards} {shown}"),
    }
}

/// The values that a bound begins with. A bound may end within a value, or behind all that begin so.
fn key_shown(index: &Index, key: &[u8]) -> String {
    let (mut rest, mut values) = (key, Vec::new());
    for field in index.fields() {
        match value(&mut rest, field.direction) {
            Some(value) => values.push(value),
            None => break,
        }
    }
    if !rest.is_empty() || values.is_empty() {
        let field = index.fields().get(values.len());
        let last = field.and_then(|field| value_before(rest, field.direction));
        values.push(last.map_or("…".to_owned(), |value| format!("behind {value}")));
    }
    format!("({})", values.join(", "))
}

/// The value that a bound lies right behind of.
fn value_before(rest: &[u8], direction: Direction) -> Option<String> {
    let mut before = rest.to_vec();
    let last = before.last_mut()?;
    *last = last.checked_sub(1)?;
    let mut rest = &before[..];
    value(&mut rest, direction).filter(|_| rest.is_empty())
}

fn value(rest: &mut &[u8], direction: Direction) -> Option<String> {
    entry::value_shown(rest, direction).map(|value| shortened(value, VALUE_SHOWN_MAX))
}

/// The beginning of a long text, and how long it is.
fn shortened(text: String, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
        None => text,
    }
}
