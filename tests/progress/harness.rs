//! Parking one thread, and what the others do meanwhile.

use crate::engine::Engine;
use crate::engine::config::Config;
use crate::sync::{Step, park_at, release_parked};
use crate::{Database, Error, Keyspace, TransactionOptions};
use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

/// What each thread does of each kind while another is parked.
pub(super) const OPERATIONS: u32 = 4_000;
/// Far more than all of that takes.
const DEADLINE: Duration = Duration::from_secs(60);
/// The lot where threads park is one for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

pub(super) const CONTESTED: &[u8] = b"m-contested";

/// A store with the contested record and others before and behind it.
pub(super) struct Store {
    pub(super) engine: Arc<Engine>,
    pub(super) db: Database,
    pub(super) keyspace: Keyspace,
}

impl Store {
    pub(super) fn in_memory() -> Store {
        let config = Config { sweep_interval: Duration::from_secs(3600), ..Config::default() };
        Store::new(Engine::open(config).unwrap())
    }

    pub(super) fn new(engine: Engine) -> Store {
        let engine = Arc::new(engine);
        let db = Database::from_engine(Arc::clone(&engine));
        let keyspace = db.keyspace("k").unwrap();
        for key in [b"a-other", CONTESTED, b"z-other"] {
            keyspace.put(key, b"old").unwrap();
        }
        Store { engine, db, keyspace }
    }

    /// Writes the contested record in a transaction of its own, after reading it.
    pub(super) fn write_contested(&self, options: TransactionOptions) -> Result<(), Error> {
        let mut transaction = self.db.begin_with(options)?;
        let mut keyspace = transaction.keyspace(&self.keyspace)?;
        assert!(keyspace.get(CONTESTED).is_some());
        keyspace.put(CONTESTED, b"parked")?;
        transaction.commit().map(drop)
    }

    /// Reads and writes other records, alone and by ranges that go over the contested one.
    pub(super) fn use_others(&self) {
        for n in 0..OPERATIONS {
            let (key, value) = (format!("a-{}", n % 50), n.to_string());
            self.keyspace.put(key.as_bytes(), value.as_bytes()).unwrap();
            assert_eq!(self.keyspace.get(key.as_bytes()).unwrap().as_deref(), Some(value.as_bytes()));
            let snapshot = self.db.snapshot().unwrap();
            assert_eq!(snapshot.get(&self.keyspace, key.as_bytes()).unwrap(), Some(value.as_bytes()));
            if n % 100 == 0 {
                let keyspace = snapshot.keyspace(&self.keyspace).unwrap();
                assert!(keyspace.range::<&[u8]>(..).any(|(key, _)| key == CONTESTED));
            }
        }
    }

    /// Reads the contested record in every way; each must find `expected`.
    pub(super) fn read_contested(&self, expected: &[u8]) {
        for _ in 0..OPERATIONS {
            assert_eq!(self.keyspace.get(CONTESTED).unwrap().as_deref(), Some(expected));
            let snapshot = self.db.snapshot().unwrap();
            assert_eq!(snapshot.get(&self.keyspace, CONTESTED).unwrap(), Some(expected));
            let mut transaction = self.db.begin().unwrap();
            assert_eq!(
                transaction.keyspace(&self.keyspace).unwrap().get(CONTESTED).as_deref(),
                Some(expected)
            );
        }
    }

    /// Writes the contested record again and again, blindly and after reading it.
    pub(super) fn overwrite_contested(&self) {
        for n in 0..OPERATIONS {
            let value = n.to_string();
            if n % 2 == 0 {
                self.keyspace.put(CONTESTED, value.as_bytes()).unwrap();
            } else {
                let mut transaction = self.db.begin().unwrap();
                let mut keyspace = transaction.keyspace(&self.keyspace).unwrap();
                assert_eq!(keyspace.get(CONTESTED).as_deref(), Some((n - 1).to_string().as_bytes()));
                keyspace.put(CONTESTED, value.as_bytes()).unwrap();
                transaction.commit().unwrap();
            }
            assert_eq!(self.keyspace.get(CONTESTED).unwrap().as_deref(), Some(value.as_bytes()));
        }
    }
}

/// Runs `others` on a thread of its own; returns it, and whether it was done in time.
fn in_time<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    others: impl FnOnce() -> T + Send + 'scope,
) -> (ScopedJoinHandle<'scope, T>, bool) {
    let (done, is_done) = channel();
    let others = scope.spawn(move || {
        let result = others();
        let _ = done.send(());
        result
    });
    (others, is_done.recv_timeout(DEADLINE) != Err(RecvTimeoutError::Timeout))
}

/// Runs `meanwhile` while the list of keyspaces is locked.
pub(super) fn while_list_is_locked(store: &Store, meanwhile: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let list = store.engine.store();
        let (meanwhile, in_time) = list.with_list_locked(|| in_time(scope, meanwhile));
        meanwhile.join().unwrap_or_else(|panic| resume_unwind(panic));
        assert!(in_time, "the others waited for the list of keyspaces");
    });
}

/// Parks a thread that runs `parked` at `step`, runs `meanwhile` while it stands there, and lets it go; returns what both returned.
///
/// Whatever happens meanwhile, the thread is let go: a failure is a failure, not a test that hangs.
pub(super) fn while_parked<P: Send, M: Send>(
    step: Step,
    parked: impl FnOnce() -> P + Send,
    meanwhile: impl FnOnce() -> M + Send,
) -> (P, M) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    thread::scope(|scope| {
        let parked = scope.spawn(move || {
            park_at(step);
            parked()
        });
        let (meanwhile, in_time) = release_parked(1, || in_time(scope, meanwhile));
        let parked = parked.join().unwrap_or_else(|panic| resume_unwind(panic));
        let meanwhile = meanwhile.join().unwrap_or_else(|panic| resume_unwind(panic));
        assert!(in_time, "the others waited for the thread that was parked at {step:?}");
        (parked, meanwhile)
    })
}
