//! The dates that trackers write, read as moments. A date that could mean two days is not guessed, unless the other
//! dates of its list tell how it is meant.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

/// 1990: what is read as earlier was meant otherwise, and so were the zero dates of databases and languages.
pub(super) const EARLIEST: i64 = 631_152_000;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Which of day and month comes first where the year comes last and the month is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// `31/01/2026`
    DayFirst,
    /// `01/31/2026`
    MonthFirst,
}

/// What the dates of a list tell about how each of them is meant.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Orders {
    day_first: bool,
    month_first: bool,
    either: bool,
}

impl Orders {
    /// Looks at one more date.
    pub(super) fn see(&mut self, text: &str) {
        let Some(numbers) = Numbers::of(parts(text).0) else { return };
        match numbers.order() {
            Some(Order::DayFirst) => self.day_first = true,
            Some(Order::MonthFirst) => self.month_first = true,
            None => self.either |= numbers.could_mean_two_days(),
        }
    }

    /// The order of all of them: some can only be read in one, and none only in the other.
    pub(super) fn order(self) -> Option<Order> {
        match (self.day_first, self.month_first) {
            (true, false) => Some(Order::DayFirst),
            (false, true) => Some(Order::MonthFirst),
            _ => None,
        }
    }

    /// The order, where there is a date that cannot be read without it.
    pub(super) fn needed(self) -> Option<Order> {
        self.order().filter(|_| self.either)
    }
}

/// Whether a date could mean two days, so that it is read only in a known order.
pub(super) fn could_mean_two_days(text: &str) -> bool {
    Numbers::of(parts(text).0).is_some_and(|numbers| numbers.could_mean_two_days())
}

/// The seconds since 1970 of a date, or `None` where it cannot be read for certain. Without an offset it is UTC, without
/// a time of day the day's first second.
pub(super) fn seconds(text: &str, order: Option<Order>) -> Option<i64> {
    let text = text.trim();
    let seconds = if let Ok(moment) = text.parse::<Timestamp>() {
        moment.as_second()
    } else if let Ok(number) = text.parse::<i64>() {
        match epoch(number) {
            Some(seconds) => seconds,
            None => utc(without_separators(text)?, Time::midnight())?,
        }
    } else {
        let (day, clock) = parts(text);
        let day = day_of(day, order)?;
        if clock.is_empty() {
            utc(day, Time::midnight())?
        } else {
            let (time, offset) = time_of(clock)?;
            utc(day, time)? - offset
        }
    };
    (seconds >= EARLIEST).then_some(seconds)
}

/// Seconds or milliseconds since 1970; both are in use, and no defect is from before 2001 or after 2286.
fn epoch(number: i64) -> Option<i64> {
    match number {
        1_000_000_000..10_000_000_000 => Some(number),
        1_000_000_000_000..10_000_000_000_000 => Some(number / 1000),
        _ => None,
    }
}

/// `20260131`.
fn without_separators(text: &str) -> Option<Date> {
    if text.len() != 8 {
        return None;
    }
    date(number(text.get(..4)?)?, number(text.get(4..6)?)?, number(text.get(6..)?)?)
}

/// The day, and the time of day where there is one: it begins with the number before the first colon.
fn parts(text: &str) -> (&str, &str) {
    let text = text.trim();
    let Some(colon) = text.find(':') else { return (text, "") };
    let begin = text[..colon].trim_end_matches(|c: char| c.is_ascii_digit()).len();
    (text[..begin].trim_end_matches([' ', ',', 'T']), &text[begin..])
}

fn day_of(text: &str, order: Option<Order>) -> Option<Date> {
    if let Some(numbers) = Numbers::of(text) {
        return numbers.date(order);
    }
    let mut words = text.split([' ', ',', '-', '/', '.']).filter(|word| !word.is_empty()).peekable();
    words.next_if(|word| place_in(&DAYS, word).is_some());
    let (first, second, third) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    match (month_in(first), month_in(second)) {
        (Some(month), None) => date(year(third)?, month, day(second)?),
        (None, Some(month)) if first.len() == 4 => date(year(first)?, month, day(third)?),
        (None, Some(month)) => date(year(third)?, month, day(first)?),
        _ => None,
    }
}

