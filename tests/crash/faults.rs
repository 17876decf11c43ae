//! Each fault of a disk, once and for ever, in every operation of a history.

use super::harness::{History, Opened, REPEATS, open, put};
use crate::engine::error::OpenError;
use crate::io::{Fault, Repeat, SimulatedDisk};
use crate::{Durability, Error};
use std::time::{Duration, Instant};

/// Runs the history with a fault planned for each operation in turn; `check` gets the disk and what came of it.
fn with_fault_at_each_operation(
    fault: Fault,
    check: impl Fn(&SimulatedDisk, Result<Opened, OpenError>, &History, &str),
) {
    let history = History::standard();
    let operations = {
        let disk = SimulatedDisk::new(0);
        history.run_on(&disk);
        disk.operations()
    };
    for repeat in REPEATS {
        for at in 0..operations {
            let disk = SimulatedDisk::new(at);
            disk.fail(at, fault, repeat);
            let context = format!("{fault:?} {repeat:?} from operation {at}");
            check(&disk, open(&disk), &history, &context);
        }
    }
}

fn is_harmless(fault: Fault) {
    with_fault_at_each_operation(fault, |_, opened, history, context| {
        let opened = opened.unwrap_or_else(|error| panic!("{error}: {context}"));
        let run = history.run(&opened);
        assert_eq!((run.acknowledged, run.error), (history.len(), None), "{context}");
        assert_eq!(opened.state(), *history.state(history.len()), "{context}");
        assert!(opened.db.stats().read_only.is_none(), "{context}");
    });
}

#[test]
fn a_short_write_is_completed() {
    is_harmless(Fault::ShortWrite);
}

#[test]
fn an_interrupted_write_is_tried_again() {
    is_harmless(Fault::Interrupted);
}

/// The store takes nothing any more, says why, and goes on reading.
fn assert_read_only(opened: &Opened, fault: Fault, context: &str) {
    let durable = opened.db.durable_position();
    let cause = format!("simulated {fault:?}");
    for durability in [Durability::Sync, Durability::Buffered, Durability::None] {
        for _ in 0..3 {
            let error = opened.commit(&[put("later", "x")], durability).expect_err(context);
            assert!(
                matches!(&error, Error::ReadOnly { cause: io } if io.to_string().contains(&cause)),
                "{error}: {context}"
            );
        }
    }
    let read_only = opened.db.stats().read_only.expect(context);
    assert!(read_only.to_string().contains(&cause), "{read_only}: {context}");
    // A fault that struck while nothing was on its way leaves nothing to wait for.
    let waited = opened.db.wait_durable(opened.db.position());
    assert_eq!(waited.is_ok(), opened.db.position() <= durable, "{context}");
    assert!(opened.db.durable_position() == durable, "nothing is acknowledged after a failure: {context}");
    assert!(!opened.state().contains_key(&b"later"[..]), "{context}");
}

/// A fault that struck the flusher, as it made the next segment, is known to others a moment later.
fn await_poison(opened: &Opened, context: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while opened.db.stats().read_only.is_none() {
        assert!(Instant::now() < deadline, "a fault struck, and the store goes on writing: {context}");
        std::thread::yield_now();
    }
}

fn is_final(fault: Fault) {
    with_fault_at_each_operation(fault, |disk, opened, history, context| {
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                assert!(matches!(&error, OpenError::Io(_) | OpenError::Log(_)), "{error}: {context}");
                assert!(error.to_string().contains(&format!("simulated {fault:?}")), "{error}: {context}");
                return;
            }
        };
        let run = history.run(&opened);
        if disk.faults_struck() == 0 {
            assert_eq!((run.acknowledged, run.error), (history.len(), None), "{context}");
            return;
        }
        await_poison(&opened, context);
        let state = opened.state();
        let commits = history.prefix(&state, run.acknowledged, context);
        assert_read_only(&opened, fault, context);
        assert_eq!(opened.state(), *history.state(commits), "reads go on: {context}");
        assert!(opened.db.clone().close().is_err(), "{context}");
    });
}

#[test]
fn a_failed_write_is_final() {
    is_final(Fault::WriteEio);
}

#[test]
fn a_failed_flush_is_final() {
    is_final(Fault::FlushEio);
}

#[test]
fn a_full_disk_is_final() {
    is_final(Fault::NoSpace);
}

#[test]
fn a_failed_read_keeps_the_store_shut_and_harms_nothing() {
    let (history, disk) = (History::standard(), SimulatedDisk::new(5));
    history.run_on(&disk);
    let mut at = 0;
    loop {
        let found = super::harness::copy(&disk);
        found.fail(at, Fault::ReadEio, Repeat::Once);
        match open(&found) {
            Ok(opened) => {
                assert_eq!(found.faults_struck(), 0);
                assert_eq!(opened.state(), *history.state(history.len()));
                break;
            }
            Err(error) => assert!(error.to_string().contains("simulated ReadEio"), "{error}"),
        }
        assert_eq!(open(&found).unwrap().state(), *history.state(history.len()), "the fault is over");
        at += 1;
    }
    assert!(at > 4, "each segment is read: {at}");
}
