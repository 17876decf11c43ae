//! Sums that are the same in whatever order the numbers come, so that they can be made in parts. (The crates that sum exactly cannot put two sums together, or take kilobytes
//! for each; there may be a million groups.)
//!
//! Integers are added in 128 bits. Doubles are kept as several, none of which overlap, that together are the exact sum (Shewchuk's expansions), and rounded once
//! at the end. Very large ones are kept apart, smaller by a power of two, so that nothing overflows on the way.

use bson::RawBsonRef;

/// From here on doubles are kept apart,
const LARGE: f64 = f64::from_bits((1023 + 900) << 52); // 2^900
/// divided by this.
const SCALE: f64 = f64::from_bits((1023 + 100) << 52); // 2^100

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Sum {
    pub(super) count: i64,
    integers: i128,
    doubles: Exact,
    large: Exact,
    /// Of infinities and NaN.
    others: f64,
    /// There was a number of another type than integers.
    has_doubles: bool,
}

/// Doubles that together are an exact sum.
#[derive(Clone, Default)]
struct Exact(Vec<f64>);

impl Sum {
    /// Adds a value, if it is a number.
    pub(super) fn add(&mut self, number: RawBsonRef<'_>) {
        let double = match number {
            RawBsonRef::Int32(integer) => return self.add_integer(integer.into()),
            RawBsonRef::Int64(integer) => return self.add_integer(integer),
            RawBsonRef::Double(double) => Some(double),
            RawBsonRef::Decimal128(decimal) => decimal.to_string().parse().ok(),
            _ => None,
        };
        let Some(double) = double else { return };
        self.count += 1;
        self.has_doubles = true;
        if !double.is_finite() {
            self.others += double;
        } else if double.abs() >= LARGE {
            self.large.add(double / SCALE);
        } else {
            self.doubles.add(double);
        }
    }

    fn add_integer(&mut self, integer: i64) {
        self.count += 1;
        self.integers += i128::from(integer);
    }

    /// Adds what another one has come to.
    pub(super) fn merge(&mut self, other: &Sum) {
        self.count += other.count;
        self.integers += other.integers;
        self.others += other.others;
        self.has_doubles |= other.has_doubles;
        other.doubles.0.iter().for_each(|part| self.doubles.add(*part));
        other.large.0.iter().for_each(|part| self.large.add(*part));
    }

    /// As an integer, if all were integers and it is one of 64 bits.
    pub(super) fn integer(&self) -> Option<i64> {
        i64::try_from(self.integers).ok().filter(|_| !self.has_doubles)
    }

    pub(super) fn double(&self) -> f64 {
        if !self.others.is_finite() {
            return self.others;
        }
        let doubles = match self.large.0.is_empty() {
            true => self.doubles.rounded(),
            false => {
                let mut all = self.large.clone();
                self.doubles.0.iter().for_each(|part| all.add(part / SCALE));
                all.rounded() * SCALE
            }
        };
        self.integers as f64 + doubles
    }
}

impl Exact {
    /// Adds a double: what is lost when two are added is exact too, and stays as a part of its own.
    fn add(&mut self, double: f64) {
        let (mut sum, mut kept) = (double, 0);
        for at in 0..self.0.len() {
            let mut part = self.0[at];
            if sum.abs() < part.abs() {
                std::mem::swap(&mut sum, &mut part);
            }
            let rounded = sum + part;
            let lost = part - (rounded - sum);
            if lost != 0.0 {
                self.0[kept] = lost;
                kept += 1;
            }
            sum = rounded;
        }
        self.0.truncate(kept);
        if sum != 0.0 {
            self.0.push(sum);
        }
    }

    /// The double that is nearest to the sum; of two as near the even one.
    fn rounded(&self) -> f64 {
        let mut parts = self.0.iter().rev();
        let Some(mut sum) = parts.next().copied() else { return 0.0 };
        while let Some(part) = parts.next() {
            let before = sum;
            sum = before + part;
            let lost = part - (sum - before);
            if lost != 0.0 {
                // Half between two: the parts behind decide, if they are of the same sign.
                let twice = lost * 2.0;
                if parts.next().is_some_and(|next| (*next < 0.0) == (lost < 0.0))
                    && sum + twice - sum == twice
                {
                    sum += twice;
                }
                break;
            }
        }
        sum
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn sum_of(numbers: &[f64]) -> Sum {
        let mut sum = Sum::default();
        numbers.iter().for_each(|number| sum.add(RawBsonRef::Double(*number)));
        sum
    }

    #[test]
    fn what_is_added_is_not_lost() {
        let large = f64::MAX;
        for (numbers, expected) in [
            (&[][..], 0.0),
            (&[1e16, 1.0, -1e16], 1.0),
            (&[0.1; 10], 1.0),
            (&[large, large, -large, -large, 3.0], 3.0),
            (&[large, large], f64::INFINITY),
            (&[1.0, f64::EPSILON / 2.0, 1e-300], 1.0 + f64::EPSILON),
            (&[1.0, f64::EPSILON / 2.0, -1e-300], 1.0),
            (&[f64::INFINITY, 1.0], f64::INFINITY),
        ] {
            assert_eq!(sum_of(numbers).double(), expected, "{numbers:?}");
        }
        assert!(sum_of(&[f64::INFINITY, f64::NEG_INFINITY]).double().is_nan());
        let mut integers = Sum::default();
        [i64::MAX, 1, -5].into_iter().for_each(|n| integers.add(RawBsonRef::Int64(n)));
        assert_eq!(integers.integer(), Some(i64::MAX - 4));
        integers.add(RawBsonRef::Int64(i64::MAX));
        assert_eq!((integers.integer(), integers.double()), (None, 2.0_f64.powi(64)));
    }

    proptest! {
        #[test]
        fn the_order_and_the_parts_make_no_difference(
            numbers in vec(prop_oneof![any::<f64>().prop_filter("finite", |n| n.is_finite()), -3.0..3.0], 0..20),
            at in 0..20_usize,
        ) {
            let whole = sum_of(&numbers).double();
            let (one, other) = numbers.split_at(at.min(numbers.len()));
            let mut parts = sum_of(other);
            parts.merge(&sum_of(one));
            prop_assert_eq!(parts.double().to_bits(), whole.to_bits());
            let backwards: Vec<_> = numbers.iter().rev().copied().collect();
            prop_assert_eq!(sum_of(&backwards).double().to_bits(), whole.to_bits());
        }
    }
}
