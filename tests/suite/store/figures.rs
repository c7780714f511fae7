//! Figures worked out by hand, as fractions.

use super::{DAY, Line, NOON, new_report, on_main, push, report, store, store_with};
use qastack::quality::{FigureName, FlakeKind, Rules, Standing};
use qastack::store::{RunMeta, Store};

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
