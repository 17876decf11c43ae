//! How long the past of an open store is kept, and what time it was when.
//!
//! The clock's thread notes now and then where the log ends and what time it is, in that order, and says to the store from which position on
//! everything is kept. Who commits reads that position, and nothing else of this: the lock here is taken by the clock's thread, by whoever asks for
//! a time or changes the setting, and by checkpoints.
//!
//! The past from before the opening comes from an anchor (`anchors`) and the log behind it, with the times that the log notes. Without that, versions are
//! kept no further back than the store was opened, and the log as far back as the setting says; what that says of times is read once when it is
//! asked for first.

use super::times::{Mark, Times};
use crate::log::Log;
use crate::log::clock::{self, Clock, Millis, system_time};
use crate::log::frame::Kind;
use crate::log::reader::Frames;
use crate::log::resume;
use crate::lsn::Lsn;
use crate::mvcc::store::Store;
use crate::options::Retention;
use crate::sync::{Arc, Mutex, epoch, lock};
use std::time::{Duration, SystemTime};

/// See the module.
pub(crate) struct History {
    store: Arc<Store>,
    clock: Clock,
    /// Where the log ended when the store was opened.
    opened_at: Lsn,
    state: Mutex<State>,
}

struct State {
    retention: Retention,
    /// The last time that the clock said. It never goes back, whatever the clock does.
    said: Millis,
    times: Times,
    /// Whether what the log from before the opening says is among the times.
    has_older: bool,
}

/// What an opening found of the past; in memory nothing.
#[derive(Default)]
pub(super) struct Past {
    /// Where the log ended.
    pub(super) opened_at: Lsn,
    /// What the log says of times since the first anchor; none if no past was read.
    pub(super) marks: Option<Vec<Mark>>,
}

/// Why a time has no position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoPosition {
    /// It is before all that is known.
    Gone,
    /// It is to come: so late it is.
    ToCome(SystemTime),
}

impl History {
    /// Begins with what was there when the store was opened, before anybody commits.
    pub(super) fn begin(store: Arc<Store>, past: Past, clock: Clock, retention: Retention) -> History {
        let said = clock();
        // What is there was committed before the store was opened, and so before the clock was asked.
        let mut times = Times::beginning(Mark { position: store.end().load(), time: said });
        let has_older = past.marks.is_some();
        times.put_before(past.marks.unwrap_or_default());
        let state = State { retention, said, times, has_older };
        let history = History { store, clock, opened_at: past.opened_at, state: Mutex::new(state) };
        history.tick();
        history
    }

    /// Notes what time it is, and goes by that.
    pub(crate) fn tick(&self) {
        let mut state = lock(&self.state);
        // Before the clock is asked: what is below was committed by then.
        let position = self.store.end().load();
        let now = state.ask(self.clock);
        // It counts whole milliseconds: in the next one it is later for certain.
        state.times.note(Mark { position, time: now.saturating_add(1) });
        self.apply(&mut state, now);
    }

    pub(crate) fn retention(&self) -> Retention {
        lock(&self.state).retention
    }

    pub(crate) fn set_retention(&self, retention: Retention) {
        let mut state = lock(&self.state);
        state.retention = retention;
        let now = state.ask(self.clock);
        self.apply(&mut state, now);
    }

    /// Has the store keep what the setting says.
    fn apply(&self, state: &mut State, now: Millis) {
        let (floor, first, oldest) = (state.floor(now), state.times.first(), self.store.active().oldest());
        self.store.retain(state.retention.bytes, floor.map(|floor| floor.unwrap_or(first)));
        state
            .times
            .forget_before(floor.map_or(oldest, |floor| floor.map_or(first, |floor| floor.min(oldest))));
    }

    /// Where a snapshot stands that sees what was committed by a time.
    pub(crate) fn position_by(&self, time: SystemTime) -> Result<Lsn, NoPosition> {
        let time = clock::millis(time);
        let mut state = lock(&self.state);
        let now = state.ask(self.clock);
        if time > now {
            return Err(NoPosition::ToCome(system_time(now)));
        }
        state.times.position_by(time).ok_or(NoPosition::Gone)
    }

    /// The first time from which on everything at a position and behind it can be asked for by time, if that is known yet.
    pub(crate) fn time_of(&self, position: Lsn) -> Option<SystemTime> {
        lock(&self.state).times.time_of(position).map(system_time)
    }

