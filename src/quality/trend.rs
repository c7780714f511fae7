//! Windows that ended on earlier days: what a trend and "the week before" are made of.
//!
//! Executions, defects and deployments are kept by day, so that an earlier window of them is summed as today's is.
//! Distinct tests are counted on their last day only; for earlier windows they are counted again, from the days that
//! each test keeps. What is known of the past is told as the rules see it now.

use super::day::Day;
use super::figures::{FigureName, Figures, WindowSums, figures};
use super::project::ProjectState;
use super::rules::Rules;
use super::tests_state::TestState;

/// The most days a trend goes over: their windows are marked in one word a test.
const LONGEST: u32 = 64;

/// The figures as a day ended with them; today's as they are now.
#[derive(Debug, Clone, PartialEq)]
pub struct TrendPoint {
    /// The day.
    pub day: Day,
    /// The figures of the windows that end with it.
    pub figures: Figures,
}

/// Whether a figure's earlier values can be told: what is open is known as of now, and so are the tests that were
/// only ever skipped.
pub fn has_a_past(name: FigureName) -> bool {
    !matches!(name, FigureName::Tests | FigureName::OpenDefects | FigureName::OpenDefectAge)
}

/// The points of a trend from the sums of its windows, which are those of consecutive days and end with today.
pub fn trend(windows: &[WindowSums], now: i64, rules: &Rules) -> Vec<TrendPoint> {
    let days = (0u32..).map(|back| Day::of(now).back(back));
    let mut points: Vec<TrendPoint> =
        windows.iter().rev().zip(days).map(|(sums, day)| TrendPoint { day, figures: figures(sums, rules) }).collect();
    points.reverse();
    points
}

impl ProjectState {
    /// The sums of the windows that end with each of the last `days` days, oldest first, the last one now. Tests keep
    /// their days for two windows back, so that a trend is at most one day longer than a window.
    pub fn windows(&self, now: i64, days: u32, rules: &Rules) -> Vec<WindowSums> {
        let span = Span { last: Day::of(now), points: days.clamp(1, LONGEST.min(rules.flake_window_days + 1)), rules };
        let mut counted = vec![(0, 0, 0); span.points as usize];
        for test in self.tests() {
            let Marks { decided, flaky, passed } = span.marks(test);
            // Most tests are nothing but decided and passed, everywhere alike.
            for (point, (of_decided, of_flaky, of_broken)) in counted.iter_mut().enumerate() {
                *of_decided += decided >> point & 1;
                *of_flaky += (flaky & passed) >> point & 1;
                *of_broken += (decided & !passed) >> point & 1;
            }
        }
        counted
            .into_iter()
            .enumerate()
            .map(|(point, (decided, flaky, broken))| {
                let day = span.last.back(span.points - 1 - point as u32);
                if day == span.last {
                    return self.sums.window(now, rules);
                }
                WindowSums {
                    seen_tests: decided,
                    decided_tests: decided,
                    flaky_tests: flaky,
                    broken_tests: broken,
                    ..self.sums.window(day.start() + 86_399, rules)
                }
            })
            .collect()
    }
}

/// The days a trend goes over.
struct Span<'a> {
    last: Day,
    points: u32,
    rules: &'a Rules,
}

/// In which of the windows a test was what; the lowest bit is the oldest window.
struct Marks {
    decided: u64,
    flaky: u64,
    passed: u64,
}

impl Span<'_> {
    fn marks(&self, test: &TestState) -> Marks {
        let mut marks = Marks { decided: 0, flaky: 0, passed: 0 };
        for day in &test.days {
            let windows = self.windows_with(day.day);
            marks.decided |= if day.decisive > 0 { windows } else { 0 };
            marks.flaky |= if day.flaky > 0 { windows } else { 0 };
            marks.passed |= if day.decisive > day.failed { windows } else { 0 };
        }
        marks
    }

    /// The windows that a day lies in.
    fn windows_with(&self, day: Day) -> u64 {
        let oldest = i64::from(self.last.0) - i64::from(self.points) + 1;
        let first = i64::from(day.0) - oldest;
        let last = first + i64::from(self.rules.flake_window_days) - 1;
        let (first, last) = (first.max(0), last.min(i64::from(self.points) - 1));
        if first > last {
            return 0;
        }
        let up_to = |bit: i64| u64::MAX >> (63 - bit);
        up_to(last) & !(up_to(first) >> 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::{CodeOutcomes, CompiledRules, Observation, ReportFacts, RunSums};
    use crate::reports::Outcome;

    const NOON: i64 = 43_200;

    fn fold(state: &mut ProjectState, rules: &CompiledRules, id: i64, day: i32, outcomes: &[(u32, Outcome, bool)]) {
        let observations: Vec<Observation> = outcomes
            .iter()
            .map(|&(test, outcome, flaky)| Observation { test, outcome, flaky, microseconds: Some(1000) })
            .collect();
        let facts = ReportFacts {
            id,
            run_id: id,
            at: Day(day).start() + NOON,
            branch: Some("main"),
            default_branch: "main",
            attempt: 1,
            place: 0,
            microseconds: None,
            opens_run: true,
            run: RunSums::default(),
            observations: &observations,
        };
        state.fold(rules, &facts, None::<&mut CodeOutcomes>);
    }

    /// What a trend says of a day is what the figures said on that day: all reports that came later are left out.
    #[test]
    fn each_point_is_what_the_figures_were_when_its_day_ended() {
        let rules = Rules { flake_window_days: 5, ..Rules::default() }.compile().unwrap();
        let (passed, failed, skipped) = (Outcome::Passed, Outcome::Failed, Outcome::Skipped);
        let reports = [
            (100, vec![(0, passed, false), (1, passed, true), (2, failed, false)]),
            (101, vec![(0, failed, false), (2, failed, false), (3, skipped, false)]),
            (103, vec![(0, passed, true), (2, passed, false)]),
            (104, vec![(1, failed, false), (3, passed, false)]),
            (106, vec![(0, passed, false), (3, passed, true)]),
            (107, vec![(1, passed, false), (2, failed, false)]),
        ];
        let state_until = |last: i32| {
            let mut state = ProjectState::default();
            state.register((0..4).map(|test| (test, "suite", None)));
            for (id, (day, outcomes)) in (1i64..).zip(&reports).filter(|(_, (day, _))| *day <= last) {
                fold(&mut state, &rules, id, *day, outcomes);
            }
            state
        };
        let now = Day(107).start() + NOON + 60;
        let windows = state_until(107).windows(now, 6, &rules.rules);
        assert_eq!(windows.len(), 6);
        for (sums, day) in windows.iter().zip(102..) {
            let then = state_until(day).sums.window(Day(day).start() + 86_399, &rules.rules);
            let numbers = |sums: &WindowSums| {
                (sums.decided_tests, sums.flaky_tests, sums.broken_tests, sums.executions.passed, sums.executions.flaky)
            };
            assert_eq!(numbers(sums), numbers(&then), "day {day}");
        }
        assert!(windows[0].flaky_tests > 0 && windows[0].broken_tests > 0, "{:?}", windows[0]);
    }

    #[test]
    fn a_trend_is_no_longer_than_what_tests_keep() {
        let rules = Rules { flake_window_days: 5, ..Rules::default() };
        assert_eq!(ProjectState::default().windows(0, 30, &rules).len(), 6);
        let points = trend(&[WindowSums::default(), WindowSums::default()], Day(9).start(), &rules);
        assert_eq!(points.iter().map(|point| point.day.0).collect::<Vec<_>>(), [8, 9]);
    }
}
