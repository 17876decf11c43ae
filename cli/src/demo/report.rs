//! What the demo shows: steps, with figures and checks.

use crate::error::CliError;
use crate::output::{Output, Style};
use indicatif::HumanCount;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Duration;

/// The report of the whole demo. A check that fails does not end it.
pub(super) struct Report {
    style: Style,
    steps: u32,
    failed: Vec<String>,
}

/// The report of one step.
pub(super) struct Step {
    name: &'static str,
    title: String,
    lines: Vec<String>,
    figures: Map<String, Value>,
    checks: Map<String, Value>,
}

impl Report {
    pub(super) fn new(style: Style) -> Report {
        Report { style, steps: 0, failed: Vec::new() }
    }

    pub(super) fn opening(&self, records: &str, kept: Option<&Path>) -> Result<(), CliError> {
        let dir = kept.map(|dir| dir.display().to_string());
        let place = match &dir {
            Some(dir) => format!("The store is in {dir}, and stays there."),
            None => "The store is in a temporary directory, removed at the end.".to_owned(),
        };
        self.write(&format!("The records: {records}.\n{place}"), &json!({ "records": records, "dir": dir }))
    }

    /// Shows a step that is done.
    pub(super) fn add(&mut self, step: Step) -> Result<(), CliError> {
        self.steps += 1;
        let failed = step.checks.iter().filter(|(_, passed)| **passed != json!(true));
        self.failed.extend(failed.map(|(what, _)| what.clone()));
        let human = format!("\n{}. {}\n{}", self.steps, step.title, step.lines.join("\n"));
        self.write(&human, &json!({ "step": step.name, "figures": step.figures, "checks": step.checks }))
    }

    /// The last line. Fails if a check has failed.
    pub(super) fn verdict(self) -> Result<(), CliError> {
        if !self.failed.is_empty() {
            return Err(CliError::Demo(format!("this does not hold: {}", self.failed.join("; "))));
        }
        self.write("\nAll checks passed.", &json!({ "passed": true }))
    }

    /// Flushed at once: a tour is watched, and a child process writes beside it.
    fn write(&self, human: &str, json: &Value) -> Result<(), CliError> {
        Output::report(self.style, human, json)
    }
}

impl Step {
    pub(super) fn new(name: &'static str, title: impl Into<String>) -> Step {
        let (lines, figures, checks) = (Vec::new(), Map::new(), Map::new());
        Step { name, title: title.into(), lines, figures, checks }
    }

    /// A number of something.
    pub(super) fn count(&mut self, key: &str, count: u64, what: &str) {
        self.figure(key, count.into(), HumanCount(count).to_string(), what);
    }

    /// How often something was done in a second.
    pub(super) fn rate(&mut self, key: &str, count: u64, time: Duration, what: &str) {
        self.count(key, (count as f64 / time.as_secs_f64()) as u64, what);
    }

    pub(super) fn time(&mut self, key: &str, time: Duration, what: &str) {
        let nanoseconds = time.as_nanos() as f64;
        let human = match nanoseconds {
            0.0..1e4 => format!("{nanoseconds} ns"),
            1e4..1e6 => format!("{:.0} µs", nanoseconds / 1e3),
            _ => format!("{:.1} ms", nanoseconds / 1e6),
        };
        self.figure(&format!("{key}_ns"), (nanoseconds as u64).into(), human, what);
    }

    pub(super) fn check(&mut self, what: &str, passed: bool) {
        let word = if passed { "checked" } else { "FAILED" };
        self.lines.push(format!("{word:>14}  {what}"));
        self.checks.insert(what.to_owned(), passed.into());
    }

    fn figure(&mut self, key: &str, json: Value, human: String, what: &str) {
        self.lines.push(format!("{human:>14}  {what}"));
        self.figures.insert(key.to_owned(), json);
    }
}

/// The value below which this share of the sorted samples lies.
pub(super) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (sorted.len() as f64 * share) as usize;
    sorted.get(rank.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_fails_the_demo_and_is_named() {
        let mut report = Report::new(Style::Json);
        let mut step = Step::new("step", "A step");
        step.check("one holds", true);
        step.check("one does not", false);
        report.add(step).unwrap();
        let error = report.verdict().unwrap_err();
        assert_eq!(error.to_string(), "the demo failed: this does not hold: one does not");
        assert_eq!(error.exit(), crate::exit::Exit::Failed);
    }

    #[test]
    fn quantiles_lie_within_the_samples() {
        let samples: Vec<Duration> = (1..=100).map(Duration::from_nanos).collect();
        assert_eq!(quantile(&samples, 0.5).as_nanos(), 51);
        assert_eq!(quantile(&samples, 0.99).as_nanos(), 100);
        assert_eq!(quantile(&samples, 1.0).as_nanos(), 100);
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }
}