    /// From where on the log is to be kept. Reads the log from before the opening, once, if times count.
    pub(super) fn log_kept_from(&self, log: &Log) -> Lsn {
        let wants_older = {
            let state = lock(&self.state);
            state.retention.time > Duration::ZERO && !state.has_older
        };
        // Without the lock: it may take long. Checkpoints, which ask, come one at a time.
        let older = wants_older.then(|| marks_before(log, self.opened_at));
        let mut state = lock(&self.state);
        if let Some(older) = older {
            state.times.put_before(older);
            state.has_older = true;
        }
        let now = state.ask(self.clock);
        // With nothing known that is old enough to go, everything is kept.
        let by_time = state.floor(now).map_or(Lsn::MAX, |floor| floor.unwrap_or(Lsn::ZERO));
        self.store.retained_from(&epoch::pin()).min(by_time)
    }
}

impl State {
    fn ask(&mut self, clock: Clock) -> Millis {
        self.said = self.said.max(clock());
        self.said
    }

    /// From where on everything is kept for its time: none if times do not count, or if nothing is old enough to go.
    fn floor(&self, now: Millis) -> Option<Option<Lsn>> {
        let kept_ms = self.retention.time_ms();
        (kept_ms > 0).then(|| self.times.position_by(now.checked_sub(kept_ms)?))
    }
}

/// What the log below a position says of times. What cannot be read says nothing.
pub(super) fn marks_before(log: &Log, end: Lsn) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    let Ok(Some(start)) = log.first_frame() else { return marks };
    if start.lsn >= end {
        return marks;
    }
    let read = resume::read_on(
        log.segments(),
        start,
        Some(end),
        &mut |frames| {
            add_marks(frames, &mut marks);
            Ok(())
        },
        |_| {},
    );
    // A disk that fails is noticed by whoever needs the log.
    let _ = read;
    marks
}

