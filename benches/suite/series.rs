//! One number per round, and their median.

/// What one contestant reached, round by round.
#[derive(Clone, Default, Debug)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The middle one; of an even number of rounds the mean of the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
    }

    /// The median of the ratios within each round, which leaves out how the machine's speed drifts from round to round.
    pub(crate) fn ratio_to(&self, other: &Series) -> f64 {
        assert_eq!(self.0.len(), other.0.len(), "contestants take turns");
        Series(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect()).median()
    }

    pub(crate) fn rounds(&self) -> &[f64] {
        &self.0
    }
}
