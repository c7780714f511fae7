//! Figures worked out by hand, as fractions.

use super::{DAY, Line, NOON, new_report, on_main, push, report, store, store_with};
use qastack::quality::{FigureName, FlakeKind, Rules, Standing};
use qastack::store::{NewReport, RunMeta, Store};

fn flake_rate(store: &Store) -> (f64, f64) {
    let figures = store.snapshot().figures(NOON);
    let figure = figures.get(FigureName::FlakeRate);
    (figure.numerator, figure.denominator)
}

#[tokio::test]
async fn a_retry_that_passes_and_both_outcomes_on_one_commit_are_flaky_and_nothing_else_is() {
    let store = store();
    // `retried` flakes within the run; `torn` fails here and passes on the same commit in the next run.
    let lines: &[Line] = &[("solid", "P"), ("retried", "FP"), ("torn", "F"), ("broken", "FF"), ("skipped", "S")];
    push(&store, on_main("1", "c1"), lines).await;
    push(&store, on_main("2", "c1"), &[("torn", "P"), ("broken", "F"), ("skipped", "S")]).await;
    // `fixed` fails on one commit and passes on the next: a repaired regression, not a flake.
    push(&store, on_main("3", "c2"), &[("fixed", "F")]).await;
    push(&store, on_main("4", "c3"), &[("fixed", "P"), ("skipped", "S")]).await;
    // Decided: solid, retried, torn, broken, fixed. Flaky: retried, torn.
    assert_eq!(flake_rate(&store), (2.0, 5.0));
    let figures = store.snapshot().figures(NOON);
    // Decisive executions: 4 + 2 + 1 + 1; flaky: retried's pass, torn's failure.
    assert_eq!(figures.value(FigureName::FlakyExecutionRatio), Some(2.0 / 8.0));
    assert_eq!(figures.value(FigureName::BrokenTests), Some(1.0));
    assert_eq!(figures.value(FigureName::SkippedRatio), Some(3.0 / 11.0));
    let why = store.read(|reader| reader.explain(FigureName::FlakeRate, None, NOON, 100)).await.unwrap();
    let mut kinds: Vec<_> = why
        .tests
        .iter()
        .map(|test| (test.summary.test.name.as_str(), test.events[0].kind, test.events[0].executions.len()))
        .collect();
    kinds.sort();
    let expected = [("retried", FlakeKind::RetriedWithinRun, 1), ("torn", FlakeKind::BothOutcomesOnOneCommit, 2)];
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn a_tree_is_preferred_to_a_commit_and_environments_are_not_mixed() {
    let store = store();
    let at = |run: &str, commit: &str, tree: &str, environment: &str| RunMeta {
        tree: Some(tree.into()),
        environment: Some(environment.into()),
        ..on_main(run, commit)
    };
    push(&store, at("1", "c1", "t1", "staging"), &[("a", "F"), ("b", "F")]).await;
    push(&store, at("2", "c2", "t1", "staging"), &[("a", "P")]).await;
    push(&store, at("3", "c1", "t1", "preview"), &[("b", "P")]).await;
    assert_eq!(flake_rate(&store), (1.0, 2.0));
}

#[tokio::test]
async fn jobs_of_one_commit_are_not_compared_where_nothing_else_says_where_they_ran() {
    let store = store();
    let at = |run: &str, commit: &str, job: &str| RunMeta { job: Some(job.into()), ..on_main(run, commit) };
    push(&store, at("1", "c1", "linux"), &[("a", "P")]).await;
    push(&store, at("1", "c1", "windows"), &[("a", "F")]).await;
    assert_eq!(flake_rate(&store), (0.0, 1.0), "it always fails on Windows");
    push(&store, at("2", "c1", "windows"), &[("a", "P")]).await;
    assert_eq!(flake_rate(&store), (1.0, 1.0), "a rerun of the same job passes");
    // Named environments say where it ran, whatever the job; a number of its own says nothing.
    let staging = |job: &str| RunMeta { environment: Some("staging".into()), ..at("3", "c2", job) };
    push(&store, staging("smoke"), &[("b", "F")]).await;
    push(&store, staging("again"), &[("b", "P")]).await;
    push(&store, at("4", "c3", "{a7b1c2d3-0000-4000-8000-000000000001}"), &[("c", "F")]).await;
    push(&store, at("5", "c3", "{a7b1c2d3-0000-4000-8000-000000000002}"), &[("c", "P")]).await;
    assert_eq!(flake_rate(&store), (3.0, 3.0));
}

#[tokio::test]
async fn a_commit_alone_is_compared_on_the_tree_that_another_run_says_of_it() {
    let store = store();
    push(&store, RunMeta { tree: Some("t1".into()), ..on_main("1", "c1") }, &[("a", "F")]).await;
    push(&store, RunMeta { attempt: 2, ..on_main("1", "c1") }, &[("a", "P")]).await;
    assert_eq!(flake_rate(&store), (1.0, 1.0));
}

#[tokio::test]
async fn matrix_cells_are_tests_of_their_own() {
    let store = store();
    let cell = |run: &str, cell: &str| RunMeta { variant: Some(cell.into()), ..on_main(run, "c1") };
    push(&store, cell("1", "linux"), &[("a", "P")]).await;
    push(&store, cell("1", "windows"), &[("a", "F")]).await;
    assert_eq!(flake_rate(&store), (0.0, 2.0));
}

#[tokio::test]
async fn an_outage_is_held_out_and_says_so() {
    let store = store();
    let names: Vec<String> = (0..25).map(|number| format!("t{number}")).collect();
    let names: Vec<&'static str> = names.into_iter().map(|name| &*name.leak()).collect();
    let outage: Vec<Line> =
        names.iter().enumerate().map(|(index, &name)| (name, if index < 20 { "F" } else { "P" })).collect();
    let receipt = push(&store, on_main("1", "c1"), &outage).await;
    assert_eq!(receipt.standing, Standing::HeldOut);
    let figures = store.snapshot().figures(NOON);
    assert_eq!(figures.value(FigureName::FlakeRate), None, "no other report says anything");
    let good: Vec<Line> = names.iter().map(|&name| (name, "P")).collect();
    push(&store, on_main("2", "c1"), &good).await;
    assert_eq!(flake_rate(&store), (0.0, 25.0));
    assert_eq!(store.snapshot().window(NOON).executions.held_out_reports, 1);
    let why = store.read(|reader| reader.explain(FigureName::FlakeRate, None, NOON, 10)).await.unwrap();
    assert_eq!(why.held_out.iter().map(|run| run.id).collect::<Vec<_>>(), [receipt.run]);
}

/// Reports of one run, as a build tool writes them: one for each class, each of so many tests that all end alike.
fn classes(run: &str, tests: usize, ends: &[&'static str]) -> Vec<NewReport> {
    let class = |(class, end): (usize, &&'static str)| {
        let line = |number: usize| -> Line { (format!("c{class}t{number}").leak(), end) };
        new_report(on_main(run, "c1"), report(&(0..tests).map(line).collect::<Vec<_>>()))
    };
    ends.iter().enumerate().map(class).collect()
}

/// Decided tests, reports and runs that count, reports that are held out.
fn counted(store: &Store) -> (u64, u64, u64, u64) {
    let window = store.snapshot().window(NOON);
    let sums = &window.executions;
    (window.decided_tests, sums.reports, sums.runs, sums.held_out_reports)
}

#[tokio::test]
async fn a_class_that_fails_as_a_whole_is_a_result_whenever_its_report_comes() {
    for ends in [["F", "P", "P"], ["P", "F", "P"], ["P", "P", "F"]] {
        let (one_by_one, together) = (store(), store());
        for report in classes("1", 25, &ends) {
            one_by_one.ingest(report).await.unwrap();
        }
        let receipts = together.ingest_together(classes("1", 25, &ends)).await.unwrap();
        assert!(receipts.iter().all(|receipt| receipt.standing == Standing::Counts), "{receipts:?}");
        for store in [one_by_one, together] {
            assert_eq!(counted(&store), (75, 3, 1, 0), "{ends:?}");
            assert_eq!(store.snapshot().figures(NOON).value(FigureName::PassRatio), Some(50.0 / 75.0));
            // Each of the 25 failures passes now on the same commit: it is known from the reports held out at first, too.
            push_all(&store, classes("2", 25, &["P", "P", "P"])).await;
            assert_eq!(flake_rate(&store), (25.0, 75.0), "{ends:?}");
            let shown = store.snapshot().figures(NOON);
            store.set_rules(Rules { minimum_sample: 6, ..Rules::default() }).await.unwrap();
            assert_eq!(store.snapshot().figures(NOON), shown, "folded again it is the same");
        }
    }
}

#[tokio::test]
async fn an_outage_in_many_small_reports_is_held_out_however_they_are_sent() {
    let (together, one_by_one) = (store(), store());
    let receipts = together.ingest_together(classes("1", 10, &["F"; 10])).await.unwrap();
    assert!(receipts.iter().all(|receipt| receipt.standing == Standing::HeldOut), "{receipts:?}");
    assert_eq!(counted(&together), (0, 0, 0, 10));
    // The first of ten tests is no outage for all that is known; the second makes it one, and takes it out again.
    let reports = classes("1", 10, &["F"; 10]);
    for report in reports.clone() {
        one_by_one.ingest(report).await.unwrap();
    }
    while counted(&one_by_one) != (0, 0, 0, 10) {
        tokio::task::yield_now().await;
    }
    let again = one_by_one.ingest(reports[0].clone()).await.unwrap();
    assert_eq!((again.duplicate, again.standing), (true, Standing::HeldOut));
    let why = one_by_one.read(|reader| reader.explain(FigureName::FlakeRate, None, NOON, 10)).await.unwrap();
    assert_eq!((why.runs.len(), why.held_out.len(), why.held_out[0].held_out_reports), (0, 1, 10));
    // So much passes after all that it is a result.
    push_all(&one_by_one, classes("1", 30, &["P"])).await;
    assert_eq!(counted(&one_by_one), (120, 11, 1, 0), "the run is counted though its first report was held out");
}

async fn push_all(store: &Store, reports: Vec<NewReport>) {
    for report in reports {
        store.ingest(report).await.unwrap();
    }
}

#[tokio::test]
async fn a_search_knows_the_capital_letters_of_every_language() {
    let store = store();
    push(&store, RunMeta { branch: Some("Ökologie/1".into()), ..on_main("1", "c1") }, &[("bucht Überweisung", "P")])
        .await;
    let tests = |text: &'static str| store.read(move |reader| reader.tests("shop", text, NOON, None, 10));
    for text in ["überweisung", "ÜBERWEISUNG", "Überweis", ""] {
        assert_eq!(tests(text).await.unwrap().len(), 1, "{text:?}");
    }
    assert_eq!(tests("uberweisung").await.unwrap().len(), 0);
    let runs = |text: &'static str| store.read(move |reader| reader.find_runs("shop", text, 10));
    assert_eq!((runs("ökolog").await.unwrap().len(), runs("logie").await.unwrap().len()), (1, 0));
}

#[tokio::test]
async fn a_test_that_runs_seldom_is_found_behind_a_thousand_reports_without_it() {
    let store = store();
    for days in [1, 3] {
        let meta = RunMeta { started_at: Some(NOON - days * DAY), ..on_main(&format!("nightly-{days}"), "c1") };
        push(&store, meta, &[("nightly", "P")]).await;
    }
    let often = |number| new_report(on_main(&format!("often-{number}"), "c2"), report(&[("quick", "P")]));
    store.ingest_together((0..1_100).map(often).collect()).await.unwrap();
    let history = store.read(|reader| {
        let found = reader.tests("shop", "nightly", NOON, None, 1)?;
        reader.history("shop", &found[0].fingerprint, NOON, 10)
    });
    let days: Vec<i64> = history.await.unwrap().entries.iter().map(|entry| (NOON - entry.at) / DAY).collect();
    assert_eq!(days, [1, 3]);
}

#[tokio::test]
async fn the_window_moves_on_without_anything_being_stored() {
    let store = store();
    push(&store, on_main("1", "c1"), &[("a", "FP"), ("b", "P")]).await;
    let at = |days: i64| store.snapshot().figures(NOON + days * DAY).value(FigureName::FlakeRate);
    assert_eq!((at(0), at(13), at(14)), (Some(0.5), Some(0.5), None));
}

#[tokio::test]
async fn other_rules_give_other_figures_and_the_old_ones_come_back() {
    let store = store();
    push(&store, on_main("1", "c1"), &[("a", "P"), ("b", "P")]).await;
    let feature = RunMeta { branch: Some("feature/x".into()), ..on_main("2", "c2") };
    push(&store, feature, &[("a", "FP"), ("c", "P")]).await;
    assert_eq!(flake_rate(&store), (1.0, 3.0));
    let main_only = Rules { branches: vec!["main".into()], ..Rules::default() };
    store.set_rules(main_only.clone()).await.unwrap();
    assert_eq!(flake_rate(&store), (0.0, 2.0));
    let counted =
        |store: &Store| store.snapshot().projects["shop"].sums.lifetime().map(|(_, sums)| sums.passed).sum::<u64>();
    assert_eq!(counted(&store), 4, "counters do not go back");
    push(&store, RunMeta { branch: Some("feature/x".into()), ..on_main("3", "c3") }, &[("b", "FP")]).await;
    assert_eq!(flake_rate(&store), (0.0, 2.0));
    store.set_rules(Rules::default()).await.unwrap();
    assert_eq!(flake_rate(&store), (2.0, 3.0));
    let straight = store_with(main_only);
    assert_eq!(straight.snapshot().figures(NOON).value(FigureName::FlakeRate), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_changed_rules_are_folded_the_old_figures_are_served() {
    let store = store();
    let names: Vec<String> = (0..2_000).map(|number| format!("t{number}")).collect();
    let names: Vec<&'static str> = names.into_iter().map(|name| &*name.leak()).collect();
    let lines: Vec<Line> = names.iter().map(|&name| (name, "P")).collect();
    for run in 0..30 {
        push(&store, on_main(&run.to_string(), "c"), &lines).await;
    }
    push(&store, RunMeta { branch: Some("feature".into()), ..on_main("f", "d") }, &[("t0", "FP")]).await;
    let rate = |store: &Store| store.snapshot().figures(NOON).value(FigureName::FlakeRate);
    let (old, new) = (Some(1.0 / 2_000.0), Some(0.0));
    assert_eq!(rate(&store), old);
    let main_only = Rules { branches: vec!["main".into()], ..Rules::default() };
    let version = main_only.version();
    let changing = tokio::spawn({
        let store = store.clone();
        async move { store.set_rules(main_only).await }
    });
    let mut seen_folding = false;
    loop {
        let snapshot = store.snapshot();
        let rate = snapshot.figures(NOON).value(FigureName::FlakeRate);
        if snapshot.rules.version == version {
            assert_eq!(rate, new);
            break;
        }
        assert_eq!(rate, old);
        seen_folding |= snapshot.folding.as_deref() == Some(version.as_str());
        tokio::task::yield_now().await;
    }
    changing.await.unwrap().unwrap();
    assert!(seen_folding, "nothing was served while it was folded");
}

#[tokio::test]
async fn recovery_is_the_time_from_red_to_green_on_the_default_branch() {
    let store = store();
    for (run, hours, outcome) in [("1", 10, "P"), ("2", 8, "F"), ("3", 6, "F"), ("4", 5, "P"), ("5", 4, "F")] {
        let mut new = new_report(on_main(run, run), report(&[("a", outcome)]));
        new.meta.started_at = Some(NOON - hours * 3600);
        store.ingest(new).await.unwrap();
    }
    // Red from eight to five hours ago: three hours. What is red still has not recovered.
    assert_eq!(store.snapshot().figures(NOON).value(FigureName::RecoveryTime), Some(3.0 * 3600.0));
    let why = store.read(|reader| reader.explain(FigureName::RecoveryTime, None, NOON, 10)).await.unwrap();
    let told: Vec<_> = why.recoveries.iter().map(|one| (one.test.name.as_str(), one.seconds)).collect();
    assert_eq!(told, [("a", 3 * 3600)]);
    let run = |entry: &Option<qastack::store::HistoryEntry>| entry.as_ref().and_then(|entry| entry.run.clone());
    assert_eq!((run(&why.recoveries[0].red), run(&why.recoveries[0].green)), (Some("2".into()), Some("4".into())));
}

#[tokio::test]
async fn a_test_that_fails_in_one_place_is_not_mended_by_passing_in_another() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("qastack.db");
    let open = || qastack::store::Store::open(&path, qastack::store::StoreOptions::default()).unwrap();
    let run = async |store: &qastack::store::Store, run: &str, hours: i64, environment: &str, outcome: &'static str| {
        let mut new = new_report(on_main(run, run), report(&[("a", outcome)]));
        new.meta.environment = Some(environment.to_owned());
        new.meta.started_at = Some(NOON - hours * 3600);
        store.ingest(new).await.unwrap();
    };
    let store = open();
    run(&store, "1", 10, "windows", "F").await;
    run(&store, "2", 9, "linux", "P").await;
    run(&store, "3", 8, "windows", "F").await;
    assert_eq!(store.snapshot().figures(NOON).value(FigureName::RecoveryTime), None);
    store.close().await;
    drop(store);
    // What was saved knows the place, too.
    let store = open();
    run(&store, "4", 7, "linux", "P").await;
    assert_eq!(store.snapshot().figures(NOON).value(FigureName::RecoveryTime), None);
    run(&store, "5", 6, "windows", "P").await;
    assert_eq!(store.snapshot().figures(NOON).value(FigureName::RecoveryTime), Some(4.0 * 3600.0));
    let why = store.read(|reader| reader.explain(FigureName::RecoveryTime, None, NOON, 10)).await.unwrap();
    assert_eq!(why.recoveries.iter().map(|one| one.seconds).collect::<Vec<_>>(), [4 * 3600]);
}

#[tokio::test]
async fn recovery_goes_by_when_the_runs_were_in_whatever_order_their_reports_come() {
    let runs = [(10, "P"), (9, "F"), (7, "F"), (6, "P"), (5, "P"), (3, "F"), (2, "P")];
    // Red from nine to six hours ago and from three to two: four hours in two recoveries.
    for order in [[0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0], [3, 6, 0, 2, 5, 1, 4], [1, 4, 6, 3, 5, 0, 2]] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("qastack.db");
        let open = || qastack::store::Store::open(&path, qastack::store::StoreOptions::default()).unwrap();
        let mut store = open();
        for (count, (hours, outcome)) in order.into_iter().map(|index| runs[index]).enumerate() {
            let run = hours.to_string();
            let mut new = new_report(on_main(&run, &run), report(&[("a", outcome)]));
            new.meta.started_at = Some(NOON - hours * 3600);
            store.ingest(new).await.unwrap();
            if count == 3 {
                // What was saved knows them, too.
                store.close().await;
                drop(store);
                store = open();
            }
        }
        let figure = *store.snapshot().figures(NOON).get(FigureName::RecoveryTime);
        assert_eq!((figure.numerator, figure.denominator), (4.0 * 3600.0, 2.0), "{order:?}");
        let why = store.read(|reader| reader.explain(FigureName::RecoveryTime, None, NOON, 10)).await.unwrap();
        assert_eq!(why.recoveries.iter().map(|one| one.seconds).collect::<Vec<_>>(), [3 * 3600, 3600], "{order:?}");
    }
}

#[tokio::test]
async fn recoveries_add_up_to_the_figure_and_are_those_of_the_default_branch() {
    let store = store();
    let mut hours = 300;
    for (run, branch, lines) in [
        ("1", "main", [("a", "F"), ("b", "P")]),
        ("2", "main", [("a", "F"), ("b", "F")]),
        ("3", "feature", [("a", "P"), ("b", "P")]),
        ("4", "main", [("a", "P"), ("b", "S")]),
        ("5", "main", [("a", "F"), ("b", "P")]),
        ("6", "main", [("a", "P"), ("b", "P")]),
    ] {
        let branch = Some(branch.to_owned());
        let mut new = new_report(RunMeta { branch, ..on_main(run, run) }, report(&lines));
        new.meta.started_at = Some(NOON - hours * 3600);
        hours -= 50;
        store.ingest(new).await.unwrap();
    }
    // a: red in 1, green in 4, 150 h; red in 5, green in 6, 50 h. b: red in 2, skipped in 4, green in 5, 150 h.
    let figure = *store.snapshot().figures(NOON).get(FigureName::RecoveryTime);
    assert_eq!((figure.numerator, figure.denominator), (350.0 * 3600.0, 3.0));
    let why = store.read(|reader| reader.explain(FigureName::RecoveryTime, None, NOON, 2)).await.unwrap();
    assert_eq!((why.recoveries.len(), why.left_out), (2, 1));
    assert_eq!(why.recoveries.iter().map(|one| one.seconds).collect::<Vec<_>>(), [150 * 3600; 2]);
    assert_eq!((why.runs.len(), why.runs_left_out), (2, 4));
}

#[tokio::test]
async fn of_very_many_recoveries_the_slowest_are_told_and_the_others_counted() {
    let store = store();
    // Each of 400 tests is red once and then, after hours of its own, green: twice over.
    let (tests, hours) = (400, |test: i64| test % 97 + 1);
    let mut moments: Vec<(i64, i64, &str)> = (0..2 * tests)
        .flat_map(|number| {
            [
                (-240 + number / tests * 120, number % tests, "F"),
                (-240 + number / tests * 120 + hours(number % tests), number % tests, "P"),
            ]
        })
        .collect();
    moments.sort();
    for (run, at) in moments.chunk_by(|one, next| one.0 == next.0).enumerate() {
        let names: Vec<_> = at.iter().map(|(_, test, outcome)| (format!("t{test}"), *outcome)).collect();
        // So many pass beside them that no run is an outage.
        let others = (0..110).map(|number| (format!("other{number}"), "P"));
        let executions =
            names.into_iter().chain(others).map(|(name, outcome)| super::execution(&name, outcome)).collect();
        let run = run.to_string();
        let mut new = new_report(on_main(&run, &run), super::test_run(executions));
        new.meta.started_at = Some(NOON + at[0].0 * 3600);
        store.ingest(new).await.unwrap();
    }
    let slowest: Vec<u64> = {
        let mut all: Vec<u64> = (0..2 * tests).map(|number| hours(number % tests) as u64 * 3600).collect();
        all.sort_by_key(|seconds| std::cmp::Reverse(*seconds));
        all
    };
    for limit in [1, 10, 300] {
        let why = store.read_blocking(|reader| reader.explain(FigureName::RecoveryTime, None, NOON, limit)).unwrap();
        assert_eq!(why.figure.denominator, 800.0);
        let told: Vec<u64> = why.recoveries.iter().map(|one| one.seconds).collect();
        assert_eq!((told, why.left_out), (slowest[..limit].to_vec(), 800 - limit as u64));
        assert!(why.runs.len() <= limit && why.tests.is_empty());
    }
}

#[tokio::test]
async fn outages_and_executions_behind_a_figure_are_bounded_and_the_others_counted() {
    let store = store();
    for number in 0..12 {
        let run = format!("outage-{number}");
        store.ingest(classes(&run, 20, &["F"]).remove(0)).await.unwrap();
    }
    // A test passes sixty times in one report, and fails in the next one of the same code.
    push(&store, on_main("often", "c"), &[("often", "P"); 60]).await;
    push(&store, on_main("once", "c"), &[("often", "F")]).await;
    let why = store.read_blocking(|reader| reader.explain(FigureName::FlakeRate, None, NOON, 5)).unwrap();
    assert_eq!((why.held_out.len(), why.held_out_left_out), (5, 7));
    let event = &why.tests[0].events[0];
    let failed = event.executions.iter().filter(|one| one.outcome.is_failure()).count();
    assert_eq!((event.executions.len(), event.executions_left_out, failed), (10, 51, 1));
}

#[tokio::test]
async fn every_figure_is_explained_by_what_it_is_made_of() {
    let store = store();
    push(&store, on_main("1", "c1"), &[("a", "F"), ("b", "FP"), ("c", "S"), ("d", "F")]).await;
    push(&store, on_main("2", "c1"), &[("a", "P"), ("d", "F")]).await;
    let defect = |key: &str, environment: &str| qastack::quality::Defect {
        key: key.into(),
        environment: environment.into(),
        created_at: NOON - DAY,
        ..Default::default()
    };
    let defects = vec![defect("d1", "production"), defect("d2", "qa")];
    let new = qastack::store::NewDefects { project: "shop".into(), defects, bytes: 1, received_at: NOON };
    store.upsert_defects(new).await.unwrap();
    let deployment = qastack::store::Deployment {
        key: "7".into(),
        environment: "production".into(),
        version: "1".into(),
        commit: None,
        at: NOON,
        failed: true,
    };
    store.record_deployment("shop", deployment, NOON).await.unwrap();
    // Tests, runs, defects and deployments behind each figure, counted by hand off the two reports above.
    for (word, value, behind) in [
        ("flake_rate", 2.0 / 3.0, [2, 2, 0, 0]),
        ("defect_leakage", 0.5, [0, 0, 2, 0]),
        ("flaky_execution_ratio", 2.0 / 5.0, [2, 2, 0, 0]),
        ("pass_ratio", 2.0 / 5.0, [2, 2, 0, 0]),
        ("skipped_ratio", 1.0 / 6.0, [0, 2, 0, 0]),
        ("tests", 4.0, [0, 2, 0, 0]),
        ("flaky_tests", 2.0, [2, 2, 0, 0]),
        ("broken_tests", 1.0, [1, 2, 0, 0]),
        ("new_tests", 4.0, [4, 2, 0, 0]),
        ("removal_efficiency", 0.5, [0, 0, 2, 0]),
        ("open_defects", 2.0, [0, 0, 2, 0]),
        ("open_defect_age", DAY as f64, [0, 0, 2, 0]),
        ("change_failure_ratio", 1.0, [0, 0, 0, 1]),
    ] {
        let name = FigureName::from_word(word).unwrap();
        let why = store.read(move |reader| reader.explain(name, Some("shop"), NOON, 100)).await.unwrap();
        let counts = [why.tests.len(), why.runs.len(), why.defects.len(), why.deployments.len()];
        assert_eq!((why.figure.value, counts), (Some(value), behind), "{word}");
    }
    for name in [FigureName::TestDurationP50, FigureName::TestDurationP95, FigureName::RunDurationP95] {
        let why = store.read(move |reader| reader.explain(name, Some("shop"), NOON, 100)).await.unwrap();
        assert!(why.figure.value.is_some_and(|seconds| seconds > 0.0), "{name:?}");
        assert_eq!((why.tests.len(), why.runs.len()), (3, 2), "{name:?}: the slowest of the decided tests");
    }
}

#[tokio::test]
async fn a_branch_has_figures_of_its_own_to_be_compared_by() {
    let store = store();
    push(&store, on_main("1", "c1"), &[("a", "P"), ("b", "F")]).await;
    let feature = |run: &str| RunMeta { branch: Some("feature/[x]".into()), ..on_main(run, "c1") };
    push(&store, feature("2"), &[("a", "FP"), ("b", "P"), ("c", "P")]).await;
    let rate = |branch: &'static str| {
        let figures = store.read_blocking(|reader| reader.branch_figures("shop", branch, NOON)).unwrap();
        let figure = *figures.get(FigureName::FlakeRate);
        (figure.numerator, figure.denominator)
    };
    // Together, b failed and passed on one commit; on either branch alone it did one of the two.
    assert_eq!(flake_rate(&store), (2.0, 3.0));
    assert_eq!((rate("main"), rate("feature/[x]"), rate("unknown")), ((0.0, 2.0), (1.0, 3.0), (0.0, 0.0)));
}
