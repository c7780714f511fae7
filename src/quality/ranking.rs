//! Which tests to look at first.

use super::day::Window;
use super::project::ProjectState;
use super::tests_state::TestState;

/// The lower bound of the 95 % Wilson score interval of `events` in `trials`: what the share is at least.
///
/// One in two says little, thirty in a hundred says much; ranked by this bound, the latter comes first.
pub fn wilson_lower_bound(events: u64, trials: u64) -> f64 {
    if trials == 0 {
        return 0.0;
    }
    let (z, trials) = (1.96_f64, trials as f64);
    let share = (events as f64 / trials).min(1.0);
    let spread = z * (share * (1.0 - share) / trials + z * z / (4.0 * trials * trials)).sqrt();
    ((share + z * z / (2.0 * trials) - spread) / (1.0 + z * z / trials)).max(0.0)
}

/// A test in a ranking, with the counts of the window it was ranked by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Its number in its project.
    pub test: u32,
    /// What it was ranked by: the Wilson bound of its flaky share, its mean duration in seconds, its failures.
    pub score: f64,
    /// Decisive executions.
    pub decisive: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Those of them that were flaky.
    pub flaky: u64,
    /// The mean duration of the decisive executions, in seconds.
    pub mean_seconds: f64,
}

/// The flaky tests of a window with at least the minimum sample, by the Wilson bound of their flaky share.
pub fn rank_flaky(state: &ProjectState, window: Window, minimum_sample: u32, limit: usize) -> Vec<Ranked> {
    let chosen = |test: &TestState| test.is_flaky(window);
    rank(state, window, u64::from(minimum_sample), limit, chosen, |sum| wilson_lower_bound(sum.flaky, sum.decisive))
}

/// The flaky tests of a window that have fewer decisive executions than it takes to be ranked, in the same order.
pub fn rank_unsure(state: &ProjectState, window: Window, minimum_sample: u32, limit: usize) -> Vec<Ranked> {
    let few = |test: &TestState| test.is_flaky(window) && counts(0, test, window).decisive < u64::from(minimum_sample);
    rank(state, window, 0, limit, few, |sum| wilson_lower_bound(sum.flaky, sum.decisive))
}

/// The tests that failed each time they were decided in a window, by how often they did.
pub fn rank_broken(state: &ProjectState, window: Window, limit: usize) -> Vec<Ranked> {
    rank(state, window, 1, limit, |test| test.is_broken(window), |sum| sum.failed as f64)
}

/// The tests of a window by their mean duration.
pub fn rank_slowest(state: &ProjectState, window: Window, limit: usize) -> Vec<Ranked> {
    rank(state, window, 1, limit, |test| test.last_decisive >= Some(window.first), |sum| sum.mean_seconds)
}

fn rank(
    state: &ProjectState,
    window: Window,
    minimum_sample: u64,
    limit: usize,
    chosen: impl Fn(&TestState) -> bool,
    score: impl Fn(&Ranked) -> f64,
) -> Vec<Ranked> {
    let mut ranked: Vec<Ranked> = (0u32..)
        .zip(state.tests())
        .filter(|(_, test)| chosen(test))
        .map(|(number, test)| {
            let mut counts = counts(number, test, window);
            counts.score = score(&counts);
            counts
        })
        .filter(|counts| counts.decisive >= minimum_sample)
        .collect();
    ranked.sort_by(|left, right| {
        right.score.total_cmp(&left.score).then(right.flaky.cmp(&left.flaky)).then(left.test.cmp(&right.test))
    });
    ranked.truncate(limit);
    ranked
}

/// A test's counts in a window, not ranked by anything.
pub fn counts(number: u32, test: &TestState, window: Window) -> Ranked {
    let sum = test.sum(window);
    let decisive = u64::from(sum.decisive);
    Ranked {
        test: number,
        score: 0.0,
        decisive,
        failed: u64::from(sum.failed),
        flaky: u64::from(sum.flaky),
        mean_seconds: sum.microseconds as f64 / 1e6 / decisive.max(1) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_in_a_hundred_rank_above_one_in_two() {
        // Worked by hand: 1 of 2 gives 0.0945, 30 of 100 gives 0.2189.
        assert!((wilson_lower_bound(1, 2) - 0.0945).abs() < 5e-4);
        assert!((wilson_lower_bound(30, 100) - 0.2189).abs() < 5e-4);
        assert_eq!(wilson_lower_bound(0, 0), 0.0);
        assert_eq!(wilson_lower_bound(0, 10), 0.0);
    }
}
