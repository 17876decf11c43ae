//! Reads a damaged log: what is whole before, between and behind the places that are not.
//!
//! Behind such a place the next whole frame of the same session or a later one is looked for, and reading goes on there. What is between is a
//! [`Gap`]. A torn end is none: nothing behind it is whole.

use super::frame::{Header, Kind, SessionNumber};
use super::reader::{End, LogError, Next, Start, Visit, Window, damaged, is_later, read_frames};
use super::seal::{Salt, Session};
use super::segment::Segments;
use crate::lsn::Lsn;

/// Positions that were in the log, and cannot be read.
#[derive(Debug)]
pub(crate) struct Gap {
    pub(crate) from: Lsn,
    /// Where reading goes on; none if it ends there.
    pub(crate) to: Option<Lsn>,
    pub(crate) why: Why,
}

/// What proves a gap.
#[derive(Debug)]
pub(crate) enum Why {
    /// A place holds no frame, and one behind it does.
    Damaged(LogError),
    /// The segment must have been there.
    MissingSegment(u64),
}

/// Reads from `start` to the end or to `limit`, whatever is in between; `gap` gets what cannot be read.
pub(crate) fn read_on(
    segments: &Segments,
    start: Start,
    limit: Option<Lsn>,
    visit: Visit<'_>,
    mut gap: impl FnMut(Gap),
) -> Result<End, LogError> {
    let mut end = start.end();
    loop {
        let mut window = Window::growing(segments, end.lsn, limit);
        let (next, changed) = match read_frames(&mut window, &mut end, visit) {
            // About one frame, which somebody changed: what is before it was read.
            Err(error @ LogError::Unauthentic { .. }) => (Next::Ends, Some(error)),
            Err(error) => return Err(error),
            Ok(next) => (next, None),
        };
        if limit == Some(end.lsn) {
            return Ok(end);
        }
        let was_changed = changed.is_some();
        let damage = |end: &End| changed.unwrap_or_else(|| damaged(segments, end.lsn));
        let missing = if limit.is_none() && !was_changed { window.missing_segment(next) } else { None };
        let behind_changed = was_changed.then(|| window.end_of_frame(end.lsn)).flatten();
        let found = whole_frame(segments, end.lsn.plus(Lsn::ALIGN), &end, (limit, behind_changed))?;
        if let Some(header) = &found {
            let why = missing.map_or_else(|| Why::Damaged(damage(&end)), Why::MissingSegment);
            gap(Gap { from: end.lsn, to: Some(header.lsn), why });
            (end.lsn, end.session) = (header.lsn, Some(session_before(header, end.session)));
            continue;
        }
        match missing {
            Some(index) => gap(Gap { from: end.lsn, to: None, why: Why::MissingSegment(index) }),
            None if limit.is_some() || was_changed => {
                gap(Gap { from: end.lsn, to: None, why: Why::Damaged(damage(&end)) });
            }
            None => end.cut_bytes = bytes_behind(segments, end.lsn)?,
        }
        return Ok(end);
    }
}

/// Where reading begins if nobody knows: at the first whole frame; of an encrypted log at the first one whose session begins there, or is `known`.
pub(crate) fn first_frame(segments: &Segments, known: &[Session]) -> Result<Option<Start>, LogError> {
    let session = |header: &Header| known.iter().find(|known| known.number == header.session).copied();
    let readable = |header: &Header| is_readable(segments, header, session(header));
    let found = scan(segments, Lsn::ZERO, None, |window| window.first_whole(readable))?;
    Ok(found.map(|found| Start { lsn: found.lsn, session: Some(session_before(&found, session(&found))) }))
}

/// The session after which a frame can come, if `last` is the last one that is known.
fn session_before(header: &Header, last: Option<Session>) -> Session {
    let number = match header.kind {
        Kind::Open => SessionNumber(header.session.0.wrapping_sub(1)),
        _ => header.session,
    };
    let known = last.filter(|last| last.number == number);
    known.unwrap_or(Session { number, salt: Salt::NONE })
}

/// Whether reading can go on at a frame: in an encrypted store only with the salt of its session, which its first frame says.
fn is_readable(segments: &Segments, header: &Header, last: Option<Session>) -> bool {
    let is_known = || last.is_some_and(|last| last.number == header.session);
    segments.keys().is_none() || header.kind == Kind::Open || is_known()
}

/// The first whole frame from `from` on, if the log's end is none.
///
/// That is proved by a frame which says that the end was durable; by a `limit`, below which all is; and by a frame that begins right behind one that was
/// changed, and was whole before that.
fn whole_frame(
    segments: &Segments,
    from: Lsn,
    end: &End,
    (limit, behind_changed): (Option<Lsn>, Option<Lsn>),
) -> Result<Option<Header>, LogError> {
    // Without proof it may have been in flight, behind a torn end, and nothing depends on it.
    let (mut first, mut is_proved) = (None::<Header>, end.session.is_none() || limit.is_some());
    let last = end.session.map(|session| session.number);
    let later = |header: &Header| is_later(last, header.session);
    let readable = |header: &Header| later(header) && is_readable(segments, header, end.session);
    scan(segments, from, limit, |window| {
        first = first.take().or_else(|| window.first_whole(readable));
        is_proved |= first.as_ref().is_some_and(|first| Some(first.lsn) == behind_changed)
            || window.first_whole(|header| later(header) && header.durable > end.lsn).is_some();
        if is_proved { first.take() } else { None }
    })
}

/// The first whole frame of all, whether it can be read or not.
pub(crate) fn first_whole_frame(segments: &Segments) -> Result<Option<Lsn>, LogError> {
    scan(segments, Lsn::ZERO, None, |window| window.first_whole(|_| true).map(|header| header.lsn))
}

/// Goes through what is there of the log from `from` on, a part at a time, until `look` has found something.
fn scan<T>(
    segments: &Segments,
    from: Lsn,
    limit: Option<Lsn>,
    mut look: impl FnMut(&Window<'_>) -> Option<T>,
) -> Result<Option<T>, LogError> {
    let (geometry, mut at) = (segments.geometry(), from);
    while let Some(there) = segments.next_from(geometry.index_of(at)) {
        at = at.max(geometry.first(there));
        let mut window = Window::growing(segments, at, limit);
        while window.load()? {
            let found = look(&window);
            if found.is_some() {
                return Ok(found);
            }
            window.keep_tail();
        }
        // A segment that is not there ends the window.
        at = geometry.first(geometry.index_of(window.end().max(at)) + 1).max(at);
    }
    Ok(None)
}

/// How far behind `end` the bytes are not zero.
fn bytes_behind(segments: &Segments, end: Lsn) -> Result<u64, LogError> {
    let mut window = Window::new(segments, end, None);
    let mut bytes = 0;
    while window.load()? {
        bytes = window.last_byte().map_or(bytes, |last| last.get() + 1 - end.get());
        window.drop_before(window.end());
    }
    Ok(bytes)
}
