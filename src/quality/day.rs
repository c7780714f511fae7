//! UTC days, and windows of them.

use serde::{Deserialize, Serialize};

const SECONDS: i64 = 86_400;

/// A UTC day, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(pub i32);

impl Day {
    /// The day a moment lies in; the moment is in seconds since 1970.
    pub fn of(seconds: i64) -> Self {
        Self(i32::try_from(seconds.div_euclid(SECONDS)).unwrap_or(if seconds < 0 { i32::MIN } else { i32::MAX }))
    }

    /// The day's first second, since 1970.
    pub fn start(self) -> i64 {
        i64::from(self.0) * SECONDS
    }

    /// The day so many days earlier.
    #[must_use]
    pub fn back(self, days: u32) -> Self {
        Self(self.0.saturating_sub_unsigned(days))
    }
}

/// The days from `first` to `last`, both counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first day that counts.
    pub first: Day,
    /// The last day that counts.
    pub last: Day,
}

impl Window {
    /// The window of so many days that ends with the day `last`.
    pub fn ending(last: Day, days: u32) -> Self {
        Self { first: last.back(days.saturating_sub(1)), last }
    }

    /// Whether a day lies in it.
    pub fn contains(self, day: Day) -> bool {
        self.first <= day && day <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_utc_before_and_after_1970() {
        assert_eq!(Day::of(86_399), Day(0));
        assert_eq!(Day::of(86_400), Day(1));
        assert_eq!(Day::of(-1), Day(-1));
        assert_eq!(Day(3).start(), 259_200);
    }

    #[test]
    fn a_window_of_fourteen_days_is_today_and_the_thirteen_before() {
        let window = Window::ending(Day(100), 14);
        assert!(window.contains(Day(100)) && window.contains(Day(87)));
        assert!(!window.contains(Day(86)) && !window.contains(Day(101)));
    }
}
