//! The state of a transaction while it commits: one atomic word.
//!
//! ```text
//!   Installing ──► Positioning(t) ──► Committed(lsn)
//!      ▲ │            │   │               ▲
//!      │ │       push │   └► Validating(lsn)        (serializable only)
//!      │ │            ▼          │ push, conflict
//!      │ │         Pushed ◄──────┘
//!      │ ▼            │
//!      │ Aborted ◄────┴── anything undecided: by its owner, or by a writer in its way (kill)
//! ```
//!
//! | move | who | expects |
//! | --- | --- | --- |
//! | `position` | owner | `Installing`, `Pushed` |
//! | `validate` | owner | the `Positioning` it wrote itself |
//! | `commit` | owner | the `Positioning` or `Validating` it wrote itself |
//! | `push` | a reader or validator | the `Positioning` or `Validating` that it saw |
//! | `kill` | a writer, or the owner (abort) | the undecided word that it saw |
//!
//! No word comes back: the log's end has moved on before the owner positions itself again, so a late push or kill
//! meets a different word, and fails or is repeated on the new one. `Committed` and `Aborted` are final.

use crate::lsn::Lsn;
use crate::sync::Canary;
use crate::sync::atomic::{AtomicU64, Ordering};

/// What the word says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Versions are being installed; the position will be at or above every snapshot taken so far.
    Installing,
    /// Somebody whose snapshot came in between took the position away; a later one will be taken.
    Pushed,
    /// Given up; the versions are nobody's.
    Aborted,
    /// All versions are installed, the position is being taken: it is at or above this.
    Positioning(Lsn),
    /// The position is taken, the reads are being validated at it.
    Validating(Lsn),
    /// Committed at this position.
    Committed(Lsn),
}

const TAG_BITS: u64 = 0b111;
const INSTALLING: u64 = 0;
const PUSHED: u64 = 1;
const ABORTED: u64 = 2;
const POSITIONING: u64 = 3;
const VALIDATING: u64 = 4;
const COMMITTED: u64 = 5;
const _: () = assert!(COMMITTED <= TAG_BITS && TAG_BITS < Lsn::ALIGN);

impl Phase {
    fn encode(self) -> u64 {
        match self {
            Phase::Installing => INSTALLING,
            Phase::Pushed => PUSHED,
            Phase::Aborted => ABORTED,
            Phase::Positioning(lsn) => lsn.get() | POSITIONING,
            Phase::Validating(lsn) => lsn.get() | VALIDATING,
            Phase::Committed(lsn) => lsn.get() | COMMITTED,
        }
    }

    fn decode(word: u64) -> Phase {
        let lsn = Lsn::new(word & !TAG_BITS);
        match word & TAG_BITS {
            INSTALLING => Phase::Installing,
            PUSHED => Phase::Pushed,
            ABORTED => Phase::Aborted,
            POSITIONING => Phase::Positioning(lsn),
            VALIDATING => Phase::Validating(lsn),
            COMMITTED => Phase::Committed(lsn),
            tag => unreachable!("no phase has tag {tag}"),
        }
    }

    /// Whether the transaction may still go either way.
    pub(crate) fn is_undecided(self) -> bool {
        !matches!(self, Phase::Aborted | Phase::Committed(_))
    }
}

/// Why an owner's move failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Interrupted {
    /// Take a later position.
    Pushed,
    /// Give up.
    Killed,
}

/// The word. Reached through the stamps of the versions that the transaction installed.
#[repr(align(64))]
pub(crate) struct TxnState {
    word: AtomicU64,
    canary: Canary,
}

impl TxnState {
    pub(crate) fn new() -> TxnState {
        TxnState { word: AtomicU64::new(Phase::Installing.encode()), canary: Canary::new() }
    }

    /// Whether the memory may be used again; in a model it is kept, and a later use is a failure.
    pub(crate) fn retire(&self) -> bool {
        self.canary.poison()
    }

    #[inline]
    pub(crate) fn load(&self) -> Phase {
        // Acquire: pairs with the release of every move; who sees `Committed` sees all versions of the transaction.
        let word = self.word.load(Ordering::Acquire);
        self.canary.check();
        Phase::decode(word)
    }