/// Months as German trackers and spreadsheets write them, where that is another word; of `juni` and `juli` three letters
/// are those of the English ones.
const GERMAN: [(&str, i16); 8] = [
    ("januar", 1),
    ("februar", 2),
    ("märz", 3),
    ("maerz", 3),
    ("mrz", 3),
    ("mai", 5),
    ("oktober", 10),
    ("dezember", 12),
];

/// The month that a word names, from 1.
fn month_in(word: &str) -> Option<i16> {
    let plain = word.to_lowercase();
    let german = || {
        let is = |name: &str| plain.chars().count() >= 3 && name.starts_with(&plain);
        GERMAN.iter().find(|(name, _)| is(name)).map(|(_, month)| *month)
    };
    match plain.as_str() {
        "juni" => Some(6),
        "juli" => Some(7),
        _ => place_in(&MONTHS, word).or_else(german),
    }
}

/// Which of these names a word is, from 1, in full or by at least its first three letters.
fn place_in(names: &[&str], word: &str) -> Option<i16> {
    let word = word.to_ascii_lowercase();
    let is = |name: &&str| word.len() >= 3 && name.starts_with(&word);
    i16::try_from(names.iter().position(is)? + 1).ok()
}

/// A day in three numbers, and what stands between them.
struct Numbers<'t> {
    parts: [&'t str; 3],
    between: char,
}

impl<'t> Numbers<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let between = text.chars().find(|c| !c.is_ascii_digit()).filter(|c| ['-', '/', '.'].contains(c))?;
        let mut all = text.split(between).map(str::trim);
        let parts = [all.next()?, all.next()?, all.next()?];
        let are_numbers = parts.iter().all(|part| number(part).is_some());
        (are_numbers && all.next().is_none()).then_some(Self { parts, between })
    }

    fn date(&self, order: Option<Order>) -> Option<Date> {
        let [first, second, third] = self.parts;
        if first.len() == 4 {
            return date(year(first)?, day(second)?, day(third)?);
        }
        if self.between == '.' {
            return date(year(third)?, day(second)?, day(first)?);
        }
        let (day, month) = match self.order().or(order) {
            Some(Order::DayFirst) => (first, second),
            Some(Order::MonthFirst) => (second, first),
            None if number(first) == number(second) => (first, second),
            None => return None,
        };
        // Between dashes the two digits of a year stand in front as often as behind.
        if self.between == '-' && third.len() != 4 {
            return None;
        }
        date(year(third)?, self::day(month)?, self::day(day)?)
    }

    /// The order that this date can only be in.
    fn order(&self) -> Option<Order> {
        match (number(self.parts[0])?, number(self.parts[1])?) {
            _ if !self.has_either_order() => None,
            (13..=31, 1..=12) => Some(Order::DayFirst),
            (1..=12, 13..=31) => Some(Order::MonthFirst),
            _ => None,
        }
    }

    /// Whether day and month stand in either order where the numbers are written like this.
    fn has_either_order(&self) -> bool {
        let [first, _, third] = self.parts;
        first.len() <= 2 && (self.between == '/' || (self.between == '-' && third.len() == 4))
    }

    fn could_mean_two_days(&self) -> bool {
        let (first, second) = (number(self.parts[0]), number(self.parts[1]));
        let is_month = |part: Option<i16>| part.is_some_and(|number| (1..=12).contains(&number));
        self.has_either_order() && first != second && is_month(first) && is_month(second)
    }
}

fn number(text: &str) -> Option<i16> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn day(text: &str) -> Option<i16> {
    if text.len() <= 2 { number(text) } else { None }
}

/// A year of two digits is one of this century, unless that is far off.
fn year(text: &str) -> Option<i16> {
    match (text.len(), number(text)?) {
        (4, year) => Some(year),
        (2, year @ 70..) => Some(1900 + year),
        (2, year) => Some(2000 + year),
        _ => None,
    }
}

