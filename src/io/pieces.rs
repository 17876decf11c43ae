//! A large transfer in pieces, several of them in flight at once, in whatever order they come back.
//!
//! What a completion means is decided here, away from the ring and without unsafe code: the rest of a short piece
//! and an interrupted one are submitted again; the first real failure stops further submissions; and the transfer
//! returns, failed or not, only when nothing is in flight, for until then the kernel uses the buffers.

use std::io;

/// A part of a transfer; `start` is relative to where the transfer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) len: usize,
}

/// Where pieces are submitted and completions come from: a ring, or a test's imitation of one.
pub(super) trait Queue {
    /// Takes a piece, under a slot that comes back with its completion.
    fn submit(&mut self, slot: usize, piece: Piece);

    /// Waits for one of the submitted pieces: its slot, and how many bytes were transferred.
    fn wait(&mut self) -> (usize, io::Result<usize>);
}

/// Why a transfer failed, and where, relative to its beginning.
#[derive(Debug)]
pub(super) struct TransferError {
    pub(super) start: u64,
    pub(super) source: io::Error,
}

/// Transfers `bytes` in pieces of at most `piece_len`, `DEPTH` of them in flight.
pub(super) fn transfer<const DEPTH: usize>(
    queue: &mut impl Queue,
    bytes: u64,
    piece_len: usize,
) -> Result<(), TransferError> {
    let mut slots: [Option<Piece>; DEPTH] = [None; DEPTH];
    let mut next = 0;
    let mut failure = None;
    loop {
        while let Some(slot) = slots.iter().position(Option::is_none)
            && next < bytes
            && failure.is_none()
        {
            let piece = Piece { start: next, len: (bytes - next).min(piece_len as u64) as usize };
            next += piece.len as u64;
            slots[slot] = Some(piece);
            queue.submit(slot, piece);
        }
        if slots.iter().all(Option::is_none) {
            return failure.map_or(Ok(()), Err);
        }
        let (slot, result) = queue.wait();
        let piece = slots[slot].take().expect("only what was submitted completes, and once");
        match rest_of(piece, result) {
            Ok(None) => {}
            Ok(Some(rest)) if failure.is_none() => {
                slots[slot] = Some(rest);
                queue.submit(slot, rest);
            }
            // Something failed already: the rest is not worth transferring.
            Ok(Some(_)) => {}
            Err(source) => failure = failure.or(Some(TransferError { start: piece.start, source })),
        }
    }
}

/// What is left to do of a piece after its completion.
fn rest_of(piece: Piece, result: io::Result<usize>) -> io::Result<Option<Piece>> {
    match result {
        Ok(0) => {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the system transferred none of the bytes"))
        }
        Ok(count) => {
            assert!(count <= piece.len, "the system transferred {count} bytes of {}", piece.len);
            let rest = Piece { start: piece.start + count as u64, len: piece.len - count };
            Ok((rest.len > 0).then_some(rest))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
            Ok(Some(piece))
        }
        Err(error) => Err(error),
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const DEPTH: usize = 4;

    /// A ring that completes at random: late, in any order, short, interrupted; and fails a byte when told to.
    struct RandomQueue {
        random: fastrand::Rng,
        in_flight: BTreeMap<usize, Piece>,
        in_flight_max: usize,
        times_transferred: Vec<u8>,
        failing_byte: Option<u64>,
        submitted_after_failure: Option<usize>,
    }

    impl RandomQueue {
        fn new(seed: u64, bytes: usize, failing_byte: Option<u64>) -> RandomQueue {
            RandomQueue {
                random: fastrand::Rng::with_seed(seed),
                in_flight: BTreeMap::new(),
                in_flight_max: 0,
                times_transferred: vec![0; bytes],
                failing_byte,
                submitted_after_failure: None,
            }
        }
    }

    impl Queue for RandomQueue {
        fn submit(&mut self, slot: usize, piece: Piece) {
            assert!(piece.len > 0 && slot < DEPTH);
            assert_eq!(self.in_flight.insert(slot, piece), None, "a slot is used once at a time");
            self.in_flight_max = self.in_flight_max.max(self.in_flight.len());
            if let Some(count) = &mut self.submitted_after_failure {
                *count += 1;
            }
        }

        fn wait(&mut self) -> (usize, io::Result<usize>) {
            let slot = *self.random.choice(self.in_flight.keys()).expect("nobody waits for nothing");
            let piece = self.in_flight.remove(&slot).unwrap();
            let range = piece.start..piece.start + piece.len as u64;
            if self.failing_byte.is_some_and(|byte| range.contains(&byte)) {
                self.submitted_after_failure.get_or_insert(0);
                return (slot, Err(io::Error::from_raw_os_error(libc::EIO)));
            }
            let count = match self.random.u8(0..8) {
                0 => return (slot, Err(io::Error::from_raw_os_error(libc::EINTR))),
                1 => return (slot, Err(io::Error::from_raw_os_error(libc::EAGAIN))),
                2 | 3 => self.random.usize(1..=piece.len),
                _ => piece.len,
            };
            for time in &mut self.times_transferred[piece.start as usize..][..count] {
                *time += 1;
            }
            (slot, Ok(count))
        }
    }

    #[test]
    fn each_byte_is_transferred_once_whatever_the_order_and_length_of_completions() {
        for seed in 0..500 {
            let bytes = seed as usize * 7 % 1000;
            let mut queue = RandomQueue::new(seed, bytes, None);
            transfer::<DEPTH>(&mut queue, bytes as u64, 64).unwrap();
            assert!(queue.times_transferred.iter().all(|&times| times == 1), "seed {seed}");
            assert!(queue.in_flight.is_empty(), "seed {seed}");
            assert_eq!(queue.in_flight_max, DEPTH.min(bytes.div_ceil(64)), "seed {seed}");
        }
    }

    #[test]
    fn a_failure_stops_submissions_and_waits_for_what_is_in_flight() {
        for seed in 0..500 {
            let failing = seed * 13 % 1000;
            let mut queue = RandomQueue::new(seed, 1000, Some(failing));
            let error = transfer::<DEPTH>(&mut queue, 1000, 64).unwrap_err();
            assert_eq!(error.source.raw_os_error(), Some(libc::EIO), "seed {seed}");
            assert!(error.start <= failing && failing < error.start + 64, "seed {seed}");
            assert!(queue.in_flight.is_empty(), "seed {seed}");
            assert_eq!(queue.submitted_after_failure, Some(0), "seed {seed}");
        }
    }

    #[test]
    fn a_piece_without_progress_is_an_error() {
        struct Stuck;
        impl Queue for Stuck {
            fn submit(&mut self, _: usize, _: Piece) {}
            fn wait(&mut self) -> (usize, io::Result<usize>) {
                (0, Ok(0))
            }
        }
        let error = transfer::<1>(&mut Stuck, 10, 64).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::UnexpectedEof);
    }
}
