//! A point of a log, as a person names it: a record's number, or a time.
//!
//! Times are UTC, RFC 3339 or shorter, and stand for the last record stamped up to then. Stamps are
//! a service's own clock and may step back; a point by time is the first place where they pass it.

use std::str::FromStr;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime, format_description::well_known::Rfc3339};

/// A point of a log.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Moment {
    Lsn(u64),
    /// Milliseconds since the Unix epoch.
    Time(u64),
}

impl Moment {
    /// Is this record at the point or before it?
    pub fn reaches(self, lsn: u64, wall_ms: u64) -> bool {
        match self {
            Self::Lsn(at) => lsn <= at,
            Self::Time(at) => wall_ms <= at,
        }
    }

    /// Is this record at the point or behind it?
    pub fn is_passed_by(self, lsn: u64, wall_ms: u64) -> bool {
        match self {
            Self::Lsn(at) => lsn >= at,
            Self::Time(at) => wall_ms >= at,
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(lsn) = text.parse() {
            return Ok(Self::Lsn(lsn));
        }
        let minutes =
            format_description!("[year]-[month]-[day][optional [T]][optional [ ]][hour]:[minute]");
        let seconds = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
        let millis =
            format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond]");
        let day = format_description!("[year]-[month]-[day]");
        let plain = |format| PrimitiveDateTime::parse(text, format).ok();
        let time = OffsetDateTime::parse(text, &Rfc3339)
            .ok()
            .or_else(|| plain(millis).map(PrimitiveDateTime::assume_utc))
            .or_else(|| plain(seconds).map(PrimitiveDateTime::assume_utc))
            .or_else(|| plain(minutes).map(PrimitiveDateTime::assume_utc))
            .or_else(|| Some(Date::parse(text, day).ok()?.midnight().assume_utc()));
        let ms = time.and_then(|time| u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok());
        ms.map(Self::Time).ok_or_else(|| {
            "write a record's number such as 120, or a time (UTC) such as 2026-08-06T07:06:40Z"
                .to_owned()
        })
    }
}

/// A stamp in UTC, to the millisecond.
pub fn shown(unix_ms: u64) -> String {
    let format =
        format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");
    let nanos = i128::from(unix_ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    time.and_then(|time| time.format(format).ok()).unwrap_or_else(|| unix_ms.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_a_number_or_a_time() {
        let parse = |text: &str| text.parse::<Moment>();
        assert_eq!(parse("120"), Ok(Moment::Lsn(120)));
        let expected = Ok(Moment::Time(1_786_000_000_000));
        assert_eq!(parse("2026-08-06T07:06:40Z"), expected);
        assert_eq!(parse("2026-08-06T09:06:40+02:00"), expected);
        assert_eq!(parse("2026-08-06 07:06:40"), expected);
        assert_eq!(parse("2026-08-06 07:06:40.250"), Ok(Moment::Time(1_786_000_000_250)));
        assert_eq!(parse("2026-08-06 07:06"), Ok(Moment::Time(1_785_999_960_000)));
        assert_eq!(parse("2026-08-06"), Ok(Moment::Time(1_785_974_400_000)));
        for bad in ["", "yesterday", "-1", "2026-13-01", "1969-12-31"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_stamp_is_shown_so_that_it_can_be_given_back() {
        let shown = shown(1_786_000_000_007);
        assert_eq!(shown, "2026-08-06 07:06:40.007");
        assert_eq!(shown.parse(), Ok(Moment::Time(1_786_000_000_007)));
    }
}
