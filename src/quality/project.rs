//! A project's state: reports are folded in one at a time, sums for any window come out.

use super::buckets::{DayBucket, DayCounts};
use super::code::{CodeOutcomes, FlakyFailure, Told};
use super::colour::{Changes, Decided, Recovered};
use super::day::{Day, Window};
use super::defects::DefectSums;
use super::figures::WindowSums;
use super::rules::{CompiledRules, OTHER, Rules, RunSums, Standing};
use super::tests_state::{FlakeEvent, FlakeKind, TestState};
use crate::reports::Outcome;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Suites and branches of a project that have a label of their own; all further ones share `other`.
const LABELS: usize = 50;

/// One execution, as the figures need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// The test's number in its project.
    pub test: u32,
    /// The final outcome.
    pub outcome: Outcome,
    /// It passed only after a failed attempt of its own run.
    pub flaky: bool,
    /// How long it took, where the report says so.
    pub microseconds: Option<u64>,
}

/// One report, as the figures need it.
#[derive(Debug, Clone, Copy)]
pub struct ReportFacts<'a> {
    /// Its number; unique in the store.
    pub id: i64,
    /// The number of its run, from 1.
    pub run_id: i64,
    /// When the run was, in seconds since 1970.
    pub at: i64,
    /// The branch.
    pub branch: Option<&'a str>,
    /// The project's default branch.
    pub default_branch: &'a str,
    /// The attempt of the run, from 1.
    pub attempt: u32,
    /// Where it ran: an environment or a job, by its hash.
    pub place: u32,
    /// How long the whole report took, where it says so.
    pub microseconds: Option<u64>,
    /// It is the first report of its run.
    pub opens_run: bool,
    /// What the reports of its run say together, this one among them: all of them stand or fall by it.
    pub run: RunSums,
    /// The executions, those of one test beside each other, the last of them deciding.
    pub observations: &'a [Observation],
}

impl ReportFacts<'_> {
    /// Whether the report counts under these rules.
    pub fn standing(&self, rules: &CompiledRules) -> Standing {
        rules.standing(self.branch, self.attempt, self.run)
    }
}

/// Tests, each counted once, on the last day of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DistinctTests {
    first_seen: DayCounts,
    last_seen: DayCounts,
    last_decisive: DayCounts,
    last_pass: DayCounts,
    last_flaky: DayCounts,
}

impl DistinctTests {
    fn shift(&mut self, before: &TestDays, after: &TestDays) {
        self.first_seen.shift(before.first_seen, after.first_seen);
        self.last_seen.shift(before.last_seen, after.last_seen);
        self.last_decisive.shift(before.last_decisive, after.last_decisive);
        self.last_pass.shift(before.last_pass, after.last_pass);
        self.last_flaky.shift(before.last_flaky, after.last_flaky);
    }

    fn window(&self, window: Window) -> WindowSums {
        let decided = self.last_decisive.sum(window);
        WindowSums {
            seen_tests: self.last_seen.sum(window),
            decided_tests: decided,
            flaky_tests: self.last_flaky.sum(window),
            // Whoever passed in the window was decided in it.
            broken_tests: decided.saturating_sub(self.last_pass.sum(window)),
            new_tests: self.first_seen.sum(window),
            ..WindowSums::default()
        }
    }
}

/// The days of a test by which it is counted.
#[derive(PartialEq, Eq)]
struct TestDays {
    first_seen: Option<Day>,
    last_seen: Option<Day>,
    last_decisive: Option<Day>,
    last_pass: Option<Day>,
    last_flaky: Option<Day>,
}

impl TestDays {
    fn of(test: &TestState) -> Self {
        Self {
            // A test that was only seen where nothing counts is not new, either.
            first_seen: test.last_seen.and(test.first_day),
            last_seen: test.last_seen,
            last_decisive: test.last_decisive,
            last_pass: test.last_pass,
            last_flaky: test.flaky_day(),
        }
    }

    const NONE: Self =
        Self { first_seen: None, last_seen: None, last_decisive: None, last_pass: None, last_flaky: None };
}

/// Deployments by day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deployments {
    /// All of them.
    pub all: DayCounts,
    /// Those that led to an incident or were rolled back.
    pub failed: DayCounts,
}

/// Everything of a project that figures are made of, without its single tests: small, and cheap to copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectSums {
    tests: DistinctTests,
    suites: Vec<(String, DistinctTests)>,
    labels: Vec<String>,
    buckets: BTreeMap<(Day, u16), Arc<DayBucket>>,
    lifetime: BTreeMap<u16, Arc<DayBucket>>,
    /// The newest run that was folded, in seconds since 1970.
    pub newest: Option<i64>,
    /// The defects.
    pub defects: DefectSums,
    /// The deployments.
    pub deployments: Deployments,
}

