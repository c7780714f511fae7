//! Every figure's definition, once: a pure algebra from test reports and defects to numbers.
//!
//! [`ProjectState::fold`] takes one report at a time; what it keeps are day buckets and counts that add up, so
//! that a rolling window is a sum over a few days and costs nothing at a scrape. [`ProjectSums::window`] cuts a
//! window out of them, [`WindowSums`] of several projects add up, and [`figures`] turns them into [`Figures`].
//!
//! This room does no I/O and reads no clock: time comes in as a value. Days are UTC days, and a window of 14
//! days is the current UTC day and the 13 before it. No data is `None`, never 0.
//!
//! The definitions of the two figures that everything else explains:
//!
//! * A *flaky execution* passed only after a failed attempt of its own run, or failed on code (same tree, else
//!   same commit, in the same environment and variant) on which the same test passed in another run or when the failed ones were tried again.
//! * `flake_rate` = tests with a flaky execution and a pass in the window / tests with a decisive outcome in the
//!   window. Skipped executions are in neither. A test that only fails is broken, not flaky.
//! * `defect_leakage` = valid production defects / (valid production + valid pre-release defects) by the day
//!   they were created.

mod buckets;
mod code;
mod colour;
mod day;
mod defects;
mod figures;
mod histogram;
mod naming;
mod project;
#[cfg(test)]
mod properties;
mod ranking;
mod rules;
mod tests_state;
mod trend;

pub use buckets::{DayBucket, DayCounts, Recoveries};
pub use code::{CodeOutcomes, FlakyFailure, Told};
pub use colour::{Changes, Colour, Decided, Recovered};
pub use day::{Day, Window};
pub use defects::{Classification, Defect, DefectKind, DefectRule, DefectRules, DefectSums, LeakageDenominator, Phase};
pub use figures::{Figure, FigureName, Figures, Unit, WindowSums, figures};
pub use histogram::DurationHistogram;
pub use naming::UnknownFigure;
pub use project::{Deployments, DistinctTests, Observation, ProjectState, ProjectSums, ReportFacts};
pub use ranking::{Ranked, counts, rank_broken, rank_flaky, rank_slowest, rank_unsure, wilson_lower_bound};
pub use rules::{BranchScope, CompiledRules, InfrastructureGuard, Rules, RulesError, RunSums, Standing};
pub use tests_state::{FlakeEvent, FlakeKind, TestDay, TestState};
pub use trend::{TrendPoint, has_a_past, trend};
