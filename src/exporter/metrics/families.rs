//! The families about tests and defects.
//!
//! Projects beyond the cap, and projects, suites and branches for which there is no room, are left out of the series
//! and counted; the two unlabelled figures always count all of them.

use crate::exporter::Shown;
use crate::exporter::exposition::{Exposition, Family, Kind};
use crate::quality::{
    DayBucket, DurationHistogram, FigureName, Figures, Phase, ProjectSums, Rules, WindowSums, figures,
};
use std::collections::BTreeMap;

/// Projects that have series of their own.
const PROJECTS: usize = 50;

/// Series that a page may have, as far as projects, suites and branches make them.
const SERIES: usize = 2_000;

/// Series that each project makes, besides one for each kind of defect: its figures, its histogram, and single ones.
const OF_A_PROJECT: usize = RATIOS.len() + BOUNDS.len() + 3 + 5;

/// Series that each suite makes.
const OF_A_SUITE: usize = TESTS.len();

/// Series that each branch makes: executions of the window and of all time by outcome, flaky ones, runs.
const OF_A_BRANCH: usize = 4 + 4 + 1 + 2;

/// Upper bounds of the duration buckets, in seconds.
const BOUNDS: [f64; 14] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0];

/// What one project's series are made of.
struct Project<'a> {
    key: &'a str,
    sums: &'a ProjectSums,
    window: WindowSums,
    figures: Figures,
    /// Each suite's distinct tests in the window; empty where there is no room.
    suites: BTreeMap<&'a str, WindowSums>,
    /// Each branch label's executions in the window, and of all time; empty where there is no room.
    branches: Vec<(&'a str, DayBucket, DayBucket)>,
}

/// Writes every family about what is shown. Returns how many projects, suites and branches have no series.
pub(super) fn write(page: &mut Exposition, shown: &Shown, now: i64) -> usize {
    let all = shown.figures(now);
    let of_all = |name| all.as_ref().and_then(|figures| figures.value(name)).unwrap_or(f64::NAN);
    // Their names and help texts are what the world was promised; they are shares, 0 to 1.
    page.gauge("flake_rate", "Percentage of flaky tests").sample(&[], of_all(FigureName::FlakeRate));
    page.gauge("defect_leakage", "Defects escaping to production").sample(&[], of_all(FigureName::DefectLeakage));
    page.gauge("qa_sample_data", "1 while sample data is shown, because nothing real has arrived yet")
        .sample(&[], f64::from(u8::from(shown.sample)));
    let rules = shown.snapshot.as_ref().map(|snapshot| &snapshot.rules.rules);
    let (projects, left_out) = rules.map(|rules| chosen(shown, rules, now)).unwrap_or_default();
    ratios(page, &projects);
    tests(page, &projects);
    executions(page, &projects);
    durations(page, &projects);
    defects(page, &projects);
    deployments(page, &projects);
    if let Some(rules) = rules {
        windows(page, rules);
    }
    page.gauge(
        "qastack_label_values_left_out",
        "Projects, suites and branches without series of their own, to bound them",
    )
    .sample(&[], left_out as f64);
    left_out
}

/// The projects with series, the ones with the newest reports first, each with as much detail as there is room for.
fn chosen<'a>(shown: &'a Shown, rules: &Rules, now: i64) -> (Vec<Project<'a>>, usize) {
    let mut known: Vec<(&str, &ProjectSums)> =
        shown.projects().map(|project| (project.key.as_str(), &project.sums)).collect();
    known.sort_by_key(|(key, sums)| (std::cmp::Reverse(sums.newest), *key));
    let mut left_out = known.len().saturating_sub(PROJECTS);
    let mut room = SERIES;
    let mut projects: Vec<Project<'a>> = Vec::new();
    for (key, sums) in known.into_iter().take(PROJECTS) {
        let window = sums.window(now, rules);
        let mut project = Project {
            key,
            sums,
            figures: figures(&window, rules),
            window,
            suites: sums.suites(now, rules),
            branches: branches(sums, rules, now),
        };
        let own = OF_A_PROJECT + sums.defects.by_label().len();
        if own > room {
            left_out += 1;
            continue;
        }
        room -= own;
        if project.suites.len() * OF_A_SUITE > room {
            left_out += project.suites.len();
            project.suites.clear();
        }
        room -= project.suites.len() * OF_A_SUITE;
        if project.branches.len() * OF_A_BRANCH > room {
            left_out += project.branches.len();
            project.branches.clear();
        }
        room -= project.branches.len() * OF_A_BRANCH;
        projects.push(project);
    }
    projects.sort_by_key(|project| project.key);
    (projects, left_out)
}

