//! The key of a number: the same bytes for equal numbers of any type, ordered by value, exactly.
//!
//! ```text
//!   number    floor (8) | exact (1) = 0
//!             floor (8) | magnitude (2) | digits, two a byte | stop
//! ```
//!
//! `floor` is the largest double that is not above the number, its bits arranged so that unsigned order is numeric
//! order; NaN is all zeros, below −∞. Every double, every integer up to 2^53 and many beyond are exactly
//! their floor: nine bytes. The others (large integers, most decimals) share a floor only with numbers of the same
//! sign that lie below the next double, and add their own decimal digits: the decimal magnitude with a bias that
//! keeps its first byte off 0, then digits as 1–10 in half bytes, 0 to stop. All of that is inverted for negative
//! numbers. The digits say the number in full, so decoding needs nothing else.

use bson::{Bson, Decimal128};

use super::decimal::{Digits, Unpacked, unpack};
use super::decode::Reader;
use crate::document::DocumentError;

const NAN_KEY: u64 = 0;
/// Magnitudes of finite decimals run from −6175 to 6145: with this bias the high byte is neither 0 nor 0xff.
const MAGNITUDE_BIAS: i32 = 0x4000;
/// In a key: behind the rank and the floor.
pub(super) const FLOOR_END: usize = 1 + 8;
pub(super) const EXACT: u8 = 0;
const DECIMAL_DIGITS_MAX: usize = 34;

pub(super) fn encode_double(double: f64, out: &mut Vec<u8>) {
    push_floor(double, out);
    out.push(EXACT);
}

pub(super) fn encode_integer(integer: i64, out: &mut Vec<u8>) {
    let nearest = integer as f64;
    let (nearest_exactly, exactly) = (nearest as i128, i128::from(integer));
    if nearest_exactly == exactly {
        return encode_double(nearest, out);
    }
    push_floor(if nearest_exactly > exactly { nearest.next_down() } else { nearest }, out);
    push_digits(&Digits::of_coefficient(integer.unsigned_abs().into(), 0), integer < 0, out);
}

pub(super) fn encode_decimal(decimal: Decimal128, out: &mut Vec<u8>) {
    match unpack(decimal) {
        Unpacked::NaN => encode_double(f64::NAN, out),
        Unpacked::Infinite { negative: true } => encode_double(f64::NEG_INFINITY, out),
        Unpacked::Infinite { negative: false } => encode_double(f64::INFINITY, out),
        Unpacked::Finite { negative, coefficient, exponent } => {
            encode_finite_decimal(negative, coefficient, exponent, out);
        }
    }
}

fn encode_finite_decimal(negative: bool, coefficient: u128, exponent: i32, out: &mut Vec<u8>) {
    let digits = Digits::of_coefficient(coefficient, exponent);
    let (truncated, exact) = truncate_to_double(coefficient, exponent, &digits);
    if exact {
        return encode_double(if negative { -truncated } else { truncated }, out);
    }
    push_floor(if negative { -truncated.next_up() } else { truncated }, out);
    push_digits(&digits, negative, out);
}

/// The largest double that is not above `coefficient` × 10^`exponent`, and whether it equals that.
fn truncate_to_double(coefficient: u128, exponent: i32, digits: &Digits) -> (f64, bool) {
    let nearest: f64 = format!("{coefficient}e{exponent}").parse().expect("the text is a number");
    if nearest.is_infinite() {
        return (f64::MAX, false);
    }
    match Digits::of_double(nearest).cmp(digits) {
        std::cmp::Ordering::Less => (nearest, false),
        std::cmp::Ordering::Equal => (nearest, true),
        std::cmp::Ordering::Greater => (nearest.next_down(), false),
    }
}

fn push_floor(floor: f64, out: &mut Vec<u8>) {
    let key = if floor.is_nan() {
        NAN_KEY
    } else {
        // −0.0 is 0.0 here.
        let bits = (floor + 0.0).to_bits();
        if bits >> 63 == 1 { !bits } else { bits ^ (1 << 63) }
    };
    out.extend_from_slice(&key.to_be_bytes());
}

fn push_digits(number: &Digits, negative: bool, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&((number.magnitude + MAGNITUDE_BIAS) as u16).to_be_bytes());
    for pair in number.digits.chunks(2) {
        let second = pair.get(1).map_or(0, |digit| digit + 1);
        out.push((pair[0] + 1) << 4 | second);
    }
    if number.digits.len().is_multiple_of(2) {
        out.push(0);
    }
    if negative {
        super::invert(&mut out[start..]);
    }
}

/// Reads a number back: an Int64 if it is one, else a Double if that is exact, else a Decimal128.
pub(super) fn decode(reader: &mut Reader<'_, '_>) -> Result<Bson, DocumentError> {
    let key = u64::from_be_bytes(reader.array()?);
    if key == NAN_KEY {
        return match reader.byte()? {
            EXACT => Ok(Bson::Double(f64::NAN)),
            _ => reader.fail("NaN with digits"),
        };
    }
    let floor = f64::from_bits(if key >> 63 == 1 { key ^ (1 << 63) } else { !key });
    if floor.is_nan() {
        return reader.fail("a number that no encoder writes");
    }
    let mask = if floor.is_sign_negative() { 0xff } else { 0 };
    match reader.byte()? {
        EXACT => Ok(exact_number(floor)),
        first => {
            let magnitude = u16::from_be_bytes([first ^ mask, reader.byte()? ^ mask]);
            let digits = take_digits(reader, mask)?;
            inexact_number(mask != 0, i32::from(magnitude) - MAGNITUDE_BIAS, &digits, reader)
        }
    }
}

fn exact_number(double: f64) -> Bson {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if double.fract() == 0.0 && (-TWO_TO_63..TWO_TO_63).contains(&double) {
        Bson::Int64(double as i64)
    } else {
        Bson::Double(double)
    }
}

/// The digits as text.
fn take_digits(reader: &mut Reader<'_, '_>, mask: u8) -> Result<String, DocumentError> {
    let mut digits = String::new();
    loop {
        let byte = reader.byte()? ^ mask;
        for half in [byte >> 4, byte & 0xf] {
            match half {
                0 => return Ok(digits),
                1..=10 if digits.len() < DECIMAL_DIGITS_MAX => digits.push(char::from(b'0' + half - 1)),
                _ => return reader.fail("a number with impossible digits"),
            }
        }
    }
}

fn inexact_number(
    negative: bool,
    magnitude: i32,
    digits: &str,
    reader: &Reader<'_, '_>,
) -> Result<Bson, DocumentError> {
    let sign = if negative { "-" } else { "" };
    let exponent = magnitude - digits.len() as i32;
    if (0..=18).contains(&exponent) {
        let text = format!("{sign}{digits}{}", "0".repeat(exponent as usize));
        if let Ok(integer) = text.parse() {
            return Ok(Bson::Int64(integer));
        }
    }
    match format!("{sign}{digits}E{exponent}").parse() {
        Ok(decimal) => Ok(Bson::Decimal128(decimal)),
        Err(_) => reader.fail("a number that no type can hold"),
    }
}