fn date(year: i16, month: i16, day: i16) -> Option<Date> {
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// `15:04`, `3:04:05 PM`, `15:04:05.678+02:00`, `15:04 GMT`: the time, and the seconds it is ahead of UTC.
fn time_of(text: &str) -> Option<(Time, i64)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.').unwrap_or(text.len());
    let (clock, rest) = text.split_at(end);
    let mut parts = clock.split(':');
    let (hour, minute, second) = (day(parts.next()?)?, day(parts.next()?)?, parts.next().unwrap_or("0"));
    let second = day(second.split_once('.').map_or(second, |(whole, _)| whole))?;
    if parts.next().is_some() {
        return None;
    }
    let rest = rest.trim();
    let half = rest.get(..2).unwrap_or_default().to_ascii_lowercase();
    let (hour, rest) = match (half.as_str(), hour) {
        ("am", 1..=12) => (hour % 12, rest[2..].trim()),
        ("pm", 1..=12) => (hour % 12 + 12, rest[2..].trim()),
        ("am" | "pm", _) => return None,
        _ => (hour, rest),
    };
    let narrow = |number: i16| i8::try_from(number).ok();
    let time = Time::new(narrow(hour)?, narrow(minute)?, narrow(second)?, 0).ok()?;
    Some((time, offset_of(rest)?))
}

fn offset_of(text: &str) -> Option<i64> {
    let text = ["UTC", "GMT", "Z"].iter().find_map(|zero| text.strip_prefix(zero)).unwrap_or(text);
    if text.is_empty() {
        return Some(0);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits.replace(':', "")),
        ("-", digits) => (-1, digits.replace(':', "")),
        _ => return None,
    };
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes = if minutes.is_empty() { 0 } else { day(minutes)? };
    Some(sign * (i64::from(day(hours)?) * 3_600 + i64::from(minutes) * 60))
}