fn branches<'a>(sums: &'a ProjectSums, rules: &Rules, now: i64) -> Vec<(&'a str, DayBucket, DayBucket)> {
    let mut window = sums.branches(now, rules);
    // Sums of all time: single days are forgotten, and a counter must not go back then.
    let ever = sums.lifetime().map(|(label, bucket)| {
        let window = window.remove(label).map(|sums| sums.executions).unwrap_or_default();
        (label, window, bucket.clone())
    });
    let mut branches: Vec<_> = ever.collect();
    branches.sort_by_key(|(label, _, _)| *label);
    branches
}

/// The families of one figure each, with a series for each project: the figure, and the help text.
const RATIOS: [(FigureName, &str); 12] = [
    (FigureName::FlakeRate, "Flaky tests among the decided ones, in the window"),
    (FigureName::FlakyExecutionRatio, "Executions that were flaky among the decisive ones, in the window"),
    (FigureName::PassRatio, "Executions that passed among the decisive ones, in the window"),
    (FigureName::SkippedRatio, "Executions that were skipped among all, in the window"),
    (FigureName::DefectLeakage, "Valid defects found in production among all, in the window"),
    (FigureName::RemovalEfficiency, "Valid defects found before the release among all, in the window"),
    (
        FigureName::RecoveryTime,
        "From a test's first failure to its next pass on the default branch, in the mean, in the window",
    ),
    (FigureName::TestDurationP50, "Half of the executions take at most this, in the window"),
    (FigureName::TestDurationP95, "95 % of the executions take at most this, in the window"),
    (FigureName::RunDurationP95, "95 % of the reports take at most this, in the window"),
    (FigureName::OpenDefectAge, "The mean age of the valid open defects"),
    (
        FigureName::ChangeFailureRatio,
        "Deployments that led to an incident or were rolled back, among all, in the window",
    ),
];

