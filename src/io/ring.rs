//! A small io_uring: large reads, large writes and zero filling, several pieces in flight.
//!
//! The kernel uses the buffers until it has posted their completions. Each call here therefore borrows its buffer and
//! its file until nothing is in flight any more, also when something failed or panicked.
//!
//! If the kernel refuses to be entered (which no sound program sees) the ring is broken for good: what it has taken
//! is waited for, what it has not taken is never submitted, and every call reports the refusal.

use super::BLOCK;
use super::pieces::{self, Piece, Queue, TransferError};
use io_uring::{IoUring, Probe, opcode, squeue, types};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// One piece of a transfer.
pub(super) const PIECE_BYTES: usize = 256 * BLOCK;
/// Pieces in flight at once.
const DEPTH: usize = 4;
/// How often a broken ring is looked at while the kernel finishes what it had taken.
const BROKEN_POLL: Duration = Duration::from_millis(1);

/// A submission and completion queue shared with the kernel.
pub(super) struct Ring {
    ring: IoUring,
    /// Why the kernel refused to be entered (an `errno`).
    broken: Option<i32>,
}

impl Ring {
    /// Makes a ring; fails where the kernel has no io_uring, forbids it, or lacks what is used of it.
    pub(super) fn new() -> io::Result<Ring> {
        let ring = IoUring::new(DEPTH as u32)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if probe.is_supported(opcode::Read::CODE) && probe.is_supported(opcode::Write::CODE) {
            return Ok(Ring { ring, broken: None });
        }
        Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel's io_uring can neither read nor write"))
    }

    /// Fills `buf` from `offset`.
    pub(super) fn read(&mut self, file: &File, offset: u64, buf: &mut [u8]) -> Result<(), TransferError> {
        let bytes = buf.len() as u64;
        let fd = types::Fd(file.as_raw_fd());
        let start = buf.as_mut_ptr();
        self.run(bytes, |piece| {
            // No more than `buf` is long, and no two pieces overlap.
            let into = start.wrapping_add(piece.start as usize);
            opcode::Read::new(fd, into, piece.len as u32).offset(offset + piece.start).build()
        })
    }

    /// Writes `bytes` zeros from the start of the file; they are not durable yet. `zeros` holds one piece.
    pub(super) fn write_zeros(&mut self, file: &File, bytes: u64, zeros: &[u8]) -> Result<(), TransferError> {
        assert_eq!(zeros.len(), PIECE_BYTES, "one piece of zeros serves all");
        self.write_pieces(file, 0, bytes, |piece| &zeros[..piece.len])
    }

    /// Writes `bytes` from `offset`; they are not durable yet.
    pub(super) fn write(&mut self, file: &File, offset: u64, bytes: &[u8]) -> Result<(), TransferError> {
        self.write_pieces(file, offset, bytes.len() as u64, |piece| {
            &bytes[piece.start as usize..][..piece.len]
        })
    }

    /// Writes `bytes` from `offset`, each piece with what `contents` has for it.
    fn write_pieces<'a>(
        &mut self,
        file: &File,
        offset: u64,
        bytes: u64,
        contents: impl Fn(Piece) -> &'a [u8],
    ) -> Result<(), TransferError> {
        let fd = types::Fd(file.as_raw_fd());
        self.run(bytes, |piece| {
            let from = contents(piece);
            opcode::Write::new(fd, from.as_ptr(), from.len() as u32).offset(offset + piece.start).build()
        })
    }

    /// Transfers `bytes` with the entries that `entry` makes, whose buffers and files outlive this call: it returns,
    /// or unwinds, when the kernel has done with all of them.
    fn run(&mut self, bytes: u64, entry: impl Fn(Piece) -> squeue::Entry) -> Result<(), TransferError> {
        let mut in_flight = InFlight { ring: self, entry, unsubmitted: VecDeque::new(), submitted: 0 };
        pieces::transfer::<DEPTH>(&mut in_flight, bytes, PIECE_BYTES)
    }
}

/// What the kernel is working on during one transfer. Dropping it waits for that.
struct InFlight<'a, E: Fn(Piece) -> squeue::Entry> {
    ring: &'a mut Ring,
    entry: E,
    /// Slots whose entries are in the queue but not taken by the kernel yet, in the order of the queue.
    unsubmitted: VecDeque<usize>,
    /// How many the kernel has taken and not completed.
    submitted: usize,
}

impl<E: Fn(Piece) -> squeue::Entry> InFlight<'_, E> {
    fn next_completion(&mut self) -> Option<(usize, io::Result<usize>)> {
        let completion = self.ring.ring.completion().next()?;
        self.submitted = self.submitted.checked_sub(1).expect("only what was submitted completes");
        let result = usize::try_from(completion.result())
            .map_err(|_| io::Error::from_raw_os_error(-completion.result()));
        Some((completion.user_data() as usize, result))
    }

    /// Hands over what is queued and waits for a completion.
    fn enter(&mut self) {
        match self.ring.ring.submit_and_wait(1) {
            Ok(taken) => {
                self.unsubmitted.drain(..taken);
                self.submitted += taken;
            }
            // Nothing was taken: again.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY)) => {}
            Err(error) => self.ring.broken = Some(error.raw_os_error().unwrap_or(libc::EIO)),
        }
    }
}