impl ProjectSums {
    /// The sums of the windows that end now.
    pub fn window(&self, now: i64, rules: &Rules) -> WindowSums {
        let window = Window::ending(Day::of(now), rules.flake_window_days);
        let mut sums = self.tests.window(window);
        for ((day, _), bucket) in self.buckets.range((window.first, 0)..=(window.last, u16::MAX)) {
            debug_assert!(window.contains(*day));
            sums.executions.merge(bucket);
        }
        sums.deployments = self.deployments.all.sum(window);
        sums.failed_deployments = self.deployments.failed.sum(window);
        let leakage = Window::ending(Day::of(now), rules.leakage_window_days);
        sums.add_defects(&self.defects, leakage, now);
        sums
    }

    /// The sums of each branch label's executions in the window.
    pub fn branches(&self, now: i64, rules: &Rules) -> BTreeMap<&str, WindowSums> {
        let window = Window::ending(Day::of(now), rules.flake_window_days);
        let mut branches: BTreeMap<&str, WindowSums> = BTreeMap::new();
        for ((_, label), bucket) in self.buckets.range((window.first, 0)..=(window.last, u16::MAX)) {
            let name = self.labels.get(usize::from(*label)).map_or(OTHER, String::as_str);
            branches.entry(name).or_default().executions.merge(bucket);
        }
        branches
    }

    /// The distinct tests of each suite label in the window.
    pub fn suites(&self, now: i64, rules: &Rules) -> BTreeMap<&str, WindowSums> {
        let window = Window::ending(Day::of(now), rules.flake_window_days);
        self.suites.iter().map(|(name, tests)| (name.as_str(), tests.window(window))).collect()
    }

    /// The days with executions, oldest first, all branches together.
    pub fn days(&self) -> BTreeMap<Day, DayBucket> {
        let mut days: BTreeMap<Day, DayBucket> = BTreeMap::new();
        for ((day, _), bucket) in &self.buckets {
            days.entry(*day).or_default().merge(bucket);
        }
        days
    }

    /// Each day's bucket with its branch label, for whoever stores them.
    pub fn buckets(&self) -> impl Iterator<Item = (Day, &str, &DayBucket)> + '_ {
        self.buckets.iter().map(|((day, label), bucket)| {
            (*day, self.labels.get(usize::from(*label)).map_or(OTHER, String::as_str), bucket.as_ref())
        })
    }

    /// The sums of all time by branch label: what counters show. They outlive every window, and only grow.
    pub fn lifetime(&self) -> impl Iterator<Item = (&str, &DayBucket)> + '_ {
        self.lifetime.iter().map(|(label, bucket)| {
            (self.labels.get(usize::from(*label)).map_or(OTHER, String::as_str), bucket.as_ref())
        })
    }

    /// Replaces the sums of all time by stored ones: counters do not go back when figures are folded again.
    pub fn set_lifetime<'a>(&mut self, sums: impl IntoIterator<Item = (&'a str, DayBucket)>) {
        self.lifetime.clear();
        for (name, bucket) in sums {
            let label = self.label(name);
            self.lifetime.insert(label, Arc::new(bucket));
        }
    }

    /// Adds a stored bucket.
    pub fn add_bucket(&mut self, day: Day, label: &str, bucket: &DayBucket) {
        let label = self.label(label);
        Arc::make_mut(self.buckets.entry((day, label)).or_default()).merge(bucket);
    }

    /// Forgets the buckets before a day; whoever does so has stored them elsewhere.
    pub fn forget_buckets_before(&mut self, day: Day) {
        self.buckets = self.buckets.split_off(&(day, 0));
    }

    fn label(&mut self, name: &str) -> u16 {
        number_of(&mut self.labels, name, |label| label, |name| name)
    }

    fn suite(&mut self, name: &str) -> u16 {
        number_of(&mut self.suites, name, |suite| &suite.0, |name| (name, DistinctTests::default()))
    }

    /// Counts recoveries by the day of the pass, and takes out what was none after all. They are of days alone: no sum of
    /// all time is made of what can be taken back.
    fn recover(&mut self, label: u16, changes: &Changes) {
        let day = |one: &Recovered| Day::of(i64::from(one.green));
        for gone in &changes.gone {
            let of_day = self.buckets.range_mut((day(gone), 0)..=(day(gone), u16::MAX));
            let counted =
                |bucket: &DayBucket| bucket.recoveries.count > 0 && bucket.recoveries.seconds >= gone.seconds();
            if let Some((_, bucket)) = of_day.into_iter().find(|(_, bucket)| counted(bucket)) {
                let recoveries = &mut Arc::make_mut(bucket).recoveries;
                recoveries.count -= 1;
                recoveries.seconds -= gone.seconds();
            }
        }
        for one in &changes.come {
            let recoveries = &mut Arc::make_mut(self.buckets.entry((day(one), label)).or_default()).recoveries;
            recoveries.count += 1;
            recoveries.seconds += one.seconds();
        }
    }

    /// Adds to a day and to all time.
    fn add(&mut self, day: Day, label: u16, part: &DayBucket) {
        Arc::make_mut(self.buckets.entry((day, label)).or_default()).merge(part);
        Arc::make_mut(self.lifetime.entry(label).or_default()).merge(part);
    }
}

