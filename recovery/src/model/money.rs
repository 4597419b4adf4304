//! Amounts, in whole minor units. Floating point appears nowhere.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Money that moves: minor units, greater than zero.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Amount(i64);

/// Why text or a number is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    #[error("an amount is greater than zero")]
    NotPositive,
    #[error("an amount is digits with at most two decimals, such as 250 or 99.50, not {0:?}")]
    Malformed(String),
    #[error("an amount is at most 92233720368547758.07")]
    TooLarge,
}

impl Amount {
    pub fn minor(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Amount {
    type Error = AmountError;
    fn try_from(minor: i64) -> Result<Self, AmountError> {
        if minor > 0 { Ok(Self(minor)) } else { Err(AmountError::NotPositive) }
    }
}

impl From<Amount> for i64 {
    fn from(amount: Amount) -> i64 {
        amount.0
    }
}

/// Parses exactly: `250`, `250.5`, `250.50`. No sign, no exponent, no separators.
impl FromStr for Amount {
    type Err = AmountError;
    fn from_str(text: &str) -> Result<Self, AmountError> {
        let malformed = || AmountError::Malformed(text.chars().take(40).collect());
        let unsigned = text.strip_prefix('-');
        let (whole, decimals) = match unsigned.unwrap_or(text).split_once('.') {
            Some((whole, decimals)) => (whole, decimals),
            None => (unsigned.unwrap_or(text), "0"),
        };
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 2 {
            return Err(malformed());
        }
        if unsigned.is_some() {
            return Err(AmountError::NotPositive);
        }
        let tens = if decimals.len() == 1 { 10 } else { 1 };
        let cents = decimals.parse::<i64>().map_err(|_| malformed())? * tens;
        let whole = whole.parse::<i64>().map_err(|_| AmountError::TooLarge)?;
        let minor = whole.checked_mul(100).and_then(|minor| minor.checked_add(cents));
        Self::try_from(minor.ok_or(AmountError::TooLarge)?)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&major(self.0))
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Minor units as a person writes them: `-1234567` is `-12345.67`.
pub fn major(minor: i64) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let magnitude = minor.unsigned_abs();
    format!("{sign}{}.{:02}", magnitude / 100, magnitude % 100)
}

/// An ISO 4217 code.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Currency([u8; 3]);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a currency is three capital letters, such as INR")]
pub struct CurrencyError;

impl Currency {
    pub const INR: Self = Self(*b"INR");
}

impl FromStr for Currency {
    type Err = CurrencyError;
    fn from_str(text: &str) -> Result<Self, CurrencyError> {
        match text.as_bytes() {
            &[a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(CurrencyError),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_amounts_are_exact_or_refused() {
        let parse = |text: &str| text.parse::<Amount>().map(Amount::minor);
        assert_eq!(parse("250"), Ok(25_000));
        assert_eq!(parse("0.01"), Ok(1));
        assert_eq!(parse("99.5"), Ok(9_950));
        assert_eq!(parse("92233720368547758.07"), Ok(i64::MAX));
        assert_eq!(parse("92233720368547758.08"), Err(AmountError::TooLarge));
        assert_eq!(parse("0"), Err(AmountError::NotPositive));
        assert_eq!(parse("-1"), Err(AmountError::NotPositive));
        for bad in ["", ".", "1.", ".5", "1.234", "1e9", "NaN", "+1", " 1", "1,000", "--1", "٣"] {
            assert!(matches!(parse(bad), Err(AmountError::Malformed(_))), "{bad:?}");
        }
        assert_eq!(parse(&format!("1{}", "0".repeat(30))), Err(AmountError::TooLarge));
    }

    #[test]
    fn minor_units_are_written_with_two_decimals() {
        assert_eq!(major(-1_234_567), "-12345.67");
        assert_eq!(major(5), "0.05");
        assert_eq!(major(i64::MIN), "-92233720368547758.08");
    }
}