impl<E: Fn(Piece) -> squeue::Entry> Queue for InFlight<'_, E> {
    fn submit(&mut self, slot: usize, piece: Piece) {
        assert!(piece.len <= PIECE_BYTES, "an entry's length fits its field");
        self.unsubmitted.push_back(slot);
        if self.ring.broken.is_some() {
            return;
        }
        let entry = (self.entry)(piece).user_data(slot as u64);
        // SAFETY: the entry's file and buffer are borrowed by the caller of `Ring::run` until that returns or
        // unwinds, and `drop` below does not let it before the kernel has completed every entry it has taken.
        // Entries that it has not taken are never submitted later: a ring leaves entries behind only when broken.
        let pushed = unsafe { self.ring.ring.submission().push(&entry) };
        pushed.expect("the queue has room for as many pieces as are in flight");
    }

    fn wait(&mut self) -> (usize, io::Result<usize>) {
        loop {
            if let Some(completion) = self.next_completion() {
                return completion;
            }
            let Some(errno) = self.ring.broken else {
                self.enter();
                continue;
            };
            if let Some(slot) = self.unsubmitted.pop_front() {
                return (slot, Err(io::Error::from_raw_os_error(errno)));
            }
            assert!(self.submitted > 0, "nobody waits for nothing");
            crate::sync::nap(BROKEN_POLL);
        }
    }
}

impl<E: Fn(Piece) -> squeue::Entry> Drop for InFlight<'_, E> {
    fn drop(&mut self) {
        // Both are empty unless a panic cut the transfer short. Then the queue may hold entries that must never be
        // submitted, so the ring is not used again.
        if !self.unsubmitted.is_empty() {
            self.ring.broken.get_or_insert(libc::ECANCELED);
        }
        while self.submitted > 0 {
            if self.next_completion().is_none() {
                crate::sync::nap(BROKEN_POLL);
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::io::contract::pattern;
    use std::io::Write;

    #[test]
    fn reads_a_file_that_needs_many_pieces() {
        let mut file = tempfile::tempfile().unwrap();
        let expected = pattern(11 * PIECE_BYTES + 777);
        file.write_all(&expected).unwrap();
        let mut found = vec![0; expected.len() - 5];
        Ring::new().unwrap().read(&file, 5, &mut found).unwrap();
        assert!(found == expected[5..]);
    }

    #[test]
    fn a_read_beyond_the_end_fails_and_the_ring_goes_on() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&pattern(3 * PIECE_BYTES)).unwrap();
        let mut ring = Ring::new().unwrap();
        let error = ring.read(&file, 0, &mut vec![0; 9 * PIECE_BYTES]).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.start >= 3 * PIECE_BYTES as u64);
        ring.read(&file, 0, &mut vec![0; 3 * PIECE_BYTES]).unwrap();
    }

    #[test]
    fn writes_many_pieces_and_nothing_around_them() {
        let mut file = tempfile::tempfile().unwrap();
        let written = pattern(9 * PIECE_BYTES + 777);
        let bytes = written.len() + 2 * BLOCK;
        file.write_all(&vec![0xEE; bytes]).unwrap();
        let mut ring = Ring::new().unwrap();
        ring.write(&file, BLOCK as u64, &written).unwrap();
        let mut found = vec![1; bytes];
        ring.read(&file, 0, &mut found).unwrap();
        assert!(found[BLOCK..bytes - BLOCK] == written[..]);
        assert!(found[..BLOCK].iter().chain(&found[bytes - BLOCK..]).all(|&byte| byte == 0xEE));
    }

    #[test]
    fn writes_zeros_over_everything() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes = 6 * PIECE_BYTES + BLOCK;
        file.write_all(&vec![0xEE; bytes]).unwrap();
        let mut ring = Ring::new().unwrap();
        ring.write_zeros(&file, bytes as u64, &vec![0; PIECE_BYTES]).unwrap();
        let mut found = vec![1; bytes];
        ring.read(&file, 0, &mut found).unwrap();
        assert!(found.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn an_error_of_the_file_is_reported() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let read_only = File::open(path.path()).unwrap();
        let zeros = vec![0; PIECE_BYTES];
        let mut ring = Ring::new().unwrap();
        for result in [
            ring.write_zeros(&read_only, 1 << 23, &zeros),
            ring.write(&read_only, 0, &vec![1; 5 * PIECE_BYTES]),
        ] {
            assert_eq!(result.unwrap_err().source.raw_os_error(), Some(libc::EBADF));
        }
    }

    #[test]
    fn a_panic_in_the_middle_waits_for_the_kernel_and_retires_the_ring() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&pattern(8 * PIECE_BYTES)).unwrap();
        let mut ring = Ring::new().unwrap();
        let mut buf = vec![0; 8 * PIECE_BYTES];
        let (fd, start) = (types::Fd(file.as_raw_fd()), buf.as_mut_ptr());
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            ring.run(8 * PIECE_BYTES as u64, |piece| {
                assert!(piece.start < 6 * PIECE_BYTES as u64, "planted");
                let into = start.wrapping_add(piece.start as usize);
                opcode::Read::new(fd, into, piece.len as u32).offset(piece.start).build()
            })
        }));
        assert!(unwound.is_err());
        let error = ring.read(&file, 0, &mut buf).unwrap_err();
        assert_eq!(error.source.raw_os_error(), Some(libc::ECANCELED));
    }
}