/// The number of a name in a list that takes in new names until it is full; from then on they are `other`.
fn number_of<T>(list: &mut Vec<T>, name: &str, name_of: fn(&T) -> &str, make: fn(String) -> T) -> u16 {
    let known = list.iter().position(|item| name_of(item) == name);
    let index = known.unwrap_or_else(|| {
        let name = if list.len() < LABELS { name } else { OTHER };
        list.iter().position(|item| name_of(item) == name).unwrap_or_else(|| {
            list.push(make(name.to_owned()));
            list.len() - 1
        })
    });
    // A list has at most LABELS names and `other`.
    u16::try_from(index).unwrap_or(u16::MAX)
}

/// A project's state: its sums, and each of its tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectState {
    /// What figures are made of.
    pub sums: ProjectSums,
    tests: Vec<TestState>,
}

impl ProjectState {
    /// The tests, by their numbers.
    pub fn tests(&self) -> &[TestState] {
        &self.tests
    }

    /// Takes tests in, each with its suite and, where it is known from elsewhere, the first day it was seen.
    /// Tests are numbered from 0, without gaps; one that is known already stays as it is.
    pub fn register<'s>(&mut self, tests: impl IntoIterator<Item = (u32, &'s str, Option<Day>)>) {
        // Neighbouring tests are of one suite: its label is looked for once.
        let mut last = None;
        for (test, suite, first_day) in tests {
            if (test as usize) < self.tests.len() {
                continue;
            }
            let label = match last {
                Some((name, label)) if name == suite => label,
                _ => self.sums.suite(suite),
            };
            last = Some((suite, label));
            self.put(test, TestState { suite: label, first_day, ..TestState::default() });
        }
    }

    /// Puts a stored test back, counted as it is.
    pub fn restore(&mut self, test: u32, suite: &str, mut state: TestState) {
        state.suite = self.sums.suite(suite);
        self.put(test, state);
    }

    fn put(&mut self, test: u32, state: TestState) {
        let index = test as usize;
        if self.tests.len() <= index {
            self.tests.resize_with(index + 1, TestState::default);
        }
        self.tests[index] = state;
        self.count(index, &TestDays::NONE);
    }

    /// Folds a report in. `code` is what other reports said about the same code; nothing where the report names
    /// no code. A report that is held out or out of scope changes no figure.
    pub fn fold(
        &mut self,
        rules: &CompiledRules,
        report: &ReportFacts<'_>,
        code: Option<&mut CodeOutcomes>,
    ) -> Standing {
        let standing = report.standing(rules);
        if standing == Standing::OutOfScope {
            return standing;
        }
        self.sums.newest = self.sums.newest.max(Some(report.at));
        let moment = self.moment(rules, report);
        let Moment { day, label, .. } = moment;
        if standing == Standing::HeldOut {
            self.sums.add(day, label, &DayBucket { held_out_reports: 1, ..DayBucket::default() });
            return standing;
        }
        let mut bucket = DayBucket { reports: 1, runs: u64::from(report.opens_run), ..DayBucket::default() };
        if report.observations.iter().any(|one| one.outcome.is_failure()) {
            bucket.failed_reports = 1;
        }
        if let Some(microseconds) = report.microseconds {
            bucket.report_durations.record(microseconds);
        }
        for observation in report.observations {
            bucket.count(observation.outcome);
            self.observe(&moment, observation, &mut bucket);
        }
        self.sums.add(day, label, &bucket);
        if let Some(code) = code {
            for failure in compare(code, report.observations, &moment) {
                self.mark_flaky(failure, moment.keep_days);
            }
        }
        standing
    }

    /// Takes back that a report was held out: what came later of its run says that it counts, and it is folded in next.
    pub fn take_back(&mut self, rules: &CompiledRules, report: &ReportFacts<'_>) {
        let Moment { day, label, .. } = self.moment(rules, report);
        if let Some(bucket) = self.sums.buckets.get_mut(&(day, label)) {
            let bucket = Arc::make_mut(bucket);
            bucket.held_out_reports = bucket.held_out_reports.saturating_sub(1);
        }
    }

    /// Tells `code` what a report said about it that was folded before: nothing else changes.
    pub fn recall(&mut self, rules: &CompiledRules, report: &ReportFacts<'_>, code: &mut CodeOutcomes) {
        if report.standing(rules) == Standing::Counts {
            let moment = self.moment(rules, report);
            compare(code, report.observations, &moment);
        }
    }

    fn moment(&mut self, rules: &CompiledRules, report: &ReportFacts<'_>) -> Moment {
        Moment {
            report: report.id,
            run: report.run_id,
            place: report.place,
            at: report.at,
            day: Day::of(report.at),
            label: self.sums.label(rules.scope.label(report.branch, report.default_branch)),
            on_default_branch: report.branch.is_none_or(|branch| branch == report.default_branch),
            keep_days: rules.rules.flake_window_days.saturating_mul(2),
        }
    }

    fn observe(&mut self, moment: &Moment, observation: &Observation, bucket: &mut DayBucket) {
        let index = observation.test as usize;
        let Some(test) = self.tests.get_mut(index) else { return };
        let before = TestDays::of(test);
        let day = moment.day;
        test.first_day = Some(test.first_day.map_or(day, |first| first.min(day)));
        test.last_seen = test.last_seen.max(Some(day));
        if observation.outcome.is_decisive() {
            let failed = observation.outcome.is_failure();
            let flaky = observation.flaky && !failed;
            test.last_decisive = test.last_decisive.max(Some(day));
            if !failed {
                test.last_pass = test.last_pass.max(Some(day));
            }
            if let Some(microseconds) = observation.microseconds {
                bucket.durations.record(microseconds);
            }
            if let Some(entry) = test.day(day, moment.keep_days) {
                entry.decisive += 1;
                entry.failed += u32::from(failed);
                entry.flaky += u32::from(flaky);
                entry.microseconds = entry.microseconds.saturating_add(observation.microseconds.unwrap_or(0));
            }
            if flaky {
                bucket.flaky += 1;
                test.last_flaky = test.last_flaky.max(Some(day));
                test.remember(FlakeEvent { day, report: moment.report, kind: FlakeKind::RetriedWithinRun });
            }
            if moment.on_default_branch {
                let changes = test.colour.decide(Decided::new(moment.at, moment.place, failed));
                self.sums.recover(moment.label, &changes);
            }
        }
        self.count(index, &before);
    }

    /// A failure turned out to be flaky: the same test passed on the same code.
    fn mark_flaky(&mut self, failure: FlakyFailure, keep_days: u32) {
        let index = failure.test as usize;
        let Some(test) = self.tests.get_mut(index) else { return };
        let before = TestDays::of(test);
        test.last_flaky = test.last_flaky.max(Some(failure.day));
        if let Some(entry) = test.day(failure.day, keep_days) {
            entry.flaky += 1;
        }
        test.remember(FlakeEvent {
            day: failure.day,
            report: failure.report,
            kind: FlakeKind::BothOutcomesOnOneCommit,
        });
        self.sums.add(failure.day, failure.label, &DayBucket { flaky: 1, ..DayBucket::default() });
        self.count(index, &before);
    }

    /// Moves a test to the days it is now counted on.
    fn count(&mut self, index: usize, before: &TestDays) {
        let test = &self.tests[index];
        let after = TestDays::of(test);
        // Most executions of a day are not a test's first one, and then nothing moves.
        if *before == after {
            return;
        }
        if let Some((_, suite)) = self.sums.suites.get_mut(usize::from(test.suite)) {
            suite.shift(before, &after);
        }
        self.sums.tests.shift(before, &after);
    }
}

/// When and where the report that is being folded was made.
struct Moment {
    report: i64,
    run: i64,
    place: u32,
    at: i64,
    day: Day,
    label: u16,
    on_default_branch: bool,
    keep_days: u32,
}

/// Compares a report with what others said about the same code. Within one report, only a test's last record
/// counts: reruners write earlier ones that look passed and are not.
fn compare(code: &mut CodeOutcomes, observations: &[Observation], moment: &Moment) -> Vec<FlakyFailure> {
    let mut told = Told { report: moment.report, ..Told::default() };
    for (index, observation) in observations.iter().enumerate() {
        let is_last = observations.get(index + 1).is_none_or(|next| next.test != observation.test);
        match observation.outcome {
            _ if !is_last => {}
            Outcome::Skipped => {}
            Outcome::Passed => told.passed.push(observation.test),
            Outcome::Failed | Outcome::Error => told.failed.push(observation.test),
        }
    }
    let Moment { day, report, label, .. } = *moment;
    code.add(moment.run, told, |test| FlakyFailure { test, day, report, label })
}
