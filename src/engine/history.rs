//! How long the past of an open store is kept, and what time it was when.
//!
//! The clock's thread notes now and then where the log ends and what time it is, in that order, and says to the store from which position on
//! everything is kept. Who commits reads that position, and nothing else of this: the lock here is taken by the clock's thread, by whoever asks for
//! a time or changes the setting, and by checkpoints.
//!
//! Versions are kept no further back than the store was opened; the log as far back as the setting says. So what the log from before says of times is
//! read once when that is asked for first.

use super::times::{Mark, Times};
use crate::log::clock::{self, Clock, Millis, system_time};
use crate::log::frame::Kind;
use crate::log::resume;
use crate::log::segment::Segments;
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

/// Why a time has no position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoPosition {
    /// It is before all that is known.
    Gone,
    /// It is to come: so late it is.
    ToCome(SystemTime),
}

impl History {
    /// Begins where the store is now, before anybody commits. `opened_at`: where its log ended.
    pub(super) fn begin(store: Arc<Store>, opened_at: Lsn, clock: Clock, retention: Retention) -> History {
        let said = clock();
        // What is there was committed before the store was opened, and so before the clock was asked.
        let times = Times::beginning(Mark { position: store.end().load(), time: said });
        let state = State { retention, said, times, has_older: false };
        let history = History { store, clock, opened_at, state: Mutex::new(state) };
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
    pub(super) fn log_kept_from(&self, segments: &Segments) -> Lsn {
        let wants_older = {
            let state = lock(&self.state);
            state.retention.time > Duration::ZERO && !state.has_older
        };
        // Without the lock: it may take long. Checkpoints, which ask, come one at a time.
        let older = wants_older.then(|| marks_before(segments, self.opened_at));
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
        let kept = self.retention.time;
        let kept_ms = Millis::try_from(kept.as_nanos().div_ceil(1_000_000)).unwrap_or(Millis::MAX);
        (kept > Duration::ZERO).then(|| self.times.position_by(now.checked_sub(kept_ms)?))
    }
}

/// What the log below a position says of times. What cannot be read says nothing.
fn marks_before(segments: &Segments, end: Lsn) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    let Ok(Some(start)) = resume::first_frame(segments) else { return marks };
    if start.lsn >= end {
        return marks;
    }
    let read = resume::read_on(
        segments,
        start,
        Some(end),
        &mut |frames| {
            for header in frames.headers.iter().filter(|header| header.kind == Kind::Time) {
                let time = clock::decode(frames.payload(header));
                let last = marks.last().map_or(0, |last| last.time);
                let mark =
                    |time: Millis| Mark { position: header.lsn, time: time.saturating_add(1).max(last) };
                marks.extend(time.map(mark));
            }
            Ok(())
        },
        |_| {},
    );
    // A disk that fails is noticed by whoever needs the log.
    let _ = read;
    marks
}
