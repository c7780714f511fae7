//! The algebra's laws: the order of the reports changes no figure, and what is kept step by step is what the
//! definitions say when they are applied to all reports at once.

use super::*;
use crate::reports::Outcome;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const TODAY: i32 = 100;
const NOW: i64 = TODAY as i64 * 86_400 + 40_000;
const TESTS: u32 = 6;

#[derive(Debug, Clone)]
struct Report {
    id: i64,
    run: i64,
    day: i32,
    branch: &'static str,
    attempt: u32,
    code: Option<u8>,
    observations: Vec<Observation>,
}

impl Report {
    fn at(&self) -> i64 {
        Day(self.day).start() + 3600 + self.id
    }
}

prop_compose! {
    fn any_observation()(test in 0..TESTS, outcome in prop::sample::select(vec![Outcome::Passed, Outcome::Passed, Outcome::Failed, Outcome::Error, Outcome::Skipped]),
        flaky in prop::bool::weighted(0.1), microseconds in prop::option::of(0..5_000_000u64)) -> Observation {
        Observation { test, outcome, flaky: flaky && outcome == Outcome::Passed, microseconds }
    }
}

prop_compose! {
    fn any_report()(run in 1..9i64, day in TODAY - 40..=TODAY, branch in prop::sample::select(vec!["main", "release/1", "feature/x"]), attempt in 1..3u32,
        code in prop::option::of(0..4u8), mut observations in prop::collection::vec(any_observation(), 0..8)) -> Report {
        observations.sort_by_key(|observation| observation.test);
        Report { id: 0, run, day, branch, attempt, code, observations }
    }
}

fn any_history() -> impl Strategy<Value = Vec<Report>> {
    prop::collection::vec(any_report(), 0..25).prop_map(|mut reports| {
        (1..).zip(&mut reports).for_each(|(id, report)| report.id = id);
        reports
    })
}

fn rules() -> CompiledRules {
    // A small guard, so that it has something to do here.
    let infrastructure_guard = InfrastructureGuard { minimum_decisive: 5, failed_share: 0.8 };
    Rules { branches: vec!["main".into(), "release/*".into()], infrastructure_guard, ..Rules::default() }
        .compile()
        .unwrap()
}

/// The sums of a run of one report.
fn run_of(observations: &[Observation]) -> RunSums {
    let count = |counts: fn(Outcome) -> bool| observations.iter().filter(|one| counts(one.outcome)).count() as u64;
    RunSums { decisive: count(Outcome::is_decisive), failed: count(Outcome::is_failure) }
}

fn fold(reports: &[&Report], rules: &CompiledRules) -> ProjectState {
    let mut state = ProjectState::default();
    state.register((0..TESTS).map(|test| (test, if test % 2 == 0 { "even" } else { "odd" }, None)));
    let mut codes: HashMap<u8, CodeOutcomes> = HashMap::new();
    for report in reports {
        let facts = ReportFacts {
            id: report.id,
            run_id: report.run,
            at: report.at(),
            branch: Some(report.branch),
            default_branch: "main",
            attempt: report.attempt,
            place: 0,
            microseconds: None,
            opens_run: true,
            run: run_of(&report.observations),
            observations: &report.observations,
        };
        state.fold(rules, &facts, report.code.map(|code| codes.entry(code).or_default()));
    }
    state
}

fn sums(state: &ProjectState, rules: &CompiledRules) -> WindowSums {
    state.sums.window(NOW, &rules.rules)
}

/// Whether each test was decided as rarely on the default branch as it remembers.
fn is_remembered(history: &[Report]) -> bool {
    let decided = |test| {
        let reports = history.iter().filter(|report| report.branch == "main");
        let observations = reports.flat_map(|report| &report.observations);
        observations.filter(|one| one.test == test && one.outcome.is_decisive()).count()
    };
    (0..TESTS).all(|test| decided(test) <= colour::REMEMBERED)
}

