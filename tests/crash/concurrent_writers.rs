//! Several writers at once, some of which wait for the disk: after a crash, a prefix of the order of commits.

use super::harness::{Opened, open, outcomes, put, stage};
use crate::engine::catalog::Kind;
use crate::io::SimulatedDisk;
use crate::map::Towards;
use crate::{Durability, Isolation, Lsn, TransactionOptions};
use std::collections::BTreeMap;
use std::ops::Bound;

const THREADS: u64 = 4;
const COMMITS_EACH: u64 = 25;
const SHARED: &str = "shared";

/// What a writer knows of one of its commits.
struct Known {
    marker: String,
    lsn: Lsn,
    durable: bool,
}

/// Commits until the power fails. Each commit writes a key of its own, and one that all write.
fn write(opened: &Opened, thread: u64) -> Vec<Known> {
    let (mut known, mut random) = (Vec::new(), fastrand::Rng::with_seed(thread));
    let Ok(keyspace) = opened.keyspace() else { return known };
    for n in 0..COMMITS_EACH {
        let marker = format!("{thread}-{n}");
        let writes = [put(&marker, vec![n as u8; random.usize(..1500)]), put(SHARED, &marker)];
        let durability = [Durability::Sync, Durability::Buffered, Durability::None][random.usize(..3)];
        let options = TransactionOptions::new().isolation(Isolation::ReadCommitted).durability(durability);
        let mut transaction = opened.db.begin_with(options).unwrap();
        stage(&mut transaction, &keyspace, &writes).unwrap();
        let committed = match durability {
            // A handle has the position of a commit that fails to become durable, too.
            Durability::Sync => {
                transaction.commit_async().map(|handle| (handle.position(), handle.wait().is_ok()))
            }
            _ => transaction.commit().map(|lsn| (lsn, false)),
        };
        match committed {
            Ok((lsn, durable)) => known.push(Known { marker, lsn, durable }),
            Err(error) if error.is_conflict() => {}
            Err(_) => return known,
        }
    }
    known
}

/// Position and value of each key.
fn found(opened: &Opened) -> BTreeMap<String, (Lsn, Vec<u8>)> {
    let Some(number) = opened.engine.find(Kind::Keyspace, "k") else { return BTreeMap::new() };
    let (store, all) = (opened.engine.store(), (Bound::Unbounded, Bound::Unbounded));
    let snapshot = store.snapshot();
    let entries = snapshot.scan(store.space(number), all, Towards::Greater);
    entries
        .map(|(key, seen)| (String::from_utf8(key.to_vec()).unwrap(), (seen.lsn, seen.value.to_vec())))
        .collect()
}

fn check(found: &BTreeMap<String, (Lsn, Vec<u8>)>, known: &[Known], durable: Lsn, context: &str) {
    let end = found.values().map(|(lsn, _)| *lsn).max().unwrap_or(Lsn::ZERO);
    for Known { marker, lsn, durable: acknowledged } in known {
        match found.get(marker) {
            Some((found, _)) => assert_eq!(found, lsn, "{marker}: {context}"),
            None => assert!(
                !acknowledged && *lsn >= durable && *lsn > end,
                "{marker} at {lsn} is missing, the last one is at {end}: {context}"
            ),
        }
    }
    if let Some((lsn, marker)) = found.get(SHARED) {
        let last = found.iter().filter(|(key, _)| *key != SHARED).max_by_key(|(_, (lsn, _))| *lsn).unwrap();
        assert_eq!((&last.1.0, last.0.as_bytes()), (lsn, &marker[..]), "half of a commit: {context}");
    }
}

#[test]
fn what_is_left_is_a_prefix_of_the_order_of_commits() {
    let (mut lost, mut kept) = (0, 0);
    for round in 0..150 {
        let disk = SimulatedDisk::new(round);
        let opened = open(&disk).unwrap();
        opened.keyspace().unwrap();
        disk.crash_after(fastrand::Rng::with_seed(round).u64(..80));
        let known: Vec<Known> = std::thread::scope(|scope| {
            let opened = &opened;
            let writers: Vec<_> =
                (0..THREADS).map(|thread| scope.spawn(move || write(opened, thread))).collect();
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        let durable = opened.db.durable_position();
        drop(opened);
        for outcome in outcomes(&disk, round, false, 6) {
            let context = format!("round {round}, {outcome:?}");
            let after = open(&disk.after_crash(outcome)).unwrap_or_else(|error| panic!("{error}: {context}"));
            let found = found(&after);
            check(&found, &known, durable, &context);
            kept += found.len();
            lost += known.iter().filter(|known| !found.contains_key(&known.marker)).count();
        }
    }
    assert!(kept > 1_000 && lost > 100, "{kept} kept, {lost} lost: the crashes come at the wrong time");
}
