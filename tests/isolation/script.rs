//! A small language for interleaved transactions.
//!
//! ```text
//!   setup x=10 y=20           what is there before
//!   T1 begin                  a transaction, at the level under test
//!   T1 get x         => 10    one key; `none` if it is not there
//!   T1 range a..m    => x=10  entries in order; `rev a..m` against it; `all` without bounds; `first a..m` takes one step only
//!   T1 where 20      => y     the keys that hold a value, by a scan of everything
//!   T1 put x 11               a blind write; `delete x`
//!   T1 commit        => ok    or what it conflicts with; `rollback` answers nothing
//!   end              => x=11 y=20
//! ```
//!
//! An answer that depends on the level is written `read committed | snapshot | serializable`. Whatever answers must say what.

use skipstone::{ConflictKind, Database, Error, Isolation, Keyspace, Transaction, TransactionOptions};
use std::collections::BTreeMap;

const LEVELS: [Isolation; 3] = [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable];

/// Runs a script at each level, and compares every answer.
pub(crate) fn check(script: &str) {
    for (column, level) in LEVELS.into_iter().enumerate() {
        let (mut expected, mut found) = (String::new(), String::new());
        let db = Database::in_memory();
        let mut stage =
            Stage { level, values: db.keyspace("values").unwrap(), open: BTreeMap::new(), db: &db };
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (step, answers) = line.split_once("=>").unwrap_or((line, ""));
            let answers: Vec<&str> = answers.split('|').map(str::trim).collect();
            assert!(
                answers.len() == 1 || answers.len() == LEVELS.len(),
                "one answer, or one per level: {line}"
            );
            let answer = answers[if answers.len() == 1 { 0 } else { column }];
            expected += &format!("{} => {answer}\n", step.trim());
            found += &format!("{} => {}\n", step.trim(), stage.run(step));
        }
        assert!(stage.open.is_empty(), "the script leaves transactions open");
        assert!(expected == found, "at {level:?}\n--- expected\n{expected}\n--- found\n{found}");
    }
}

/// One run of a script.
struct Stage<'db> {
    level: Isolation,
    db: &'db Database,
    values: Keyspace,
    open: BTreeMap<String, Transaction<'db>>,
}

impl Stage<'_> {
    fn run(&mut self, step: &str) -> String {
        let words: Vec<&str> = step.split_whitespace().collect();
        match words[..] {
            ["setup", ref entries @ ..] => {
                for entry in entries {
                    let (key, value) = entry.split_once('=').expect("key=value");
                    self.values.put(key.as_bytes(), value.as_bytes()).unwrap();
                }
                String::new()
            }
            ["end"] => {
                let mut last = self.db.begin().unwrap();
                let values = last.keyspace(&self.values).unwrap();
                listing(values.range::<&[u8]>(..))
            }
            [name, "begin"] => {
                let begun = self.db.begin_with(TransactionOptions::new().isolation(self.level)).unwrap();
                assert!(self.open.insert(name.to_owned(), begun).is_none(), "{name} is open already");
                String::new()
            }
            [name, "commit"] => match self.open.remove(name).expect("it was begun").commit() {
                Ok(_) => "ok".to_owned(),
                Err(error) => conflict(error),
            },
            [name, "rollback"] => {
                self.open.remove(name).expect("it was begun").rollback();
                String::new()
            }
            [name, ref operation @ ..] => {
                let transaction = self.open.get_mut(name).unwrap_or_else(|| panic!("{name} was not begun"));
                operate(transaction, &self.values, operation)
            }
            [] => unreachable!("empty lines are skipped"),
        }
    }
}

fn operate(transaction: &mut Transaction<'_>, values: &Keyspace, operation: &[&str]) -> String {
    let mut values = transaction.keyspace(values).unwrap();
    match *operation {
        ["get", key] => values.get(key.as_bytes()).map_or("none".to_owned(), |value| text(&value)),
        ["all"] => listing(values.range::<&[u8]>(..)),
        ["range", range] => listing(values.range(bounds(range))),
        ["rev", range] => listing(values.range_rev(bounds(range))),
        ["first", range] => listing(values.range(bounds(range)).take(1)),
        ["last", range] => listing(values.range_rev(bounds(range)).take(1)),
        ["where", value] => {
            let matching = values.range::<&[u8]>(..).filter(|(_, found)| **found == *value.as_bytes());
            or_none(matching.map(|(key, _)| text(&key)).collect())
        }
        ["put", key, value] => {
            values.put(key.as_bytes(), value.as_bytes()).unwrap();
            String::new()
        }
        ["delete", key] => {
            values.delete(key.as_bytes()).unwrap();
            String::new()
        }
        _ => panic!("no such operation: {operation:?}"),
    }
}

/// `a..m`: from `a` on, below `m`.
fn bounds(range: &str) -> std::ops::Range<&[u8]> {
    let (low, high) = range.split_once("..").expect("low..high");
    low.as_bytes()..high.as_bytes()
}

fn listing<K: AsRef<[u8]>, V: AsRef<[u8]>>(entries: impl Iterator<Item = (K, V)>) -> String {
    or_none(entries.map(|(key, value)| format!("{}={}", text(key.as_ref()), text(value.as_ref()))).collect())
}

fn or_none(words: Vec<String>) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(" ") }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("scripts write text")
}

fn conflict(error: Error) -> String {
    let Error::Conflict { keyspace, conflict, .. } = error else { panic!("not a conflict: {error}") };
    assert_eq!(keyspace, "values");
    assert!(conflict.winner.is_some(), "in one thread the other transaction has committed: {conflict}");
    let kind = match conflict.kind {
        ConflictKind::Write => "write",
        ConflictKind::Read => "read",
        ConflictKind::Range => "range",
        other => panic!("impossible in one thread: {other:?}"),
    };
    format!("{kind} conflict {}", text(&conflict.key))
}
