//! In which order records are asked for: drawn beforehand, so that drawing costs the measured loop nothing.

use super::records::Id;
use fastrand::Rng;

/// The skew of the zipfian streams, that of YCSB.
const THETA: f64 = 0.99;
/// Draws in a stream; each thread begins elsewhere and goes round.
const DRAWS: usize = 1 << 20;

/// Ids in the order in which they are asked for: the next one is always at hand.
pub(crate) struct Stream(Vec<Id>);

impl Stream {
    /// Each id as likely as the others.
    pub(crate) fn uniform(ids: &[Id], seed: u64) -> Stream {
        let mut rng = Rng::with_seed(seed);
        Stream((0..DRAWS).map(|_| ids[rng.usize(..ids.len())]).collect())
    }

    /// The n-th id with a weight of 1 / n^0.99. Ids are random, so the hot ones lie anywhere.
    pub(crate) fn zipf(ids: &[Id], seed: u64) -> Stream {
        let mut sum = 0.0;
        let weigh = |rank: usize| {
            sum += (rank as f64).powf(-THETA);
            sum
        };
        let cumulative: Vec<f64> = (1..=ids.len()).map(weigh).collect();
        let mut rng = Rng::with_seed(seed);
        let mut draw = || {
            let at = rng.f64() * sum;
            cumulative.partition_point(|&below| below < at).min(ids.len() - 1)
        };
        Stream((0..DRAWS).map(|_| ids[draw()]).collect())
    }

    /// The view of one thread of several.
    pub(crate) fn of_thread(&self, thread: usize, threads: usize) -> Cursor<'_> {
        Cursor { ids: &self.0, at: thread * self.0.len() / threads }
    }
}

/// Goes round in a stream.
pub(crate) struct Cursor<'a> {
    ids: &'a [Id],
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(crate) fn next(&mut self) -> &'a Id {
        let id = &self.ids[self.at];
        self.at += 1;
        if self.at == self.ids.len() {
            self.at = 0;
        }
        id
    }
}
