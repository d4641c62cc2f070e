//! `resource.Quantity`: fixed-point numbers with SI and binary suffixes, in Kubernetes' canonical spelling.
//!
//! Canonical form (docs: "Quantity" of the API reference): no fractional digits, no precision lost, the exponent as
//! large as possible; binary suffixes only from 1024 up. Values finer than a nano are rounded up; values beyond
//! 2^63-1 are capped.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Neg, Sub};

/// Which family of suffixes a quantity was written with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `100m`, `5`, `12k`.
    #[default]
    DecimalSi,
    /// `128Mi`.
    BinarySi,
    /// `12e6`.
    DecimalExponent,
}

/// A number in units of 10^-9, and the suffix family to print it with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

const NANO: i128 = 1_000_000_000;
const MAX_NANOS: i128 = i64::MAX as i128 * NANO;
const DECIMAL: &[(&str, i32)] =
    &[("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: &[(&str, u32)] = &[("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

/// The largest value has 28 digits in nanos; more are the largest value anyway.
const WHOLE_DIGITS_MAX: usize = 30;
/// What is finer than a thousandth of a nano is only told from nothing.
const FRACTION_DIGITS_MAX: usize = 12;
/// So many digits fit.
const DIGITS_MAX: usize = 37;

/// Text that is not a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantityError;

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        )
    }
}

impl std::error::Error for QuantityError {}

/// Digits with at most one point, as (mantissa, number of digits after the point); excess precision rounds up.
fn mantissa(text: &str) -> Option<(i128, i32, bool)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if (whole.is_empty() && fraction.is_empty()) || !(whole.bytes().chain(fraction.bytes())).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    if whole.len() > WHOLE_DIGITS_MAX {
        return Some((i128::MAX, 0, false));
    }
    let kept = &fraction[..fraction.len().min(FRACTION_DIGITS_MAX).min(DIGITS_MAX - whole.len())];
    let inexact = fraction[kept.len()..].bytes().any(|b| b != b'0');
    let digits = format!("{whole}{kept}");
    let value = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    Some((value, i32::try_from(kept.len()).ok()?, inexact))
}

fn pow10(n: u32) -> i128 {
    10i128.checked_pow(n).unwrap_or(i128::MAX)
}

fn div_up(a: i128, b: i128) -> i128 {
    a / b + i128::from(a % b != 0)
}

impl Quantity {
    /// Reads a quantity.
    ///
    /// # Errors
    /// Text that is no number with a known suffix.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let split = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(split);
        let (value, scale, inexact) = mantissa(number).ok_or(QuantityError)?;
        let (format, exp10, exp2) = Self::suffix(suffix)?;
        let power = 9 + exp10 - scale;
        let scaled = value.saturating_mul(1i128 << exp2);
        let (mut nanos, rest) = match u32::try_from(power) {
            Ok(p) => (scaled.saturating_mul(pow10(p)), power == 0 && inexact),
            Err(_) => {
                let unit = pow10(power.unsigned_abs());
                (scaled / unit, scaled % unit != 0 || inexact)
            }
        };
        if rest {
            nanos = nanos.saturating_add(1);
        }
        let nanos = nanos.min(MAX_NANOS);
        Ok(Self { nanos: if negative { -nanos } else { nanos }, format })
    }

    fn suffix(text: &str) -> Result<(Format, i32, u32), QuantityError> {
        if let Some((_, e)) = DECIMAL.iter().find(|(s, _)| *s == text) {
            return Ok((Format::DecimalSi, *e, 0));
        }
        if let Some((_, e)) = BINARY.iter().find(|(s, _)| *s == text) {
            return Ok((Format::BinarySi, 0, *e));
        }
        let exponent = text.strip_prefix(['e', 'E']).ok_or(QuantityError)?;
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(QuantityError);
        }
        Ok((Format::DecimalExponent, exponent.parse().map_err(|_| QuantityError)?, 0))
    }

    /// A whole number of units.
    #[must_use]
    pub fn units(n: i64, format: Format) -> Self {
        Self { nanos: i128::from(n) * NANO, format }
    }
    /// A number of thousandths, decimal.
    #[must_use]
    pub fn milli(n: i64) -> Self {
        Self { nanos: i128::from(n) * (NANO / 1000), format: Format::DecimalSi }
    }
    /// Whole units, rounded up (away from zero, as Kubernetes does).
    #[must_use]
    pub fn value(&self) -> i64 {
        Self::rounded(self.nanos, NANO)
    }
    /// Thousandths, rounded up.
    #[must_use]
    pub fn milli_value(&self) -> i64 {
        Self::rounded(self.nanos, NANO / 1000)
    }
    /// As a floating-point number of units.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn as_f64(&self) -> f64 {
        self.nanos as f64 / NANO as f64
    }
    fn rounded(nanos: i128, unit: i128) -> i64 {
        let up = div_up(nanos.abs(), unit) * nanos.signum();
        i64::try_from(up).unwrap_or(if up > 0 { i64::MAX } else { i64::MIN })
    }
    /// Whether it is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }
    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }
    /// Whether it is a whole number of units.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        self.nanos % NANO == 0
    }
    /// Its suffix family.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }
    /// The larger one.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if other.nanos > self.nanos { other } else { self }
    }
    /// Canonical spelling of a quantity text; `None` when it is none.
    #[must_use]
    pub fn canonical(text: &str) -> Option<String> {
        Self::parse(text).ok().map(|q| q.to_string())
    }
    /// As the API's string type.
    #[must_use]
    pub fn text(&self) -> crate::QuantityText {
        crate::QuantityText(self.to_string())
    }

    fn decimal(&self, f: &mut fmt::Formatter<'_>, exponent: bool) -> fmt::Result {
        let (mut mantissa, mut e) = (self.nanos, -9);
        while mantissa != 0 && mantissa % 1000 == 0 && e < 18 {
            mantissa /= 1000;
            e += 3;
        }
        if mantissa == 0 {
            return f.write_str("0");
        }
        if exponent {
            return if e == 0 { write!(f, "{mantissa}") } else { write!(f, "{mantissa}e{e}") };
        }
        let suffix = DECIMAL.iter().find(|(_, x)| *x == e).map_or("", |(s, _)| s);
        write!(f, "{mantissa}{suffix}")
    }

    fn binary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = div_up(self.nanos.abs(), NANO) * self.nanos.signum();
        let fits = BINARY.iter().rev().find(|(_, bits)| whole % (1i128 << bits) == 0);
        match fits {
            Some((suffix, bits)) => write!(f, "{}{suffix}", whole >> bits),
            None => write!(f, "{whole}"),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format {
            Format::BinarySi if self.nanos.abs() >= 1024 * NANO => self.binary(f),
            Format::DecimalExponent => self.decimal(f, true),
            _ => self.decimal(f, false),
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}
impl Eq for Quantity {}
impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}
impl Add for Quantity {
    type Output = Self;
    /// The sum; zero takes over the other's suffix family.
    fn add(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_add(other.nanos).clamp(-MAX_NANOS, MAX_NANOS), format }
    }
}
impl Sub for Quantity {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}
impl Neg for Quantity {
    type Output = Self;
    fn neg(self) -> Self {
        Self { nanos: -self.nanos, ..self }
    }
}
