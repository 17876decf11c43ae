//! What the log of an open store still says of a keyspace: also from before the last checkpoint, and from before the store was opened.
//!
//! No checkpoint is taken while it is read: what is there stays.

use super::Engine;
use super::history::marks_before;
use crate::log::clock;
use crate::log::frame::{Header, Kind};
use crate::log::reader::{self, Frames, LogError, Start};
use crate::log::segment::Segments;
use crate::log::streams::{self, Streams};
use crate::lsn::Lsn;
use std::time::SystemTime;

/// A write in the log.
pub(crate) struct Logged<'a> {
    pub(crate) position: Lsn,
    /// What the last mark before it says what time it was.
    pub(crate) noted: Option<SystemTime>,
    pub(crate) key: &'a [u8],
    /// None if it deletes.
    pub(crate) value: Option<&'a [u8]>,
}

impl Engine {
    /// Hands out the writes to a keyspace that the log holds, in the order of their commits. Returns from where on it was read; none in memory.
    pub(crate) fn read_logged(
        &self,
        space: u32,
        each: &mut dyn FnMut(Logged<'_>),
    ) -> Result<Option<Lsn>, LogError> {
        let Some(disk) = &self.disk else { return Ok(None) };
        disk.checkpointer.with_kept(|_, _| {
            let (segments, end) = (disk.log.segments(), disk.log.end());
            disk.log.wait_durable(end)?;
            let Some(start) = disk.log.first_frame()? else { return Ok(Some(end)) };
            let mut reading = Reading::new(segments, start);
            reader::read_until(segments, start, end, &mut |frames| reading.frames(frames, space, each))?;
            Ok(Some(start.lsn))
        })
    }

    /// The position by which everything was committed that the log knows of as committed by a time; none if it says nothing of that, or in memory. Reads all of the
    /// log.
    pub(crate) fn logged_position_by(&self, time: SystemTime) -> Option<Lsn> {
        let disk = self.disk.as_ref()?;
        let end = disk.log.durable();
        let marks = disk.checkpointer.with_kept(|_, _| marks_before(&disk.log, end));
        let by = marks.partition_point(|mark| mark.time <= clock::millis(time));
        Some(marks[by.checked_sub(1)?].position)
    }
}

struct Reading<'a> {
    segments: &'a Segments,
    streams: Streams<'a>,
    noted: Option<SystemTime>,
    /// What belongs to the commits that are being read is in the log from its beginning on: before the first session begins, chunks may be cut off.
    is_whole: bool,
}

impl<'a> Reading<'a> {
    fn new(segments: &'a Segments, start: Start) -> Reading<'a> {
        let streams = Streams::new(segments, start, start.lsn);
        Reading { segments, streams, noted: None, is_whole: false }
    }

    fn frames(
        &mut self,
        frames: &Frames<'_>,
        space: u32,
        each: &mut dyn FnMut(Logged<'_>),
    ) -> Result<(), LogError> {
        let mut headers = frames.headers.iter().peekable();
        for (position, stream) in self.streams.read_each(frames) {
            while let Some(header) = headers.next_if(|header| header.lsn < position) {
                self.pass(frames, header)?;
            }
            let stream = match stream {
                Err(LogError::Senseless { .. }) if !self.is_whole => continue,
                stream => stream?,
            };
            let noted = self.noted;
            streams::decode(self.segments, position, &stream, |write| {
                if write.space == space {
                    each(Logged { position, noted, key: write.key, value: write.value });
                }
            })?;
        }
        headers.try_for_each(|header| self.pass(frames, header))
    }

    fn pass(&mut self, frames: &Frames<'_>, header: &Header) -> Result<(), LogError> {
        match header.kind {
            Kind::Time => {
                let time = streams::read_time(self.segments, frames, header)?;
                self.noted = Some(clock::system_time(time));
            }
            Kind::Open => self.is_whole = true,
            Kind::Commit | Kind::Chunk | Kind::Void | Kind::Close => {}
        }
        Ok(())
    }
}
