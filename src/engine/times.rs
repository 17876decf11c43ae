//! A small table of times and positions: what was committed by when. Pure.
//!
//! A mark says that everything below its position was committed before its time. Marks ascend in both. What lies between two of them is not told
//! apart, so there may be few: beyond [`MARKS_MAX`] they are thinned, and what is long ago is known the less exactly.

use crate::log::clock::Millis;
use crate::lsn::Lsn;

/// So many marks are kept at most: two hours of one a second, before they are thinned.
const MARKS_MAX: usize = 8192;
/// What is thinned is known to so small a part of its age: to 7 seconds after an hour, 3 minutes after a day, 20 after a week. A year of that fits.
const PARTS_OF_AGE: Millis = 512;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    pub(super) position: Lsn,
    pub(super) time: Millis,
}

/// See the module. There is always a mark.
pub(super) struct Times(Vec<Mark>);

impl Times {
    pub(super) fn beginning(first: Mark) -> Times {
        Times(vec![first])
    }

    /// Adds a mark, unless nothing was committed since the last one. One of the same time takes its place.
    pub(super) fn note(&mut self, mark: Mark) {
        let last = self.0.last_mut().expect("there is always a mark");
        debug_assert!(last.position <= mark.position && last.time <= mark.time);
        if last.position == mark.position {
            return;
        }
        if last.time == mark.time {
            last.position = mark.position;
        } else {
            self.0.push(mark);
            self.thin();
        }
    }

    /// Puts marks in front that were found later. None of them is after the first one here, whatever it says.
    pub(super) fn put_before(&mut self, mut older: Vec<Mark>) {
        let first = self.0[0];
        older.retain(|mark| mark.position < first.position);
        older.iter_mut().for_each(|mark| mark.time = mark.time.min(first.time));
        self.0.splice(..0, older);
        self.thin();
    }

    /// The position of the last mark by a time.
    pub(super) fn position_by(&self, time: Millis) -> Option<Lsn> {
        let after = self.0.partition_point(|mark| mark.time <= time);
        Some(self.0[after.checked_sub(1)?].position)
    }

    /// The time of the first mark at a position or behind it.
    pub(super) fn time_of(&self, position: Lsn) -> Option<Millis> {
        let first = self.0.partition_point(|mark| mark.position < position);
        self.0.get(first).map(|mark| mark.time)
    }

    /// The position of the first mark.
    pub(super) fn first(&self) -> Lsn {
        self.0[0].position
    }

    /// Drops the marks below a position, but for the last of them.
    pub(super) fn forget_before(&mut self, position: Lsn) {
        let below = self.0.partition_point(|mark| mark.position < position);
        self.0.drain(..below.saturating_sub(1));
    }

    /// Drops marks that are nearer to the one before than a small part of their age. The first and the last stay.
    fn thin(&mut self) {
        let (mut parts, newest) = (PARTS_OF_AGE, self.0.last().map_or(0, |mark| mark.time));
        while self.0.len() > MARKS_MAX {
            let mut before: Option<Millis> = None;
            self.0.retain(|mark| {
                let far = |before| mark.time - before >= (newest - mark.time).div_ceil(parts);
                let stays = before.is_none_or(far);
                before = before.filter(|_| !stays).or(Some(mark.time));
                stays
            });
            parts /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(position: u64, time: Millis) -> Mark {
        Mark { position: Lsn::new(position * 8), time }
    }

    fn by(times: &Times, time: Millis) -> Option<u64> {
        times.position_by(time).map(|position| position.get() / 8)
    }

    #[test]
    fn the_last_mark_by_a_time_counts() {
        let mut times = Times::beginning(mark(1, 10));
        times.note(mark(1, 15)); // nothing was committed
        times.note(mark(2, 20));
        times.note(mark(4, 20)); // the clock stood still
        times.note(mark(7, 30));
        for (time, position) in
            [(9, None), (10, Some(1)), (19, Some(1)), (20, Some(4)), (29, Some(4)), (99, Some(7))]
        {
            assert_eq!(by(&times, time), position, "by {time}");
        }
        for (position, time) in [(0, Some(10)), (1, Some(10)), (2, Some(20)), (5, Some(30)), (8, None)] {
            assert_eq!(times.time_of(Lsn::new(position * 8)), time, "at {position}");
        }
    }

    #[test]
    fn what_is_forgotten_is_below_the_last_mark_that_counts() {
        let mut times = Times::beginning(mark(1, 10));
        (2..6).for_each(|n| times.note(mark(n, n * 10)));
        times.forget_before(Lsn::new(4 * 8));
        assert_eq!((times.first(), by(&times, 29), by(&times, 30)), (Lsn::new(24), None, Some(3)));
        times.forget_before(Lsn::new(100 * 8));
        assert_eq!((times.0.len(), by(&times, 50)), (1, Some(5)));
    }

    #[test]
    fn older_marks_come_in_front_and_never_after_what_is_there() {
        let mut times = Times::beginning(mark(5, 50));
        times.put_before(vec![mark(1, 10), mark(3, 70), mark(5, 60), mark(9, 20)]);
        assert_eq!(times.0, [mark(1, 10), mark(3, 50), mark(5, 50)]);
    }

    #[test]
    fn what_is_older_is_known_the_less_exactly() {
        const SECOND: Millis = 1_000;
        let mut times = Times::beginning(mark(1, SECOND));
        let week = 7 * 24 * 3_600;
        (2..=week).for_each(|n| times.note(mark(n, n * SECOND)));
        assert!(times.0.len() <= MARKS_MAX && times.first() == Lsn::new(8));
        assert!(times.0.is_sorted_by(|a, b| a.position < b.position && a.time < b.time));
        for age in [0, 1, 60, 300, 3_600, 86_400, 6 * 86_400] {
            let (at, late) = (week - age, age / 200 + 1);
            let found = by(&times, at * SECOND).expect("it is behind the first");
            assert!((at - late..=at).contains(&found), "{age} s ago: {} s before that", at - found);
        }
    }

    #[test]
    fn a_clock_that_hardly_moves_makes_no_more_marks() {
        let mut times = Times::beginning(mark(1, 1));
        (2..=10 * MARKS_MAX as u64).for_each(|n| times.note(mark(n, n)));
        assert!(times.0.len() <= MARKS_MAX && times.first() == Lsn::new(8));
    }
}
