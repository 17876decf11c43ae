//! What time it was: marks in the log, so that a moment can be found in it.
//!
//! A commit carries no time. A mark says when everything below it was committed by: its position is taken first, and the clock read after. Marks never
//! go back, whatever the system's clock does: while that is set back they repeat the last time.

use crate::format::Cursor;
use crate::lsn::Lsn;
use crate::sync::{Mutex, lock};
use std::time::{Duration, SystemTime};

/// Milliseconds since 1970.
pub(crate) type Millis = u64;

/// Where a store takes the time from.
pub(crate) type Clock = fn() -> Millis;

/// What the system's clock says.
pub(crate) fn system() -> Millis {
    millis(SystemTime::now())
}

/// In milliseconds, as far as they reach.
pub(crate) fn millis(time: SystemTime) -> Millis {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// The same as the system has it; what is beyond its times is 1970.
pub(crate) fn system_time(time: Millis) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(time)).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The payload of a mark.
pub(crate) const MARK_BYTES: usize = size_of::<Millis>();

pub(crate) fn encode(time: Millis) -> [u8; MARK_BYTES] {
    time.to_le_bytes()
}

pub(crate) fn decode(payload: &[u8]) -> Option<Millis> {
    let mut cursor = Cursor::new(payload);
    let time = cursor.u64()?;
    cursor.is_empty().then_some(time)
}

/// The marks of an open log.
pub(crate) struct Marks {
    clock: Clock,
    /// Held while a mark is made.
    last: Mutex<Last>,
}

struct Last {
    time: Millis,
    /// Where the last mark of this session ended.
    end: Option<Lsn>,
    /// Nothing is to come behind the frame that closes the log.
    closed: bool,
}

impl Marks {
    /// Goes on after what the log and its checkpoint say.
    pub(crate) fn after(last: Millis, clock: Clock) -> Marks {
        Marks { clock, last: Mutex::new(Last { time: last, end: None, closed: false }) }
    }

    /// What time it is; never before what was said last.
    pub(crate) fn now(&self) -> Millis {
        lock(&self.last).tick(self.clock)
    }

    /// The last time that was said.
    pub(crate) fn last(&self) -> Millis {
        lock(&self.last).time
    }

    /// Has `write` make a mark, unless the last one is where the log ends, or the log is closed. `write` is handed what gives the time, to be asked
    /// after the position was taken, and returns where the mark ended.
    pub(crate) fn make<E>(
        &self,
        log_end: Lsn,
        write: impl FnOnce(&mut dyn FnMut() -> Millis) -> Result<Lsn, E>,
    ) -> Result<(), E> {
        let mut last = lock(&self.last);
        if !last.closed && last.end != Some(log_end) {
            let end = write(&mut || last.tick(self.clock))?;
            last.end = Some(end);
        }
        Ok(())
    }

    /// From now on no mark is made.
    pub(crate) fn close(&self) {
        lock(&self.last).closed = true;
    }
}

impl Last {
    fn tick(&mut self, clock: Clock) -> Millis {
        self.time = self.time.max(clock());
        self.time
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU64, Ordering};

    static NOW: AtomicU64 = AtomicU64::new(0);

    #[test]
    fn marks_never_go_back_and_are_made_when_the_log_has_grown() {
        // Relaxed: one thread.
        let marks = Marks::after(70, || NOW.load(Ordering::Relaxed));
        let made = |log_end: u64| {
            let mut made = None;
            let Ok(()) = marks.make(Lsn::new(log_end), |time| {
                made = Some(time());
                Ok::<_, Infallible>(Lsn::new(log_end + 40))
            });
            made
        };
        assert_eq!(made(32), Some(70), "the clock was set back since the last session");
        assert_eq!(made(32 + 40), None, "nothing came since");
        NOW.store(80, Ordering::Relaxed); // as above
        assert_eq!((marks.last(), made(200), marks.last()), (70, Some(80), 80));
        NOW.store(60, Ordering::Relaxed); // as above
        assert_eq!((made(400), marks.now()), (Some(80), 80));
        marks.close();
        assert_eq!(made(600), None);
    }

    #[test]
    fn a_payload_of_another_length_is_none() {
        assert_eq!(decode(&encode(1 << 40)), Some(1 << 40));
        assert_eq!((decode(&[0; 7]), decode(&[0; 9])), (None, None));
    }
}
