//! More threads than cores: nobody may wait for a thread that is not running.
//!
//! Two mixes on zipfian ids, each operation a transaction of its own: half reads and half blind updates; read-modify-writes of a counter, whose
//! sum is checked. The tree under its lock does the same.

use super::Result;
use super::drive::{Run, SAMPLED, drive, histogram};
use super::records::{Id, Ours, Tree, VALUE_BYTES, count_in, ids, is_value_of, tree, unlogged, value};
use super::report::{Goal, Report, Row};
use super::series::Series;
use super::settings::Settings;
use super::stream::Stream;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use skipstone::{Database, Durability};

const THREADS: [usize; 3] = [2, 8, 32];

/// What one contestant reached with one number of threads.
struct Reached {
    rates: Series,
    latency_ns: Histogram<u64>,
}

impl Reached {
    fn new() -> Reached {
        Reached { rates: Series::default(), latency_ns: histogram() }
    }

    fn add(&mut self, run: &Run) {
        self.rates.push(run.per_second());
        self.latency_ns += &run.latency_ns;
    }

    fn latencies(&self) -> Value {
        let at = |quantile| self.latency_ns.value_at_quantile(quantile) as f64 / 1000.0;
        json!({ "p50_us": at(0.5), "p99_us": at(0.99), "p99.9_us": at(0.999) })
    }
}

/// Results for each of [`THREADS`].
struct Mix {
    name: &'static str,
    ours: [Reached; 3],
    tree: [Reached; 3],
}

impl Mix {
    fn new(name: &'static str) -> Mix {
        Mix {
            name,
            ours: std::array::from_fn(|_| Reached::new()),
            tree: std::array::from_fn(|_| Reached::new()),
        }
    }
}

pub(crate) fn measure(settings: &Settings, report: &mut Report) -> Result<()> {
    let ids = ids(settings.records);
    let stream = Stream::zipf(&ids, 4);
    let (ours, tree) = (Ours::load(Database::builder(), &ids)?, tree(&ids));
    let (mut mixed, mut modified) = (Mix::new("half reads, half updates"), Mix::new("read-modify-write"));
    for _ in 0..settings.rounds {
        for (at, &threads) in THREADS.iter().enumerate() {
            let every = |worker: &(dyn Fn(&Id, bool) + Sync)| {
                drive(threads, settings.time, &stream, SAMPLED, || alternating(worker))
            };
            mixed.ours[at].add(&every(&|id, reads| mix_ours(&ours, id, reads)));
            mixed.tree[at].add(&every(&|id, reads| mix_tree(&tree, id, reads)));
        }
    }
    let (mut our_count, mut tree_count) = (ours.check(&ids)?, sum(&tree));
    for _ in 0..settings.rounds {
        for (at, &threads) in THREADS.iter().enumerate() {
            let run = drive(threads, settings.time, &stream, SAMPLED, || |id: &Id| increment_ours(&ours, id));
            our_count += run.operations;
            modified.ours[at].add(&run);
            let run = drive(threads, settings.time, &stream, SAMPLED, || |id: &Id| increment_tree(&tree, id));
            tree_count += run.operations;
            modified.tree[at].add(&run);
        }
    }
    if (our_count, tree_count) != (ours.check(&ids)?, sum(&tree)) {
        return Err("an increment was lost".into());
    }
    add_rows(report, &mixed);
    add_rows(report, &modified);
    Ok(())
}

/// Calls `operate` with true and false by turns.
fn alternating(operate: impl Fn(&Id, bool)) -> impl FnMut(&Id) {
    let mut turn = false;
    move |id| {
        turn = !turn;
        operate(id, turn);
    }
}

fn mix_ours(ours: &Ours, id: &Id, reads: bool) {
    if reads {
        let found = ours.records.get_with(id, |value| is_value_of(id, value));
        assert_eq!(found.expect("the store is open"), Some(true), "every id is there");
    } else {
        ours.put(id, &value(id, 1), Durability::None);
    }
}

fn mix_tree(tree: &Tree, id: &Id, reads: bool) {
    if reads {
        let tree = tree.read().expect("no writer panics");
        assert!(is_value_of(id, &tree[id]), "every id is there");
    } else {
        let new = value(id, 1).to_vec();
        tree.write().expect("no writer panics").insert(*id, new);
    }
}

fn incremented(old: &[u8]) -> [u8; VALUE_BYTES] {
    let mut new = *old.first_chunk().expect("values have their length");
    new[..8].copy_from_slice(&(count_in(old) + 1).to_le_bytes());
    new
}

fn increment_ours(ours: &Ours, id: &Id) {
    let done = ours.db.transact_with(unlogged(), |tx| {
        let mut records = tx.keyspace(&ours.records)?;
        let new = incremented(&records.get(id).expect("every id is there"));
        records.put(id, &new)
    });
    done.expect("conflicts are tried again");
}

fn increment_tree(tree: &Tree, id: &Id) {
    let mut tree = tree.write().expect("no writer panics");
    let new = incremented(&tree[id]).to_vec();
    tree.insert(*id, new);
}

fn sum(tree: &Tree) -> u64 {
    tree.read().expect("no writer panics").values().map(|value| count_in(value)).sum()
}

fn add_rows(report: &mut Report, mix: &Mix) {
    let most = THREADS.len() - 1;
    for (at, &threads) in THREADS.iter().enumerate() {
        let (ours, tree) = (&mix.ours[at], &mix.tree[at]);
        let row = Row::new(format!("{}, {threads} threads", mix.name), "1/s", &ours.rates);
        let row = row.against("RwLock<BTreeMap>", &tree.rates);
        let row = row.detail("latency", ours.latencies()).detail("baseline_latency", tree.latencies());
        report.add(row.goal((at == most).then_some(Goal::RatioAtLeast(1.3))));
    }
    let row = Row::new(format!("{}, {} threads", mix.name, THREADS[most]), "1/s", &mix.ours[most].rates);
    report.add(row.against("ours, 2 threads", &mix.ours[0].rates).goal(Goal::RatioAtLeast(0.5)));
    let quantiles = [0.5, 0.99, 0.999].map(|q| {
        let mut microseconds = Series::default();
        microseconds.push(mix.ours[most].latency_ns.value_at_quantile(q) as f64 / 1000.0);
        let mut baseline = Series::default();
        baseline.push(mix.tree[most].latency_ns.value_at_quantile(q) as f64 / 1000.0);
        (q, microseconds, baseline)
    });
    for (quantile, ours, tree) in quantiles {
        let name = format!("{}, {} threads, p{}", mix.name, THREADS[most], quantile * 100.0);
        report.add(Row::new(name, "µs", &ours).against("RwLock<BTreeMap>", &tree));
    }
}
