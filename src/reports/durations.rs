//! Reads the times that reports contain, the odd ones too, and says what it had to guess.

use super::model::Attempt;
use std::time::Duration;

/// A time as far as it could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The time; nothing where the text makes no sense as one.
    pub duration: Option<Duration>,
    /// The warning word, where something had to be guessed or left out.
    pub warning: Option<&'static str>,
}

impl Reading {
    fn sure(duration: Duration) -> Self {
        Self { duration: Some(duration), warning: None }
    }

    fn guessed(duration: Option<Duration>) -> Self {
        let warning = Some(if duration.is_some() { "time_ambiguous" } else { "time_unreadable" });
        Self { duration, warning }
    }

    fn nothing(warning: &'static str) -> Self {
        Self { duration: None, warning: Some(warning) }
    }
}

/// Reads seconds, as nearly every dialect writes them.
///
/// Comma and point together: the earlier one groups thousands (`2,503.1`). A comma alone is the decimal sign
/// (`0,288`, as xUnit.net v2 writes on a German machine); several commas alone group thousands.
pub(crate) fn seconds(text: &str) -> Reading {
    if let Some(duration) = plain_seconds(text.trim_ascii().as_bytes()) {
        return Reading::sure(duration);
    }
    let text = text.trim();
    if text.is_empty() {
        return Reading { duration: None, warning: None };
    }
    if text.contains(':') {
        return Reading::guessed(clock(text));
    }
    match (text.rfind(','), text.rfind('.')) {
        (None, _) => match text.parse::<f64>() {
            Ok(value) if value < 0.0 => Reading::nothing("time_negative"),
            Ok(value) => match Duration::try_from_secs_f64(value) {
                Ok(duration) => Reading::sure(duration),
                Err(_) => Reading::nothing("time_unreadable"),
            },
            Err(_) => Reading::nothing("time_unreadable"),
        },
        (Some(comma), Some(point)) if comma < point => Reading::guessed(float(&text.replace(',', ""))),
        (Some(_), Some(_)) => Reading::guessed(float(&text.replace('.', "").replace(',', "."))),
        (Some(_), None) if text.matches(',').count() > 1 => Reading::guessed(float(&text.replace(',', ""))),
        (Some(_), None) => Reading::guessed(float(&text.replace(',', "."))),
    }
}

/// Reads `hh:mm:ss.fraction` with optional days in front (`1.02:03:04.5`), as .NET writes durations.
fn clock(text: &str) -> Option<Duration> {
    let (rest, seconds) = text.trim().rsplit_once(':')?;
    let seconds = plain_seconds(seconds.as_bytes())?;
    let (hours, minutes) = rest.rsplit_once(':').unwrap_or(("0", rest));
    let (days, hours) = hours.split_once('.').unwrap_or(("0", hours));
    let (days, hours, minutes) = (days.parse::<u32>().ok()?, hours.parse::<u32>().ok()?, minutes.parse::<u32>().ok()?);
    let whole = u64::from(days) * 86_400 + u64::from(hours) * 3_600 + u64::from(minutes) * 60;
    Duration::from_secs(whole).checked_add(seconds)
}

/// Reads what TRX writes: always a clock's time, so that nothing is guessed.
pub(crate) fn clock_time(text: &str) -> Reading {
    match clock(text) {
        Some(duration) => Reading::sure(duration),
        None if text.trim().is_empty() => Reading { duration: None, warning: None },
        None if text.trim_start().starts_with('-') => Reading::nothing("time_negative"),
        None => Reading::nothing("time_unreadable"),
    }
}

/// Reads a number of milliseconds, as JSON formats write them.
pub(crate) fn milliseconds(value: f64) -> Reading {
    if value < 0.0 {
        return Reading::nothing("time_negative");
    }
    match Duration::try_from_secs_f64(value / 1_000.0) {
        Ok(duration) => Reading::sure(duration),
        Err(_) => Reading::nothing("time_unreadable"),
    }
}

/// The time of all attempts together, where each of them tells its own. A time may be as long as the type holds, and
/// two of those are no longer.
pub(crate) fn total(attempts: &[Attempt]) -> Option<Duration> {
    attempts.iter().try_fold(Duration::ZERO, |sum, attempt| Some(sum.saturating_add(attempt.duration?)))
}

fn float(text: &str) -> Option<Duration> {
    text.parse::<f64>().ok().and_then(|value| Duration::try_from_secs_f64(value).ok())
}

