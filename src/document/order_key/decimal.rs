//! Exact decimal arithmetic, as much as ordering numbers needs: taking decimals apart, and exact digits of any
//! finite number.

use bson::Decimal128;

/// The largest coefficient that IEEE 754 decimal128 allows; larger ones read as zero.
const COEFFICIENT_MAX: u128 = 10u128.pow(34) - 1;
const EXPONENT_BIAS: i32 = 6176;
/// No finite double has more significant decimal digits than this.
const DOUBLE_DIGITS_MAX: usize = 767;

/// A decimal128 taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unpacked {
    NaN,
    Infinite {
        negative: bool,
    },
    /// `coefficient` × 10^`exponent`.
    Finite {
        negative: bool,
        coefficient: u128,
        exponent: i32,
    },
}

pub(super) fn unpack(decimal: Decimal128) -> Unpacked {
    let bits = u128::from_le_bytes(decimal.bytes());
    let negative = bits >> 127 == 1;
    let combination = (bits >> 122) & 0b1_1111;
    match combination {
        0b1_1111 => return Unpacked::NaN,
        0b1_1110 => return Unpacked::Infinite { negative },
        _ => {}
    }
    if combination >> 3 == 0b11 {
        // The long form: every coefficient that it can say is above the maximum.
        let exponent = ((bits >> 111) & 0x3fff) as i32 - EXPONENT_BIAS;
        return Unpacked::Finite { negative, coefficient: 0, exponent };
    }
    let exponent = ((bits >> 113) & 0x3fff) as i32 - EXPONENT_BIAS;
    let coefficient = bits & ((1 << 113) - 1);
    let coefficient = if coefficient > COEFFICIENT_MAX { 0 } else { coefficient };
    Unpacked::Finite { negative, coefficient, exponent }
}

/// The absolute value of a finite number, exactly: 0.d₁d₂d₃… × 10^`magnitude`, the first and the last digit not
/// zero. Zero has no digits and the lowest magnitude, so the derived order is the numeric one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Digits {
    pub(super) magnitude: i32,
    /// Each 0 to 9.
    pub(super) digits: Vec<u8>,
}

impl Digits {
    const ZERO: Digits = Digits { magnitude: i32::MIN, digits: Vec::new() };

    /// The digits of `coefficient` × 10^`exponent`.
    pub(super) fn of_coefficient(coefficient: u128, exponent: i32) -> Digits {
        if coefficient == 0 {
            return Digits::ZERO;
        }
        let text = coefficient.to_string();
        Digits::from_text(text.bytes(), exponent + text.len() as i32)
    }

    /// The digits of a finite double. Costs some microseconds: all of up to 767 digits are computed.
    pub(super) fn of_double(double: f64) -> Digits {
        debug_assert!(double.is_finite());
        if double == 0.0 {
            return Digits::ZERO;
        }
        let text = format!("{:.*e}", DOUBLE_DIGITS_MAX - 1, double.abs());
        let (mantissa, exponent) = text.split_once('e').expect("scientific notation has an exponent");
        let exponent: i32 = exponent.parse().expect("an exponent is an integer");
        Digits::from_text(mantissa.bytes().filter(|&byte| byte != b'.'), exponent + 1)
    }

    fn from_text(text: impl Iterator<Item = u8>, magnitude: i32) -> Digits {
        let mut digits: Vec<u8> = text.map(|byte| byte - b'0').collect();
        let kept = digits.iter().rposition(|&digit| digit != 0).map_or(0, |last| last + 1);
        digits.truncate(kept);
        Digits { magnitude, digits }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use proptest::prelude::*;

    use super::{Digits, Unpacked, unpack};

    fn text(digits: &Digits) -> String {
        digits.digits.iter().map(|digit| char::from(b'0' + digit)).collect()
    }

    #[test]
    fn digits_of_doubles_are_exact() {
        let tenth = Digits::of_double(0.1);
        assert_eq!(text(&tenth), "1000000000000000055511151231257827021181583404541015625");
        assert_eq!(tenth.magnitude, 0);
        let smallest = Digits::of_double(5e-324);
        assert_eq!((smallest.digits.len(), smallest.magnitude), (751, -323));
        assert!(text(&smallest).starts_with("4940656458412465") && text(&smallest).ends_with("265625"));
        // 2^1024 − 2^971, and the longest of all: 767 digits.
        let largest = Digits::of_double(f64::MAX);
        assert_eq!(largest.magnitude, 309);
        assert!(text(&largest).ends_with("24858368"));
        assert_eq!(Digits::of_double(f64::from_bits(0x000f_ffff_ffff_ffff)).digits.len(), 767);
    }

    #[test]
    fn decimals_are_taken_apart_by_the_standard() {
        let parse = |text: &str| unpack(text.parse().expect("a decimal"));
        let finite = |negative, coefficient, exponent| Unpacked::Finite { negative, coefficient, exponent };
        assert_eq!(parse("-12.50"), finite(true, 1250, -2));
        assert_eq!(parse("1E+6111"), finite(false, 1, 6111));
        assert_eq!(parse("1E-6176"), finite(false, 1, -6176));
        assert_eq!(parse(&"9".repeat(34)), finite(false, 10u128.pow(34) - 1, 0));
        assert_eq!(parse("-Infinity"), Unpacked::Infinite { negative: true });
        assert_eq!(parse("NaN"), Unpacked::NaN);
        // The long form, and a coefficient one too large, both read as zero.
        let long = bson::Decimal128::from_bytes((0b11u128 << 125 | 1).to_le_bytes());
        assert!(matches!(unpack(long), Unpacked::Finite { coefficient: 0, .. }));
        let over = bson::Decimal128::from_bytes((6176u128 << 113 | 10u128.pow(34)).to_le_bytes());
        assert_eq!(unpack(over), finite(false, 0, 0));
    }

    proptest! {
        #[test]
        fn digits_order_like_the_numbers(a in 0u64..0x7ff0_0000_0000_0000, b in 0u64..0x7ff0_0000_0000_0000, near in -2i64..=2) {
            let other = if near == 2 { b } else { a.saturating_add_signed(near).min(0x7fef_ffff_ffff_ffff) };
            let (a, b) = (f64::from_bits(a), f64::from_bits(other));
            prop_assert_eq!(Digits::of_double(a).cmp(&Digits::of_double(b)), a.total_cmp(&b));
        }

        #[test]
        fn digits_of_integers_agree_in_both_forms(integer in 0u64..1 << 53) {
            prop_assert_eq!(Digits::of_double(integer as f64), Digits::of_coefficient(integer.into(), 0));
        }
    }
}