/// The recoveries of the window, by the moments of the runs.
fn recoveries_by_definition(counted: &[&Report]) -> Recoveries {
    let mut in_order: Vec<_> = counted.iter().filter(|report| report.branch == "main").collect();
    in_order.sort_by_key(|report| report.at());
    let mut recoveries = Recoveries::default();
    for test in 0..TESTS {
        let mut red = None;
        for report in &in_order {
            for one in report.observations.iter().filter(|one| one.test == test && one.outcome.is_decisive()) {
                if one.outcome.is_failure() {
                    red = red.or(Some(report.at()));
                } else if let Some(red) = red.take().filter(|_| report.day > TODAY - 14) {
                    recoveries.count += 1;
                    recoveries.seconds += report.at().abs_diff(red);
                }
            }
        }
    }
    recoveries
}

/// The definitions, applied to all reports at once in the most direct way.
fn by_definition(
    reports: &[Report],
    rules: &CompiledRules,
) -> (BTreeMap<&'static str, u64>, BTreeSet<u32>, Recoveries) {
    let counts = |report: &&Report| {
        rules.standing(Some(report.branch), report.attempt, run_of(&report.observations)) == Standing::Counts
    };
    let counted: Vec<&Report> = reports.iter().filter(counts).collect();
    let last_of = |report: &Report, test: u32| report.observations.iter().rfind(|one| one.test == test).copied();
    let tests_of = |report: &Report, wanted: fn(Outcome) -> bool| -> BTreeSet<u32> {
        (0..TESTS).filter(|&test| last_of(report, test).is_some_and(|one| wanted(one.outcome))).collect()
    };
    // In a report of the same run only the failed tests tried again are the same code twice.
    let tries_again = |one: &Report, other: &Report| {
        let tests = tests_of(one, Outcome::is_decisive);
        tests.len() < tests_of(other, Outcome::is_decisive).len()
            && tests.is_subset(&tests_of(other, Outcome::is_failure))
    };
    let passes_elsewhere = |report: &Report, test: u32| {
        report.code.is_some()
            && counted.iter().any(|other| {
                other.code == report.code
                    && (other.run != report.run || tries_again(other, report))
                    && last_of(other, test).is_some_and(|one| one.outcome == Outcome::Passed)
            })
    };
    let in_window = |report: &&&Report| report.day > TODAY - 14;
    let mut of_tests: BTreeMap<&'static str, BTreeSet<u32>> = BTreeMap::new();
    let mut flaky_executions = 0;
    for report in counted.iter().filter(in_window) {
        for one in report.observations.iter().filter(|one| one.outcome.is_decisive()) {
            of_tests.entry("decided").or_default().insert(one.test);
            if one.outcome == Outcome::Passed {
                of_tests.entry("passed").or_default().insert(one.test);
            }
            if one.flaky {
                flaky_executions += 1;
                of_tests.entry("noisy").or_default().insert(one.test);
            }
        }
        for test in 0..TESTS {
            let failed = last_of(report, test).is_some_and(|one| one.outcome.is_failure());
            if failed && passes_elsewhere(report, test) {
                flaky_executions += 1;
                of_tests.entry("noisy").or_default().insert(test);
            }
        }
    }
    let set = |name: &str| of_tests.get(name).cloned().unwrap_or_default();
    let flaky: BTreeSet<u32> = set("noisy").intersection(&set("passed")).copied().collect();
    let numbers = BTreeMap::from([
        ("decided", set("decided").len() as u64),
        ("flaky", flaky.len() as u64),
        ("broken", set("decided").difference(&set("passed")).count() as u64),
        ("flaky executions", flaky_executions),
    ]);
    (numbers, flaky, recoveries_by_definition(&counted))
}