    fn change(&self, from: Phase, to: Phase) -> Result<(), Phase> {
        let changed = self.word.compare_exchange(
            from.encode(),
            to.encode(),
            Ordering::Release, // pairs with `load`: the versions are installed before the word says more
            Ordering::Acquire, // pairs with the move that came first: a push is acted upon
        );
        self.canary.check();
        changed.map(drop).map_err(Phase::decode)
    }

    fn own_move(&self, from: Phase, to: Phase) -> Result<(), Interrupted> {
        self.change(from, to).map_err(|found| match found {
            Phase::Pushed => Interrupted::Pushed,
            Phase::Aborted => Interrupted::Killed,
            other => unreachable!("{other:?} is the owner's own move"),
        })
    }

    /// Owner: all versions are installed; a position at or above `end` will be taken.
    pub(crate) fn position(&self, end: Lsn) -> Result<(), Interrupted> {
        let to = Phase::Positioning(end);
        match self.own_move(Phase::Installing, to) {
            Err(Interrupted::Pushed) => self.own_move(Phase::Pushed, to),
            done => done,
        }
    }

    /// Owner: the position is taken, the reads are validated at it.
    pub(crate) fn validate(&self, end: Lsn, lsn: Lsn) -> Result<(), Interrupted> {
        self.own_move(Phase::Positioning(end), Phase::Validating(lsn))
    }

    /// Owner: `from` is the word it wrote last.
    pub(crate) fn commit(&self, from: Phase, lsn: Lsn) -> Result<(), Interrupted> {
        debug_assert!(matches!(from, Phase::Positioning(_) | Phase::Validating(_)));
        self.own_move(from, Phase::Committed(lsn))
    }

    /// Makes an owner that is at `seen` take a later position. Returns what is there if that is not `seen` any more.
    pub(crate) fn push(&self, seen: Phase) -> Result<(), Phase> {
        debug_assert!(matches!(seen, Phase::Positioning(_) | Phase::Validating(_)));
        self.change(seen, Phase::Pushed)
    }

    /// Makes a transaction that is at `seen` give up. Returns what is there if that is not `seen` any more.
    pub(crate) fn kill(&self, seen: Phase) -> Result<(), Phase> {
        debug_assert!(seen.is_undecided());
        self.change(seen, Phase::Aborted)
    }

    /// Owner: gives up.
    pub(crate) fn abort(&self) {
        let mut seen = self.load();
        while seen.is_undecided() {
            match self.kill(seen) {
                Ok(()) => return,
                Err(now) => seen = now,
            }
        }
        debug_assert_eq!(seen, Phase::Aborted, "a committed transaction does not give up");
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn every_phase_survives_its_word() {
        let lsn = Lsn::new(0x7fff_ffff_ffff_fff8);
        for phase in [
            Phase::Installing,
            Phase::Pushed,
            Phase::Aborted,
            Phase::Positioning(lsn),
            Phase::Validating(lsn),
            Phase::Committed(lsn),
        ] {
            assert_eq!(Phase::decode(phase.encode()), phase);
        }
    }

    #[test]
    fn a_pushed_owner_takes_a_later_position_and_a_late_push_fails() {
        let (early, late) = (Lsn::new(8), Lsn::new(16));
        let state = TxnState::new();
        state.position(early).unwrap();
        state.push(Phase::Positioning(early)).unwrap();
        assert_eq!(state.commit(Phase::Positioning(early), early), Err(Interrupted::Pushed));
        state.position(late).unwrap();
        assert_eq!(state.push(Phase::Positioning(early)), Err(Phase::Positioning(late)));
        state.commit(Phase::Positioning(late), late).unwrap();
        assert_eq!(state.load(), Phase::Committed(late));
    }

    #[test]
    fn a_killed_owner_cannot_commit() {
        let state = TxnState::new();
        state.position(Lsn::new(8)).unwrap();
        state.kill(Phase::Positioning(Lsn::new(8))).unwrap();
        assert_eq!(state.validate(Lsn::new(8), Lsn::new(8)), Err(Interrupted::Killed));
        state.abort();
        assert_eq!(state.load(), Phase::Aborted);
    }
}