/// Digits with at most one point, without going through a float: nearly every time of nearly every report.
fn plain_seconds(text: &[u8]) -> Option<Duration> {
    let mut whole: u64 = 0;
    let mut nanoseconds: u32 = 0;
    let mut scale: u32 = 1_000_000_000;
    let mut fraction = false;
    let mut digits = 0_usize;
    for byte in text {
        match byte {
            b'0'..=b'9' if fraction => {
                scale /= 10;
                nanoseconds += u32::from(byte - b'0') * scale;
                digits += 1;
            }
            b'0'..=b'9' => {
                whole = whole.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                digits += 1;
            }
            b'.' if !fraction => fraction = true,
            _ => return None,
        }
    }
    (digits > 0).then(|| Duration::new(whole, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<f64>, Option<&'static str>) {
        let reading = seconds(text);
        (reading.duration.map(|duration| duration.as_secs_f64()), reading.warning)
    }

    #[test]
    fn ordinary_times_are_read_without_a_warning() {
        assert_eq!(read("0.001"), (Some(0.001), None));
        assert_eq!(read("12"), (Some(12.0), None));
        assert_eq!(read(" 1.5 "), (Some(1.5), None));
        assert_eq!(read("8.7e-05"), (Some(0.000_087), None));
        assert_eq!(read("1E-07"), (Some(0.000_000_1), None));
        assert_eq!(read(""), (None, None));
        assert_eq!(seconds("0.1234567891").duration, Some(Duration::from_nanos(123_456_789)));
    }

    #[test]
    fn a_comma_and_a_point_group_thousands_and_a_comma_alone_is_decimal() {
        assert_eq!(read("2,503.1"), (Some(2503.1), Some("time_ambiguous")));
        assert_eq!(read("2.503,1"), (Some(2503.1), Some("time_ambiguous")));
        assert_eq!(read("0,288"), (Some(0.288), Some("time_ambiguous")));
        assert_eq!(read("1,234,567"), (Some(1_234_567.0), Some("time_ambiguous")));
    }

    #[test]
    fn a_time_that_makes_no_sense_is_left_out_with_a_warning() {
        assert_eq!(read("-3"), (None, Some("time_negative")));
        assert_eq!(read("-345345"), (None, Some("time_negative")));
        assert_eq!(read("<<computed>>"), (None, Some("time_unreadable")));
        assert_eq!(read("NaN"), (None, Some("time_unreadable")));
        assert_eq!(read("1e999"), (None, Some("time_unreadable")));
        assert_eq!(read("."), (None, Some("time_unreadable")));
        assert_eq!(read("99999999999999999999999"), (None, Some("time_unreadable")));
    }

    #[test]
    fn clock_times_are_read_with_days_and_fractions() {
        assert_eq!(clock("00:00:01.5"), Some(Duration::from_millis(1_500)));
        assert_eq!(clock("1.02:03:04"), Some(Duration::from_secs(86_400 + 7_384)));
        assert_eq!(clock("02:03"), Some(Duration::from_secs(123)));
        assert_eq!(clock("a:b:c"), None);
        assert_eq!(clock_time("00:01:00"), Reading::sure(Duration::from_secs(60)));
        assert_eq!(clock_time("-00:00:01").warning, Some("time_negative"));
        assert_eq!(clock_time("PT1S").warning, Some("time_unreadable"));
        assert_eq!(clock_time("").warning, None);
        assert_eq!(read("00:01:00"), (Some(60.0), Some("time_ambiguous")));
    }

    #[test]
    fn the_time_of_all_attempts_has_a_longest_one_and_needs_every_part() {
        let total = |durations: &[Option<Duration>]| {
            let attempt = |duration: &Option<Duration>| Attempt::plain(crate::reports::Outcome::Passed, *duration);
            super::total(&durations.iter().map(attempt).collect::<Vec<_>>())
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(total(&[second, second]), Some(Duration::from_secs(2)));
        assert_eq!(total(&[second, None]), None);
        assert_eq!(total(&[Some(Duration::MAX), second]), Some(Duration::MAX));
    }

    #[test]
    fn milliseconds_below_zero_are_left_out() {
        assert_eq!(milliseconds(1_500.0).duration, Some(Duration::from_millis(1_500)));
        assert_eq!(milliseconds(-1.0).warning, Some("time_negative"));
    }
}
