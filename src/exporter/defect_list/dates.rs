//! The dates that trackers write, read as moments. A date that could mean two days is not guessed.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt::strtime};

/// Moments with an offset of their own.
const WITH_OFFSET: [&str; 3] = ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f %z", "%a, %d %b %Y %H:%M:%S %z"];

/// Moments without one: they are taken as UTC.
const WITHOUT_OFFSET: [&str; 8] = [
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S UTC",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%d/%b/%y %I:%M %p",
    "%d/%b/%Y %H:%M",
    "%d.%m.%Y %H:%M",
];

/// Days alone: their first second, UTC.
const DAYS: [&str; 6] = ["%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%b/%y", "%d/%b/%Y", "%d %b %Y"];

/// The seconds since 1970 of a date, or `None` where it cannot be read for certain.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_second());
    }
    if let Ok(number) = text.parse::<i64>() {
        return epoch(number);
    }
    for format in WITH_OFFSET {
        if let Ok(moment) = strtime::parse(format, text).and_then(|parsed| parsed.to_timestamp()) {
            return Some(moment.as_second());
        }
    }
    for format in WITHOUT_OFFSET {
        if let Ok(moment) = DateTime::strptime(format, text) {
            return utc(moment);
        }
    }
    for format in DAYS {
        if let Ok(day) = Date::strptime(format, text) {
            return utc(day.to_datetime(jiff::civil::Time::midnight()));
        }
    }
    slashed(text)
}

/// Seconds or milliseconds since 1970; both are in use, and no defect is from before 2001 or after 2286.
fn epoch(number: i64) -> Option<i64> {
    match number {
        1_000_000_000..10_000_000_000 => Some(number),
        1_000_000_000_000..10_000_000_000_000 => Some(number / 1000),
        _ => None,
    }
}

/// `31/01/2026` and `01/31/2026` are both in use: it is read only where one of them is impossible.
fn slashed(text: &str) -> Option<i64> {
    let day = text.split(' ').next()?;
    let mut parts = day.split('/').map(|part| part.parse::<i16>().ok());
    let (first, second, year) = (parts.next()??, parts.next()??, parts.next()??);
    let (day, month) = match (first, second) {
        (day, month) if day > 12 && month <= 12 => (day, month),
        (month, day) if day > 12 && month <= 12 => (day, month),
        (same, other) if same == other => (same, same),
        _ => return None,
    };
    let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    if parts.next().is_some() { None } else { utc(date.to_datetime(jiff::civil::Time::midnight())) }
}

fn utc(moment: DateTime) -> Option<i64> {
    moment.to_zoned(TimeZone::UTC).ok().map(|moment| moment.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_many_trackers_are_read() {
        for (text, expected) in [
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31T08:09:10Z", "2026-01-31T08:09:10Z"),
            ("2026-01-31T08:09:10+02:00", "2026-01-31T06:09:10Z"),
            ("2026-01-31T08:09:10.000+0200", "2026-01-31T06:09:10Z"),
            ("2026-01-31 08:09:10 UTC", "2026-01-31T08:09:10Z"),
            ("2026-01-31 08:09:10", "2026-01-31T08:09:10Z"),
            ("2026-01-31 08:09", "2026-01-31T08:09:00Z"),
            ("2026/01/31", "2026-01-31T00:00:00Z"),
            ("31/Jan/26 3:04 PM", "2026-01-31T15:04:00Z"),
            ("31.01.2026", "2026-01-31T00:00:00Z"),
            ("31/01/2026", "2026-01-31T00:00:00Z"),
            ("01/31/2026 10:00", "2026-01-31T00:00:00Z"),
            ("1769817600", "2026-01-31T00:00:00Z"),
            ("1769817600000", "2026-01-31T00:00:00Z"),
        ] {
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(seconds(text), Some(expected.as_second()), "{text}");
        }
    }

    #[test]
    fn a_date_that_could_mean_two_days_or_none_is_not_guessed() {
        for text in ["", "soon", "02/03/2026", "2026-13-01", "31/31/2026", "12", "1/2/3/4"] {
            assert_eq!(seconds(text), None, "{text}");
        }
        assert!(seconds("05/05/2026").is_some());
    }
}
