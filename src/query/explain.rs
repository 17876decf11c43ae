//! Showing a plan: as a tree for people, and as a document for programs.

use super::group::Summary;
use super::meter::{Meter, Reading, Step};
use super::plan::{Access, Plan, Walk};
use crate::document::json_line;
use crate::document::order_key::Direction;
use crate::filter::write::write;
use crate::index::definition::Index;
use crate::index::entry;
use crate::index::set::Kept;
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
    /// `scan`, `index`, `intersection`, `union`, `fetch`, `filter`, `sort`, `top`, `slice`, `group` or `distinct`.
    pub name: &'static str,
    /// What in particular.
    pub detail: String,
    /// How many rows were expected, where that was asked.
    pub estimated_rows: Option<u64>,
    /// How many there were.
    pub actual_rows: Option<u64>,
    /// How many versions of documents, or of entries, it walked by itself to find those that it sees: of steps that read any.
    pub versions: Option<u64>,
    /// How long it took, with the steps before it, in nanoseconds.
    pub time_ns: Option<u64>,
    /// The steps before it.
    pub inputs: Vec<ExplainedStep>,
}

impl Explanation {
    /// Of a plan, and of what is made of all its results.
    pub(super) fn of(plan: &Plan, meter: Meter<'_>, summary: Option<Summary<'_>>) -> Explanation {
        let mut root = match plan.covering() {
            Some((index, walk)) => covering_step(index, walk, meter),
            None => access(&plan.access, meter),
        };
        if !plan.residual.is_empty() {
            let conditions = plan.residual.iter().map(|&at| Bson::Document(write(&plan.conditions()[at])));
            let detail = shortened(json_line(&doc! { "$and": conditions.collect::<Vec<_>>() }), SHOWN_MAX);
            root = step("filter", detail, meter.reading(Step::Filter), vec![root]);
        }
        if let Some(order) = plan.order.as_ref().filter(|_| plan.is_sorted) {
            let name = if plan.query.limit.is_some() { "top" } else { "sort" };
            root = step(name, order.to_string(), meter.reading(Step::Sort), vec![root]);
        }
        if plan.query.offset > 0 || plan.query.limit.is_some() {
            let limit = plan.query.limit.map_or("all".to_owned(), |limit| limit.to_string());
            let detail = format!("skip {}, take {limit}", plan.query.offset);
            root = step("slice", detail, meter.reading(Step::Slice), vec![root]);
        }
        root.estimated_rows = Some(plan.results.round() as u64);
        if let Some(summary) = summary {
            let detail = shortened(summary.to_string(), SHOWN_MAX);
            root = step(summary.name(), detail, meter.reading(Step::Summary), vec![root]);
        }
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

fn step(
    name: &'static str,
    detail: String,
    reading: Option<&Reading>,
    inputs: Vec<ExplainedStep>,
) -> ExplainedStep {
    let actual_rows = reading.map(|reading| reading.rows.get());
    let time_ns = reading.map(|reading| reading.time.get().as_nanos() as u64);
    ExplainedStep { name, detail, actual_rows, time_ns, inputs, ..ExplainedStep::default() }
}

/// A step that walks by versions.
fn reading_step(
    name: &'static str,
    detail: String,
    reading: Option<&Reading>,
    inputs: Vec<ExplainedStep>,
) -> ExplainedStep {
    let versions = reading.and_then(Reading::versions);
    ExplainedStep { versions, ..step(name, detail, reading, inputs) }
}

fn access(from: &Access, meter: Meter<'_>) -> ExplainedStep {
    let fetch = |from| reading_step("fetch", "documents".to_owned(), meter.reading(Step::Fetch), vec![from]);
    match from {
        Access::Documents(walk) => {
            let detail = walk_shown(super::planner::id_index(), walk);
            let scan = reading_step("scan", detail, meter.reading(Step::Documents), Vec::new());
            ExplainedStep { estimated_rows: Some(walk.entries as u64), ..scan }
        }
        Access::Index(index, walk) => fetch(index_step(index, walk, meter)),
        Access::Intersection(..) => {
            let walks = from.walks().into_iter().enumerate();
            let inputs = walks.map(|(at, (index, walk))| index_step(index, walk, meter.input(at)));
            let detail = "documents that are in all".to_owned();
            fetch(step("intersection", detail, meter.reading(Step::Common), inputs.collect()))
        }
        Access::Union(branches) => {
            let branches = branches.iter().enumerate();
            let inputs = branches.map(|(at, (from, _))| access(from, meter.input(at)));
            let detail = "documents that are in one, each once".to_owned();
            step("union", detail, meter.reading(Step::Union), inputs.collect())
        }
    }
}

fn index_step(index: &Kept, walk: &Walk, meter: Meter<'_>) -> ExplainedStep {
    let several = if walk.are_several { "; documents have several entries" } else { "" };
    let detail = format!("`{}` {}{several}", index.name, walk_shown(&index.definition, walk));
    let entries = reading_step("index", detail, meter.reading(Step::Index), Vec::new());
    ExplainedStep { estimated_rows: Some(walk.entries as u64), ..entries }
}

/// An index whose entries give the answer. The documents that it has to fetch all the same are its own.
fn covering_step(index: &Kept, walk: &Walk, meter: Meter<'_>) -> ExplainedStep {
    let entries = index_step(index, walk, meter);
    let fetch = meter.reading(Step::Fetch);
    let detail = match fetch.map_or(0, |fetch| fetch.rows.get()) {
        0 => format!("{}; covering, no document is fetched", entries.detail),
        fetched => format!("{}; covering but for {fetched} documents, which are fetched", entries.detail),
    };
    let of_documents = fetch.and_then(Reading::versions).unwrap_or(0);
    let versions = entries.versions.map(|of_entries| of_entries + of_documents);
    ExplainedStep { detail, versions, ..entries }
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