fn ratios(page: &mut Exposition, projects: &[Project<'_>]) {
    for (name, help) in RATIOS {
        let Some(series) = name.series() else { continue };
        let mut family = page.gauge(series, help);
        for project in projects {
            // No data is NaN and never 0; the series is there, so that a panel says "no data" and not "no such thing".
            family.sample(&[("project", project.key)], project.figures.value(name).unwrap_or(f64::NAN));
        }
    }
}

type Count = fn(&WindowSums) -> u64;

/// The families about tests, with a series for each suite.
const TESTS: [(&str, &str, Count); 5] = [
    ("qa_tests", "Tests that were seen in the window, skipped or not", |sums| sums.seen_tests),
    ("qa_decided_tests", "Tests that passed or failed in the window", |sums| sums.decided_tests),
    ("qa_flaky_tests", "Tests with a flaky execution in the window", |sums| sums.flaky_tests),
    ("qa_broken_tests", "Tests that failed each time they were decided in the window", |sums| sums.broken_tests),
    ("qa_new_tests", "Tests seen for the first time in the window", |sums| sums.new_tests),
];

fn tests(page: &mut Exposition, projects: &[Project<'_>]) {
    for (name, help, count) in TESTS {
        let mut family = page.gauge(name, help);
        for project in projects {
            for (suite, sums) in &project.suites {
                family.sample(&[("project", project.key), ("suite", suite)], count(sums) as f64);
            }
        }
    }
    let mut held_out = page.gauge("qa_held_out_reports", "Reports in the window that were taken for an outage");
    for project in projects {
        held_out.sample(&[("project", project.key)], project.window.executions.held_out_reports as f64);
    }
    let mut newest = page.gauge("qa_last_report_timestamp_seconds", "When the newest run that counts was");
    for project in projects {
        newest.sample(&[("project", project.key)], project.sums.newest.map_or(f64::NAN, |at| at as f64));
    }
}

fn executions(page: &mut Exposition, projects: &[Project<'_>]) {
    let mut family = page.gauge("qa_executions", "Executions of tests in the window, by their final outcome");
    each_branch(&mut family, projects, |bucket| bucket.0, outcomes);
    let mut family = page.counter("qa_test_executions_total", "Executions of tests, by their final outcome");
    each_branch(&mut family, projects, |bucket| bucket.1, outcomes);
    let mut family = page.counter("qa_flaky_executions_total", "Executions of tests that were flaky");
    each_branch(&mut family, projects, |bucket| bucket.1, |bucket| vec![(None, bucket.flaky)]);
    let mut family = page.counter("qa_runs_total", "Reports, by whether a test failed in them");
    each_branch(
        &mut family,
        projects,
        |bucket| bucket.1,
        |bucket| {
            let passed = bucket.reports.saturating_sub(bucket.failed_reports);
            vec![(Some("passed"), passed), (Some("failed"), bucket.failed_reports)]
        },
    );
}

type Outcomes = Vec<(Option<&'static str>, u64)>;

fn outcomes(bucket: &DayBucket) -> Outcomes {
    vec![
        (Some("passed"), bucket.passed),
        (Some("failed"), bucket.failed),
        (Some("error"), bucket.errors),
        (Some("skipped"), bucket.skipped),
    ]
}

/// Writes a family with the labels project and branch, and outcome where there is one. `choose` takes a branch's
/// bucket of the window or of all time.
fn each_branch(
    family: &mut Family<'_>,
    projects: &[Project<'_>],
    choose: for<'b> fn((&'b DayBucket, &'b DayBucket)) -> &'b DayBucket,
    counts: fn(&DayBucket) -> Outcomes,
) {
    for project in projects {
        for (branch, window, ever) in &project.branches {
            for (outcome, count) in counts(choose((window, ever))) {
                let labels = [("project", project.key), ("branch", *branch), ("outcome", outcome.unwrap_or_default())];
                let used = if outcome.is_some() { &labels[..] } else { &labels[..2] };
                family.sample(used, count as f64);
            }
        }
    }
}

fn durations(page: &mut Exposition, projects: &[Project<'_>]) {
    let mut family =
        page.family("qa_test_duration_seconds", Kind::Histogram, "How long decisive executions of tests took");
    for project in projects {
        let mut durations = DurationHistogram::default();
        for (_, bucket) in project.sums.lifetime() {
            durations.merge(&bucket.durations);
        }
        let cumulated = durations.cumulative(&BOUNDS);
        let mut below = 0;
        let buckets: Vec<(f64, u64)> = BOUNDS
            .iter()
            .zip(&cumulated)
            .map(|(bound, count)| (*bound, count - std::mem::replace(&mut below, *count)))
            .collect();
        family.histogram(&[("project", project.key)], &buckets, durations.count() - below, durations.sum_seconds());
    }
}

fn defects(page: &mut Exposition, projects: &[Project<'_>]) {
    let mut family = page.gauge("qa_defects", "Valid defects, whenever they were created, by where they were found");
    for project in projects {
        for ((phase, severity, state), count) in project.sums.defects.by_label() {
            let phase = match phase {
                Phase::Production => "production",
                Phase::PreRelease => "pre_release",
            };
            let labels = [("project", project.key), ("phase", phase), ("severity", &severity), ("state", state)];
            family.sample(&labels, count as f64);
        }
    }
    let mut family = page.gauge("qa_oldest_open_defect_seconds", "The age of the oldest valid open defect");
    for project in projects {
        let oldest = match project.window.open_defects {
            0 => f64::NAN,
            _ => project.window.oldest_open_defect_seconds,
        };
        family.sample(&[("project", project.key)], oldest);
    }
}

fn deployments(page: &mut Exposition, projects: &[Project<'_>]) {
    // A deployment that is told again may have failed since: these go down as well as up.
    let mut family =
        page.gauge("qa_deployments", "Deployments, by whether they led to an incident or were rolled back");
    for project in projects {
        let count = |days: &crate::quality::DayCounts| days.iter().map(|(_, count)| count).sum::<u64>();
        let failed = count(&project.sums.deployments.failed);
        let fine = count(&project.sums.deployments.all).saturating_sub(failed);
        family.sample(&[("project", project.key), ("outcome", "succeeded")], fine as f64);
        family.sample(&[("project", project.key), ("outcome", "failed")], failed as f64);
    }
}

fn windows(page: &mut Exposition, rules: &Rules) {
    let days = |days: u32| f64::from(days) * 86_400.0;
    page.gauge("qa_window_seconds", "How long a window the figures about tests and about defects have")
        .sample(&[("subject", "tests")], days(rules.flake_window_days))
        .sample(&[("subject", "defects")], days(rules.leakage_window_days));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_that_stands_for_a_figure_is_shown() {
        for name in FigureName::all() {
            let Some(series) = name.series() else { continue };
            let is_of_tests = TESTS.iter().any(|(family, _, _)| *family == series);
            assert!(is_of_tests || RATIOS.iter().any(|(figure, _)| *figure == name), "{series}");
        }
    }
}