/// Adds what the next frames of the log say of times.
pub(super) fn add_marks(frames: &Frames<'_>, marks: &mut Vec<Mark>) {
    for header in frames.headers.iter().filter(|header| header.kind == Kind::Time) {
        let time = clock::decode(frames.payload(header));
        let last = marks.last().map_or(0, |last| last.time);
        let mark = |time: Millis| Mark { position: header.lsn, time: time.saturating_add(1).max(last) };
        marks.extend(time.map(mark));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::engine::config::Config;
    use crate::{Collection, Database, Error};
    use bson::doc;
    use std::sync::atomic::{AtomicU64, Ordering};

    const HOUR: u64 = 3_600_000;

    fn at(ms: Millis) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    /// A store in memory whose clock is `clock`, and whose thread looks at it when it is told to alone.
    struct Clocked {
        db: Database,
        engine: Arc<Engine>,
        things: Collection,
    }

    impl Clocked {
        fn open(clock: Clock, retention: Retention) -> Clocked {
            let time_interval = Duration::from_secs(3_600);
            let config = Config { clock, time_interval, retention: Some(retention), ..Config::default() };
            let engine = Engine::open(config).unwrap();
            let engine = Arc::new(engine);
            let db = Database::from_engine(Arc::clone(&engine));
            Clocked { things: db.collection("things").unwrap(), db, engine }
        }

        /// Puts a document with this number, and has the time noted.
        fn put(&self, n: i64) {
            self.things.upsert(doc! { "_id": 1, "n": n }).unwrap();
            self.engine.history().tick();
        }

        /// The number that was there by a time; none if there was nothing.
        fn n_at(&self, ms: Millis) -> Result<Option<i64>, Error> {
            let then = self.db.at(at(ms))?;
            let found = then.collection(&self.things)?.get(1)?;
            Ok(found.map(|found| found.get("n").unwrap().as_i64().unwrap()))
        }

        fn oldest_time(&self, ms: Millis) -> Option<SystemTime> {
            match self.n_at(ms) {
                Err(Error::HistoryGone { oldest_time, .. }) => oldest_time,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_time_shows_the_last_mark_by_then() {
        static NOW: AtomicU64 = AtomicU64::new(1_000);
        // Relaxed, here and below: one thread.
        let store = Clocked::open(|| NOW.load(Ordering::Relaxed), Retention::new().time(Duration::MAX));
        let set = |now| NOW.store(now, Ordering::Relaxed); // as above
        assert_eq!(store.n_at(1_000).unwrap(), None);
        assert_eq!(store.oldest_time(999), Some(at(1_000)));
        for n in 2..5 {
            set(n * 1_000);
            store.put(n as i64);
        }
        for (ms, n) in [
            (1_999, None),
            (2_000, None),
            (2_001, Some(2)),
            (3_000, Some(2)),
            (3_001, Some(3)),
            (4_000, Some(3)),
        ] {
            assert_eq!(store.n_at(ms).unwrap(), n, "at {ms}");
        }
        assert!(
            matches!(store.n_at(4_001), Err(Error::TimeNotReached { time, now, .. }) if time == at(4_001) && now == at(4_000))
        );
        // Committed between two marks: not seen before the later one.
        store.things.upsert(doc! { "_id": 1, "n": 5_i64 }).unwrap();
        set(4_500);
        assert_eq!(store.n_at(4_500).unwrap(), Some(4));
        store.engine.history().tick();
        set(4_600);
        assert_eq!((store.n_at(4_500).unwrap(), store.n_at(4_600).unwrap()), (Some(4), Some(5)));
        // Set back: the last time holds on.
        set(100);
        store.put(6);
        assert_eq!((store.n_at(4_500).unwrap(), store.n_at(4_600).unwrap()), (Some(4), Some(5)));
        set(5_000);
        assert_eq!((store.n_at(4_600).unwrap(), store.n_at(4_601).unwrap()), (Some(5), Some(6)));
    }

    #[test]
    fn what_is_older_than_the_time_goes_and_no_more() {
        static NOW: AtomicU64 = AtomicU64::new(10 * HOUR);
        // Relaxed, here and below: one thread.
        let store =
            Clocked::open(|| NOW.load(Ordering::Relaxed), Retention::new().time(Duration::from_millis(HOUR)));
        let set = |now| NOW.store(now, Ordering::Relaxed); // as above
        for minutes in 1..=180 {
            set(10 * HOUR + minutes * 60_000);
            store.put(minutes as i64);
        }
        store.db.sweep().unwrap();
        assert_eq!(store.n_at(12 * HOUR + 1).unwrap(), Some(120), "an hour ago");
        assert_eq!(store.oldest_time(12 * HOUR - 60_000), Some(at(12 * HOUR - 60_000 + 1)));
        let history = store.things.history(1).unwrap();
        assert_eq!(
            history.len(),
            62,
            "an hour of one a minute, the last one of before, and what the clock rounds up"
        );
        // Longer, from now on; shorter, at once.
        store.db.set_retention(Retention::new().time(Duration::from_millis(2 * HOUR))).unwrap();
        for minutes in 181..=240 {
            set(10 * HOUR + minutes * 60_000);
            store.put(minutes as i64);
        }
        store.db.sweep().unwrap();
        assert_eq!(store.things.history(1).unwrap().len(), 62 + 60);
        store.db.set_retention(Retention::new().time(Duration::from_millis(60_000))).unwrap();
        store.db.sweep().unwrap();
        assert_eq!(store.things.history(1).unwrap().len(), 3);
        // Nothing was committed for long: what is there now stays readable as of then.
        set(100 * HOUR);
        store.engine.history().tick();
        store.db.sweep().unwrap();
        assert_eq!((store.n_at(100 * HOUR).unwrap(), store.things.history(1).unwrap().len()), (Some(240), 1));
    }

    /// Changed from the one to the other and back: in between nothing goes.
    #[test]
    fn what_either_keeps_stays() {
        static NOW: AtomicU64 = AtomicU64::new(0);
        let (by_bytes, by_time) =
            (Retention::new().bytes(1 << 20), Retention::new().time(Duration::from_millis(HOUR)));
        let store = Clocked::open(|| NOW.load(Ordering::Relaxed), by_bytes); // Relaxed: one thread
        for n in 0..500 {
            NOW.store(n * 1_000, Ordering::Relaxed); // Relaxed: as above
            store.db.set_retention(if n % 2 == 0 { by_time } else { by_bytes }).unwrap();
            store.put(n as i64);
        }
        store.db.sweep().unwrap();
        assert_eq!(store.things.history(1).unwrap().len(), 500);
        let both = Retention { bytes: 1 << 20, ..by_time };
        store.db.set_retention(both).unwrap();
        NOW.store(9 * HOUR, Ordering::Relaxed); // Relaxed: as above
        store.put(500);
        store.db.sweep().unwrap();
        assert_eq!(store.things.history(1).unwrap().len(), 501, "old, and within the bytes");
    }
}
