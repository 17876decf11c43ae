//! A store on a simulated disk, a short fixed history, and what the store must hold after each part of it.

use crate::checkpoint::PAGE_BYTES;
use crate::engine::Engine;
use crate::engine::config::{Config, Encryption};
use crate::engine::error::OpenError;
use crate::io::{AlignedBuf, BLOCK, CrashOutcome, Device, Repeat, SimulatedDisk};
use crate::log::frame::frame_bytes;
use crate::{
    Compression, Database, Durability, Error, KeyProvider, Keyspace, Lsn, MasterKey, Snapshot,
    TransactionOptions,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(super) const RING_BYTES: usize = 1 << 16;
pub(super) const SEGMENT_BYTES: u64 = 1 << 16;
const KEYSPACE: &str = "k";
/// How often a fault strikes, in turn.
pub(super) const REPEATS: [Repeat; 2] = [Repeat::Once, Repeat::Forever];

/// All keys with their values.
pub(super) type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// An open store, and the engine under it.
pub(super) struct Opened {
    pub(super) db: Database,
    pub(super) engine: Arc<Engine>,
}

/// Small rings, segments and extents, so that few operations meet many cases; no sweep.
pub(super) fn config() -> Config {
    Config {
        ring_bytes: RING_BYTES as u64,
        segment_bytes: SEGMENT_BYTES,
        sweep_interval: Duration::from_secs(3600),
        checkpoint_log_bytes: u64::MAX,
        checkpoint_interval: Duration::from_secs(3600),
        checkpoint_at_close: false,
        extent_bytes: 8 * PAGE_BYTES as u64,
        buffered_interval: Duration::from_millis(1),
        clock: || 0,
        time_interval: Duration::from_secs(3600),
        ..Config::default()
    }
}

/// The same, with pages that are compressed and encrypted: what pages can be besides plain.
pub(super) fn sealed_pages() -> Config {
    sealed_pages_of(1)
}

/// The same with the key of this byte.
pub(super) fn sealed_pages_of(key: u8) -> Config {
    Config { encryption: encrypted(key).encryption, ..compressed() }
}

/// The same with pages that are compressed.
pub(super) fn compressed() -> Config {
    Config { checkpoint_compression: Some(Compression::Lz4), ..config() }
}

/// The same for a store that is encrypted; the key is of this byte.
pub(super) fn encrypted(key: u8) -> Config {
    Config { encryption: Some(Encryption(Arc::new(provider(key)))), ..config() }
}

pub(super) fn provider(key: u8) -> impl KeyProvider {
    move || Ok(MasterKey::from_bytes(&[key; 32]))
}

/// Two blocks of log in each segment, and a ring that takes frames longer than that: they lie across the ends of one segment and of two.
pub(super) fn small_segments() -> Config {
    Config { segment_bytes: 3 * BLOCK as u64, ring_bytes: 4 * RING_BYTES as u64, ..config() }
}

pub(super) fn open(disk: &SimulatedDisk) -> Result<Opened, OpenError> {
    open_with(disk, config())
}

pub(super) fn open_with(disk: &SimulatedDisk, config: Config) -> Result<Opened, OpenError> {
    let engine = Engine::open_on(Arc::new(disk.clone()), Path::new("disk"), config, None)?;
    let engine = Arc::new(engine);
    Ok(Opened { db: Database::from_engine(Arc::clone(&engine)), engine })
}

impl Opened {
    pub(super) fn keyspace(&self) -> Result<Keyspace, Error> {
        self.db.keyspace(KEYSPACE)
    }

    /// Everything in the keyspace, through one snapshot.
    pub(super) fn state(&self) -> State {
        self.state_of(&self.db.snapshot().expect("the store is open"))
    }

    /// The same as it was at a position of the past.
    pub(super) fn state_at(&self, position: Lsn) -> State {
        self.state_of(&self.db.at(position).expect("a position that is kept"))
    }

    pub(super) fn state_of(&self, snapshot: &Snapshot<'_>) -> State {
        let Some(keyspace) = self.db.find_keyspace(KEYSPACE).expect("the store is open") else {
            return State::new();
        };
        let keyspace = snapshot.keyspace(&keyspace).expect("a keyspace of this store");
        keyspace.range::<&[u8]>(..).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    }

    pub(super) fn commit(&self, writes: &[Write], durability: Durability) -> Result<Lsn, Error> {
        let keyspace = self.keyspace()?;
        let mut transaction = self.db.begin_with(TransactionOptions::new().durability(durability))?;
        stage(&mut transaction, &keyspace, writes)?;
        transaction.commit()
    }

    /// Leaves a frame that says that its range is not used, as a committer does whose position was taken away.
    fn leave_void(&self, payload_bytes: usize) -> Result<(), Error> {
        let log = self.engine.log().expect("a store on a disk has a log");
        let bytes = frame_bytes(payload_bytes);
        let lsn = self.engine.store().end().reserve(bytes);
        log.void(lsn, bytes).map_err(|cause| Error::ReadOnly { cause })
    }
}

/// Puts writes into a transaction.
pub(super) fn stage(
    transaction: &mut crate::Transaction<'_>,
    keyspace: &Keyspace,
    writes: &[Write],
) -> Result<(), Error> {
    let mut keyspace = transaction.keyspace(keyspace)?;
    for (key, value) in writes {
        match value {
            Some(value) => keyspace.put(key, value)?,
            None => keyspace.delete(key)?,
        }
    }
    Ok(())
}

/// One write: a key, and its value unless it is deleted.
pub(super) type Write = (Vec<u8>, Option<Vec<u8>>);

pub(super) fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Write {
    (key.as_ref().to_vec(), Some(value.as_ref().to_vec()))
}

pub(super) fn delete(key: impl AsRef<[u8]>) -> Write {
    (key.as_ref().to_vec(), None)
}

/// `len` bytes that differ from those of other seeds at nearly every place.
pub(super) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

enum Item {
    Commit(Vec<Write>),
    Void(usize),
    Checkpoint,
    /// To a disk of its own, which does not fail.
    BackUp,
}

/// Commits one after the other, and what the store holds after each.
pub(super) struct History {
    items: Vec<Item>,
    /// `states[n]` is what is there after the first `n` commits. All differ: each commit writes its number.
    states: Vec<State>,
}

/// How far a run of a history came.
pub(super) struct Run {
    /// Commits that were acknowledged as durable.
    pub(super) acknowledged: usize,
    /// Why it went no further.
    pub(super) error: Option<String>,
}

impl History {
    fn new(items: Vec<Item>) -> History {
        let (mut states, mut state, mut items) = (vec![State::new()], State::new(), items);
        for item in &mut items {
            let Item::Commit(writes) = item else { continue };
            writes.push(put("number", states.len().to_string()));
            for (key, value) in writes {
                match value {
                    Some(value) => state.insert(key.clone(), value.clone()),
                    None => state.remove(key),
                };
            }
            states.push(state.clone());
        }
        History { items, states }
    }

    /// Several keys, deletions, a void frame, a transaction larger than the ring, and several segments.
    pub(super) fn standard() -> History {
        let large = (0..10).map(|n| put(format!("large{n}"), bytes(n, 9000))).collect();
        History::new(vec![
            Item::Commit(vec![put("a", "1"), put("b", "2")]),
            Item::Commit(vec![put("c", bytes(100, 300))]),
            Item::Commit(vec![delete("a"), put("b", "3"), put("d", "")]),
            Item::Void(500),
            Item::Commit(vec![put("a", bytes(101, 5000))]),
            Item::Commit(large),
            Item::Commit(vec![delete("large3"), put("large4", "small"), put("a", "again")]),
            Item::Void(40),
            Item::Commit((0..40).map(|n| put(format!("many{n}"), [n])).collect()),
            Item::Commit(vec![put("e", bytes(102, 30_000))]),
            Item::Commit((0..20).map(|n| delete(format!("many{n}"))).collect()),
            Item::Commit(vec![put("f", "last")]),
        ])
    }

    /// Without anything that makes the flusher's thread take part, so that the disk sees the same operations each time.
    pub(super) fn without_flusher() -> History {
        History::new((0..18).map(|n| Item::Commit(vec![put([b'k', n % 5], bytes(n.into(), 4000))])).collect())
    }

    /// One short commit after the other.
    pub(super) fn short(commits: u8) -> History {
        History::new((0..commits).map(|n| Item::Commit(vec![put([n], bytes(n.into(), 40))])).collect())
    }

    /// Values of many lengths, every third of zeros, so that segments end at all kinds of places in frames.
    pub(super) fn uneven(commits: u64) -> History {
        let value = |n: u64| {
            let len = if n % 10 == 7 { 9_000 + n as usize * 70 } else { n as usize * 37 % 700 };
            if n.is_multiple_of(3) { vec![0; len] } else { bytes(n, len) }
        };
        History::new((0..commits).map(|n| Item::Commit(vec![put([b'k', n as u8 % 9], value(n))])).collect())
    }

    /// With checkpoints in between that have something to write in each kind of page, pages to write over, and segments to give up.
    pub(super) fn with_checkpoints() -> History {
        let large = |seed| {
            (0..6_u64).map(|n| put(format!("large{n}"), bytes(seed + n, 3000).repeat(3))).collect::<Vec<_>>()
        };
        let many =
            |seed| (0..200_u64).map(|n| put(format!("many{n:03}"), bytes(seed + n, 50))).collect::<Vec<_>>();
        History::new(vec![
            Item::Commit(vec![put("a", "1"), put("b", "2")]),
            Item::Checkpoint,
            Item::Commit(large(1)),
            Item::Commit(vec![put("c", bytes(100, 3000)), delete("a")]),
            Item::Checkpoint,
            Item::Commit(many(200)),
            Item::Void(500),
            Item::Checkpoint,
            Item::BackUp,
            Item::Commit(vec![put("many100", bytes(102, 4500)), delete("large0"), put("large1", "small")]),
            Item::Commit(large(300).into_iter().skip(2).collect()),
            Item::Checkpoint,
            Item::Commit((0..150).map(|n| delete(format!("many{n:03}"))).collect()),
            Item::Checkpoint,
            Item::Checkpoint,
            Item::Commit(vec![put("d", "last")]),
        ])
    }

    pub(super) fn len(&self) -> usize {
        self.states.len() - 1
    }

    pub(super) fn state(&self, commits: usize) -> &State {
        &self.states[commits]
    }

    /// What commit number `number` writes, counted from one.
    pub(super) fn writes(&self, number: usize) -> Vec<Write> {
        let mut commits = self.items.iter().filter_map(|item| match item {
            Item::Commit(writes) => Some(writes),
            Item::Void(_) | Item::Checkpoint | Item::BackUp => None,
        });
        commits.nth(number - 1).expect("there is such a commit").clone()
    }

    /// Commits everything durably, up to the first error.
    pub(super) fn run(&self, opened: &Opened) -> Run {
        let mut acknowledged = 0;
        for item in &self.items {
            let done = match item {
                Item::Commit(writes) => opened.commit(writes, Durability::Sync).map(drop),
                Item::Void(payload_bytes) => opened.leave_void(*payload_bytes),
                Item::Checkpoint => opened.db.checkpoint().map(drop),
                Item::BackUp => {
                    let target: Arc<dyn Device> = Arc::new(SimulatedDisk::new(9));
                    let made = opened.engine.back_up_on(None, &target);
                    made.map(drop).map_err(|cause| Error::Backup { cause: Box::new(cause) })
                }
            };
            match done {
                Ok(()) => acknowledged += usize::from(matches!(item, Item::Commit(_))),
                Err(error) => return Run { acknowledged, error: Some(error.to_string()) },
            }
        }
        Run { acknowledged, error: None }
    }

    /// Makes a store on the disk and runs in it, up to the first error.
    pub(super) fn run_on(&self, disk: &SimulatedDisk) -> Run {
        self.run_on_with(disk, config())
    }

    pub(super) fn run_on_with(&self, disk: &SimulatedDisk, config: Config) -> Run {
        match open_with(disk, config) {
            Ok(opened) => self.run(&opened),
            Err(error) => Run { acknowledged: 0, error: Some(error.to_string()) },
        }
    }

    /// How many commits a state says that it has.
    pub(super) fn number(state: &State) -> usize {
        let number = state.get(&b"number"[..]);
        number.map_or(0, |number| String::from_utf8_lossy(number).parse().expect("a number"))
    }

    /// How many commits of the history are in `state`, which must be a prefix with at least `acknowledged` of them.
    pub(super) fn prefix(&self, state: &State, acknowledged: usize, context: &str) -> usize {
        let commits = History::number(state);
        assert!(commits >= acknowledged, "{acknowledged} acknowledged, {commits} there: {context}");
        assert!(commits <= acknowledged + 1, "{commits} there, {} begun: {context}", acknowledged + 1);
        assert!(*state == self.states[commits], "{commits} commits, but not what they wrote: {context}");
        commits
    }
}

/// Opens the store on `disk`, whose cache may show what the disk does not have, writes, and takes the power away: what was there and
/// what was written is.
pub(super) fn survives_power_loss(
    disk: &SimulatedDisk,
    history: &History,
    acknowledged: usize,
    context: &str,
) {
    let opened = open(disk).unwrap_or_else(|error| panic!("{error}: {context}"));
    let commits = history.prefix(&opened.state(), acknowledged, context);
    opened.commit(&[put("after", "x")], Durability::Sync).unwrap();
    let without_power = disk.after_crash(CrashOutcome::DropAll);
    drop(opened);
    let opened = open(&without_power).unwrap_or_else(|error| panic!("without power: {error}: {context}"));
    let mut state = opened.state();
    assert_eq!(state.remove(&b"after"[..]).as_deref(), Some(&b"x"[..]), "{context}");
    assert_eq!(history.prefix(&state, commits, context), commits, "{context}");
}

/// The same disk once more, with nothing in flight.
pub(super) fn copy(disk: &SimulatedDisk) -> SimulatedDisk {
    disk.after_crash(CrashOutcome::KeepAll)
}

/// Every byte of every file, by name.
pub(super) fn contents(disk: &SimulatedDisk) -> BTreeMap<String, Vec<u8>> {
    let read = |name: String| {
        let file = disk.open(&name).expect("it was listed");
        let mut bytes = vec![0; file.len() as usize];
        file.read_at(0, &mut bytes).expect("nothing is planned to fail");
        (name, bytes)
    };
    disk.list().expect("nothing is planned to fail").into_iter().map(read).collect()
}

/// Writes over a part of a file, durably.
pub(super) fn overwrite(disk: &SimulatedDisk, name: &str, offset: usize, bytes: &[u8]) {
    let mut aligned = AlignedBuf::zeroed(bytes.len());
    aligned.copy_from_slice(bytes);
    disk.open(name).unwrap().write_durable(offset as u64, &[&aligned]).unwrap();
}

/// Gives a page that was changed the checksum that belongs to it.
pub(super) fn seal_page(page: &mut [u8], store: &[u8]) {
    let crc = crc32c::crc32c_append(crc32c::crc32c(store), &page[4..]);
    page[..4].copy_from_slice(&crc.to_le_bytes());
}

/// Where the body of a manifest begins.
pub(super) const MANIFEST_BODY: usize = 80;

/// Where the body of a manifest ends, as it says.
pub(super) fn manifest_end(manifest: &[u8]) -> usize {
    let bytes = u32::from_le_bytes(manifest[72..76].try_into().unwrap()) as usize;
    (MANIFEST_BODY + bytes).min(manifest.len() - 4)
}

/// The same for a manifest, whose length may be another now.
pub(super) fn seal_manifest(manifest: &mut [u8]) {
    let end = manifest_end(manifest);
    let crc = crc32c::crc32c(&manifest[..end]);
    manifest[end..end + 4].copy_from_slice(&crc.to_le_bytes());
}

/// What a crash is tried with: every subset of the unflushed sectors if they are few and `subsets` says so, all and nothing, and
/// `random` outcomes each with torn sectors and with garbage.
pub(super) fn outcomes(disk: &SimulatedDisk, seed: u64, subsets: bool, random: u64) -> Vec<CrashOutcome> {
    let mut outcomes = vec![CrashOutcome::KeepAll, CrashOutcome::DropAll];
    let unflushed = disk.unflushed();
    if unflushed == 0 {
        return vec![CrashOutcome::KeepAll];
    }
    if subsets && unflushed <= 10 {
        outcomes.extend((1..(1 << unflushed) - 1).map(CrashOutcome::Subset));
    }
    for n in 0..random {
        let seed = seed * 1000 + n;
        outcomes.extend([CrashOutcome::Random(seed), CrashOutcome::Garbage(seed)]);
    }
    outcomes
}