proptest! {
    #[test]
    fn the_order_of_the_reports_changes_no_figure(history in any_history(), seed in any::<u64>()) {
        let rules = rules();
        let forward: Vec<&Report> = history.iter().collect();
        let mut shuffled = forward.clone();
        shuffled.sort_by_key(|report| (report.id as u64).wrapping_mul(seed | 1).rotate_left(17));
        let (left, right) = (fold(&forward, &rules), fold(&shuffled, &rules));
        let of = |state: &ProjectState| {
            let mut sums = sums(state, &rules);
            if !is_remembered(&history) {
                // Of what comes later than is remembered, the order decides.
                sums.executions.recoveries = Recoveries::default();
            }
            sums
        };
        prop_assert_eq!(of(&left), of(&right));
        prop_assert_eq!(left.sums.suites(NOW, &rules.rules), right.sums.suites(NOW, &rules.rules));
        let window = Window::ending(Day(TODAY), 14);
        prop_assert_eq!(rank_flaky(&left, window, 1, 10), rank_flaky(&right, window, 1, 10));
    }

    #[test]
    fn what_is_kept_step_by_step_is_what_the_definitions_say(history in any_history()) {
        let rules = rules();
        let state = fold(&history.iter().collect::<Vec<_>>(), &rules);
        let sums = sums(&state, &rules);
        let (expected, flaky, recoveries) = by_definition(&history, &rules);
        prop_assert_eq!(sums.decided_tests, expected["decided"]);
        prop_assert_eq!(sums.flaky_tests, expected["flaky"]);
        prop_assert_eq!(sums.broken_tests, expected["broken"]);
        prop_assert_eq!(sums.executions.flaky, expected["flaky executions"]);
        if is_remembered(&history) {
            prop_assert_eq!(sums.executions.recoveries, recoveries);
        }
        let window = Window::ending(Day(TODAY), 14);
        let ranked: BTreeSet<u32> = rank_flaky(&state, window, 0, 100).iter().map(|one| one.test).collect();
        prop_assert_eq!(ranked, flaky);
    }

    #[test]
    fn projects_add_up_to_the_whole_whichever_comes_first(left in any_history(), right in any_history()) {
        let rules = rules();
        let sums = |history: &[Report]| sums(&fold(&history.iter().collect::<Vec<_>>(), &rules), &rules);
        let (mut forward, mut backward) = (sums(&left), sums(&right));
        forward.merge(&sums(&right));
        backward.merge(&sums(&left));
        prop_assert_eq!(figures(&forward, &rules.rules), figures(&backward, &rules.rules));
    }

    #[test]
    fn a_flaky_test_is_never_broken_and_never_more_than_decided(history in any_history()) {
        let rules = rules();
        let sums = sums(&fold(&history.iter().collect::<Vec<_>>(), &rules), &rules);
        prop_assert!(sums.flaky_tests + sums.broken_tests <= sums.decided_tests);
        prop_assert!(sums.executions.flaky <= sums.executions.decisive());
    }
}

#[test]
fn a_test_that_always_fails_is_broken_and_not_flaky_even_when_its_rerunner_says_pass_first() {
    // Some rerunners write earlier attempts as empty records, which look passed: pass, pass, fail.
    let record = |outcome| Observation { test: 0, outcome, flaky: false, microseconds: None };
    let report = |id, code| Report {
        id,
        run: id,
        day: TODAY,
        branch: "main",
        attempt: 1,
        code: Some(code),
        observations: vec![record(Outcome::Failed)],
    };
    let mut tricky = report(2, 1);
    tricky.observations = vec![record(Outcome::Passed), record(Outcome::Passed), record(Outcome::Failed)];
    let rules = rules();
    let state = fold(&[&report(1, 1), &tricky], &rules);
    assert_eq!(sums(&state, &rules).flaky_tests, 0);
    let state = fold(&[&report(1, 1), &report(2, 1), &report(3, 2)], &rules);
    assert_eq!((sums(&state, &rules).flaky_tests, sums(&state, &rules).broken_tests), (0, 1));
}

#[test]
fn a_skip_is_never_half_of_a_flake() {
    let report = |id, outcome| Report {
        id,
        run: id,
        day: TODAY,
        branch: "main",
        attempt: 1,
        code: Some(1),
        observations: vec![Observation { test: 0, outcome, flaky: false, microseconds: None }],
    };
    let rules = rules();
    for outcome in [Outcome::Passed, Outcome::Failed] {
        let state = fold(&[&report(1, outcome), &report(2, Outcome::Skipped)], &rules);
        let sums = sums(&state, &rules);
        assert_eq!((sums.flaky_tests, sums.decided_tests), (0, 1));
    }
}