fn utc(day: Date, time: Time) -> Option<i64> {
    day.to_datetime(time).to_zoned(TimeZone::UTC).ok().map(|moment| moment.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(texts: &[&str]) -> Orders {
        let mut orders = Orders::default();
        texts.iter().for_each(|text| orders.see(text));
        orders
    }

    fn moment(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn dates_of_many_trackers_are_read() {
        for (text, expected) in [
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31T08:09:10Z", "2026-01-31T08:09:10Z"),
            ("2026-01-31T08:09:10+02:00", "2026-01-31T06:09:10Z"),
            ("2026-01-31T08:09:10.000+0200", "2026-01-31T06:09:10Z"),
            ("2026-01-31 08:09:10 +0200", "2026-01-31T06:09:10Z"),
            ("2026-01-31 08:09:10.123456+00", "2026-01-31T08:09:10Z"),
            ("2026-01-31 08:09:10 UTC", "2026-01-31T08:09:10Z"),
            ("2026-01-31 08:09:10", "2026-01-31T08:09:10Z"),
            ("2026-01-31 08:09", "2026-01-31T08:09:00Z"),
            ("2026-01-31T08:09", "2026-01-31T08:09:00Z"),
            ("2026/01/31", "2026-01-31T00:00:00Z"),
            ("20260131", "2026-01-31T00:00:00Z"),
            ("31/Jan/26 3:04 PM", "2026-01-31T15:04:00Z"),
            ("31/Jan/26 12:04 AM", "2026-01-31T00:04:00Z"),
            ("31-Jan-2026", "2026-01-31T00:00:00Z"),
            ("2026-Jan-31", "2026-01-31T00:00:00Z"),
            ("Jan 31, 2026", "2026-01-31T00:00:00Z"),
            ("January 31, 2026, 3:04:05 PM", "2026-01-31T15:04:05Z"),
            ("31 Jan 2026 08:00", "2026-01-31T08:00:00Z"),
            ("Sat, 31 Jan 2026 10:00:00 GMT", "2026-01-31T10:00:00Z"),
            ("Sat, 31 Jan 2026 10:00:00 -0130", "2026-01-31T11:30:00Z"),
            ("31.01.2026", "2026-01-31T00:00:00Z"),
            ("2.1.2026 08:00:10", "2026-01-02T08:00:10Z"),
            ("31/01/2026", "2026-01-31T00:00:00Z"),
            ("31-01-2026", "2026-01-31T00:00:00Z"),
            ("01/31/2026 10:00", "2026-01-31T10:00:00Z"),
            ("1769817600", "2026-01-31T00:00:00Z"),
            ("1769817600000", "2026-01-31T00:00:00Z"),
        ] {
            assert_eq!(seconds(text, None), Some(moment(expected)), "{text}");
        }
    }

    #[test]
    fn a_year_of_two_digits_is_one_of_our_time() {
        for (text, expected) in [
            ("02/Nov/26 15:04", "2026-11-02T15:04:00Z"),
            ("02/Nov/26", "2026-11-02T00:00:00Z"),
            ("13.11.26", "2026-11-13T00:00:00Z"),
            ("2.11.26 15:04", "2026-11-02T15:04:00Z"),
            ("11/23/26", "2026-11-23T00:00:00Z"),
            ("23/11/26 10:00", "2026-11-23T10:00:00Z"),
            ("23/11/99", "1999-11-23T00:00:00Z"),
        ] {
            assert_eq!(seconds(text, None), Some(moment(expected)), "{text}");
        }
    }

    #[test]
    fn a_date_that_could_mean_two_days_or_none_is_not_guessed() {
        for text in [
            "",
            "soon",
            "02/03/2026",
            "02-03-2026",
            "26-11-02",
            "13-11-26",
            "2026-13-01",
            "31/31/2026",
            "12",
            "1/2/3/4",
            "0026-11-02",
            "0001-01-01T00:00:00Z",
            "1970-01-01",
            "31/01/026",
            "20261341",
            "Jan 2026",
            "31 Foo 2026",
            "2026-01-31 25:00",
            "2026-01-31 13:00 PM",
            "2026-01-31 08:00 CEST",
            ":",
            "é:é",
        ] {
            assert_eq!(seconds(text, None), None, "{text}");
        }
        assert!(seconds("05/05/2026", None).is_some());
    }

    #[test]
    fn the_dates_of_a_list_tell_how_each_of_them_is_meant() {
        let order = |texts: &[&str]| orders(texts).order();
        assert_eq!(order(&["02/11/2026", "13/11/2026 10:00", "", "soon"]), Some(Order::DayFirst));
        assert_eq!(order(&["02-11-2026", "11-13-2026"]), Some(Order::MonthFirst));
        assert_eq!(order(&["13/11/2026", "11/13/2026", "14/11/2026"]), None, "they contradict each other");
        assert_eq!(order(&["02/11/2026", "2026-11-13", "13.11.2026", "13-11-26"]), None, "they tell nothing");
        assert_eq!(seconds("02/11/2026", Some(Order::DayFirst)), Some(moment("2026-11-02T00:00:00Z")));
        assert_eq!(seconds("02/11/2026", Some(Order::MonthFirst)), Some(moment("2026-02-11T00:00:00Z")));
        assert_eq!(seconds("2026-11-02", Some(Order::DayFirst)), Some(moment("2026-11-02T00:00:00Z")));
    }

    #[test]
    fn an_order_is_needed_only_where_a_date_could_mean_two_days() {
        assert_eq!(orders(&["13/11/2026", "05/05/2026", "2.11.2026", "2026-11-02", "02-11-26"]).needed(), None);
        assert_eq!(orders(&["13/11/2026", "02/11/2026 10:00"]).needed(), Some(Order::DayFirst));
        assert_eq!(orders(&["02/11/2026", "03/11/2026"]).needed(), None, "nothing tells it");
        for (text, expected) in [
            ("02/11/26", true),
            ("2-11-2026 8:00", true),
            ("02/13/2026", false),
            ("02.11.2026", false),
            ("0/2/26", false),
        ] {
            assert_eq!(could_mean_two_days(text), expected, "{text}");
        }
    }
}
